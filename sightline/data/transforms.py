"""What happens to a picture between the decoder and the network, on uint8 tensors.

Training draws from torch's default generator, which `sightline.data.dataset.Samples` seeds for each sample.
Resizing is bilinear with antialiasing everywhere. Heavy steps are torchvision's v2 transforms; the crops of small pictures
are written out, since there the transforms' bookkeeping costs more than the pixels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from sightline.data.mixing import Mixing
from sightline.errors import ConfigError
from sightline.structures import IMAGENET_MEAN, Preprocessing

Crop = Literal["resized", "shift", "paper", "none"]
CROPS: tuple[Crop, ...] = ("resized", "shift", "paper", "none")
SLACK = 2
"""How many times larger than what the network sees a part must stay when its picture is decoded smaller. The decoder's way of shrinking
then differs from ours by less than half of what saving as a JPEG of quality 75 changes; a test says so. The part begins up to half of a
decoded pixel elsewhere, a quarter of one that is seen."""
Views = Literal[1, 10, "dense"]
"""What an evaluation shows of a picture: the centre, ten crops, or all of it; see `eval_transform`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """How training pictures are varied.

    Raises `ConfigError` for values out of range and for options that exclude each other.

    >>> Augmentation(crop="shift", mirror=1.5)
    Traceback (most recent call last):
        ...
    sightline.errors.ConfigError: mirror is within 0..1, got 1.5
    """

    crop: Crop | None = None
    """Not given: chosen from the pictures' size; `train_transform` by itself takes "resized".
    "resized": a random part, resized (Szegedy et al. 2015).
    "shift": padded by reflection by 1/8 of the side, a random square (the CIFAR crop of He et al. 2016, section 4.2).
    "paper": shorter side to 256/224 of the side, or as `scale_jitter` says, a random square (Krizhevsky et al. 2012, section 4.1).
    "none": shorter side to the side, the centre."""
    scale: tuple[float, float] = (0.08, 1.0)
    """Share of the area that "resized" keeps, smallest and largest, 0..1. Default of Szegedy et al. 2015."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Width over height of that part, smallest and largest. Default of Szegedy et al. 2015."""
    scale_jitter: tuple[float, float] = (256 / 224, 256 / 224)
    """What "paper" resizes the shorter side to, smallest and largest, in multiples of the input side, at least 1; drawn anew for
    each picture (Simonyan and Zisserman 2014, section 3.1: 256 to 512 pixels where the input has 224)."""
    mirror: float = 0.5
    """Probability of a horizontal mirroring, 0..1; 0 where left and right differ in meaning, such as for digits."""
    color_jitter: float = 0.0
    """Strength 0..1: brightness, contrast and saturation change by a factor of 1 +- this, the hue by +- a quarter of this, in
    turns of the colour circle. 0.4 is customary."""
    alexnet_color: float = 0.0
    """Standard deviation of the shift along the principal components of ImageNet's colours; 0.1 in Krizhevsky et al.
    2012, section 4.1."""
    erasing: float = 0.0
    """Probability that a random box is filled with the mean colour, 0..1 (Zhong et al. 2020: 0.5)."""
    mixup: float = 0.0
    """Alpha of mixup's Beta distribution, 0 = off (Zhang et al. 2018: 0.2 for ImageNet, 1 for CIFAR-10)."""
    start_size: float | None = None
    """Side of the pictures in the first epochs, as a share of the input side, 0..1 (progressive resizing: coarse features are
    learnt at a fraction of the cost); 1 = the whole side from the start. Chosen when not given: a half for small pictures, when a
    network that averages its whole last map learns from nothing for 20 epochs or more, else 1."""
    full_size_at: float = 1.0
    """Share of the epochs at which the side has grown to the whole, in steps of 8 pixels, 0..1; the last epoch always has it."""
    cutmix: float = 0.0
    """Alpha of cutmix's Beta distribution, 0 = off (Yun et al. 2019: 1). With mixup too, each sample has one of both."""

    def __post_init__(self) -> None:
        if self.crop is not None and self.crop not in CROPS:
            raise ConfigError(f"crop is one of {', '.join(CROPS)}, got {self.crop!r}")
        for name in ("mirror", "color_jitter", "erasing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is within 0..1, got {getattr(self, name)}")
        for name in ("alexnet_color", "mixup", "cutmix"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is at least 0, got {getattr(self, name)}")
        if not (0 < _start_share(self) <= 1 and 0 < self.full_size_at <= 1):
            raise ConfigError(
                f"start_size and full_size_at are above 0 and at most 1, got {self.start_size} and {self.full_size_at}"
            )
        if not (len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1] <= 1):
            raise ConfigError(f"scale is two shares with 0 < smallest <= largest <= 1, got {self.scale}")
        if not (len(self.scale_jitter) == 2 and 1 <= self.scale_jitter[0] <= self.scale_jitter[1] < math.inf):
            raise ConfigError(f"scale_jitter is two numbers with 1 <= smallest <= largest, got {self.scale_jitter}")
        if not (len(self.ratio) == 2 and 0 < self.ratio[0] <= self.ratio[1]):
            raise ConfigError(f"ratio is two numbers with 0 < smallest <= largest, got {self.ratio}")

    def mixing(self) -> Mixing | None:
        """What mixes two samples, or nothing."""
        return Mixing(self.mixup, self.cutmix) if self.mixup or self.cutmix else None


