"""Where classes lie in masks: whether pictures have an up, as photographs have and what a microscope shows has not."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

LEAST_PICTURES = 16
"""With fewer pictures nothing is said."""
CENTRED = 0.1
"""How far from the middle a class may lie on average, of half the height, for pictures without an up."""
ROUND = 0.15
"""How much more often classes may change along columns than along rows, as a logarithm, for pictures that can be turned."""


def layout(mask: Tensor, num_classes: int) -> NDArray[np.float64]:
    """(K + 1,) how a mask (H, W) uint8 lies: the mean height of each class, and whether it changes down or across.

    Heights go from -1, the upper border, to 1, and are NaN for classes without pixels. The last number is the logarithm of the changes
    from a pixel to the one below it over those from a pixel to its right.

    >>> import torch
    >>> mask = torch.tensor([[0, 0], [0, 0], [1, 1]], dtype=torch.uint8)
    >>> layout(mask, 3).round(2)
    array([-0.33,  0.67,   nan,  1.1 ])
    """
    labels = mask.numpy()
    rows = np.stack([np.bincount(row, minlength=num_classes)[:num_classes] for row in labels])  # (H, K)
    heights = (2 * np.arange(len(labels)) + 1) / len(labels) - 1
    pixels = rows.sum(axis=0)
    means = np.where(pixels > 0, heights @ rows / np.maximum(pixels, 1), np.nan)
    down, across = ((labels[1:] != labels[:-1]).sum(), (labels[:, 1:] != labels[:, :-1]).sum())
    return np.append(means, np.log((down + 1) / (across + 1)))


def without_up(layouts: Collection[NDArray[np.float64]]) -> tuple[bool, bool]:
    """Whether pictures may be turned upside down, and by quarters too, as far as the layouts of their masks tell.

    That needs to be shown, not only not to be refuted: so sure that two standard errors of the mean leave no class off the middle.

    >>> without_up([np.array([0.0, 0.01, 0.0])] * 20), without_up([np.array([-0.3, 0.4, 0.0])] * 20)
    ((True, True), (False, False))
    """
    if len(layouts) < LEAST_PICTURES:
        return False, False
    *heights, changes = np.array(list(layouts)).T
    seen = [height[~np.isnan(height)] for height in heights]
    centred = all(_within(height, CENTRED) for height in seen if len(height))
    return centred, centred and _within(changes, ROUND)


def _within(values: NDArray[np.float64], limit: float) -> bool:
    if len(values) < LEAST_PICTURES:
        return False
    error = values.std(ddof=1) / np.sqrt(len(values))
    return bool(abs(values.mean()) + 2 * error <= limit)
