"""Folders named after classes, with or without folders for the splits above them.

    DATA/train/cat/1.jpg            DATA/cat/1.jpg
    DATA/val/cat/2.jpg       or     DATA/cat/2.jpg        (one folder of classes; splits are made later)
    DATA/test/dog/3.jpg             DATA/dog/3.jpg

`training` is read as `train`, `valid`, `validation` and `dev` as `val`, `testing`, `eval` and `evaluation` as `test`. Pictures may lie
deeper inside a class folder. Class names are the folders' names in natural order, over all splits together.
"""

import os
import shlex
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sightline.data.annotation_faults import FaultsFound
from sightline.data.annotations import ClassLabels
from sightline.data.counted import counted
from sightline.data.formats.copying import Copies, numbered_anew, require_new, require_plain_names
from sightline.data.formats.pictures import entries, is_hidden, is_picture
from sightline.data.index import SPLIT_ALIASES, SPLITS, Index, natural_order
from sightline.data.sources import FileSource
from sightline.errors import DataError
from sightline.files import storage_error

NAME = "image folder"
_LONGEST = 255
"""Bytes of a name of a folder."""


def recognises(path: Path) -> bool:
    """Whether `path` is a folder in which two class folders, of all splits together, hold pictures.

    Folders that are called like splits, all of them, are none of classes.
    """
    if not path.is_dir():
        return False
    splits = split_folders(path)
    classes = (folder.name for folder in class_folders(path, links=True) if holds_pictures(folder))
    first = next(classes, "")
    others = (name for name in classes if name != first)
    return any(splits or not {first.lower(), name.lower()} <= SPLIT_ALIASES.keys() for name in others)


def class_folders(path: Path, *, links: bool = False) -> Iterator[Path]:
    """The folders of classes in the folder `path`, of all splits one after the other; not all need hold pictures.

    With `links`, links to folders too: these are not read, and that is to be said.
    """
    splits = [folder for held in split_folders(path).values() for folder in held]
    for folder in splits or [path]:
        for entry in entries(folder):
            linked = links and entry.is_symlink() and Path(entry.path).is_dir()
            if (linked or entry.is_dir(follow_symlinks=False)) and not is_hidden(entry.name):
                yield Path(entry.path)


def holds_pictures(path: Path) -> bool:
    """Whether there is a picture in the folder `path`, at any depth, or directly in the one that it is a link to."""
    within = entries(path) if path.is_symlink() else _walk(path)
    return any(is_picture(entry.name) for entry in within if entry.is_file())


def read(path: Path) -> Index:
    """The data set in the folder `path`; raises `DataError`."""
    if not path.is_dir():
        raise DataError(f"{path} is not a folder. An image folder was expected: a folder of class folders.")
    root = path.resolve()
    found = Found(root)
    folders = split_folders(root)
    for split, held in folders.items() if folders else [("", [root])]:
        for folder in held:
            found.add_split(split, folder)
        if len(held) > 1:
            names = " and ".join(folder.name for folder in held)
            found.faults.add(
                "two folders", f"{held[1].name}: {names} both mean {split}, and are taken together.", count=0
            )
    if folders:
        found.ignore_beside([folder for held in folders.values() for folder in held])
    found.require_classes(path)
    return found.index(NAME)


def write(index: Index, path: Path) -> tuple[str, ...]:
    """Write an index as an image folder into `path`, new or empty; what the format cannot hold, one text each.

    Files are copied byte for byte and keep their names; pictures from elsewhere become PNG files. Raises `DataError` for pictures
    with boxes or masks, and for classes that no folder can be called after.
    """
    if not isinstance(index.annotations, ClassLabels):
        raise DataError(f"An image folder has one class for each picture, and this data set ({index.format}) has none.")
    require_new(path)
    require_plain_names(index)
    names, labels = index.class_names, index.labels
    unfit = [name for name in names if "/" in name or name.startswith(".") or len(name.encode()) > _LONGEST]
    if unfit:
        raise DataError(
            f"No folder can be called {unfit[0]!r}, as the class is. Write a table (csv), or rename the class."
        )
    # Without splits, a class called like one must not hold folders: they would be taken for classes.
    flat = not index.splits and any(name.lower() in SPLIT_ALIASES for name in names)
    copies = Copies(index, lambda split, at: path / split / names[labels[at]], flat=flat, by_stem=False)
    try:
        for _ in copies:
            pass
    except OSError as error:
        raise storage_error(path, error) from error
    return (*copies.lost(), *numbered_anew(index))


