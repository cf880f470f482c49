"""Dividing a data set into train, val and test, the same way each time, and writing the division down.

Which split a picture falls into is decided by a hash of (seed, its name), class by class: the same on every machine, and a picture
that is added later moves few others. Pictures with boxes or masks have no class of their own and are divided all together.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from sightline.data.annotations import ClassLabels, Objects
from sightline.data.counted import counted
from sightline.data.formats import csv_table
from sightline.data.formats.csv_rows import read_rows
from sightline.data.index import SPLITS, Index, Positions
from sightline.data.masks import Masks
from sightline.errors import ConfigError, DataError

_NAMED = 10


def with_splits(index: Index, seed: int = 0, val: float = 0.1, test: float = 0.1) -> Index:
    """The index with the splits that training needs; what was made is said in its notes.

    - No split, or a single one: all pictures are divided into train, val and test, stratified by class.
    - train and test: val is taken from train, stratified by class.
    - train and val, or all three: nothing is changed.

    `val` and `test` are shares of the pictures that are divided (0..1, together below 1). Raises `DataError` when there are
    splits and none of them is for training, when pictures with a class each have fewer than two classes, or a class without
    training pictures; of pictures with boxes, when there is no box to train on. What is in masks is for a check before training to say.
    """
    if not (0 < val < 1 and 0 <= test < 1 and val + test < 1):
        raise ConfigError(
            f"The shares of val and test are above 0 and together below 1; got val {val} and test {test}."
        )
    divided = _with_missing(index, seed, val, test)
    try:
        if isinstance(index.annotations, ClassLabels):
            _require_trainable(divided)
        return _with_absent_classes(divided) if isinstance(index.annotations, Objects) else divided
    except DataError as error:
        raise DataError(f"{error}{how_divided(index, divided)}") from error


def how_divided(index: Index, divided: Index) -> str:
    """What to say behind a count of a split that was made, since the data set itself has other numbers; else nothing."""
    return f" {divided.notes[-1]}" if len(divided.splits) > len(index.splits) else ""


def _with_missing(index: Index, seed: int, val: float, test: float) -> Index:
    given = {name: held for name, held in index.splits.items() if len(held)}
    if given and "train" in index.splits and "train" not in given:
        raise DataError(
            f"The train split has no pictures, and there are others ({_sizes(given)}): there is nothing to learn from. "
            "Put pictures into it, or divide all anew with: sightline split DATA"
        )
    if len(given) <= 1:
        whole = next(iter(given.values())) if given else np.arange(len(index))
        came = f"came as a single {next(iter(given))!r} split and" if given else "had no splits and"
        splits = _divided(index, whole, seed, {"val": val, "test": test})
        return index.divided(splits, f"The data set {came} was divided: {_sizes(splits)} ({_how(index)}seed {seed}).")
    if "train" not in given:
        raise DataError(
            f"The data set has only the splits {', '.join(given)}: there is no train split to learn from. "
            "Put pictures into one, or make it with `sightline split`."
        )
    if "val" not in given:
        parts = _divided(index, given["train"], seed, {"val": val})
        splits = {**given, **parts}
        note = f"The data set had no val split; it was taken from train: {_sizes(splits)} ({_how(index)}seed {seed})."
        return index.divided(splits, note)
    if "test" not in given:
        return index.divided(
            given, "The data set has no test split: results are of the val split, which picks the weights."
        )
    return index.divided(given)


def write_splits(index: Index, path: Path) -> Path:
    """Write down which picture is in which split: a table path,label,split with the pictures' names.

    Of a picture with boxes, the label is how many there are of each class, and a hash that tells when one has moved; of one with
    a mask, a hash of it.
    """
    return csv_table.write_rows(index, path, {at: index.source.name(at) for at in range(len(index))})


def read_splits(index: Index, path: Path) -> Index:
    """The index with the splits that `write_splits` wrote.

    Raises `DataError` that counts the differences when the data set has changed since, and for a row that cannot be used.
    """
    table = read_rows(path)
    if table.found.lines:
        raise DataError(f"{path} is no table of splits as `sightline split` writes it: {table.found.lines[0]}")
    rows = {row.path: row for row in table.rows}
    names = [index.source.name(position) for position in range(len(index))]
    missing = sorted(rows.keys() - set(names))
    new = [name for name in names if name not in rows]
    moved = [
        name
        for position, name in enumerate(names)
        if name in rows and rows[name].label != index.annotations.summary(position, index.class_names).strip()
    ]
    if missing or new or moved:
        boxes_or_masks = "masks" if isinstance(index.annotations, Masks) else "boxes"
        other = "in another class" if isinstance(index.annotations, ClassLabels) else f"with other {boxes_or_masks}"
        kinds = ((missing, "missing"), (new, "new"), (moved, other))
        differences = ", ".join(f"{len(held)} {kind} (first: {held[0]})" for held, kind in kinds if held)
        raise DataError(
            f"The data set has changed since its splits were written to {path}: of {counted(len(rows), 'picture')}, {differences}. "
            "Bring it back to what it was, or delete the file to divide it anew."
        )
    split_of = np.array([rows[name].split for name in names])
    return index.divided({split: np.flatnonzero(split_of == split) for split in SPLITS if (split_of == split).any()})


def _require_trainable(index: Index) -> None:
    counts = index.class_counts("train")
    _require_two(counts)
    empty = [name for name, count in counts.items() if not count]
    if empty:
        more = f" (and {len(empty) - 1} more classes)" if len(empty) > 1 else ""
        raise DataError(f"The class {empty[0]!r} has no pictures in the train split{more}: it cannot be learned.")


def _require_two(names: Collection[str]) -> None:
    if len(names) < 2:
        raise DataError(f"The data set has one class only ({', '.join(names)}): there is nothing to tell apart.")


def _with_absent_classes(index: Index) -> Index:
    """Among many classes of boxes some may have none to train on: that is said, and the others are learned."""
    counts = index.class_counts("train")
    absent = [name for name, count in counts.items() if not count]
    if not _asked_for(index, "train"):
        raise DataError("The pictures of the train split have no boxes: there is nothing to learn from.")
    if "val" in index.splits and not _asked_for(index, "val"):
        raise DataError("The pictures of the val split have no boxes: nothing says which weights are the best.")
    if not absent:
        return index
    named = f"{', '.join(absent[:_NAMED])}{' ...' if len(absent) > _NAMED else ''}"
    of_all = f"of {len(counts)} classes"
    have = counted(len(absent), f"{of_all} has", f"{of_all} have")
    return index.divided(index.splits, f"{have} no boxes to train on and cannot be learned: {named}.")


def _asked_for(index: Index, split: str) -> int:
    """How many boxes of a split are neither of a crowd nor difficult: only those are learned and measured."""
    boxes = index.annotations
    assert isinstance(boxes, Objects)
    plain = ~(boxes.crowd | boxes.difficult)
    return sum(int(plain[boxes.rows(int(position))].sum()) for position in index.positions(split))


def _divided(index: Index, whole: Positions, seed: int, shares: dict[str, float]) -> dict[str, Positions]:
    """Train gets what the shares leave, and of every group at least one picture."""
    parts: dict[str, list[int]] = {"train": [], **{name: [] for name in shares}}
    for group in _groups(index, whole):
        members = sorted(group.tolist(), key=lambda p: _rank(seed, index.source.name(p)))
        count = len(members)
        for name, share in shares.items():
            taken = min(max(1, round(share * count)), len(members) - 1) if share and members else 0
            parts[name] += members[:taken]
            members = members[taken:]
        parts["train"] += members
    return {name: np.array(held, np.int64) for name, held in parts.items() if held}


def _groups(index: Index, whole: Positions) -> list[Positions]:
    """The pictures that are divided in the same proportion: those of a class, or all where they have boxes or masks instead."""
    if not isinstance(index.annotations, ClassLabels):
        return [whole]
    return [whole[index.labels[whole] == label] for label in range(len(index.class_names))]


def _how(index: Index) -> str:
    return "stratified, " if isinstance(index.annotations, ClassLabels) else ""


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


def _sizes(splits: dict[str, Positions]) -> str:
    return ", ".join(f"{name} {len(splits[name])}" for name in SPLITS if name in splits)
