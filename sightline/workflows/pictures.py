"""The pictures of a data set as a network is shown them: with a class each, or with boxes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from sightline.config import DataConfig, RunConfig
from sightline.data.annotations import ClassLabels, Objects
from sightline.data.box_transforms import eval_boxes, train_boxes
from sightline.data.checks import Report
from sightline.data.dataset import JointSamples, Samples
from sightline.data.index import Index, Positions
from sightline.data.mask_transforms import eval_masks, train_masks
from sightline.data.masks import Masks
from sightline.data.splits import read_splits, with_splits
from sightline.data.transforms import Views, eval_transform, train_transforms
from sightline.errors import DataError, InputError
from sightline.structures import Preprocessing, Shape, WholePicture, Windows
from sightline.tasks.classification import ClassificationTask
from sightline.tasks.detection import DetectionTask
from sightline.tasks.segmentation import SegmentationTask
from sightline.tasks.task import Task

THERE = {"classification": "a class for each picture", "detection": "boxes", "segmentation": "masks"}
"""What pictures have for a task to learn from them."""
MOST_WINDOWS = 8
"""Windows at most that are cut out of a large picture while one is cut out of a usual one."""
PADDED_TO = 32
"""Sides of a batch of whole pictures are multiples of so many pixels: a cell of the coarsest map."""


def task_of(index: Index) -> Literal["classification", "detection", "segmentation"]:
    """What can be learned from the annotations: the name of a task."""
    match index.annotations:
        case ClassLabels():
            return "classification"
        case Objects():
            return "detection"
        case Masks():
            return "segmentation"


def divided(index: Index, data: DataConfig) -> Index:
    """The index with the splits that a recipe asks for: those of its file, else its own, and what is missing is made.

    Raises `DataError` for a file of another data set, or without train or val: what somebody divided is not divided again.
    """
    if data.splits is not None:
        path = Path(data.splits)
        index = read_splits(index, path)
        if not index.splits:
            raise DataError(
                f"{path} says of no picture in which split it is. Make such a table with: sightline split DATA"
            )
        counts = ", ".join(f"{name} {len(held)}" for name, held in index.splits.items())
        if absent := [name for name in ("train", "val") if name not in index.splits]:
            raise DataError(
                f"{path} has no picture in {' and '.join(absent)} ({counts}), and a table of splits is not divided again: pictures "
                "that stay together would be torn apart. Make one with both, such as: sightline split DATA --val 0.1"
            )
        index = index.divided(index.splits, f"The splits are those of {path}: {counts}.")
    return with_splits(index, seed=data.split_seed, val=data.val, test=data.test)


def create_task(config: RunConfig, class_names: tuple[str, ...]) -> Task:
    """The task of a configuration in which it is decided."""
    assert config.task is not None
    match config.task:
        case "classification":
            return ClassificationTask(class_names, label_smoothing=config.training.label_smoothing)
        case "detection":
            return DetectionTask(class_names)
        case "segmentation":
            chosen = config.segmentation
            return SegmentationTask(class_names, chosen.losses, chosen.class_weights, chosen.touching)


def training_positions(index: Index, shape: Shape, report: Report) -> Positions:
    """The training pictures of an epoch: for a segmenter those that are larger than usual several times.

    Every part of a picture is to be seen equally often, and a window shows less of a large one: a picture of three times the
    median area comes three times, and none more than `MOST_WINDOWS` times.
    """
    positions = index.positions("train")
    if not isinstance(shape, Windows):
        return positions
    areas = np.array([np.prod(report.sides[int(position)], dtype=np.int64) for position in positions])
    return np.repeat(positions, np.clip(areas // int(np.median(areas)), 1, MOST_WINDOWS))


def training_samples(index: Index, config: RunConfig, shape: Shape, report: Report) -> Samples:
    """The training pictures, augmented anew in each epoch."""
    positions, seed = training_positions(index, shape, report), config.seed
    match shape:
        case Preprocessing():
            passes = config.training.epochs * (config.data.passes or 1)
            transforms = train_transforms(config.augmentation, shape.crop, passes, shape.mean)
            return Samples(index, positions, transforms, seed=seed, mix=config.augmentation.mixing())
        case WholePicture():
            return JointSamples(index, positions, train_boxes(config.boxes, shape), seed=seed, multiple=PADDED_TO)
        case Windows():
            if config.segmentation.touching and isinstance(index.annotations, Masks):
                near = index.annotations.with_closeness(index.positions("train"), config.segmentation.touching_sigma)
                index = replace(index, annotations=near)
            return JointSamples(
                index, positions, train_masks(config.masks, shape.side, stretch=shape.stretch), seed=seed
            )


def evaluation_samples(index: Index, positions: Sequence[int] | np.ndarray, shape: Shape, crops: Views = 1) -> Samples:
    """The pictures at `positions` as they are, resized (and cropped). Raises `InputError` for crops of whole pictures."""
    if isinstance(shape, Preprocessing):
        return Samples(index, positions, eval_transform(shape, crops))
    if crops != 1:
        raise InputError(
            f"--crops {crops} is for classifiers: detectors and segmenters see whole pictures. Leave it out."
        )
    if isinstance(shape, WholePicture):
        return JointSamples(index, positions, eval_boxes(shape), multiple=PADDED_TO)
    return JointSamples(index, positions, eval_masks(stretch=shape.stretch))