@dataclass
class Found:
    """What the walk through the folders of a data set finds, and the index that it makes."""

    root: Path
    pictures: list[tuple[str, str, str]] = field(default_factory=list)
    """(split, class name, path relative to the root)."""
    class_folders: dict[str, list[str]] = field(default_factory=dict)
    """Split -> names of its class folders, in order."""
    ignored: list[str] = field(default_factory=list)
    links: int = 0
    """Those of the ignored that are links."""
    faults: FaultsFound = field(default_factory=FaultsFound)

    @property
    def class_names(self) -> set[str]:
        """Those of all splits together."""
        return {name for names in self.class_folders.values() for name in names}

    def add_split(self, split: str, folder: Path) -> None:
        """Take the class folders of one split, and what is in them."""
        classes = self.class_folders.setdefault(split, [])
        for entry in entries(folder):
            if entry.is_dir(follow_symlinks=False) and not is_hidden(entry.name):
                if not _is_text(entry.name):
                    raise DataError(f"{_shown(entry.path)}: the class's name is not UTF-8 text. Rename the folder.")
                classes.append(entry.name)
                self._add_class(split, entry)
            elif entry.is_symlink() and Path(entry.path).is_dir():
                self._ignore_link_to_folder(entry)
            else:
                self.ignore(entry, "it lies beside the class folders, not inside one")

    def ignore_beside(self, used: Collection[Path]) -> None:
        """Name everything in the root that is none of what is used there."""
        names = ", ".join(folder.name for folder in used if folder.is_dir())
        for beside in sorted(set(self.root.iterdir()) - set(used)):
            self.ignored.append(f"{_shown(beside.name)}: it lies beside the folders {names}")

    def require_classes(self, path: Path) -> None:
        """Raise `DataError` unless there are two classes or more; those that cannot be trained on are noted."""
        some_ignored = f" Ignored were: {'; '.join(self.ignored[:3])}." if self.ignored else ""
        some_ignored += "".join(f" {said}" for said in self._links_said())
        if not self.pictures:
            raise DataError(
                f"{path} holds no class folders with pictures: expected {path}/CLASS/PICTURE.{some_ignored}"
            )
        names = self.class_names
        if len(names) < 2:
            raise DataError(
                f"{path} holds one class only ({', '.join(names)}): there is nothing to tell apart. "
                f"Expected a folder for each of two classes or more.{some_ignored}"
            )
        for split in ("train", ""):
            if split in self.class_folders:
                for name in sorted(names - self._classes_of(split), key=natural_order):
                    folder = f"{split}/{name}" if split else name
                    line = f"{folder} is empty or missing: the class {name!r} has no pictures to train on."
                    way_out = "Put pictures there, or remove the class's folders everywhere."
                    self.faults.add("untrained class", f"{line} {way_out}", count=0)

    def index(self, format: str, *notes: str) -> Index:
        """All that was found, with `notes` before what is odd about it; call `require_classes` first."""
        class_names = tuple(sorted(self.class_names, key=natural_order))
        number = {name: label for label, name in enumerate(class_names)}
        splits = np.array([split for split, _, _ in self.pictures])
        return Index(
            source=FileSource(self.root, [name for _, _, name in self.pictures]),
            annotations=ClassLabels(np.array([number[label] for _, label, _ in self.pictures], np.int64)),
            class_names=class_names,
            splits={split: np.flatnonzero(splits == split) for split in self.class_folders if split},
            format=format,
            notes=(*notes, *self._links_said(), *self._absences(class_names)),
            ignored=tuple(self.ignored),
            faults=self.faults.of(len(self.pictures)),
        )

    def ignore(self, entry: os.DirEntry[str], reason: str) -> None:
        """Note that something below the root is not used, and why."""
        self.ignored.append(f"{_shown(self._name(entry))}: {reason}")

    def why_not(self, entry: os.DirEntry[str]) -> str:
        """What keeps a file from being taken as a picture, or nothing."""
        if not _is_text(self._name(entry)):
            return "its name is not UTF-8 text"
        if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(self.root):
            self.links += 1
            return f"it is a link out of the data set, to {os.path.realpath(entry.path)}"
        if not entry.is_file():
            return "it is no ordinary file"
        if entry.name.startswith("."):
            return "it is a hidden file"
        if not is_picture(entry.name):
            ending = os.path.splitext(entry.name)[1]  # noqa: PTH122 - a data set has a million names
            return f"the ending {ending} is none of a picture's" if ending else "it has no ending"
        return ""

    def _ignore_link_to_folder(self, entry: os.DirEntry[str]) -> None:
        self.links += 1
        self.ignore(entry, f"it is a link to a folder, {os.path.realpath(entry.path)}")

    def _links_said(self) -> list[str]:
        """What can be done about links, where there are some."""
        if not self.links:
            return []
        are = counted(
            self.links, "link out of the data set or to a folder is", "links out of the data set or to folders are"
        )
        copy = f"cp -rL {shlex.quote(str(self.root))} COPY"
        return [
            f"{are} not followed. Copy what they lead to with {copy}, or give the path of the folders that they lead to."
        ]

    def _absences(self, class_names: tuple[str, ...]) -> Iterator[str]:
        for split in self.class_folders:
            there = self._classes_of(split)
            absent = [name for name in class_names if name not in there]
            if absent:
                whole = f"The {split} split" if split else "The data set"
                yield f"{whole} has no pictures of {', '.join(absent)}."

    def _classes_of(self, split: str) -> set[str]:
        return {label for held, label, _ in self.pictures if held == split}

    def _add_class(self, split: str, folder: os.DirEntry[str]) -> None:
        for entry in _walk(Path(folder.path), skipped=self.ignore, links=self._ignore_link_to_folder):
            reason = self.why_not(entry)
            if reason:
                self.ignore(entry, reason)
            else:
                self.pictures.append((split, folder.name, self._name(entry)))

    def _name(self, entry: os.DirEntry[str]) -> str:
        """Its path below the root, which every path that is walked begins with."""
        return entry.path[len(str(self.root)) :].lstrip(os.sep).replace(os.sep, "/")


