"""What a data set holds: where each picture is, what is known of it, its split, the class names.

Every format's `read` gives an `Index`, and everything after it (splits, checks, loading) asks for nothing else.
A position (0..N-1) names one picture for as long as the index and what was made from it live.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sightline.data.annotation_faults import NO_FAULTS, AnnotationFaults
from sightline.data.annotations import Annotations, ClassLabels, Places
from sightline.data.masks import MOST_CLASSES, Masks
from sightline.errors import DataError

SPLITS = ("train", "val", "test")
SPLIT_ALIASES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""What data sets call their splits, and what we call them, as the Hugging Face hub reads such names.

To some "eval" is what picks the weights. Read as test it is kept out of that, so that its figures are honest either way.
"""

Positions = NDArray[np.int64]


class ImageSource(Protocol):
    """Where the pictures of a data set come from, one by one."""

    def __len__(self) -> int:
        """Number of pictures."""
        ...

    def name(self, position: int) -> str:
        """What the user recognises: a path relative to the data set, or "test.parquet row 12"."""
        ...

    def image(self, position: int) -> Tensor:
        """The picture as (3, H, W) uint8 RGB; raises `ImageError` naming it and why."""
        ...


@runtime_checkable
class HasContent(Protocol):
    """A source whose pictures are files, or parts of files, that can be written elsewhere as they are."""

    def content(self, position: int) -> bytes:
        """The bytes of the picture's file; raises `ImageError`."""
        ...


@runtime_checkable
class HasParts(Protocol):
    """A source that can give some of its pictures as a source of the same kind."""

    def only(self, positions: Positions) -> ImageSource:
        """The pictures at `positions`, ascending."""
        ...


@runtime_checkable
class ReadsAhead(Protocol):
    """A source that reads faster when it knows what will be asked for."""

    def ahead(self, positions: Sequence[int]) -> None:
        """Say which pictures come next, a batch or so; they may be asked for in any order, or not at all."""
        ...


