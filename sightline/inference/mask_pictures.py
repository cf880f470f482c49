"""Masks over pictures, and where they are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sightline.inference.colours import class_colour, rgb
from sightline.inference.draw import FAINT, GAP, INK, PAPER, clipped, fitted
from sightline.structures import IGNORED

SIDE = 360
"""Longer side of a picture on a sheet, in pixels."""
TITLE_SIZE, DETAIL_SIZE, TEXT_HEIGHT = 16, 12, 46
MIXED = 0.5
"""Share of the class's colour in a pixel inside a region; its rim has the colour alone."""
TOO_MUCH, MISSED, UNKNOWN = "#CC79A7", "#0072B2", "#B0B7BF"
"""Colours of errors: a pixel that was named wrongly and is ground, one of an object that was not found or got another name, and
one whose class is not known. The first two are told apart by people with any kind of colour vision."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskedPicture:
    """A picture with what was said of its pixels."""

    image: Tensor
    """(3, H, W) uint8 RGB."""
    labels: Tensor
    """(H, W) uint8, 0..K-1."""
    truth: Tensor | None
    """(H, W) uint8, 0..K-1 or `IGNORED`; None where it is not known."""
    title: str


def overlay(image: Tensor, labels: Tensor) -> Image.Image:
    """The picture (3, H, W) uint8 under the colours of its classes; class 0, the ground, is left as it is.

    `labels` (H, W) uint8. What is `IGNORED` is grey.

    >>> import torch
    >>> mask = torch.zeros(4, 6, dtype=torch.uint8)
    >>> overlay(torch.full((3, 4, 6), 100, dtype=torch.uint8), mask).getpixel((0, 0))
    (100, 100, 100)
    """
    mask = labels.numpy()
    present = [label for label in np.unique(mask).tolist() if label != 0]
    return _painted(image, {label: _colour(label) for label in present}, mask)


def errors(image: Tensor, labels: Tensor, truth: Tensor) -> Image.Image:
    """The picture with its wrong pixels coloured; see `TOO_MUCH` and `MISSED`."""
    said, there = labels.numpy(), truth.numpy()
    wrong = (said != there) & (there != IGNORED)
    kinds = np.where(wrong & (there == 0), 1, np.where(wrong, 2, np.where(there == IGNORED, 3, 0))).astype(np.uint8)
    return _painted(image, {1: TOO_MUCH, 2: MISSED, 3: UNKNOWN}, kinds)


def mask_sheet(rows: Sequence[MaskedPicture], class_names: Sequence[str]) -> Image.Image:
    """For each picture a line: the picture, what was said, and where it is known what is there, and the errors.

    Raises `ValueError` when there are no rows.
    """
    if not rows:
        raise ValueError("expected at least one picture, got none")
    known = any(row.truth is not None for row in rows)
    lines = [_line(row, known) for row in rows]
    legend = _legend(rows, class_names, known)
    width = max(legend.width, *(line.width for line in lines)) + 2 * GAP
    height = legend.height + GAP + sum(line.height + GAP for line in lines) + GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    sheet.paste(legend, (GAP, GAP))
    top = GAP + legend.height + GAP
    for line in lines:
        sheet.paste(line, (GAP, top))
        top += line.height + GAP
    return sheet


def _line(row: MaskedPicture, known: bool) -> Image.Image:
    pictures = [("picture", fitted(row.image, SIDE)), ("said", _fitted(overlay(row.image, row.labels)))]
    if row.truth is not None:
        pictures.append(("ground truth", _fitted(overlay(row.image, row.truth))))
        pictures.append(("errors", _fitted(errors(row.image, row.labels, row.truth))))
    panels = 4 if known else 2
    line = Image.new("RGB", (panels * (SIDE + GAP) - GAP, TEXT_HEIGHT + pictures[0][1].height), PAPER)
    draw, fonts = ImageDraw.Draw(line), (ImageFont.load_default(TITLE_SIZE), ImageFont.load_default(DETAIL_SIZE))
    draw.text((0, 0), clipped(row.title, fonts[0], line.width), fill=INK, font=fonts[0])
    for number, (name, picture) in enumerate(pictures):
        left = number * (SIDE + GAP)
        draw.text((left, 24), name, fill=FAINT, font=fonts[1])
        line.paste(picture, (left, TEXT_HEIGHT))
    return line


def _legend(rows: Sequence[MaskedPicture], class_names: Sequence[str], known: bool) -> Image.Image:
    masks = [mask for row in rows for mask in (row.labels, row.truth) if mask is not None]
    seen = {label for mask in masks for label in np.unique(mask.numpy()).tolist()}
    entries = [(_colour(label), class_names[label]) for label in sorted(seen - {0, IGNORED})]
    if known:
        entries += [(TOO_MUCH, "error: too much"), (MISSED, "error: missed or another class")]
    font = ImageFont.load_default(DETAIL_SIZE)
    per_line = 5
    lines = [entries[at : at + per_line] for at in range(0, len(entries), per_line)]
    legend = Image.new("RGB", (per_line * 220, 20 * max(1, len(lines))), PAPER)
    draw = ImageDraw.Draw(legend)
    for row, line in enumerate(lines):
        for column, (colour, name) in enumerate(line):
            left, top = column * 220, row * 20
            draw.rectangle((left, top + 2, left + 14, top + 16), fill=colour)
            draw.text((left + 20, top + 2), clipped(name, font, 190), fill=INK, font=font)
    return legend


def _painted(image: Tensor, colours: dict[int, str], kinds: Pixels) -> Image.Image:
    pixels = image.permute(1, 2, 0).numpy().astype(np.float32)
    rim = _rim(kinds)
    for kind, colour in colours.items():
        inside, edge = kinds == kind, (kinds == kind) & rim
        pixels[inside] = (1 - MIXED) * pixels[inside] + MIXED * np.array(rgb(colour), np.float32)
        pixels[edge] = rgb(colour)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def _rim(kinds: Pixels) -> NDArray[np.bool_]:
    """Pixels beside one of another kind."""
    rim = np.zeros(kinds.shape, np.bool_)
    down, across = kinds[1:] != kinds[:-1], kinds[:, 1:] != kinds[:, :-1]
    rim[1:] |= down
    rim[:-1] |= down
    rim[:, 1:] |= across
    rim[:, :-1] |= across
    return rim


def _colour(label: int) -> str:
    return UNKNOWN if label == IGNORED else class_colour(label - 1)


def _fitted(picture: Image.Image) -> Image.Image:

    return fitted(torch.from_numpy(np.array(picture)).permute(2, 0, 1), SIDE)
