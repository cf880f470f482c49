"""COCO: one JSON file for each split, with the names of its pictures and the boxes in them.

    DATA/annotations/instances_train2017.json     its pictures in DATA/train2017, DATA/images/train2017 or DATA/images
    DATA/train/_annotations.coco.json             its pictures beside it, or in `images` or `data` there
    DATA/train.json                               its pictures in DATA/train, DATA/images or DATA

or one such file alone. The file's name says the split, else its folder's. Classes are matched by name over all splits, and are in the
order of their ids; ids need not be the same in each file. A category that only groups the others, as some tools add, is no class.

Of an annotation `image_id`, `category_id`, `bbox` (left, top, width, height in pixels, from 0), `iscrowd` and `area` count, and `ignore`,
which `write` adds for difficult objects. Outlines, as polygons or run lengths, are dropped while the file is parsed, so that they
take no memory. Pictures without annotations are pictures without objects.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.data.annotations import Objects
from sightline.data.formats.boxes import Floats, Found
from sightline.data.formats.coco_files import PictureFolder, candidates, with_splits
from sightline.data.formats.image_folder import require_new
from sightline.data.formats.pictures import below, copy_pictures
from sightline.data.index import Index, natural_order
from sightline.errors import DataError
from sightline.files import storage_error, write_atomic

NAME = "coco"
Id = int | float | str
"""Kinds of values that ids come as."""
_LONGEST = 2**31
"""Sides of pictures from here on say nothing."""


def recognises(path: Path) -> bool:
    """Whether `path` is a .json file, or a folder with files of COCO's kind where they usually are."""
    return path.suffix.lower() == ".json" if path.is_file() else bool(candidates(path)[0])


def read(path: Path) -> Index:
    """The data set at `path`; raises `DataError` with line and column for what is no JSON. Bad boxes are in its `faults`."""
    given = root = path.resolve()
    files, others = ([given], list[Path]()) if given.is_file() else candidates(given)
    if given.is_file():
        root = given.parent.parent if given.parent.name.lower() == "annotations" else given.parent
    if not files:
        raise DataError(f"{path} holds no COCO data set: expected annotations/instances_train2017.json or the like.")
    ids: dict[str, list[Any]] = {}

    def where(file: str, number: int) -> str:
        return f"{file}: annotation {_called(ids[file][number], number)}"

    found = Found(root, where)
    found.ignored += [f"{below(other, root)}: the boxes come from {files[0].name}" for other in others]
    categories: dict[str, dict[str, Any]] = {}
    absent: list[str] = []
    for split, file in with_splits(files, root):
        shown = below(file, root)
        content = _load(file, found)
        names = _categories(content, shown, categories, found)
        pictures = PictureFolder(file, root, split, _table(content, "images", shown))
        if pictures.why_empty:
            absent.append(f"{shown} is left out: {pictures.why_empty}.")
            continue
        positions = _add_images(found, content["images"], shown, split, pictures)
        ids[shown] = _add_annotations(found, _table(content, "annotations", shown), shown, names, positions)
    if len(absent) == len(files):
        raise DataError(f"{path} is a COCO data set without pictures. " + " ".join(absent))
    return found.index(NAME, _class_names(categories, found), _edges, *absent)


