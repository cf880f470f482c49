"""What is in the JSON files of a COCO data set: categories, pictures, and what is said of them, entry by entry.

Classes are matched by name over all files, and are in the order of their ids; ids need not be the same in each file. A category that
only groups the others, as some tools add, is no class. What objects are is for `coco` (boxes) and `coco_masks` (outlines).
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sightline.data.annotation_faults import Concern
from sightline.data.formats.coco_files import PictureFolder, unlisted, with_splits
from sightline.data.formats.coco_numbers import text_as_numbers
from sightline.data.formats.found import FoundPictures
from sightline.data.formats.pictures import below
from sightline.data.index import natural_order
from sightline.errors import DataError
from sightline.files import write_atomic

Id = int | float | str
"""Kinds of values that ids come as."""
_SEVERAL = -1
"""In place of a position, for an id that is that of several pictures."""
_LOOKED_AT = 100
"""Annotations of a file, to tell of what kind they are."""
_OTHER_KINDS = {"caption": "captions", "segments_info": "panoptic segments", "keypoints": "keypoints"}
"""Key of annotations that need no boxes -> what a file of such holds."""
_LONGEST = 2**31
"""Sides of pictures from here on say nothing."""


class WrongError(Exception):
    """Why an annotation cannot be used."""


class Entry(NamedTuple):
    """An annotation whose picture and category are known."""

    file: str
    """That it is in, relative to the root."""
    number: int
    """Where it stands in there, from 0."""
    picture: int
    """Position of its picture."""
    category: str
    """Name of its class."""
    row: dict[str, Any]
    """All of it."""


class _File(NamedTuple):
    """One of the files, parsed, whose pictures are there."""

    shown: str
    """Its name, relative to the root."""
    split: str
    content: dict[str, Any]
    names: dict[Id, str]
    """Id -> class name."""
    images: list[Any]
    folder: PictureFolder
    paths: list[str]
    """Of each of the images, where its picture is, relative to the root; empty where there is none."""


Keep = Callable[[Any], Any]
"""What stays of an annotation's outline: it is asked while the file is parsed, so that outlines need not be in memory as lists."""
Take = Callable[[Entry], None]
"""Takes an annotation; raises `WrongError` for what cannot be used."""
_IMAGE_KEYS = {"id", "file_name", "width", "height"}
_FILE_KEYS = {"images", "annotations", "categories"}
_CATEGORY_KEYS = {"id", "name"}
"""Keys of which something is read."""
Tables = dict[str, tuple[list[Any], list[Any]]]
"""Split, or "" -> its images and its annotations."""


def read_files(
    found: FoundPictures,
    files: list[Path],
    keep: Keep,
    take: Take,
    ids: dict[str, list[Any]],
    *,
    keys: Collection[str],
) -> tuple[list[str], list[str]]:
    """Add the pictures in all files to what is `found`, and let `take` take their annotations; bad ones are noted.

    The class names, and a line for each file whose pictures are absent as they may be: test pictures are often kept back, and other
    absent ones are a fault. `ids` gets the ids of the annotations in each file. Of an annotation nothing but `keys` is read. Raises
    `DataError`, with line and column for what is no JSON.
    """
    categories: dict[str, dict[str, Any]] = {}
    absent: list[str] = []
    read = list(_opened(found, files, keep, categories, absent))
    # Of a picture in two files the later of train, val and test counts: figures must not change, and training can do without.
    holders = {path: one.shown for one in read for path in one.paths if path}
    for one in read:
        positions = _add_images(found, one, holders)
        rows = _table(one.content, "annotations", one.shown)
        ids[one.shown] = [row.get("id") if isinstance(row, dict) else None for row in rows]
        _take_each(found, one.shown, rows, ids[one.shown], one.names, positions, take)
        _count_unread(found, rows, ("annotation", "annotations"), keys)
        _count_unread(found, one.images, ("image", "images"), _IMAGE_KEYS)
        _count_unread(found, [one.content], ("JSON file", "JSON files"), _FILE_KEYS)
    _count_unread(found, categories.values(), ("category", "categories"), _CATEGORY_KEYS)
    found.ignored += unlisted(found.root, files, holders)
    return _class_names(categories, found), absent


