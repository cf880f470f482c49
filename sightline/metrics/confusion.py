"""The confusion matrix, and precision, recall and F1 of each class. Shape letters: `N` images, `K` classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.metric import Metric, State, add_counts, check_pairs, labels_of
from sightline.structures import ClassificationPrediction, ClassificationTarget


def confusion_matrix(predicted: Sequence[int], true: Sequence[int], num_classes: int) -> NDArray[np.int64]:
    """(K, K) counts: row = true class, column = predicted class.

    `predicted` and `true` are N labels in 0..K-1. Raises `IndexError` for a label outside.

    >>> confusion_matrix(predicted=[0, 1, 1], true=[0, 0, 1], num_classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    rows, columns = np.asarray(true, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if len(rows) and min(rows.min(), columns.min()) < 0:
        raise IndexError("labels are 0..K-1, got a negative one")
    np.add.at(matrix, (rows, columns), 1)
    return matrix


def per_class_scores(matrix: NDArray[np.int64]) -> list[dict[str, float | int | None]]:
    """For each of the K classes: precision, recall and F1, 0..1, and the number of its images.

    All three are None for a class without images: nothing was measured. A class that has images but was never predicted
    has precision 0, as scikit-learn has it.

    >>> per_class_scores(np.array([[1, 1], [0, 0]]))
    [{'precision': 1.0, 'recall': 0.5, 'f1': 0.666..., 'images': 2},
     {'precision': None, 'recall': None, 'f1': None, 'images': 0}]
    """
    scores: list[dict[str, float | int | None]] = []
    for hits, images, predicted in zip(
        matrix.diagonal().tolist(), matrix.sum(axis=1).tolist(), matrix.sum(axis=0).tolist(), strict=True
    ):
        if images:
            precision = hits / predicted if predicted else 0.0
            f1 = 2 * hits / (images + predicted)  # the harmonic mean of the other two
            scores.append({"precision": precision, "recall": hits / images, "f1": f1, "images": images})
        else:
            scores.append({"precision": None, "recall": None, "f1": None, "images": 0})
    return scores


def macro_scores(scores: Sequence[dict[str, float | int | None]]) -> dict[str, float | int | None]:
    """Means over the classes that have images, each class with the same weight, and how many `classes` those are.

    >>> macro_scores(per_class_scores(np.array([[1, 1], [0, 0]])))
    {'precision': 1.0, 'recall': 0.5, 'f1': 0.666..., 'classes': 1}
    """
    means: dict[str, float | int | None] = {}
    for name in ("precision", "recall", "f1"):
        values = [value for score in scores if (value := score[name]) is not None]
        means[name] = sum(values) / len(values) if values else None
    means["classes"] = sum(1 for score in scores if score["images"])
    return means


class Confusion(Metric[ClassificationPrediction, ClassificationTarget]):
    """Which class is taken for which, and what that means for each.

    >>> import torch
    >>> metric = Confusion(["cat", "dog"])
    >>> metric.update([ClassificationPrediction(torch.tensor([0.2, 0.8]))], [ClassificationTarget(0)])
    >>> metric.compute()["confusion"]
    [[0, 1], [0, 0]]
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self.reset()

    def reset(self) -> None:
        """See `Metric`."""
        self._matrix = np.zeros((len(self.class_names), len(self.class_names)), dtype=np.int64)

    def update(self, predictions: Sequence[ClassificationPrediction], targets: Sequence[ClassificationTarget]) -> None:
        """See `Metric`. Also raises `ValueError` for predictions of another number of classes."""
        check_pairs(predictions, targets)
        classes = len(self.class_names)
        for prediction in predictions:
            if len(prediction.probabilities) != classes:
                raise ValueError(f"expected probabilities of {classes} classes, got {len(prediction.probabilities)}")
        true = labels_of(targets, classes).tolist()
        self._matrix += confusion_matrix([prediction.label for prediction in predictions], true, classes)

    def compute(self) -> dict[str, Any]:
        """`confusion` (K rows: true, K columns: predicted), `per_class`, `macro` and `images`."""
        scores = per_class_scores(self._matrix)
        return {
            "confusion": self._matrix.tolist(),
            "per_class": [{"name": name, **score} for name, score in zip(self.class_names, scores, strict=True)],
            "macro": macro_scores(scores),
            "images": int(self._matrix.sum()),
        }

    def state(self) -> State:
        """See `Metric`."""
        return {"matrix": self._matrix.copy()}

    def add_state(self, state: State) -> None:
        """See `Metric`."""
        add_counts(self._matrix, state["matrix"])