def write(index: Index, path: Path) -> tuple[str, ...]:
    """Write an index of boxes as a COCO data set into `path`, new or empty; what the format cannot hold, one text each.

    Pictures are copied as they are into a folder for each split, or into `images`.
    """
    objects = index.annotations
    if not isinstance(objects, Objects):
        raise DataError(f"The data set ({index.format}) has no boxes: a COCO data set of this kind is one of boxes.")
    require_new(path)
    tables: dict[str, tuple[list[Any], list[Any]]] = {split: ([], []) for split in index.splits or ("",)}
    try:
        for copied in copy_pictures(index, lambda split: path / (split or "images")):
            images, annotations = tables[copied.split]
            width, height = copied.size
            images.append({"id": len(images) + 1, "file_name": copied.name, "width": width, "height": height})
            for row in range(*objects.rows(copied.position).indices(len(objects.labels))):
                left, top, right, bottom = objects.boxes[row].tolist()
                annotation = {
                    "id": len(annotations) + 1,
                    "image_id": len(images),
                    "category_id": int(objects.labels[row]) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": float(objects.areas[row]),
                    "iscrowd": int(objects.crowd[row]),
                }
                annotations.append({**annotation, "ignore": 1} if objects.difficult[row] else annotation)
    except OSError as error:
        raise storage_error(path, error) from error
    categories = [{"id": number, "name": name} for number, name in enumerate(index.class_names, start=1)]
    for split, (images, annotations) in tables.items():
        content = {"images": images, "annotations": annotations, "categories": categories}
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        write_atomic(path / "annotations" / f"instances_{split or 'default'}.json", text.encode())
    if objects.difficult.any():
        return (
            f"{objects.difficult.sum()} difficult objects are written with `ignore`, which COCO's own tools overwrite.",
        )
    return ()


def _edges(raw: Floats, _: Floats) -> Floats:
    edges = raw.copy()
    edges[:, 2:] += raw[:, :2]
    return edges


def _load(file: Path, found: Found) -> dict[str, Any]:
    outlines = 0

    def without_outline(value: dict[str, Any]) -> dict[str, Any]:
        nonlocal outlines
        outlines += bool(value.pop("segmentation", None))
        return value

    try:
        content = json.loads(file.read_bytes(), object_hook=without_outline)
    except json.JSONDecodeError as error:
        cut = " It seems to be cut short: fetch it again." if not error.doc.rstrip().endswith("}") else ""
        place = f"{file} line {error.lineno} column {error.colno}"
        raise DataError(f"{place}: this is no JSON ({error.msg}).{cut}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read as JSON ({error}).") from error
    if not isinstance(content, dict):
        raise DataError(
            f"{file}: expected an object with images, annotations and categories, got a {type(content).__name__}."
        )
    if outlines:
        found.notes.append(f"{file.name}: the outlines of {outlines} objects are not read; boxes are.")
    return content


def _table(content: dict[str, Any], key: str, file: str) -> list[Any]:
    table = content.get(key)
    if not isinstance(table, list):
        got = f"has the keys {', '.join(content)}" if key not in content else f"has a {type(table).__name__} there"
        raise DataError(f"{file}: expected a list {key!r} of a COCO data set, and it {got}.")
    return table


def _called(identity: Any, number: int) -> str:
    """How a line names an entry of a list: by its id, or where it stands."""
    return f"at position {number}" if identity is None else f"{identity!r}"


def _categories(content: dict[str, Any], file: str, known: dict[str, dict[str, Any]], found: Found) -> dict[Id, str]:
    """Id -> class name in one file; new names are added to those `known`."""
    names: dict[Id, str] = {}
    for number, row in enumerate(_table(content, "categories", file)):
        identity, name = (row.get("id"), row.get("name")) if isinstance(row, dict) else (None, None)
        name = str(name).strip() if isinstance(name, str | int) else ""
        if not isinstance(identity, Id) or not name:
            raise DataError(f"{file}: category {_called(identity, number)}: expected an id and a name, got {row!r}.")
        if names.get(identity, name) != name:
            raise DataError(f"{file}: category {identity!r} is there twice, as {names[identity]!r} and as {name!r}.")
        if name in names.values() and identity not in names:
            found.notes.append(f"{file}: the category {name!r} has several ids, which are taken as one class.")
        names[identity] = name
        known.setdefault(name, row)
    return names


def _class_names(categories: dict[str, dict[str, Any]], found: Found) -> list[str]:
    """In the order of their ids, without those that only group others."""
    groups = {row.get("supercategory") for row in categories.values()}
    grouping = [
        name
        for name, row in categories.items()
        if name in groups and name not in found.classes and row.get("supercategory") in (None, "", "none")
    ]
    if grouping:
        found.notes.append(f"The category {', '.join(grouping)} only groups the others, and is no class.")
    names = [name for name in categories if name not in grouping]
    return sorted(names, key=lambda name: (natural_order(str(categories[name]["id"])), name))


