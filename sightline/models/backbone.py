"""The contract that every classification network keeps, and that detectors and segmenters build on.

A backbone is a chain of stages. Each stage ends in a feature map with a name, a number of channels and a stride (how
many pixels of the image one cell of the map stands for). Maps are always given finest first. The classifier head is
separate: `forward` is the stages and then the head, `forward_features` is the stages alone.

Worked example, a ResNet-18 and images of 224 x 224 pixels:

    stage   channels   stride   map
    c1            64        2   (N,  64, 112, 112)
    c2            64        4   (N,  64, 56, 56)
    c3           128        8   (N, 128, 28, 28)
    c4           256       16   (N, 256, 14, 14)
    c5           512       32   (N, 512,  7,  7)      -> head -> logits (N, K)

Neighbouring cells lie one stride apart: a side that grows by the stride gives a map that grows by one cell. Networks
that pad (ResNet, VGG, GoogLeNet) round a side that is no multiple of the stride up, or down in VGG; AlexNet, which pads
little, loses a cell or two at the border.

To write a new one: set `stages`, `channels`, `strides`, `in_channels`, `first`, `head`, `stems`; call `check_arguments`;
say in `parts` which modules make each stage, in `head_pooling` and `head_layers` what makes the logits. Set `smallest` if
the paper's arithmetic does not allow every size, `stem_layers` if the stem decides on more than the first convolution,
`auxiliary_parts` and `auxiliary_heads` if there are further classifiers for training.

Shape letters: `N` batch, `C` channels, `H W` pixels, `K` classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

from torch import Tensor, nn

from sightline.errors import InputError, UnknownNameError
from sightline.models.fully_convolutional import FullyConvolutional


class Backbone(nn.Module, ABC):
    """A network with named feature maps and a classifier head."""

    stages: tuple[str, ...]
    """Names of the feature maps, finest first."""
    channels: dict[str, int]
    """Channels of each map."""
    strides: dict[str, int]
    """Image pixels a cell of each map."""
    in_channels: int
    """Channels of the images: 3 for RGB."""
    first: ClassVar[str]
    """Name of the convolution that sees the image; its shape depends on the stem and on `in_channels`."""
    head: ClassVar[str]
    """Name of the last linear layer, the only one whose shape depends on the number of classes."""
    stems: ClassVar[tuple[str, ...]] = ()
    """Names of the stems that the family has: "imagenet" is the paper's, "small" is for images of up to 64 pixels."""
    stem_layers: tuple[str, ...] = ()
    """Names of further layers whose shape depends on the stem: a first linear layer that reads all cells of a map."""
    auxiliary_parts: ClassVar[tuple[str, ...]] = ()
    """Names of the classifiers that help in training alone, whether or not this one was built with them."""
    auxiliary_heads: tuple[str, ...] = ()
    """Names of the last linear layers of those that it was built with. A network that has some takes `auxiliary=True` in
    `forward` and then returns a tuple: the logits, and the (N, K) logits of each of these."""
    smallest: int = 1
    """Height and width must be at least this, in pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen: tuple[str, ...] = ()  # stages that `freeze` has fixed, finest first

    def check_arguments(self, num_classes: object, in_channels: object, stem: object) -> None:
        """Raise `InputError` for a count below 1, `UnknownNameError` for a stem that the family does not have."""
        check_count("num_classes", num_classes)
        check_count("in_channels", in_channels)
        if stem not in self.stems:
            raise UnknownNameError("stem", str(stem), self.stems)

    @abstractmethod
    def parts(self, stage: str) -> tuple[nn.Module, ...]:
        """The modules that lead from the map before `stage` (or from the images) to the map of `stage`, in order."""

    @abstractmethod
    def head_pooling(self) -> tuple[nn.Module, ...]:
        """The modules that lead from the last map to the one that the head reads; the last is `nn.AdaptiveAvgPool2d`."""

    @abstractmethod
    def head_layers(self) -> tuple[nn.Module, ...]:
        """What makes logits of that map once it is flattened, in order: linear layers, and what is between them."""

    def classify(self, features: Tensor) -> Tensor:
        """The last map, (N, C, h, w), to logits (N, K)."""
        for module in self.head_pooling():
            features = module(features)
        features = features.flatten(1)
        for module in self.head_layers():
            features = module(features)
        return features

    def as_fully_convolutional(self, image_size: int = 224) -> FullyConvolutional:
        """This network with its linear layers read as convolutions: a map of logits over an image of any larger size.

        `image_size` is the side that it was trained at, in pixels: there the map has one cell, with the same logits.
        The weights are shared, not copied. Raises `InputError` for a size at which no such reading is exact.
        """
        check_count("image_size", image_size)
        return FullyConvolutional(self, image_size)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised float images (N, C, H, W) to logits (N, K). Raises `InputError` for another shape."""
        last = self.stages[-1]
        return self.classify(self.forward_features(images, (last,))[last])

    def forward_features(self, images: Tensor, stages: Sequence[str] | None = None) -> dict[str, Tensor]:
        """The feature maps of the `stages` asked for (all by default), finest first whatever the order asked in.

        `images` are normalised floats, (N, C, H, W). Nothing coarser than the coarsest stage asked for is computed.
        Raises `InputError` for images of the wrong shape, `UnknownNameError` for a stage that is not there.
        """
        wanted = self.stages if stages is None else stages
        for stage in wanted:
            self._check_stage(stage)
        self.check_images(images)
        maps: dict[str, Tensor] = {}
        features = images
        for stage in self.stages[: 1 + max((self.stages.index(stage) for stage in wanted), default=-1)]:
            for part in self.parts(stage):
                features = part(features)
            if stage in wanted:
                maps[stage] = features
        return maps

    @property
    def num_classes(self) -> int:
        """`K`, the number of logits."""
        head = self.get_submodule(self.head)
        assert isinstance(head, nn.Linear)
        return head.out_features

    @property
    def replaceable(self) -> tuple[str, ...]:
        """Names of the layers whose shape depends on the stem, the images' channels or the number of classes."""
        return (self.first, *self.stem_layers, self.head, *self.auxiliary_heads)

    def replace_head(self, num_classes: int) -> None:
        """Put a new, untrained last layer for `num_classes` classes in place of the old one, on the same device.

        Auxiliary classifiers get theirs too.
        """
        check_count("num_classes", num_classes)
        for head in (self.head, *self.auxiliary_heads):
            old = self.get_submodule(head)
            assert isinstance(old, nn.Linear)
            new = nn.Linear(old.in_features, num_classes, device=old.weight.device, dtype=old.weight.dtype)
            parent, _, name = head.rpartition(".")
            setattr(self.get_submodule(parent), name, new)

    def keep_stages(self, last: str) -> None:
        """Drop what comes after the stage `last`, the head included: what is left gives feature maps only.

        Raises `UnknownNameError` for an unknown stage.
        """
        self._check_stage(last)
        coarser = self.stages[self.stages.index(last) + 1 :]
        dropped = {module for stage in coarser for module in self.parts(stage)} | set(self.head_layers())
        dropped |= {self.get_submodule(head.rpartition(".")[0]) for head in self.auxiliary_heads}
        for name, module in list(self.named_modules()):
            if module in dropped:
                parent, _, own = name.rpartition(".")
                setattr(self.get_submodule(parent), own, nn.Identity())
        self.stages = self.stages[: self.stages.index(last) + 1]
        self.channels = {stage: self.channels[stage] for stage in self.stages}
        self.strides = {stage: self.strides[stage] for stage in self.stages}
        self.auxiliary_heads = ()

    def freeze(self, stage: str) -> None:
        """Fix everything from the image up to and including `stage`: it is a constant function from here on.

        Its parameters take no gradient, and its batch norms keep their statistics, also after `.train()`.
        Freezing the last stage leaves the head alone to be trained. Raises `UnknownNameError` for an unknown stage.
        """
        self._check_stage(stage)
        count = max(1 + self.stages.index(stage), len(self.frozen))  # freezing less later does not thaw
        self.frozen = self.stages[:count]
        for name in self.frozen:
            for part in self.parts(name):
                part.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """As in torch, but frozen stages stay in evaluation mode."""
        super().train(mode)
        for name in self.frozen:
            for part in self.parts(name):
                part.eval()
        return self

    def check_images(self, images: Tensor) -> None:
        """Raise `InputError` unless `images` are floats (N, in_channels, H, W) of a size that the network can take."""
        name = type(self).__name__
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise InputError(f"{name} expects images (N, {self.in_channels}, H, W), got {tuple(images.shape)}.")
        if not images.is_floating_point():
            raise InputError(
                f"{name} expects normalised floats, got {images.dtype}. Use sightline.ops.images.normalise first."
            )
        height, width = images.shape[2:]
        right_height, right_width = self.size_for(height), self.size_for(width)
        if (height, width) != (right_height, right_width):
            raise InputError(
                f"{name} cannot take images of {height} x {width} pixels (height x width): each side must have at least "
                f"{self.smallest}. Enlarge or pad them to {right_height} x {right_width}."
            )

    def size_for(self, side: int) -> int:
        """The nearest allowed length, in pixels, of a side that is not shorter than `side`."""
        return side if side >= self.smallest else self.smallest

    def _check_stage(self, stage: str) -> None:
        if stage not in self.stages:
            raise UnknownNameError(f"stage of {type(self).__name__}", stage, self.stages)


def check_count(name: str, value: object) -> None:
    """Raise `InputError` unless `value` is a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name}: expected a whole number of at least 1, got {value!r}.")


def initialise(model: Backbone) -> None:
    """Fill a new network so that it learns from the start, with or without normalisation layers.

    Convolutions and hidden linear layers keep the variance of what flows forward (He et al. 2015b, arXiv:1502.01852,
    section 2.2); biases are 0. The last linear layers start small, so that all classes are about equally probable.
    """
    last = {model.get_submodule(name) for name in (model.head, *model.auxiliary_heads)}
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if module in last:
                nn.init.normal_(module.weight, std=0.01)
            else:
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
