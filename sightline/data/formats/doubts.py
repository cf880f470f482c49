"""Signs that the folders of an image folder are no classes, so that a person is asked before anything is trained on them.

Only names are looked at, and few of them. `--format 'image folder'` reads any folder as it stands. Names such as 1.png in each class
folder are usual, and are no sign by themselves.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sightline.data.formats import image_folder
from sightline.data.formats.mask_pairs import SUFFIXES
from sightline.data.formats.pictures import below, folders_in, picture_names, pictures_below, split_of

_MASKS = frozenset([
    "masks", "labels", "gt", "ann", "anns", "annot", "annots", "annotation", "annotations", "seg", "segs", "segmentation",
    "segmentations", "trimap", "trimaps",
])  # fmt: skip
"""Words that folders of masks or annotations are called by. Such a folder is a class at most among many."""
_PERHAPS_MASKS = frozenset(["mask", "label", "target", "targets", "output", "outputs"])
"""Words that classes are called by too."""
_PICTURES = frozenset([
    "image", "images", "img", "imgs", "picture", "pictures", "pic", "pics", "photo", "photos", "frame", "frames", "input", "inputs",
    "original", "originals", "raw",
])  # fmt: skip
_SURELY_PICTURES = _PICTURES - {"original", "originals", "raw"}
"""Original ones may be a class beside altered ones."""
_WRITTEN_TOGETHER = re.compile(r"ground[ _-]?truths?|label[ _-]?(ids?|maps?|txt)", re.IGNORECASE)
_PARTS = frozenset(["dir", "tr", "ts", "va"])
"""Words that say nothing of what is in a folder, like the names of splits."""
_FEW = 3
"""Folders, up to which one may be what belongs to another one."""
_ENDINGS = tuple({*SUFFIXES, "_segmentation", "_groundtruth", "_annotation", "_labelids", "_trimap", "_mask_l"})
"""What masks have after the names of their pictures."""
_FOLDERS, _FILES = 20, 50
"""How many are looked at: of the class folders, and of what is in each."""

_IN_TWO = "Where one folder has masks of the pictures in the other, call the two images and masks, and a picture and its mask alike."


class DataSet(NamedTuple):
    """One that lies in a folder."""

    path: Path
    formats: tuple[str, ...]
    """That it can be read as."""


@dataclass
class Classes:
    """The folders that would be the classes, by name, each as often as there are splits that have it."""

    path: Path
    folders: dict[str, list[Path]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in image_folder.class_folders(self.path):
            self.folders.setdefault(folder.name, []).append(folder)

    @property
    def first(self) -> list[Path]:
        """The folders that are looked into: one of each of some classes, with pictures in it."""
        held = (folders[0] for folders in islice(self.folders.values(), _FOLDERS))
        return [folder for folder in held if image_folder.holds_pictures(folder)]

    def of(self, name: str) -> Path:
        """The first folder of a class."""
        return self.folders[name][0]

    def shown(self, folder: Path) -> str:
        """A folder as the user sees it."""
        return below(folder, self.path)


class Sign(NamedTuple):
    """What speaks against classes, and what to do when they are none."""

    found: str
    advice: str


def doubt(path: Path, data_sets: Iterable[DataSet]) -> str:
    """What to ask about the image folder `path`; nothing where its folders look like classes.

    `data_sets` are those further down, without flat folders of pictures: tables and XML files may lie beside those of a class.
    """
    classes = Classes(path)
    sign = _data_sets_inside(classes, data_sets) or next((sign for looks in _SIGNS if (sign := looks(classes))), None)
    if sign is None:
        return ""
    return (
        f"{path} may be no image folder with the classes {_listed(list(classes.folders))}: {sign.found}. {sign.advice} "
        f"If the folders are the classes: --format {shlex.quote(image_folder.NAME)}."
    )


def _data_sets_inside(classes: Classes, data_sets: Iterable[DataSet]) -> Sign | None:
    """Data sets of other formats inside the folders."""
    folders = {folder for held in classes.folders.values() for folder in held}
    inside = [found for found in data_sets if not folders.isdisjoint([found.path, *found.path.parents])]
    if all(image_folder.NAME in found.formats for found in inside):
        return None
    shown = [f"{found.path} ({' or '.join(found.formats)})" for found in inside]
    return Sign(f"it holds whole data sets, {_listed(shown)}", "Give the path of one of them.")


def _called_like_masks(classes: Classes) -> Sign | None:
    """A folder that is called like masks or annotations, beside one that is not."""
    names = list(classes.folders)
    for name in names:
        others = [other for other in names if _is_like_masks_of(name, other)]
        partners = [other for other in others if _is_of_pictures(other)]
        if _mask_word(name) in _MASKS and len(names) <= _FEW:
            partners += others
        held = partners and all(map(image_folder.holds_pictures, (classes.of(name), classes.of(partners[0]))))
        if held:
            mask, picture = classes.shown(classes.of(name)), classes.shown(classes.of(partners[0]))
            return Sign(f"{mask} is called like masks or annotations of the pictures in {picture}", _IN_TWO)
    return None


def _same_names(classes: Classes) -> Sign | None:
    """Two folders with the same names of files: pictures, and something that belongs to them."""
    if len(classes.folders) != 2:
        return None
    one, other = sorted(classes.folders)
    telling = (one.lower(), other.lower()) == ("x", "y") or any(
        _is_like_masks_of(a, b) or (_words(a) and _SURELY_PICTURES.issuperset(_words(a)))
        for a, b in ((one, other), (other, one))
    )
    stems = [{path.stem for path in pictures_below(classes.of(name))} for name in (one, other)]
    for masks, pictures in (stems, stems[::-1]):
        some = sorted(masks)[:_FILES]
        alike = max(sum(_without_ending(stem) in pictures for stem in some), telling * len(pictures.intersection(some)))
        if 2 * alike > len(some):
            shown = " and ".join(classes.shown(classes.of(name)) for name in (one, other))
            return Sign(f"{shown} hold files of the same names, as pictures and their masks do", _IN_TWO)
    return None


def _masks_beside(classes: Classes) -> Sign | None:
    """Masks beside their pictures, in most folders and for most of their pictures."""
    first = classes.first
    pairs = [pair for folder in first if (pair := _pair_in(folder))]
    if 2 * len(pairs) <= len(first):
        return None
    picture, mask = pairs[0]
    found = f"most folders hold masks beside their pictures, such as {classes.shown(picture)} and {mask.name}"
    return Sign(found, "Where they are masks, put all these files into one folder.")


def _same_folders(classes: Classes) -> Sign | None:
    """Folders inside that have the same names in most: the classes, or the splits. Others hold pictures alone, as of a test."""
    first = classes.first
    holding = {folder.name: held for folder in first if (held := _inner_folders(folder))}
    names, inner = list(holding), list(holding.values())
    if len(inner) < 2 or 2 * len(inner) <= len(first):
        return None
    each = list(inner[0])
    if len(each) < 2 or any(held.keys() != inner[0].keys() for held in inner):
        return None
    found = (
        f"{'each of them holds' if len(inner) == len(first) else 'most of them hold'} the same folders, {_listed(each)}"
    )
    if any(_is_like_masks_of(a, b) for a in each for b in each):
        return Sign(f"{found}, as pictures and their masks", _IN_TWO)
    if all(map(split_of, each)):
        return Sign(found, f"If these are splits, rename the folders to {split_of(each[0])}/{names[0]} and so on.")
    splits = [split_of(name) for name in names]
    if all(splits) and len(set(splits)) == len(splits):
        moves = [
            f"{classes.shown(next(iter(held.values())).parent)} to {split}"
            for held, split in zip(inner, splits, strict=True)
        ]
        return Sign(found, f"If those are the classes, rename {' and '.join(moves)}.")
    one = next(iter(inner[0].values())).parent
    return Sign(found, f"If those are the classes, give the path of one of the folders above them, such as {one}.")


_SIGNS: tuple[Callable[[Classes], Sign | None], ...] = (_called_like_masks, _same_names, _masks_beside, _same_folders)


def _mask_word(name: str) -> str:
    """The word by which a name is one of masks, the last or the first of those that count; else nothing.

    >>> _mask_word("Training_GroundTruth"), _mask_word("labelsTr"), _mask_word("masks_machine"), _mask_word("football")
    ('gt', 'labels', 'masks', '')
    """
    words = _words(name)
    return next((word for word in (*words[-1:], *words[:1]) if word in _MASKS or word in _PERHAPS_MASKS), "")


def _is_like_masks_of(name: str, other: str) -> bool:
    """Whether a folder is called like masks, and another one is not, nor after the same thing.

    >>> _is_like_masks_of("mask", "images"), _is_like_masks_of("mask", "nomask"), _is_like_masks_of("with_mask", "mask_wrong")
    (True, False, False)
    """
    word = _mask_word(name).rstrip("s")
    return bool(word) and word not in other.lower() and not _mask_word(other)


def _is_of_pictures(name: str) -> bool:
    """Whether a folder is called like pictures, or like a split.

    >>> _is_of_pictures("leftImg8bit"), _is_of_pictures("train2017"), _is_of_pictures("trains")
    (True, True, False)
    """
    words = _words(name)
    return not _PICTURES.isdisjoint(words) or (not words and bool(split_of(name)))


def _words(name: str) -> list[str]:
    """The words of a name in small letters, without those that say nothing."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+", _WRITTEN_TOGETHER.sub("gt", name))
    return [word for word in map(str.lower, found) if word not in _PARTS and not split_of(word)]