def split_folders(root: Path) -> dict[str, list[Path]]:
    """Split -> its folders, for those that are named like splits and hold folders; in the splits' order."""
    folders: dict[str, list[Path]] = {}
    for split, folder in _split_folders(root):
        folders.setdefault(split, []).append(folder)
    return {split: folders[split] for split in SPLITS if split in folders}


def _split_folders(root: Path) -> Iterator[tuple[str, Path]]:
    for entry in entries(root):
        split = SPLIT_ALIASES.get(entry.name.lower())
        if split and entry.is_dir() and any(inner.is_dir() for inner in entries(Path(entry.path))):
            yield split, Path(entry.path)


def _walk(
    folder: Path,
    skipped: Callable[[os.DirEntry[str], str], None] | None = None,
    links: Callable[[os.DirEntry[str]], None] | None = None,
) -> Iterator[os.DirEntry[str]]:
    """Everything below `folder` that is not a folder, in natural order; `skipped` and `links` get the folders that are not entered."""
    for entry in entries(folder):
        if not entry.is_dir():
            yield entry
        elif entry.is_symlink():
            if links:
                links(entry)
        elif entry.name.startswith("."):
            if skipped:
                skipped(entry, "it is a hidden folder")
        else:
            yield from _walk(Path(entry.path), skipped, links)


def _is_text(name: str) -> bool:
    """Whether a file's name can be written down: the system hands over bytes, which need not be UTF-8."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
