"""ILSVRC-2012 as it is handed out: training pictures in a folder for each synset, validation pictures in one flat folder.

    DATA/train/n01440764/n01440764_18.JPEG             also below DATA/ILSVRC/Data/CLS-LOC, as in Kaggle's archive
    DATA/val/ILSVRC2012_val_00000001.JPEG
    DATA/test/ILSVRC2012_test_00000001.JPEG            has no labels and is not used

The validation labels are in one of these, looked for in DATA and, below it, in the development kit's folder `data`:

- `LOC_val_solution.csv` (Kaggle): the columns ImageId,PredictionString, the second one beginning with the synset;
- `imagenet_2012_validation_synset_labels.txt`: a line for each picture, with its synset;
- `ILSVRC2012_validation_ground_truth.txt`: a line for each picture, with a number from 1. The numbers follow neither the alphabet nor
  the folders; the development kit's `meta.mat` says which synset has which.

Classes are called by their synsets, which are unique; their words are not: there are two cranes and two maillots.
With class folders in `val` too, DATA is an ordinary image folder.
"""

import csv
import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from sightline.data.counted import counted
from sightline.data.formats.image_folder import Found, split_folders
from sightline.data.formats.pictures import entries, is_picture
from sightline.data.index import SPLIT_ALIASES, Index
from sightline.errors import DataError

NAME = "ilsvrc"
SYNSET = re.compile(r"n\d{8}")
"""What a class is called: WordNet's number of a set of synonyms."""
_VAL_PICTURE = re.compile(r"ILSVRC2012_val_(\d{8})\.jpe?g", re.IGNORECASE)
_BELOW = ("", "CLS-LOC", "Data/CLS-LOC", "ILSVRC/Data/CLS-LOC")
_DEVKIT = "ILSVRC2012_devkit_t12/data"


def recognises(path: Path) -> bool:
    """Whether `path` is a folder with a flat validation folder, or one whose pictures lie as deep as in Kaggle's archive."""
    root = _root(path)
    return root is not None and (root != path or _flat_val(root) is not None)


def read(path: Path) -> Index:
    """The data set in the folder `path`; raises `DataError`, for lists of labels that do not fit the pictures too."""
    found_root = _root(path)
    if found_root is None:
        raise DataError(
            f"{path} is no ILSVRC-2012 data set: expected train/n01440764/*.JPEG or val/ILSVRC2012_val_00000001.JPEG in it, "
            f"or below {_BELOW[-1]}."
        )
    root = found_root.resolve()
    found, val = Found(root), _flat_val(root)
    folders = {}
    for split, held in split_folders(root).items():
        several = [*([val] if val and split == "val" else []), *(folder for folder in held if folder != val)]
        if len(several) > 1:
            names = " and ".join(folder.name for folder in several)
            raise DataError(f"{root} has two folders for one split: {names}. Keep one.")
        if several != [val]:
            folders[split] = several[0]
    if "train" not in folders and (root / "train").exists():
        raise DataError(
            f"{root}/train holds no class folders. Unpack the archive of each class into a folder of its name, such as n01440764."
        )
    for split, folder in folders.items():
        found.add_split(split, folder)
    notes, used = [], [*folders.values()]
    if val is not None:
        labels = _add_flat(found, val, path.resolve())
        notes.append(f"The labels of {val.name} come from {labels}.")
        used += [val, *(parent for parent in (labels, *labels.parents) if parent.parent == root)]
    without_labels = _without_labels(root, used)
    found.ignored += [
        f"{folder.name}: its pictures ({count}) have no labels" for folder, count in without_labels.items()
    ]
    found.ignore_beside([*used, *without_labels])
    found.require_classes(root)
    if found_root != path:
        notes.append(f"The pictures are those in {found_root}; of what lies beside it, labels at most are read.")
    notes.append("Classes are called by their synsets, such as n01440764; two synsets can share a word.")
    return found.index(NAME, *notes)


