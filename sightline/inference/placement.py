"""A feature map with the places of its cells, and a map of values spread over the picture by them; see `ops/cells.py`.

Shape letters: `N` batch, `C` channels, `H W` pixels, `h w` cells.
"""

import torch
from torch import Tensor

from sightline.models.backbone import Backbone
from sightline.ops.cells import Cells, followed


def placed_features(model: Backbone, images: Tensor, stage: str) -> tuple[Tensor, Cells, Cells]:
    """The map of `stage`, (N, C, h, w), and where its cells lie down and across the `images` (N, C, H, W).

    Raises what `Backbone.forward_features` raises.
    """
    with followed(model, images.shape[-2:]) as known:
        features = model.forward_features(images, (stage,))[stage]
    down, across = (
        places.get(cells) or _centred(length, cells, model.strides[stage])
        for places, cells, length in zip(known, features.shape[-2:], images.shape[-2:], strict=True)
    )
    return features, down, across


def spread(values: Tensor, down: Cells, across: Cells, size: tuple[int, int]) -> Tensor:
    """The (h, w) `values` of cells, bilinearly, at the centres of the pixels of a picture of `size` (H, W)."""
    height, width = size
    rows, columns = _shares(down, values.shape[0], height), _shares(across, values.shape[1], width)
    return rows @ values @ columns.T


def _centred(length: int, cells: int, stride: int) -> Cells:
    """Where they would lie in a network without borders; for one whose layers cannot be followed."""
    return Cells(length / 2 - (cells - 1) / 2 * stride, float(stride))


def _shares(cells: Cells, count: int, length: int) -> Tensor:
    """How each of `length` pixels in a row is mixed from `count` cells: (length, count), rows sum to 1.

    Linear between the centres of two cells; beyond the outermost centres that cell alone.

    >>> _shares(Cells(1.0, 2.0), count=2, length=4)
    tensor([[1.0000, 0.0000],
            [0.7500, 0.2500],
            [0.2500, 0.7500],
            [0.0000, 1.0000]])
    """
    places = ((torch.arange(length) + 0.5 - cells.first) / cells.step).clamp(0, count - 1)
    return (1 - (places[:, None] - torch.arange(count)).abs()).clamp(min=0)
