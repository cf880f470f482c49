"""How a detector comes to its detections: reference boxes, how likely an object is in each, the best proposals (Ren et al. 2015,
arXiv:1506.01497, section 3.1).

What the network computes in a usual pass is listened to; nothing is computed in another way for showing it.

Shape letters: `N` images, `h w` cells of a map, `T` ratios, `S` sizes, `R` = T * S reference boxes a cell, `A` of all cells
and levels, `n` proposals.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sightline.data.loader import collate_padded
from sightline.device import autocast
from sightline.errors import InputError
from sightline.inference.predictor import Picture, Predictor, to_tensor
from sightline.models.faster_rcnn import FasterRCNN
from sightline.ops.boxes import clip, decode
from sightline.ops.cells import Cells
from sightline.structures import DetectionPrediction

PROPOSALS = 20
"""How many of the best proposals are looked at where nothing else is said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """The reference boxes on one feature map. Tensors are float32, on the CPU."""

    name: str
    """Stage of the classifier, or the pyramid's additional level."""
    objectness: Tensor
    """(h, w, T, S) 0..1: how likely an object is where each reference box is."""
    references: Tensor
    """(T, S, 4) the reference boxes of a cell, seen from its centre, in pixels."""
    down: Cells
    across: Cells
    """Where reference boxes are centred."""

    def best(self) -> Tensor:
        """(h, w): the highest objectness of each cell."""
        return self.objectness.amax((2, 3))


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposals:
    """How the detections in one picture came about. Lengths are in its pixels; tensors are on the CPU."""

    size: tuple[float, float]
    """Height and width of the picture."""
    levels: tuple[Level, ...]
    """Finest first; a detector without a pyramid has one."""
    place: tuple[int, int, int]
    """Level, row and column of the cell with the highest objectness in the picture."""
    boxes: Tensor
    """(n, 4) float32: the best proposals, those with the highest objectness first."""
    objectness: Tensor
    """(n,) float32, 0..1."""
    origins: Tensor
    """(n, 4) int64: level, row, column, and which of the R reference boxes of the cell each was moved from."""
    proposed: int
    """Number of regions that were handed on to the second stage."""
    detections: DetectionPrediction

    @property
    def centre(self) -> tuple[float, float]:
        """Where the reference boxes of `place` are centred: y and x."""
        number, row, column = self.place
        level = self.levels[number]
        return level.down.first + row * level.down.step, level.across.first + column * level.across.step

    def references_there(self) -> list[Tensor]:
        """For each level (T, S, 4): the reference boxes of the cell that is next to `centre`."""
        boxes = []
        for level in self.levels:
            middle = [
                cells.first + min(max(0, round((at - cells.first) / cells.step)), count - 1) * cells.step
                for at, cells, count in zip(
                    self.centre, (level.down, level.across), level.objectness.shape, strict=False
                )
            ]
            boxes.append(level.references + level.references.new_tensor(middle).flip(0).repeat(2))
        return boxes

    def scaled(self, vertical: float, horizontal: float) -> "Proposals":
        """The same for the picture with its height and width multiplied by these."""
        scale = torch.tensor([horizontal, vertical] * 2)
        levels = tuple(
            replace(
                level,
                references=level.references * scale,
                down=level.down.within(0, vertical),
                across=level.across.within(0, horizontal),
            )
            for level in self.levels
        )
        return replace(
            self,
            size=(self.size[0] * vertical, self.size[1] * horizontal),
            levels=levels,
            boxes=self.boxes * scale,
            detections=replace(self.detections, boxes=self.detections.boxes * scale),
        )


def proposals(predictor: Predictor, picture: Picture, count: int = PROPOSALS) -> Proposals:
    """How a detector comes to its detections in a picture, with its `count` best proposals; in the picture's own pixels.

    Raises `ImageError` for a picture that cannot be read, `InputError` for a network that is no detector.
    """
    if not isinstance(predictor.model, FasterRCNN):
        raise InputError(
            f"Only a detector proposes regions, and {predictor.header.architecture} was trained for {predictor.task.name}. "
            "Give a run that was trained on pictures with boxes."
        )
    image = to_tensor(picture)
    batch = predictor.prepare(collate_padded([predictor.sample(image)]))
    assert batch.sizes is not None
    with torch.inference_mode(), autocast(predictor.device, predictor.precision):
        (found,) = propose(predictor.model, batch.images, batch.sizes.to(predictor.device), count)
    height, width = batch.sizes[0].tolist()
    return found.scaled(image.shape[1] / height, image.shape[2] / width)


