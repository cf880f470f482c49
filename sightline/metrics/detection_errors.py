"""Why a detector is wrong, in the manner of TIDE (Bolya et al. 2020, arXiv:2008.08115, section 2).

Shape letters: `G` objects, `D` detections, `K` classes.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.average_precision import AREAS, LIMIT
from sightline.metrics.detection_records import DetectionMetric, Flags, Floats, Found, Ints, Truth
from sightline.metrics.matching import IGNORED, RIGHT, UNMATCHED, Pairs, box_areas, match, overlapping, within
from sightline.metrics.precision_curve import interpolated

ENOUGH, LITTLE = 0.5, 0.1
"""IoU with which an object is found; IoU below which there is nothing but background."""
Kind = Literal["class", "box", "both", "duplicate", "background", "missed"]


class DetectionErrors(DetectionMetric):
    """How many errors of each kind there are, and by how much AP50, 0..1, would rise if that kind alone were fixed.

    A false detection is one that has found no object, crowds and difficult ones included. It is the first of these:

    - `box`: the most it overlaps an object of its class is an IoU of 0.1 to 0.5. Fixed: it finds that object.
    - `class`: it overlaps an object of another class with 0.5 or more. Fixed: it finds that object.
    - `duplicate`: it overlaps an object of its class with 0.5 or more, which a better one has found. Fixed: it is gone.
    - `background`: it overlaps every object with less than 0.1. Fixed: it is gone.
    - `both`: it overlaps an object of another class with 0.1 to 0.5. Fixed: it is gone.

    An object needs one detection: if it was found before, one fixed to find it is gone, and of several `box` and `class`
    errors at one object the best by score finds it when fixed while the others are gone. `missed` are the objects that no
    detection has found, nor would find if it were fixed. Fixed: they are not asked for; a class without any other object
    then counts as 1, or as 0 if something was found in it.

    >>> import torch
    >>> from sightline.structures import DetectionPrediction, DetectionTarget
    >>> boxes, cat, dog = torch.tensor([[0.0, 0.0, 40.0, 40.0]]), torch.tensor([0]), torch.tensor([1])
    >>> metric = DetectionErrors(["cat", "dog"])
    >>> found = DetectionPrediction(boxes=boxes, scores=torch.tensor([0.8]), labels=dog)
    >>> metric.update([found], [DetectionTarget.of(boxes, cat)])
    >>> metric.compute()["errors"]["class"]
    {'count': 1, 'ap50_gained': 1.0}
    """

    def compute(self) -> dict[str, Any]:
        """`errors`: of each kind its `count` and `ap50_gained` (None where there is no object); and `images`."""
        found, truth = self.ordered()
        found = found.first(LIMIT)
        explained = explain(found, truth)
        now = explained.ap50(found, truth, None)
        errors: dict[str, dict[str, float | int | None]] = {}
        for kind in get_args(Kind):
            after = explained.ap50(found, truth, kind)
            count = explained.missed.sum() if kind == "missed" else (explained.kinds == kind).sum()
            gained = None if now is None or after is None else after - now  # never below 0
            errors[kind] = {"count": int(count), "ap50_gained": gained}
        return {"errors": errors, "images": self.num_images}


@dataclass(frozen=True, slots=True)
class Explained:
    """What is the matter with each of D detections and G objects."""

    kinds: NDArray[np.str_]
    """(D,) kind of error, "" for what is right and "ignored" for what does not count."""
    wins: Flags
    """(D,) would find its object if it were fixed."""
    objects: Ints
    """(D,) position of the object that it would find."""
    asked: Flags
    """(G,) which objects are asked for."""
    missed: Flags
    """(G,)."""

    def ap50(self, found: Found, truth: Truth, fixed: Kind | None) -> float | None:
        """AP50 with one kind of error fixed; None where there is no object."""
        errors = self.kinds == fixed
        wins = errors & self.wins
        keep = np.flatnonzero((self.kinds != "ignored") & (~errors | wins))
        labels = found.labels.copy()
        labels[wins] = truth.labels[self.objects[wins]]
        order = keep[np.lexsort((-found.scores[keep], labels[keep]))]
        right = (self.kinds[order] == "") | wins[order]
        left = self.asked & ~self.missed if fixed == "missed" else self.asked
        values = []
        for label in np.unique(truth.labels[self.asked]):
            own = slice(*np.searchsorted(labels[order], (label, label + 1)))
            total = np.arange(1, len(right[own]) + 1)
            objects = int((left & (truth.labels == label)).sum())
            if objects:
                values.append(interpolated(right[own, None], total[:, None], objects).mean())
            else:
                values.append(float(not len(total)))
        return float(np.mean(values)) if values else None


def explain(found: Found, truth: Truth) -> Explained:
    """Find the kind of every error; `DetectionErrors` says what they are."""
    matches = match(found, truth, np.array([ENOUGH]), AREAS[:1])
    asked = within(truth.areas, AREAS[:1])[:, 0] & ~truth.ignored
    taken = matches.taken[:, 0, 0]
    verdicts = np.where(within(box_areas(found.boxes), AREAS[:1])[:, 0], UNMATCHED, IGNORED)
    verdicts[matches.found] = matches.verdicts[:, 0, 0]
    pairs = overlapping(found, truth, LITTLE, any_class=True)
    pairs = pairs.rows(asked[pairs.truth])
    alike = found.labels[pairs.found] == truth.labels[pairs.truth]
    same, same_object = _most(pairs.rows(alike), len(verdicts))
    other, other_object = _most(pairs.rows(~alike), len(verdicts))
    cases: list[tuple[Flags, str]] = [
        (verdicts == RIGHT, ""),
        (verdicts == IGNORED, "ignored"),
        ((same >= LITTLE) & (same < ENOUGH), "box"),
        (other >= ENOUGH, "class"),
        (same >= ENOUGH, "duplicate"),
        (other < LITTLE, "background"),
    ]
    kinds = np.select([case for case, _ in cases], [name for _, name in cases], "both")
    objects = np.where(kinds == "box", same_object, other_object)
    fixable = np.flatnonzero((kinds == "box") | (kinds == "class"))
    fixable = fixable[np.argsort(-found.scores[fixable], kind="stable")]
    best = fixable[np.unique(objects[fixable], return_index=True)[1]]
    wins = np.zeros(len(verdicts), np.bool_)
    wins[best] = ~taken[objects[best]]
    missed = asked & ~taken
    missed[objects[fixable]] = False
    return Explained(kinds, wins, objects, asked, missed)


def _most(pairs: Pairs, count: int) -> tuple[Floats, Ints]:
    """Of each of `count` detections the highest IoU and with which object, the first of equals; 0 without a pair."""
    pairs = pairs.rows(np.lexsort((-pairs.iou, pairs.found)))
    pairs = pairs.rows(np.flatnonzero(np.diff(pairs.found, prepend=-1)))
    iou, objects = np.zeros(count), np.zeros(count, np.int64)
    iou[pairs.found], objects[pairs.found] = pairs.iou, pairs.truth
    return iou, objects
