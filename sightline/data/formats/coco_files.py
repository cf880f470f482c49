"""Where a COCO data set has its files: the JSON of each split, and the folder with the pictures that it names."""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from sightline.data.counted import counted
from sightline.data.formats.pictures import Pictures, below, composed, entries, folders_in, is_picture, split_of
from sightline.data.index import SPLIT_ALIASES, SPLITS
from sightline.errors import DataError

_NAMED_SO = re.compile(r"instances.*\.json|.*annotations\.coco\.json", re.IGNORECASE)
_WITH_BOXES = ("stuff", "person_keypoints")
"""How files begin that have boxes, but are beside others with the same pictures."""
_WITHOUT_BOXES = ("captions", "panoptic")
_OTHER_KINDS = (*_WITH_BOXES, *_WITHOUT_BOXES, "image_info")
_KEYS = re.compile(rb'"(images|annotations|categories)"\s*:')
_SNIFFED = 2**16
_NAMED = 3
_SAMPLE = 50
"""Pictures that are looked for when it is decided in which folder they are."""


def candidates(root: Path) -> tuple[list[Path], list[Path]]:
    """The files of the first place that has some, and the JSON files beside them that are not read.

    Files of other kinds are taken only where there are none of boxes alone, and those without boxes so that it is said what they are.
    """
    inside = folders_in(root)
    splits = [folder for name, folder in inside.items() if split_of(name)]
    annotations = inside.get("annotations")
    places = [[annotations] if annotations else [], [root], splits, [folder / "annotations" for folder in splits]]
    in_places = [sorted(file for folder in folders for file in folder.glob("*.json")) for folders in places]
    for there in in_places:
        usual = [file for file in there if _NAMED_SO.fullmatch(file.name)]
        chosen = usual or [file for file in there if not file.name.startswith(_OTHER_KINDS) and _looks_right(file)]
        if chosen:
            return chosen, [file for file in there if file not in chosen]
    for there in in_places:
        chosen = [file for file in there if file.name.startswith(_WITH_BOXES) and _looks_right(file)]
        if chosen:
            return chosen, [file for file in there if file not in chosen]
    return [file for file in in_places[0] if file.name.startswith(_WITHOUT_BOXES)][:1], []


def files_of(path: Path) -> tuple[Path, list[Path], list[Path]]:
    """The folder of the data set at `path`, a folder or one of its files; its files; and those beside them that are not read.

    Raises `DataError` when there are none.
    """
    given = path.resolve()
    if given.is_file():
        return (given.parent.parent if given.parent.name.lower() == "annotations" else given.parent), [given], []
    files, others = candidates(given)
    if not files:
        raise DataError(f"{path} holds no COCO data set: expected annotations/instances_train2017.json or the like.")
    return given, files, others


def _looks_right(file: Path) -> bool:
    """Whether the beginning and the end have two of the three keys; the middle may be half a gigabyte."""
    try:
        with file.open("rb") as opened:
            start = opened.read(_SNIFFED)
            opened.seek(max(0, file.stat().st_size - _SNIFFED))
            return len({*_KEYS.findall(start), *_KEYS.findall(opened.read())}) >= 2
    except OSError:
        return False


def with_splits(files: list[Path], root: Path) -> list[tuple[str, Path]]:
    """Each file with its split, in the order of the splits."""
    splits: dict[str, Path] = {}
    for file in files:
        folders = file.relative_to(root).parts[-2::-1]
        split = next((found for name in (file.stem, *folders) if (found := split_of(name))), "")
        if split in splits:
            which = f"for the {split} split" if split else "whose names say no split"
            first = below(splits[split], root)
            raise DataError(f"{root} has two files {which}: {first} and {below(file, root)}. Give the path of one.")
        splits[split] = file
    if "" in splits and len(splits) > 1:
        raise DataError(
            f"{below(splits[''], root)}: its name says no split, and there are others. Give the path of one."
        )
    return [(split, splits[split]) for split in ("", *SPLITS) if split in splits]


