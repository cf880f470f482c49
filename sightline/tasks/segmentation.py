"""A class for each pixel of an image. Shape letters: `N` images, `C` channels, `H W` pixels, `K` classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.errors import ConfigError, InputError, SightlineError
from sightline.metrics.boundary import BoundaryScore
from sightline.metrics.metric import Metric
from sightline.metrics.overlap import Overlap
from sightline.metrics.touching_objects import TouchingObjects
from sightline.ops.mask_losses import focal, pixel_cross_entropy, soft_dice
from sightline.structures import IGNORED, Batch, SegmentationPrediction, SegmentationTarget, Target
from sightline.tasks.task import check_class_names
from sightline.tasks.tiles import in_tiles

LOSSES = ("cross_entropy", "dice", "focal")
"""What can be learned by; several with "+" between them are summed."""
AT_ONCE = 32
"""Classes that are resized together: all of many classes in the size of a photograph would not fit into memory."""


def loss_names(losses: str) -> list[str]:
    """The names in `losses`. Raises `ConfigError` for one that is not in `LOSSES` and for one that is there twice.

    >>> loss_names("cross_entropy+dice")
    ['cross_entropy', 'dice']
    """
    names = losses.split("+")
    if len(set(names)) < len(names) or not set(names) <= set(LOSSES):
        raise ConfigError(
            f'segmentation.losses: expected some of {", ".join(LOSSES)}, with "+" and no blanks between them; got {losses!r}.'
        )
    return names


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationConfig:
    """What a segmenter learns by. Raises `ConfigError` for values out of range.

    >>> SegmentationConfig(balance=2)
    Traceback (most recent call last):
        ...
    sightline.errors.ConfigError: segmentation.balance: expected 0..1, got 2.
    """

    losses: str = "cross_entropy+dice"
    """"cross_entropy", "dice" and "focal", with "+" between them; they are summed."""
    class_weights: tuple[float, ...] | None = None
    """How much a pixel of each class counts in cross entropy and focal loss, a number a class; all alike when not given."""
    balance: float = 0.0
    """Class weights from the training masks, where none are given: 0 leaves all alike, 1 lets each class count as much as
    the others, however few its pixels; between them a power."""
    touching: float = 0.0
    """How much more background counts, in cross entropy, where two objects touch: w0 of Ronneberger et al. 2015, equation 2,
    10 in the paper."""
    touching_sigma: float = 5.0
    """How far from each other objects are when that has come down to exp(-1/2) of it, both distances together, in pixels."""

    def __post_init__(self) -> None:
        names = loss_names(self.losses)
        if (self.balance or self.class_weights) and names == ["dice"]:
            raise ConfigError(
                "segmentation.class_weights and segmentation.balance: they are for cross entropy and focal loss, not for Dice alone."
            )
        if not 0 <= self.balance <= 1:
            raise ConfigError(f"segmentation.balance: expected 0..1, got {self.balance}.")
        if not 0 <= self.touching < math.inf:
            raise ConfigError(f"segmentation.touching: expected 0 or more, got {self.touching}.")
        if not 0 < self.touching_sigma < math.inf:
            raise ConfigError(f"segmentation.touching_sigma: expected a number above 0, got {self.touching_sigma}.")
        if self.touching and "cross_entropy" not in names:
            raise ConfigError(
                f"segmentation.touching: it is for cross entropy, which is not among the losses, {self.losses!r}."
            )
        if self.balance and self.class_weights:
            raise ConfigError("segmentation.balance: it chooses the class weights; leave it or class_weights out.")


@dataclass(frozen=True, slots=True)
class SegmentationTask:
    """Cross entropy and Dice for training; the softmax of each pixel for prediction; the mean IoU as the headline.

    The network makes logits (N, K, H, W) of images (N, C, H, W). Raises `InputError` without classes, for more than 255, for
    two classes of one name, for a loss that is not in `LOSSES`, and for class weights that do not fit the classes.

    >>> SegmentationTask(("ground", "cell")).headline
    'mIoU'
    """

    name: ClassVar[str] = "segmentation"
    headline: ClassVar[str] = "mIoU"

    class_names: tuple[str, ...]
    """The names of labels 0..K-1; background, where there is one, is a class like others."""
    losses: str = "cross_entropy+dice"
    """Names from `LOSSES` with "+" between them."""
    class_weights: tuple[float, ...] | None = None
    """How much a pixel of each of the K classes counts in cross entropy and focal loss, 0 or more; None: all alike."""
    touching: float = 0.0
    """How much more a pixel counts in cross entropy where its target's `closeness` is 255, in proportion elsewhere."""

    def __post_init__(self) -> None:
        check_class_names(self.class_names)
        if len(self.class_names) > IGNORED:
            raise InputError(
                f"A mask has a byte a pixel: at most {IGNORED} classes fit, got {len(self.class_names)}. Join rare classes."
            )
        loss_names(self.losses)
        weights = self.class_weights
        if weights is None:
            return
        if len(weights) != len(self.class_names) or not all(0 <= weight < math.inf for weight in weights):
            raise InputError(
                f"class_weights: expected {len(self.class_names)} numbers of 0 or more, one a class; got {weights}."
            )

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The losses by name, each a mean over the pictures. Padding and what else is `IGNORED` is not learned.

        Raises `InputError` if the model has another number of classes, for targets that are not masks, and for masks that
        are larger than their images or have a class outside 0..K-1.
        """
        masks = self._masks(batch).to(batch.images.device)
        logits = self._checked(model(batch.images), batch.images)
        weights = None
        if self.class_weights is not None:
            weights = torch.tensor(self.class_weights, device=logits.device)
        losses: dict[str, Tensor] = {}
        for name in loss_names(self.losses):
            if name == "cross_entropy":
                near = self._nearness(batch).to(logits.device) if self.touching else None
                losses[name] = pixel_cross_entropy(logits, masks, weights, near)
            elif name == "focal":
                losses[name] = focal(logits, masks, class_weights=weights)
            else:
                losses[name] = soft_dice(logits, masks)
        return losses

    def predict(self, model: nn.Module, batch: Batch) -> list[SegmentationPrediction]:
        """The most probable class of each pixel, in the size of the picture before it was resized where the batch knows that.

        A `UNet` goes over large pictures in tiles. Probabilities are resized, not classes: an outline then runs where two are
        equally probable. Raises `InputError` if the model has another number of classes, `SightlineError` if its output is not
        a number.
        """
        logits = self._checked(in_tiles(model)(batch.images), batch.images).detach()
        sizes = [tuple(batch.images.shape[2:])] * len(batch) if batch.sizes is None else batch.sizes.tolist()
        goals = sizes if batch.original_sizes is None else batch.original_sizes.tolist()
        found = []
        for image, (height, width), goal in zip(logits, sizes, goals, strict=True):
            probabilities = image[:, :height, :width].float().softmax(dim=0)
            found.append(_winners(probabilities, (int(goal[0]), int(goal[1]))))
        predictions = [SegmentationPrediction(labels.cpu(), scores.cpu()) for labels, scores in found]
        for index, prediction in zip(batch.indices, predictions, strict=True):
            if not bool(prediction.scores.isfinite().all()):
                raise SightlineError(
                    f"The model's output for the image at index {index} is not a number. "
                    "Its weights have diverged, or the precision is too low: try float32."
                )
        return predictions

    def metrics(self) -> dict[str, Metric[Any, Any]]:
        """The overlap of pixels and of outlines; with two classes also how many objects were merged or split."""
        metrics: dict[str, Metric[Any, Any]] = {
            "overlap": Overlap(self.class_names),
            "boundary": BoundaryScore(self.class_names),
        }
        if len(self.class_names) == 2:
            metrics["objects"] = TouchingObjects()
        return metrics

    def _checked(self, logits: Tensor, images: Tensor) -> Tensor:
        if logits.ndim != 4 or logits.shape[1] != len(self.class_names):
            raise InputError(
                f"The model's output is {tuple(logits.shape)}; expected (N, {len(self.class_names)}, H, W) for the task's "
                f"{len(self.class_names)} classes. Build the model for the task's classes."
            )
        if logits.shape[2:] != images.shape[2:]:
            raise ValueError(
                f"expected logits of the images' size, {tuple(images.shape[2:])}, got {tuple(logits.shape[2:])}"
            )
        return logits

    def _nearness(self, batch: Batch) -> Tensor:
        """(N, H, W) float32: what is added to the weight of each pixel."""
        near = torch.zeros(len(batch), *batch.images.shape[2:])
        for row, target in enumerate(batch.targets):
            if not isinstance(target, SegmentationTarget) or target.closeness is None:
                raise InputError("The loss weighs pixels between objects, but the data does not say where they are.")
            height, width = target.closeness.shape
            near[row, :height, :width] = target.closeness
        return near * (self.touching / 255)

    def _masks(self, batch: Batch) -> Tensor:
        """(N, H, W) uint8 on the CPU, where a check makes no GPU wait; `IGNORED` right of and below smaller masks."""
        found = _only_masks(batch.targets)
        masks = torch.full((len(found), *batch.images.shape[2:]), IGNORED, dtype=torch.uint8)
        for row, mask in enumerate(found):
            height, width = mask.shape
            if height > masks.shape[1] or width > masks.shape[2]:
                raise InputError(
                    f"The mask of the image at index {batch.indices[row]} has {height} x {width} pixels, its image only "
                    f"{masks.shape[1]} x {masks.shape[2]}. Resize and cut masks as their images."
                )
            masks[row, :height, :width] = mask
        outside = (masks >= len(self.class_names)) & (masks != IGNORED)
        if bool(outside.any()):
            row = int(outside.flatten(1).any(dim=1).nonzero()[0])
            values = sorted(set(masks[row][outside[row]].tolist()))
            raise InputError(
                f"expected classes 0..{len(self.class_names) - 1} or {IGNORED} (not known) in the mask of the image at index "
                f"{batch.indices[row]}, got {', '.join(map(str, values))}."
            )
        return masks


def _only_masks(targets: Sequence[Target]) -> list[Tensor]:
    masks = [target.mask for target in targets if isinstance(target, SegmentationTarget)]
    if len(masks) < len(targets):
        raise InputError("A segmenter learns from pictures with a mask each, but the data has none for some.")
    return masks


def _winners(probabilities: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Of each pixel the most probable class, uint8, and its probability, in `size`; `probabilities` (K, H, W)."""
    labels = torch.zeros(size, dtype=torch.uint8, device=probabilities.device)
    scores = torch.full(size, -1.0, device=probabilities.device)
    for first in range(0, len(probabilities), AT_ONCE):
        part = probabilities[first : first + AT_ONCE]
        if part.shape[1:] != size:
            part = F.interpolate(part[None], size=size, mode="bilinear")[0]
        values, winners = part.max(dim=0)
        better = ~(values <= scores)  # also what is not a number, to be noticed later
        labels = torch.where(better, (winners + first).to(torch.uint8), labels)
        scores = torch.where(better, values, scores)
    return labels, scores.clamp(max=1.0)  # a sum of four shares may be rounded up
