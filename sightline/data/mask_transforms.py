"""What happens to a picture and its mask between the decoder and a segmenter: both together, on uint8 tensors.

Training draws from torch's default generator, which `sightline.data.dataset.Samples` seeds for each sample, and shows squares of a
fixed side; only the part that will be seen is resized. For evaluation pictures stay as they are. Pictures are interpolated
(bilinear, antialiased where they shrink); a mask's values are never mixed: the nearest one counts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as nnF
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from sightline.errors import ConfigError
from sightline.ops.images import stretched
from sightline.structures import IGNORED, SegmentationTarget

MaskTransform = Callable[[Tensor, SegmentationTarget], tuple[Tensor, SegmentationTarget]]

GRID = 3
"""Points a side of the coarse grid whose displacements bend a picture (Ronneberger et al. 2015, section 3.1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskAugmentation:
    """How training pictures with masks are varied.

    Raises `ConfigError` for values out of range.

    >>> MaskAugmentation(scale=(2, 1))
    Traceback (most recent call last):
        ...
    sightline.errors.ConfigError: masks.scale: expected two factors, 0 < smallest <= largest, got [2, 1].
    """

    mirror: float = 0.5
    """Probability of a horizontal mirroring, 0..1."""
    flip: float | None = None
    """Probability of turning the picture upside down, 0..1: for pictures without an up, such as from a microscope. Chosen when not
    given: a half where there is one kind of object and the training masks show no up, else 0."""
    turn: float | None = None
    """Probability of one to three quarter turns, 0..1: likewise, and 0.75 when chosen."""
    scale: tuple[float, float] = (0.75, 1.5)
    """Smallest and largest factor on the picture's size, before the crop; halving is as likely as doubling."""
    rare: float = 0.5
    """Probability that the crop contains a pixel of a class that is drawn from those in the picture, each as likely as the others,
    0..1: classes with few pixels are seen more often than by chance."""
    elastic: float = 0.0
    """Probability that the picture is bent, 0..1 (Ronneberger et al. 2015, section 3.1)."""
    elastic_pixels: float = 10.0
    """Standard deviation of the displacements on the coarse grid, in pixels of the crop."""
    color_jitter: float = 0.2
    """Strength 0..1 of changes of brightness, contrast and saturation; the hue by a quarter of it."""

    def __post_init__(self) -> None:
        for name in ("mirror", "flip", "turn", "rare", "elastic", "color_jitter"):
            if not 0 <= (getattr(self, name) or 0) <= 1:
                raise ConfigError(f"masks.{name}: expected 0..1, got {getattr(self, name)}.")
        if not 0 <= self.elastic_pixels < math.inf:
            raise ConfigError(f"masks.elastic_pixels: expected 0 or more, got {self.elastic_pixels}.")
        if not (len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1] < math.inf):
            raise ConfigError(f"masks.scale: expected two factors, 0 < smallest <= largest, got {list(self.scale)}.")


def train_masks(augmentation: MaskAugmentation, side: int, *, stretch: bool = False) -> MaskTransform:
    """A random function from a picture (3, H, W) uint8 and its mask to squares of `side` pixels.

    Where the picture ends before the square, the picture is continued by reflection and the mask by `IGNORED`. With `stretch`
    the contrast of the whole picture is stretched first.

    >>> image, target = torch.zeros(3, 40, 30, dtype=torch.uint8), SegmentationTarget(torch.zeros(40, 30, dtype=torch.uint8))
    >>> image, target = train_masks(MaskAugmentation(scale=(1, 1)), side=32)(image, target)
    >>> image.shape, target.mask.shape, int((target.mask == IGNORED).sum())
    (torch.Size([3, 32, 32]), torch.Size([32, 32]), 64)
    """
    strength = augmentation.color_jitter
    jitter = v2.ColorJitter(strength, strength, strength, strength / 4) if strength else None
    low, high = (math.log(factor) for factor in augmentation.scale)

    def transform(image: Tensor, target: SegmentationTarget) -> tuple[Tensor, SegmentationTarget]:
        image = stretched(image) if stretch else image
        factor = math.exp(low + (high - low) * float(torch.rand(())))
        maps = torch.stack([values for values in (target.mask, target.closeness) if values is not None])
        image, maps = _cropped(image, maps, max(1, round(side / factor)), augmentation.rare)
        image, maps = _resized(image, maps, side)
        if _chance(augmentation.mirror):
            image, maps = image.flip(-1), maps.flip(-1)
        if _chance(augmentation.flip):
            image, maps = image.flip(-2), maps.flip(-2)
        if _chance(augmentation.turn):
            quarters = int(torch.randint(1, 4, ()))
            image, maps = image.rot90(quarters, (-2, -1)), maps.rot90(quarters, (-2, -1))
        if _chance(augmentation.elastic):
            image, maps = bent(image, maps, augmentation.elastic_pixels * torch.randn(2, GRID, GRID))
        image = image if jitter is None else jitter(image)
        return image.contiguous(), SegmentationTarget(*maps.contiguous())

    return transform


