"""Evaluate: a trained network on a split, with its own preprocessing, every number with the count that it rests on."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightline.checkpoint import Header
from sightline.config import DataConfig
from sightline.data.checks import check
from sightline.data.counted import counted
from sightline.data.dataset import Samples
from sightline.data.formats import read
from sightline.data.index import Index, Positions
from sightline.data.loader import BATCH_PIXELS, equal_sizes, eval_loader, together
from sightline.data.splits import read_splits
from sightline.data.transforms import Views
from sightline.device import autocast, keep_freed_memory
from sightline.errors import DataError, InputError, StorageError
from sightline.inference.draw import write_png
from sightline.inference.mask_pictures import MaskedPicture, mask_sheet
from sightline.inference.object_pictures import Comparison, detection_sheet
from sightline.inference.predictor import Predictor, load
from sightline.report.confusion import draw_confusion
from sightline.structures import (
    Batch,
    DetectionPrediction,
    DetectionTarget,
    Preprocessing,
    SegmentationPrediction,
    SegmentationTarget,
    Windows,
)
from sightline.tasks.detection import DetectionTask
from sightline.tasks.task import evaluate as evaluate_task
from sightline.tasks.task import scores
from sightline.tasks.tiles import LARGEST
from sightline.training.runlog import Listener, Silence
from sightline.workflows.faults_said import once_said
from sightline.workflows.pictures import THERE, evaluation_samples, task_of

BATCH = 64
SHOWN = 12
"""Pictures with their objects that are drawn."""
ALL = "all"
"""The name for every picture of a data set, whatever its split."""


def evaluate(
    run: str | Path,
    data: str | Path | DataConfig | None = None,
    *,
    split: str | None = None,
    crops: Views = 1,
    voc: bool = False,
    format: str | None = None,
    listener: Listener | None = None,
) -> dict[str, Any]:
    """Metrics of a run (its best weights) or of a weights file, on the data that it was trained on or on other data.

    `split` is the test split when not given, else the validation split; "all" takes every picture. `crops` is 1 (centre),
    10 (Krizhevsky et al. 2012, section 4.1) or "dense" (the whole picture and its mirror image, the network read as fully
    convolutional; Simonyan and Zisserman 2015, section 3.2). `voc` adds the figures of PASCAL VOC to a detector's. `format` names
    that of `data`, which may be the section of a recipe too, with a table of splits. The result holds what JSON can hold.
    Raises `DataError` when the data has classes that the network does not know or other annotations than it learned, `InputError`
    when it cannot be read as convolutions.
    """
    listener, run, began = listener or Silence(), Path(run), time.perf_counter()
    keep_freed_memory()
    predictor = load(run)
    if voc:
        predictor = _with_voc(predictor)
    if crops == "dense":
        predictor = predictor.for_whole_pictures()
    shape = predictor.header.preprocessing
    if crops == 10 and isinstance(shape, Preprocessing) and shape.resize == shape.crop:
        listener.say(
            f"pictures are resized to the {shape.crop} px that the network sees: in square ones the five places are the same, and "
            "--crops dense gives the same figures sooner"
        )
    found = readable_pictures(run, predictor.header, data, split=split, format=format, listener=listener)
    samples = evaluation_samples(found.index, found.positions, shape, crops)
    batches = prepared_batches(predictor, samples, one_size=crops != "dense")
    with autocast(predictor.device, predictor.precision):
        values = scores(evaluate_task(predictor.task, predictor.model, batches))
    recipe = predictor.header.recipe.get("data", {})
    result = {
        "run": str(run),
        "task": predictor.task.name,
        "data": data.path if isinstance(data, DataConfig) else str(data or recipe.get("path", "")),
        "split": found.split,
        "crops": crops,
        "unreadable": found.unreadable,
        "bad_boxes": found.bad_boxes,
        **values,
        "class_names": list(predictor.class_names),
        "seconds": round(time.perf_counter() - began, 2),
    }
    if run.is_dir():
        try:
            _draw(predictor, samples, values, run / "pictures", found.split)
        except StorageError as error:  # a run that may only be read can still be measured
            listener.say(str(error))
    return result


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReadablePictures:
    """The pictures that a run is measured on."""

    index: Index
    """With the labels of the network."""
    positions: Positions
    """In the index, of the split's pictures that can be read."""
    split: str
    unreadable: int
    """Pictures of the split that cannot be read."""
    bad_boxes: int
    """Of the whole data set."""