def _root(path: Path) -> Path | None:
    """The folder that holds train and val: `path` or one below it."""
    for below in _BELOW:
        folder = path / below
        if folder.is_dir() and (_flat_val(folder) is not None or _has(folder / "train", _is_class_folder)):
            return folder
    return None


def _flat_val(root: Path) -> Path | None:
    """The validation folder, when its pictures are not in class folders."""
    folders = (root / name for name, split in SPLIT_ALIASES.items() if split == "val")
    flat = (folder for folder in folders if _has(folder, _is_val_picture) and not _has(folder, _is_class_folder))
    return next(flat, None)


def _has(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> bool:
    if not folder.is_dir():
        return False
    with os.scandir(folder) as found:  # up to the first, without sorting 50,000 names
        return any(wanted(entry) for entry in found)


def _is_class_folder(entry: os.DirEntry[str]) -> bool:
    return SYNSET.fullmatch(entry.name) is not None and entry.is_dir()


def _is_val_picture(entry: os.DirEntry[str]) -> bool:
    return _VAL_PICTURE.fullmatch(entry.name) is not None


def _add_flat(found: Found, val: Path, given: Path) -> Path:
    """Take the pictures of a flat validation folder; the file that their labels come from."""
    names = []
    for entry in entries(val):
        reason = found.why_not(entry)
        if not reason and not _is_val_picture(entry):
            reason = "it is not named like ILSVRC2012_val_00000001.JPEG"
        if reason:
            found.ignore(entry, reason)
        else:
            names.append(entry.name)
    file, synsets = _labels(val, names, given)
    known = found.class_names
    for name, synset in zip(names, synsets, strict=True):
        if not SYNSET.fullmatch(synset):
            raise DataError(f"{file}: expected a synset such as n01440764 for {name}, got {synset!r}.")
        if known and synset not in known:
            raise DataError(
                f"{file}: {name} is of the class {synset}, which is none of the {len(known)} folders in {found.root}/train. "
                "Put the class's training pictures there, or take those of its pictures out of val and the list."
            )
    found.pictures += [("val", synset, f"{val.name}/{name}") for name, synset in zip(names, synsets, strict=True)]
    found.class_folders["val"] = sorted(set(synsets))
    return file


def _labels(val: Path, names: list[str], given: Path) -> tuple[Path, list[str]]:
    """The file with the labels, and the synset of each picture."""
    places = list(_places(val.parent, given))
    for pattern, read_labels in _LISTS.items():
        for place in places:
            for file in sorted(place.glob(pattern)):
                return file, read_labels(file, val, names)
    raise DataError(
        f"{val} holds {counted(len(names), 'picture')} without class folders, and there are no labels for them. Put one of "
        f"these into {given}: LOC_val_solution.csv, imagenet_2012_validation_synset_labels.txt, or the development kit as {_DEVKIT} with "
        "ILSVRC2012_validation_ground_truth.txt and meta.mat."
    )


def _places(root: Path, given: Path) -> Iterator[Path]:
    """Where the lists may lie: in the folder given, beside the pictures, and in every folder of Kaggle's archive above them."""
    above = root.parents[: _BELOW[-1].count("/") + 1] if root.name == "CLS-LOC" else ()
    for folder in dict.fromkeys([given, root, *above]):
        yield folder
        yield from sorted(folder.glob("*devkit*/data"))


def _from_kaggle(file: Path, val: Path, names: list[str]) -> list[str]:
    rows = list(csv.reader(_text(file).splitlines()))
    if not rows or [name.strip() for name in rows[0]] != ["ImageId", "PredictionString"]:
        got = ",".join(rows[0]) if rows else ""
        raise DataError(f"{file} line 1: expected the columns ImageId,PredictionString, got {got or 'nothing'}.")
    synset_of: dict[str, str] = {}
    for line, row in enumerate(rows[1:], start=2):
        boxes = row[1].split() if len(row) == 2 else []  # a synset and four numbers for each box
        if not boxes or len(set(boxes[::5])) != 1 or row[0] in synset_of:
            raise DataError(
                f"{file} line {line}: expected a picture that was not listed before and boxes of one synset, got {','.join(row)!r}."
            )
        synset_of[row[0]] = boxes[0]
    _require_count(file, len(synset_of), val, names)
    stems = [name.partition(".")[0] for name in names]
    missing = [stem for stem in stems if stem not in synset_of]
    if missing:
        raise DataError(f"{file}: it has no row for {missing[0]} and {len(missing) - 1} more pictures of {val}.")
    return [synset_of[stem] for stem in stems]


def _from_numbers(file: Path, val: Path, names: list[str]) -> list[str]:
    lines = _in_order(file, val, names)
    synset_of = _synsets_by_number(file.with_name("meta.mat"), file)
    unknown = [position for position, line in enumerate(lines) if line not in synset_of]
    if unknown:
        raise DataError(
            f"{file} line {unknown[0] + 1}: expected a number that meta.mat has (1..{len(synset_of)}), got {lines[unknown[0]]!r}."
        )
    return [synset_of[line] for line in lines]


def _in_order(file: Path, val: Path, names: list[str]) -> list[str]:
    """The lines of a file that labels picture 1, 2, ... in order; a picture that is missing would shift all that follow."""
    lines = [line.strip() for line in _text(file).rstrip().splitlines()]
    _require_count(file, len(lines), val, names)
    for expected, name in enumerate(names, start=1):
        number = _VAL_PICTURE.fullmatch(name)
        if number is None or int(number[1]) != expected:
            raise DataError(
                f"{file} labels the pictures from 1 to {len(lines)} in order, but where ILSVRC2012_val_{expected:08d}.JPEG "
                f"was expected in {val}, there is {name}."
            )
    return lines


def _require_count(file: Path, count: int, val: Path, names: list[str]) -> None:
    if count != len(names):
        raise DataError(
            f"{file} has labels for {counted(count, 'picture')}, and {val} holds {len(names)}. "
            "Bring the pictures or the list that is meant."
        )


def _synsets_by_number(meta: Path, asked_by: Path) -> dict[str, str]:
    """ILSVRC2012_ID, as text -> synset, from the development kit's MATLAB file."""
    if not meta.is_file():
        raise DataError(
            f"{asked_by} numbers the classes in an order of its own, which meta.mat says: bring it from the development kit "
            f"into {meta.parent}, or a list of synsets, imagenet_2012_validation_synset_labels.txt."
        )
    from scipy.io import loadmat  # comes with scikit-learn; takes long to import

    try:
        synsets = loadmat(meta, squeeze_me=True, variable_names=["synsets"])["synsets"]
        pairs = zip(synsets["ILSVRC2012_ID"].tolist(), synsets["WNID"].tolist(), strict=True)
        return {str(int(number)): str(synset) for number, synset in pairs}
    except Exception as error:  # what a damaged file makes the reader raise has no common root
        raise DataError(f"{meta} cannot be read ({error!r}). Bring it again from the development kit.") from error


def _without_labels(root: Path, used: Collection[Path]) -> dict[Path, int]:
    """Split folders with pictures of no class, and how many."""
    named = [Path(entry.path) for entry in entries(root) if entry.name.lower() in SPLIT_ALIASES and entry.is_dir()]
    counts = {
        folder: sum(is_picture(entry.name) for entry in entries(folder)) for folder in named if folder not in used
    }
    return {folder: count for folder, count in counts.items() if count}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read ({error}).") from error


_LISTS: dict[str, Callable[[Path, Path, list[str]], list[str]]] = {
    "LOC_val_solution.csv": _from_kaggle,
    "*validation_synset_labels.txt": _in_order,
    "ILSVRC2012_validation_ground_truth.txt": _from_numbers,
}
"""Name of a file with labels -> how it is read, the one that names its pictures first."""
