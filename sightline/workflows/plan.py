"""Look at the data first, then decide what was left open, and say each decision aloud."""

import inspect
import math
import os
from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

import torch
from torch import nn

from sightline.config import ModelConfig, RunConfig
from sightline.data.annotations import Objects
from sightline.data.checks import Report
from sightline.data.counted import counted
from sightline.data.index import Index
from sightline.data.masks import Masks
from sightline.device import pick_device, pick_precision
from sightline.errors import ConfigError, DataError, UnknownNameError
from sightline.models import BACKBONES, DETECTORS, MODELS, SEGMENTERS, create_backbone, create_model
from sightline.models.backbone import Backbone
from sightline.models.faster_rcnn import FasterRCNN
from sightline.models.weights import Published, is_published
from sightline.report.architecture import trace
from sightline.structures import Preprocessing, Shape
from sightline.workflows import plan_detection, plan_segmentation
from sightline.workflows.network import colours, header_of, inherited, origin, published, starts_as_identity
from sightline.workflows.pictures import THERE, task_of, training_positions

SMALL_IMAGE = 64
"""Pictures with a shorter side up to this many pixels are small: they keep their size and get the stem for small images."""

SMALL_MULTIPLY_ADDS = 1e9
"""Multiply-adds an image up to which small pictures are not made coarser by the stem: ResNet-18's 0.6 G at 32 pixels, not
ResNet-50's 1.3 G, which at half the resolution are 0.3 G."""

GROWING = 0.5
"""The share of their side at which small pictures are shown first in a long training: two thirds of the time for the same accuracy."""
LONG = 20
"""Epochs that make a training from nothing a long one."""

PHOTO_SIZE = 224
"""Input side for photographs, as in the papers."""

STEPS = 50
"""About so many steps are an epoch of a segmenter at least: with fewer, it would spend its time on the validation pictures."""

AVERAGED = 1 / 20, 0.99
"""Over which share of the training a segmenter's weights are averaged, and the largest decay. Few pictures at a high rate leave the
statistics of batch norms far from those of the validation pictures: without an average, a segmenter's figures may fall to a third
from one epoch to the next."""

SETTLED = 0.7
"""After which share of the training a segmenter's batch norms keep their statistics. Its few windows are unlike each other and unlike
whole pictures: what normalises a batch of them is not what normalises a picture afterwards."""

RATE_WITHOUT_NORM = 0.15
"""Share of the usual learning rate for networks in which not every convolution has a batch norm."""
RATE_WITHOUT_NORM_AT_END = 0.4
"""The same where only hidden linear layers have none, as in VGG."""


USUAL_MODEL = {"classification": "resnet18", "detection": "faster_rcnn --neck fpn", "segmentation": "unet"}
SECTIONS = {"classification": ("augmentation",), "detection": ("boxes",), "segmentation": ("masks", "segmentation")}
"""The sections of a recipe that are for one task alone."""
OF_TASK: dict[str, Collection[str]] = {"classification": BACKBONES, "detection": DETECTORS, "segmentation": SEGMENTERS}


def complete(config: RunConfig, index: Index, report: Report) -> tuple[RunConfig, Shape, list[str]]:
    """The configuration with nothing left open, how pictures are prepared, and what is to be said about it.

    The task is decided, see `with_task`. Raises `UnknownNameError` for published weights or parts of the model that there are
    not, `ConfigError` for settings that contradict each other, `DataError` when nothing could be measured on the validation split.
    """
    _require_measurable(index, report)
    said: list[str] = []
    images = len(index.positions("train"))
    if config.task == "detection":
        config, whole = plan_detection.whole_pictures(config, report, said)
        config = plan_detection.arguments(config, index, report, whole, said)
        return _training(config, images, whole.shorter, said), whole, said
    if config.task == "segmentation":
        config, windows = plan_segmentation.windows(config, report, said)
        config = replace(config, model=plan_segmentation.arguments(config.model, images, said))
        config = plan_segmentation.masks(config, index, report, said)
        config = plan_segmentation.class_weights(config, index, report, said)
        shown = len(training_positions(index, windows, report))
        said.extend(
            [f"{shown} windows of {counted(images, 'picture')}: more of the larger ones"] if shown > images else []
        )
        return _training(config, shown, windows.side, said), windows, said
    config, preprocessing = _image_size(config, report, said)
    config = _arguments(config, preprocessing.crop, said)
    _require_size(config.model, preprocessing.crop)
    config = _augmentation(config, preprocessing.crop, said)
    return _training(config, images, preprocessing.crop, said), preprocessing, said


