"""The drawing of a U-Net in the shape of Figure 1 of its paper (arXiv:1505.04597).

A row for each resolution, finest first: at the left the contracting path, at the right the expanding path, between them the
cross connection. A box is a feature map, with its channels in it and its side below it. What the network does is taken from a
run of it (`architecture.py`); nothing is drawn that was not run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sightline.report.architecture import Architecture, Layer
from sightline.report.blocks import Section, Step, label, sections, steps, trunk
from sightline.report.key import SIGN, Entry, entry
from sightline.report.layout import FONT, PADDING, PLUS, SMALL
from sightline.report.page import GAP, HEAD, MARGIN, on_page
from sightline.report.shapes import Box, Drawing, Line, Shape, Word, moved, text_width

LOWEST, HIGHER, NARROWEST = 36.0, 9.0, 40.0
"""Height of a box of the coarsest row; by how much each finer row is higher; least width of a box."""
BESIDE, BELOW = 13.0, 42.0
"""Room between boxes beside each other, and between rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Map:
    """A feature map: one box."""

    words: tuple[str, ...]
    side: int
    """Of the square map, in cells."""
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """The maps of one resolution."""

    left: tuple[Map, ...] = ()
    right: tuple[Map, ...] = ()
    cross: str = ""
    """How the last map at the left reaches the first at the right, "concat" or "add"; empty where it does not."""
    projected: bool = False
    """Whether it goes through a convolution on its way."""


def draw_unet(architecture: Architecture, title: str, subtitle: str, backbone: str | None = None) -> Drawing:
    """The drawing of a U-Net. Its description says the same in words.

    `backbone` names the classifier in the contracting path, of which each stage is one box; without one each convolution is.
    """
    rows = _rows(architecture, own=backbone is None)
    texts = [text for row in rows for one in (*row.left, *row.right) for text in one.words]
    width = max(NARROWEST, *(text_width(text, FONT) + PADDING for text in texts))
    boxes = _boxes(rows, width)
    shapes = [*_arrows(rows, boxes), *_sides(rows, boxes), *(box for lanes in boxes for lane in lanes for box in lane)]
    size = boxes[0][1][-1].x + width, boxes[-1][0][-1].y + LOWEST + 2 * GAP
    placed = (moved(shape, MARGIN, HEAD) for shape in shapes)
    return on_page(placed, size, _key(architecture, rows, backbone), title, subtitle, _in_words(rows))


def _rows(architecture: Architecture, *, own: bool) -> list[Row]:
    """What stands in each row: that of stride 1 first, twice the stride in each further one."""
    ups = _expanding(architecture)
    left: list[list[Map]] = [[] for _ in range(len(ups) + 1)]
    left[0].append(_map(architecture.layers[0], "images", "image"))
    convs: list[Map] = []
    for step in steps(trunk(architecture)):
        if step.main.kind == "conv":
            convs.append(_map(step.main, "conv"))
        for stage in (layer.stage for layer in step.layers if layer.stage):
            level = architecture.strides[stage].bit_length() - 1
            left[level] += convs if own else [_map(step.main, "stage", stage)]
            convs = []
    rows = [Row(left=tuple(maps)) for maps in left]
    for level, up in enumerate(ups):
        rows[level] = replace(_expanded(up), left=rows[level].left)
    logits = _map(architecture.layers[-1], "linear", "logits")
    return [replace(rows[0], right=(*rows[0].right, logits)), *rows[1:]]


def _expanding(architecture: Architecture) -> list[Section]:
    """The steps of the expanding path, finest first."""
    return [section for section in sections(architecture) if section.name.startswith("expanding.")][::-1]


def _expanded(up: Section) -> Row:
    """One step of the expanding path as the right half of a row."""
    join = next((step.main for step in up.steps if step.main.kind in ("concat", "add")), None)
    if join is None:
        first = _map([step.main for step in up.steps if _is_in(step, "up")][-1], "up")
    else:
        first = _map(join, join.kind)
    if first.kind == "add":
        first = replace(first, words=("+",))
    convs = (_map(step.main, "conv") for step in up.steps if _is_in(step, "convs"))
    projected = any(_is_in(step, "project") for step in up.steps)
    return Row(right=(first, *convs), cross=join.kind if join else "", projected=projected)


def _is_in(step: Step, part: str) -> bool:
    """Whether a step is done by this part of a step of the expanding path."""
    return part in step.name.split(".")


def _map(layer: Layer, kind: str, *above: str) -> Map:
    channels, side, _ = layer.output
    return Map(words=(*above, str(channels)), side=side, kind=kind)


def _boxes(rows: Sequence[Row], width: float) -> list[tuple[list[Box], list[Box]]]:
    """The boxes of each row, those at the left and those at the right, in a U from (0, 0) on.

    Each row of the contracting path begins below the last box of the one above, or further right; each row of the expanding
    path begins above the last box of the one below, and right of the whole contracting path.
    """
    starts: list[int] = []
    last = 0
    for number, row in enumerate(rows):
        starts.append(max(starts[-1] + 1, last) if number and row.left else starts[-1] if number else 0)
        last = max(last, starts[-1] + len(row.left) - 1)
    found: list[tuple[list[Box], list[Box]]] = []
    column, y = last + 1, (len(rows) - 1) * BELOW + sum(LOWEST + HIGHER * level for level in range(len(rows)))
    for number, (row, start) in enumerate(zip(rows[::-1], starts[::-1], strict=True)):  # from the coarsest up
        height = LOWEST + HIGHER * number
        y -= height
        size = (width, y, height)
        left = [_box(one, start + place, *size) for place, one in enumerate(row.left)]
        found.append((left, [_box(one, column + place, *size) for place, one in enumerate(row.right)]))
        column += max(len(row.right) - 1 - (number == len(rows) - 1), 0)
        y -= BELOW
    return found[::-1]