def unlisted(root: Path, files: Collection[Path], named: Collection[str]) -> Iterator[str]:
    """A line for each folder with pictures that are in none of the `files`, where these are all that the data set has.

    `named` are the pictures that are in one, relative to the root.
    """
    if not set(candidates(root)[0]) <= set(files):
        return
    for folder in sorted({os.path.dirname(name) for name in named}):  # noqa: PTH120 - a data set has a million names
        above = f"{folder}/" if folder else ""
        others = [entry.name for entry in entries(root / folder) if is_picture(entry.name)]
        others = [name for name in others if above + name not in named]
        if others:
            some = ", ".join(others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
            are = counted(len(others), "picture in it is", "pictures in it are")
            yield f"{folder or '.'}: {are} in no JSON file that is read ({some})"


class PictureFolder:
    """Where the pictures of one file are: the folder, among the usual ones, that has most of them.

    `images` is the file's own list of them. Names count as they are written, with the folders in them. Only where none is there
    so, and their last parts tell all pictures of the file apart, do these alone count.
    """

    def __init__(self, file: Path, root: Path, split: str, images: list[Any]) -> None:
        self.root, self.split = root, split
        names = [row["file_name"] for row in images if isinstance(row, dict) and isinstance(row.get("file_name"), str)]
        folders = [folder for folder in dict.fromkeys(_folders(file, root, split)) if folder.is_dir()]
        self._composed: dict[str, dict[str, Path]] = {}
        self.without_folders: str = ""
        """The first name whose folders are not there, when pictures are found by the last parts of their names; else empty."""
        hits = self._most(folders, names)
        distinct = {tuple(_parts(name)) for name in names}
        if not any(hits.values()) and len({parts[-1] for parts in distinct}) == len(distinct):
            self.without_folders = next((name for name in names if len(_parts(name)) > 1), "")
            hits = self._most(folders, names)
        self.path = max(folders, key=lambda folder: hits[folder])
        looked = ", ".join(below(folder, root) for folder in folders)
        self.why_empty = "" if hits[self.path] else f"none of its pictures ({len(names)}) is there; looked in {looked}"
        """Why no picture can be found here; empty when some can."""

    def find(self, name: str) -> Path | None:
        """The picture of that name."""
        return self._found(self.path, name)

    def _most(self, folders: list[Path], names: list[str]) -> dict[Path, int]:
        """How many pictures are in each folder, of a sample, and of all where none of the sample is anywhere."""
        hits: dict[Path, int] = {}
        for some in (names[:: max(1, len(names) // _SAMPLE)], names):
            hits = {folder: sum(self._found(folder, name) is not None for name in some) for folder in folders}
            if any(hits.values()):
                break
        return hits

    def _found(self, folder: Path, name: str) -> Path | None:
        path = self._written(folder, name)
        if path is None and self.without_folders and not self._of_another_split(name):
            path = self._written(folder, _parts(name)[-1])
        return path

    def _of_another_split(self, name: str) -> bool:
        """Whether a folder in a name says that it is of another split than the file."""
        said = next((split for part in _parts(name)[-2::-1] if (split := split_of(part))), "")
        return bool(said and self.split and said != self.split)

    def _written(self, folder: Path, name: str) -> Path | None:
        """The file of that name, seen from the folder, and never outside the data set; accents may be written otherwise."""
        parts = _parts(name)
        path = os.path.join(folder, *parts)  # noqa: PTH118 - a data set has a million names
        if ".." in parts:
            path = os.path.normpath(path)
            if not path.startswith(f"{self.root}{os.sep}"):
                return None
        if os.path.isfile(path):  # noqa: PTH113 - raises for nothing
            return Path(path)
        if name.isascii():
            return None
        above, last = os.path.split(path)
        if above not in self._composed:
            self._composed[above] = Pictures([Path(above)]).paths if os.path.isdir(above) else {}  # noqa: PTH112
        return self._composed[above].get(composed(last))


def _folders(file: Path, root: Path, split: str) -> Iterator[Path]:
    """Folders in which the pictures of a file may be, the likeliest first."""
    named = file.stem.partition("_")[2] or file.stem
    aliases = [alias for alias, meant in SPLIT_ALIASES.items() if meant == split]
    for name in (named, file.stem.rpartition("_")[2], *aliases):
        yield from (root / name, root / "images" / name, root / name / "images", root / name / "data")
    for folder in (file.parent, *([file.parent.parent] if file.parent != root else []), root):
        yield from (folder, folder / "images", folder / "data", folder / "JPEGImages")


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")] or [""]
