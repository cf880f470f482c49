"""The numbers of Faster R-CNN, and what goes in and comes out: Ren et al. 2015 (arXiv:1506.01497), section 3.3, and Girshick 2015
(arXiv:1504.08083), section 2.

Defaults are those of today's published detectors; the papers' are named where they differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from sightline.errors import InputError

BETA = 1 / 9  # where smooth L1 turns from a square into a line; the paper: 1
REGION_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # its authors' code divides by .1, .1, .2, .2: offsets are about 1 in size then

Pooling = Literal["align", "pool"]
Objectness = Literal["sigmoid", "softmax"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposing:
    """How regions are proposed (sections 3.1 and 3.3). Defaults are today's; the paper's are named where they differ."""

    sizes: tuple[tuple[float, ...], ...] | None = None
    """Sides of the reference boxes of each level, in pixels. Not given: `sightline train` fits them to the boxes; the network
    alone takes eight strides on each level of a pyramid, and the paper's 128, 256, 512 on a single map."""
    ratios: tuple[float, ...] = (2.0, 1.0, 0.5)
    """Width over height of the reference boxes."""
    rounded: bool = True
    """Whether the sides of the reference boxes are whole pixels, as for the published weights."""
    positive_iou: float = 0.7
    """A reference box is an object's from this overlap on; each object's best box is in any case."""
    negative_iou: float = 0.3
    """Below this overlap it is background; between the two it teaches nothing."""
    samples: int = 256
    """Reference boxes of an image that teach, half of them positive where there are so many."""
    cross_boundary: bool = True
    """Whether boxes that reach over the image's edge teach. The paper: no."""
    in_padding: bool = False
    """Whether boxes centred in the padding beside a smaller picture teach and are proposed. Published detectors: yes; what
    is learned from a picture then depends on the size of the others in its batch."""
    candidates: tuple[int, int] = (2000, 1000)
    """Best boxes of a level that are looked at, in training and in use. The authors' code: (12000, 6000)."""
    proposals: tuple[int, int] = (2000, 1000)
    """Regions of an image that are handed on, in training and in use. The paper: (2000, 300)."""
    nms_iou: float = 0.7
    """Of two proposals that overlap more, the better one stays."""
    objectness: Objectness = "sigmoid"
    """One logit a reference box, or the paper's two with a softmax over them."""

    def __post_init__(self) -> None:
        sides = () if self.sizes is None else tuple(side for level in self.sizes for side in level)
        if not self.ratios or min((*self.ratios, *sides)) <= 0 or (self.sizes is not None and not all(self.sizes)):
            raise InputError(f"Expected sizes and ratios above 0, got sizes {self.sizes} and ratios {self.ratios}.")
        _check_shares(positive_iou=self.positive_iou, negative_iou=self.negative_iou, nms_iou=self.nms_iou)
        if not 0 < self.negative_iou <= self.positive_iou:
            raise InputError(
                f"Expected 0 < negative_iou <= positive_iou, got {self.negative_iou} and {self.positive_iou}."
            )
        if self.objectness not in get_args(Objectness):
            raise InputError(f"objectness: expected 'sigmoid' or 'softmax', got {self.objectness!r}.")
        _check_counts("samples", (self.samples,), 1)
        _check_counts("candidates", self.candidates, 2)
        _check_counts("proposals", self.proposals, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judging:
    """How proposed regions are judged (Girshick 2015, section 2). Defaults are today's."""

    pooling: Pooling = "align"
    """RoIAlign, or the paper's RoIPool (on a single map only)."""
    positive_iou: float = 0.5
    """A region is an object's from this overlap on."""
    background_iou: tuple[float, float] = (0.0, 0.5)
    """It is background within this overlap, from and below. Girshick 2015: (0.1, 0.5)."""
    samples: int = 512
    """Regions of an image that teach. Girshick 2015: 128 of two images; with one image a step, the authors' code: 128."""
    positive_share: float = 0.25
    """Largest share of positive ones among them."""
    score_threshold: float = 0.05
    """Detections with a lower probability are not given."""
    nms_iou: float = 0.5
    """Of two detections of one class that overlap more, the better one stays. The authors' code: 0.3."""
    detections: int = 100
    """Most detections an image."""

    def __post_init__(self) -> None:
        if self.pooling not in get_args(Pooling):
            raise InputError(f"pooling: expected 'align' or 'pool', got {self.pooling!r}.")
        _check_shares(positive_iou=self.positive_iou, nms_iou=self.nms_iou, positive_share=self.positive_share)
        _check_shares(score_threshold=self.score_threshold)
        if not 0 <= self.background_iou[0] < self.background_iou[1] <= self.positive_iou:
            raise InputError(
                f"background_iou: expected two overlaps, 0 <= from < below <= positive_iou ({self.positive_iou}), "
                f"got {list(self.background_iou)}."
            )
        _check_counts("samples, detections", (self.samples, self.detections), 2)


@dataclass(frozen=True, slots=True)
class Objects:
    """What is to be found, padded to the image with most objects."""

    boxes: Tensor
    """(N, G, 4) in pixels."""
    labels: Tensor
    """(N, G) 0..K-1."""
    real: Tensor
    """(N, G) bool, False for padding."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the network says of a batch, before anything is chosen. `valid` says which rows count."""

    regions: Tensor
    """(N, P, 4) proposed regions, in pixels, best first; with targets those that were drawn to learn from."""
    valid: Tensor
    """(N, P) bool."""
    logits: Tensor
    """(N, P, K + 1), background first."""
    offsets: Tensor
    """(N, P, K + 1, 4) from the region to the object, for each class."""
    losses: dict[str, Tensor]
    """Four scalars with targets, nothing without."""


def default_sizes(strides: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    """Sizes of the reference boxes on maps of these strides; see `Proposing.sizes`."""
    return ((128, 256, 512),) if len(strides) == 1 else tuple((8 * stride,) for stride in strides)


def _check_counts(name: str, values: Sequence[int], count: int) -> None:
    if len(values) != count or not all(isinstance(value, int) and value >= 1 for value in values):
        raise InputError(f"{name}: expected {count} whole numbers of at least 1, got {list(values)!r}.")


def _check_shares(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise InputError(f"{name}: expected 0..1, got {value!r}.")