def announce(source: ImageSource, positions: Sequence[int]) -> None:
    """Tell a source which pictures come next, where it wants to know."""
    if isinstance(source, ReadsAhead):
        source.ahead(positions)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Index:
    """The pictures of one data set with their labels and splits.

    Raises `DataError` for labels outside 0..K-1, unknown split names, and a picture in two splits. What is in masks is not looked
    at here: a check before training does.

    >>> from sightline.data.sources import TensorSource
    >>> import torch
    >>> pictures = TensorSource(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), ["a.png", "b.png", "c.png"])
    >>> index = Index(source=pictures, annotations=ClassLabels(np.array([0, 1, 1])), class_names=("cat", "dog"),
    ...               splits={"train": np.array([0, 1]), "test": np.array([2])}, format="image folder")
    >>> len(index), index.class_counts("train"), index.positions("test").tolist()
    (3, {'cat': 1, 'dog': 1}, [2])
    """

    source: ImageSource
    """The pictures, N of them."""
    annotations: Annotations
    """What is known of each picture: its class, the objects in it, or the class of each of its pixels."""
    class_names: tuple[str, ...]
    """K names; the label is the position here."""
    splits: dict[str, Positions]
    """Positions of each split, ascending, among train, val and test in this order; empty when the set is not divided."""
    format: str
    """The name of the format that it was read from."""
    notes: tuple[str, ...] = ()
    """What was noticed or decided and must be said aloud."""
    ignored: tuple[str, ...] = ()
    """Files that lie in the data set and are not used, each with the reason."""
    faults: AnnotationFaults = NO_FAULTS
    """What is wrong with the annotations; `faults.require_few` stops when it is too much."""
    places: Places | None = None
    """Where the objects, or the pictures with a class each, are in the files, where the format says so."""
    unread: tuple[str, ...] = ()
    """What is said of the pictures besides and not read, so that no copy has it: "keypoints of 12 annotations"."""

    def __post_init__(self) -> None:
        if len(self.annotations) != len(self.source):
            raise DataError(f"expected annotations of {len(self.source)} pictures, got {len(self.annotations)}")
        self._require_known_labels()
        object.__setattr__(self, "splits", self._ordered_splits())

    def __len__(self) -> int:
        return len(self.source)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) class of each picture, 0..K-1; raises `DataError` when pictures have no class but objects or masks."""
        if not isinstance(self.annotations, ClassLabels):
            there = "masks" if isinstance(self.annotations, Masks) else "boxes"
            raise DataError(f"The data set ({self.format}) has {there} for its pictures, not classes.")
        return self.annotations.labels

    def positions(self, split: str) -> Positions:
        """Positions of the pictures of a split, ascending; raises `DataError` that lists the splits there are."""
        if split not in self.splits:
            there = ", ".join(f"{name} ({len(held)})" for name, held in self.splits.items())
            raise DataError(
                f"The data set has no pictures in the split {split!r}; there is {there or 'no split in it yet'}."
            )
        return self.splits[split]

    def class_counts(self, split: str | None = None) -> dict[str, int]:
        """Number of pictures (or objects or pixels, where those have the classes) of each class, in a split or in all.

        To count pixels, all masks are read.
        """
        positions = np.arange(len(self)) if split is None else self.positions(split)
        counts = self.annotations.counts(positions, len(self.class_names))
        return dict(zip(self.class_names, counts.tolist(), strict=True))

    def fingerprint(self, split: str | None = None) -> str:
        """SHA-256 over names, labels and class names, of one split or of all pictures, in hexadecimal digits."""
        digest = hashlib.sha256("\0".join(self.class_names).encode())
        positions = range(len(self)) if split is None else self.positions(split).tolist()
        for position in positions:
            digest.update(f"\n{self.source.name(position)}\0{self.annotations.digest(position)}".encode())
        return digest.hexdigest()

    def divided(self, splits: dict[str, Positions], *notes: str) -> "Index":
        """The same pictures with other splits, and what is to be said about it."""
        return replace(self, splits=splits, notes=(*self.notes, *notes))

    def without(self, positions: Sequence[int], *notes: str) -> "Index":
        """The same pictures with some of them taken out of every split; positions stay what they were."""
        kept = {name: held[~np.isin(held, positions)] for name, held in self.splits.items()}
        return self.divided(kept, *notes)

    def _require_known_labels(self) -> None:
        classes = len(self.class_names)
        if isinstance(self.annotations, Masks):
            if classes > MOST_CLASSES:
                raise DataError(f"The data set has {classes} classes; masks can tell {MOST_CLASSES} apart.")
            return
        labels = self.annotations.labels
        outside = np.flatnonzero((labels < 0) | (labels >= classes))
        if not len(outside):
            return
        row = picture = int(outside[0])
        if not isinstance(self.annotations, ClassLabels):
            picture = int(np.searchsorted(self.annotations.offsets, row, side="right")) - 1
        raise DataError(
            f"{self.source.name(picture)}: its label is {labels[row]}, but there are {classes} classes (0..{classes - 1})."
        )

    def _ordered_splits(self) -> dict[str, Positions]:
        unknown = set(self.splits) - set(SPLITS)
        if unknown:
            raise DataError(f"Unknown split {sorted(unknown)[0]!r}: expected {', '.join(SPLITS)}.")
        ordered = {name: np.sort(np.asarray(self.splits[name], np.int64)) for name in SPLITS if name in self.splits}
        together = np.concatenate([*ordered.values(), np.empty(0, np.int64)])
        if len(together) and (together.min() < 0 or together.max() >= len(self)):
            raise DataError(f"A split names position {together.max()}, but there are {len(self)} pictures.")
        found, times = np.unique(together, return_counts=True)
        if (times > 1).any():
            twice = self.source.name(int(found[times > 1][0]))
            raise DataError(f"{twice} is in two splits: a picture may be in one only.")
        return ordered


def natural_order(name: str) -> tuple[list[tuple[int, int | str]], str]:
    """A sorting key that puts "class 2" before "class 10".

    >>> sorted(["10", "9", "b", "A"], key=natural_order)
    ['9', '10', 'A', 'b']
    """
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part], name
