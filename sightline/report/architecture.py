"""What a network is made of: every layer of one forward pass, with its shapes and its cost.

The network is run once and each call that torch gets is noted: which module made it, which layers its inputs came from,
what came out. On the meta device that takes no memory, no weights and no time, whatever the size of the network. Of a
detector, whose head runs on as many regions as it proposes, one region is run.

Shape letters: `C` channels, `H W` cells, `K` classes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sightline.errors import InputError
from sightline.models.backbone import Backbone
from sightline.models.faster_rcnn import FasterRCNN
from sightline.models.fpn import EXTRA
from sightline.models.unet import UNet

IMAGES = "images"
"""Kind of the first layer, which stands for what the network is given."""

# What torch calls them, what we call them, and the names of their arguments by position.
FUNCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "conv2d": ("conv", ("input", "weight", "bias", "stride", "padding", "dilation", "groups")),
    "conv_transpose2d": ("up-conv", ("input", "weight", "bias", "stride", "padding", "output_padding", "groups")),
    "linear": ("linear", ("input", "weight", "bias")),
    "batch_norm": ("batch norm", ("input",)),
    "relu": ("ReLU", ("input",)),
    "relu_": ("ReLU", ("input",)),
    "max_pool2d": ("max pool", ("input", "kernel_size", "stride")),
    "avg_pool2d": ("avg pool", ("input", "kernel_size", "stride")),
    "adaptive_avg_pool2d": ("avg pool", ("input", "output_size")),
    "interpolate": ("upsample", ("input",)),
    "dropout": ("dropout", ("input", "p")),
    "add": ("add", ("input", "other")),
    "add_": ("add", ("input", "other")),
    "__iadd__": ("add", ("input", "other")),
    "cat": ("concat", ("tensors",)),
}
# Modules of ours that are one layer to a reader, by class; what they call is not looked at.
MODULES = {"LocalResponseNorm": "LRN"}

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One operation of a forward pass."""

    name: str
    """Path of the module that does it: with ".weight" its parameters in a checkpoint. Empty for the network itself."""
    kind: str
    """"conv", "up-conv", "batch norm", "ReLU", "max pool", "avg pool", "LRN", "upsample", "linear", "dropout", "add", "concat",
    "RoIAlign", "RoIPool", "images"."""
    inputs: tuple[int, ...]
    """Positions of the layers that it reads."""
    output: tuple[int, ...]
    """(C, H, W), or (K,) for a vector; the batch is left out."""
    kernel: Pair | None = None
    """Height and width of its window, where it has one."""
    stride: Pair | None = None
    """Steps of the window."""
    groups: int = 1
    """Parts that the channels of a convolution fall into."""
    parameters: int = 0
    """Trainable numbers that no earlier layer has counted."""
    multiply_adds: int = 0
    """Of convolutions and linear layers for one image; biases, normalisation and pooling cost little and are not counted."""
    per_region: bool = False
    """Whether it runs once for each region of a detector; its cost is that of one."""
    auxiliary: bool = False
    """Whether it is part of a classifier that helps in training alone."""
    stage: str | None = None
    """The stage of the backbone whose feature map this is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """The layers of a network in the order in which they run; the first stands for the images."""

    layers: tuple[Layer, ...]
    trunk: int | None = None
    """How many of them, from the first on, lead to the coarsest feature map of a segmenter or detector; None for a classifier."""
    strides: Mapping[str, int] = field(default_factory=dict)
    """Image pixels a cell of each stage."""
    regions: int | None = None
    """Most regions of an image that the head of a detector looks at; None for what is none."""

    def parameters(self, *, auxiliary: bool = False) -> int:
        """Trainable numbers of the network, or of its auxiliary classifiers."""
        return sum(layer.parameters for layer in self.layers if layer.auxiliary == auxiliary)

    def multiply_adds(self, *, auxiliary: bool = False) -> int:
        """For one image, of the network, or of its auxiliary classifiers; of a detector with one region."""
        return sum(layer.multiply_adds for layer in self.layers if layer.auxiliary == auxiliary)

    def multiply_adds_of_region(self) -> int:
        """For one region of a detector; 0 of other networks."""
        return sum(layer.multiply_adds for layer in self.layers if layer.per_region)


def trace(model: Backbone | FasterRCNN | UNet, image_size: int) -> Architecture:
    """The architecture of `model` for images of `image_size` x `image_size` pixels.

    Of a U-Net it is that of `UNet.raw`: the margins that the paper's form loses are part of the images. Raises `InputError` for
    a size that the network cannot take.

    >>> from sightline.models import create_model
    >>> with torch.device("meta"):
    ...     model = create_model("resnet18")
    >>> architecture = trace(model, 224)
    >>> architecture.parameters(), architecture.multiply_adds()
    (11689512, 1814073344)
    >>> architecture.layers[1].name, architecture.layers[1].kind, architecture.layers[1].output
    ('conv1', 'conv', (64, 112, 112))
    """
    training = model.training
    model.eval()  # batch statistics must not move
    images = next(model.parameters()).new_empty(1, model.in_channels, image_size, image_size)
    recorder = _Recorder(model, images)
    with torch.no_grad(), recorder.watching(model), recorder:
        ends = _ends(model, images, recorder)
    model.train(training)
    needed = _sources(recorder.layers, [recorder.source[id(end)] for end in ends])
    layers = [replace(layer, auxiliary=position not in needed) for position, layer in enumerate(recorder.layers)]
    body, order, position = _body(model), sorted(needed), 1
    for stage in body.stages:
        for part in body.parts(stage):  # one after the other; a pool may be the same one in several stages
            modules = set(part.modules())
            while position < len(order) and recorder.owners[order[position]] in modules:
                position += 1
        last = order[position - 1]
        layers[last] = replace(layers[last], stage=stage)
    return Architecture(
        layers=tuple(layers),
        trunk=None if body is model else order[position - 1] + 1,
        strides=dict(body.strides),
        regions=model.rpn.settings.proposals[1] if isinstance(model, FasterRCNN) else None,
    )


def _body(model: Backbone | FasterRCNN | UNet) -> Backbone:
    """The part of a network that has stages."""
    if isinstance(model, FasterRCNN):
        return model.backbone.body
    return model.backbone if isinstance(model, UNet) else model


def _ends(model: Backbone | FasterRCNN | UNet, images: Tensor, recorder: "_Recorder") -> Sequence[Tensor]:
    """Run the network; what it gives, without what auxiliary classifiers do."""
    if isinstance(model, UNet):
        around, side = 2 * model.margin, images.shape[-1]
        fitting = model.size_for(side - around) + around
        if fitting != side:
            raise InputError(
                f"This network takes sides of {model.smallest + around} pixels and any multiple of {model.multiple} more, "
                f"not {side}; the next is {fitting}. In use, other pictures are mirrored at their borders up to such a size."
            )
        return [model.raw(images)]
    if isinstance(model, FasterRCNN):
        maps = model.backbone(images)
        proposed = [end for features in maps.values() for end in model.rpn.head(features)]
        fine = [features for name, features in maps.items() if name != EXTRA]
        return [*proposed, *model.roi_heads.box_predictor(model.roi_heads.box_head(recorder.region(model, fine)))]
    return [model(images, auxiliary=True)[0] if model.auxiliary_heads else model(images)]


class _Recorder(TorchFunctionMode):
    """Notes a layer for each call of torch that is one."""

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.layers = [Layer(name="", kind=IMAGES, inputs=(), output=tuple(images.shape[1:]))]
        self.owners: list[nn.Module | None] = [None]  # the module that made each
        self.source = {id(images): 0}  # tensor -> the layer that it came from
        self.kept: list[Any] = [images]  # a tensor that were freed could leave its id to another
        self.inside: list[tuple[str, nn.Module]] = [("", model)]  # the modules that are running, outermost first
        self.counted: set[int] = set()  # parameters
        self.per_region = False

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Know which module of `model` runs."""
        hooks = []
        for name, module in model.named_modules():
            hooks.append(module.register_forward_pre_hook(self._entering(name)))
            hooks.append(module.register_forward_hook(self._leaving))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def region(self, model: FasterRCNN, maps: Sequence[Tensor]) -> Tensor:
        """One region as the head of a detector reads it, (1, C, k, k); all that follows is for one region."""
        heads = model.roi_heads
        pooled = maps[0].new_empty(1, maps[0].shape[1], heads.grid, heads.grid)
        self.kept.append(pooled)
        self.per_region = True
        self.inside.append(("roi_heads", heads))
        self._note("RoIPool" if heads.settings.pooling == "pool" else "RoIAlign", self._sources(maps), pooled, {})
        self.inside.pop()
        return pooled

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and not _is_opaque(self.inside[-1][1]):
            self.kept.append(out)
            kind, names = FUNCTIONS.get(func.__name__, (func.__name__, ()))
            given = {**dict(zip(names, args, strict=False)), **(kwargs or {})}
            sources = self._sources((args, kwargs))
            if (func.__name__ in FUNCTIONS and given.get("p") != 0) or len(sources) > 1:
                self._note(kind, sources, out, given)
            elif sources:  # flattening and the like
                self.source[id(out)] = sources[0]
        return out

    def _note(self, kind: str, sources: Iterable[int], out: Tensor, given: dict[str, Any]) -> None:
        name, owner = self.inside[-1]
        weight = given["weight"] if kind in ("conv", "linear", "up-conv") else None
        uses = given["input"] if kind == "up-conv" else out  # each weight is used once for each of its cells
        cost = uses.numel() // weight.shape[0] * weight.numel() if weight is not None else 0
        kernel, stride = _window(given, out)
        self.source[id(out)] = len(self.layers)
        self.owners.append(owner)
        self.layers.append(
            Layer(
                name=name,
                kind=kind,
                inputs=tuple(sources),
                output=tuple(out.shape[1:]),
                kernel=kernel,
                stride=stride,
                groups=given.get("groups", 1),
                parameters=self._parameters(owner),
                multiply_adds=cost,
                per_region=self.per_region,
            )
        )

    def _parameters(self, owner: nn.Module) -> int:
        new = [parameter for parameter in owner.parameters(recurse=False) if id(parameter) not in self.counted]
        self.counted.update(map(id, new))
        return sum(parameter.numel() for parameter in new)

    def _sources(self, value: Any) -> list[int]:
        """The layers whose outputs are somewhere in `value`, in order."""
        if isinstance(value, Tensor):
            return [self.source[id(value)]] if id(value) in self.source else []
        if isinstance(value, dict):
            value = value.values()
        elif not isinstance(value, list | tuple):
            return []
        return [source for item in value for source in self._sources(item)]

    def _entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, _: self.inside.append((name, module))

    def _leaving(self, module: nn.Module, given: Any, out: Any) -> None:
        if _is_opaque(module):
            self.kept.append(out)
            self._note(MODULES[type(module).__name__], self._sources(given), out, {})
        self.inside.pop()


def _is_opaque(module: nn.Module) -> bool:
    return type(module).__name__ in MODULES


def _window(given: dict[str, Any], out: Tensor) -> tuple[Pair | None, Pair | None]:
    """Kernel and stride of a call; of an adaptive pool those that it comes to, where all its windows are alike."""
    if "output_size" in given:
        size = given["input"].shape[-2:]
        if size[0] % out.shape[-2] or size[1] % out.shape[-1]:
            return None, None
        step = size[0] // out.shape[-2], size[1] // out.shape[-1]
        return step, step
    kernel = given["weight"].shape[2:] if "weight" in given else given.get("kernel_size")
    if not kernel:
        return None, None
    return _pair(kernel), _pair(given.get("stride") or kernel)


def _pair(value: Any) -> Pair:
    height, width = (value, value) if isinstance(value, int) else value
    return height, width


def _sources(layers: list[Layer], ends: Iterable[int]) -> set[int]:
    """The layers `ends` and everything that they rest on."""
    found: set[int] = set()
    waiting = [*ends]
    while waiting:
        position = waiting.pop()
        if position not in found:
            found.add(position)
            waiting += layers[position].inputs
    return found
