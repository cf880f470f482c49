"""ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015 (arXiv:1512.03385).

A block computes F(x) and adds x to it (section 3.2, equation 1), so its convolutions learn what to change about x.
Names of parameters are those of torchvision's published checkpoints.

Where this departs from the paper:
- The stride of a bottleneck is in its 3x3 convolution ("v1.5", a little more accurate, and what the published weights
  were trained with). The paper's placement, in the first 1x1, is `resnet50_2015` and its like.
- Shortcuts that change the shape are projections (option B of section 3.3); options A and C are not offered.
- `zero_init` starts each block as the identity (Goyal et al. 2017, arXiv:1706.02677, section 5.1). Bottlenecks learn
  more with it and basic blocks less: see `docs/reference/results.md`.
- The stems "small" and "small_pooled" are for images of up to 64 pixels, of which the paper's would leave little.
  (The paper's own CIFAR networks, section 4.2, are thinner and are not built here.)

Shape letters: `N` batch, `C` channels, `H W` pixels of the image, `K` classes.
"""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from sightline.errors import InputError, UnknownNameError
from sightline.models.backbone import Backbone

# Kernel and stride of the first convolution, and whether a 3x3 stride-2 max pool follows.
STEMS = {
    "imagenet": (7, 2, True),  # conv1 of Table 1; strides 4, 8, 16, 32
    "small_pooled": (3, 1, True),  # strides 2, 4, 8, 16
    "small": (3, 1, False),  # strides 1, 2, 4, 8
}
STRIDE_IN = ("3x3", "1x1")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the bypass (Figure 5, left): ResNet-18 and 34."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, stride_in: str = "3x3") -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = _conv(in_channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, out_channels, 3)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to (N, width, h / stride, w / stride), rounded up."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))  # (N, width, h / stride, w / stride)
        x = self.bn2(self.conv2(x))
        return self.relu(x + shortcut)  # type: ignore[no-any-return]

    def last_norm(self) -> nn.BatchNorm2d:
        """The normalisation just before the addition."""
        return self.bn2


