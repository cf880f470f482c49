"""The formats in which data sets come; one file each, with `read(path) -> Index` and mostly `write(index, path)`."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from sightline.data.addresses import address_of, local_path
from sightline.data.annotations import Annotations, ClassLabels, Objects
from sightline.data.formats import (
    coco,
    coco_masks,
    csv_table,
    doubts,
    foreign,
    idx,
    ilsvrc,
    image_folder,
    mask_folder,
    parquet,
    shard_writing,
    shards,
    voc,
    yolo,
)
from sightline.data.formats.mask_classes import names_colours
from sightline.data.formats.pictures import entries, folders_in, picture_names, split_of
from sightline.data.index import SPLIT_ALIASES, Index
from sightline.data.masks import Masks
from sightline.errors import ConfigError, DataError, UnknownNameError

FORMATS: dict[str, Callable[[Path], Index]] = {
    "csv": csv_table.read,
    "parquet": parquet.read,
    "idx": idx.read,
    "ilsvrc": ilsvrc.read,
    "image folder": image_folder.read,
    "coco": coco.read,
    "voc": voc.read,
    "yolo": yolo.read,
    "mask folder": mask_folder.read,
    "coco masks": coco_masks.read,
    "shards": shards.read,
}
"""Name -> how it is read. Nothing is recognised as "coco masks" unless masks are asked for: such files are read for their boxes."""

WRITERS: dict[str, Callable[[Index, Path], tuple[str, ...]]] = {
    "csv": csv_table.write,
    "parquet": parquet.write,
    "idx": idx.write,
    "image folder": image_folder.write,
    "coco": coco.write,
    "voc": voc.write,
    "yolo": yolo.write,
    "mask folder": mask_folder.write,
    "coco masks": coco_masks.write,
    "shards": shard_writing.write,
}
"""Name -> how it is written: `write(index, path)` writes the pictures that are in a split, or all when there are no splits.