def train_transform(
    augmentation: Augmentation, size: int, mean: tuple[float, float, float] = IMAGENET_MEAN
) -> Callable[[Tensor], Tensor]:
    """A random function from (3, H, W) uint8 of any size to (3, size, size) uint8.

    `mean` (R, G, B in 0..1) fills what random erasing erases.

    >>> train_transform(Augmentation(), 24)(torch.zeros(3, 40, 30, dtype=torch.uint8)).shape
    torch.Size([3, 24, 24])
    """
    steps: list[Callable[[Tensor], Tensor]] = [_cropping(augmentation, size)]
    if augmentation.mirror:
        steps.append(_Mirror(augmentation.mirror))
    if augmentation.color_jitter:
        strength = augmentation.color_jitter
        steps.append(v2.ColorJitter(strength, strength, strength, strength / 4))
    if augmentation.alexnet_color:
        steps.append(_AlexNetColor(augmentation.alexnet_color))
    if augmentation.erasing:
        steps.append(v2.RandomErasing(augmentation.erasing, value=[round(255 * part) for part in mean]))
    return _Chain(steps)


def train_transforms(
    augmentation: Augmentation, size: int, epochs: int, mean: tuple[float, float, float] = IMAGENET_MEAN
) -> list[Callable[[Tensor], Tensor]]:
    """`train_transform` for each epoch, with the side that `start_size` and `full_size_at` give it.

    >>> growing = train_transforms(Augmentation(crop="shift", start_size=0.5), 32, epochs=10)
    >>> [transform(torch.zeros(3, 32, 32, dtype=torch.uint8)).shape[-1] for transform in growing]
    [16, 16, 16, 24, 24, 24, 24, 32, 32, 32]
    """
    sides = [_side(augmentation, size, epoch / (epochs - 1) if epochs > 1 else 1.0) for epoch in range(epochs)]
    made = {side: train_transform(augmentation, side, mean) for side in set(sides)}
    return [made[side] for side in sides]


def _start_share(augmentation: Augmentation) -> float:
    return 1.0 if augmentation.start_size is None else augmentation.start_size


def _side(augmentation: Augmentation, size: int, progress: float) -> int:
    start = _start_share(augmentation)
    share = start + (1 - start) * min(1.0, progress / augmentation.full_size_at)
    rounded = min(size, max(8, round(size * share / 8) * 8))
    return min(size, rounded, key=lambda side: abs(side - size * share))