def _opened(
    found: FoundPictures, files: list[Path], keep: Keep, categories: dict[str, dict[str, Any]], absent: list[str]
) -> Iterator[_File]:
    """The files whose pictures are there, the others being noted; raises `DataError` where there is none."""
    empty: list[str] = []
    for split, file in with_splits(files, found.root):
        shown = below(file, found.root)
        content = _load(file, keep)
        if text := text_as_numbers(content):
            found.notes.append(f"{shown}: numbers are written as text ({text!r}); they are read as numbers.")
        images = _table(content, "images", shown)
        _require_objects(content, shown)
        names = _categories(content, shown, categories, found)
        pictures = PictureFolder(file, found.root, split, images)
        if pictures.why_empty:
            empty.append(f"{shown} is left out: {pictures.why_empty}.")
            if split == "test" or not images:
                absent.append(empty[-1])
            else:
                found.bad_picture(
                    f"{shown}: {pictures.why_empty}; the {split} split is left out. To do without it, give the path of another file.",
                    count=len(images),
                )
            continue
        if pictures.without_folders:
            named = f"{shown}: no picture is where its name says ({pictures.without_folders});"
            there = below(pictures.path, found.root)
            found.notes.append(f"{named} the last parts of the names are looked for in {there}.")
        paths = [_path(row, pictures) for row in images]
        yield _File(shown, split, content, names, images, pictures, paths)
    if len(empty) == len(files):
        raise DataError(f"{found.root} is a COCO data set without pictures. " + " ".join(empty))


def _path(image: Any, folder: PictureFolder) -> str:
    """Where the picture of an entry is, relative to the root; empty where it is not there."""
    name = image.get("file_name") if isinstance(image, dict) else None
    path = folder.find(name) if isinstance(name, str) else None
    return below(path, folder.root) if path else ""


def called(identity: Any, number: int) -> str:
    """How a line names an entry of a list: by its id, or where it stands."""
    return f"at position {number}" if identity is None else f"{identity!r}"


def write_files(
    path: Path,
    tables: Tables,
    categories: Sequence[Mapping[str, Any]],
    besides: Callable[[str], Mapping[str, Any]] = lambda _: {},
) -> None:
    """Write the file of each split, annotations/instances_train.json, with all categories and what it has `besides`."""
    for split, (images, annotations) in tables.items():
        content = {**besides(split), "images": images, "annotations": annotations, "categories": categories}
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        # What no text can hold, half a character, is written as JSON's own sign for it.
        file = path / "annotations" / f"instances_{split or 'default'}.json"
        write_atomic(file, text.encode(errors="backslashreplace"))


def _load(file: Path, keep: Keep) -> dict[str, Any]:
    def without_outline(value: dict[str, Any]) -> dict[str, Any]:
        if "segmentation" in value:
            value["segmentation"] = keep(value["segmentation"])
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
    return content


def _table(content: dict[str, Any], key: str, file: str) -> list[Any]:
    table = content.get(key)
    if not isinstance(table, list):
        got = f"has the keys {', '.join(content)}" if key not in content else f"has a {type(table).__name__} there"
        raise DataError(
            f"{file}: expected a list {key!r} of a COCO data set, and it {got}. Export it again, with all of it."
        )
    return table


def _require_objects(content: dict[str, Any], file: str) -> None:
    """Raise `DataError` for a file of another kind: one without boxes or outlines, or that does not say which files the pictures are."""
    first = content.get("annotations")
    rows = [row for row in first[:_LOOKED_AT] if isinstance(row, dict)] if isinstance(first, list) else []
    keys = {key for row in rows for key in row}
    what = next((what for key, what in _OTHER_KINDS.items() if key in keys), "")
    if what and not {"bbox", "segmentation"} & keys:
        raise DataError(
            f"{file} holds {what}, and no objects with boxes or outlines: expected annotations with category_id and bbox or segmentation. "
            "Give the path of a file of objects, such as instances_train2017.json."
        )
    images = [row for row in content["images"] if isinstance(row, dict)]
    if any("coco_url" in row for row in images) and not any("file_name" in row for row in images):
        raise DataError(
            f"{file} gives addresses of its pictures (coco_url), as LVIS does, and no names of files: expected a file_name for each. "
            "Write the last two parts of the address there, such as train2017/000000000009.jpg."
        )


def _categories(
    content: dict[str, Any], file: str, known: dict[str, dict[str, Any]], found: FoundPictures
) -> dict[Id, str]:
    """Id -> class name in one file; new names are added to those `known`."""
    names: dict[Id, str] = {}
    for number, row in enumerate(_table(content, "categories", file)):
        identity, name = (row.get("id"), row.get("name")) if isinstance(row, dict) else (None, None)
        name = str(name).strip() if isinstance(name, str | int) else ""
        if not isinstance(identity, Id) or not name:
            wrong = f"{file}: category {called(identity, number)}: expected an id and a name, got {row!r}"
            found.note_fault(f"{wrong}; it is left out with its objects.", Concern("bad entry"))
            continue
        if names.get(identity, name) != name:
            raise DataError(f"{file}: category {identity!r} is there twice, as {names[identity]!r} and as {name!r}.")
        if name in names.values() and identity not in names:
            found.notes.append(f"{file}: the category {name!r} has several ids, which are taken as one class.")
        names[identity] = name
        known.setdefault(name, row)
    return names


def _class_names(categories: dict[str, dict[str, Any]], found: FoundPictures) -> list[str]:
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


