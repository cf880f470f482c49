"""Objects on pictures: boxes with the names of their classes, and a sheet of what was found beside what is there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw
from torch import Tensor

from sightline.inference.colours import DARK, class_colour, ink_on
from sightline.inference.draw import FRAME, GAP, PAPER, clipped, fitted, write
from sightline.inference.lettering import typeface
from sightline.structures import DetectionPrediction, DetectionTarget

READABLE = 480
"""Pictures whose longer side is shorter are enlarged by a whole number, so that names can be read on them; in pixels."""
SIDE = 480
"""Longer side of a picture on a sheet, in pixels."""
TITLE_SIZE, DETAIL_SIZE = 14, 11
"""Heights of the two lines of text over a picture of a sheet, in pixels."""
TEXT_HEIGHT = 46
"""Space over a picture for its text, in pixels."""

Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom; right and bottom are the first pixels that are not covered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A picture with what was found in it and what is there."""

    image: Tensor
    """(3, H, W) uint8 RGB, any size."""
    prediction: DetectionPrediction
    target: DetectionTarget | None
    """None where it is not known. Boxes of both are in pixels of `image`."""
    title: str


def draw_objects(
    image: Tensor,
    boxes: Tensor,
    labels: Tensor,
    class_names: Sequence[str],
    scores: Tensor | None = None,
    *,
    side: int | None = None,
) -> Image.Image:
    """The (3, H, W) uint8 picture with `boxes` (n, 4), in its pixels, each with the name of its class on a plate.

    `labels` (n,) 0..K-1. With `scores` (n,) the plates say those too, and the best boxes lie on top. `side` is the longer
    side of the result in pixels; without it that of the picture, of small pictures a multiple. Where pixels are enlarged
    they stay sharp. Raises `ValueError` when there is not one label, and one score if any, a box.

    >>> import torch
    >>> grey = torch.full((3, 40, 60), 128, dtype=torch.uint8)
    >>> draw_objects(grey, torch.tensor([[5.0, 5.0, 30.0, 30.0]]), torch.tensor([1]), ["cat", "dog"]).size
    (480, 320)
    """
    if boxes.shape != (len(labels), 4) or (scores is not None and len(scores) != len(labels)):
        counts = f"{len(labels)} labels" + ("" if scores is None else f" and {len(scores)} scores")
        raise ValueError(f"expected boxes (n, 4) with as many labels and scores, got {tuple(boxes.shape)}, {counts}")
    names = [class_names[label] for label in labels.tolist()]
    ends = [""] * len(names) if scores is None else [f" {score:.2f}" for score in scores.tolist()]
    order = range(len(names)) if scores is None else scores.argsort(descending=True, stable=True).tolist()
    longer = max(image.shape[1:])
    picture = fitted(image, side or longer * math.ceil(READABLE / longer))
    return _with_objects(picture, image, boxes[list(order)], [(int(labels[n]), names[n], ends[n]) for n in order])


def detection_sheet(
    rows: Sequence[Comparison], class_names: Sequence[str], *, threshold: float = 0.5, columns: int | None = None
) -> Image.Image:
    """What was found with a score of at least `threshold`, beside what is there, one pair after another.

    Where nothing is known of any picture, it is what was found alone. Crowds and difficult objects are named as such, since
    finding them is not asked for. Without `columns` it is one pair a line, two with more than three pairs.

    Raises `ValueError` when there are no rows, or fewer than one column.
    """
    if not rows:
        raise ValueError("expected at least one picture, got none")
    columns = min(len(rows), columns if columns is not None else 1 if len(rows) <= 3 else 2)
    if columns < 1:
        raise ValueError(f"expected at least one column, got {columns}")
    truth = any(row.target is not None for row in rows)
    tiles = [_tile(row, class_names, threshold, truth) for row in rows]
    lines = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [max(tile.height for tile in line) for line in lines]
    sheet = Image.new("RGB", (columns * (tiles[0].width + GAP) + GAP, sum(heights) + (len(lines) + 1) * GAP), PAPER)
    top = GAP
    for line, height in zip(lines, heights, strict=True):
        for column, tile in enumerate(line):
            sheet.paste(tile, (GAP + column * (tile.width + GAP), top))
        top += height + GAP
    return sheet


