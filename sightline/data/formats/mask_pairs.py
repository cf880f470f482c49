"""Which mask belongs to which picture: by folder, by name, and by the lists of the splits."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

from sightline.data.annotation_faults import FaultsFound
from sightline.data.counted import counted
from sightline.data.formats.pictures import (
    below,
    composed,
    entries,
    folders_in,
    is_picture,
    list_split,
    pictures_below,
    split_lists,
    split_of,
    text_of,
)
from sightline.data.index import SPLIT_ALIASES, SPLITS

IMAGES = ("images", "image", "imgs", "img", "jpegimages")
MASKS = ("masks", "mask", "semantic_masks", "labels", "label", "annotations", "annotation", "gt", "segmentationclass")
"""Names of folders, in the order in which they are looked for."""
SUFFIXES = ("_mask", "_masks", "-mask", ".mask", "_label", "_labels", "_seg", "_gt", "_l")
"""What may follow the picture's name in the mask's."""
_LISTS = ("splits", ".", "lists", "ImageSets/Segmentation", "ImageSets")
"""Folders that may hold the lists of the splits."""
_LOOKED_AT = 20


class Folders(NamedTuple):
    """Where pictures and their masks are; one folder when they lie side by side."""

    split: str
    """That the folders are named after, or nothing."""
    pictures: Path
    masks: Path

    @property
    def side_by_side(self) -> bool:
        """Whether a mask is told from a picture by its name alone."""
        return self.pictures == self.masks


def folders_of(root: Path) -> list[Folders]:
    """Folders of pictures and masks in the data set `root`, one pair for each split or one in all; none where there are none."""
    whole = _pair("", root)
    if whole and not whole.side_by_side:
        parts = {split_of(name): folder for name, folder in folders_in(whole.pictures).items() if split_of(name)}
        masks = {split_of(name): folder for name, folder in folders_in(whole.masks).items()}
        return [
            Folders(split, folder, masks.get(split, whole.masks / folder.name)) for split, folder in parts.items()
        ] or [whole]
    inside = folders_in(root)
    found = []
    for name, folder in inside.items():
        if name in SPLIT_ALIASES or re.fullmatch(r"(train|val)\d+", name):
            beside = next(
                (
                    inside[name + ending]
                    for ending in ("_masks", "_mask", "_labels", "annot")
                    if name + ending in inside
                ),
                None,
            )
            pair = Folders(split_of(name), folder, beside) if beside else _pair(split_of(name), folder)
            found += [pair] if pair else []
    return found or ([whole] if whole else [])


def belongs_together(folders: Folders) -> bool:
    """Whether the first masks in the folders have pictures; a look at a few names, for telling formats apart."""
    if folders.side_by_side:
        return True
    stems: dict[Path, set[str]] = {}
    for mask in islice(pictures_below(folders.masks), _LOOKED_AT) if folders.masks.is_dir() else ():
        folder = folders.pictures / mask.parent.relative_to(folders.masks)
        if folder not in stems:
            stems[folder] = {_key(path, folder) for path in _pictures_in(folder)} if folder.is_dir() else set()
        key = _key(mask, mask.parent)
        if stems[folder] & {key, _picture_of(key)}:
            return True
    return False


@dataclass
class Pairs:
    """The pictures with their masks, N of them, and what is wrong with the others."""

    root: Path
    pictures: list[str] = field(default_factory=list)
    """Paths relative to the root."""
    masks: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    """Of each picture; empty where it is in none."""
    ignored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    used: set[Path] = field(default_factory=set)
    """Files and folders in the root that are part of the data set."""
    found: FaultsFound = field(default_factory=FaultsFound)
    """Masks without a picture, and the other way round."""

    def read(self, every: list[Folders]) -> None:
        """Take all pictures that have masks."""
        lists = {} if any(folders.split for folders in every) else self._read_lists()
        for folders in every:
            self.used |= {
                self.root / below(path, self.root).split("/")[0] for path in (folders.pictures, folders.masks)
            }
            self._take(folders, lists)
        folder = below(every[0].pictures, self.root)
        for name, places in lists.items():
            for place in places:
                self.found.add("missing picture", f"{place}: there is no picture {name} in {folder}.")
        unused = [entry.name for entry in entries(self.root) if Path(entry.path) not in self.used]
        if not every[0].side_by_side or every[0].pictures != self.root:
            self.ignored += [f"{name}: it lies beside the pictures and masks" for name in unused]

    def _take(self, folders: Folders, lists: dict[str, list[str]]) -> None:
        """`lists` loses the lines whose pictures are found."""
        pictures, masks = self._found(folders)
        shown = below(folders.masks, self.root)
        unlisted, undivided, divided = 0, 0, bool(lists)
        for key, picture in pictures.items():
            split, place = folders.split, ""
            if divided:
                names = (key, picture.name, below(picture, folders.pictures), below(picture, self.root))
                places = [place for name in names for place in lists.pop(composed(name), ())]
                place = self._that_counts(places, names[-1])
                split = _list_split(place)
            mask = next((masks.pop(name) for name in _wanted(key) if name in masks), None)
            if mask is not None:
                self.pictures.append(below(picture, self.root))
                self.masks.append(below(mask, self.root))
                self.splits.append(split)
                undivided += divided and not place
            elif divided and not place:
                unlisted += 1
            else:
                wanted = f"{key}{SUFFIXES[0] if folders.side_by_side else ''}.png"
                self.found.add(
                    "missing mask",
                    f"{below(picture, self.root)}: there is no mask {wanted} (or of another kind) in {shown}; the picture is left out. "
                    "Draw the mask, or remove the picture.",
                )
        if unlisted:
            one = "picture is in no list of a split and has no mask; it is"
            several = "pictures are in no list of a split and have no mask; they are"
            self.notes.append(f"{counted(unlisted, one, several)} left out.")
        if undivided:
            one = "picture with a mask is in no list of a split; it is"
            several = "pictures with a mask are in no list of a split; they are"
            self.notes.append(f"{counted(undivided, one, several)} in none.")
        for key, mask in masks.items():
            wanted = _picture_of(key) if folders.side_by_side else key
            self.found.add(
                "missing picture",
                f"{below(mask, self.root)}: there is no picture {wanted} in {below(folders.pictures, self.root)}; the mask is left out.",
            )

    def _found(self, folders: Folders) -> tuple[dict[str, Path], dict[str, Path]]:
        """Pictures and masks by their names without endings, with the folders below the two."""
        if folders.side_by_side:
            every = self._named(_pictures_in(folders.pictures), folders.pictures)
            masks = {key: path for key, path in every.items() if _picture_of(key) in every}
            # What other masks add to their pictures' names tells a mask whose picture is missing from a picture without a mask.
            added, pictured = {_added(key) for key in masks}, {_picture_of(key) for key in masks}
            masks |= {key: path for key, path in every.items() if _added(key) in added and key not in pictured}
            return {key: path for key, path in every.items() if key not in masks}, masks
        masks = self._named(pictures_below(folders.masks), folders.masks) if folders.masks.is_dir() else {}
        return self._named(pictures_below(folders.pictures), folders.pictures), masks

    def _named(self, paths: Iterable[Path], folder: Path) -> dict[str, Path]:
        named: dict[str, Path] = {}
        for path in paths:
            first = named.setdefault(_key(path, folder), path)
            if first != path:
                self.ignored.append(
                    f"{below(path, self.root)}: {below(first, self.root)} has the same name and is taken"
                )
        return named

    def _that_counts(self, places: list[str], picture: str) -> str:
        """Of the lines that name a picture, one of the last of train, val and test, the others being noted; nothing without a line.

        Figures must not change, and training can do without.
        """
        places = sorted(places, key=lambda place: SPLITS.index(_list_split(place)))
        for before, place in pairwise(places):
            same = f"was listed before, in {before}"
            stays = f"is in {before} too; it stays in {_list_split(places[-1])}"
            twice = f"{place}: {picture} {same if _list_split(before) == _list_split(place) else stays}."
            self.found.add("listed twice", twice, absent=False)
        return places[-1] if places else ""

    def _read_lists(self) -> dict[str, list[str]]:
        """What a line names, without or with its ending -> the places of such lines."""
        listed: dict[str, list[str]] = {}
        for folder in (self.root / name for name in _LISTS):
            for _, file in split_lists(folder):
                self.used.add(self.root / below(file, self.root).split("/")[0])
                self._read_list(file, listed)
            if listed:
                return listed
        return {}

    def _read_list(self, file: Path, listed: dict[str, list[str]]) -> None:
        for number, line in enumerate(text_of(file).splitlines(), start=1):
            name = composed(line.strip().replace("\\", "/"))
            if not name:
                continue
            if any(is_picture(part) for part in name.split()[1:]):  # the mask's path follows
                name = name.split()[0]
            listed.setdefault(name, []).append(f"{below(file, self.root)} line {number}")


def _pair(split: str, folder: Path) -> Folders | None:
    """Folders of pictures and masks in a folder, or the folder itself where they lie side by side."""
    inside = folders_in(folder)
    pictures = next((inside[name] for name in IMAGES if name in inside), None)
    masks = (_masks_in(inside[name]) for name in MASKS if name in inside)
    held = next((path for path in masks if any(True for _ in pictures_below(path))), None) if pictures else None
    if pictures and held:
        return Folders(split, pictures, held)
    stems = {_key(path, folder) for path in _pictures_in(folder)}
    return Folders(split, folder, folder) if any(_picture_of(stem) in stems for stem in stems) else None


def _masks_in(folder: Path) -> Path:
    """The folder of masks in one of annotations of several kinds, such as annotations/trimaps beside annotations/xmls; else itself."""
    return next((inner for name, inner in folders_in(folder).items() if name in (*MASKS, "trimaps")), folder)


def _pictures_in(folder: Path) -> Iterator[Path]:
    return (Path(entry.path) for entry in entries(folder) if is_picture(entry.name))


def _key(path: Path, folder: Path) -> str:
    return composed(os.path.splitext(below(path, folder))[0])  # noqa: PTH122 - a data set has many names


def _wanted(key: str) -> tuple[str, ...]:
    """What the mask of a picture may be called: `_picture_of` undone."""
    return (key, *(key + suffix for suffix in SUFFIXES), f"{key}_L")


def _picture_of(key: str) -> str:
    """The name of the picture that a mask with a suffix belongs to; nothing without a suffix."""
    return next((key[: -len(suffix)] for suffix in SUFFIXES if key.lower().endswith(suffix)), "")


def _added(key: str) -> str:
    """The suffix of a mask's name; nothing without a suffix."""
    picture = _picture_of(key)
    return key[len(picture) :] if picture else ""


def _list_split(place: str) -> str:
    """The split of a list's line; nothing for no place."""
    return list_split(place.partition(" line ")[0])
