"""Where the cells of a feature map lie in the picture that the map was made of.

The usual drawing stretches a map over the picture. That is right only where a layer's padding and stride happen to
balance: the cells of a ResNet's last map on 224 pixels are centred at 0.5, 32.5, ..., 192.5, not at 16, 48, ..., 208. Here
the centres are followed through the layers instead. A cell of a layer with kernel k, stride s and padding p looks at k cells
of the map before, the first of them s * i - p; its centre is the middle of theirs.

Shape letters: `N` batch, `C` channels, `H W` pixels.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.func import functional_call


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


@contextmanager
def followed(network: nn.Module, size: Sequence[int]) -> Iterator[tuple[dict[int, Cells], dict[int, Cells]]]:
    """While it lasts, a pass of a picture of `size` (H, W) fills in where cells lie, down and across: by a map's length.

    Maps of one size lie alike in all branches of a network, or they could not be added or concatenated; so a layer that
    changes the size says where the cells of the new size are.

    >>> layer = nn.Conv2d(1, 1, 2, stride=2)
    >>> with followed(layer, (4, 6)) as (down, across):
    ...     _ = layer(torch.zeros(1, 1, 4, 6))
    >>> across
    {6: Cells(first=0.5, step=1.0), 3: Cells(first=1.0, step=2.0)}
    """
    known = ({size[0]: Cells.pixels()}, {size[1]: Cells.pixels()})

    def follow(layer: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        for axis, places in enumerate(known):
            before, after = inputs[0].shape[-2:][axis], output.shape[-2:][axis]
            if before != after and before in places:
                kernel, stride, padding, dilation = (
                    value[axis] if isinstance(value, tuple) else value
                    for value in (layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1))
                )
                places.setdefault(after, places[before].through((kernel - 1) * dilation + 1, stride, padding))

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)]
    hooks = [layer.register_forward_hook(follow) for layer in layers]
    try:
        yield known
    finally:
        for hook in hooks:
            hook.remove()


def first_cells(network: nn.Module, channels: int, side: int) -> dict[str, float]:
    """The centre of cell 0 of each map, in pixels from the edge; 0.5 where the layers pad half of their windows.

    `network` makes maps by name from a picture (1, channels, side, side), which should be large enough that maps of
    different strides differ in length. Shapes alone are passed through it: it costs little, and changes nothing.
    """
    tensors = {name: tensor.to("meta") for name, tensor in (*network.named_parameters(), *network.named_buffers())}
    kinds = [tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()]
    picture = torch.empty(1, channels, side, side, device="meta", dtype=kinds[0] if kinds else None)
    modes = [(module, module.training) for module in network.modules()]
    network.eval()  # a batch norm that adds nothing to the variance refuses to be trained
    with torch.no_grad(), followed(network, (side, side)) as (places, _):
        maps = functional_call(network, tensors, (picture,))
    for module, mode in modes:
        module.training = mode
    return {name: places.get(features.shape[2], Cells.pixels()).first for name, features in maps.items()}
