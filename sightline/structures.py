"""The words that all rooms share: small frozen values, checked when they are made.

Shape letters: `N` batch, `V` views of one image (1, or 10 with ten-crop), `C` channels, `H W` pixels, `K` classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

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
        _check_colours(self.mean, self.std)


@dataclass(frozen=True, kw_only=True, slots=True)
class WholePicture:
    """How a picture becomes a detector's input: nothing is cut off. It travels with the weights.

    Raises `ValueError` for sizes below 1, a limit below the side, or a standard deviation of 0.
    """

    shorter: int
    """Length of the shorter side after resizing, in pixels (bilinear, antialiased)."""
    longer: int
    """Most length of the longer side; it makes the shorter one smaller where it must."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean of R, G, B for values in 0..1."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Standard deviation of R, G, B for values in 0..1."""

    def __post_init__(self) -> None:
        if not 1 <= self.shorter <= self.longer:
            raise ValueError(f"expected 1 <= shorter <= longer, got {self.shorter} and {self.longer}")
        _check_colours(self.mean, self.std)


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """How a picture becomes a segmenter's input: in its own pixels, whole, or where it is large in overlapping windows.

    Raises `ValueError` for a side below 1 or a standard deviation of 0.
    """

    side: int
    """Side of the windows that training cuts out, in pixels."""
    stretch: bool = False
    """Whether each picture is stretched to the whole range of brightness first, see `sightline.ops.images.stretched`."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean of R, G, B for values in 0..1."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Standard deviation of R, G, B for values in 0..1."""

    def __post_init__(self) -> None:
        if self.side < 1:
            raise ValueError(f"expected a side of 1 pixel or more, got {self.side}")
        _check_colours(self.mean, self.std)


def _check_colours(mean: Sequence[float], std: Sequence[float]) -> None:
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"expected three means and three positive deviations, got {mean} and {std}")


Shape = Preprocessing | WholePicture | Windows
"""What travels with the weights: how any picture becomes the network's input."""


def read_shape(values: Mapping[str, Any]) -> Shape:
    """Which of them it was, from the table that `dataclasses.asdict` and JSON made of it.

    Raises `KeyError`, `TypeError` or `ValueError` when it is neither.

    >>> read_shape({"shorter": 240, "longer": 400, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}).longer
    400
    """
    mean, std = tuple(values["mean"]), tuple(values["std"])
    if "shorter" in values:
        return WholePicture(shorter=values["shorter"], longer=values["longer"], mean=mean, std=std)
    if "side" in values:
        return Windows(side=values["side"], stretch=values.get("stretch", False), mean=mean, std=std)
    return Preprocessing(resize=values["resize"], crop=values["crop"], mean=mean, std=std)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionTarget:
    """The objects in an image, n of them; none is allowed.

    Raises `ValueError` for columns of unequal length and for boxes without an area.

    >>> DetectionTarget.of(torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([1])).areas
    tensor([8.])
    """

    boxes: Tensor
    """(n, 4) float32: left, top, right, bottom in the image's pixels."""
    labels: Tensor
    """(n,) int64, 0..K-1. Background is no label: it exists inside the detector only."""
    crowd: Tensor
    """(n,) bool: a box around many objects. What is found inside is neither right nor wrong."""
    difficult: Tensor
    """(n,) bool: finding the object is not asked for (VOC)."""
    areas: Tensor
    """(n,) float32: area of the object in pixels (of its outline where known), for figures by size."""

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.boxes.shape != (count, 4) or {len(self.crowd), len(self.difficult), len(self.areas)} != {count}:
            raise ValueError(f"expected {count} boxes, (n, 4), and as many flags; got {tuple(self.boxes.shape)}")
        if count and not bool((self.boxes[:, 2:] > self.boxes[:, :2]).all()):
            raise ValueError("a box has no area: its right and bottom must be beyond its left and top")

    @classmethod
    def of(cls, boxes: Tensor, labels: Tensor) -> "DetectionTarget":
        """Objects that are neither crowds nor difficult; their areas are those of their boxes."""
        no = torch.zeros(len(labels), dtype=torch.bool)
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return cls(boxes=boxes, labels=labels, crowd=no, difficult=no, areas=areas)


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionPrediction:
    """What a detector found in one image, m objects, best first. Everything is on the CPU."""

    boxes: Tensor
    """(m, 4) float32: left, top, right, bottom in the pixels of the picture as it was given."""
    scores: Tensor
    """(m,) float32, 0..1, falling."""
    labels: Tensor
    """(m,) int64, 0..K-1."""

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.boxes.shape != (count, 4) or self.scores.shape != (count,):
            raise ValueError(
                f"expected {count} boxes and scores, got {tuple(self.boxes.shape)} and {tuple(self.scores.shape)}"
            )


