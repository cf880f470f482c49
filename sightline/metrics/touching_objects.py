"""Objects that were taken for one, and objects that fell apart. Shape letters: `H W` pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.metric import Metric, State, add_counts, masks_of
from sightline.structures import SegmentationPrediction, SegmentationTarget

ENOUGH = 0.1
"""Share of an object's pixels that a predicted piece must have to count: specks and a shared edge do not."""


def merged_and_split(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[int, int, int]:
    """How many objects `true` (H, W) has, how many of them `predicted` (H, W) has merged with others, how many it has split.

    An object is what hangs together by the sides of pixels; so is a predicted piece. A piece holds an object if it has a
    tenth of its pixels at least. An object is merged if a piece that holds it holds another one too, and split if several
    pieces hold it; it may be both.

    >>> merged_and_split(np.array([[1, 1, 1, 0, 1]], np.bool_), np.array([[1, 0, 1, 1, 1]], np.bool_))
    (2, 2, 1)
    """
    from scipy.ndimage import label  # takes long to import

    objects, count = label(true)
    pieces, most = label(predicted)
    sizes = np.bincount(objects.ravel(), minlength=count + 1)
    both = true & predicted
    pairs, shared = np.unique(objects[both].astype(np.int64) * (most + 1) + pieces[both], return_counts=True)
    of_object, of_piece = np.divmod(pairs, most + 1)
    holds = shared >= ENOUGH * sizes[of_object]
    of_object, of_piece = of_object[holds], of_piece[holds]
    held = np.bincount(of_piece, minlength=most + 1)  # objects a piece
    merged = np.unique(of_object[held[of_piece] > 1])
    split = np.bincount(of_object, minlength=count + 1) > 1
    return count, len(merged), int(split.sum())


class TouchingObjects(Metric[SegmentationPrediction, SegmentationTarget]):
    """How many objects there are, and how many were merged or split; for masks of background 0 and foreground 1.

    >>> import torch
    >>> mask = torch.tensor([[1, 0, 1]], dtype=torch.uint8)
    >>> metric = TouchingObjects()
    >>> metric.update([SegmentationPrediction(torch.ones_like(mask), torch.ones(1, 3))], [SegmentationTarget(mask)])
    >>> metric.compute()
    {'objects': 2, 'merged_objects': 2, 'split_objects': 0, 'images': 1}
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """See `Metric`."""
        self._counts = np.zeros(4, dtype=np.int64)  # objects, merged, split, images

    def update(self, predictions: Sequence[SegmentationPrediction], targets: Sequence[SegmentationTarget]) -> None:
        """See `Metric`. Also raises `ValueError` for masks of another size and for classes other than 0 and 1."""
        for predicted, true in masks_of(predictions, targets, num_classes=2):
            self._counts += np.array([*merged_and_split(predicted == 1, true == 1), 1])

    def compute(self) -> dict[str, Any]:
        """`objects`, how many of them are `merged_objects` and `split_objects`, see `merged_and_split`; `images`."""
        return dict(zip(("objects", "merged_objects", "split_objects", "images"), self._counts.tolist(), strict=True))

    def state(self) -> State:
        """See `Metric`."""
        return {"counts": self._counts.copy()}

    def add_state(self, state: State) -> None:
        """See `Metric`."""
        add_counts(self._counts, state["counts"])
