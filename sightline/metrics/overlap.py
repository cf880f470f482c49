"""How far predicted and true pixels of each class overlap: IoU, Dice, precision and recall. Shape letters: `K` classes, `H W` pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.metric import Metric, State, add_counts, masks_of
from sightline.structures import IGNORED, SegmentationPrediction, SegmentationTarget


def pixel_confusion(predicted: NDArray[np.uint8], true: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    """(K, K) counts of pixels: row = true class, column = predicted class.

    `predicted` and `true` are (H, W), 0..K-1; where `true` is `IGNORED` nothing is counted.

    >>> pixel_confusion(np.array([[0, 1, 1]], np.uint8), np.array([[0, 0, 255]], np.uint8), num_classes=2).tolist()
    [[1, 1], [0, 0]]
    """
    known = true != IGNORED
    cells = true[known].astype(np.int64) * num_classes + predicted[known]
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def overlaps(matrix: NDArray[np.int64]) -> list[dict[str, float | int | None]]:
    """For each of the K classes its IoU and its Dice, 0..1, and the number of its `pixels` in truth.

    Both are None for a class that is neither there nor predicted: there was nothing to be right or wrong about. One that is
    predicted and nowhere there has 0.

    >>> overlaps(np.array([[2, 1, 0], [0, 1, 0], [0, 0, 0]]))[1:]
    [{'iou': 0.5, 'dice': 0.666..., 'pixels': 1}, {'iou': None, 'dice': None, 'pixels': 0}]
    """
    rows: list[dict[str, float | int | None]] = []
    for hits, there, predicted in zip(
        matrix.diagonal().tolist(), matrix.sum(axis=1).tolist(), matrix.sum(axis=0).tolist(), strict=True
    ):
        both = there + predicted
        iou, dice = (hits / (both - hits), 2 * hits / both) if both else (None, None)
        rows.append({"iou": iou, "dice": dice, "pixels": there})
    return rows


class Overlap(Metric[SegmentationPrediction, SegmentationTarget]):
    """Overlap of predicted and true pixels, of all images together: every pixel counts alike, whatever image it is from.

    >>> import torch
    >>> mask = torch.tensor([[0, 1, 1, 255]], dtype=torch.uint8)
    >>> metric = Overlap(["ground", "cell"])
    >>> labels = torch.tensor([[0, 0, 1, 1]], dtype=torch.uint8)
    >>> metric.update([SegmentationPrediction(labels, torch.ones(1, 4))], [SegmentationTarget(mask)])
    >>> metric.compute()["mIoU"], metric.compute()["recall"]
    (0.5, 0.5)
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self.reset()

    def reset(self) -> None:
        """See `Metric`."""
        self._matrix = np.zeros((len(self.class_names), len(self.class_names)), dtype=np.int64)
        self._images = np.zeros(1, dtype=np.int64)

    def update(self, predictions: Sequence[SegmentationPrediction], targets: Sequence[SegmentationTarget]) -> None:
        """See `Metric`. Also raises `ValueError` for masks of another size and for classes outside 0..K-1."""
        classes = len(self.class_names)
        for predicted, true in masks_of(predictions, targets, classes):
            self._matrix += pixel_confusion(predicted, true, classes)
            self._images += 1

    def compute(self) -> dict[str, Any]:
        """`mIoU`, `dice`, `pixel_accuracy`, `per_class`, with two classes `precision` and `recall`, and `images`.

        `mIoU` is the mean over the classes that are there or predicted; so is `dice`, except that with two classes it is
        that of the second, the foreground, as are `precision` (None if no foreground is there or predicted) and `recall`
        (None if none is there).
        """
        rows = overlaps(self._matrix)
        pixels = int(self._matrix.sum())
        result: dict[str, Any] = {
            "mIoU": mean_of([row["iou"] for row in rows]),
            "dice": rows[1]["dice"] if len(rows) == 2 else mean_of([row["dice"] for row in rows]),
            "pixel_accuracy": int(self._matrix.trace()) / pixels if pixels else None,
        }
        if len(rows) == 2:
            (_, false_alarms), (missed, hits) = self._matrix.tolist()
            if hits + missed + false_alarms:
                result["precision"] = hits / (hits + false_alarms) if hits + false_alarms else 0.0
            else:
                result["precision"] = None
            result["recall"] = hits / (hits + missed) if hits + missed else None
        result["per_class"] = [{"name": name, **row} for name, row in zip(self.class_names, rows, strict=True)]
        result["images"] = int(self._images[0])
        return result

    def state(self) -> State:
        """See `Metric`."""
        return {"matrix": self._matrix.copy(), "images": self._images.copy()}

    def add_state(self, state: State) -> None:
        """See `Metric`."""
        add_counts(self._matrix, state["matrix"])
        add_counts(self._images, state["images"])


def mean_of(values: Sequence[float | int | None]) -> float | None:
    """The mean of what is a number; None if nothing is.

    >>> mean_of([1.0, None, 0.5])
    0.75
    """
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else None
