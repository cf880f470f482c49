"""The networks by name. A new one is a new file and one line here; the contract tests then run over it."""

import inspect
from collections.abc import Callable
from typing import Any

from sightline.errors import InputError, UnknownNameError
from sightline.models.alexnet import alexnet, alexnet_2012
from sightline.models.backbone import Backbone
from sightline.models.detectors import faster_rcnn, fasterrcnn_resnet50_fpn, fasterrcnn_resnet50_fpn_v2
from sightline.models.faster_rcnn import FasterRCNN
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
from sightline.models.unet import UNet, unet, unet_2015
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

DETECTORS: dict[str, Callable[..., FasterRCNN]] = {
    "faster_rcnn": faster_rcnn,
    "fasterrcnn_resnet50_fpn": fasterrcnn_resnet50_fpn,
    "fasterrcnn_resnet50_fpn_v2": fasterrcnn_resnet50_fpn_v2,
}
"""Networks that find objects."""

SEGMENTERS: dict[str, Callable[..., UNet]] = {
    "unet": unet,
    "unet_2015": unet_2015,
}
"""Networks that name the class of each pixel."""

Network = Backbone | FasterRCNN | UNet
MODELS: dict[str, Callable[..., Network]] = {**BACKBONES, **DETECTORS, **SEGMENTERS}
"""Everything that `create_model` builds."""

DETECTOR_BACKBONE = "resnet50"
"""The classifier that a detector stands on when none is named."""
USUAL_CLASSES = {"faster_rcnn": 90, "unet": 2, "unet_2015": 2}
"""Classes of networks that say no number themselves."""


def create_backbone(name: str, num_classes: int = 1000, **arguments: Any) -> Backbone:
    """A new, untrained classifier for `num_classes` classes; `arguments` are those of its builder.

    Raises `UnknownNameError` for a name that is not in `BACKBONES`, `InputError` for an argument that the builder does not
    take or a value that it refuses.

    >>> create_backbone("resnet18", num_classes=10, stem="small").strides
    {'c1': 1, 'c2': 1, 'c3': 2, 'c4': 4, 'c5': 8}
    """
    if name not in BACKBONES:
        raise UnknownNameError("classifier", name, BACKBONES)
    _check_arguments(name, BACKBONES[name], arguments)
    return BACKBONES[name](num_classes=num_classes, **arguments)


def create_model(name: str, num_classes: int | None = None, **arguments: Any) -> Network:
    """A new, untrained network of any kind; `arguments` are those of its builder.

    Without `num_classes` it has as many classes as the published ones. Where a builder takes a `backbone`, that is a name
    in `BACKBONES` here, with `backbone_arguments`, or a classifier that exists already, which then becomes part of the new
    network. Raises `UnknownNameError` for a name that there is not, `InputError` for an argument that the builder does not
    take or a value that it refuses.

    >>> create_model("faster_rcnn", num_classes=3, backbone="resnet18", neck="fpn").num_classes
    3
    >>> create_model("resnet18", depth=3)
    Traceback (most recent call last):
    sightline.errors.InputError: resnet18 does not take the argument 'depth'. It takes: num_classes, in_channels, ...
    """
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    builder = MODELS[name]
    own = arguments.pop("backbone_arguments", {}) if "backbone" in inspect.signature(builder).parameters else {}
    _check_arguments(name, builder, arguments)
    body = arguments.get("backbone", DETECTOR_BACKBONE if name == "faster_rcnn" else None)
    if isinstance(body, str):
        arguments["backbone"] = create_backbone(body, **own)
    classes = USUAL_CLASSES.get(name) if num_classes is None else num_classes
    return builder(**({} if classes is None else {"num_classes": classes}), **arguments)


def _check_arguments(name: str, builder: Callable[..., object], arguments: dict[str, Any]) -> None:
    accepted = inspect.signature(builder).parameters
    for argument, value in arguments.items():
        if argument not in accepted:
            takes = [*accepted, *(["backbone_arguments"] if "backbone" in accepted else [])]
            raise InputError(f"{name} does not take the argument {argument!r}. It takes: {', '.join(takes)}.")
        # "False" and "no" from a command line are words, which Python takes for true.
        if isinstance(accepted[argument].default, bool) and not isinstance(value, bool):
            raise InputError(f"{name}: {argument} is true or false, got {value!r}.")
