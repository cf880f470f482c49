"""Picture files: what counts as one, and how formats that keep annotations beside them find and list them."""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from sightline.data.index import SPLIT_ALIASES, SPLITS, natural_order
from sightline.errors import DataError

READ_ENDINGS = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".dib",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
    ]
)
"""Endings of files that are read; what is inside decides how."""
UNREAD_ENDINGS = frozenset([".heic", ".heif", ".avif", ".jp2", ".jxl", ".psd", ".svg", ".cr2", ".nef", ".arw", ".dng"])
"""Endings of pictures that no decoder here takes. They count as pictures, so that a check reports them as lost."""


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


def is_picture(name: str) -> bool:
    """Whether a file of this name counts as a picture, to be read or to be reported as unreadable."""
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a data set has a million names
    return (ending in READ_ENDINGS or ending in UNREAD_ENDINGS) and not name.startswith(".")


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is for programs only: macOS adds a folder of its own to archives."""
    return name.startswith(".") or name == "__MACOSX"


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


def list_split(file: str) -> str:
    """The split whose pictures a file lists, or nothing: lists of one class's pictures are called after it too.

    >>> list_split("val2017.txt"), list_split("Training.txt"), list_split("cat_train.txt")
    ('val', 'train', '')
    """
    return SPLIT_ALIASES.get(Path(file).stem.lower().rstrip("0123456789_"), "")


def split_lists(folder: Path) -> list[tuple[str, Path]]:
    """Split and file of each list of pictures in a folder, train before val before test."""
    lists = [(list_split(file.name), file) for file in sorted(folder.glob("*.txt"))]
    return sorted(((split, file) for split, file in lists if split), key=lambda found: SPLITS.index(found[0]))


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, in natural order; the file system's own order depends on the machine."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: natural_order(entry.name))
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read ({error.strerror or error}).") from error


def picture_names(folder: Path) -> Iterator[str]:
    """The names of the pictures in a folder itself, in no order; raises `DataError` when it cannot be read."""
    try:
        with os.scandir(folder) as found:
            yield from (entry.name for entry in found if is_picture(entry.name))
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read ({error.strerror or error}).") from error


def folders_in(folder: Path) -> dict[str, Path]:
    """The folders directly in a folder, by their names in small letters; raises `DataError` when it cannot be read."""
    if not folder.is_dir():
        return {}
    try:
        with os.scandir(folder) as found:
            names = sorted(entry.name for entry in found if entry.is_dir() and not is_hidden(entry.name))
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read ({error.strerror or error}).") from error
    return {name.lower(): folder / name for name in names}


def voc_roots(path: Path) -> list[Path]:
    """The folders in which VOC's folders may lie: `path`, and those of the years below it."""
    if not path.is_dir():
        return []
    devkit = folders_in(path).get("vocdevkit", path)
    years = [folder for name, folder in folders_in(devkit).items() if name.startswith("voc")]
    return [path, *years] if devkit == path else [path, *years, devkit]


def pictures_below(folder: Path) -> Iterator[Path]:
    """Every picture in a folder and the folders in it, in natural order; links to folders are not followed."""
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False) and not is_hidden(entry.name):
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


def required_names(path: Path) -> tuple[str, ...]:
    """As `read_names`; raises `DataError` for a file without any too."""
    names = read_names(path)
    if not names:
        raise DataError(f"{path} names no classes. Write one a line, or remove the file.")
    return names


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
