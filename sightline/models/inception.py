"""Inception v3: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015 (arXiv:1512.00567).

GoogLeNet's idea with the windows taken apart: 5x5 as two 3x3 (section 3.1), 7x7 as 1x7 and 7x1 (section 3.2), maps that
shrink in branches side by side (section 5), batch normalisation everywhere. Names of parameters are those of torchvision's
published checkpoint, which was Google's; it reads 299 x 299 pixels.

Where the published network departs from the paper:
- From the first max pool to the 35 x 35 cells it has a 1x1 convolution to 80 channels, a 3x3 to 192 and a second max pool;
  Table 1 has three 3x3 convolutions, to 80, to 192 with stride 2, and to 288.
- The modules of Figure 5 keep one true 5x5 branch.
- The auxiliary classifier has a 5x5 convolution to 768 channels before its linear layer.

And where this departs from torchvision's: weights start as He et al. derive (see `initialise`), and maps of less than 17 x 17
cells are averaged to the 5 x 5 cells that the auxiliary classifier reads, so that images of any size can train.

Shape letters: `N` batch, `C` channels, `H W` pixels of the image, `K` classes.
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.errors import InputError
from sightline.models.backbone import Backbone, initialise

# Branches by their published names: (channels, kernel) of each convolution in order. FORK is 1x3 and 3x1 side by side.
FORK = (0, 0)
Branches = Mapping[str, tuple[tuple[int, tuple[int, int]], ...]]
_1X1, _3X3, _5X5, _1X7, _7X1 = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)
FIGURE_5: Branches = {
    "branch1x1": ((64, _1X1),),
    "branch5x5": ((48, _1X1), (64, _5X5)),
    "branch3x3dbl": ((64, _1X1), (96, _3X3), (96, _3X3)),
}
FIGURE_7: Branches = {
    "branch1x1": ((320, _1X1),),
    "branch3x3": ((384, _1X1), (384, FORK)),
    "branch3x3dbl": ((448, _1X1), (384, _3X3), (384, FORK)),
}
SHRINK_35: Branches = {"branch3x3": ((384, _3X3),), "branch3x3dbl": ((64, _1X1), (96, _3X3), (96, _3X3))}
SHRINK_17: Branches = {
    "branch3x3": ((192, _1X1), (320, _3X3)),
    "branch7x7x3": ((192, _1X1), (192, _1X7), (192, _7X1), (192, _3X3)),
}


def figure_6(width: int) -> Branches:
    """The branches for 17 x 17 cells; `width` is what they narrow the map to."""
    return {
        "branch1x1": ((192, _1X1),),
        "branch7x7": ((width, _1X1), (width, _1X7), (192, _7X1)),
        "branch7x7dbl": ((width, _1X1), (width, _7X1), (width, _1X7), (width, _7X1), (192, _1X7)),
    }


# Channels of the branch that pools; those without are the modules that shrink the map.
MODULES: dict[str, tuple[Branches, int]] = {
    "5b": (FIGURE_5, 32),  # to (N, 256, 35, 35)
    "5c": (FIGURE_5, 64),
    "5d": (FIGURE_5, 64),
    "6a": (SHRINK_35, 0),  # to (N, 768, 17, 17)
    "6b": (figure_6(128), 192),
    "6c": (figure_6(160), 192),
    "6d": (figure_6(160), 192),
    "6e": (figure_6(192), 192),
    "7a": (SHRINK_17, 0),  # to (N, 1280, 8, 8)
    "7b": (FIGURE_7, 192),
    "7c": (FIGURE_7, 192),  # to (N, 2048, 8, 8)
}
# Stride of the first convolution, whether the first max pool is there, and the shortest side that leaves a cell, in pixels.
STEMS = {
    "imagenet": (2, True, 75),  # strides 2, 4, 8, 16, 32
    "small": (1, False, 21),  # strides 1, 1, 2, 4, 8
}


class ConvUnit(nn.Module):
    """A convolution, batch normalisation and ReLU; padded to keep the size at stride 1 unless `padded` is false."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: tuple[int, int], stride: int = 1, padded: bool = True
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else 0
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to (N, out_channels, h / stride, w / stride), less the border where it is not padded."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Branches over one map, concatenated in depth.

    With `pooled` channels, the last branch is a 3x3 average pool and a 1x1 convolution to so many, and the map keeps its
    size. With 0 it is a max pool of stride 2, and so is the last convolution of each other branch.
    """

    def __init__(self, in_channels: int, branches: Branches, pooled: int) -> None:
        super().__init__()
        self.chains: list[list[tuple[str, ...]]] = []  # names of what each branch runs through; two of a fork
        self.out_channels = pooled or in_channels
        for branch, convolutions in branches.items():
            channels, chain = in_channels, []
            for number, (width, kernel) in enumerate(convolutions, start=1):
                name = f"{branch}_{number}" if len(convolutions) > 1 else branch
                shrinks = not pooled and number == len(convolutions)
                stride, padded = (2, False) if shrinks else (1, True)
                forked = {f"{name}a": (1, 3), f"{name}b": (3, 1)} if kernel == FORK else {name: kernel}
                for unit, shape in forked.items():
                    self.add_module(unit, ConvUnit(channels, width, shape, stride, padded))
                chain.append(tuple(forked))
                channels = width * len(forked)
            self.chains.append(chain)
            self.out_channels += channels
        self.branch_pool = ConvUnit(in_channels, pooled, _1X1) if pooled else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to (N, out_channels, h, w), or half of h and w for a module that shrinks."""
        outputs = []
        for chain in self.chains:
            y = x
            for names in chain:
                ends = [self.get_submodule(name)(y) for name in names]
                y = torch.cat(ends, dim=1) if len(ends) > 1 else ends[0]
            outputs.append(y)
        if self.branch_pool is None:
            outputs.append(F.max_pool2d(x, kernel_size=3, stride=2))
        else:
            outputs.append(self.branch_pool(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1)))
        return torch.cat(outputs, dim=1)


