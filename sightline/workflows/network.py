"""The network of a run: built as its recipe says, filled with the weights that training starts from, partly fixed."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sightline import checkpoint
from sightline.config import ModelConfig
from sightline.errors import CheckpointError, ConfigError
from sightline.models import BACKBONES, SEGMENTERS, Network, create_backbone, create_model
from sightline.models.faster_rcnn import FasterRCNN
from sightline.models.resnet import Bottleneck
from sightline.models.weights import LoadReport, Published, find, find_file, is_published, load_file, load_published

_WHICH = "model.backbone_weights: {} does not say which classifier it is for. Say it with --backbone, such as --backbone resnet18."


def new_network(model: ModelConfig, class_names: Sequence[str]) -> tuple[Network, LoadReport | None]:
    """The network at the start of its training, and what came from a file; the layers for classes of other names do not.

    `model` is complete, see `sightline.workflows.plan`. Raises `WeightsError` for weights that are not to be had or not for
    this network, `ConfigError` when a stage is to be fixed that no weights have filled.
    """
    loaded, num_classes = None, len(class_names)
    if model.backbone_weights != "none":
        network, loaded = _on_trained(model, num_classes)
    else:
        network = create_model(model.name, num_classes=num_classes, **model.arguments)
        if is_published(model.weights):
            loaded = load_published(network, model.name, model.weights)
        elif model.weights != "none":
            untrained = _of_classes(network, model)
            loaded = load_file(network, checkpoint.run_weights(Path(model.weights)))
            header = header_of(model.weights)
            if header is not None and header.class_names != tuple(class_names):
                network.load_state_dict(untrained, strict=False)
                again = [name for name in untrained if name not in loaded.new]
                loaded = replace(loaded, new=(*loaded.new, *again), loaded=loaded.loaded - len(again))
    if model.freeze:
        freeze(network, model.freeze, loaded)
    return network, loaded


def _of_classes(network: Network, model: ModelConfig) -> dict[str, Tensor]:
    """The tensors of a network whose shape depends on how many classes there are, as they are now."""
    with torch.device("meta"):
        one, two = (create_model(model.name, num_classes=number, **model.arguments).state_dict() for number in (1, 2))
    return {name: t.clone() for name, t in network.state_dict().items() if one[name].shape != two[name].shape}


def resumed_network(model: ModelConfig, num_classes: int) -> Network:
    """The same network for weights that are loaded afterwards."""
    network = create_model(model.name, num_classes=num_classes, **model.arguments)
    if model.freeze:
        network.freeze(model.freeze)
    return network


def published(model: ModelConfig) -> Published | None:
    """The published weights that the network, or the classifier that it stands on, starts from; None without any.

    Raises `UnknownNameError` for a name that is not published for it, `ConfigError` when it is not said for which classifier.
    """
    if is_published(model.weights):
        if model.name in SEGMENTERS:
            raise ConfigError(
                f"model.weights: there are no published weights of {model.name}, but of the classifiers that unet may stand on: "
                f"--model unet --backbone resnet18 --backbone-weights {model.weights}."
            )
        return find(model.name, model.weights)
    if is_published(model.backbone_weights):
        if not model.arguments.get("backbone"):
            raise ConfigError(_WHICH.format(model.backbone_weights))
        return find(model.arguments["backbone"], model.backbone_weights)
    return None


def colours(model: ModelConfig) -> dict[str, Any]:
    """`mean` and `std` of the values that the weights which training starts from were trained on; nothing without any.

    GoogLeNet's and Inception's are not those of the others, whatever the size of the pictures.
    """
    known = origin(model)
    return {} if known is None else {"mean": known.preprocessing.mean, "std": known.preprocessing.std}


def origin(model: ModelConfig) -> Published | checkpoint.Header | None:
    """What is known of the weights that training starts from: published ones, by name or as a file, or those of a run."""
    files = model.weights, model.backbone_weights
    found = published(model) or next(filter(None, (find_file(Path(file)) for file in files)), None)
    return found or next(filter(None, map(header_of, files)), None)


def header_of(weights: str) -> checkpoint.Header | None:
    """What a run or a weights file of ours says of its network; None for other files, and for no file."""
    path = Path(weights)
    path = path / "weights" / "best.safetensors" if path.is_dir() else path
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        return checkpoint.load_header(path)
    except CheckpointError:  # tensors of someone else, which say nothing about their network
        return None


def inherited(model: ModelConfig) -> dict[str, Any]:
    """The arguments that a run or a weights file of ours was built with: other ones would load and be less accurate.

    Raises `ConfigError` when one of them was given otherwise.
    """
    header = header_of(model.weights)
    if header is None:
        return {}
    kept = {name: value for name, value in header.arguments.items() if name != "zero_init"}
    for name, value in kept.items():
        if not _agrees(model.arguments.get(name, value), value):
            raise ConfigError(
                f"model.arguments.{name}: {model.weights} was trained with {value!r}, got {model.arguments[name]!r}. Leave it out."
            )
    return kept if header.architecture == model.name else {}


def _agrees(given: Any, kept: Any) -> bool:
    """Whether what was given is what was kept; of a table, each of its entries."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return all(_agrees(value, kept.get(name)) for name, value in given.items())
    return bool(given == kept)


