"""What is to be left out of a data set so that nothing is wrong with it any more, and which part of it nobody but its owner can mend."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sightline.data.annotations import ClassLabels, Objects
from sightline.data.copies import PREFERRED, split_of
from sightline.data.findings import Finding
from sightline.data.index import SPLITS, Index, Positions
from sightline.data.masks import Masks
from sightline.data.outlines import OutlineMasks

MENDS_NOTHING = "nothing: this is for you to mend"
_LEFT_OUT = (
    "bad entry",
    "bad box",
    "bad outline",
    "box without area",
    "box outside",
    "untrained class",
    "missing split",
    "broken file",
)
_OF_OBJECTS = ("bad box", "bad outline", "box without area", "box outside")
_WITHOUT_PARTNER = ("missing picture", "missing mask", "missing annotation", "bad annotation file")


class Change(NamedTuple):
    """One difference between a data set and its repaired copy."""

    kind: str
    """Of the finding, or "whole copy"."""
    where: str
    change: str
    """What was done."""
    why: str


class Repair(NamedTuple):
    """How a data set is repaired."""

    kept: Positions
    """The pictures of the copy, ascending."""
    changes: tuple[Change, ...]
    classes: Positions
    """The classes of the copy, ascending."""
    emptied: Positions
    """Those of the pictures that have no objects left, since all that they had were faulty."""

    @property
    def mends_something(self) -> bool:
        """Whether anything is changed."""
        return any(change.change != MENDS_NOTHING for change in self.changes)


def repair(index: Index, findings: Sequence[Finding]) -> Repair:
    """What to do about the errors among the findings of an index.

    Bad pictures and boxes go, and all pictures that contradict each other, since nothing says which one is right. Of the same picture
    in several splits that of the test split stays, else that of the validation split. A class of pictures that has none left to train on
    goes everywhere: it could not be learned. Warnings are left to people.
    """
    gone: dict[int, None] = {}
    changes: list[Change] = []
    split = split_of(index)
    for finding in findings:
        if finding.level != "error":
            continue
        out = _out(finding, split)
        names = [index.source.name(position) for position in out]
        for name in names:
            changes.append(Change(finding.kind, name, "the picture is left out", finding.sentence))
        if not names:
            changes.append(Change(finding.kind, finding.where, _done(finding), finding.sentence))
        gone.update(dict.fromkeys(out))
    looked_at = np.concatenate(list(index.splits.values())) if index.splits else np.arange(len(index))
    kept = np.setdiff1d(looked_at, np.array(list(gone), np.int64)).astype(np.int64)
    classes = _trained(index, kept)
    if len(classes) == len(index.class_names):
        return Repair(kept, tuple(changes), classes, _emptied(index, kept))
    without = ~np.isin(index.labels[kept], classes)
    for position in kept[without].tolist():
        label = index.class_names[index.labels[position]]
        why = f"its class {label!r} has no pictures to train on"
        changes.append(Change("untrained class", index.source.name(position), "the picture is left out", why))
    # What stops a training is mended where it was such a class; else the look at the copy finds it again.
    mended = [change for change in changes if change.change != MENDS_NOTHING]
    return Repair(kept[~without], tuple(mended), classes, _emptied(index, kept[~without]))


def _emptied(index: Index, kept: Positions) -> Positions:
    """The pictures without objects among those that are kept, some of whose objects were left out."""
    faulty = [concern.position for concern in index.faults.concerns if concern.kind in _OF_OBJECTS]
    held = index.annotations.source if isinstance(index.annotations, Masks) else index.annotations
    if not isinstance(held, Objects | OutlineMasks):
        return kept[:0]
    concerned: Positions = kept[np.isin(kept, [position for position in faulty if position is not None])]
    empty = np.diff(held.offsets)[concerned] == 0
    return np.asarray(concerned[empty], np.int64)


def _trained(index: Index, kept: Positions) -> Positions:
    """The classes that have pictures to train on among those that are kept; all of them, where pictures have no class of their own."""
    if not isinstance(index.annotations, ClassLabels):
        return np.arange(len(index.class_names))
    held = index.splits.get("train", kept if not index.splits else np.empty(0, np.int64))
    return np.unique(index.labels[np.intersect1d(held, kept)]) if len(held) else np.arange(len(index.class_names))


def _out(finding: Finding, split: np.ndarray) -> list[int]:
    """The pictures that are left out for a finding."""
    if finding.kind in ("corrupt picture", "bad mask", "contradiction"):
        return list(finding.positions)
    if finding.kind != "leak":
        return []
    there = {SPLITS[number] for number in split[list(finding.positions)].tolist() if number >= 0}
    stays = SPLITS.index(next(name for name in PREFERRED if name in there))
    return [position for position in finding.positions if split[position] != stays]


def _done(finding: Finding) -> str:
    if finding.kind in _LEFT_OUT:
        return "it is left out"
    if finding.kind in _WITHOUT_PARTNER:
        return "what has no counterpart is left out"
    if finding.kind == "wrong size":
        return "the size of the picture is written"
    return "it is taken once" if finding.kind == "listed twice" else MENDS_NOTHING