def _add_images(found: Found, images: list[Any], file: str, split: str, folder: PictureFolder) -> dict[Id, int | None]:
    """Image id -> position of its picture; None for pictures that are left out."""
    rows = [row if isinstance(row, dict) else {} for row in images]
    times = Counter(row["id"] for row in rows if isinstance(row.get("id"), Id))
    positions: dict[Id, int | None] = {}
    taken: dict[str, int] = {}
    for number, row in enumerate(rows):
        identity, name = row.get("id"), row.get("file_name")
        place = f"{file}: image {_called(identity, number)}"
        if not isinstance(identity, Id) or not isinstance(name, str):
            found.bad_picture(f"{place}: expected an id and a file_name, got {images[number]!r}; it is left out.")
            continue
        path = folder.find(name)
        if path is None or times[identity] > 1:
            absent = f"there is no picture {name} in {below(folder.path, found.root)}"
            twice = f"the id is there {times[identity]} times, here for {name}"
            found.bad_picture(f"{place}: {twice if times[identity] > 1 else absent}; it is left out with its boxes.")
            positions[identity] = None
            continue
        shown = below(path, found.root)
        if shown in taken:
            found.bad_picture(f"{place}: {shown} is listed twice; the boxes of both are taken.", absent=False)
        else:
            taken[shown] = found.add_picture(shown, split, file)
            width, height = (_side(row.get(key)) for key in ("width", "height"))
            if width and height:
                found.claims[taken[shown]] = width, height, place
        positions[identity] = taken[shown]
    return positions


def _side(value: Any) -> int:
    """A side of a picture in pixels, 0 for what says nothing."""
    return round(value) if isinstance(value, int | float) and 0 < value < _LONGEST else 0


def _add_annotations(
    found: Found, rows: list[Any], file: str, names: dict[Id, str], positions: dict[Id, int | None]
) -> list[Any]:
    """Take the boxes of one file; the id of each annotation."""
    ids = [row.get("id") if isinstance(row, dict) else None for row in rows]
    seen = set()
    for number, row in enumerate(rows):
        try:
            if isinstance(ids[number], dict | list):
                raise _WrongError("its id is neither a number nor text")
            if ids[number] is not None and ids[number] in seen:
                raise _WrongError("the id is there twice")
            picture, box = _placed(row, names, positions)
        except _WrongError as wrong:
            found.bad_box(f"{file}: annotation {_called(ids[number], number)} is left out: {wrong}.")
            continue
        seen.add(ids[number])
        if picture is None:
            continue
        flags = (row.get("iscrowd") == 1, row.get("ignore") == 1)
        area = row.get("area")
        area = float(area) if type(area) in (int, float) else float("nan")
        found.add_box(picture, number, found.class_number(names[row["category_id"]]), box, flags=flags, area=area)
    return ids


def _holds(table: Mapping[Id, object], key: Any) -> bool:
    """Whether a key is in a table; what can be no key is not."""
    try:
        return key in table
    except TypeError:
        return False


class _WrongError(Exception):
    """Why an annotation cannot be used."""


def _placed(row: Any, names: dict[Id, str], positions: dict[Id, int | None]) -> tuple[int | None, list[float]]:
    """The position of an annotation's picture, None when it is left out, and the four numbers of its box."""
    if not isinstance(row, dict):
        raise _WrongError(f"expected an object, got {row!r}")
    image: Any = row.get("image_id")
    category, box = row.get("category_id"), row.get("bbox")
    if not _holds(positions, image):
        raise _WrongError(f"its image_id {image!r} is none of the images")
    if not _holds(names, category):
        raise _WrongError(f"its category_id {category!r} is none of the categories")
    if not isinstance(box, list) or len(box) != 4 or not all(type(number) in (int, float) for number in box):
        raise _WrongError(f"expected four numbers as its bbox, got {box!r}")
    try:
        return positions[image], [float(number) for number in box]
    except OverflowError:
        raise _WrongError("a number of its bbox is not finite") from None
