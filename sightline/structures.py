"""The words that all rooms share: small frozen values, checked when they are made.

Shape letters: `N` batch, `V` views of one image (1, or 10 with ten-crop), `C` channels, `H W` pixels, `K` classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """How a picture becomes the network's input. It travels with the weights, so no one repeats it by hand.

    Raises `ValueError` for sizes below 1, a crop larger than the resized picture, or a standard deviation of 0.

    >>> Preprocessing(resize=256, crop=224).crop
    224
    """

    resize: int
    """Length of the shorter side after resizing, in pixels (bilinear, antialiased)."""
    crop: int
    """Side of the square cut from the centre, in pixels. Not larger than `resize`."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean of R, G, B for values in 0..1."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Standard deviation of R, G, B for values in 0..1."""

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize:
            raise ValueError(f"expected 1 <= crop <= resize, got crop {self.crop} and resize {self.resize}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"expected three means and three positive deviations, got {self.mean} and {self.std}")


@dataclass(frozen=True, slots=True)
class ClassificationTarget:
    """The true class of an image; with mixup or cutmix a second class has the share that the first leaves.

    >>> ClassificationTarget(3).share
    1.0
    """

    label: int
    """0..K-1."""
    second_label: int | None = None
    """0..K-1, only with mixup or cutmix."""
    share: float = 1.0
    """Weight of `label`, 0..1; `second_label` has 1 - share."""

    def __post_init__(self) -> None:
        if self.label < 0 or (self.second_label is not None and self.second_label < 0):
            raise ValueError(f"labels are 0..K-1, got {self.label} and {self.second_label}")
        if not 0.0 <= self.share <= 1.0 or (self.second_label is None and self.share != 1.0):
            raise ValueError(f"share is within 0..1, and 1 without a second label; got {self.share}")


@dataclass(frozen=True, slots=True)
class ClassificationPrediction:
    """What a classifier says of one image.

    >>> ClassificationPrediction(torch.tensor([0.2, 0.7, 0.1])).top(2)
    [(1, 0.699...), (0, 0.200...)]
    """

    probabilities: Tensor
    """(K,) float32 on the CPU, sums to 1."""

    def __post_init__(self) -> None:
        if self.probabilities.ndim != 1 or self.probabilities.dtype != torch.float32:
            raise ValueError(
                f"expected (K,) float32 probabilities, got {tuple(self.probabilities.shape)} {self.probabilities.dtype}"
            )

    @property
    def label(self) -> int:
        """The most probable class, 0..K-1."""
        return int(self.probabilities.argmax())

    @property
    def score(self) -> float:
        """The probability of that class, 0..1."""
        return float(self.probabilities.max())

    def top(self, k: int = 5) -> list[tuple[int, float]]:
        """The `k` most probable (label, probability), best first; fewer when there are fewer classes."""
        values, labels = self.probabilities.topk(min(k, len(self.probabilities)))
        return list(zip(labels.tolist(), values.tolist(), strict=True))


# Detection and segmentation add theirs to these unions.
Target = ClassificationTarget
Prediction = ClassificationPrediction


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a data set, ready to be collated."""

    image: Tensor
    """(3, H, W) uint8 RGB, or (V, 3, H, W) with several views."""
    target: Target
    index: int
    """Position in the data set's index."""

    def __post_init__(self) -> None:
        if self.image.dtype != torch.uint8 or self.image.ndim not in (3, 4) or self.image.shape[-3] != 3:
            raise ValueError(
                f"expected a (3, H, W) or (V, 3, H, W) uint8 image, got {tuple(self.image.shape)} {self.image.dtype}"
            )


@dataclass(frozen=True, slots=True)
class Batch:
    """Several samples of one size. Images stay uint8 until they are on the device; `Preprocessing` makes them float there."""

    images: Tensor
    """(N, 3, H, W), or (N, V, 3, H, W) with several views: uint8 from the loader, normalised float for the network."""
    targets: Sequence[Target]
    indices: Sequence[int]
    """Position of each sample in the data set's index."""

    def __post_init__(self) -> None:
        if self.images.ndim not in (4, 5) or not len(self.images) == len(self.targets) == len(self.indices):
            raise ValueError(
                f"expected as many images as targets and indices, got {tuple(self.images.shape)}, "
                f"{len(self.targets)} and {len(self.indices)}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from where it is copied to a GPU while the GPU computes."""
        return Batch(self.images.pin_memory(), self.targets, self.indices)
