"""VGG: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015 (arXiv:1409.1556).

Five blocks of 3x3 convolutions, a max pool after each, three linear layers. Names of parameters are those of torchvision's
published checkpoints.

Where this departs from the paper:
- Configurations A, B, D and E of Table 1 are built; C (with 1x1 convolutions) and A-LRN are not.
- Each also comes with batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) after every convolution.
- The linear layers read 7 x 7 cells, which are those of a 224 x 224 image; other maps are averaged to that. The paper's
  reading of larger images is `as_fully_convolutional`.
- Weights start as He et al. derive (see `initialise`), so that all depths learn from the start. The paper draws those of A
  from N(0, 0.01) and starts the deeper ones from a trained A.

Shape letters: `N` batch, `C` channels, `H W` pixels of the image, `K` classes.
"""

from functools import partial

from torch import nn

from sightline.models.backbone import Backbone, initialise

# The columns of Table 1: channels of the convolutions in each block; every block ends in a 2x2 max pool.
CONFIGURATIONS = {
    "A": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "B": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "D": ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    "E": ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512, 512, 512, 512)),
}
# Cells along a side of the last map that the first linear layer reads.
STEMS = {
    "imagenet": 7,  # 224 px: 112 -> 56 -> 28 -> 14 -> 7 cells
    "small": 1,  # 32 px: 16 -> 8 -> 4 -> 2 -> 1 cell
}


class VGG(Backbone):
    """One configuration of Table 1, with or without batch normalisation.

    A stage is a block up to its last ReLU, before its max pool: "conv5" of `vgg16` is the paper's conv5_3 at stride 16.
    The stem "small" is for images of up to 64 pixels: the convolutions stay as they are (their first map has the image's
    own resolution anyway), and the first linear layer reads 1 x 1 cells in place of 7 x 7.

    Raises `UnknownNameError` for an unknown stem, `InputError` for a count below 1.

    >>> import torch
    >>> model = vgg16_bn(num_classes=10, stem="small")
    >>> model.forward_features(torch.zeros(1, 3, 32, 32), ["conv5"])["conv5"].shape
    torch.Size([1, 512, 2, 2])
    """

    first = "features.0"
    head = "classifier.6"
    stems = tuple(STEMS)
    stem_layers = ("classifier.0",)
    smallest = 32

    def __init__(
        self,
        configuration: str,
        batch_norm: bool,
        /,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        stem: str = "imagenet",
    ) -> None:
        super().__init__()
        self.check_arguments(num_classes, in_channels, stem)
        grid = STEMS[stem]
        self.in_channels = in_channels
        self.stem = stem

        layers: list[nn.Module] = []
        self._pools: list[int] = []  # where in `features` each block ends
        channels = in_channels
        for block in CONFIGURATIONS[configuration]:
            for width in block:
                layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
                layers += [nn.BatchNorm2d(width)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                channels = width
            self._pools.append(len(layers))
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        self.classifier = nn.Sequential(
            nn.Linear(512 * grid**2, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, num_classes),
        )

        self.stages = ("conv1", "conv2", "conv3", "conv4", "conv5")
        self.channels = {"conv1": 64, "conv2": 128, "conv3": 256, "conv4": 512, "conv5": 512}
        self.strides = {"conv1": 1, "conv2": 2, "conv3": 4, "conv4": 8, "conv5": 16}
        initialise(self)

    def parts(self, stage: str) -> tuple[nn.Module, ...]:
        """See `Backbone.parts`: the max pool of the block before, then the block without its own."""
        block = self.stages.index(stage)
        start = self._pools[block - 1] if block else 0
        return tuple(self.features)[start : self._pools[block]]

    def head_pooling(self) -> tuple[nn.Module, ...]:
        """See `Backbone.head_pooling`. Shapes are for 224 x 224 images and the stem "imagenet"."""
        return self.features[-1], self.avgpool  # (N, 512, 7, 7), and no change

    def head_layers(self) -> tuple[nn.Module, ...]:
        """See `Backbone.head_layers`."""
        return tuple(self.classifier)  # (N, K)


# With their parameters for 1000 classes, in millions; batch normalisation adds 0.01.
vgg11, vgg11_bn = partial(VGG, "A", False), partial(VGG, "A", True)  # 132.86
vgg13, vgg13_bn = partial(VGG, "B", False), partial(VGG, "B", True)  # 133.05
vgg16, vgg16_bn = partial(VGG, "D", False), partial(VGG, "D", True)  # 138.36
vgg19, vgg19_bn = partial(VGG, "E", False), partial(VGG, "E", True)  # 143.67
