"""What is to be left out of a data set so that nothing is wrong with it any more, and which part of it nobody but its owner can mend."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sightline.data.copies import PREFERRED, split_of
from sightline.data.findings import Finding
from sightline.data.index import SPLITS, Index, Positions

_LEFT_OUT = ("bad entry", "bad box", "bad outline", "box without area", "box outside")
_WITHOUT_PARTNER = ("missing picture", "missing mask", "missing annotation", "bad annotation file")


class Change(NamedTuple):
    """One difference between a data set and its repaired copy."""

    kind: str
    """Of the finding."""
    where: str
    change: str
    """What was done."""
    why: str


class Repair(NamedTuple):
    """How a data set is repaired."""

    kept: Positions
    """The pictures of the copy, ascending."""
    changes: tuple[Change, ...]


def repair(index: Index, findings: Sequence[Finding]) -> Repair:
    """What to do about the errors among the findings of an index.

    Bad pictures and boxes go, and all pictures that contradict each other, since nothing says which one is right. Of the same picture
    in several splits that of the test split stays, else that of the validation split. Warnings are left to people.
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
    kept = np.setdiff1d(looked_at, np.array(list(gone), np.int64))
    return Repair(kept.astype(np.int64), tuple(changes))


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
    return "it is taken once" if finding.kind == "listed twice" else "nothing: this is for you to mend"