def eval_transform(preprocessing: Preprocessing, crops: Views = 1) -> Callable[[Tensor], Tensor]:
    """Shorter side to `preprocessing.resize`, then the centre, ten crops, or all of it.

    From (3, H, W) uint8 to (3, crop, crop) uint8; with `crops=10` to (10, 3, crop, crop): top left, top right, bottom
    left, bottom right, centre, and the same of the mirrored picture (Krizhevsky et al. 2012, section 4.1); with
    `crops="dense"` to (2, 3, h, w): the resized picture uncropped, and mirrored (Simonyan and Zisserman 2015, section 3.2).

    >>> eval_transform(Preprocessing(resize=32, crop=28), crops=10)(torch.zeros(3, 40, 50, dtype=torch.uint8)).shape
    torch.Size([10, 3, 28, 28])
    >>> eval_transform(Preprocessing(resize=32, crop=28), crops="dense")(torch.zeros(3, 40, 50, dtype=torch.uint8)).shape
    torch.Size([2, 3, 32, 40])
    """
    if crops not in (1, 10, "dense"):
        raise ConfigError(
            f'crops is 1 (the centre), 10 (corners, centre and their mirrors) or "dense" (the whole picture), got {crops!r}'
        )
    return _Evaluation(preprocessing.resize, preprocessing.crop, crops)


def centre_box(preprocessing: Preprocessing, height: int, width: int) -> tuple[float, float, float, float]:
    """The part of a picture of that size which `eval_transform` keeps: left, top, right, bottom, in the picture's pixels.

    >>> centre_box(Preprocessing(resize=32, crop=28), height=64, width=80)
    (12.0, 4.0, 68.0, 60.0)
    """
    inner_height, inner_width = _resized(height, width, preprocessing.resize)
    top, left = _start(inner_height, preprocessing.crop), _start(inner_width, preprocessing.crop)
    down, across = height / inner_height, width / inner_width
    return left * across, top * down, (left + preprocessing.crop) * across, (top + preprocessing.crop) * down


def shorter_side(image: Tensor, size: int) -> Tensor:
    """(3, H, W) uint8 with its shorter side resized to `size` pixels, the other one in proportion, rounded down."""
    if min(image.shape[-2:]) == size:
        return image
    height, width = image.shape[-2:]
    resized: Tensor = F.resize_image(image, list(_resized(height, width, size)), antialias=True)
    return resized


def _cropping(augmentation: Augmentation, size: int) -> Callable[[Tensor], Tensor]:
    match augmentation.crop:
        case "resized" | None:
            return _ResizedCrop(size, augmentation.scale, augmentation.ratio)
        case "shift":
            return _ShiftCrop(size, (size, size), pad=size // 8)
        case "paper":
            smallest, largest = (round(size * share) for share in augmentation.scale_jitter)
            return _ShiftCrop(size, (smallest, largest), pad=0)
        case "none":
            return _Evaluation(size, size, crops=1)


# Classes instead of closures, so that a loader can send them to a worker that was not forked.


class _Chain:
    def __init__(self, steps: list[Callable[[Tensor], Tensor]]) -> None:
        self.steps = steps

    def __call__(self, image: Tensor) -> Tensor:
        for step in self.steps:
            image = step(image)
        return image

    def for_size(self, height: int, width: int) -> tuple[int, "_Chain"]:
        """See `sightline.data.dataset.SizedTransform`: the crop comes first, and alone decides."""
        first = self.steps[0]
        if not isinstance(first, _ResizedCrop):
            return 1, self
        times, crop = first.for_size(height, width)
        return times, _Chain([crop, *self.steps[1:]])


class _ResizedCrop:
    """A random part of the picture, resized to a square of `size`: torchvision's, whose part can be known before the picture is."""

    def __init__(self, size: int, scale: tuple[float, float], ratio: tuple[float, float]) -> None:
        self.size = size
        self.crop = v2.RandomResizedCrop(size, scale, ratio, antialias=True)

    def __call__(self, image: Tensor) -> Tensor:
        return self.for_size(*image.shape[1:])[1](image)

    def for_size(self, height: int, width: int) -> tuple[int, Callable[[Tensor], Tensor]]:
        """How many times shorter the sides may be for the part that is drawn here, and what cuts it out of such a picture."""
        part = self.crop.make_params([torch.empty(3, height, width, device="meta")])
        most = min(part["height"], part["width"]) / (SLACK * self.size)
        times = next((times for times in (8, 4, 2) if times <= most), 1)
        return times, partial(self._cut, part, height)

    def _cut(self, part: dict[str, int], height: int, image: Tensor) -> Tensor:
        shorter = height / image.shape[1]
        top, left, rows, columns = (round(part[name] / shorter) for name in ("top", "left", "height", "width"))
        # Both ends may have been rounded up.
        rows, columns = min(rows, image.shape[1] - top), min(columns, image.shape[2] - left)
        pixels = image.permute(1, 2, 0)[top : top + rows, left : left + columns]
        # Without gaps between its rows a part is resized in half of the time, and stays as it lies: pixel by pixel, as decoders write.
        resized: Tensor = F.resize_image(pixels.contiguous().permute(2, 0, 1), [self.size, self.size], antialias=True)
        return resized


class _Mirror:
    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, image: Tensor) -> Tensor:
        return image.flip(-1) if torch.rand(()).item() < self.probability else image