`path` is a new or empty folder, of a table (csv) a new file. What comes back are texts, one for each thing that the format could not
hold. Each raises `DataError` for a target in use, and for annotations that the format has no place for at all.
"""

GOING_WITH: dict[type[Annotations], tuple[str, ...]] = {
    ClassLabels: ("image folder", "csv", "parquet", "idx", "shards"),
    Objects: ("coco", "voc", "yolo", "shards"),
    Masks: ("mask folder", "coco masks", "shards"),
}
"""Kind of annotations -> the formats that they can be written in."""

TASKS = {
    "coco": "detection",
    "voc": "detection",
    "yolo": "detection",
    "mask folder": "segmentation",
    "coco masks": "segmentation",
}
"""What the formats are for that have more than a class for each picture."""

_RECOGNISES: dict[str, Callable[[Path], bool]] = {
    "coco": coco.recognises,
    "voc": voc.recognises,
    "yolo": yolo.recognises,
    "mask folder": mask_folder.recognises,
    "csv": csv_table.recognises,
    "parquet": parquet.recognises,
    "idx": idx.recognises,
    "ilsvrc": ilsvrc.recognises,
    "image folder": image_folder.recognises,
}
"""Whether a path is of the format; it may be of several, which are named in this order."""

_MADE_OF_FOLDERS = {*TASKS, ilsvrc.NAME}
"""Formats whose own folders of pictures look like classes: where one of them fits, an image folder is not meant."""

_HOLD_SPLITS = ("images", "annotations", "splits", "lists", "ImageSets", "ImageSets/Main", "ImageSets/Segmentation")
"""Folders of a data set in which folders or lists are named after its splits."""

_LEVELS, _FOLDERS = 2, 20
"""How far down, and into how many folders of a level, a data set is looked for where the path given holds none."""

_NAMED = 5
"""Data sets that an error names."""

_LOOKED_FOR = (
    "a folder with train/val/test folders of class folders, a folder of class folders, a .csv file with the columns "
    "path,label[,split], ILSVRC-2012 as it is handed out, .parquet files such as train-00000-of-00001.parquet (also in a folder `data`), "
    "IDX files such as train-images-idx3-ubyte.gz; and for boxes COCO (annotations/instances_train2017.json), "
    "VOC (Annotations/*.xml and JPEGImages) or YOLO (data.yaml, or the folders images and labels); and for masks "
    "pictures and masks of the same names in the folders images and masks, or 1_mask.png beside 1.jpg; "
    "shards, of which `sightline shard` makes an index (shards.json)"
)


def read(path: Path | str, format: str | None = None, task: str | None = None) -> Index:
    """The data set at `path`, in the format of that name, or in the one that it is recognised as, one for `task` if it can be.

    An address is one of shards.

    Raises `DataError` when nothing is there or nothing fits, `ConfigError` when several formats do,
    `UnknownNameError` for a format that there is not.
    """
    if format is not None and format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    address = address_of(path)
    if address is not None:
        if format not in (None, shards.NAME):
            raise DataError(f"{address}: at an address only shards can be read, not the format {format!r}.")
        return shards.read(address)
    path = local_path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist. Expected a data set: {_LOOKED_FOR}.")
    format = format or recognised(path, task)
    if format is not None:
        index = FORMATS[format](path)
        alone = index.splits and "train" not in index.splits and path.is_dir() and _names_train(path)
        return index.divided({"train": np.empty(0, np.int64), **index.splits}) if alone else index
    raise DataError(foreign.line(path) or f"{_why_not(path)}{_hint(path)}")


def recognised(path: Path, task: str | None = None) -> str | None:
    """The name of the format that fits, one for the `task` if there is one for it; None where nothing fits.

    Raises `ConfigError` when which one is meant cannot be told, also where folders that hold pictures look like anything but classes,
    and `UnknownNameError` for a task that there is not.
    """
    if task is not None and task not in {"classification", *TASKS.values()}:
        raise UnknownNameError("task", task, ["classification", *dict.fromkeys(TASKS.values())])
    fitting = _fitting(path, task)
    fitting = [name for name in fitting if TASKS.get(name, "classification") == task] or fitting
    if len(fitting) > 1:
        tasks = {TASKS.get(name, "classification") for name in fitting}
        names = [f"{name} ({TASKS.get(name, 'classification')})" if len(tasks) > 1 else name for name in fitting]
        flags = " or ".join(f"--format {shlex.quote(name)}" for name in fitting)
        raise ConfigError(f"{path} can be read as {' and as '.join(names)}. Say which with {flags}.")
    if fitting == [image_folder.NAME] and (doubt := doubts.doubt(path, _data_sets(path, flat=False))):
        raise ConfigError(doubt)
    return fitting[0] if fitting else None


def _names_train(path: Path) -> bool:
    """Whether a folder or list is named after the train split, though no picture of it may be there."""
    for folder in (path, *(path / name for name in _HOLD_SPLITS)):
        for entry in entries(folder) if folder.is_dir() else ():
            stem, _, ending = entry.name.partition(".")
            is_list = ending == "txt" and SPLIT_ALIASES.get(stem.lower()) == "train"
            if is_list or ((entry.is_dir() or ending == "json") and split_of(stem) == "train"):
                return True
    return False


def _fitting(path: Path, task: str | None = None) -> list[str]:
    """The names of all formats that a path may be meant as."""
    if shards.is_sharded(path):
        return [shards.NAME]
    fitting = [name for name, fits in _RECOGNISES.items() if fits(path)]
    if not _MADE_OF_FOLDERS.isdisjoint(fitting):
        fitting = [name for name in fitting if name != image_folder.NAME]
    # A table in a folder is the data set itself only where nothing but folders of classes may be meant, and says something else.
    beside = {name for name in fitting if name != csv_table.NAME}
    if path.is_dir() and beside and (beside != {image_folder.NAME} or csv_table.says_what_folders_say(path)):
        fitting = [name for name in fitting if name != csv_table.NAME]
    return [*fitting, "coco masks"] if task == "segmentation" and coco.NAME in fitting else fitting


def _why_not(path: Path) -> str:
    """What keeps a path, which is there, from being read."""
    if not path.is_dir() or not image_folder.holds_pictures(path):
        return f"{path} is no data set that Sightline knows. It looked for {_LOOKED_FOR}.{_held(path)}"
    try:
        index = image_folder.read(path)
    except DataError as error:
        return str(error)
    if index.faults.lines:
        return f"{path}: {index.faults.lines[0]}"
    classes = ", ".join(index.class_names)
    return (
        f"{path} holds pictures in the folders {classes}, which are called like splits, and nothing says of which class a picture is. "
        f"Expected folders of classes in them, or a table. If these are the classes: --format {shlex.quote(image_folder.NAME)}."
    )


def _hint(path: Path) -> str:
    """What to give instead: a table in the folder, or a data set further down, as of an archive that holds a folder."""
    tables = sorted(path.glob("*.csv")) if path.is_dir() else []
    hint = f" There is a table in it: give its path, {tables[0]}." if tables else ""
    if colours := next(filter(names_colours, tables), None):
        hint = (
            f" {colours.name} names the colours of masks, but none belongs to a picture: expected folders images and masks with the same "
            "names, or 1_mask.png beside 1.jpg."
        )
    found = [(data_set.path, " or ".join(data_set.formats)) for data_set in _data_sets(path)]
    if len(found) > 1:
        several = ", ".join(f"{folder} ({formats})" for folder, formats in found[:_NAMED])
        return f"{hint} Further down there are data sets, or parts of one: {several}. Give the path of one, or bring the parts together."
    return hint + "".join(
        f" Further down there is a data set ({formats}): give its path, {folder}." for folder, formats in found
    )


def _data_sets(path: Path, levels: int = _LEVELS, *, flat: bool = True) -> Iterator[doubts.DataSet]:
    """The data sets further down in a folder, but not those in one of them, nor behind links; `flat` ones hold pictures themselves."""
    level = [path]
    for deeper in reversed(range(levels)):
        level, above = [], level
        inside = (folder for outer in above for folder in folders_in(outer).values())
        for folder in [folder for folder in inside if not folder.is_symlink()][:_FOLDERS]:
            fitting = _fitting(folder) if flat or not any(picture_names(folder)) else []
            if fitting == [image_folder.NAME] and doubts.doubt(folder, _data_sets(folder, deeper, flat=False)):
                fitting = []
            if fitting:
                yield doubts.DataSet(folder, tuple(fitting))
            else:
                level.append(folder)


def _held(path: Path) -> str:
    if path.is_file():
        return f" It is a file with the ending {path.suffix!r}."
    if not path.is_dir():
        return " It is neither a file nor a folder."
    names = sorted(entry.name for entry in path.iterdir())
    return f" It holds {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}." if names else " It is empty."
