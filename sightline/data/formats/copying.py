"""What every `write` does alike: refuses a target that is in use, gives each picture a name of its own, and copies it.

Picture files, and parts of files that are pictures, are copied byte for byte; others become PNG files. Names stay, with the folders that
they are in; only those folders go that say the split, the class, or that there are pictures. Nothing is written outside the target,
whatever a name says.
"""

import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

import numpy as np

from sightline.data.annotations import ClassLabels
from sightline.data.counted import counted
from sightline.data.decode import picture_size
from sightline.data.formats.pictures import composed, is_picture, split_of, start_of
from sightline.data.formats.shard_members import content_of, ending_of
from sightline.data.index import HasContent, Index, Positions, natural_order
from sightline.data.shards import ShardPictures
from sightline.data.sources import FileSource
from sightline.errors import DataError, ImageError
from sightline.files import storage_error

_FOLDERS = (
    "images",
    "image",
    "imgs",
    "img",
    "jpegimages",
    "data",
    "vocdevkit",
    "voc2007",
    "voc2012",
    "ilsvrc",
    "cls-loc",
)
"""Folders at the beginning of a name that only say that there are pictures."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PNG = b"\x89PNG"
T = TypeVar("T")


class Copied(NamedTuple):
    """A picture that was written."""

    split: str
    position: int
    name: str
    """Below the folder of its split, with a slash between folders."""
    path: Path
    """Where it is."""
    shown: str
    """What the data set that it comes from calls it."""

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return str(PurePosixPath(self.name).with_suffix(""))

    def size(self) -> tuple[int, int]:
        """Width and height, upright, in pixels; raises `ImageError` for what cannot be read."""
        size = picture_size(self.path)
        if size is None:
            raise ImageError(f"{self.shown}: it cannot be read, so its annotations cannot be written.")
        return size


class Copies:
    """The pictures of an index that are to be written; each is, when the iteration comes to it.

    `folder_of` a split and a position is where a picture goes. `flat` folders have no folders in them. In one folder no two names
    are equal but for capitals, and `by_stem` neither are they without their endings. Raises `DataError` when there is none to write,
    while iterating `ImageError` and `OSError`.
    """

    def __init__(
        self, index: Index, folder_of: Callable[[str, int], Path], *, flat: bool = False, by_stem: bool = True
    ) -> None:
        self.index = index
        self.splits = written_splits(index)
        self._folder_of = folder_of
        self._flat, self._by_stem = flat, by_stem
        self._taken: dict[Path, set[str]] = defaultdict(set)
        self._renamed: list[str] = []

    def __iter__(self) -> Iterator[Copied]:
        for split, positions in self.splits.items():
            for position in positions.tolist():
                folder = self._folder_of(split, position)
                name = self._free_name(folder, position)
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(self.index.source, FileSource):
                    shutil.copyfile(self.index.source.path(position), target)
                else:
                    target.write_bytes(content_of(self.index, position))
                yield Copied(split, position, name, target, self.index.source.name(position))

    @property
    def positions(self) -> Positions:
        """Of all pictures that are written."""
        return np.concatenate(list(self.splits.values()))

    def lost(self) -> list[str]:
        """What of the pictures was not written as it was; ask after the iteration."""
        lost = unwritten(self.index)
        if self._renamed:
            one = "picture has another name, since its own"
            several = "pictures have another name, since theirs"
            lost.append(f"{counted(len(self._renamed), one, several)} was taken (first: {self._renamed[0]}).")
        return lost

    def _free_name(self, folder: Path, position: int) -> str:
        wanted = own_name(self.index, position)
        wanted = wanted.rpartition("/")[2] if self._flat else wanted
        path = PurePosixPath(wanted)
        name, number = path, 0
        while (key := self._key(name)) in self._taken[folder]:
            behind = f"_{position}_{number}" if number else f"_{position}"
            name, number = path.with_name(f"{path.stem}{behind}{path.suffix}"), number + 1
        self._taken[folder].add(key)
        if number:
            self._renamed.append(f"{self.index.source.name(position)} is {name}")
        return str(name)

    def _key(self, name: PurePosixPath) -> str:
        return composed(str(name.with_suffix("") if self._by_stem else name)).casefold()


def finished(out: Path, write: Callable[[Path], T]) -> T:
    """What `write` returns, when all that it puts into a folder is at `out`, which must be new or empty.

    It writes into a hidden folder beside it, so that nothing unfinished is ever taken for a data set. Raises `DataError` for a
    folder in use, `StorageError`.
    """
    require_new(out)
    unfinished = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        result = write(unfinished)
        unfinished.replace(out)
    except OSError as error:
        raise storage_error(out, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return result


def require_new(path: Path) -> None:
    """Raise `DataError` when there is something at `path` that writing a data set would mix with."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DataError(f"{path} is not empty. Choose a new folder to write the data set into.")