class _ShiftCrop:
    """Shorter side to a random one of `resize` (both ends count), `pad` pixels of reflection around, a random square of `size`."""

    def __init__(self, size: int, resize: tuple[int, int], pad: int) -> None:
        self.size = size
        self.resize = resize
        self.pad = pad

    def __call__(self, image: Tensor) -> Tensor:
        smallest, largest = self.resize
        side = smallest if smallest == largest else int(torch.randint(smallest, largest + 1, ()))
        image = shorter_side(image, side)
        for axis in (1, 2):
            length = image.shape[axis]
            start = int(torch.randint(length + 2 * self.pad - self.size + 1, ())) - self.pad
            if start >= 0 and start + self.size <= length:
                image = image.narrow(axis, start, self.size)
            else:  # reading at reflected places is padding and cropping in one
                image = image.index_select(axis, _reflected(start, self.size, length))
        return image


class _AlexNetColor:
    """One shift of all pixels along the principal components of ImageNet's colours, section 4.1 of the paper."""

    # Eigenvalues and eigenvectors (columns) of the covariance of R, G, B in 0..1 over ImageNet, as everyone uses them.
    VALUES = torch.tensor([0.2175, 0.0188, 0.0045])
    VECTORS = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])

    def __init__(self, deviation: float) -> None:
        self.deviation = deviation

    def __call__(self, image: Tensor) -> Tensor:
        shift = 255 * (self.VECTORS @ (self.VALUES * torch.randn(3) * self.deviation))
        return (image + shift[:, None, None]).round_().clamp_(0, 255).to(torch.uint8)


class _Evaluation:
    def __init__(self, resize: int, crop: int, crops: Views) -> None:
        self.resize = resize
        self.crop = crop
        self.crops = crops

    def __call__(self, image: Tensor) -> Tensor:
        image = shorter_side(image, self.resize)
        if self.crops == "dense":
            return torch.stack((image, image.flip(-1)))
        if self.crops == 10:
            return torch.stack(F.ten_crop_image(image, [self.crop, self.crop]))
        top, left = (_start(length, self.crop) for length in image.shape[-2:])
        return image[..., top : top + self.crop, left : left + self.crop]


def _resized(height: int, width: int, size: int) -> tuple[int, int]:
    if height <= width:
        return size, int(size * width / height)
    return int(size * height / width), size


def _start(length: int, crop: int) -> int:
    """Where a crop from the middle of a side begins."""
    return round((length - crop) / 2)


def _reflected(start: int, count: int, length: int) -> Tensor:
    """Places `start`, `start` + 1, ... of a row of `length` that is continued by reflection, the border pixel not repeated."""
    places = torch.arange(start, start + count).abs_()
    return (length - 1) - ((length - 1) - places).abs_()
