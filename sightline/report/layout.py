"""Where everything goes in the drawing of a network.

Each part is drawn around an axis of its own: what it is given comes in at (0, 0), its output leaves at (0, height). So
parts are stacked into chains, chains set beside each other as branches, and the whole chain is cut into columns that are
read like those of a page (`page.py`). Words decide how wide boxes are; nothing here knows a network by name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sightline.report.blocks import Block, Part, Step, label
from sightline.report.shapes import Box, Line, Shape, Word, moved, text_width

FONT, SMALL = 11.0, 10.0
"""Font sizes in pixels: in boxes, and beside them."""
LINE, PADDING = 13.0, 5.0
"""Height of a line of words; least room between words and the sides of their box."""
FALL = 13.0
"""Length of the arrow into a box."""
FORK = 7.0
"""From where ways part to where they turn down."""
BETWEEN = 8.0
"""Room between branches."""
ARC = 15.0
"""Room that a bypass takes beside its block."""
PLUS = 17.0
"""Side of the box in which a bypass is added."""
SIDE = 18.0
"""Room between the network and an auxiliary classifier."""

Place = Literal["row", "branch", "side"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What is said to the left of a step."""

    y: float
    size: str
    """Height and width of its output; empty for a vector."""
    stage: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A part of the drawing around its axis, x = 0."""

    left: float
    """How far it reaches to the left of the axis."""
    right: float
    height: float
    shapes: tuple[Shape, ...]
    """The last is the box that the output leaves."""
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Widths:
    """How wide boxes are: those in a row have their words on one line, those in branches and at the side on two."""

    row: float
    branch: float
    side: float


def widths(chain: Sequence[Part]) -> Widths:
    """Boxes wide enough for the longest label of their kind."""
    widest = {"row": 0.0, "branch": 0.0, "side": 0.0}
    for step, place in _boxes(chain, "row"):
        lines = (label(step),) if place == "row" else two_lines(label(step))
        widest[place] = max(widest[place], *(text_width(line, FONT) + 2 * PADDING for line in lines))
    return Widths(**widest)


def two_lines(text: str) -> tuple[str, ...]:
    """The text in two lines that are short, cut after a comma unless that is much longer.

    >>> two_lines("3x3 conv, 128"), two_lines("avg pool, to 4x4"), two_lines("dropout")
    (('3x3 conv', '128'), ('avg pool', 'to 4x4'), ('dropout',))
    """
    ways = [(text[:place], text[place + 1 :]) for place, letter in enumerate(text) if letter == " "]

    def length(way: tuple[str, str]) -> float:
        return max(text_width(line, FONT) for line in way) * (1 if way[0].endswith(",") else 1.3)

    first, *rest = min(ways, key=length, default=(text,))
    return (first.rstrip(","), *rest)


def row_piece(chain: Sequence[Part], wide: Widths, place: Place) -> Piece:
    """Parts below each other."""
    return stacked([part_piece(part, wide, place) for part in chain])


def part_piece(part: Part, wide: Widths, place: Place = "row") -> Piece:
    """A step or a block, with the arrow that leads to it."""
    if isinstance(part, Step):
        return _step(part, wide, place)
    return _branches(part, wide, place) if part.bypass is None else _residual(part, part.bypass, wide, place)


def stacked(pieces: Sequence[Piece]) -> Piece:
    """Pieces below each other on one axis."""
    shapes: list[Shape] = []
    marks: list[Mark] = []
    height = 0.0
    for piece in pieces:
        shapes += [moved(shape, 0, height) for shape in piece.shapes]
        marks += [replace(mark, y=mark.y + height) for mark in piece.marks]
        height += piece.height
    left, right = max((p.left for p in pieces), default=0), max((p.right for p in pieces), default=0)
    return Piece(left=left, right=right, height=height, shapes=tuple(shapes), marks=tuple(marks))


def framed(piece: Piece, count: int) -> Piece:
    """A piece that stands for several alike: a frame around it, and beside it their number."""
    inner = [moved(shape, 0, FORK) for shape in piece.shapes]
    height = piece.height + 2 * FORK
    width = piece.left + piece.right + 2 * FORK
    frame = Box(x=-piece.left - FORK, y=FORK / 2, width=width, height=height - FORK, kind="frame")
    number = Word(x=piece.right + 2 * FORK, y=frame.middle, text=f"x {count}", size=FONT, bold=True)
    return Piece(
        left=piece.left + FORK,
        right=number.x + text_width(number.text, FONT, bold=True),
        height=height,
        shapes=(frame, number, _way((0, 0), (0, FORK)), _way((0, height - FORK), (0, height)), *inner),
        marks=tuple(replace(mark, y=mark.y + FORK) for mark in piece.marks),
    )


def with_side(piece: Piece, step: Step, below: Sequence[Piece], wide: Widths) -> Piece:
    """A piece with the auxiliary classifier, if any, that reads its last box: to the right of the pieces `below` it."""
    if not step.side:
        return piece
    exit_ = piece.shapes[-1]
    assert isinstance(exit_, Box)
    side = row_piece(step.side, wide, "side")
    start = exit_.middle + FORK
    beside, reached = [piece], piece.height
    for other in below:
        if reached < start + side.height:
            beside.append(other)
        reached += other.height
    axis = max(other.right for other in beside) + SIDE + side.left
    way = _way((exit_.x + exit_.width, exit_.middle), (axis, exit_.middle), (axis, start))
    name = step.side[0].name.partition(".")[0]
    word = Word(x=axis, y=exit_.middle - FONT, text=name, size=SMALL, anchor="middle", bold=True)
    shapes = (way, word, *(moved(shape, axis, start) for shape in side.shapes), *piece.shapes)
    return replace(piece, right=axis + side.right, shapes=shapes)


def _boxes(chain: Sequence[Part], place: Place) -> Iterator[tuple[Step, Place]]:
    """The steps that get a box as wide as others, and where it stands."""
    for part in chain:
        if isinstance(part, Step):
            yield part, place
            yield from _boxes(part.side, "side")
            continue
        for number, branch in enumerate(part.branches):
            if number != part.bypass:
                yield from _boxes(branch, "branch" if part.bypass is None else place)
        yield from _boxes(part.join.side, "side")


def _step(step: Step, wide: Widths, place: Place) -> Piece:
    words = (label(step),) if place == "row" else two_lines(label(step))
    width = {"row": wide.row, "branch": wide.branch, "side": wide.side}[place]
    fall = FALL if step.main.inputs else 0.0
    box = Box(x=-width / 2, y=fall, width=width, height=_height(words), kind=step.main.kind, words=words)
    arrow = [_way((0, 0), (0, fall), arrow=True)] if fall else []
    return Piece(
        left=width / 2, right=width / 2, height=fall + box.height, shapes=(*arrow, box), marks=(_mark(step, box),)
    )


def _residual(block: Block, bypass: int, wide: Widths, place: Place) -> Piece:
    """A row of steps and a bypass around it, dashed where it changes the shape on the way."""
    inner = row_piece(block.branches[1 - bypass], wide, place)
    bottom = FORK + inner.height
    plus = Box(x=-PLUS / 2, y=bottom + FALL, width=PLUS, height=PLUS, kind="add", words=("+",))
    reach = inner.right + ARC
    around = _way((0, FORK), (reach, FORK), (reach, plus.middle), (PLUS / 2, plus.middle), arrow=True)
    shapes = (
        _way((0, 0), (0, FORK)),
        replace(around, dashed=bool(block.branches[bypass])),
        *(moved(shape, 0, FORK) for shape in inner.shapes),
        _way((0, bottom), (0, plus.y), arrow=True),
        plus,
    )
    marks = (*(replace(mark, y=mark.y + FORK) for mark in inner.marks), _mark(block.join, plus))
    return Piece(left=inner.left, right=reach, height=plus.y + PLUS, shapes=shapes, marks=marks)


def _branches(block: Block, wide: Widths, place: Place) -> Piece:
    """Branches side by side, their last steps in line, above a bar in which they meet."""
    pieces = [row_piece(branch, wide, "branch") for branch in block.branches]
    depth = max(piece.height for piece in pieces)
    total = sum(piece.left + piece.right for piece in pieces) + BETWEEN * (len(pieces) - 1)
    words = f"{block.name}: {label(block.join)}" if place == "row" and block.name else label(block.join)
    half = max(total, text_width(words, FONT) + 2 * PADDING) / 2
    top = FORK + depth + FALL
    bar = Box(x=-half, y=top, width=2 * half, height=_height((words,)), kind=block.join.main.kind, words=(words,))
    shapes: list[Shape] = [_way((0, 0), (0, FORK))]
    axis = -total / 2
    for piece in pieces:
        axis += piece.left
        start = FORK + depth - piece.height
        shapes.append(_way((0, FORK), (axis, FORK), (axis, start)))
        shapes += [moved(shape, axis, start) for shape in piece.shapes]
        shapes.append(_way((axis, FORK + depth), (axis, bar.y), arrow=True))
        axis += piece.right + BETWEEN
    mark = _mark(block.join, bar)
    return Piece(left=half, right=half, height=bar.y + bar.height, shapes=(*shapes, bar), marks=(mark,))


def _way(*points: tuple[float, float], arrow: bool = False) -> Line:
    return Line(points=points, arrow=arrow)


def _height(words: tuple[str, ...]) -> float:
    return LINE * len(words) + 2 * PADDING - 1


def _mark(step: Step, box: Box) -> Mark:
    output = step.output
    stage = next((layer.stage for layer in step.layers if layer.stage), "")
    return Mark(y=box.middle, size=f"{output[1]} x {output[2]}" if len(output) == 3 else "", stage=stage)