def require_plain_names(index: Index) -> None:
    """Raise `DataError` for a class name that does not come back from a line of text as it was."""
    for name in index.class_names:
        if not name or name != name.strip() or len(name.splitlines()) > 1 or _CONTROLS.search(name):
            raise DataError(
                f"The class name {name!r} cannot be written: it is empty, or has spaces around it, line breaks or control characters. "
                "Rename the class."
            )


def written_splits(index: Index) -> dict[str, Positions]:
    """Positions of the pictures that are to be written, by split; those of "" when the data set is not divided.

    Raises `DataError` when there are none.
    """
    splits = {split: held for split, held in index.splits.items() if len(held)} if index.splits else {}
    if not index.splits and len(index):
        splits = {"": np.arange(len(index))}
    if not splits:
        raise DataError(f"The data set ({index.format}) has no pictures to write.")
    return splits


def unwritten(index: Index) -> list[str]:
    """Lines on pictures that are in no split of a divided data set, and on what is not read: neither is written."""
    left = len(index) - sum(len(held) for held in index.splits.values()) if index.splits else 0
    none = f"{counted(left, 'picture is in no split and is', 'pictures are in no split and are')} not written."
    return [*([none] if left else []), *(f"Not read, so not written: {what}." for what in index.unread)]


def numbered_anew(index: Index) -> list[str]:
    """Lines on what becomes of the classes of pictures in a format that knows a class by its pictures, in the order of their names."""
    written = np.concatenate(list(written_splits(index).values()))
    there = [index.class_names[label] for label in np.unique(index.labels[written])]
    absent = [name for name in index.class_names if name not in there]
    lost = [f"The class {', '.join(absent)} has no pictures and is not written."] if absent else []
    if there != sorted(there, key=natural_order):
        lost.append("Classes are in the order of their names, so their numbers are others.")
    return lost


def own_name(index: Index, position: int) -> str:
    """What a picture is to be called: its name below the folders that say the split, the class, or that there are pictures.

    A picture that is no file and is not called like one is called by its position.
    """
    name = index.source.name(position)
    if isinstance(index.source, ShardPictures):
        name = index.source.names[position]
    elif not isinstance(index.source, FileSource):
        if isinstance(index.source, HasContent):
            return f"{position:06d}.{ending_of('', index.source.content(position))}"
        if not is_picture(name):
            return f"{position:06d}.png"
        name = str(PurePosixPath(name).with_suffix(".png"))
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        parts = [part for part in parts if part != ".."][-1:]
    if isinstance(index.annotations, ClassLabels):
        label = index.class_names[index.labels[position]]
        if label in parts[:-1]:
            parts = parts[parts.index(label) + 1 :]
    while len(parts) > 1 and (parts[0].lower() in _FOLDERS or split_of(parts[0])):
        parts = parts[1:]
    cleaned = "/".join(_cleaned(part) for part in parts) or f"{position:06d}"
    if is_picture(cleaned):
        return cleaned
    # What is inside a file decides how it is read, but only files that are called like pictures are looked at.
    inside = start_of(index.source.path(position), len(_PNG)) if isinstance(index.source, FileSource) else _PNG
    return f"{cleaned}{'.png' if inside == _PNG else '.jpg'}"


def _cleaned(part: str) -> str:
    """A part of a name that each format finds again: no hidden file, no separator of other systems, no control character."""
    part = re.sub(r"[\\\x00-\x1f\x7f-\x9f]", "_", part).strip() or "_"
    return f"_{part[1:]}" if part.startswith(".") else part