def _without_ending(stem: str) -> str:
    """The name of the picture that a mask of that name belongs to; nothing where it does not end like a mask's."""
    if not stem.lower().endswith(_ENDINGS):
        return ""
    return next(stem[: -len(ending)] for ending in _ENDINGS if stem.lower().endswith(ending))


def _pair_in(folder: Path) -> tuple[Path, Path] | None:
    """A picture and its mask that lie side by side in a folder, where most of what it holds are such."""
    files = {os.path.splitext(name)[0]: name for name in picture_names(folder)}  # noqa: PTH122 - a data set has many names
    pairs = [(files[picture], name) for stem, name in files.items() if (picture := _without_ending(stem)) in files]
    picture, mask = min(pairs, default=("", ""))
    return (folder / picture, folder / mask) if 4 * len(pairs) > len(files) else None


def _inner_folders(folder: Path) -> dict[str, Path]:
    """The folders with pictures in a folder, or in the only one that it holds; none where pictures lie there."""
    if any(picture_names(folder)):
        return {}
    inner = {name: path for name, path in folders_in(folder).items() if not path.is_symlink()}
    return _inner_folders(next(iter(inner.values()))) if len(inner) == 1 else inner


def _listed(names: Sequence[str], most: int = 5) -> str:
    return f"{', '.join(names[:most])}{' ...' if len(names) > most else ''}"