def starts_as_identity(name: str) -> bool:
    """Whether the blocks of a ResNet learn more from nothing when they start as the identity: bottlenecks do, basic ones learn less."""
    with torch.device("meta"):
        return any(isinstance(module, Bottleneck) for module in create_backbone(name).modules())


def on_backbone(model: ModelConfig, usual: str | None) -> dict[str, Any]:
    """Name and arguments of the classifier that a network stands on: those of the run that it comes from, where it does.

    `usual` is its name when nothing says it; with None there may be no classifier, and then nothing is to be said of one.
    Raises `ConfigError` for a run that is no classifier's.
    """
    header = header_of(model.backbone_weights)
    if header is not None and header.task != "classification":
        raise ConfigError(
            f"model.backbone_weights: {model.backbone_weights} is a {header.architecture}, trained for {header.task}. "
            "Give a classifier's run; to go on from this one, use --weights."
        )
    name = model.arguments.get("backbone") or (header.architecture if header else usual)
    if name is None:
        if model.backbone_weights == "none":
            return {}
        checkpoint.run_weights(Path(model.backbone_weights))  # says what a run without weights lacks
        raise ConfigError(_WHICH.format(model.backbone_weights))
    own: dict[str, Any] = {}
    if header is not None and header.architecture == name:
        own = {key: value for key, value in header.arguments.items() if key not in ("zero_init", "auxiliary")}
    taken = inspect.signature(BACKBONES[name]).parameters if name in BACKBONES else {}
    if "zero_init" in taken and (model.backbone_weights, model.weights) == ("none", "none"):
        own["zero_init"] = starts_as_identity(name)
    if "auxiliary" in taken:
        own["auxiliary"] = False  # only a classifier has a use for them
    return {"backbone": name, "backbone_arguments": {**own, **model.arguments.get("backbone_arguments", {})}}


def freeze(network: Network, stage: str, loaded: LoadReport | None) -> None:
    """Fix the network up to a stage; raises `ConfigError` when that would fix what no file has filled."""
    network.freeze(stage)
    if loaded is None:
        raise ConfigError(
            f"--freeze {stage} would fix layers that no weights have filled: nothing could be learned from what they give. "
            "Start from weights, with --weights or --backbone-weights, or leave --freeze out."
        )
    fixed = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    if fixed & set(loaded.new):
        raise ConfigError(
            f"--freeze {stage} would fix {', '.join(sorted(fixed & set(loaded.new)))}, which the weights do not fit and which "
            "is untrained. Use the stem that the weights were made for, such as --set model.arguments.stem=imagenet."
        )


def told(loaded: LoadReport) -> str:
    """What came from a file, in a line for people."""
    new = f"; new and untrained: {', '.join(loaded.new)}" if loaded.new else ""
    parts = sorted({name.partition(".")[0] for name in loaded.left_out})
    left_out = f"; not used: {len(loaded.left_out)} tensors of {', '.join(parts)}" if parts else ""
    return f"weights: {loaded.loaded} tensors from {loaded.source}{new}{left_out}"


def _on_trained(model: ModelConfig, num_classes: int) -> tuple[Network, LoadReport]:
    """A network on a trained classifier, which is filled first: a detector's head may be made of the classifier's own."""
    arguments: dict[str, Any] = dict(model.arguments)
    name, own = arguments.pop("backbone"), arguments.pop("backbone_arguments", {})
    backbone = create_backbone(name, **own)
    if is_published(model.backbone_weights):
        loaded = load_published(backbone, name, model.backbone_weights)
    else:
        loaded = load_file(backbone, checkpoint.run_weights(Path(model.backbone_weights)))
    heads = tuple(f"{head}." for head in (backbone.head, *backbone.auxiliary_heads))  # a detector has none of them
    network = create_model(model.name, num_classes=num_classes, backbone=backbone, **arguments)
    prefix = "backbone.body." if isinstance(network, FasterRCNN) else "backbone."
    new = tuple(prefix + name for name in loaded.new if not name.startswith(heads))
    return network, replace(loaded, new=new)
