"""What happens to a picture and the boxes on it between the decoder and a detector: both together, on uint8 tensors.

Training draws from torch's default generator, which `sightline.data.dataset.Samples` seeds for each sample. A picture is
resized by its shorter side, with a limit on the longer one (Ren et al. 2015, arXiv:1506.01497, section 3.3), and is not cut
for evaluation. Resizing is bilinear with antialiasing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from sightline.errors import ConfigError
from sightline.ops.boxes import area, clip
from sightline.structures import DetectionTarget, WholePicture

BoxTransform = Callable[[Tensor, DetectionTarget], tuple[Tensor, DetectionTarget]]

_TRIES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxAugmentation:
    """How training pictures with boxes on them are varied.

    Raises `ConfigError` for values out of range.
    """

    mirror: float = 0.5
    """Probability of a horizontal mirroring, 0..1."""
    flip: float = 0.0
    """Probability of turning the picture upside down, 0..1: for pictures without an up, such as from a microscope."""
    scale: tuple[float, float] = (0.8, 1.25)
    """Smallest and largest factor on the side that pictures are resized to."""
    crop: float = 0.5
    """Probability that a part of the picture is cut out, 0..1; objects whose centre is cut away are left out of it."""
    crop_side: float = 0.5
    """Shortest side of that part, as a share of the picture's, 0..1."""
    color_jitter: float = 0.2
    """Strength 0..1 of changes of brightness, contrast and saturation; the hue by a quarter of it."""

    def __post_init__(self) -> None:
        for name in ("mirror", "flip", "crop", "crop_side", "color_jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"boxes.{name}: expected 0..1, got {getattr(self, name)}.")
        if not (len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1]):
            raise ConfigError(f"boxes.scale: expected two factors, 0 < smallest <= largest, got {list(self.scale)}.")


def train_boxes(augmentation: BoxAugmentation, shape: WholePicture) -> BoxTransform:
    """A random function from a picture (3, H, W) uint8 and its objects to a resized picture and those still on it.

    >>> resize = train_boxes(BoxAugmentation(scale=(1, 1), crop=0), WholePicture(shorter=20, longer=100))
    >>> target = DetectionTarget.of(torch.tensor([[0.0, 0.0, 20.0, 40.0]]), torch.tensor([0]))
    >>> image, target = resize(torch.zeros(3, 40, 60, dtype=torch.uint8), target)
    >>> image.shape, target.areas
    (torch.Size([3, 20, 30]), tensor([200.]))
    """
    strength = augmentation.color_jitter
    jitter = v2.ColorJitter(strength, strength, strength, strength / 4) if strength else None
    low, high = augmentation.scale

    def transform(image: Tensor, target: DetectionTarget) -> tuple[Tensor, DetectionTarget]:
        if _chance(augmentation.crop):
            image, target = _cropped(image, target, augmentation.crop_side)
        if _chance(augmentation.mirror):
            image, target = _mirrored(image, target, axis=0)
        if _chance(augmentation.flip):
            image, target = _mirrored(image, target, axis=1)
        image, target = _resized(image, target, shape, low + (high - low) * float(torch.rand(())))
        return (image if jitter is None else jitter(image)), target

    return transform


def eval_boxes(shape: WholePicture) -> BoxTransform:
    """The picture resized; the objects stay where they were in the picture as it was, where figures are computed."""

    def transform(image: Tensor, target: DetectionTarget) -> tuple[Tensor, DetectionTarget]:
        return resize_whole(image, shape), target

    return transform


def resize_whole(image: Tensor, shape: WholePicture, factor: float = 1.0) -> Tensor:
    """A picture (3, H, W) uint8 in the size that `resized_size` says."""
    size = resized_size((image.shape[1], image.shape[2]), shape, factor)
    resized: Tensor = F.resize(image, list(size), antialias=True)
    return resized


def resized_size(size: tuple[int, int], shape: WholePicture, factor: float = 1.0) -> tuple[int, int]:
    """Height and width of a picture of `size` (height, width) once it is resized.

    >>> resized_size((480, 640), WholePicture(shorter=800, longer=1000))
    (750, 1000)
    """
    shorter, longer = min(size), max(size)
    scale = min(shape.shorter * factor / shorter, shape.longer * factor / longer)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resized(
    image: Tensor, target: DetectionTarget, shape: WholePicture, factor: float
) -> tuple[Tensor, DetectionTarget]:
    resized = resize_whole(image, shape, factor)
    scales = torch.tensor(resized.shape[:0:-1]) / torch.tensor(image.shape[:0:-1])  # of widths, of heights
    return resized, _with_boxes(target, target.boxes * scales.repeat(2), target.areas * scales.prod())


def _cropped(image: Tensor, target: DetectionTarget, shortest: float) -> tuple[Tensor, DetectionTarget]:
    """A random part that keeps an object, if there was one; the whole picture when none was found in a few tries."""
    height, width = image.shape[1:]
    for _ in range(_TRIES):
        part = shortest + (1 - shortest) * torch.rand(2)
        h, w = max(1, int(height * part[0])), max(1, int(width * part[1]))
        top, left = (int(torch.randint(room + 1, ())) for room in (height - h, width - w))
        moved = target.boxes - torch.tensor([left, top, left, top], dtype=torch.float32)
        centres = (moved[:, :2] + moved[:, 2:]) / 2
        inside = ((centres > 0) & (centres < torch.tensor([w, h]))).all(dim=1)
        if inside.any() or not len(inside):
            # Objects whose centre is outside become boxes without an area, which are left out.
            boxes = torch.where(inside[:, None], clip(moved, torch.tensor([h, w])), 0.0)
            areas = target.areas * area(boxes) / area(target.boxes)
            return image[:, top : top + h, left : left + w], _with_boxes(target, boxes, areas)
    return image, target


def _mirrored(image: Tensor, target: DetectionTarget, axis: int) -> tuple[Tensor, DetectionTarget]:
    """Along x (axis 0) or y (1)."""
    boxes = target.boxes.clone()
    boxes[:, [axis, axis + 2]] = image.shape[2 - axis] - target.boxes[:, [axis + 2, axis]]
    return image.flip(2 - axis), _with_boxes(target, boxes, target.areas)


def _with_boxes(target: DetectionTarget, boxes: Tensor, areas: Tensor) -> DetectionTarget:
    """The same objects elsewhere; those that have shrunk to nothing are left out, for they cannot be learned."""
    rows = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return DetectionTarget(
        boxes=boxes[rows],
        labels=target.labels[rows],
        crowd=target.crowd[rows],
        difficult=target.difficult[rows],
        areas=areas[rows],
    )


def _chance(probability: float) -> bool:
    return bool(probability) and float(torch.rand(())) < probability