class AuxiliaryClassifier(nn.Module):
    """A small classifier on the last 17 x 17 map (section 4)."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = ConvUnit(in_channels, 128, _1X1)
        self.conv1 = ConvUnit(128, 768, _5X5, padded=False)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to logits (N, K)."""
        large = min(x.shape[2:]) >= 17
        x = F.avg_pool2d(x, kernel_size=5, stride=3) if large else F.adaptive_avg_pool2d(x, 5)
        x = self.conv1(self.conv0(x))  # (N, 768, 1, 1)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


class InceptionV3(Backbone):
    """A stem of five convolutions, eleven inception modules, global average pooling, one linear layer.

    `auxiliary` says whether the auxiliary classifier is there, on the map of 6e. It takes part when `forward` is asked for
    it, and never otherwise. The stem "small" is for images of up to 64 pixels: a first convolution with stride 1 and no
    first max pool.

    Raises `UnknownNameError` for an unknown stem, `InputError` for a count below 1.

    >>> model = inception_v3(num_classes=10, stem="small").eval()
    >>> model.strides
    {'2b': 1, '4a': 1, '5d': 2, '6e': 4, '7c': 8}
    >>> logits, aux = model(torch.zeros(1, 3, 32, 32), auxiliary=True)
    >>> logits.shape, aux.shape
    (torch.Size([1, 10]), torch.Size([1, 10]))
    """

    first = "Conv2d_1a_3x3.conv"
    head = "fc"
    stems = tuple(STEMS)
    auxiliary_parts = ("AuxLogits",)

    def __init__(
        self, *, num_classes: int = 1000, in_channels: int = 3, stem: str = "imagenet", auxiliary: bool = True
    ) -> None:
        super().__init__()
        self.check_arguments(num_classes, in_channels, stem)
        stride, first_pool, self.smallest = STEMS[stem]
        self.in_channels = in_channels
        self.stem = stem

        self.Conv2d_1a_3x3 = ConvUnit(in_channels, 32, _3X3, stride, padded=False)
        self.Conv2d_2a_3x3 = ConvUnit(32, 32, _3X3, padded=False)
        self.Conv2d_2b_3x3 = ConvUnit(32, 64, _3X3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2) if first_pool else nn.Identity()
        self.Conv2d_3b_1x1 = ConvUnit(64, 80, _1X1)
        self.Conv2d_4a_3x3 = ConvUnit(80, 192, _3X3, padded=False)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        channels = 192
        for name, (branches, pooled) in MODULES.items():
            module = Inception(channels, branches, pooled)
            self.add_module(f"Mixed_{name}", module)
            channels = module.out_channels
            if name == "6e" and auxiliary:
                self.AuxLogits = AuxiliaryClassifier(channels, num_classes)
                self.auxiliary_heads = ("AuxLogits.fc",)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(channels, num_classes)

        finest = stride * (2 if first_pool else 1)
        self.stages = ("2b", "4a", "5d", "6e", "7c")
        self.channels = {"2b": 64, "4a": 192, "5d": 288, "6e": 768, "7c": channels}
        self.strides = {"2b": stride, "4a": finest, "5d": 2 * finest, "6e": 4 * finest, "7c": 8 * finest}
        initialise(self)

    def parts(self, stage: str) -> tuple[nn.Module, ...]:
        """See `Backbone.parts`. Shapes are for 299 x 299 images and the stem "imagenet"."""
        return {
            "2b": (self.Conv2d_1a_3x3, self.Conv2d_2a_3x3, self.Conv2d_2b_3x3),  # (N, 64, 147, 147)
            "4a": (self.maxpool1, self.Conv2d_3b_1x1, self.Conv2d_4a_3x3),  # (N, 192, 71, 71)
            "5d": (self.maxpool2, *self._mixed("5b", "5c", "5d")),  # (N, 288, 35, 35)
            "6e": self._mixed("6a", "6b", "6c", "6d", "6e"),  # (N, 768, 17, 17)
            "7c": self._mixed("7a", "7b", "7c"),  # (N, 2048, 8, 8)
        }[stage]

    def head_pooling(self) -> tuple[nn.Module, ...]:
        """See `Backbone.head_pooling`."""
        return (self.avgpool,)  # (N, 2048, 1, 1)

    def head_layers(self) -> tuple[nn.Module, ...]:
        """See `Backbone.head_layers`."""
        return self.dropout, self.fc  # (N, K)

    def forward(  # type: ignore[override]  # a tuple for those alone who ask for one
        self, images: Tensor, auxiliary: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Normalised float images (N, C, H, W) to logits (N, K); with `auxiliary`, and those of the auxiliary classifier.

        Raises `InputError` for images of another shape, and for `auxiliary` where there is no such classifier.
        """
        if not auxiliary:
            return super().forward(images)
        if not self.auxiliary_heads:
            raise InputError("This InceptionV3 has no auxiliary classifier. Build it with auxiliary=True.")
        maps = self.forward_features(images, ("6e", "7c"))
        return self.classify(maps["7c"]), self.AuxLogits(maps["6e"])

    def _mixed(self, *names: str) -> tuple[nn.Module, ...]:
        return tuple(self.get_submodule(f"Mixed_{name}") for name in names)


inception_v3 = partial(InceptionV3)  # 23,834,568 parameters for 1000 classes, 27,161,264 with the auxiliary classifier
