"""Top-1 and top-5 accuracy. Shape letters: `N` images, `K` classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.metrics.metric import Metric, State, add_counts, check_pairs, labels_of
from sightline.structures import ClassificationPrediction, ClassificationTarget


def ranks(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The place of the true class among all classes by probability, 0 for the most probable; (N,) int64.

    `probabilities` (N, K), `labels` (N,) in 0..K-1. Of equally probable classes the one with the lower label comes
    first, so the answer does not depend on the machine. Where the probability is not a number the place is K: no hit.

    >>> ranks(torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]), torch.tensor([2, 1]))
    tensor([1, 1])
    """
    true = probabilities.gather(1, labels[:, None])  # (N, 1)
    lower = torch.arange(probabilities.shape[1], device=labels.device) < labels[:, None]  # (N, K)
    before = ~(probabilities <= true) | ((probabilities == true) & lower)  # "not <=" is true beside NaN
    return before.sum(dim=1)


def top_k_hits(probabilities: Tensor, labels: Tensor, k: int) -> int:
    """How many of the N images have their true class among the `k` most probable; with `k` >= K all of them.

    >>> top_k_hits(torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]), torch.tensor([2, 1]), k=2)
    2
    """
    return int((ranks(probabilities, labels) < k).sum())


class Accuracy(Metric[ClassificationPrediction, ClassificationTarget]):
    """Shares of images, 0..1, whose true class is the most probable one, or among the five most probable.

    With fewer than five classes `top5` is 1 by definition. Without images both are None.

    >>> metric = Accuracy()
    >>> metric.update([ClassificationPrediction(torch.tensor([0.2, 0.8]))], [ClassificationTarget(0)])
    >>> metric.compute()
    {'top1': 0.0, 'top5': 1.0, 'images': 1}
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """See `Metric`."""
        self._counts = np.zeros(3, dtype=np.int64)  # top-1 hits, top-5 hits, images

    def update(self, predictions: Sequence[ClassificationPrediction], targets: Sequence[ClassificationTarget]) -> None:
        """See `Metric`."""
        check_pairs(predictions, targets)
        if not predictions:
            return
        probabilities = torch.stack([prediction.probabilities for prediction in predictions])
        places = ranks(probabilities, labels_of(targets, probabilities.shape[1]))
        self._counts += np.array([int((places < 1).sum()), int((places < 5).sum()), len(places)])

    def compute(self) -> dict[str, Any]:
        """`top1`, `top5` and `images`."""
        first, fifth, images = self._counts.tolist()
        return {
            "top1": first / images if images else None,
            "top5": fifth / images if images else None,
            "images": images,
        }

    def state(self) -> State:
        """See `Metric`."""
        return {"counts": self._counts.copy()}

    def add_state(self, state: State) -> None:
        """See `Metric`."""
        add_counts(self._counts, state["counts"])
