"""A classifier read as a fully convolutional network: its linear layers are convolutions that see one position.

"Position-wise" fully connected layers: a linear layer on a flattened C x k x k map is a k x k convolution with the same
weights, and one on a vector is a 1 x 1 convolution (Sermanet et al. 2014, arXiv:1312.6229, section 3.5; Simonyan and
Zisserman 2015, arXiv:1409.1556, section 3.2). At the training size the result has one cell, with the classifier's own
logits. On a larger image it has a cell for each window of the training size, one stride apart, for little more than the
price of one.

Shape letters: `N` batch, `C` channels, `H W` pixels, `h w` cells, `K` classes.
"""

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from sightline.errors import InputError
from sightline.ops.pooling import equal_bins

if TYPE_CHECKING:
    from sightline.models.backbone import Backbone


class FullyConvolutional(nn.Module):
    """`backbone`, trained at `image_size` pixels, as a network from images to maps of logits. Weights are shared.

    Raises `InputError` when the head pools the map at `image_size` in a way that is no convolution's: in bins of unequal
    size or at unequal steps (AlexNet at 288 pixels has 8 x 8 cells for its 6 x 6).

    >>> from sightline.models import create_model
    >>> model = create_model("resnet18", num_classes=10).eval().as_fully_convolutional(224)
    >>> model(torch.zeros(1, 3, 256, 320)).shape
    torch.Size([1, 10, 2, 4])
    """

    stride: int
    """Image pixels between neighbouring cells of the map."""
    window: int
    """Side of the part of the image that one cell judges, in pixels: the size of training."""

    def __init__(self, backbone: "Backbone", image_size: int) -> None:
        super().__init__()
        self.backbone = backbone
        *before, adaptive = backbone.head_pooling()
        grid = cast(int, cast(nn.AdaptiveAvgPool2d, adaptive).output_size)
        side = self._side(nn.Sequential(*before), image_size)
        bins, step = equal_bins(side, grid)
        if not bins:
            raise InputError(
                f"At {image_size} pixels the last map of {type(backbone).__name__} has {side} x {side} cells and its first "
                f"linear layer reads {grid} x {grid}, so it cannot be read as a convolution. Give a size at which the map "
                "has as many cells (224 for the published networks)."
            )
        self.pooling = nn.Sequential(*before, nn.AvgPool2d(bins, step) if bins > 1 else nn.Identity())
        self.head = nn.Sequential(*_convolutions(backbone.head_layers(), grid))
        pools = [module for module in before if isinstance(module, nn.MaxPool2d)]
        self.stride = max(backbone.strides.values()) * step
        for pool in pools:
            self.stride *= cast(int, pool.stride)
        self.window = image_size
        self.train(backbone.training)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, C, H, W), each side at least `window`, to logits (N, K, h, w).

        Raises `InputError` for images that are too small.
        """
        height, width = images.shape[-2:]
        if min(height, width) < self.window:
            raise InputError(
                f"Images must be at least {self.window} x {self.window} pixels here, the size of training; "
                f"got {height} x {width}. Enlarge them."
            )
        last = self.backbone.stages[-1]
        return self.head(self.pooling(self.backbone.forward_features(images, (last,))[last]))  # type: ignore[no-any-return]

    def _side(self, before: nn.Sequential, image_size: int) -> int:
        """Cells along a side of the map that the head pools, at `image_size`."""
        weight = next(self.backbone.parameters())
        training = self.backbone.training
        self.backbone.eval()  # a look at the shape must not move the batch statistics
        with torch.no_grad():
            images = weight.new_zeros(1, self.backbone.in_channels, image_size, image_size)
            last = self.backbone.stages[-1]
            side: int = before(self.backbone.forward_features(images, (last,))[last]).shape[-1]
        self.backbone.train(training)
        return side


def _convolutions(layers: tuple[nn.Module, ...], grid: int) -> list[nn.Module]:
    """The layers with each linear one as a convolution: the first over `grid` x `grid` cells, the others over one."""
    made: list[nn.Module] = []
    kernel = grid
    for layer in layers:
        if isinstance(layer, nn.Linear):
            channels = layer.in_features // kernel**2
            conv = nn.Conv2d(channels, layer.out_features, kernel, device="meta")
            # Flattening runs over channels, rows, columns, as the kernel does: the same numbers in the same order.
            conv.weight = nn.Parameter(layer.weight.view(-1, channels, kernel, kernel), layer.weight.requires_grad)
            conv.bias = layer.bias
            made.append(conv)
            kernel = 1
        else:
            made.append(layer)
    return made