def _box(one: Map, column: int, width: float, y: float, height: float) -> Box:
    x = column * (width + BESIDE)
    if one.kind == "add":
        x, y = x + (width - PLUS) / 2, y + (height - PLUS) / 2
        width = height = PLUS
    return Box(x=x, y=y, width=width, height=height, kind=one.kind, words=one.words)


def _arrows(rows: Sequence[Row], boxes: Sequence[tuple[list[Box], list[Box]]]) -> list[Shape]:
    """The ways from box to box, and what cross connections are called."""
    shapes: list[Shape] = []
    for row, (left, right) in zip(rows, boxes, strict=True):
        shapes += [_across(a, b) for lane in (left, right) for a, b in pairwise(lane)]
        if row.cross:
            shapes.append(_across(left[-1], right[0], dashed=row.projected))
            x, y = (left[-1].x + left[-1].width + right[0].x) / 2, left[-1].middle - GAP
            shapes.append(Word(x=x, y=y, text=row.cross, size=SMALL, anchor="middle"))
    for (*_, above), (below, *_) in pairwise(left for left, _ in boxes if left):
        x, end = _centre(above), below.y
        corner = ((x, below.middle), (below.x, below.middle)) if _centre(below) > x else ((x, end),)
        shapes.append(Line(points=((x, above.y + above.height), *corner), arrow=True))
    for (_, (above, *_)), (left, right) in pairwise(boxes):
        x, below = _centre(above), (right or left)[-1]
        start = ((x, below.y),) if right else ((below.x + below.width, below.middle), (x, below.middle))
        shapes.append(Line(points=(*start, (x, above.y + above.height)), arrow=True))
    return shapes


def _across(start: Box, end: Box, *, dashed: bool = False) -> Line:
    return Line(points=((start.x + start.width, start.middle), (end.x, end.middle)), arrow=True, dashed=dashed)


def _centre(box: Box) -> float:
    return box.x + box.width / 2


def _sides(rows: Sequence[Row], boxes: Sequence[tuple[list[Box], list[Box]]]) -> list[Word]:
    """The side of each map below its box, left of the arrow where one goes through."""
    words = []
    for number, (row, (left, right)) in enumerate(zip(rows, boxes, strict=True)):
        bottom = max(box.y + box.height for box in (*left, *right))
        arrows = {id(box) for box in (*left[-1:], *right[:1]) if number < len(rows) - 1}
        for one, box in zip((*row.left, *row.right), (*left, *right), strict=True):
            beside = id(box) in arrows
            x = _centre(box) - (4 if beside else 0)
            words.append(
                Word(x=x, y=bottom + GAP, text=str(one.side), size=SMALL, anchor="end" if beside else "middle")
            )
    return words


def _key(architecture: Architecture, rows: Sequence[Row], backbone: str | None) -> list[Entry]:
    """An entry for each sign that the drawing has."""
    kinds = {one.kind for row in rows for one in (*row.left, *row.right)}
    after = {layer.kind for section in _expanding(architecture) for step in section.steps for layer in step.layers[1:]}
    after |= {step.main.kind for step in steps(trunk(architecture))} if backbone is None else set()
    hidden = " and ".join(kind for kind in ("batch norm", "ReLU", "dropout") if kind in after)
    finest = _expanding(architecture)[0].steps
    up = " > ".join(label(step).partition(",")[0] for step in finest if _is_in(step, "up"))
    pools = {label(step).partition(",")[0] for step in steps(trunk(architecture)) if "pool" in step.main.kind}
    texts = {
        "conv": f"3x3 convolution ({hidden} not drawn): channels",
        "stage": f"stage of {backbone}: name, channels",
        "concat": "the map from the left, then what comes up: channels",
        "add": "sum of what comes up and the map from the left",
        "up": "what comes up: channels",
        "linear": "1x1 convolution: classes",
    }
    entries = [
        entry(Box(x=0, y=-6, width=SIGN, height=12, kind=kind), text) for kind, text in texts.items() if kind in kinds
    ]
    down = "to the next stage" if backbone else ", ".join(sorted(pools))
    entries.append(entry(Line(points=((SIGN / 2, -7), (SIGN / 2, 7)), arrow=True), down))
    entries.append(entry(Line(points=((SIGN / 2, 7), (SIGN / 2, -7)), arrow=True), up))
    crossing = [row for row in rows if row.cross]
    if crossing:
        cut = any(row.left[-1].side > row.right[0].side for row in crossing)
        text = "cross connection" + (", its borders cut off" if cut else "")
        if any(row.projected for row in crossing):
            text += " (dashed: through a 1x1 conv)"
        entries.append(entry(Line(points=((0, 0), (SIGN, 0)), arrow=True), text))
    side = Word(x=0, y=0, text=str(rows[0].left[0].side), size=SMALL)
    return [*entries, entry(side, "side of a map in cells")]


def _in_words(rows: Sequence[Row]) -> str:
    """Both paths from map to map, and the cross connections."""
    paths = [
        ", ".join(_named(one) for row in rows for one in row.left),
        ", ".join(_named(one) for row in rows[::-1] for one in row.right),
    ]
    crossing = [f"{row.cross} at {row.right[0].side}" for row in rows if row.cross] or ["none"]
    return f"Contracting path: {paths[0]}; expanding path: {paths[1]}; cross connections: {', '.join(crossing)}"


def _named(one: Map) -> str:
    return f"{' '.join(one.words)} of side {one.side}"