def readable_pictures(
    run: Path,
    header: Header,
    data: str | Path | DataConfig | None = None,
    *,
    split: str | None,
    format: str | None = None,
    listener: Listener,
) -> ReadablePictures:
    """Read and look at the pictures of a split; see `evaluate` for the arguments. What cannot be read is said."""
    index = _index(run, header, data, format, listener)
    split = split or next((name for name in ("test", "val") if name in index.splits), ALL)
    positions = np.arange(len(index)) if split == ALL else index.positions(split)
    max_bad = header.recipe.get("data", {}).get("max_bad", 0.01)
    once_said(index.faults.lines, lambda: index.faults.require_few(max_bad, settable=False), listener)
    report, divided = check(index, positions), index.divided({"test": positions})
    readable = once_said(
        [str(fault) for fault in report.faults],
        lambda: report.without_faults(divided, max_bad),
        listener,
        "unreadable: ",
    )
    return ReadablePictures(
        index=readable,
        positions=readable.positions("test"),
        split=split,
        unreadable=len(report.faults),
        bad_boxes=index.faults.bad_boxes,
    )


def _with_voc(predictor: Predictor) -> Predictor:
    if not isinstance(predictor.task, DetectionTask):
        raise InputError(
            f"--voc is for detectors, and this network was trained for {predictor.task.name}. Leave it out."
        )
    return replace(predictor, task=replace(predictor.task, voc=True))


def prepared_batches(predictor: Predictor, samples: Samples, *, one_size: bool = True) -> Iterator[Batch]:
    """The pictures as the network wants them, together as many as it should see at once.

    Where they keep sizes of their own, those of one size come together, so in another order than the samples have: one that
    depends on the pictures alone, and is the same for every run.
    """
    shape = predictor.header.preprocessing
    small = isinstance(shape, Preprocessing) and shape.crop <= 64
    workers = 0 if small else min(4, torch.get_num_threads())
    batches: Iterable[Batch] = eval_loader(samples, together(shape, BATCH) if one_size else 1, workers)
    if isinstance(shape, Windows) or not one_size:
        batches = equal_sizes(batches, BATCH, pixels=LARGEST if isinstance(shape, Windows) else BATCH_PIXELS)
    return (predictor.prepare(batch) for batch in batches)


def _draw(predictor: Predictor, samples: Samples, values: dict[str, Any], folder: Path, split: str) -> None:
    if predictor.task.name == "classification":
        title = f"{split}: top-1 {values['top1']:.3f} of {counted(values['images'], 'image')}"
        draw_confusion(values["confusion"], predictor.class_names, folder / f"confusion_{split}.png", title)
        return
    shown = (
        [int(samples.positions[i * len(samples) // SHOWN]) for i in range(SHOWN)]
        if len(samples) > SHOWN
        else samples.positions
    )
    comparisons, masked = [], []
    for position in map(int, shown):
        image, name = samples.index.source.image(position), samples.index.source.name(position)
        target = samples.index.annotations.target(position)
        (found,) = predictor.predict([image])
        match found, target:
            case DetectionPrediction(), DetectionTarget():
                comparisons.append(Comparison(image=image, prediction=found, target=target, title=name))
            case SegmentationPrediction(), SegmentationTarget():
                masked.append(MaskedPicture(image=image, labels=found.labels, truth=target.mask, title=name))
    if predictor.task.name == "detection":
        write_png(folder / f"detections_{split}.png", detection_sheet(comparisons, predictor.class_names))
    else:
        write_png(folder / f"masks_{split}.png", mask_sheet(masked, predictor.class_names))


def _index(
    run: Path, header: Header, data: str | Path | DataConfig | None, format: str | None, listener: Listener
) -> Index:
    """The pictures with the network's labels, and with the splits that were written down when it was trained."""
    if isinstance(data, DataConfig):
        index = read(Path(data.path), data.format, header.task)
        if data.splits is not None:
            index = read_splits(index, Path(data.splits))
    elif data is not None:
        index = read(Path(data), format, header.task)
    else:
        recipe = header.recipe.get("data", {})
        if not recipe.get("path"):
            raise DataError(f"{run} does not say what it was trained on: name the data, sightline evaluate {run} DATA")
        index = read(Path(recipe["path"]), recipe.get("format"), header.task)
        if (run / "splits.csv").is_file():
            index = read_splits(index, run / "splits.csv")
    for line in (*(f"ignored: {name}" for name in index.ignored), *index.notes):
        listener.say(line)
    if task_of(index) != header.task:
        raise DataError(
            f"{run} was trained for {header.task}, but the data ({index.format}) has {THERE[task_of(index)]}. Give other data."
        )
    return _relabelled(index, header.class_names)


def _relabelled(index: Index, class_names: tuple[str, ...]) -> Index:
    """Labels by class name: the order of the data's classes need not be the network's."""
    unknown = [name for name in index.class_names if name not in class_names]
    if unknown:
        raise DataError(
            f"The data has {counted(len(unknown), 'class', 'classes')} that the network does not know: {', '.join(unknown[:5])}. "
            f"It knows: {', '.join(class_names[:10])}{', ...' if len(class_names) > 10 else ''}. "
            "Rename the classes, or train on this data."
        )
    mapping = np.array([class_names.index(name) for name in index.class_names], dtype=np.int64)
    return replace(index, annotations=index.annotations.relabelled(mapping), class_names=class_names)
