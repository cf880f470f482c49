"""The detectors by name: Faster R-CNN on a classifier, and the two that torchvision publishes."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from torch import Tensor, nn

from sightline.errors import InputError, UnknownNameError
from sightline.models.backbone import Backbone
from sightline.models.detector_settings import Judging, Proposing
from sightline.models.faster_rcnn import FasterRCNN
from sightline.models.resnet import resnet50

Settings = Mapping[str, Any]
"""Fields of `Proposing` or `Judging` by name; lists stand for tuples, as in a recipe."""

# Names in older files of published detectors, and today's.
_OLD_NAMES = (
    (re.compile(r"^rpn\.head\.conv\.(weight|bias)$"), r"rpn.head.conv.0.0.\1"),
    (re.compile(r"^backbone\.fpn\.(inner|layer)_blocks\.(\d+)\.(weight|bias)$"), r"backbone.fpn.\1_blocks.\2.0.\3"),
)


def faster_rcnn(
    *,
    num_classes: int,
    backbone: Backbone,
    neck: str = "none",
    stages: Sequence[str] | None = None,
    width: int = 256,
    hidden: int | None = None,
    proposing: Settings | None = None,
    judging: Settings | None = None,
) -> FasterRCNN:
    """Faster R-CNN (arXiv:1506.01497) on any of our classifiers; see `FasterRCNN` for the arguments.

    `proposing` and `judging` are what is to differ from the defaults of `Proposing` and `Judging`.

    >>> from sightline.models.resnet import resnet18
    >>> model = faster_rcnn(num_classes=3, backbone=resnet18(), neck="fpn", proposing={"samples": 64})
    >>> model.rpn.settings.samples, model.rpn.strides
    (64, (4, 8, 16, 32, 64))
    """
    _check_stages(backbone, stages)
    return FasterRCNN(
        backbone,
        num_classes=num_classes,
        neck=neck,
        stages=stages,
        width=width,
        hidden=hidden,
        proposing=settings(Proposing, "proposing", proposing),
        judging=settings(Judging, "judging", judging),
    )


def fasterrcnn_resnet50_fpn(
    *,
    num_classes: int = 90,
    in_channels: int = 3,
    norm_eps: float = 1e-5,
    proposing: Settings | None = None,
    judging: Settings | None = None,
) -> FasterRCNN:
    """The detector of that name in torchvision: ResNet-50, a feature pyramid (arXiv:1612.03144), a head of 1024.

    Its published weights were trained with frozen batch norms that add nothing to the variance: `norm_eps=0`.
    COCO numbers its 80 classes up to 90, and so do the weights.
    """
    body = resnet50(in_channels=in_channels)
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = norm_eps
    proposing = _in_padding(proposing)
    model = faster_rcnn(num_classes=num_classes, backbone=body, neck="fpn", proposing=proposing, judging=judging)
    return _published(model)


def fasterrcnn_resnet50_fpn_v2(
    *,
    num_classes: int = 90,
    in_channels: int = 3,
    proposing: Settings | None = None,
    judging: Settings | None = None,
) -> FasterRCNN:
    """The second version in torchvision, after Li et al. 2021 (arXiv:2111.11429): batch norms everywhere, deeper heads."""
    body = resnet50(in_channels=in_channels)
    proposing = _in_padding(proposing)
    model = faster_rcnn(num_classes=num_classes, backbone=body, neck="fpn_v2", proposing=proposing, judging=judging)
    return _published(model)


def settings(kind: type[Any], name: str, given: Settings | None) -> Any:
    """A `kind` (`Proposing` or `Judging`) with the fields that are given, as the recipe's table `name` has them.

    Raises `InputError` for a field that there is not, or a value that it refuses.

    >>> settings(Proposing, "proposing", {"ratios": [0.5, 1, 1.5]}).ratios
    (0.5, 1, 1.5)
    """
    known = [field.name for field in fields(kind)]
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"{name}: expected a table of settings, got {given!r}.")
    for key in given or {}:
        if key not in known:
            raise InputError(f"{name}.{key}: there is no such setting. Known here: {', '.join(known)}.")
    try:
        return kind(**{key: _tuples(value) for key, value in (given or {}).items()})
    except (TypeError, IndexError) as error:
        shown = ", ".join(f"{key} = {value!r}" for key, value in (given or {}).items())
        raise InputError(
            f"{name}: a value is of another kind than expected ({error}): {shown}. sizes are a list of numbers for each map, "
            "such as [[32], [64]]; ratios, candidates, proposals and background_iou are lists of numbers."
        ) from error


def _check_stages(backbone: Backbone, stages: Sequence[str] | None) -> None:
    """Raise unless these are maps of the backbone, each half as fine as the one before: regions are dealt out by that."""
    if stages is None:
        return
    if isinstance(stages, str) or not stages:
        raise InputError(f"stages: expected a list of names, such as {list(backbone.stages[-2:])}, got {stages!r}.")
    for stage in stages:
        if stage not in backbone.stages:
            raise UnknownNameError(f"stage of {type(backbone).__name__}", str(stage), backbone.stages)
    strides = [backbone.strides[stage] for stage in stages]
    if any(coarse != 2 * fine for fine, coarse in itertools.pairwise(strides)):
        raise InputError(
            f"stages: expected maps finest first, each of twice the stride of the one before; {', '.join(stages)} have the "
            f"strides {', '.join(map(str, strides))}."
        )


def current_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a published detector under today's names, whatever the age of its file.

    >>> import torch
    >>> list(current_names({"rpn.head.conv.weight": torch.zeros(1)}))
    ['rpn.head.conv.0.0.weight']
    """
    renamed = {}
    for name, tensor in tensors.items():
        for old, new in _OLD_NAMES:
            name = old.sub(new, name)
        renamed[name] = tensor
    return renamed


def _in_padding(given: Settings | None) -> Settings | None:
    """With reference boxes in the padding, as torchvision's detectors have them, unless it says otherwise."""
    return {"in_padding": True, **(given or {})} if given is None or isinstance(given, Mapping) else given


def _published(model: FasterRCNN) -> FasterRCNN:
    """The same, which also takes a state with old names."""

    def rename(_: nn.Module, state: dict[str, Tensor], *__: object) -> None:
        tensors = current_names(state)
        state.clear()
        state.update(tensors)

    model.register_load_state_dict_pre_hook(rename)  # type: ignore[no-untyped-call]
    return model


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
