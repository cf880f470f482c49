"""Picture files of the formats that keep boxes beside them: found by name, listed, and copied."""

import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from sightline.data.decode import picture_size
from sightline.data.formats.image_folder import entries, is_picture
from sightline.data.index import SPLIT_ALIASES, Index
from sightline.data.sources import FileSource
from sightline.errors import DataError, ImageError


class Pictures:
    """The pictures in some folders, found by file name or by the name without its ending.

    Where several folders have it, the first one counts. Names are compared in Unicode's composed form (NFC): systems differ in
    how they write accents.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = list(dict.fromkeys(folders))
        self.paths: dict[str, Path] = {}
        self._by_stem: dict[str, Path] = {}
        for folder in self.folders:
            for entry in entries(folder):
                if is_picture(entry.name):
                    name = composed(entry.name)
                    path = self.paths.setdefault(name, folder / entry.name)
                    self._by_stem.setdefault(os.path.splitext(name)[0], path)  # noqa: PTH122 - a data set has many names

    def find(self, stem: str, name: str = "") -> Path | None:
        """The picture called `stem` with any ending or its own, else the one called `name`."""
        stem = composed(stem)
        return self._by_stem.get(stem) or self.paths.get(stem) or self.paths.get(composed(name))


class Copied(NamedTuple):
    """A picture that was written."""

    split: str
    position: int
    name: str
    """Of the file, in the folder of its split."""
    stem: str
    """The same without the ending, which no other picture in that folder has."""
    size: tuple[int, int]
    """Width and height, upright, in pixels."""


def composed(name: str) -> str:
    """A name in the form in which names are compared."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def split_of(name: str) -> str:
    """The split that a file or folder is named after, or nothing.

    >>> split_of("instances_val2017.json"), split_of("Train"), split_of("trainval")
    ('val', 'train', '')
    """
    words = re.findall(r"[^\W\d_]+", name.lower())
    return next((SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES), "")


def folders_in(folder: Path) -> dict[str, Path]:
    """The folders directly in a folder, by their names in small letters; raises `DataError` when it cannot be read."""
    if not folder.is_dir():
        return {}
    try:
        with os.scandir(folder) as found:
            names = sorted(entry.name for entry in found if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read ({error.strerror or error}).") from error
    return {name.lower(): folder / name for name in names}


def pictures_below(folder: Path) -> Iterator[Path]:
    """Every picture in a folder and the folders in it, in natural order; links to folders are not followed."""
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from pictures_below(Path(entry.path))
        elif is_picture(entry.name):
            yield Path(entry.path)


def below(path: Path, root: Path) -> str:
    """A path as the user sees it: relative to the data set where it lies in it."""
    text, start = str(path), f"{root}{os.sep}"  # not by Path's own methods: a data set has a million names
    return text[len(start) :].replace(os.sep, "/") if text.startswith(start) else "." if path == root else text


def read_names(path: Path) -> tuple[str, ...]:
    """The class names in a text file, one a line; raises `DataError` for names that are there twice."""
    names = [line.strip() for line in text_of(path).splitlines()]
    while names and not names[-1]:
        names.pop()
    for number, name in enumerate(names):
        if not name or name in names[:number]:
            raise DataError(f"{path} line {number + 1}: expected a new class name, got {name!r}.")
    return tuple(names)


def start_of(path: Path, length: int = 2**12) -> bytes:
    """The first bytes of a file, none of what cannot be read: for telling what it is."""
    try:
        with path.open("rb") as file:
            return file.read(length)
    except OSError:
        return b""


def text_of(path: Path) -> str:
    """The text of a file; raises `DataError` when it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error


def copy_pictures(index: Index, folder_of: Callable[[str], Path]) -> Iterator[Copied]:
    """Write the pictures of all splits, each into the folder of its split (of "" when there are no splits).

    Files are copied byte for byte and keep their names; a name that is taken gets the position behind it. Pictures that are no
    files become PNG files. Those in no split of a divided index are not written. Raises `ImageError`, `OSError`.
    """
    taken: dict[Path, set[str]] = {}
    for split, positions in (index.splits or {"": np.arange(len(index))}).items():
        folder = folder_of(split)
        folder.mkdir(parents=True, exist_ok=True)
        stems = taken.setdefault(folder, set())
        for position in positions.tolist():
            source = index.source.path(position) if isinstance(index.source, FileSource) else None
            given, ending = (source.stem, source.suffix) if source else (f"{position:06d}", ".png")
            stem = re.sub(r"[\x00-\x1f]", "_", given).strip()
            if stem.casefold() in stems:
                stem = f"{stem}_{position}"
            stems.add(stem.casefold())
            target = folder / f"{stem}{ending}"
            yield Copied(split, position, target.name, stem, _written(index, position, source, target))


def _written(index: Index, position: int, source: Path | None, target: Path) -> tuple[int, int]:
    if source is None:
        picture = index.source.image(position).permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(picture).save(target)
        return picture.shape[1], picture.shape[0]
    size = picture_size(source)
    if size is None:
        raise ImageError(f"{index.source.name(position)}: it cannot be read, so its boxes cannot be written.")
    shutil.copyfile(source, target)
    return size
