"""Pictures as the network wants them."""

from collections.abc import Sequence

import torch
from torch import Tensor


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
    flat = images.flatten(0, -4) if images.ndim > 4 else images
    order = torch.channels_last if flat.ndim == 4 else torch.contiguous_format
    floats = flat.to(torch.float32, memory_format=order)  # a copy, so the caller's bytes stay as they are
    floats.mul_(scale[:, None, None]).add_(offset[:, None, None])
    return floats.view(images.shape) if images.ndim > 4 else floats


def blank_padding(images: Tensor, sizes: Tensor) -> Tensor:
    """Images (N, C, H, W) with 0, the mean colour, right of and below their pictures of `sizes` (N, 2: height, width).

    >>> blank_padding(torch.ones(1, 1, 2, 3), torch.tensor([[1, 2]]))
    tensor([[[[1., 1., 0.],
              [0., 0., 0.]]]])
    """
    rows = torch.arange(images.shape[2], device=images.device) < sizes[:, :1]  # (N, H)
    columns = torch.arange(images.shape[3], device=images.device) < sizes[:, 1:]  # (N, W)
    return images * (rows[:, None, :, None] & columns[:, None, None, :])