def _tile(row: Comparison, class_names: Sequence[str], threshold: float, truth: bool) -> Image.Image:
    """One pair with its text; the right half stays empty when what is there is not known."""
    found = row.prediction
    kept = found.scores >= threshold
    left = draw_objects(row.image, found.boxes[kept], found.labels[kept], class_names, found.scores[kept], side=SIDE)
    tile = Image.new("RGB", ((2 if truth else 1) * (SIDE + GAP) - GAP, TEXT_HEIGHT + left.height), PAPER)
    draw = ImageDraw.Draw(tile)
    write(draw, (0, 0), row.title, TITLE_SIZE, tile.width)
    found_here = f"found with a score from {threshold:.2f} on: {int(kept.sum())}"
    write(draw, (0, 24), found_here, DETAIL_SIZE, SIDE, faint=True)
    tile.paste(left, (0, TEXT_HEIGHT))
    if row.target is not None:
        start = SIDE + GAP
        write(draw, (start, 24), f"ground truth: {len(row.target.labels)}", DETAIL_SIZE, SIDE, faint=True)
        tile.paste(_truth(row.image, row.target, class_names), (start, TEXT_HEIGHT))
    elif truth:
        draw.rectangle((SIDE + GAP, TEXT_HEIGHT, tile.width, tile.height), fill=FRAME)
    return tile


def _truth(image: Tensor, target: DetectionTarget, class_names: Sequence[str]) -> Image.Image:
    captions = []
    for label, crowd, difficult in zip(target.labels.tolist(), target.crowd, target.difficult, strict=True):
        captions.append((label, class_names[label], " (crowd)" if crowd else " (difficult)" if difficult else ""))
    return _with_objects(fitted(image, SIDE), image, target.boxes, captions)


def _with_objects(
    picture: Image.Image, image: Tensor, boxes: Tensor, captions: Sequence[tuple[int, str, str]]
) -> Image.Image:
    """`picture`, which is `image` at another size, under boxes and plates; the first lie on top.

    `captions` are class, name, and what follows the name and is never clipped.
    """
    longer = max(picture.size)
    scale = boxes.new_tensor([picture.width / image.shape[2], picture.height / image.shape[1]]).repeat(2)
    # As corners of pixels, and inside the picture, so that all four lines of a box that reaches its edge are seen.
    limits = boxes.new_tensor(picture.size).repeat(2)
    rectangles = [_rectangle(*box) for box in (boxes * scale).clamp(min=0).minimum(limits).tolist()]
    draw, line = ImageDraw.Draw(picture), max(2, round(longer / 280))
    for (left, top, right, bottom), (label, _, _) in reversed(list(zip(rectangles, captions, strict=True))):
        # A dark line around the coloured one: on any background one of both is seen.
        draw.rectangle((left - 1, top - 1, right, bottom), outline=DARK, width=line + 2)
        draw.rectangle((left, top, right - 1, bottom - 1), outline=class_colour(label), width=line)
    size = max(11, round(longer / 48))
    texts = [clipped(name, size, picture.width / 2 - typeface(size).getlength(end)) + end for _, name, end in captions]
    plates = _plates(rectangles, [_plate_size(text, size) for text in texts], picture.size)
    for plate, text, (label, _, _) in reversed(list(zip(plates, texts, captions, strict=True))):
        draw.rectangle((plate[0], plate[1], plate[2] - 1, plate[3] - 1), fill=class_colour(label))
        middle = (plate[0] + plate[2]) / 2, (plate[1] + plate[3]) / 2
        draw.text(middle, text, fill=ink_on(class_colour(label)), font=typeface(size, text), anchor="mm")
    return picture


def _rectangle(left: float, top: float, right: float, bottom: float) -> Rectangle:
    """Whole pixels; at least one each way."""
    x, y = math.floor(left + 0.5), math.floor(top + 0.5)
    return x, y, max(x + 1, math.floor(right + 0.5)), max(y + 1, math.floor(bottom + 0.5))


def _plate_size(text: str, size: int) -> tuple[int, int]:
    return math.ceil(typeface(size, text).getlength(text)) + round(size * 0.6), round(size * 1.3)


def _plates(
    rectangles: Sequence[Rectangle], sizes: Sequence[tuple[int, int]], room: tuple[int, int]
) -> list[Rectangle]:
    """A place for each plate at its box and within the picture, the first places first.

    Of the places at a box it is the one that covers least of the plates that are there already, the usual one above it on
    the left if that is as good as any.
    """
    placed: list[Rectangle] = []
    for (left, top, right, bottom), (width, height) in zip(rectangles, sizes, strict=True):
        corners = [(left, top - height), (left, top), (left, bottom), (right - width, top - height)]
        corners += [(right - width, bottom), (left, bottom - height), (right - width, bottom - height)]
        candidates = []
        for x, y in corners:
            x, y = max(0, min(x, room[0] - width)), max(0, min(y, room[1] - height))
            candidates.append((x, y, min(x + width, room[0]), min(y + height, room[1])))
        placed.append(min(candidates, key=lambda plate: sum(_shared(plate, other) for other in placed)))
    return placed


def _shared(plate: Rectangle, other: Rectangle) -> int:
    """Pixels that both cover."""
    across, down = (min(plate[n + 2], other[n + 2]) - max(plate[n], other[n]) for n in (0, 1))
    return max(0, across) * max(0, down)
