"""COCO: one JSON file for each split, with the names of its pictures and the boxes in them.

    DATA/annotations/instances_train2017.json     its pictures in DATA/train2017, DATA/images/train2017 or DATA/images
    DATA/train/_annotations.coco.json             its pictures beside it, or in `images` or `data` there
    DATA/train.json                               its pictures in DATA/train, DATA/images or DATA

or one such file alone. The file's name says the split, else its folder's. Classes are matched by name over all splits, and are in the
order of their ids; ids need not be the same in each file. A category that only groups the others, as some tools add, is no class.

Of an annotation `image_id`, `category_id`, `bbox` (left, top, width, height in pixels, from 0), `iscrowd` and `area` count, and `ignore`,
which `write` adds for difficult objects. Outlines, as polygons or run lengths, are dropped while the file is parsed, so that they
take no memory; `coco_masks` reads those. Pictures without annotations are pictures without objects.

Boxes are never read in another way than COCO's. Where those of a file fit their pictures only as corners, or are shares, it is said.
"""

import shlex
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.annotation_faults import Concern
from sightline.data.annotations import Objects
from sightline.data.counted import counted
from sightline.data.formats.boxes import ROUNDING, Floats, Found
from sightline.data.formats.coco_files import candidates, files_of
from sightline.data.formats.coco_json import Entry, Tables, WrongError, called, read_files, write_files
from sightline.data.formats.coco_masks import NAME as MASKS
from sightline.data.formats.coco_originals import Originals
from sightline.data.formats.copying import Copies, require_new, require_plain_names
from sightline.data.formats.pictures import below
from sightline.data.index import Index
from sightline.errors import DataError
from sightline.files import storage_error

NAME = "coco"
_KEYS = {"id", "image_id", "category_id", "bbox", "iscrowd", "area", "ignore"}
"""Those of annotations that are read."""
_ENOUGH = 5
"""Boxes of a file, from which on they tell in which coordinates they are."""


def recognises(path: Path) -> bool:
    """Whether `path` is a .json file, or a folder with files of COCO's kind where they usually are."""
    return path.suffix.lower() == ".json" if path.is_file() else bool(candidates(path)[0])


def read(path: Path) -> Index:
    """The data set at `path`; raises `DataError` with line and column for what is no JSON. Bad boxes are in its `faults`."""
    root, files, others = files_of(path)
    ids: dict[str, list[Any]] = {}
    found = Found(
        root,
        where=lambda file, number: f"{file}: annotation {called(ids[file][number], number)}",
        identity=lambda file, number: (
            identity if type(identity := ids[file][number]) is int and abs(identity) < 2**62 else None
        ),
    )
    read_from = ", ".join(file.name for file in files)
    found.ignored += [f"{below(other, root)}: the boxes come from {read_from}" for other in others]
    outlines, file_of_box = 0, array("q")

    def take(entry: Entry) -> None:
        nonlocal outlines
        box = _box(entry.row.get("bbox"))
        area: Any = entry.row.get("area")
        area = float(area) if type(area) in (int, float) else float("nan")
        flags = (entry.row.get("iscrowd") == 1, entry.row.get("ignore") == 1)
        found.add_box(entry.picture, entry.number, found.class_number(entry.category), box, flags=flags, area=area)
        file_of_box.append(len(ids) - 1)  # files are read one after the other
        outlines += entry.row.get("segmentation", False)

    def edges(raw: Floats, size: Floats) -> Floats:
        for number, file in enumerate(ids):
            own = np.array(file_of_box) == number
            if doubt := _doubt(raw[own], size[own]):
                found.note_fault(f"{file}: {doubt}.", Concern("other coordinates"))
        return np.concatenate([raw[:, :2], raw[:, :2] + raw[:, 2:]], axis=1)

    class_names, absent = read_files(found, files, bool, take, ids, keys=_KEYS)
    if outlines:
        found.notes.append(
            f"The outlines of {counted(outlines, 'object')} are not read; boxes are. For masks of them: --format {shlex.quote(MASKS)}."
        )
    return found.index(NAME, class_names, edges, *absent)


def write(index: Index, path: Path) -> tuple[str, ...]:
    """Write an index of boxes as a COCO data set into `path`, new or empty; what the format cannot hold, one text each.

    Pictures are copied as they are into a folder for each split, or into `images`. What a data set of this format says besides is kept.
    """
    objects = index.annotations
    if not isinstance(objects, Objects):
        raise DataError(f"The data set ({index.format}) has no boxes: a COCO data set of this kind is one of boxes.")
    require_new(path)
    require_plain_names(index)
    originals = Originals(index, _KEYS)
    kept = replace(index, unread=()) if originals.places else index
    copies = Copies(kept, lambda split, _: path / (split or "images"), by_stem=False)
    categories = originals.categories(index.class_names)
    tables: Tables = {split: ([], []) for split in copies.splits}
    try:
        for copied in copies:
            images, annotations = tables[copied.split]
            width, height = copied.size()
            image = {"id": len(images) + 1, **originals.image(copied.position)}
            images.append({**image, "file_name": copied.name, "width": width, "height": height})
            for row in range(*objects.rows(copied.position).indices(len(objects.labels))):
                left, top, right, bottom = objects.boxes[row].tolist()
                annotation = {
                    "id": len(annotations) + 1,
                    **originals.annotation(copied.position, row),
                    "image_id": image["id"],
                    "category_id": categories[objects.labels[row]]["id"],
                    "bbox": [left, top, right - left, bottom - top],
                    "area": float(objects.areas[row]),
                    "iscrowd": int(objects.crowd[row]),
                }
                annotations.append({**annotation, "ignore": 1} if objects.difficult[row] else annotation)
    except OSError as error:
        raise storage_error(path, error) from error
    write_files(path, tables, categories, originals.besides)
    written = objects.rows_of(copies.positions)
    difficult = int(objects.difficult[written].sum())
    said = f"{counted(difficult, 'difficult object is', 'difficult objects are')} written with `ignore`, which COCO's own tools overwrite."
    return (*copies.lost(), *originals.anew, *([said] if difficult else []))


def _doubt(raw: Floats, size: Floats) -> str:
    """Why the boxes of a file (M, 4), in pictures of that width and height (M, 2), seem to be in other coordinates, or nothing."""
    boxes = counted(len(raw), "box", "boxes")
    if len(raw) < _ENOUGH:
        return ""
    with np.errstate(invalid="ignore", over="ignore"):
        over = (raw[:, :2] + raw[:, 2:] > size + ROUNDING).any(1)
        corners = ((raw[:, 2:] > raw[:, :2]) & (raw[:, 2:] <= size + ROUNDING)).all(1)
    if over.mean() > 0.5 and corners.all():
        return (
            f"{over.sum()} of {boxes} reach beyond their pictures when read as x,y,width,height, as COCO means them, and none does as "
            "x1,y1,x2,y2. If they are corners, write x1,y1,x2-x1,y2-y1"
        )
    if ((raw >= 0) & (raw <= 1)).all():
        return (
            f"all numbers of its {boxes} are between 0 and 1, as shares of the pictures' sides are, and are read as pixels, as COCO "
            "means them. If they are shares, multiply them by width and height"
        )
    return ""


def _box(box: Any) -> list[float]:
    if not isinstance(box, list) or len(box) != 4 or not all(type(number) in (int, float) for number in box):
        raise WrongError(f"expected four numbers as its bbox, got {box!r}")
    try:
        return [float(number) for number in box]
    except OverflowError:
        raise WrongError("a number of its bbox is not finite") from None
