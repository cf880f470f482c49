"""Average precision and recall of a detector, by the protocol of COCO, and by those of PASCAL VOC on request.

Shape letters: `K` classes, `A` ranges of object area, `T` IoU thresholds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.metrics.detection_records import DetectionMetric, Flags, Floats, Found, Ints, Truth
from sightline.metrics.matching import RIGHT, UNMATCHED, Matches, Verdicts, box_areas, match, within
from sightline.metrics.precision_curve import interpolated
from sightline.metrics.voc_precision import voc_average_precision

THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREAS = np.array([[0.0, 1e10], [0.0, 32.0**2], [32.0**2, 96.0**2], [96.0**2, 1e10]])
"""All, small, medium and large objects, in square pixels; an object of exactly 32 x 32 pixels is small and medium."""
LIMIT = 100
"""Detections of one class that count in an image."""


class AveragePrecision(DetectionMetric):
    """COCO's twelve figures, 0..1, as pycocotools gives them, and the average precision of each class.

    AP is the mean over the IoU thresholds 0.50, 0.55, ..., 0.95 and over the classes that have objects, AP50 and AP75 that at
    one threshold, APs, APm and APl that of objects by area; AR1, AR10 and AR100 are the recall with so many detections of a
    class in an image, ARs, ARm and ARl the recall by area. None where there is no object. What is found in a crowd, or is a
    difficult object, counts neither for nor against. (pycocotools has a flag `ignore` that does the same, but overwrites it
    by `iscrowd`, so difficult objects must be marked in its internals to get equal figures.)

    `voc` adds the two protocols of PASCAL VOC at an IoU of 0.5: `voc07` (eleven points of recall) and `voc10` (area).

    >>> import torch
    >>> from sightline.structures import DetectionPrediction, DetectionTarget
    >>> box, cat = torch.tensor([[0.0, 0.0, 40.0, 40.0]]), torch.tensor([0])
    >>> metric = AveragePrecision(["cat", "dog"])
    >>> found = DetectionPrediction(boxes=box * 0.9, scores=torch.tensor([0.8]), labels=cat)  # an IoU of 0.81
    >>> metric.update([found], [DetectionTarget.of(box, cat)])
    >>> result = metric.compute()
    >>> result["AP"], result["AP50"], result["APs"], result["per_class"][0]
    (0.7, 1.0, None, {'name': 'cat', 'ap': 0.7, 'ap50': 1.0, 'objects': 1})
    """

    def __init__(self, class_names: Sequence[str], *, voc: bool = False) -> None:
        super().__init__(class_names)
        self.voc = voc

    def compute(self) -> dict[str, Any]:
        """`AP`, `AP50`, `AP75`, `APs`, `APm`, `APl`, `AR1`, ..., `ARl`, `per_class` and `images`; `voc07`, `voc10`."""
        found, truth = self.ordered()
        scores = coco_scores(found, truth, len(self.class_names))
        precision, recall = scores.precision, scores.recall
        rows: list[dict[str, Any]] = [
            {"name": name, "ap": _mean(own), "ap50": _mean(own[0]), "objects": objects}
            for name, own, objects in zip(self.class_names, precision[:, 0], scores.objects.tolist(), strict=True)
        ]
        result: dict[str, Any] = {
            "AP": _mean(precision[:, 0]),
            "AP50": _mean(precision[:, 0, 0]),
            "AP75": _mean(precision[:, 0, 5]),
            **{f"AP{size}": _mean(precision[:, area]) for area, size in enumerate("sml", start=1)},
            **{f"AR{limit}": _mean(scores.first_recall[:, place]) for place, limit in enumerate((1, 10))},
            "AR100": _mean(recall[:, 0]),
            **{f"AR{size}": _mean(recall[:, area]) for area, size in enumerate("sml", start=1)},
            "per_class": rows,
            "images": self.num_images,
        }
        if self.voc:
            voc = voc_average_precision(found, truth, len(self.class_names))
            result |= {name: _mean(values) for name, values in zip(("voc07", "voc10"), voc.T, strict=True)}
            for row, (eleven, area) in zip(rows, voc, strict=True):
                row |= {"voc07": _mean(eleven), "voc10": _mean(area)}
        return result


@dataclass(frozen=True, slots=True)
class Scores:
    """COCO's figures of each class; not a number where the class has no object in the range of area."""

    precision: Floats
    """(K, A, T) average precision."""
    recall: Floats
    """(K, A, T) the share of objects that was found."""
    first_recall: Floats
    """(K, 2, T) the same for objects of all areas, with 1 and with 10 detections an image."""
    objects: Ints
    """(K,) objects that are asked for."""


def coco_scores(found: Found, truth: Truth, num_classes: int) -> Scores:
    """The figures of each class by the protocol of COCO, as pycocotools 2.0 computes them."""
    found = found.first(LIMIT)
    matches = match(found, truth, THRESHOLDS, AREAS)
    inside, ranks = within(box_areas(found.boxes), AREAS), found.ranks[matches.found]
    objects = np.zeros((num_classes, len(AREAS)), np.int64)
    np.add.at(objects, truth.labels, within(truth.areas, AREAS) & ~truth.ignored[:, None])
    precision = np.full((num_classes, len(AREAS), len(THRESHOLDS)), np.nan)
    recall, first_recall = precision.copy(), precision[:, :2].copy()
    for label, ranked, places, rows in _by_class(found, matches, num_classes):
        verdicts = matches.verdicts[rows]
        for area in np.flatnonzero(objects[label]):
            count = int(objects[label, area])
            right, total = _counted(inside[ranked, area], places, verdicts[:, area])
            precision[label, area] = interpolated(right, total, count).mean(axis=0)
            recall[label, area] = right.sum(axis=0) / count
            if area == 0:
                first_recall[label] = [right[ranks[rows] < limit].sum(axis=0) / count for limit in (1, 10)]
    return Scores(precision, recall, first_recall, objects[:, 0])


def _by_class(found: Found, matches: Matches, num_classes: int) -> Iterator[tuple[int, Ints, Ints, Ints]]:
    """Of each class: its detections by falling score (positions in `found`), and of those that overlap an object well enough
    the places among these and the rows of `matches`."""
    order = np.lexsort((-found.scores, found.labels))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    places = place[matches.found]
    rows = np.argsort(places)
    bounds = np.searchsorted(found.labels[order], np.arange(num_classes + 1))
    cuts = np.searchsorted(places[rows], bounds)
    for label in range(num_classes):
        own = rows[cuts[label] : cuts[label + 1]]
        yield label, order[bounds[label] : bounds[label + 1]], places[own] - bounds[label], own


def _counted(inside: Flags, places: Ints, verdicts: Verdicts) -> tuple[Flags, Ints]:
    """Which of n detections are right, (n, T), and how many of all m count up to and with each, (n, T).

    The n stand at `places` among the m, with `verdicts` (n, T). Whatever found nothing counts if its own area is `inside`
    (m,) the range.
    """
    right = verdicts == RIGHT
    plain = inside[places, None]
    counts = right | ((verdicts == UNMATCHED) & plain)
    # The sum over all m as if none had found anything, corrected at the n that may have.
    return right, inside.cumsum()[places, None] + (counts.astype(np.int64) - plain).cumsum(axis=0)


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
