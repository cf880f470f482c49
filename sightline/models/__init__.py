"""The networks by name. A new one is a new file and one line here; the contract tests then run over it."""

import inspect
from collections.abc import Callable
from typing import Any

from sightline.errors import InputError, UnknownNameError
from sightline.models.alexnet import alexnet, alexnet_2012
from sightline.models.backbone import Backbone
from sightline.models.googlenet import googlenet, googlenet_2014
from sightline.models.inception import inception_v3
from sightline.models.resnet import (
    resnet18,
    resnet34,
    resnet50,
    resnet50_2015,
    resnet101,
    resnet101_2015,
    resnet152,
    resnet152_2015,
)
from sightline.models.vgg import vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "alexnet": alexnet,
    "alexnet_2012": alexnet_2012,
    "vgg11": vgg11,
    "vgg11_bn": vgg11_bn,
    "vgg13": vgg13,
    "vgg13_bn": vgg13_bn,
    "vgg16": vgg16,
    "vgg16_bn": vgg16_bn,
    "vgg19": vgg19,
    "vgg19_bn": vgg19_bn,
    "googlenet": googlenet,
    "googlenet_2014": googlenet_2014,
    "inception_v3": inception_v3,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
    "resnet50_2015": resnet50_2015,
    "resnet101_2015": resnet101_2015,
    "resnet152_2015": resnet152_2015,
}
"""Networks with named feature maps: classifiers by themselves, and what detectors and segmenters stand on."""

MODELS: dict[str, Callable[..., Backbone]] = {**BACKBONES}
"""Everything that `create_model` builds."""


def create_model(name: str, num_classes: int = 1000, **arguments: Any) -> Backbone:
    """A new, untrained network for `num_classes` classes; `arguments` are those of its builder.

    Raises `UnknownNameError` for a name that is not in `MODELS`, `InputError` for an argument that the builder does not
    take or a value that it refuses.

    >>> model = create_model("resnet18", num_classes=10, stem="small")
    >>> model.strides
    {'c1': 1, 'c2': 1, 'c3': 2, 'c4': 4, 'c5': 8}
    >>> create_model("resnet18", depth=3)
    Traceback (most recent call last):
    sightline.errors.InputError: resnet18 does not take the argument 'depth'. It takes: num_classes, in_channels, ...
    """
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    accepted = inspect.signature(MODELS[name]).parameters
    for argument in arguments:
        if argument not in accepted:
            raise InputError(f"{name} does not take the argument {argument!r}. It takes: {', '.join(accepted)}.")
    return MODELS[name](num_classes=num_classes, **arguments)
