"""How well the outlines of predicted classes lie on the true ones. Shape letters: `K` classes, `H W` pixels, `P` points."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.metric import Metric, State, add_counts, masks_of
from sightline.metrics.overlap import mean_of
from sightline.structures import IGNORED, SegmentationPrediction, SegmentationTarget

TOLERANCE = 0.0075
"""Share of an image's diagonal by which an outline may be off (Csurka et al. 2013, section 3)."""


def outlines(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W): the class of each pixel that has one of another class to its left or right, above or below; else `IGNORED`.

    The edge of the image is no outline, and neither is the edge of what is `IGNORED`.

    >>> outlines(np.array([[0, 0, 1, 255, 0]], np.uint8)).tolist()
    [[255, 0, 1, 255, 255]]
    """
    beside = np.zeros(labels.shape, np.bool_)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (labels[one] != labels[other]) & (labels[one] != IGNORED) & (labels[other] != IGNORED)
        beside[one] |= differ
        beside[other] |= differ
    return np.where(beside, labels, np.uint8(IGNORED))


def near(points: NDArray[np.uint8], others: NDArray[np.uint8], distance: int) -> NDArray[np.uint8]:
    """The classes of those pixels of `points` that have one of `others` of their class within `distance` pixels; (P,).

    Both are (H, W) as `outlines` gives them; distances are from middle to middle, in a straight line.

    >>> near(np.array([[0, 255, 1, 255, 0]], np.uint8), np.array([[0, 1, 255, 255, 255]], np.uint8), distance=2).tolist()
    [0, 1]
    """
    rows, columns = np.nonzero(points != IGNORED)
    labels, found = points[rows, columns], [points[:0, 0]]
    padded = np.pad(others, distance, constant_values=IGNORED)
    places = (rows + distance) * padded.shape[1] + columns + distance
    steps = np.arange(-distance, distance + 1)
    squares = steps[:, None] ** 2 + steps**2
    shifts = (steps[:, None] * padded.shape[1] + steps)[squares <= distance**2]
    # The nearest first: what has been found is not looked for any further, and most of it is near.
    for shift in shifts[np.argsort(squares[squares <= distance**2], kind="stable")].tolist():
        hits = padded.ravel()[places + shift] == labels
        found.append(labels[hits])
        labels, places = labels[~hits], places[~hits]
    return np.concatenate(found)


class BoundaryScore(Metric[SegmentationPrediction, SegmentationTarget]):
    """The boundary F-score: the share of outlines that are where they should be (Csurka et al. 2013, BMVC, section 3).

    The outline of a class is its pixels beside another class. Precision is the share of the predicted outline that has true
    outline of its class within the tolerance, recall the share of the true one that has predicted outline; F their harmonic
    mean. The tolerance is a share of the image's diagonal rounded up to whole pixels, as in DAVIS (Perazzi et al. 2016,
    section 4). Outlines of all images are counted together, where the paper takes the mean over images: counts can be added.

    >>> import torch
    >>> mask = torch.zeros(30, 40, dtype=torch.uint8)
    >>> mask[10:20, 10:20] = 1
    >>> metric = BoundaryScore(["ground", "cell"])  # 1 pixel off is within 0.75 % of 50 pixels, rounded up
    >>> metric.update([SegmentationPrediction(mask.roll(1, 0), torch.ones(30, 40))], [SegmentationTarget(mask)])
    >>> metric.compute()["boundary_f"]
    1.0
    """

    def __init__(self, class_names: Sequence[str], tolerance: float = TOLERANCE) -> None:
        self.class_names = tuple(class_names)
        self.tolerance = tolerance
        self.reset()

    def reset(self) -> None:
        """See `Metric`."""
        # Of each class: pixels of the predicted outline, those of them near the true one; the same the other way round.
        self._counts = np.zeros((len(self.class_names), 4), dtype=np.int64)
        self._images = np.zeros(1, dtype=np.int64)

    def update(self, predictions: Sequence[SegmentationPrediction], targets: Sequence[SegmentationTarget]) -> None:
        """See `Metric`. Also raises `ValueError` for masks of another size and for classes outside 0..K-1."""
        for predicted, true in masks_of(predictions, targets, len(self.class_names)):
            distance = math.ceil(self.tolerance * math.hypot(*true.shape))
            found, there = outlines(predicted), outlines(true)
            parts = (
                found[found != IGNORED],
                near(found, there, distance),
                there[there != IGNORED],
                near(there, found, distance),
            )
            self._counts += np.stack([np.bincount(part, minlength=len(self.class_names)) for part in parts], axis=1)
            self._images += 1

    def compute(self) -> dict[str, Any]:
        """`boundary_f`, `boundary_per_class` and `images`.

        `boundary_f` is the mean over the classes with an outline, there or predicted; with two classes that of the second,
        the foreground. A class without an outline has None.
        """
        rows = [_f(*counts) for counts in self._counts.tolist()]
        return {
            "boundary_f": rows[1] if len(rows) == 2 else mean_of(rows),
            "boundary_per_class": [
                {"name": name, "boundary_f": row} for name, row in zip(self.class_names, rows, strict=True)
            ],
            "images": int(self._images[0]),
        }

    def state(self) -> State:
        """See `Metric`."""
        return {"counts": self._counts.copy(), "images": self._images.copy()}

    def add_state(self, state: State) -> None:
        """See `Metric`."""
        add_counts(self._counts, state["counts"])
        add_counts(self._images, state["images"])


def _f(predicted: int, hits: int, true: int, found: int) -> float | None:
    if not predicted and not true:
        return None
    if not hits or not found:
        return 0.0
    precision, recall = hits / predicted, found / true
    return 2 * precision * recall / (precision + recall)
