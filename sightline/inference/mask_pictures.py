"""Masks over pictures, and where they are wrong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from sightline.inference.colours import class_colour, rgb
from sightline.inference.draw import GAP, INK, PAPER, fitted, write
from sightline.inference.lettering import typeface
from sightline.structures import IGNORED

SIDE = 360
"""Longer side of a picture on a sheet, in pixels."""
TITLE_SIZE, DETAIL_SIZE, TEXT_HEIGHT = 14, 11, 46
NAMED_PIXELS = 200
"""Least area of a region, as drawn, that the name of its class is written on."""
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


def with_names(picture: Image.Image, labels: Tensor, class_names: Sequence[str]) -> Image.Image:
    """`picture`, of any size, with the name of each class on its largest region in `labels` (H, W) uint8.

    Class 0, the ground, has none, and nothing is written where regions are small, or where there is one class beside the ground.
    """
    from scipy import ndimage  # comes with scikit-learn; takes long to import

    mask = labels.numpy()
    draw, scale = ImageDraw.Draw(picture), picture.width / mask.shape[1]
    if len(class_names) <= 2:
        return picture
    boxes = ndimage.find_objects(mask)
    for label in set(np.unique(mask).tolist()) - {0, IGNORED}:
        rows, columns = boxes[label - 1]
        of_class = mask[rows, columns] == label
        if of_class.sum() * scale**2 < NAMED_PIXELS:
            continue
        parts, _ = ndimage.label(of_class)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        if sizes.max() * scale**2 < NAMED_PIXELS:
            continue
        largest = int(sizes.argmax())
        down, across = ndimage.find_objects(parts)[largest - 1]
        # The ring around the region is no part of it, so no pixel farther away can be the nearest one outside.
        inside = ndimage.distance_transform_edt(np.pad(parts[down, across] == largest, 1))
        y, x = np.unravel_index(int(inside.argmax()), inside.shape)
        left, top = columns.start + across.start, rows.start + down.start
        place = (float(left + x) - 0.5) * scale, (float(top + y) - 0.5) * scale
        name, font = class_names[label], typeface(TITLE_SIZE, class_names[label])
        draw.text(place, name, fill=PAPER, font=font, anchor="mm", stroke_width=2, stroke_fill=INK)
    return picture


def mask_sheet(rows: Sequence[MaskedPicture], class_names: Sequence[str]) -> Image.Image:
    """For each picture a line: the picture, what was said, and where it is known what is there, and the errors.

    Raises `ValueError` when there are no rows.
    """
    if not rows:
        raise ValueError("expected at least one picture, got none")
    known = any(row.truth is not None for row in rows)
    lines = [_line(row, known, class_names) for row in rows]
    legend = _legend(rows, class_names, known, max(line.width for line in lines))
    width = max(legend.width, *(line.width for line in lines)) + 2 * GAP
    height = legend.height + GAP + sum(line.height + GAP for line in lines) + GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    sheet.paste(legend, (GAP, GAP))
    top = GAP + legend.height + GAP
    for line in lines:
        sheet.paste(line, (GAP, top))
        top += line.height + GAP
    return sheet


def _line(row: MaskedPicture, known: bool, class_names: Sequence[str]) -> Image.Image:
    said = with_names(_fitted(overlay(row.image, row.labels)), row.labels, class_names)
    pictures = [("picture", fitted(row.image, SIDE)), ("said", said)]
    if row.truth is not None:
        there = with_names(_fitted(overlay(row.image, row.truth)), row.truth, class_names)
        pictures.append(("ground truth", there))
        pictures.append(("errors", _fitted(errors(row.image, row.labels, row.truth))))
    panels = 4 if known else 2
    line = Image.new("RGB", (panels * (SIDE + GAP) - GAP, TEXT_HEIGHT + pictures[0][1].height), PAPER)
    draw = ImageDraw.Draw(line)
    write(draw, (0, 0), row.title, TITLE_SIZE, line.width)
    for number, (name, picture) in enumerate(pictures):
        left = number * (SIDE + GAP)
        write(draw, (left, 24), name, DETAIL_SIZE, SIDE, faint=True)
        line.paste(picture, (left, TEXT_HEIGHT))
    return line


def _legend(rows: Sequence[MaskedPicture], class_names: Sequence[str], known: bool, width: int) -> Image.Image:
    masks = [mask for row in rows for mask in (row.labels, row.truth) if mask is not None]
    seen = {label for mask in masks for label in np.unique(mask.numpy()).tolist()}
    entries = [(_colour(label), class_names[label]) for label in sorted(seen - {0, IGNORED})]
    if IGNORED in seen:
        entries.append((UNKNOWN, "not known, not measured"))
    if known:
        entries += [(TOO_MUCH, "error: too much"), (MISSED, "error: missed or another class")]
    widths = [math.ceil(typeface(DETAIL_SIZE, name).getlength(name)) for _, name in entries]
    step = 26 + min(190, max(widths, default=0)) + GAP
    per_line = max(1, width // step)
    lines = [entries[at : at + per_line] for at in range(0, len(entries), per_line)]
    legend = Image.new("RGB", (width, 20 * max(1, len(lines))), PAPER)
    draw = ImageDraw.Draw(legend)
    for row, line in enumerate(lines):
        for column, (colour, name) in enumerate(line):
            left, top = column * step, row * 20
            draw.rectangle((left, top + 2, left + 14, top + 16), fill=colour)
            write(draw, (left + 20, top + 2), name, DETAIL_SIZE, 190)
    return legend


def _painted(image: Tensor, colours: dict[int, str], kinds: Pixels) -> Image.Image:
    pixels = image.permute(1, 2, 0).numpy().astype(np.float32)
    table, coloured = np.zeros((256, 3), np.float32), np.zeros(256, np.bool_)
    for kind, colour in colours.items():
        table[kind], coloured[kind] = rgb(colour), True
    inside = coloured[kinds]
    edge = inside & _rim(kinds)
    pixels[inside] = (1 - MIXED) * pixels[inside] + MIXED * table[kinds[inside]]
    pixels[edge] = table[kinds[edge]]
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
