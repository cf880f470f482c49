"""What can be measured about a drawing: everything that overlaps, sticks out, or does not fit."""

from itertools import combinations
from pathlib import Path

import matplotlib
from PIL import ImageFont

from sightline.report.layout import FONT
from sightline.report.shapes import Box, Drawing, Line, Word

Rectangle = tuple[float, float, float, float]
# A wide font that every machine with matplotlib has: words that fit in it fit in Helvetica and Arial.
FONTS = {
    bold: ImageFont.truetype(
        Path(matplotlib.get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf"), 100
    )
    for bold in (False, True)
}


def measured(text: str, size: float, *, bold: bool = False) -> float:
    return FONTS[bold].getlength(text) * size / 100


def faults(drawing: Drawing) -> list[str]:
    """Everything that overlaps, sticks out, or does not fit."""
    boxes = [shape for shape in drawing.shapes if isinstance(shape, Box) and shape.kind != "frame"]
    frames = [shape for shape in drawing.shapes if isinstance(shape, Box) and shape.kind == "frame"]
    words = [shape for shape in drawing.shapes if isinstance(shape, Word)]
    lines = [shape for shape in drawing.shapes if isinstance(shape, Line)]
    solid = [(rectangle(shape), str(shape)) for shape in (*boxes, *words)]
    found = [f"overlap: {a} and {b}" for (one, a), (other, b) in combinations(solid, 2) if cross(one, other)]
    for frame in frames:
        for box in boxes:
            inside = frame.x < box.x < frame.x + frame.width and frame.y < box.y < frame.y + frame.height
            if cross(rectangle(frame), rectangle(box)) and not (inside and within(rectangle(box), rectangle(frame))):
                found.append(f"half in a frame: {box}")
        found += [f"in a frame: {word}" for word in words if cross(rectangle(frame), rectangle(word))]
    for box in boxes:
        for text in box.words:
            if measured(text, FONT) > box.width - 4:
                found.append(f"too long: {text!r} in {box}")
    page = (0.0, 0.0, drawing.width, drawing.height)
    every = [rectangle(shape) for shape in (*boxes, *frames, *words)]
    every += [piece for line in lines for piece in pieces(line)]
    found += [f"outside: {one}" for one in every if not within(one, page)]
    for line in lines:
        found += [f"{line} crosses {text}" for piece in pieces(line) for one, text in solid if cross(piece, one)]
    across, down = [], []
    for line in lines:
        for piece in pieces(line):
            (down if piece[2] - piece[0] == 2 else across).append(piece)
    found += [f"lines cross: {one} and {other}" for one in across for other in down if cross(one, other)]
    return found


def rectangle(shape: Box | Word) -> Rectangle:
    if isinstance(shape, Box):
        return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
    width = measured(shape.text, shape.size, bold=shape.bold)
    left = shape.x - {"start": 0, "middle": width / 2, "end": width}[shape.anchor]
    return left, shape.y - shape.size / 2, left + width, shape.y + shape.size / 2


def pieces(line: Line) -> list[Rectangle]:
    """The straight pieces of a line, two pixels wide, without their ends: those may touch."""
    found = []
    for (x, y), (to_x, to_y) in zip(line.points, line.points[1:], strict=False):
        assert x == to_x or y == to_y, "lines go straight down or across"
        if y != to_y:
            found.append((x - 1, min(y, to_y) + 1, x + 1, max(y, to_y) - 1))
        elif x != to_x:
            found.append((min(x, to_x) + 1, y - 1, max(x, to_x) - 1, y + 1))
    return found


def cross(one: Rectangle, other: Rectangle) -> bool:
    return all(min(one[n + 2], other[n + 2]) - max(one[n], other[n]) > 0.3 for n in (0, 1))


def within(one: Rectangle, other: Rectangle) -> bool:
    return one[0] >= other[0] and one[1] >= other[1] and one[2] <= other[2] and one[3] <= other[3]


def touches(box: Box, x: float, y: float) -> bool:
    return box.x - 0.1 <= x <= box.x + box.width + 0.1 and box.y - 0.1 <= y <= box.y + box.height + 0.1
