"""What a drawing consists of: boxes, lines and words at places, in pixels; x to the right, y down."""

from dataclasses import dataclass, replace
from typing import Literal

Anchor = Literal["start", "middle", "end"]

# Widths of letters in units of the font size, those of a wide font (DejaVu Sans): words fit in a narrower one as well.
_NARROW, _USUAL, _CAPITAL, _WIDE, _BOLD = 0.42, 0.64, 0.79, 1.01, 1.16


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle with words in it."""

    x: float
    """Its left side."""
    y: float
    """Its upper side."""
    width: float
    height: float
    kind: str
    """Decides its colours."""
    words: tuple[str, ...] = ()
    """One text a line, in the middle of the box."""

    @property
    def middle(self) -> float:
        """Height of its middle."""
        return self.y + self.height / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """Straight pieces from point to point, with rounded corners."""

    points: tuple[tuple[float, float], ...]
    arrow: bool = False
    """Whether it ends in an arrow."""
    dashed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """Words beside the boxes."""

    x: float
    y: float
    """Height of their middle."""
    text: str
    size: float
    """Of the font."""
    anchor: Anchor = "start"
    bold: bool = False


Shape = Box | Line | Word


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A picture: shapes inside a rectangle from (0, 0) to (width, height)."""

    title: str
    description: str
    """What it shows, for those who cannot see it."""
    width: float
    height: float
    shapes: tuple[Shape, ...]


def moved(shape: Shape, x: float, y: float) -> Shape:
    """The shape, `x` further to the right and `y` further down."""
    if isinstance(shape, Line):
        return replace(shape, points=tuple((px + x, py + y) for px, py in shape.points))
    return replace(shape, x=shape.x + x, y=shape.y + y)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """At least as wide as `text` comes out in pixels, in a plain font of `size` pixels.

    >>> 60 < text_width("3x3 conv, 64", 11) < 85
    True
    """
    return size * sum(map(_letter, text)) * (_BOLD if bold else 1)


def _letter(letter: str) -> float:
    if letter in " .,:;|!'()[]/-ijlftr":
        return _NARROW
    if letter in "mwMW%+@&#" or not letter.isascii():
        return _WIDE
    return _CAPITAL if letter.isupper() else _USUAL
