"""The drawing of a whole network: its parts in columns, marks beside them, a title above and a key below."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from sightline.report.architecture import Architecture
from sightline.report.blocks import Block, Part, parts, repeats, words
from sightline.report.key import Entry, in_rows, key
from sightline.report.layout import SMALL, Mark, Piece, Widths, framed, part_piece, stacked, widths, with_side
from sightline.report.shapes import Box, Drawing, Line, Shape, Word, moved, text_width

MARGIN, TITLE, HEAD = 18.0, 15.0, 70.0
"""Room around everything; size of the title's font; where the columns begin."""
PAGE, PROPORTION = 940.0, 1.4
"""Width that columns do not pass if they can help it; width to height of a picture that is pleasant to look at."""
BLOCKS_DRAWN = 16
"""A network with more blocks than this has those that look alike drawn once, with their number."""
GUTTER, TURN = 26.0, 10.0
"""Room between columns, in which a line goes up from one to the next; how far it goes on before it turns."""
LENIENCE = 0.25
"""Share of its height that a picture may grow by for each column that then begins with a stage."""
GAP = 9.0
"""Room beside words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """Some of the parts around one axis, with their marks and what hangs at their side."""

    left: float
    right: float
    end: float
    """Where the last part's output leaves."""
    bottom: float
    shapes: tuple[Shape, ...]


def draw(architecture: Architecture, title: str, subtitle: str) -> Drawing:
    """The drawing of a network. Its description says the same in words."""
    chain = parts(architecture)
    many = sum(isinstance(part, Block) for part in chain) > BLOCKS_DRAWN
    columns = _columns(repeats(chain) if many else [[part] for part in chain])
    said = "; ".join(_in_words(group) for group in repeats(chain))
    return on_page(_beside_each_other(columns), _size(columns), key(chain), title, subtitle, said)


def on_page(
    shapes: Iterable[Shape], size: tuple[float, float], entries: Sequence[Entry], title: str, subtitle: str, said: str
) -> Drawing:
    """Shapes that lie from (`MARGIN`, `HEAD`) on and take `size` (width, height), with the heading above and the key below.

    `said` says the same in words.
    """
    heading = [
        Word(x=MARGIN, y=MARGIN + 6, text=title, size=TITLE, bold=True),
        Word(x=MARGIN, y=MARGIN + 24, text=subtitle, size=SMALL),
    ]
    headings = (text_width(word.text, word.size, bold=word.bold) for word in heading)
    width = 2 * MARGIN + max(size[0], *headings, *(entry.width for entry in entries))
    signs, bottom = in_rows(entries, HEAD + size[1] + 2 * GAP, width, MARGIN)
    return Drawing(
        title=f"Architecture of {title}",
        description=f"{subtitle}. {said}.",
        width=math.ceil(width),
        height=math.ceil(bottom + MARGIN),
        shapes=(*heading, *shapes, *signs),
    )


def _columns(groups: Sequence[list[Part]]) -> list[Column]:
    """The parts in as many columns as make a picture of pleasant proportions."""
    last = [group[-1] for group in groups]  # which has the name of a stage that ends there
    wide = widths(last)
    pieces = [part_piece(part, wide) for part in last]
    pieces = [framed(p, len(group)) if len(group) > 1 else p for p, group in zip(pieces, groups, strict=True)]
    pieces = _with_news(pieces)
    stages = [any(mark.stage for mark in piece.marks) for piece in pieces]
    after = [number + 1 for number, ends_stage in enumerate(stages) if ends_stage]
    ways = []
    for count in range(1, 1 + min(8, len(pieces))):
        cuts = _cuts([piece.height for piece in pieces], after, count)
        ways.append([_column(pieces[start:end], last[start:end], wide) for start, end in cuts])
    return min(ways, key=_strangeness)


