"""Losses of a class for each pixel, as pure functions. Shape letters: `N` batch, `K` classes, `H W` pixels.

Each is a mean over the pictures of what it is for one, never over the pixels of all: so a batch has the same loss in one
piece, in several parts and on several devices, however many pixels are `IGNORED` in each. A picture of which nothing is
known counts as 0. Sums of losses are sums of these.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.structures import IGNORED


def pixel_cross_entropy(
    logits: Tensor, masks: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """Mean cross entropy between softmax(`logits`) and the true classes; a scalar, in nats.

    `logits` (N, K, H, W) in any float type, reduced in float32 at least; `masks` (N, H, W) uint8 in 0..K-1 or `IGNORED`.
    Each pixel counts as often as `class_weights` (K,) has it for its class, or once, and as often as `pixel_weights`
    (N, H, W) has it in addition: w = w_c + w0 * exp(...) of Ronneberger et al. 2015, arXiv:1505.04597, equations 1 and 2.
    The sum is divided by how many pixels are known, not by their weights: else the weights of a picture with one class would
    cancel. So weights that are 1 in the mean over the data leave the size of the loss as it is. Raises `ValueError` for
    other shapes, or without a picture.

    >>> pixel_cross_entropy(torch.zeros(1, 4, 1, 2), torch.tensor([[[3, 255]]], dtype=torch.uint8)).exp()
    tensor(4.)
    """
    surprise = _surprise(logits, masks)
    if class_weights is None and pixel_weights is None:
        return _mean(surprise, masks)
    weights = _class_weights(class_weights, logits, masks)
    if pixel_weights is not None:
        if pixel_weights.shape != masks.shape:
            raise ValueError(f"expected a weight a pixel, {tuple(masks.shape)}, got {tuple(pixel_weights.shape)}")
        weights = weights + pixel_weights
    # What is ignored is cut out: 0 times an infinite weight would be no number.
    return _mean(surprise * torch.where(masks != IGNORED, weights, 0.0), masks)


def soft_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """1 - the mean Dice coefficient of the classes in each picture, with probabilities in the place of pixels; a scalar, 0..1.

    Of a class it is 2 * sum(p * g) / (sum(p) + sum(g)), p the softmax of `logits`, g 1 where the class is. `logits`
    (N, K, H, W) and `masks` (N, H, W) as in `pixel_cross_entropy`. Milletari et al. 2016, arXiv:1606.04797, section 3, square
    p and g in the denominator, which pulls less at pixels that are wrong for sure; plain sums are what is usual now. They have
    one class and its background; here background is a class like others. A class that a picture does not have is left out of
    its mean: it would be 0 however little of it is predicted, and what is predicted in its place is missing elsewhere.

    >>> mask = torch.tensor([[[0, 1], [1, 255]]], dtype=torch.uint8)
    >>> soft_dice(torch.zeros(1, 2, 2, 2), mask)  # 1 - (2 * 0.5 / 2.5 + 2 * 1.0 / 3.5) / 2
    tensor(0.5143)
    """
    _check(logits, masks)
    probabilities = _wide(logits).softmax(dim=1)
    known = (masks != IGNORED)[:, None]  # (N, 1, H, W)
    classes = torch.arange(logits.shape[1], device=masks.device, dtype=torch.uint8)
    true = masks[:, None] == classes[:, None, None]  # (N, K, H, W)
    shared = torch.where(true, probabilities, 0.0).sum(dim=(2, 3))  # (N, K)
    predicted = torch.where(known, probabilities, 0.0).sum(dim=(2, 3))
    there = true.sum(dim=(2, 3))
    present = there > 0
    # A class that is there has a pixel at least, so that no denominator that counts is below 1.
    missing = torch.where(present, 1.0 - 2.0 * shared / (predicted + there).clamp(min=1.0), 0.0)
    return (missing.sum(dim=1) / present.sum(dim=1).clamp(min=1)).mean()


def focal(logits: Tensor, masks: Tensor, gamma: float = 2.0, class_weights: Tensor | None = None) -> Tensor:
    """Mean of -w * (1 - p) ** `gamma` * log(p), p being the probability of a pixel's true class; a scalar, in nats.

    Pixels that are right already hardly count. Lin et al. 2017, arXiv:1708.02002, equations 4 and 5, for the softmax; they
    divide by the number of objects, here it is the number of known pixels. w is 1, or that of the pixel's class in
    `class_weights` (K,). `logits` (N, K, H, W) and `masks` (N, H, W) as in `pixel_cross_entropy`, which it is with `gamma` 0.
    Raises `ValueError` for a negative `gamma`.

    >>> focal(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.uint8)) * 4  # log(2) / 2 ** 2
    tensor(0.6931)
    """
    if gamma < 0:
        raise ValueError(f"gamma: expected 0 or more, got {gamma}")
    surprise = _surprise(logits, masks)
    wrong = -torch.expm1(-surprise)  # 1 - p without rounding it away
    weights = _class_weights(class_weights, logits, masks)
    return _mean(
        weights * wrong.clamp(min=1e-12) ** gamma * surprise, masks
    )  # a root of 0 would have an infinite slope


def _surprise(logits: Tensor, masks: Tensor) -> Tensor:
    """(N, H, W): -log of the probability of each pixel's class; 0 where it is ignored."""
    _check(logits, masks)
    return F.cross_entropy(_wide(logits), masks.long(), ignore_index=IGNORED, reduction="none")


def _class_weights(class_weights: Tensor | None, logits: Tensor, masks: Tensor) -> Tensor:
    """The weight of each pixel's class, (N, H, W), or 1 for all; any number where pixels are ignored."""
    if class_weights is None:
        return torch.ones((), device=logits.device)
    classes = logits.shape[1]
    if class_weights.shape != (classes,):
        raise ValueError(f"expected {classes} class weights, got {tuple(class_weights.shape)}")
    return class_weights[masks.clamp(max=classes - 1).long()]


def _mean(values: Tensor, masks: Tensor) -> Tensor:
    """The mean over the known pixels of each picture, and of those means; `values` are 0 where pixels are ignored."""
    known = (masks != IGNORED).sum(dim=(1, 2))
    return (values.sum(dim=(1, 2)) / known.clamp(min=1)).mean()


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _check(logits: Tensor, masks: Tensor) -> None:
    fits = logits.ndim == 4 and masks.shape == (logits.shape[0], *logits.shape[2:]) and len(logits) > 0
    if not fits or masks.dtype != torch.uint8:
        raise ValueError(
            f"expected logits (N, K, H, W) and uint8 masks (N, H, W), N > 0; got {tuple(logits.shape)}, "
            f"{tuple(masks.shape)} {masks.dtype}"
        )
