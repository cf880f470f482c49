"""What was left open for a detector: the size of its pictures, its reference boxes, the classifier that it stands on."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.config import ModelConfig, RunConfig
from sightline.data.annotations import Objects
from sightline.data.box_transforms import resized_size
from sightline.data.checks import Report
from sightline.data.index import Index
from sightline.errors import ConfigError, DataError
from sightline.models import DETECTOR_BACKBONE, create_model
from sightline.models.faster_rcnn import FasterRCNN
from sightline.models.weights import Published
from sightline.ops.anchors import distinct, fit, fit_levels, recall
from sightline.structures import WholePicture
from sightline.workflows.network import colours, inherited, on_backbone, origin, published

SHORTER, LONGER = 600, 1000
"""Sides of a detector's pictures, in pixels (Ren et al. 2015, section 3.3)."""

AUTO = "auto"
RATIOS, SIZES = 3, 3
"""Reference boxes that are fitted: ratios, and sizes on a single map. Fewer where the training boxes differ less."""


def whole_pictures(config: RunConfig, report: Report, said: list[str]) -> tuple[RunConfig, WholePicture]:
    """The size that pictures are resized to."""
    entry, size = published(config.model), config.data.image_size
    if entry is not None and isinstance(entry.preprocessing, WholePicture) and size is None:
        said.append(f"shorter side {entry.preprocessing.shorter} px, as for the published weights")
        shape = entry.preprocessing
    else:
        median = report.sizes.shorter_median if report.sizes else SHORTER
        chosen = size or min(SHORTER, median)
        shape = WholePicture(shorter=chosen, longer=round(chosen * LONGER / SHORTER), **colours(config.model))
        if size is None:
            said.append(
                f"shorter side {chosen} px (that of the pictures is {median} px); the longer one up to {shape.longer}"
            )
    return replace(config, data=replace(config.data, image_size=shape.shorter)), shape


def arguments(config: RunConfig, index: Index, report: Report, shape: WholePicture, said: list[str]) -> RunConfig:
    """Arguments of the detector that were left open."""
    model = config.model
    if model.name != "faster_rcnn":
        if model.backbone_weights != "none":
            raise ConfigError(f"model.backbone_weights: {model.name} has a backbone of its own; use model=faster_rcnn.")
        own: dict[str, Any] = (
            {"norm_eps": 0.0} if model.name.endswith("_fpn") and isinstance(origin(model), Published) else {}
        )
        return replace(config, model=replace(model, arguments={**own, **model.arguments, **inherited(model)}))
    model = replace(model, arguments={**model.arguments, **inherited(model)})
    model = replace(model, arguments={**model.arguments, **on_backbone(model, DETECTOR_BACKBONE)})
    return replace(config, model=_reference_boxes(model, index, report, shape, said))


def _reference_boxes(
    model: ModelConfig, index: Index, report: Report, shape: WholePicture, said: list[str]
) -> ModelConfig:
    """Sizes and ratios fitted to the training boxes where none are given; and how many boxes they come near to, in any case."""
    given = dict(model.arguments.get("proposing", {}))
    if given.get("sizes") == AUTO:
        del given["sizes"]
    with torch.device("meta"):
        network = create_model(model.name, num_classes=1, **{**model.arguments, "proposing": given})
    assert isinstance(network, FasterRCNN)
    strides, boxes = network.rpn.strides, _boxes(index, report, shape)
    fitted = "sizes" not in given
    if not fitted:
        chosen = {**given, "sizes": network.rpn.settings.sizes, "ratios": network.rpn.settings.ratios}
    elif len(strides) == 1:
        sizes, ratios = map(distinct, fit(boxes, SIZES, RATIOS))
        chosen = {"sizes": [sizes], "ratios": ratios, **given}
    else:
        ratios = distinct(fit(boxes, 1, RATIOS)[1])
        levels = [[size] for size in fit_levels(boxes, given.get("ratios", ratios), strides)]
        chosen = {"sizes": levels, "ratios": ratios, **given}
    places = [(size, stride) for level, stride in zip(chosen["sizes"], strides, strict=True) for size in level]
    reached = recall(boxes, [size for size, _ in places], chosen["ratios"], [stride for _, stride in places])
    said.append(
        f"reference boxes of {', '.join(f'{size:g}' for size, _ in places)} px and width:height "
        f"{', '.join(f'{ratio:g}' for ratio in chosen['ratios'])}, {'fitted to the training boxes' if fitted else 'as given'}: "
        f"{reached:.1%} of {'them' if fitted else 'the training boxes'} overlap one by 0.5 or more"
    )
    return replace(model, arguments={**model.arguments, "proposing": chosen}) if fitted else model


def _boxes(index: Index, report: Report, shape: WholePicture) -> Tensor:
    """(n, 4) the training boxes that are learned from, in pixels of the resized pictures."""
    assert isinstance(index.annotations, Objects)
    learned = ~(index.annotations.crowd | index.annotations.difficult)
    found = []
    for position in index.positions("train"):
        rows = index.annotations.rows(int(position))
        sides = report.sides.get(int(position))
        if sides is not None:
            boxes = index.annotations.boxes[rows][learned[rows]]
            found.append(boxes * (resized_size(sides, shape)[0] / sides[0]))
    boxes = np.concatenate([np.empty((0, 4)), *found]).astype(np.float32)
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]  # thinner than float32 can say once they are resized
    if not len(boxes):
        raise DataError("The pictures of the train split have no boxes: there is nothing to learn from.")
    return torch.from_numpy(boxes)