def propose(model: FasterRCNN, images: Tensor, sizes: Tensor, count: int = PROPOSALS) -> list[Proposals]:
    """What the model makes of normalised images (N, 3, H, W), padded, of which `sizes` (N, 2: height, width) are pictures.

    The model is used as it is: it should be in evaluation mode. Lengths are in pixels of `images`.
    """
    maps: dict[str, Tensor] = {}
    outputs: list[tuple[Tensor, Tensor]] = []

    def see_maps(_: Any, __: Any, output: dict[str, Tensor]) -> None:
        maps.update(output)

    def see_outputs(_: Any, __: Any, output: tuple[Tensor, Tensor]) -> None:
        outputs.append(output)

    hooks = [model.backbone.register_forward_hook(see_maps), model.rpn.head.register_forward_hook(see_outputs)]
    try:
        with torch.no_grad():
            found = model(images, sizes)
            detections = model.detections(found, sizes)
    finally:
        for hook in hooks:
            hook.remove()
    anchors = model.rpn.anchors(list(maps.values()))  # (A, 4)
    logits, offsets = (torch.cat(parts, dim=1) for parts in zip(*outputs, strict=True))  # (N, A), (N, A, 4)
    likely = logits.float().masked_fill(~model.rpn.usable(anchors, sizes), -torch.inf)
    moved = clip(decode(offsets, anchors), sizes)  # (N, A, 4)
    results = []
    for row, (boxes, scores, labels) in enumerate(detections):
        levels = _levels(model, maps, [level[row] for level, _ in outputs])
        regions = found.regions[row][found.valid[row]]
        origins = _origins(regions[:count], moved[row], likely[row])
        results.append(
            Proposals(
                size=tuple(sizes[row].tolist()),
                levels=levels,
                place=_place(levels, sizes[row].tolist()),
                boxes=regions[:count].float().cpu(),
                objectness=logits[row, origins].float().sigmoid().cpu(),
                origins=_told_apart(origins.cpu(), levels),
                proposed=len(regions),
                detections=DetectionPrediction(boxes=boxes.cpu(), scores=scores.cpu(), labels=labels.cpu()),
            )
        )
    return results


def _levels(model: FasterRCNN, maps: dict[str, Tensor], logits: list[Tensor]) -> tuple[Level, ...]:
    """Of one image; `logits` (h * w * R,) of each level."""
    ratios, levels = len(model.rpn.settings.ratios), []
    for (name, features), references, stride, offset, row in zip(
        maps.items(), model.rpn.references, model.rpn.strides, model.rpn.offsets, logits, strict=True
    ):
        references = references.float().cpu().view(ratios, -1, 4)
        objectness = row.float().sigmoid().cpu().view(*features.shape[2:], *references.shape[:2])
        cells = Cells(offset, float(stride))  # as the network places them
        levels.append(Level(name=name, objectness=objectness, references=references, down=cells, across=cells))
    return tuple(levels)


def _place(levels: tuple[Level, ...], size: list[int]) -> tuple[int, int, int]:
    """The cell with the highest objectness of those that are centred in the picture, not in its padding."""
    best, place = -1.0, (0, 0, 0)
    for number, level in enumerate(levels):
        rows, columns = (max(1, math.ceil((side - level.down.first) / level.down.step)) for side in size)
        there = level.best()[:rows, :columns]
        if float(there.max()) > best:
            best, place = float(there.max()), (number, *divmod(int(there.argmax()), there.shape[1]))
    return place


def _origins(regions: Tensor, moved: Tensor, logits: Tensor) -> Tensor:
    """For each region (n, 4) the reference box, 0..A-1, that became it; the likeliest one where several did.

    `moved` (A, 4) are all reference boxes after their offsets, `logits` (A,) their objectness.
    """
    origins = torch.zeros(len(regions), dtype=torch.int64, device=regions.device)
    distances = torch.cdist(regions, moved, p=torch.inf)  # (n, A) pixels
    for row, distance in enumerate(distances):
        distance[origins[:row]] = torch.inf  # each reference box becomes one region
        near = distance <= distance.min() + 1e-3
        origins[row] = logits.where(near, -torch.inf).argmax()
    return origins


def _told_apart(origins: Tensor, levels: tuple[Level, ...]) -> Tensor:
    """Positions (n,) among all reference boxes to level, row, column and reference box, (n, 4)."""
    rows = []
    for origin in origins.tolist():
        number = 0
        while origin >= levels[number].objectness.numel():
            origin -= levels[number].objectness.numel()
            number += 1
        _, columns, *shape = levels[number].objectness.shape
        cell, reference = divmod(origin, math.prod(shape))
        rows.append([number, *divmod(cell, columns), reference])
    return torch.tensor(rows, dtype=torch.int64).view(-1, 4)
