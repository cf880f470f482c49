"""A contact sheet: many pictures on one, each with a line or two of text below it."""

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw
from torch import Tensor

from sightline.files import write_atomic
from sightline.inference.lettering import typeface

PICTURE = 144
"""Side of the square that a picture is fitted into, in pixels."""
GAP = 16
"""Space around a tile, in pixels."""
TITLE_SIZE, DETAIL_SIZE = 14, 11
"""Heights of the two lines of text, in pixels."""
TEXT_HEIGHT = 46
"""Space below a picture for its text, in pixels."""

PAPER, FRAME, INK, FAINT = "#ffffff", "#eef1f4", "#1f2933", "#66727f"


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a contact sheet."""

    image: Tensor
    """(3, H, W) uint8 RGB, any size."""
    title: str
    """The first line, larger; clipped when it is too long."""
    detail: str = ""
    """The second line."""
    colour: str | None = None
    """Colour of a bar under the picture, as Pillow names it ("#2f6f9f"); no bar without it."""


def contact_sheet(tiles: Sequence[Tile], columns: int | None = None) -> Image.Image:
    """All tiles in rows, as an RGB picture; without `columns` the sheet becomes a little wider than high.

    Raises `ValueError` when there are no tiles, or fewer than one column.

    >>> import torch
    >>> grey = torch.full((3, 20, 30), 128, dtype=torch.uint8)
    >>> contact_sheet([Tile(grey, "cat", "93%")] * 5, columns=3).size
    (496, 428)
    """
    if not tiles:
        raise ValueError("expected at least one tile, got none")
    if columns is not None and columns < 1:
        raise ValueError(f"expected at least one column, got {columns}")
    columns = min(len(tiles), columns or _columns(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    step_x, step_y = PICTURE + GAP, PICTURE + TEXT_HEIGHT + GAP
    sheet = Image.new("RGB", (columns * step_x + GAP, rows * step_y + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        _draw_tile(sheet, draw, tile, (GAP + column * step_x, GAP + row * step_y))
    return sheet


def write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, width: int, *, faint: bool = False
) -> None:
    """Draw as much of `text` as fits into `width` pixels, `size` pixels high, from the upper left corner at `place`."""
    draw.text(place, clipped(text, size, width), fill=FAINT if faint else INK, font=typeface(size, text))


def clipped(text: str, size: int, width: float) -> str:
    """`text`, or as much of its beginning as fits into `width` pixels with an ellipsis after it; `size` is the height of the font.

    >>> clipped("a rather long name.png", 12, 70)
    'a rather...'
    """
    text, font = " ".join(text.split()), typeface(size, text)
    # More letters than pixels cannot fit; measuring a whole book would take its time.
    start = text[: int(width) + 1]
    if start == text and font.getlength(text) <= width:
        return text
    kept = bisect_right(range(len(start)), width, key=lambda count: font.getlength(start[:count].rstrip() + "..."))
    return start[: max(0, kept - 1)].rstrip() + "..."


def fitted(image: Tensor, side: int) -> Image.Image:
    """The whole (3, H, W) uint8 picture, as large as a square of `side` pixels allows.

    Small ones keep sharp pixels: blurring would hide what they are.

    >>> import torch
    >>> fitted(torch.zeros(3, 10, 30, dtype=torch.uint8), 144).size
    (120, 40)
    """
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())
    factor = side / max(picture.size)
    sharp = factor >= 2
    if sharp:
        factor = math.floor(factor)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.NEAREST if sharp else Image.Resampling.LANCZOS)


def write_png(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG in one atomic step. Raises `StorageError` when it cannot be written."""
    content = io.BytesIO()
    picture.save(content, format="PNG")
    write_atomic(path, content.getvalue())


def _columns(tiles: int) -> int:
    """So many that the sheet is wider than high and its last row has few gaps."""
    wanted = math.sqrt(tiles * 1.5)
    candidates = range(math.ceil(math.sqrt(tiles)), math.ceil(math.sqrt(tiles * 2.2)) + 1)
    return min(
        candidates, key=lambda columns: (-tiles % columns / columns > 0.4, -tiles % columns + abs(columns - wanted))
    )


def _draw_tile(sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, corner: tuple[int, int]) -> None:
    left, top = corner
    draw.rectangle((left, top, left + PICTURE - 1, top + PICTURE - 1), fill=FRAME)
    picture = fitted(tile.image, PICTURE)
    sheet.paste(picture, (left + (PICTURE - picture.width) // 2, top + (PICTURE - picture.height) // 2))
    below = top + PICTURE
    if tile.colour is not None:
        draw.rectangle((left, below, left + PICTURE - 1, below + 3), fill=tile.colour)
    write(draw, (left, below + 8), tile.title, TITLE_SIZE, PICTURE)
    write(draw, (left, below + 29), tile.detail, DETAIL_SIZE, PICTURE, faint=True)