def _require_measurable(index: Index, report: Report) -> None:
    """Raise `DataError` for a validation split on which no figure could be had, before an epoch was spent."""
    match index.annotations:
        case Objects() as objects:
            rows = map(objects.rows, index.positions("val"))
            there, missing = any((~objects.crowd[own] & ~objects.difficult[own]).any() for own in rows), "box"
        case Masks():
            there, missing = bool(report.class_pixels(index.positions("val")).any()), "pixel of a known class"
        case _:
            return
    if not there:
        raise DataError(
            f"The validation split ({counted(len(index.positions('val')), 'picture')}) has no {missing} to be measured on. "
            "Give it other pictures, or more of them."
        )


def with_task(config: RunConfig, index: Index) -> RunConfig:
    """The configuration for what the data has annotations for.

    Raises `UnknownNameError` for a model that there is not, `ConfigError` when the recipe or its model is for another task.
    """
    task = task_of(index)
    if not config.model.name:
        config = replace(config, model=_usual_model(config.model, task))
    name = config.model.name
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    if config.task not in (None, task):
        raise ConfigError(
            f"task: the recipe is for {config.task}, but {config.data.path} has {THERE[task]} ({index.format})."
        )
    if name not in OF_TASK[task]:
        of = next(other for other, names in OF_TASK.items() if name in names)
        on = f" --backbone {name}" if of == "classification" else ""
        way = f"Choose a network for it, such as --model {USUAL_MODEL[task]}{on}."
        raise ConfigError(f"{name} is for {of}, and {config.data.path} ({index.format}) has {THERE[task]}. {way}")
    if task == "classification" and config.model.backbone_weights != "none":
        raise ConfigError(f"model.backbone_weights: {name} is a classifier itself; start it with --weights.")
    _refuse_settings_of_others(config, task)
    return replace(config, task=task)


def _refuse_settings_of_others(config: RunConfig, task: str) -> None:
    """Raise `ConfigError` for a setting that has no influence on what is trained: nobody is left to think that it had."""
    for other, sections in SECTIONS.items():
        for name in sections if other != task else ():
            section, usual = getattr(config, name), getattr(RunConfig(), name)
            changed = [e.name for e in fields(section) if getattr(section, e.name) != getattr(usual, e.name)]
            if changed:
                own = ", ".join(f"[{section}]" for section in SECTIONS[task])
                raise ConfigError(
                    f"{name}.{changed[0]}: it is for {other}, and {config.data.path} has {THERE[task]}. Leave it out; see {own}."
                )
    if task != "classification" and config.training.label_smoothing != RunConfig().training.label_smoothing:
        raise ConfigError(f"training.label_smoothing: it is for classification, and this is {task}. Leave it out.")


def _usual_model(model: ModelConfig, task: str) -> ModelConfig:
    """One that trains in acceptable time on a CPU too; of a detector, arguments that are given stand over it."""
    header = header_of(model.weights)
    if header is not None and header.architecture in OF_TASK[task]:
        return replace(model, name=header.architecture)  # a run that training goes on from says what it was built with
    if task == "detection":
        usual = {"neck": "fpn", "backbone": "resnet18"}
        if model.backbone_weights != "none" and not is_published(model.backbone_weights):
            del usual["backbone"]  # the run that it comes from says which it is
        return replace(model, name="faster_rcnn", arguments={**usual, **model.arguments})
    if task == "segmentation":
        bare = model.weights == model.backbone_weights == "none"
        usual = {"backbone": "resnet18"} if bare or is_published(model.backbone_weights) else {}
        return replace(model, name="unet", arguments={**usual, **model.arguments})
    return replace(model, name="resnet18")


