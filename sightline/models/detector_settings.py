"""The numbers of Faster R-CNN: Ren et al. 2015 (arXiv:1506.01497), section 3.3, and Girshick 2015 (arXiv:1504.08083), section 2.

Defaults are those of today's published detectors; the papers' are named where they differ.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposing:
    """How regions are proposed (sections 3.1 and 3.3). Defaults are today's; the paper's are named where they differ."""

    sizes: tuple[tuple[float, ...], ...] | None = None
    """Sides of the reference boxes of each level, in pixels. Not given: eight strides on each level of a pyramid, and
    the paper's 128, 256, 512 on a single map."""
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
    candidates: tuple[int, int] = (2000, 1000)
    """Best boxes of a level that are looked at, in training and in use. The paper: (12000, 6000)."""
    proposals: tuple[int, int] = (2000, 1000)
    """Regions of an image that are handed on, in training and in use. The paper: (2000, 300)."""
    nms_iou: float = 0.7
    """Of two proposals that overlap more, the better one stays."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judging:
    """How proposed regions are judged (Girshick 2015, section 2). Defaults are today's."""

    pooling: Literal["align", "pool"] = "align"
    """RoIAlign, or the paper's RoIPool (on a single map only)."""
    positive_iou: float = 0.5
    """A region is an object's from this overlap on."""
    background_iou: tuple[float, float] = (0.0, 0.5)
    """It is background within this overlap, from and below. Girshick 2015: (0.1, 0.5)."""
    samples: int = 512
    """Regions of an image that teach. The paper: 128."""
    positive_share: float = 0.25
    """Largest share of positive ones among them."""
    score_threshold: float = 0.05
    """Detections with a lower probability are not given."""
    nms_iou: float = 0.5
    """Of two detections of one class that overlap more, the better one stays. The paper: 0.3."""
    detections: int = 100
    """Most detections an image."""
