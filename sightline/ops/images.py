"""Pictures as the network wants them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Bytes to floats with the given mean and deviation taken out: (x / 255 - mean) / std, a channel.

    `images` are uint8, (..., C, H, W), on any device; `mean` and `std` have C numbers, for values in 0..1. The result
    is float32 on the same device. Four and more dimensions come out in channels_last order, the faster one for
    convolutions. Raises `ValueError` for floats (they may have been normalised already) and for another number of
    channels.

    >>> normalise(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8), mean=[0.5], std=[0.25])
    tensor([[[[2.]]]])
    """
    if images.dtype != torch.uint8 or images.ndim < 3 or not images.shape[-3] == len(mean) == len(std):
        raise ValueError(
            f"expected uint8 images (..., {len(mean)}, H, W), got {tuple(images.shape)} {images.dtype} "
            f"with {len(mean)} means and {len(std)} deviations"
        )
    # One multiplication and one addition in place instead of two divisions and a subtraction.
    scale = torch.tensor([1.0 / (255.0 * s) for s in std], dtype=torch.float32, device=images.device)
    offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float32, device=images.device)
    if images.ndim == 3:
        return images.to(torch.float32).mul_(scale[:, None, None]).add_(offset[:, None, None])
    flat = images.flatten(0, -4)
    # Bytes are put in order before they become floats, four times as long; in rows of pixels, not of three numbers, each operation
    # runs several times as fast.
    floats = flat.contiguous(memory_format=torch.channels_last).to(torch.float32)
    count, _, height, width = floats.shape
    rows = floats.permute(0, 2, 3, 1).view(count * height, width * len(mean))
    rows.mul_(scale.repeat(width)).add_(offset.repeat(width))
    return floats.view(images.shape)


def blank_padding(images: Tensor, sizes: Tensor) -> Tensor:
    """Images (N, C, H, W) with 0, the mean colour, right of and below their pictures of `sizes` (N, 2: height, width).

    >>> blank_padding(torch.ones(1, 1, 2, 3), torch.tensor([[1, 2]]))
    tensor([[[[1., 1., 0.],
              [0., 0., 0.]]]])
    """
    rows = torch.arange(images.shape[2], device=images.device) < sizes[:, :1]  # (N, H)
    columns = torch.arange(images.shape[3], device=images.device) < sizes[:, 1:]  # (N, W)
    return images * (rows[:, None, :, None] & columns[:, None, None, :])


def mirrored(images: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Images (N, C, H, W) with further `rows` (above, below) and `columns` (left, right), mirrored at the borders.

    The outermost pixel stands once at each border. Where more is asked for than the image has, its mirror image is mirrored
    again, as often as is needed; a single row or column is repeated.

    >>> mirrored(torch.tensor([[[[1, 2, 3]]]]), (0, 0), (4, 1))
    tensor([[[[1, 2, 3, 2, 1, 2, 3, 2]]]])
    """
    if rows == (0, 0) and columns == (0, 0):
        return images
    height, width = images.shape[2:]
    once = not torch.compiler.is_compiling() and max(rows) < height and max(columns) < width
    if once:  # faster, and keeps channels_last; what is compiled or exported has one way for all sizes
        return F.pad(images, (*columns, *rows), mode="reflect")
    down = _mirror_positions(height, *rows, images.device)
    across = _mirror_positions(width, *columns, images.device)
    return images[:, :, down[:, None], across]


def _mirror_positions(side: int, before: int, after: int, device: torch.device) -> Tensor:
    """Which of `side` pixels stands at each position from -before to side + after: 0, 1, ..., 1, 0, 1, ..."""
    period = max(2 * (side - 1), 1)
    positions = torch.arange(-before, side + after, device=device) % period
    return torch.minimum(positions, period - positions)


TAIL = 0.005
"""Share of a picture's values that may be cut off at either end when its contrast is stretched."""
LEAST_RANGE = 16
"""Grey levels between the ends that are stretched at least: with fewer, what is there is noise."""


def brightness(image: Tensor) -> tuple[int, int]:
    """The darkest and the brightest value of a picture (3, H, W) uint8, 0..255, but for a share `TAIL` at either end.

    >>> brightness(torch.tensor([10, 20, 30, 40], dtype=torch.uint8).expand(3, 1, 4))
    (10, 40)
    """
    share = torch.bincount(image.flatten(), minlength=256).cumsum(0) / image.numel()
    return int((share > TAIL).nonzero()[0]), int((share >= 1 - TAIL).nonzero()[0])


def stretched(image: Tensor) -> Tensor:
    """A picture (3, H, W) uint8 whose darkest and brightest values become 0 and 255, all channels alike.

    For pictures that are exposed very differently, as from microscopes: what differs then is what is on them.

    >>> stretched(torch.tensor([10, 20, 30, 40], dtype=torch.uint8).expand(3, 1, 4))[0]
    tensor([[  0,  85, 170, 255]], dtype=torch.uint8)
    """
    low, high = brightness(image)
    levels = (torch.arange(256) - low) * (255 / max(high - low, LEAST_RANGE))
    table = levels.round().clamp(0, 255).to(torch.uint8)
    return torch.from_numpy(table.numpy()[image.numpy()])  # torch would index with eight bytes for each