IGNORED = 255
"""In masks: a pixel whose class is not known. It is neither learned nor measured."""


@dataclass(frozen=True, slots=True)
class SegmentationTarget:
    """The true class of each pixel of an image.

    Raises `ValueError` for a mask of another shape or type.
    """

    mask: Tensor
    """(H, W) uint8, 0..K-1, or `IGNORED`."""
    closeness: Tensor | None = None
    """(H, W) uint8, only where the loss asks: 255 where two objects touch, less the farther they are, 0 in them; see
    `sightline.data.touching`."""

    def __post_init__(self) -> None:
        if self.mask.ndim != 2 or self.mask.dtype != torch.uint8:
            raise ValueError(f"expected an (H, W) uint8 mask, got {tuple(self.mask.shape)} {self.mask.dtype}")
        if self.closeness is not None and (self.closeness.shape, self.closeness.dtype) != (
            self.mask.shape,
            torch.uint8,
        ):
            raise ValueError(
                f"expected closeness for a mask of {tuple(self.mask.shape)}, got {tuple(self.closeness.shape)}"
            )


@dataclass(frozen=True, slots=True)
class SegmentationPrediction:
    """What a segmenter says of each pixel of one image, in the size of the image as it was given. Everything is on the CPU."""

    labels: Tensor
    """(H, W) uint8, 0..K-1, the most probable class."""
    scores: Tensor
    """(H, W) float32, 0..1, its probability."""

    def __post_init__(self) -> None:
        if self.labels.ndim != 2 or self.labels.dtype != torch.uint8 or self.scores.shape != self.labels.shape:
            raise ValueError(
                f"expected (H, W) uint8 labels and as many scores, got {tuple(self.labels.shape)} {self.labels.dtype} "
                f"and {tuple(self.scores.shape)}"
            )


Target = ClassificationTarget | DetectionTarget | SegmentationTarget
Prediction = ClassificationPrediction | DetectionPrediction | SegmentationPrediction


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of a data set, ready to be collated."""

    image: Tensor
    """(3, H, W) uint8 RGB, or (V, 3, H, W) with several views."""
    target: Target
    index: int
    """Position in the data set's index."""
    original_size: tuple[int, int] | None = None
    """Height and width of the picture before it was resized, where predictions go back to it; a detector's do."""
    seed: int | None = None
    """For what the network draws at random for this picture, in training, where it draws for each picture by itself."""

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
    sizes: Tensor | None = None
    """(N, 2) int64, height and width of each picture in its image, whose right and bottom are padding; None without padding."""
    original_sizes: Tensor | None = None
    """(N, 2) int64, height and width of each picture before it was resized; None where nothing goes back to it."""
    seeds: Sequence[int] | None = None
    """For what the network draws at random for each picture."""

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
        return replace(self, images=self.images.pin_memory())

    def part(self, start: int, stop: int) -> "Batch":
        """The samples `start`, ..., `stop` - 1."""
        rows = slice(start, stop)
        return Batch(
            self.images[rows],
            self.targets[rows],
            self.indices[rows],
            None if self.sizes is None else self.sizes[rows],
            None if self.original_sizes is None else self.original_sizes[rows],
            None if self.seeds is None else self.seeds[rows],
        )
