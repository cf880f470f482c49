"""Colours over a picture, pixel by pixel: where a map's cells lie, and nothing where there are none."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.inference.explain import Cam
from sightline.inference.placement import spread
from sightline.ops.cells import Cells

Pixels = NDArray[np.uint8]
"""RGB, (H, W, 3); or colours, (n, 3)."""

STRENGTH = 0.6
"""Share of the colour where it lies over the picture."""


def cam_over(picture: Pixels, cam: Cam, table: Pixels) -> Pixels:
    """`picture` under its Grad-CAM: between the cells bilinear, nothing outside `cam.seen`.

    `table` holds the colours of values from 0 to the largest, (256, 3).
    """
    height, width = picture.shape[:2]
    peak = float(cam.values.max())
    heat = spread(cam.values / peak if peak else cam.values, cam.down, cam.across, (height, width))
    left, top, right, bottom = cam.seen
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    return _over(picture, table[levels(heat)], (rows > top) & (rows < bottom) & (columns > left) & (columns < right))


def cells_over(picture: Pixels, down: Cells, across: Cells, colours: Pixels) -> Pixels:
    """`picture` under the cells of a map in `colours` (h, w, 3), each a block around its middle.

    What is farther from the outermost middles than half a step has no cell, and none is made up for it.
    """
    rows, columns = _blocks(down, picture.shape[0]), _blocks(across, picture.shape[1])
    last_row, last_column = colours.shape[0] - 1, colours.shape[1] - 1
    there = ((rows >= 0) & (rows <= last_row))[:, None] & ((columns >= 0) & (columns <= last_column))
    return _over(picture, colours[rows.clip(0, last_row)][:, columns.clip(0, last_column)], there)


def as_seen(colours: Pixels, picture: Pixels) -> Pixels:
    """(n, 3) colours as they come out over the picture's mean grey: those of a legend."""
    seen: Pixels = (STRENGTH * colours + (1 - STRENGTH) * _grey(picture).mean()).round().astype(np.uint8)
    return seen


def levels(values: Tensor) -> NDArray[np.int64]:
    """0..1 to 0..255."""
    return (values * 255).round().clamp(0, 255).to(torch.int64).numpy()


def _over(picture: Pixels, colours: Pixels, there: NDArray[np.bool_]) -> Pixels:
    """Colours over the picture in grey, so that no colour is the picture's own; the picture paler where there are none."""
    mixed = STRENGTH * colours + (1 - STRENGTH) * _grey(picture)
    pale = 0.35 * picture + 0.65 * 255
    return np.where(there[..., None], mixed, pale).round().astype(np.uint8)


def _grey(picture: Pixels) -> NDArray[np.float64]:
    """(H, W, 1), within 64..192: black and white would make the colours over them hard to compare."""
    grey: NDArray[np.float64] = picture @ np.array([0.299, 0.587, 0.114])
    return 64 + grey[..., None] / 2


def _blocks(cells: Cells, length: int) -> NDArray[np.int64]:
    """The cell in whose block each of `length` pixels lies; below 0 or too large where there is none."""
    places = (np.arange(length) + 0.5 - cells.first) / cells.step
    blocks: NDArray[np.int64] = np.floor(places + 0.5).astype(np.int64)
    return blocks