def _add_images(found: FoundPictures, one: _File, holders: Mapping[str, str]) -> dict[Id, int | None]:
    """Image id -> position of its picture; None for pictures that are left out, `_SEVERAL` for an id that is that of several.

    `holders` says for each picture of which file it is.
    """
    rows = [row if isinstance(row, dict) else {} for row in one.images]
    called_so: dict[Id, set[str]] = {}
    for row in rows:
        if isinstance(row.get("id"), Id):
            called_so.setdefault(row["id"], set()).add(str(row.get("file_name")))
    positions: dict[Id, int | None] = {}
    taken: dict[str, int] = {}
    for number, (row, path) in enumerate(zip(rows, one.paths, strict=True)):
        identity, name = row.get("id"), row.get("file_name")
        place = f"{one.shown}: image {called(identity, number)}"
        if not isinstance(identity, Id) or not isinstance(name, str):
            found.bad_picture(
                f"{place}: expected an id and a file_name, got {one.images[number]!r}; it is left out.",
                kind="bad entry",
            )
        elif len(called_so[identity]) > 1:
            shared = f"{place}: the id is that of {len(called_so[identity])} pictures, here of {name}"
            found.bad_picture(f"{shared}; it is left out with its objects.", kind="bad entry")
            positions[identity] = _SEVERAL
        elif not path:
            nowhere = f"{place}: there is no picture {name} in {below(one.folder.path, found.root)}"
            found.bad_picture(f"{nowhere}; it is left out with its objects.")
            positions[identity] = None
        elif holders[path] != one.shown:
            twice = f"{place}: {path} is in {holders[path]} too and stays there; it is left out here, with its objects."
            found.bad_picture(twice, kind="listed twice", absent=False)
            positions[identity] = None
        elif path in taken:
            twice = f"{place}: {path} is listed twice; the objects of both are taken."
            found.bad_picture(twice, kind="listed twice", position=taken[path], absent=False)
            positions[identity] = taken[path]
        else:
            positions[identity] = taken[path] = found.add_picture(path, one.split, one.shown)
            width, height = (_side(row.get(key)) for key in ("width", "height"))
            if width and height:
                found.claims[taken[path]] = width, height, place
    return positions


def _side(value: Any) -> int:
    """A side of a picture in pixels, 0 for what says nothing."""
    return round(value) if isinstance(value, int | float) and 0 < value < _LONGEST else 0


def _take_each(
    found: FoundPictures,
    file: str,
    rows: list[Any],
    ids: list[Any],
    names: dict[Id, str],
    positions: dict[Id, int | None],
    take: Take,
) -> None:
    """Let `take` take the annotations whose pictures are there."""
    seen = set()
    for number, (row, identity) in enumerate(zip(rows, ids, strict=True)):
        try:
            if isinstance(identity, dict | list):
                raise WrongError("its id is neither a number nor text")
            if identity is not None and identity in seen:
                raise WrongError("the id is there twice")
            picture, category = _placed(row, names, positions)
            if picture is not None:
                take(Entry(file, number, picture, category, row))
        except WrongError as wrong:
            place = f"{file}: annotation {called(identity, number)}"
            found.bad_object(f"{place} is left out: {wrong}.", _picture_of(row, positions))
            continue
        seen.add(identity)


def _placed(row: Any, names: dict[Id, str], positions: dict[Id, int | None]) -> tuple[int | None, str]:
    """The position of an annotation's picture, None when that is left out, and the name of its class."""
    if not isinstance(row, dict):
        raise WrongError(f"expected an object, got {row!r}")
    image: Any = row.get("image_id")
    category: Any = row.get("category_id")
    if not _holds(positions, image):
        raise WrongError(f"its image_id {image!r} is none of the images")
    if not _holds(names, category):
        raise WrongError(f"its category_id {category!r} is none of the categories")
    if positions[image] == _SEVERAL:
        raise WrongError(f"its image_id {image!r} is that of several pictures")
    return positions[image], names[category]


def _count_unread(found: FoundPictures, rows: Iterable[Any], called: tuple[str, str], keys: Collection[str]) -> None:
    """Count the other keys of entries, of those that have something there."""
    entries = (row for row in rows if isinstance(row, dict))
    found.unread[called].update(key for row in entries for key in row if key not in keys and row[key])


def _picture_of(row: Any, positions: dict[Id, int | None]) -> int | None:
    """The position of the picture of an annotation that cannot be used, where it is of one."""
    image: Any = row.get("image_id") if isinstance(row, dict) else None
    position = positions[image] if _holds(positions, image) else None
    return None if position == _SEVERAL else position


def _holds(table: Mapping[Id, object], key: Any) -> bool:
    """Whether a key is in a table; what can be no key is not."""
    try:
        return key in table
    except TypeError:
        return False
