"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", 2014 (arXiv:1409.4842).

Nine inception modules: each looks at its map through 1x1, 3x3 and 5x5 windows and through a max pool, side by side, and
concatenates what they find in depth. 1x1 convolutions before the larger ones keep the cost down. Two auxiliary classifiers
on the way help the gradient in training and are left out of everything else.

Two forms:
- `googlenet_2014` is the paper's Table 1: true 5x5 branches, biases and no batch normalisation, local response normalisation
  where Figure 3 has it, all pools 3x3, dropout 0.4, auxiliary classifiers on a 5x5 average pool of stride 3.
- `googlenet` is what torchvision publishes weights for, with its parameter names: batch normalisation with eps 1e-3 and no
  biases, 3x3 in the "5x5" branch, a last max pool of 2x2, dropout 0.2, auxiliary classifiers on an adaptive 4 x 4 pool.

Where `googlenet_2014` departs from the paper, or the paper leaves a choice:
- The paper does not give the constants of the normalisation; AlexNet's are taken.
- Pools without padding round the number of cells up, which gives the sizes of Table 1.
- Weights start as He et al. derive (see `initialise`); the paper does not say.
- Maps of another size than 14 x 14 are averaged to the 4 x 4 cells that the auxiliary classifiers read.

Shape letters: `N` batch, `C` channels, `H W` pixels of the image, `K` classes.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.errors import InputError
from sightline.models.backbone import Backbone, initialise
from sightline.models.local_response import LocalResponseNorm

