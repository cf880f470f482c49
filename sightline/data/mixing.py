"""Mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019) of two pictures, with random numbers from torch's default generator."""

from collections.abc import Callable

import torch
from torch import Tensor

Mix = Callable[[Tensor, Tensor], tuple[Tensor, float]]
"""Two (3, H, W) uint8 pictures of one size -> the mixed one, and the share (0..1) that the first has of it."""


class Mixing:
    """Mixup or cutmix, the one or the other with equal chance when both are on.

    `mixup` and `cutmix` are the alpha of the Beta(alpha, alpha) that the share is drawn from; 0 turns one off.
    """

    def __init__(self, mixup: float, cutmix: float) -> None:
        if min(mixup, cutmix) < 0 or max(mixup, cutmix) == 0:
            raise ValueError(f"expected alphas of at least 0, one of them above, got mixup {mixup} and cutmix {cutmix}")
        self.mixup = mixup
        self.cutmix = cutmix

    def __call__(self, image: Tensor, other: Tensor) -> tuple[Tensor, float]:
        """The mixed picture and the share that `image` has of it."""
        cut = self.cutmix > 0 and (self.mixup == 0 or bool(torch.rand(()) < 0.5))
        alpha = self.cutmix if cut else self.mixup
        share = float(torch.distributions.Beta(alpha, alpha, validate_args=False).sample())
        return cut_mixed(image, other, share) if cut else (mixed_up(image, other, share), share)


def mixed_up(image: Tensor, other: Tensor, share: float) -> Tensor:
    """`share` of one (3, H, W) uint8 picture and the rest of another, rounded.

    >>> mixed_up(torch.full((3, 1, 1), 200, dtype=torch.uint8), torch.zeros(3, 1, 1, dtype=torch.uint8), 0.25).flatten()
    tensor([50, 50, 50], dtype=torch.uint8)
    """
    return torch.lerp(other.float(), image.float(), share).round_().to(torch.uint8)


def cut_mixed(image: Tensor, other: Tensor, share: float) -> tuple[Tensor, float]:
    """A box of another picture pasted into one, with its centre anywhere, cut off at the border.

    The box has 1 - `share` of the area before it is cut off; returned is the share that `image` has in the end.
    """
    height, width = image.shape[-2:]
    side = (1 - share) ** 0.5
    centre_y, centre_x = int(torch.randint(height, ())), int(torch.randint(width, ()))
    box_height, box_width = round(height * side), round(width * side)
    top, left = max(centre_y - box_height // 2, 0), max(centre_x - box_width // 2, 0)
    bottom = min(centre_y - box_height // 2 + box_height, height)
    right = min(centre_x - box_width // 2 + box_width, width)
    result = image.clone()
    result[:, top:bottom, left:right] = other[:, top:bottom, left:right]
    return result, 1 - (bottom - top) * (right - left) / (height * width)