def eval_masks(*, stretch: bool = False) -> MaskTransform:
    """The picture, stretched or as it is, and its mask: a segmenter's output has the size of its input."""

    def transform(image: Tensor, target: SegmentationTarget) -> tuple[Tensor, SegmentationTarget]:
        return stretched(image) if stretch else image, target

    return transform


def bent(image: Tensor, maps: Tensor, displacements: Tensor) -> tuple[Tensor, Tensor]:
    """An elastic deformation of a picture (3, H, W) uint8 and its masks (M, H, W) uint8 (Ronneberger et al. 2015, section 3.1).

    `displacements` (2, h, w) are those along x and y, in pixels, at the points of a coarse grid that spans the picture; between them
    they are interpolated bicubically. Beyond its borders the picture goes on by reflection, and so do the masks.
    """
    height, width = maps.shape[1:]
    field = nnF.interpolate(displacements[None], (height, width), mode="bicubic", align_corners=True)[0]
    # grid_sample's -1 and 1 are the outer edges of the first and last pixel.
    x = (2 * (torch.arange(width) + field[0]) + 1) / width - 1
    y = (2 * (torch.arange(height)[:, None] + field[1]) + 1) / height - 1
    grid = torch.stack([x, y], dim=-1)[None]
    moved = nnF.grid_sample(image[None].float(), grid, "bilinear", "reflection", align_corners=False)[0]
    labels = nnF.grid_sample(maps[None].float(), grid, "nearest", "reflection", align_corners=False)[0]
    return moved.round_().clamp_(0, 255).to(torch.uint8), labels.to(torch.uint8)


def _cropped(image: Tensor, maps: Tensor, side: int, rare: float) -> tuple[Tensor, Tensor]:
    """A square of the picture at a random place, which may reach beyond a picture that is smaller.

    `maps` (M, H, W): the mask, and what else there is a number of for each pixel.
    """
    mask = maps[0]
    pixel = _of_a_class(mask) if _chance(rare) else None
    top, left = (_start(length, side, pixel[axis] if pixel else None) for axis, length in enumerate(mask.shape))
    bottom, right = top + side, left + side
    if top >= 0 and left >= 0 and bottom <= mask.shape[0] and right <= mask.shape[1]:
        return image[:, top:bottom, left:right], maps[:, top:bottom, left:right]
    rows, columns = torch.arange(top, bottom), torch.arange(left, right)
    inside_rows, inside_columns = _reflected(rows, mask.shape[0]), _reflected(columns, mask.shape[1])
    outside = (inside_rows != rows)[:, None] | (inside_columns != columns)
    square = maps[:, inside_rows[:, None], inside_columns]
    square[0].masked_fill_(outside, IGNORED)
    return image.index_select(1, inside_rows).index_select(2, inside_columns), square


def _of_a_class(mask: Tensor) -> tuple[int, int] | None:
    """Row and column of a pixel: first a class is drawn among those that are there, then one of its pixels."""
    flat = mask.flatten()
    present = torch.bincount(flat, minlength=IGNORED + 1)[:IGNORED].nonzero().flatten()
    if not len(present):
        return None
    label = present[int(torch.randint(len(present), ()))]
    pixels = (flat == label).nonzero().flatten()
    return divmod(int(pixels[int(torch.randint(len(pixels), ()))]), mask.shape[1])


def _start(length: int, side: int, pixel: int | None) -> int:
    """Where a crop begins along one axis: within the picture, or around it where the crop is larger; with `pixel` in it."""
    first, last = min(0, length - side), max(0, length - side)
    if pixel is not None:
        first, last = max(first, pixel - side + 1), min(last, pixel)
    return first + int(torch.randint(last - first + 1, ()))


def _reflected(places: Tensor, length: int) -> Tensor:
    """Places in a row of `length` that goes on by reflection on both sides, as far as needed; the border pixel is not repeated."""
    period = max(1, 2 * (length - 1))
    within = places % period
    return torch.minimum(within, period - within) if length > 1 else torch.zeros_like(places)


def _resized(image: Tensor, maps: Tensor, side: int) -> tuple[Tensor, Tensor]:
    if maps.shape[1:] == (side, side):
        return image, maps
    resized = F.resize(maps, [side, side], interpolation=InterpolationMode.NEAREST_EXACT)
    return F.resize(image, [side, side], antialias=True), resized


def _chance(probability: float | None) -> bool:
    return probability is not None and probability > 0 and float(torch.rand(())) < probability
