"""Where objects nearly touch: the weights of Ronneberger et al. 2015 (arXiv:1505.04597), section 3, equation 2.

A pixel of background between two objects weighs more, so that the gap is learned; otherwise it is lost among all other pixels, and
two objects become one. Shape letters: `H`, `W` of a mask, `n` objects.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.structures import IGNORED

WEIGHT, SIGMA = 10.0, 5.0
"""w0 and sigma (in pixels) of the paper."""
_REACH = 8
"""Multiples of sigma beyond which exp(-d^2 / (2 sigma^2)) is nothing to a float32."""


def touching_weights(objects: Tensor, weight: float = WEIGHT, sigma: float = SIGMA) -> Tensor:
    """(H, W) float32: what the loss of each pixel of background is weighted with in addition, weight * exp(-(d1 + d2)^2 / (2 sigma^2)).

    d1 and d2 are the distances, in pixels, to the nearest and second nearest object. `objects` (H, W) says which object a pixel belongs
    to, 1..n, and 0 for background: `objects_of` makes it from a mask. Pixels in objects have 0, and so has everything when there are
    fewer than two. The weights of classes, w_c in the equation, are to be added by who has them.

    >>> touching_weights(torch.tensor([[1, 1, 0, 2]]), weight=10, sigma=2)
    tensor([[0.0000, 0.0000, 6.0653, 0.0000]])
    """
    from scipy import ndimage  # comes with scikit-learn; takes long to import

    numbered = objects.numpy().astype(np.int64)
    nearest, second = (np.full(numbered.shape, np.inf, np.float32) for _ in range(2))
    margin = int(np.ceil(_REACH * sigma))
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        if box is None:
            continue
        # Far from an object its distance changes nothing, and a picture may have hundreds of them.
        around = tuple(slice(max(0, part.start - margin), part.stop + margin) for part in box)
        distance = ndimage.distance_transform_edt(numbered[around] != number).astype(np.float32)
        second[around] = np.minimum(second[around], np.maximum(nearest[around], distance))
        nearest[around] = np.minimum(nearest[around], distance)
    weights = weight * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    weights[numbered != 0] = 0
    return torch.from_numpy(weights.astype(np.float32))


def closeness(mask: Tensor, sigma: float = SIGMA) -> Tensor:
    """(H, W) uint8: `touching_weights` of the objects in a mask (H, W) uint8 for a weight of 255, to be scaled by the loss.

    >>> closeness(torch.tensor([[1, 1, 0, 1]], dtype=torch.uint8), sigma=2)
    tensor([[  0,   0, 155,   0]], dtype=torch.uint8)
    """
    return touching_weights(objects_of(mask), weight=255, sigma=sigma).round().to(torch.uint8)


def objects_of(mask: Tensor, background: int = 0) -> Tensor:
    """(H, W) int64: the objects in a mask (H, W) uint8, numbered from 1; 0 for background and for what is ignored.

    An object is a connected part of one class; pixels that meet at a corner only are not connected.

    >>> objects_of(torch.tensor([[1, 1, 0, 1], [0, 0, 2, 1]], dtype=torch.uint8))
    tensor([[1, 1, 0, 2],
            [0, 0, 3, 2]])
    """
    from scipy import ndimage  # comes with scikit-learn; takes long to import

    pixels: NDArray[np.uint8] = mask.numpy()
    objects, count = np.zeros(pixels.shape, np.int64), 0
    for label in np.unique(pixels).tolist():
        if label in (background, IGNORED):
            continue
        parts, found = ndimage.label(pixels == label)
        objects += np.where(parts > 0, parts + count, 0)
        count += found
    return torch.from_numpy(objects)
