"""What a format finds wrong with the annotations of a data set, and leaves out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sightline.errors import DataError

_NAMED = 20
STOPPING = ("untrained class", "missing split")
"""Kinds of faults that stop a training, however few they are: it would learn or measure less than was meant."""


class Concern(NamedTuple):
    """What a line of `AnnotationFaults` is about."""

    kind: str
    """One of `sightline.data.findings.KINDS`."""
    position: int | None = None
    """Of the picture, where it is one of the data set."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom in pixels, as they were found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotationFaults:
    """What is wrong with the annotations of a data set. Bad boxes are in no `Objects`; their pictures stay.

    >>> AnnotationFaults(lines=("a.xml line 7: cat [5, 5, 5, 5] has no area.",), boxes=20, bad_boxes=1).require_few()
    Traceback (most recent call last):
        ...
    sightline.errors.DataError: 1 of 20 boxes (5.00%) bad; 1.00% may be lost. ... allow more with --set data.max_bad=0.05:
    a.xml line 7: cat [5, 5, 5, 5] has no area.
    """

    lines: tuple[str, ...] = ()
    """One for each fault: file and line or id, what is there, what was done. Ready to be said."""
    concerns: tuple[Concern, ...] = ()
    """What each line is about."""
    boxes: int = 0
    """Boxes looked at, good and bad."""
    bad_boxes: int = 0
    """Those that were left out."""
    called: str = "boxes"
    """What they are: "boxes", or "outlines" where those were looked at."""
    pictures: int = 0
    """Pictures that the annotations speak of, there or not."""
    bad_pictures: int = 0
    """Those that are missing, or whose annotations cannot be read or contradict the picture."""

    def require_few(self, tolerance: float = 0.01, *, settable: bool = True) -> None:
        """Raise `DataError`, with the first lines, when more than `tolerance` (0..1) of the boxes or pictures are bad.

        What is `settable` is named as a way out. Faults of a kind that is `STOPPING` are raised in any case.
        """
        stopping = [line for line, concern in zip(self.lines, self.concerns, strict=False) if concern.kind in STOPPING]
        if stopping:
            raise DataError("\n".join(_first(stopping)))
        counts = ((self.bad_boxes, self.boxes, self.called), (self.bad_pictures, self.pictures, "pictures"))
        too_many = [(bad, every, what) for bad, every, what in counts if bad > tolerance * every]
        if not too_many:
            return
        told = " and ".join(f"{bad} of {every} {what} ({bad / every:.2%})" for bad, every, what in too_many)
        way_out = allow_more(max(bad / every for bad, every, _ in too_many)) if settable else ""
        first = f"{told} bad; {tolerance:.2%} may be lost. Repair the annotations{way_out}:"
        raise DataError("\n".join([first, *_first(self.lines)]))


NO_FAULTS = AnnotationFaults()


@dataclass
class FaultsFound:
    """Gathers what a format finds wrong with the pictures of a data set, while it reads.

    >>> found = FaultsFound()
    >>> found.add("bad entry", "a.csv line 3: the label is empty; it is left out.")
    >>> found.of(9).pictures, found.of(9).bad_pictures
    (10, 1)
    """

    lines: list[str] = field(default_factory=list)
    concerns: list[Concern] = field(default_factory=list)
    bad: int = 0
    """Pictures that are left out, or doubtful."""
    absent: int = 0
    """Those of them that are not among the pictures of the index."""

    def add(self, kind: str, line: str, *, position: int | None = None, absent: bool = True, count: int = 1) -> None:
        """Note a line that is ready to be said, and the `count` pictures that are `absent` for it, or doubtful."""
        self.lines.append(line)
        self.concerns.append(Concern(kind, position))
        self.bad += count
        self.absent += count * absent

    def of(self, pictures: int) -> AnnotationFaults:
        """All of them, in a data set with so many pictures besides the absent ones."""
        return AnnotationFaults(
            lines=tuple(self.lines),
            concerns=tuple(self.concerns),
            pictures=pictures + self.absent,
            bad_pictures=self.bad,
        )


def _first(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = [f"... and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
    return [*lines[:_NAMED], *more]


def allow_more(bad: float) -> str:
    """What to set where the share `bad` (0..1) is too much: the next whole percent, where anything would be left then.

    >>> allow_more(0.041), allow_more(1.0)
    (', or allow more with --set data.max_bad=0.05', '')
    """
    enough = -(-bad * 100 // 1) / 100
    return f", or allow more with --set data.max_bad={enough}" if enough < 1 else ""
