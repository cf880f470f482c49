"""Where the cells of a feature map lie in the picture that the map was made of.

The usual drawing stretches a map over the picture. That is right only where a layer's padding and stride happen to
balance: the cells of a ResNet's last map on 224 pixels are centred at 0.5, 32.5, ..., 192.5, not at 16, 48, ..., 208. Here
the centres are followed through the layers instead. A cell of a layer with kernel k, stride s and padding p looks at k cells
of the map before, the first of them s * i - p; its centre is the middle of theirs.

Shape letters: `N` batch, `C` channels, `H W` pixels, `h w` cells.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sightline.models.backbone import Backbone


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of a map along one side of a picture: cell i is centred `first + i * step` from the left (or upper) edge.

    >>> Cells.pixels().through(kernel=7, stride=2, padding=3)
    Cells(first=0.5, step=2.0)
    """

    first: float
    """Distance of the centre of cell 0 from the edge, in pixels."""
    step: float
    """Distance of the centres of neighbours, in pixels."""

    @classmethod
    def pixels(cls) -> "Cells":
        """Those of the picture itself."""
        return cls(0.5, 1.0)

    def through(self, kernel: int, stride: int, padding: int) -> "Cells":
        """After a layer that moves a window of `kernel` cells by `stride`, beginning `padding` cells before the first."""
        return Cells(self.first + self.step * ((kernel - 1) / 2 - padding), self.step * stride)

    def within(self, start: float, scale: float) -> "Cells":
        """In a picture in which these pixels begin at `start` and are `scale` long."""
        return Cells(start + self.first * scale, self.step * scale)


def placed_features(model: Backbone, images: Tensor, stage: str) -> tuple[Tensor, Cells, Cells]:
    """The map of `stage`, (N, C, h, w), and where its cells lie down and across the `images` (N, C, H, W).

    Maps of one size lie alike in all branches of a network, or they could not be added or concatenated; so a layer that
    changes the size says where the cells of the new size are. Raises what `Backbone.forward_features` raises.
    """
    known = tuple({length: Cells.pixels()} for length in images.shape[-2:])

    def follow(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        for axis, places in enumerate(known):
            before, after = inputs[0].shape[-2:][axis], output.shape[-2:][axis]
            if before != after and before in places:
                kernel, stride, padding, dilation = (
                    value[axis] if isinstance(value, tuple) else value
                    for value in (layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1))
                )
                places.setdefault(after, places[before].through((kernel - 1) * dilation + 1, stride, padding))

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)]
    hooks = [layer.register_forward_hook(follow) for layer in layers]
    try:
        features = model.forward_features(images, (stage,))[stage]
    finally:
        for hook in hooks:
            hook.remove()
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
