"""Where a COCO data set has its files: the JSON of each split, and the folder with the pictures that it names."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightline.data.formats.pictures import Pictures, below, composed, folders_in, split_of
from sightline.data.index import SPLIT_ALIASES, SPLITS
from sightline.errors import DataError

_NAMED_SO = re.compile(r"instances.*\.json|.*annotations\.coco\.json", re.IGNORECASE)
_OTHER_KINDS = ("captions", "panoptic", "stuff", "person_keypoints", "image_info")
_KEYS = re.compile(rb'"(images|annotations|categories)"\s*:')
_SNIFFED = 2**16
_SAMPLE = 50
"""Pictures that are looked for when it is decided in which folder they are."""


def candidates(root: Path) -> tuple[list[Path], list[Path]]:
    """The files of the first place that has some, and the JSON files beside them that are not read."""
    inside = folders_in(root)
    splits = [folder for name, folder in inside.items() if split_of(name)]
    annotations = inside.get("annotations")
    places = [[annotations] if annotations else [], [root], splits, [folder / "annotations" for folder in splits]]
    for folders in places:
        there = sorted(file for folder in folders for file in folder.glob("*.json"))
        usual = [file for file in there if _NAMED_SO.fullmatch(file.name)]
        chosen = usual or [file for file in there if not file.name.startswith(_OTHER_KINDS) and _looks_right(file)]
        if chosen:
            return chosen, [file for file in there if file not in chosen]
    return [], []


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


class PictureFolder:
    """Where the pictures of one file are: the folder, among the usual ones, that has most of them.

    `images` is the file's own list of them.
    """

    def __init__(self, file: Path, root: Path, split: str, images: list[Any]) -> None:
        names = [row["file_name"] for row in images if isinstance(row, dict) and isinstance(row.get("file_name"), str)]
        folders = [folder for folder in dict.fromkeys(_folders(file, root, split)) if folder.is_dir()]
        some = names[:: max(1, len(names) // _SAMPLE)]
        hits = {folder: sum(_inside(folder, name) is not None for name in some) for folder in folders}
        if not any(hits.values()):
            hits = {folder: _hits(folder, names) for folder in folders}
        self.path = max(folders, key=lambda folder: hits[folder])
        looked = ", ".join(below(folder, root) for folder in folders)
        self.why_empty = "" if hits[self.path] else f"none of its {len(names)} pictures is there; looked in {looked}"
        """Why no picture can be found here; empty when some can."""
        self._composed: Pictures | None = None

    def find(self, name: str) -> Path | None:
        """The picture of that name, with or without the folders that the name begins with."""
        path = _inside(self.path, name)
        if path is None and not name.isascii():
            self._composed = self._composed or Pictures([self.path])
            path = self._composed.paths.get(composed(_parts(name)[-1]))
        return path


def _hits(folder: Path, names: list[str]) -> int:
    """How many of all pictures are in a folder, where accents may be written otherwise."""
    there = Pictures([folder]).paths
    return sum(_inside(folder, name) is not None or composed(_parts(name)[-1]) in there for name in names)


def _folders(file: Path, root: Path, split: str) -> Iterator[Path]:
    """Folders in which the pictures of a file may be, the likeliest first."""
    named = file.stem.partition("_")[2] or file.stem
    aliases = [alias for alias, meant in SPLIT_ALIASES.items() if meant == split]
    for name in (named, *aliases):
        yield from (root / name, root / "images" / name, root / name / "images", root / name / "data")
    for folder in (file.parent, *([file.parent.parent] if file.parent != root else []), root):
        yield from (folder, folder / "images", folder / "data", folder / "JPEGImages")


def _parts(name: str) -> list[str]:
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return (parts[-1:] if ".." in parts else parts) or [""]


def _inside(folder: Path, name: str) -> Path | None:
    """The file of that name in or below the folder, never outside it."""
    parts = _parts(name)
    for tail in dict.fromkeys(("/".join(parts), parts[-1])):
        path = os.path.join(folder, tail)  # noqa: PTH118 - a data set has a million names
        if os.path.isfile(path):  # noqa: PTH113 - raises for nothing
            return Path(path)
    return None
