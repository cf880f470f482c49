"""The contract of every metric.

The state is sums and counts, never averages: averaging averages of unequal batches is wrong, adding counts is not.
Hence states of several processes are added in any order and give the same numbers as one process that saw everything.
What has to be ranked over all images is kept as rows, which are put together in the same way.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.structures import IGNORED, ClassificationTarget, SegmentationPrediction, SegmentationTarget

P = TypeVar("P")  # what the task predicts for an image
T = TypeVar("T")  # what is true of an image
State = Mapping[str, NDArray[Any]]


class Metric(ABC, Generic[P, T]):
    """Update with predictions and targets as they come, then compute once."""

    rows: ClassVar[bool] = False
    """Whether the state is rows that are put below each other; else it is counts that are added."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything that was seen."""

    @abstractmethod
    def update(self, predictions: Sequence[P], targets: Sequence[T]) -> None:
        """Take in some images; none at all is fine. Raises `ValueError` unless there is one target a prediction."""

    @abstractmethod
    def compute(self) -> dict[str, Any]:
        """The numbers, as JSON knows them, with how many images they rest on. What nothing was seen for is None."""

    @abstractmethod
    def state(self) -> State:
        """What was counted: enough to be sent to another process and given to `add_state` there.

        Arrays by name; between processes they may differ in their first dimension alone.
        """

    @abstractmethod
    def add_state(self, state: State) -> None:
        """Count what another metric of the same kind has counted. Raises `ValueError` if the shapes do not fit."""

    def merge(self, other: Self) -> None:
        """Count what `other` has counted, as if this metric had seen its images too. `other` stays as it is."""
        if type(other) is not type(self):
            raise ValueError(f"{type(self).__name__} cannot be merged with {type(other).__name__}")
        self.add_state(other.state())


def check_pairs(predictions: Sequence[object], targets: Sequence[object]) -> None:
    """Raise `ValueError` unless there is one target a prediction."""
    if len(predictions) != len(targets):
        raise ValueError(
            f"expected one target a prediction, got {len(predictions)} predictions and {len(targets)} targets"
        )


def labels_of(targets: Sequence[ClassificationTarget], num_classes: int) -> Tensor:
    """The true classes as (N,) int64. Raises `ValueError` for a label outside 0..K-1 or a mixed image."""
    for position, target in enumerate(targets):
        if target.label >= num_classes:
            raise ValueError(f"expected labels in 0..{num_classes - 1}, got {target.label} at position {position}")
        if target.second_label is not None:
            raise ValueError(f"mixup and cutmix are for training: the target at position {position} has two classes")
    return torch.tensor([target.label for target in targets], dtype=torch.int64)


def masks_of(
    predictions: Sequence[SegmentationPrediction], targets: Sequence[SegmentationTarget], num_classes: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """The predicted and the true classes of each image, both (H, W) uint8 in 0..K-1 and both `IGNORED` where the truth is.

    Raises `ValueError` unless there is one target a prediction, of its size, and for a class outside 0..K-1.
    """
    check_pairs(predictions, targets)
    for position, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        predicted, true = prediction.labels.numpy(), target.mask.numpy()
        if predicted.shape != true.shape:
            raise ValueError(f"expected a mask of {predicted.shape} at position {position}, got one of {true.shape}")
        known = true != IGNORED
        for what, labels in (("labels", true), ("predictions", predicted)):
            highest = int(labels.max(initial=0, where=known))
            if highest >= num_classes:
                raise ValueError(f"expected {what} in 0..{num_classes - 1}, got {highest} at position {position}")
        yield np.where(known, predicted, np.uint8(IGNORED)), true


def add_counts(counts: NDArray[np.int64], others: NDArray[np.int64]) -> None:
    """Add `others` to `counts` in place. Raises `ValueError` if their shapes differ."""
    if counts.shape != others.shape:
        raise ValueError(f"expected counts of shape {counts.shape}, got {others.shape}: were the classes others?")
    counts += others