class Bottleneck(nn.Module):
    """1x1 to reduce, 3x3, 1x1 to restore, and the bypass (Figure 5, right): ResNet-50, 101, 152."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, stride_in: str = "3x3") -> None:
        super().__init__()
        out_channels = width * self.expansion
        first, middle = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.conv1 = _conv(in_channels, width, 1, first)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, middle)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to (N, 4 * width, h / stride, w / stride), rounded up."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))  # (N, width, h, w); h / stride here with stride_in="1x1"
        x = self.relu(self.bn2(self.conv2(x)))  # (N, width, h / stride, w / stride)
        x = self.bn3(self.conv3(x))  # (N, 4 * width, h / stride, w / stride)
        return self.relu(x + shortcut)  # type: ignore[no-any-return]

    def last_norm(self) -> nn.BatchNorm2d:
        """The normalisation just before the addition."""
        return self.bn3


class ResNet(Backbone):
    """The networks of Table 1: a stem, four stages of blocks, global average pooling, one linear layer.

    `blocks` is the number of blocks in each stage. With the stem "imagenet" the strides are 4, 8, 16, 32; see `STEMS`.
    `zero_init` sets the scale of each block's last normalisation to 0, so that the block starts as the identity.
    `stride_in` ("3x3" or "1x1") says which convolution of a bottleneck shrinks the map.

    Raises `UnknownNameError` for an unknown stem or stride placement, `InputError` for a count below 1.

    >>> import torch
    >>> model = resnet18(num_classes=10, stem="small")
    >>> maps = model.forward_features(torch.zeros(1, 3, 32, 32), ["c2", "c5"])
    >>> {stage: tuple(features.shape) for stage, features in maps.items()}
    {'c2': (1, 64, 32, 32), 'c5': (1, 512, 4, 4)}
    """

    first = "conv1"
    head = "fc"
    stems = tuple(STEMS)

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: Sequence[int],
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        zero_init: bool = False,
        stride_in: str = "3x3",
        stem: str = "imagenet",
    ) -> None:
        super().__init__()
        self.check_arguments(num_classes, in_channels, stem)
        if stride_in not in STRIDE_IN:
            raise UnknownNameError("stride_in", str(stride_in), STRIDE_IN)
        if stride_in == "1x1" and block is BasicBlock:
            raise InputError(
                "stride_in='1x1' is for bottleneck blocks (resnet50 and deeper): a basic block has no 1x1."
            )
        self.in_channels = in_channels
        self.stride_in = stride_in
        self.stem = stem

        kernel, stride, pool = STEMS[stem]
        self.conv1 = _conv(in_channels, 64, kernel, stride)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1) if pool else nn.Identity()
        e = block.expansion
        self.layer1 = _stage(block, blocks[0], 64, 64, stride=1, stride_in=stride_in)  # conv2_x of Table 1
        self.layer2 = _stage(block, blocks[1], 64 * e, 128, stride=2, stride_in=stride_in)  # conv3_x
        self.layer3 = _stage(block, blocks[2], 128 * e, 256, stride=2, stride_in=stride_in)  # conv4_x
        self.layer4 = _stage(block, blocks[3], 256 * e, 512, stride=2, stride_in=stride_in)  # conv5_x
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512 * e, num_classes)

        finest = stride * (2 if pool else 1)
        self.stages = ("c1", "c2", "c3", "c4", "c5")
        self.channels = {"c1": 64, "c2": 64 * e, "c3": 128 * e, "c4": 256 * e, "c5": 512 * e}
        self.strides = {"c1": stride, "c2": finest, "c3": 2 * finest, "c4": 4 * finest, "c5": 8 * finest}
        self._initialise(zero_init)

    def parts(self, stage: str) -> tuple[nn.Module, ...]:
        """See `Backbone.parts`. Shapes are for 224 x 224 images, the stem "imagenet" and basic blocks."""
        return {
            "c1": (self.conv1, self.bn1, self.relu),  # (N, 64, 112, 112)
            "c2": (self.maxpool, self.layer1),  # (N, 64, 56, 56)
            "c3": (self.layer2,),  # (N, 128, 28, 28)
            "c4": (self.layer3,),  # (N, 256, 14, 14)
            "c5": (self.layer4,),  # (N, 512, 7, 7)
        }[stage]

    def head_pooling(self) -> tuple[nn.Module, ...]:
        """See `Backbone.head_pooling`."""
        return (self.avgpool,)  # (N, 512, 1, 1)

    def head_layers(self) -> tuple[nn.Module, ...]:
        """See `Backbone.head_layers`."""
        return (self.fc,)  # (N, K)

    def _initialise(self, zero_init: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015b, arXiv:1502.01852, section 2.2, backward case
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init and isinstance(module, BasicBlock | Bottleneck):
                nn.init.zeros_(module.last_norm().weight)


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    # No bias: the batch norm that follows would subtract it again.
    return nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(_conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


def _stage(
    block: type[BasicBlock] | type[Bottleneck], count: int, in_channels: int, width: int, *, stride: int, stride_in: str
) -> nn.Sequential:
    blocks = [block(in_channels, width, stride, stride_in)]
    blocks += [block(width * block.expansion, width, 1, stride_in) for _ in range(count - 1)]
    return nn.Sequential(*blocks)


# The columns of Table 1, with their parameters for 1000 classes. Those of 2015 shrink the map where the paper does.
resnet18 = partial(ResNet, BasicBlock, (2, 2, 2, 2))  # 11,689,512
resnet34 = partial(ResNet, BasicBlock, (3, 4, 6, 3))  # 21,797,672
resnet50 = partial(ResNet, Bottleneck, (3, 4, 6, 3))  # 25,557,032
resnet101 = partial(ResNet, Bottleneck, (3, 4, 23, 3))  # 44,549,160
resnet152 = partial(ResNet, Bottleneck, (3, 8, 36, 3))  # 60,192,808
resnet50_2015 = partial(ResNet, Bottleneck, (3, 4, 6, 3), stride_in="1x1")
resnet101_2015 = partial(ResNet, Bottleneck, (3, 4, 23, 3), stride_in="1x1")
resnet152_2015 = partial(ResNet, Bottleneck, (3, 8, 36, 3), stride_in="1x1")
