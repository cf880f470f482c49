"""A drawing as an SVG file: text, without scripts, styles or anything from elsewhere, and the same bytes for the same drawing."""

import math
from html import escape

from sightline.report.figure import FAINT, INK
from sightline.report.layout import FONT, LINE
from sightline.report.shapes import Box, Drawing, Line, Word

FAMILY = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
RADIUS, HEAD = 8.0, 5.0
"""Of rounded corners of lines; length of an arrow head."""
Point = tuple[float, float]

# Fill and outline by kind of box.
COLOURS = {
    "images": ("#ffffff", "#66727f"),
    "conv": ("#dbe8f3", "#2f6f9f"),
    "stage": ("#e7e0f0", "#75589b"),
    "up": ("#f7ddd3", "#b4552d"),
    "max pool": ("#f7ddd3", "#b4552d"),
    "avg pool": ("#f7ddd3", "#b4552d"),
    "LRN": ("#e7e0f0", "#75589b"),
    "linear": ("#fbeac6", "#a87514"),
    "dropout": ("#eef1f4", "#8a949e"),
    "concat": ("#dcebd3", "#4f8a3d"),
    "add": ("#ffffff", "#1f2933"),
    "frame": ("none", "#9aa5b1"),
}


def to_svg(drawing: Drawing) -> str:
    """The text of the file. Light and dark pages show it alike: it has a white ground of its own."""
    width, height = _number(drawing.width), _number(drawing.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-labelledby="title description" font-family="{FAMILY}" fill="{INK}">',
        f'<title id="title">{escape(drawing.title)}</title>',
        f'<desc id="description">{escape(drawing.description)}</desc>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    lines += [_line(shape) for shape in drawing.shapes if isinstance(shape, Line)]
    lines += [_box(shape) for shape in drawing.shapes if isinstance(shape, Box)]
    lines += [_word(shape) for shape in drawing.shapes if isinstance(shape, Word)]
    return "\n".join([*lines, "</svg>", ""])


def _box(box: Box) -> str:
    fill, outline = COLOURS.get(box.kind, ("#ffffff", INK))
    x, y, width, height = map(_number, (box.x, box.y, box.width, box.height))
    radius = _number(box.height / 2) if box.kind == "add" else "6" if box.kind == "frame" else "3"
    dashes = ' stroke-dasharray="2 3"' if box.kind == "frame" else ""
    drawn = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" fill="{fill}" stroke="{outline}"{dashes}/>'
    ]
    first = box.middle - (len(box.words) - 1) * LINE / 2
    for number, text in enumerate(box.words):
        word = Word(x=box.x + box.width / 2, y=first + number * LINE, text=text, size=FONT, anchor="middle")
        drawn.append(_word(word))
    return "\n".join(drawn)


def _word(word: Word) -> str:
    anchor = f' text-anchor="{word.anchor}"' if word.anchor != "start" else ""
    weight = ' font-weight="bold"' if word.bold else ""
    base = word.y + word.size * 0.36  # where letters stand when their capitals are in the middle of the line
    return (
        f'<text x="{_number(word.x)}" y="{_number(base)}" font-size="{_number(word.size)}"{anchor}{weight}>'
        f"{escape(word.text)}</text>"
    )


def _line(line: Line) -> str:
    points = line.points
    path = [f"M{_point(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(RADIUS, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        path.append(f"L{_point(_towards(corner, before, radius))}")
        path.append(f"Q{_point(corner)} {_point(_towards(corner, after, radius))}")
    path.append(f"L{_point(points[-1])}")
    dashes = ' stroke-dasharray="4 3"' if line.dashed else ""
    drawn = f'<path d="{"".join(path)}" fill="none" stroke="{FAINT}" stroke-width="1.1"{dashes}/>'
    return f"{drawn}\n{_head(points[-2], points[-1])}" if line.arrow else drawn


def _head(start: Point, end: Point) -> str:
    """An arrow head that ends at `end`."""
    base = _towards(end, start, HEAD)
    dx, dy = (base[0] - end[0]) / 2, (base[1] - end[1]) / 2
    wings = (base[0] - dy, base[1] + dx), (base[0] + dy, base[1] - dx)
    return f'<path d="M{_point(end)}L{_point(wings[0])}L{_point(wings[1])}Z" fill="{FAINT}"/>'


def _towards(start: Point, end: Point, length: float) -> Point:
    """The point `length` from `start` on the way to `end`."""
    share = length / (math.dist(start, end) or 1)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _point(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    """A length with one digit after the point at most.

    >>> _number(12.0), _number(12.345)
    ('12', '12.3')
    """
    return f"{value:.1f}".removesuffix(".0")