# Table 1, the columns from "#1x1" to "pool proj".
TABLE_1 = {
    #      1x1   3x3: reduce, out   5x5: reduce, out   pool proj
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
# Kernel and stride of the first convolution, and whether the second max pool is there.
STEMS = {
    "imagenet": (7, 2, True),  # strides 2, 4, 8, 16, 32
    "small": (3, 1, False),  # strides 1, 2, 2, 4, 8
}


class ConvUnit(nn.Module):
    """A convolution that keeps the size at stride 1, batch normalisation unless `paper`, and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, paper: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=paper)
        self.bn = nn.Identity() if paper else nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to (N, out_channels, h / stride, w / stride), rounded up."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four branches over one map, side by side (Figure 2b). `row` is a row of Table 1."""

    def __init__(self, in_channels: int, row: tuple[int, int, int, int, int, int], paper: bool) -> None:
        super().__init__()
        one, reduce_three, three, reduce_five, five, projection = row
        unit = partial(ConvUnit, paper=paper)
        self.branch1 = unit(in_channels, one, 1)
        self.branch2 = nn.Sequential(unit(in_channels, reduce_three, 1), unit(reduce_three, three, 3))
        self.branch3 = nn.Sequential(unit(in_channels, reduce_five, 1), unit(reduce_five, five, 5 if paper else 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), unit(in_channels, projection, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to (N, one + three + five + projection, h, w)."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class AuxiliaryClassifier(nn.Module):
    """A small classifier on a map half way (section 5): it gives the layers below it a gradient of their own."""

    def __init__(self, in_channels: int, num_classes: int, paper: bool) -> None:
        super().__init__()
        self.paper = paper
        self.conv = ConvUnit(in_channels, 128, 1, paper=paper)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(0.7)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to logits (N, K)."""
        if self.paper and min(x.shape[2:]) >= 14:
            x = F.avg_pool2d(x, kernel_size=5, stride=3)  # 14 x 14 to 4 x 4
        x = self.conv(F.adaptive_avg_pool2d(x, 4))  # (N, 128, 4, 4)
        x = F.relu(self.fc1(x.flatten(1)), inplace=True)  # (N, 1024)
        return self.fc2(self.dropout(x))  # type: ignore[no-any-return]


class GoogLeNet(Backbone):
    """Table 1 of the paper: a stem, nine inception modules, global average pooling, one linear layer.

    `auxiliary` says whether the two auxiliary classifiers are there, on the maps of 4a and 4d. They take part when
    `forward` is asked for them, and never otherwise. The stem "small" is for images of up to 64 pixels: a first convolution
    of 3x3 with stride 1 in place of 7x7 with stride 2, and no second max pool.

    Raises `UnknownNameError` for an unknown stem, `InputError` for a count below 1.

    >>> model = googlenet(num_classes=10, stem="small")
    >>> model.strides
    {'conv1': 1, 'conv2': 2, '3b': 2, '4e': 4, '5b': 8}
    >>> logits, aux1, aux2 = model(torch.zeros(2, 3, 32, 32), auxiliary=True)
    >>> logits.shape, aux1.shape, aux2.shape
    (torch.Size([2, 10]), torch.Size([2, 10]), torch.Size([2, 10]))
    """

    first = "conv1.conv"
    head = "fc"
    stems = tuple(STEMS)
    auxiliary_parts = ("aux1", "aux2")

    def __init__(
        self,
        paper: bool,
        /,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        stem: str = "imagenet",
        auxiliary: bool = True,
    ) -> None:
        super().__init__()
        self.check_arguments(num_classes, in_channels, stem)
        kernel, stride, second_pool = STEMS[stem]
        self.in_channels = in_channels
        self.stem = stem
        self.smallest = (31 if paper else 15) if stem == "imagenet" else (8 if paper else 4)

        self.conv1 = ConvUnit(in_channels, 64, kernel, stride, paper=paper)
        self.maxpool1 = _pool()
        self.norm1 = LocalResponseNorm() if paper else nn.Identity()
        self.conv2 = ConvUnit(64, 64, 1, paper=paper)
        self.conv3 = ConvUnit(64, 192, 3, paper=paper)
        self.norm2 = LocalResponseNorm() if paper else nn.Identity()
        self.maxpool2 = _pool() if second_pool else nn.Identity()
        self.maxpool3 = _pool()
        self.maxpool4 = _pool(3 if paper else 2)
        channels, after = 192, {}
        for name, row in TABLE_1.items():
            self.add_module(f"inception{name}", Inception(channels, row, paper))
            channels = after[name] = row[0] + row[2] + row[4] + row[5]
        if auxiliary:
            self.aux1 = AuxiliaryClassifier(after["4a"], num_classes, paper)
            self.aux2 = AuxiliaryClassifier(after["4d"], num_classes, paper)
            self.auxiliary_heads = ("aux1.fc2", "aux2.fc2")
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.4 if paper else 0.2)
        self.fc = nn.Linear(1024, num_classes)

        finest = 2 * stride * (2 if second_pool else 1)
        self.stages = ("conv1", "conv2", "3b", "4e", "5b")
        self.channels = {"conv1": 64, "conv2": 192, "3b": after["3b"], "4e": after["4e"], "5b": after["5b"]}
        self.strides = {"conv1": stride, "conv2": 2 * stride, "3b": finest, "4e": 2 * finest, "5b": 4 * finest}
        initialise(self)

    def parts(self, stage: str) -> tuple[nn.Module, ...]:
        """See `Backbone.parts`. Shapes are for 224 x 224 images and the stem "imagenet"."""
        return {
            "conv1": (self.conv1,),  # (N, 64, 112, 112)
            "conv2": (self.maxpool1, self.norm1, self.conv2, self.conv3, self.norm2),  # (N, 192, 56, 56)
            "3b": (self.maxpool2, *self._modules_of("3a", "3b")),  # (N, 480, 28, 28)
            "4e": (self.maxpool3, *self._modules_of("4a", "4b", "4c", "4d", "4e")),  # (N, 832, 14, 14)
            "5b": (self.maxpool4, *self._modules_of("5a", "5b")),  # (N, 1024, 7, 7)
        }[stage]

    def head_pooling(self) -> tuple[nn.Module, ...]:
        """See `Backbone.head_pooling`."""
        return (self.avgpool,)  # (N, 1024, 1, 1)

    def head_layers(self) -> tuple[nn.Module, ...]:
        """See `Backbone.head_layers`."""
        return self.dropout, self.fc  # (N, K)

    def forward(  # type: ignore[override]  # a tuple for those alone who ask for one
        self, images: Tensor, auxiliary: bool = False
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Normalised float images (N, C, H, W) to logits (N, K); with `auxiliary`, and those of aux1 and aux2.

        Raises `InputError` for images of another shape, and for `auxiliary` where there are no such classifiers.
        """
        if not auxiliary:
            return super().forward(images)
        if not self.auxiliary_heads:
            raise InputError("This GoogLeNet has no auxiliary classifiers. Build it with auxiliary=True.")
        x = self.forward_features(images, ("3b",))["3b"]
        maps = []
        for part in (*self.parts("4e"), *self.parts("5b")):
            x = part(x)
            if part in (self.inception4a, self.inception4d):
                maps.append(x)
        at_4a, at_4d = maps  # (N, 512, 14, 14) and (N, 528, 14, 14)
        return self.classify(x), self.aux1(at_4a), self.aux2(at_4d)

    def _modules_of(self, *names: str) -> list[nn.Module]:
        return [self.get_submodule(f"inception{name}") for name in names]


def _pool(kernel: int = 3) -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)


googlenet = partial(
    GoogLeNet, False
)  # 6,624,904 parameters for 1000 classes, 13,004,888 with the auxiliary classifiers
googlenet_2014 = partial(GoogLeNet, True)  # 6,998,552 and 13,378,280