def _cuts(heights: Sequence[float], good: Collection[int], count: int) -> list[tuple[int, int]]:
    """Start and end of each of at most `count` columns, of which the highest is about as low as can be.

    A column begins at one of the places that are `good` where it costs little height.

    >>> _cuts([1] * 10, (), 2), _cuts([1] * 10, (6,), 2)
    ([(0, 5), (5, 10)], [(0, 6), (6, 10)])
    """
    bounds = sorted({sum(heights[a:b]) for a in range(len(heights)) for b in range(a + 1, len(heights) + 1)})
    least = max(max(heights), sum(heights) / count)
    tried = [(bound, _starts(heights, places, bound)) for bound in bounds if bound >= least for places in (good, ())]
    ways = [(bound, starts) for bound, starts in tried if len(starts) <= count]
    _, best = min(ways, key=lambda way: way[0] * (1 + LENIENCE * sum(start not in good for start in way[1][1:])))
    return list(zip(best, [*best[1:], len(heights)], strict=True))


def _starts(heights: Sequence[float], good: Collection[int], bound: float) -> list[int]:
    """Where columns begin when each is filled up to `bound`, or to a good place if it is then more than half full."""
    starts = [0]
    for number in range(len(heights)):
        while sum(heights[starts[-1] : number + 1]) > bound:
            places = [n for n in good if starts[-1] < n <= number and sum(heights[starts[-1] : n]) > bound / 2]
            starts.append(max(places, default=number))
    return starts


def _with_news(pieces: list[Piece]) -> list[Piece]:
    """Marks that say what the one before did not say: another size, or a stage."""
    found, size = [], ""
    for piece in pieces:
        marks: list[Mark] = []
        for mark in piece.marks:
            new = mark.size if mark.size != size else ""
            size = mark.size
            if new or mark.stage:
                marks.append(replace(mark, size=new))
        found.append(replace(piece, marks=tuple(marks)))
    return found


def _column(pieces: Sequence[Piece], chain: Sequence[Part], wide: Widths) -> Column:
    body = stacked([with_side(pieces[n], part.end, pieces[n + 1 :], wide) for n, part in enumerate(chain)])
    sizes = max((text_width(mark.size, SMALL) + GAP for mark in body.marks if mark.size), default=0.0)
    stages = max((text_width(mark.stage, SMALL, bold=True) + GAP for mark in body.marks if mark.stage), default=0.0)
    shapes = list(body.shapes)
    for mark in body.marks:
        x = -body.left - GAP
        if mark.size:
            shapes.append(Word(x=x, y=mark.y, text=mark.size, size=SMALL, anchor="end"))
            x -= sizes
        if mark.stage:
            shapes.append(Word(x=x, y=mark.y, text=mark.stage, size=SMALL, anchor="end", bold=True))
    both = any(mark.size and mark.stage for mark in body.marks)
    return Column(
        left=body.left + (sizes + stages if both else max(sizes, stages)),
        right=body.right,
        end=body.height,
        bottom=max(shape.y + shape.height for shape in shapes if isinstance(shape, Box)),
        shapes=tuple(shapes),
    )


def _size(columns: Sequence[Column]) -> tuple[float, float]:
    """Width and height of columns beside each other."""
    width = sum(column.left + column.right + GUTTER for column in columns) - GUTTER
    return width, max(column.bottom for column in columns) + TURN


def _strangeness(columns: Sequence[Column]) -> float:
    """How far a picture is from what one likes to look at."""
    width, height = _size(columns)
    return abs(math.log(width / height / PROPORTION)) + max(0.0, width / PAGE - 1) * 3


def _beside_each_other(columns: Sequence[Column]) -> list[Shape]:
    """The columns in their places, and a line from the end of each to the beginning of the next."""
    shapes: list[Shape] = []
    x = MARGIN
    for number, column in enumerate(columns):
        axis = x + column.left
        shapes += [moved(shape, axis, HEAD) for shape in column.shapes]
        x = axis + column.right + GUTTER
        if number + 1 < len(columns):
            following, lane = x + columns[number + 1].left, x - GUTTER / 2
            end, under, over = HEAD + column.end, HEAD + max(column.end, column.bottom) + TURN, HEAD - TURN
            corners = ((axis, end), (axis, under), (lane, under), (lane, over), (following, over), (following, HEAD))
            shapes.append(Line(points=corners))
    return shapes


def _in_words(group: Sequence[Part]) -> str:
    return words(group[0]) if len(group) == 1 else f"{len(group)} times: {words(group[0])}"