def _image_size(config: RunConfig, report: Report, said: list[str]) -> tuple[RunConfig, Preprocessing]:
    size = config.data.image_size
    median = report.sizes.shorter_median if report.sizes else PHOTO_SIZE
    entry = published(config.model)
    if (
        entry is not None
        and isinstance(entry.preprocessing, Preprocessing)
        and size in (None, entry.preprocessing.crop)
    ):
        preprocessing = entry.preprocessing
        said.append(f"input {preprocessing.crop} px, prepared as for the published weights")
    elif size is not None:
        preprocessing = _preprocessing(size, config.model)
    elif median <= SMALL_IMAGE:
        preprocessing = _preprocessing(max(32, -(-median // 8) * 8), config.model)
        said.append(f"input {preprocessing.crop} px, since the pictures are small (shorter side {median} px)")
    else:
        preprocessing = _preprocessing(min(PHOTO_SIZE, median // 32 * 32), config.model)
        said.append(f"input {preprocessing.crop} px (the pictures' shorter side is {median} px)")
    return replace(config, data=replace(config.data, image_size=preprocessing.crop)), preprocessing


def _preprocessing(size: int, model: ModelConfig) -> Preprocessing:
    """Small pictures are used whole; larger ones lose a border, as in the papers (256 -> 224)."""
    return Preprocessing(resize=size if size <= SMALL_IMAGE else round(size * 256 / 224), crop=size, **colours(model))


def _arguments(config: RunConfig, size: int, said: list[str]) -> RunConfig:
    """Arguments of the network that were left open and that its builder takes."""
    model = config.model
    taken = inspect.signature(MODELS[model.name]).parameters
    chosen = inherited(model)
    if "stem" in taken and "stem" not in chosen and published(model) is None:
        given = model.arguments.get("stem")
        chosen["stem"] = given or (_small_stem(model, size) if size <= SMALL_IMAGE else "imagenet")
        if chosen["stem"] != "imagenet" and given is None:
            said.append(
                f"stem for small images in {model.name}, {chosen['stem']!r} (--set model.arguments.stem=imagenet for the paper's)"
            )
    if "zero_init" in taken and model.weights == "none":
        chosen["zero_init"] = starts_as_identity(model.name)
    if "auxiliary" in taken and isinstance(origin(model), Published):
        chosen["auxiliary"] = False  # the published ones were not trained, and would pull the others along
    return replace(config, model=replace(model, arguments={**chosen, **model.arguments}))


def _small_stem(model: ModelConfig, size: int) -> str:
    """The stem that keeps the pictures' resolution, or the next coarser one where that would make the network a slow one."""
    with torch.device("meta"):
        network = create_backbone(model.name, **{**model.arguments, "stem": "small"}).eval()
    large = "small_pooled" in network.stems and trace(network, size).multiply_adds() > SMALL_MULTIPLY_ADDS
    return "small_pooled" if large else "small"


def _require_size(model: ModelConfig, size: int) -> None:
    """Raise `ConfigError` for pictures of which the network would leave nothing, before a run folder is made."""
    with torch.device("meta"):
        network = create_backbone(model.name, **model.arguments)
    if size < network.smallest:
        small = size <= SMALL_IMAGE and model.arguments.get("stem") == "imagenet"
        stem = " Or build it for small images, with model.arguments.stem = 'small'." if small else ""
        raise ConfigError(
            f"data.image_size: {model.name} with these arguments takes {network.smallest} pixels or more, got {size}.{stem}"
        )


def _augmentation(config: RunConfig, size: int, said: list[str]) -> RunConfig:
    crop: Any = config.augmentation.crop
    if crop is None:
        crop = "shift" if size <= SMALL_IMAGE else "resized"
        said.append(f"augmentation: {'shifted' if crop == 'shift' else 'random resized'} crops and mirroring")
    start = config.augmentation.start_size
    if start is None:
        start = GROWING if _may_grow(config, size) else 1.0
        if start < 1:
            said.append(
                f"pictures grow from {round(start * size)} to {size} px during the training, to save time "
                "(--set augmentation.start_size=1 for the whole size from the start)"
            )
    return replace(config, augmentation=replace(config.augmentation, crop=crop, start_size=start))


def _may_grow(config: RunConfig, size: int) -> bool:
    """Whether coarse features can be learnt from coarser pictures first: with time for it, and maps that stay more than one cell."""
    model = config.model
    if size > SMALL_IMAGE or config.training.epochs < LONG or model.weights != "none":
        return False
    with torch.device("meta"):
        network = create_backbone(model.name, **model.arguments)
    *_, adaptive = network.head_pooling()
    least = max(network.smallest, 2 * network.strides[network.stages[-1]])
    return bool(adaptive.output_size == 1) and least <= GROWING * size


def _training(config: RunConfig, images: int, size: int, said: list[str]) -> RunConfig:
    training, optimizer = config.training, config.optimizer
    batch_size = training.batch_size or _batch_size(config, images)
    precision = training.precision
    if precision == "auto":
        precision = pick_precision(pick_device(), training=True)
        said.append(f"precision {precision}, the faster one here")
    lr = optimizer.lr or _lr(config, batch_size)
    decay = (
        optimizer.weight_decay if optimizer.weight_decay is not None else (5e-4 if optimizer.name == "sgd" else 0.05)
    )
    said.append(f"{optimizer.name}, peak learning rate {lr:g}, batches of {batch_size}")
    passes = config.data.passes
    if passes is None:
        passes = max(1, STEPS * batch_size // images) if config.task == "segmentation" else 1
        said.extend([f"an epoch shows each picture {passes} times, as there are few"] if passes > 1 else [])
    workers = config.data.workers
    if workers is None:
        # Small pictures are prepared faster than they could be handed from process to process.
        workers = 0 if size <= SMALL_IMAGE else min(8, os.cpu_count() or 1)
    frozen = training.freeze_norm
    if frozen is None:
        # A few large pictures say less of the statistics than the weights do.
        frozen = config.task == "detection" and published(config.model) is not None
        said.extend(["batch norms keep the statistics of the published weights"] if frozen else [])
    settled = training.freeze_norm_at
    if settled is None:
        settled = SETTLED if config.task == "segmentation" and not frozen else 1.0
        said.extend([f"batch norms keep their statistics after {settled:.0%} of the training"] if settled < 1 else [])
    ema = training.ema
    if ema is None:
        steps = -(-images // batch_size) * passes * training.epochs
        average = round(min(AVERAGED[1], max(0.0, 1 - 1 / (AVERAGED[0] * steps))), 3)
        ema = average if config.task == "segmentation" else 0.0
        said.extend([f"a moving average of the weights, decay {ema:g}"] if ema else [])
    return replace(
        config,
        training=replace(
            training,
            batch_size=batch_size,
            precision=precision,
            freeze_norm=frozen,
            freeze_norm_at=settled,
            ema=ema,
        ),
        optimizer=replace(optimizer, lr=lr, weight_decay=decay),
        data=replace(config.data, workers=workers, passes=passes),
    )


def _batch_size(config: RunConfig, images: int) -> int:
    if config.task == "detection":
        return 4 if images < 2_000 else 8
    if config.task == "segmentation":
        return 8
    # A gentle rate asks for more steps than few pictures give. Of 5,000, VGG-16 with batch norm learned more in batches of 64 than of
    # 128 (0.642 against 0.592), and ResNet-18 did not (0.677 against 0.694).
    gentle = images < 20_000 and _rate_share(config.model) < 1
    return 32 if images < 2_000 else 64 if gentle else 128


def _lr(config: RunConfig, batch_size: int) -> float:
    """A rate for batches of 256, scaled with the batch: linearly for SGD (Goyal et al. 2017), by its root for AdamW.

    Less for a network with layers that no batch norm follows, which the full rate would blow up, a tenth when training
    starts from weights, and a third when a detector's classifier does.
    """
    share = batch_size / 256
    rate = 0.1 * share if config.optimizer.name == "sgd" else 4e-3 * math.sqrt(share)
    rate *= _rate_share(config.model)
    if config.model.weights != "none":
        rate *= 0.1
    elif config.model.backbone_weights != "none":
        rate *= 0.3
    return float(f"{rate:.3g}")


def _rate_share(model: ModelConfig) -> float:
    """Share of the usual learning rate: 1 where every hidden layer has a batch norm.

    Of a detector or a segmenter, every convolution of the classifier that it stands on.
    """
    with torch.device("meta"):
        network = create_model(model.name, **model.arguments)
    if not isinstance(network, Backbone):
        body = network.backbone.body if isinstance(network, FasterRCNN) else network.backbone
        kinds = [type(module) for module in body.modules()]
        linear = 0
    else:
        kinds = [type(m) for n, m in network.named_modules() if n.partition(".")[0] not in network.auxiliary_parts]
        linear = kinds.count(nn.Linear) - 1  # the last one is the output
    if kinds.count(nn.BatchNorm2d) < kinds.count(nn.Conv2d):
        return RATE_WITHOUT_NORM
    return RATE_WITHOUT_NORM_AT_END if linear else 1.0


def check_processes(config: RunConfig, processes: int) -> None:
    """Raises `ConfigError` when a batch cannot be shared equally, or its parts are too small for a classifier's batch norms."""
    parts = processes * config.training.accumulate
    if (config.training.batch_size or 0) % parts:
        batch = counted(config.training.batch_size or 0, "image")
        raise ConfigError(
            f"training.batch_size: {batch} cannot be shared equally by {counted(processes, 'process', 'processes')} with "
            f"training.accumulate = {config.training.accumulate}. Use a multiple of {parts}."
        )
    if config.training.batch_size == parts and config.task == "classification" and not config.training.freeze_norm:
        _require_averages(config, 2 * parts)


def _require_averages(config: RunConfig, least: int) -> None:
    """Raise `ConfigError` for a classifier that one picture at a time leaves without anything to average: one cell of a map."""
    model = config.model
    size = round((config.data.image_size or SMALL_IMAGE) * (config.augmentation.start_size or 1.0))
    with torch.device("meta"):
        network = create_backbone(model.name, **model.arguments)
        if model.freeze:
            network.freeze(model.freeze)
        try:
            network(
                torch.empty(1, network.in_channels, size, size),
                **({"auxiliary": True} if network.auxiliary_heads else {}),
            )
        except ValueError as error:  # torch's batch norm says so
            raise ConfigError(
                f"training.batch_size: {model.name} would see one picture at a time, of {size} pixels, and its batch norms need more "
                f"than one cell to average. Use {least} or more."
            ) from error
