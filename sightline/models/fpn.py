"""What a detector reads: stages of a classifier, and the feature pyramid over them. Lin et al., "Feature Pyramid Networks for
Object Detection", 2017 (arXiv:1612.03144).

Every level of a pyramid gets the same number of channels and, from the top down, what the coarser levels know. Names of
parameters are those of torchvision's published detectors.

Where this departs from the paper, as the published weights do:
- One level more, every second cell of the coarsest, for the largest objects (the paper's footnote 2).
- `norm` puts batch normalisation after each convolution (the second version of torchvision's detector).

Shape letters: `N` batch, `C` channels, `h w` cells of a map.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from sightline.models.backbone import Backbone
from sightline.ops.cells import first_cells

EXTRA = "pool"
"""Name of the additional coarsest level."""
_LARGE = 1024  # pixels: maps of different strides differ in length


class FeaturePyramid(nn.Module):
    """Maps of a backbone, finest first, to maps of `out_channels` each, and one coarser.

    >>> import torch
    >>> pyramid = FeaturePyramid([8, 16], out_channels=4)
    >>> maps = pyramid({"c4": torch.zeros(1, 8, 6, 6), "c5": torch.zeros(1, 16, 3, 3)})
    >>> {name: tuple(level.shape) for name, level in maps.items()}
    {'c4': (1, 4, 6, 6), 'c5': (1, 4, 3, 3), 'pool': (1, 4, 2, 2)}
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int = 256, norm: bool = False) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(_conv(channels, out_channels, 1, norm) for channels in in_channels)
        self.layer_blocks = nn.ModuleList(_conv(out_channels, out_channels, 3, norm) for _ in in_channels)

    def forward(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """(N, C_i, h_i, w_i), finest first, to (N, out_channels, h_i, w_i) under the same names, and `EXTRA`."""
        names = list(maps)
        merged: list[Tensor] = []
        for name, inner in zip(reversed(names), reversed(self.inner_blocks), strict=True):
            lateral = inner(maps[name])
            if merged:
                lateral = lateral + F.interpolate(merged[-1], size=lateral.shape[-2:], mode="nearest")
            merged.append(lateral)
        levels = {
            name: layer(level) for name, layer, level in zip(names, self.layer_blocks, reversed(merged), strict=True)
        }
        levels[EXTRA] = F.max_pool2d(levels[names[-1]], kernel_size=1, stride=2)
        return levels


class Features(nn.Module):
    """The stages of a classifier that are used, and the pyramid over them where there is one."""

    def __init__(self, body: Backbone, stages: Sequence[str], pyramid: FeaturePyramid | None) -> None:
        super().__init__()
        self.body = body
        self.stages = tuple(stages)
        self.fpn = pyramid

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, C, H, W) to maps (N, C_level, h, w), finest first. Too small images are padded with 0, right and below.

        On the coarsest map they have two cells a side at least: of one alone a batch norm could not learn.
        """
        least = self.body.smallest + self.body.strides[self.stages[-1]]
        below, beside = (self.body.size_for(max(side, least)) - side for side in images.shape[2:])
        images = F.pad(images, (0, beside, 0, below)) if below or beside else images
        maps = self.body.forward_features(images, self.stages)
        return maps if self.fpn is None else self.fpn(maps)

    def offsets(self) -> list[float]:
        """Pixels by which cells of each stage lie further to the right and below than where published detectors see them.

        That is at multiples of the stride, where a ResNet has them to half a pixel. Networks that pad less are up to more
        than a cell off. What is off by less than half a cell on every map, as VGG by its pools, is left: all 0.
        """
        first = first_cells(self, self.body.in_channels, self.body.size_for(_LARGE))
        offsets = [first[stage] - 0.5 for stage in self.stages]
        large = any(offset >= self.body.strides[s] / 2 for s, offset in zip(self.stages, offsets, strict=True))
        return offsets if large else [0.0] * len(offsets)


def default_stages(backbone: Backbone, pyramid: bool) -> tuple[str, ...]:
    """With a pyramid every stage from stride 4 on; without, the coarsest up to stride 16."""
    if pyramid:
        fine = min(4, max(backbone.strides.values()))
        coarsest_of = {stride: stage for stage, stride in backbone.strides.items() if stride >= fine}
        return tuple(coarsest_of.values())
    return (max((stage for stage in backbone.stages if backbone.strides[stage] <= 16), key=backbone.stages.index),)


def _conv(in_channels: int, out_channels: int, kernel: int, norm: bool) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=not norm)
    nn.init.kaiming_uniform_(conv.weight, a=1)  # uniform, with the variance 1 / fan_in of a linear layer
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels)) if norm else nn.Sequential(conv)
