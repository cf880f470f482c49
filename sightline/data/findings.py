"""What is wrong with a data set, or odd: one `Finding` each, of a kind from a literal table.

Errors are what training leaves out or stops at, and what makes figures dishonest; warnings are the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Level = Literal["error", "warning"]


class Kind(NamedTuple):
    """What all findings of a kind have in common."""

    level: Level
    about: str
    """What it is, and what becomes of it."""


def _error(about: str) -> Kind:
    return Kind("error", about)


def _warning(about: str) -> Kind:
    return Kind("warning", about)


KINDS: dict[str, Kind] = {
    "unreadable data": _error("the data set cannot be read; training stops"),
    "cannot train": _error("training stops"),
    "untrained class": _error("a class has no pictures to train on; training stops"),
    "missing split": _error("nothing is where a split is said to be; training stops"),
    "broken file": _error("one of several files cannot be read as a whole; training leaves out what is lost"),
    "corrupt picture": _error("cannot be decoded; training leaves the picture out"),
    "bad mask": _error("cannot be read, or does not fit its picture; training leaves the picture out"),
    "bad annotation file": _error("cannot be read; training leaves the picture out"),
    "bad entry": _error("says nothing that can be used, or contradicts another entry; it is left out"),
    "bad box": _error("cannot be understood; training leaves it out"),
    "bad outline": _error("cannot be understood; training leaves it out"),
    "box without area": _error("training leaves it out"),
    "box outside": _error("training leaves it out"),
    "missing picture": _error("annotations speak of a picture that is not there"),
    "missing mask": _error("training leaves the picture out"),
    "missing annotation": _error("a list names a picture that has none; training leaves it out"),
    "listed twice": _error("a picture is named twice in one place, or in two splits; it is taken once"),
    "wrong size": _error("annotations give another size than the picture has: boxes may be of another version of it"),
    "contradiction": _error("the same picture, pixel by pixel, with different annotations"),
    "leak": _error("the same picture, pixel by pixel, in two splits: figures come out too good"),
    "near leak": _warning("nearly the same picture in two splits: figures may come out too good"),
    "near contradiction": _warning("nearly the same picture in two classes"),
    "duplicate": _warning("the same picture several times"),
    "near duplicate": _warning("nearly the same picture several times"),
    "other coordinates": _warning("the boxes of a file seem to be meant in another way than its format says"),
    "box over the edge": _warning("is cut at the edge of the picture"),
    "box over all": _warning("covers the whole picture"),
    "tiny box": _warning("has a side below 2 pixels"),
    "duplicate box": _warning("the same box of the same class twice in one picture"),
    "two labels": _warning("the same box in two classes"),
    "no objects": _warning("pictures without any object; so it should be only where there is nothing to find"),
    "empty mask": _warning("every pixel is ignored; nothing is learned from it"),
    "one-class mask": _warning("every pixel is of one class"),
    "shared folder": _warning("pictures of one folder or list are given for two splits; each is in one of them"),
    "two folders": _warning("two folders are named after one split; they are taken together"),
    "class missing": _warning("a split has nothing of some classes, which cannot be learned or measured there"),
    "class names alike": _warning("two classes whose names differ in spelling only"),
    "rare class": _warning("one picture only: it cannot be learned and measured too"),
    "empty split": _warning("a split without pictures"),
    "odd picture": _warning("kept in another way than nearly all others; it is read as RGB"),
    "blank picture": _warning("shows nothing"),
    "dark picture": _warning("has so small values that it is read as nearly black"),
    "wrong ending": _warning("the ending does not say what is inside; it is read, other programs may refuse it"),
    "unused file": _warning("lies in the data set and is not used"),
}
"""Name -> what it is; errors first, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or odd.

    >>> Finding("leak", "a/1.png", "It is b/2.png too.").level
    'error'
    """

    kind: str
    """One of `KINDS`."""
    where: str
    """What it is found at: file, with line or id where it has one."""
    what: str
    """A sentence: what is there, what was expected or what to do."""
    positions: tuple[int, ...] = ()
    """The pictures in the index that it is about; those that matter most first."""
    box: tuple[float, float, float, float] | None = None
    """What to look at in the first of them: left, top, right, bottom in pixels."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}: expected one of {', '.join(KINDS)}")

    @property
    def level(self) -> Level:
        """ "error" or "warning"."""
        return KINDS[self.kind].level

    @property
    def sentence(self) -> str:
        """`what`, after `where` unless it begins with it."""
        return sentence(self.where, self.what)

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return {
            "kind": self.kind,
            "level": self.level,
            "where": self.where,
            "what": self.what,
            "positions": list(self.positions),
        }


def sentence(where: str, what: str) -> str:
    """`what`, after `where` unless it begins with it as a whole.

    >>> sentence("a.xml", "a.xml line 7: no box."), sentence("t", "there is 'T' too.")
    ('a.xml line 7: no box.', "t: there is 'T' too.")
    """
    begins = what.startswith(where) and what[len(where) : len(where) + 1] in ("", " ", ":", "'", '"', "/")
    return what if begins else f"{where}: {what}"


def grouped(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Kind -> its findings, in the order of `KINDS`.

    >>> list(grouped([Finding("unused file", "a", "x"), Finding("leak", "b", "y"), Finding("leak", "c", "z")]))
    ['leak', 'unused file']
    """
    groups: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
    for finding in findings:
        groups[finding.kind].append(finding)
    return {kind: held for kind, held in groups.items() if held}


def errors(findings: Sequence[Finding]) -> int:
    """How many of them are errors."""
    return sum(finding.level == "error" for finding in findings)
