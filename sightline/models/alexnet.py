"""AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012; and
its later form in one column, Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014
(arXiv:1404.5997), whose weights torchvision publishes and whose parameter names are kept here.

    layer     paper (`alexnet_2012`)            published (`alexnet`)    map at 224 px
    conv1     96 of 11x11, stride 4, LRN        64                       55 x 55
    pool      3x3, stride 2: overlapping        the same                 27 x 27
    conv2     256 of 5x5, 2 groups, LRN         192                      27 x 27
    pool                                                                 13 x 13
    conv3     384 of 3x3                        384                      13 x 13
    conv4     384 of 3x3, 2 groups              256                      13 x 13
    conv5     256 of 3x3, 2 groups              256                      13 x 13
    pool                                                                  6 x 6
    fc6, 7    4096, dropout after each          4096, dropout before each
    fc8       1000                              1000

Where `alexnet_2012` departs from the paper, or the paper leaves a choice:
- The paper says 224 pixels and draws 55 x 55 cells, which an 11x11 convolution of stride 4 without padding gives at
  227. Here two pixels of padding give them at 224. Both forms have a last map of 6 x 6 at 224 and at 227.
- Normalisation comes after the ReLU and before pooling, as in the paper's text; CaffeNet, often taken for it, pools first.
- The two groups are two halves of one tensor, not two GPUs.
- Weights start as He et al. derive (see `initialise`), so that it learns with today's optimisers and a short warm-up. The
  paper draws all from N(0, 0.01 ** 2) and sets the biases of conv2, conv4, conv5, fc6 and fc7 to 1.

Shape letters: `N` batch, `C` channels, `H W` pixels of the image, `K` classes.
"""

from dataclasses import dataclass
from functools import partial

from torch import nn

from sightline.models.backbone import Backbone, initialise
from sightline.models.local_response import LocalResponseNorm


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """What the two forms do differently."""

    widths: tuple[int, int, int, int, int]
    """Channels of conv1 to conv5."""
    groups: tuple[int, int, int, int, int]
    """Into how many parts the channels of conv1 to conv5 fall, each seeing one part of the map before."""
    normalised: bool
    """Whether local response normalisation follows the ReLU of conv1 and conv2."""
    dropout_first: bool
    """Dropout before fc6 and fc7 instead of after."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stem:
    """The first convolution, and what follows of its stride."""

    kernel: int
    stride: int
    grid: int
    """Cells along a side of the last map that fc6 reads; other maps are averaged to so many."""
    smallest: int
    """The shortest side that leaves a cell after the last pool, in pixels."""


ONE_COLUMN = Form(widths=(64, 192, 384, 256, 256), groups=(1, 1, 1, 1, 1), normalised=False, dropout_first=True)
TWO_COLUMNS = Form(widths=(96, 256, 384, 384, 256), groups=(1, 2, 1, 2, 2), normalised=True, dropout_first=False)
STEMS = {
    "imagenet": Stem(kernel=11, stride=4, grid=6, smallest=63),  # 224 px: 55 -> 27 -> 13 -> 6 cells
    "small": Stem(kernel=5, stride=1, grid=3, smallest=15),  # 32 px: 32 -> 15 -> 7 -> 3 cells
}


class AlexNet(Backbone):
    """Five convolutions and three linear layers, in one of two forms; see the table above.

    The stem "small" is for images of up to 64 pixels: a first convolution of 5x5 with stride 1 in place of 11x11 with
    stride 4, and a first linear layer that reads 3 x 3 cells in place of 6 x 6. The three pools stay.

    Raises `UnknownNameError` for an unknown stem, `InputError` for a count below 1.

    >>> import torch
    >>> model = alexnet_2012(num_classes=10, stem="small")
    >>> {stage: tuple(features.shape) for stage, features in model.forward_features(torch.zeros(1, 3, 32, 32)).items()}
    {'conv1': (1, 96, 32, 32), 'conv2': (1, 256, 15, 15), 'conv5': (1, 256, 7, 7)}
    """

    first = "features.0"
    head = "classifier.6"
    stems = tuple(STEMS)

    def __init__(self, form: Form, /, *, num_classes: int = 1000, in_channels: int = 3, stem: str = "imagenet") -> None:
        super().__init__()
        self.check_arguments(num_classes, in_channels, stem)
        kernel, stride, grid = STEMS[stem].kernel, STEMS[stem].stride, STEMS[stem].grid
        self.in_channels = in_channels
        self.stem = stem
        self.smallest = STEMS[stem].smallest

        w, g = form.widths, form.groups
        norm1, norm2 = ([LocalResponseNorm()] if form.normalised else [] for _ in range(2))
        conv1 = [nn.Conv2d(in_channels, w[0], kernel, stride, padding=2, groups=g[0]), nn.ReLU(inplace=True), *norm1]
        conv2 = [_pool(), nn.Conv2d(w[0], w[1], 5, padding=2, groups=g[1]), nn.ReLU(inplace=True), *norm2]
        conv3 = [_pool(), nn.Conv2d(w[1], w[2], 3, padding=1, groups=g[2]), nn.ReLU(inplace=True)]
        conv4 = [nn.Conv2d(w[2], w[3], 3, padding=1, groups=g[3]), nn.ReLU(inplace=True)]
        conv5 = [nn.Conv2d(w[3], w[4], 3, padding=1, groups=g[4]), nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*conv1, *conv2, *conv3, *conv4, *conv5, _pool())
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        fc6, fc7 = nn.Linear(w[4] * grid**2, 4096), nn.Linear(4096, 4096)
        hidden = [nn.Dropout(0.5), fc6, nn.ReLU(inplace=True), nn.Dropout(0.5), fc7, nn.ReLU(inplace=True)]
        if not form.dropout_first:
            hidden = [*hidden[1:4], *hidden[4:], hidden[0]]
        self.classifier = nn.Sequential(*hidden, nn.Linear(4096, num_classes))

        self.stages = ("conv1", "conv2", "conv5")
        self.channels = {"conv1": w[0], "conv2": w[1], "conv5": w[4]}
        self.strides = {"conv1": stride, "conv2": 2 * stride, "conv5": 4 * stride}
        self.stem_layers = ("classifier.1",) if form.dropout_first else ("classifier.0",)
        self._ends = (len(conv1), len(conv1) + len(conv2))
        initialise(self)

    def parts(self, stage: str) -> tuple[nn.Module, ...]:
        """See `Backbone.parts`. Shapes are for 224 x 224 images and the stem "imagenet"."""
        layers, (first, second) = tuple(self.features), self._ends
        return {
            "conv1": layers[:first],  # (N, 64 or 96, 55, 55)
            "conv2": layers[first:second],  # (N, 192 or 256, 27, 27)
            "conv5": layers[second:-1],  # (N, 256, 13, 13)
        }[stage]

    def head_pooling(self) -> tuple[nn.Module, ...]:
        """See `Backbone.head_pooling`."""
        return self.features[-1], self.avgpool  # (N, 256, 6, 6), and no change

    def head_layers(self) -> tuple[nn.Module, ...]:
        """See `Backbone.head_layers`."""
        return tuple(self.classifier)  # (N, K)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel_size=3, stride=2)


alexnet = partial(AlexNet, ONE_COLUMN)  # 61,100,840 parameters for 1000 classes
alexnet_2012 = partial(AlexNet, TWO_COLUMNS)  # 60,965,224
