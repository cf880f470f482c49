"""What is known of the pictures of a data set, in columns: one array for all pictures, not an object for each.

`ClassLabels` is one class a picture, `Objects` any number of boxes with classes, `Masks` (in its own file) a class for each
pixel. An `Index` holds one of them, and beside it what a format found wrong with them (`sightline.data.annotation_faults`).
Shape letters: `N` pictures, `M` objects in all of them, `K` classes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.data.masks import Masks
from sightline.errors import DataError
from sightline.structures import ClassificationTarget, DetectionTarget


@dataclass(frozen=True, slots=True, eq=False)
class ClassLabels:
    """One class for each picture.

    >>> ClassLabels(np.array([0, 2])).target(1)
    ClassificationTarget(label=2, second_label=None, share=1.0)
    """

    labels: NDArray[np.int64]
    """(N,) class of each picture, 0..K-1."""

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels, dtype=np.int64)
        if labels.ndim != 1:
            raise DataError(f"expected one label a picture, (N,), got {labels.shape}")
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.labels)

    def target(self, position: int) -> ClassificationTarget:
        """What a network should say of the picture at `position`."""
        return ClassificationTarget(int(self.labels[position]))

    def counts(self, positions: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
        """(K,) pictures of each class among those at `positions`."""
        return np.bincount(self.labels[positions], minlength=num_classes)

    def relabelled(self, mapping: NDArray[np.int64]) -> "ClassLabels":
        """The same with class c called `mapping[c]`."""
        return ClassLabels(mapping[self.labels])

    def digest(self, position: int) -> str:
        """What of the picture at `position` goes into the data set's fingerprint."""
        return str(self.labels[position])

    def summary(self, position: int, class_names: Sequence[str]) -> str:
        """The annotation of the picture at `position` in one line for people; another annotation has another line."""
        return class_names[int(self.labels[position])]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Objects:
    """Boxes with classes, any number a picture, in the pictures' own pixels.

    Those of picture i are the rows `offsets[i]` to `offsets[i + 1]`. Raises `DataError` for columns of unequal length
    and for boxes without an area: formats leave those out, and name them.

    >>> one = Objects.of([np.array([[0, 0, 4, 2]])], [np.array([1])])
    >>> one.target(0).boxes, one.counts(np.array([0]), 2)
    (tensor([[0., 0., 4., 2.]]), array([0, 1]))
    """

    offsets: NDArray[np.int64]
    """(N + 1,) first row of each picture, and M."""
    boxes: NDArray[np.float32]
    """(M, 4) left, top, right, bottom in pixels; the right and bottom edges are where the object ends."""
    labels: NDArray[np.int64]
    """(M,) class of each object, 0..K-1."""
    crowd: NDArray[np.bool_]
    """(M,) whether the box is around a crowd: what is found inside is neither right nor wrong (COCO's iscrowd)."""
    difficult: NDArray[np.bool_]
    """(M,) whether finding the object is not asked for (VOC's difficult)."""
    areas: NDArray[np.float32]
    """(M,) area of the object in pixels, for COCO's small, medium, large: of its outline where known, else of the box."""

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.boxes, self.labels, self.crowd, self.difficult, self.areas)}
        if lengths != {int(self.offsets[-1])} or self.boxes.shape[1:] != (4,):
            raise DataError(f"expected columns of {self.offsets[-1]} objects, got lengths {sorted(lengths)}")
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        if not np.isfinite(self.boxes).all() or (sides <= 0).any():
            raise DataError(f"object {int(np.flatnonzero(~(sides > 0).all(1))[0])} has a box without an area")

    @classmethod
    def of(
        cls,
        boxes: list[NDArray[np.float32]],
        labels: list[NDArray[np.int64]],
        crowd: list[NDArray[np.bool_]] | None = None,
        difficult: list[NDArray[np.bool_]] | None = None,
        areas: list[NDArray[np.float32]] | None = None,
    ) -> "Objects":
        """From one array a picture: boxes (n, 4), labels (n,), and the rest (n,) or not given."""
        offsets = np.cumsum([0, *(len(rows) for rows in labels)]).astype(np.int64)
        together = np.concatenate([np.empty((0, 4)), *(rows.reshape(-1, 4) for rows in boxes)]).astype(np.float32)
        sides = together[:, 2:] - together[:, :2]
        none = np.zeros(len(together), np.bool_)
        return cls(
            offsets=offsets,
            boxes=together,
            labels=np.concatenate([np.empty(0), *labels]).astype(np.int64),
            crowd=none if crowd is None else np.concatenate([none[:0], *crowd]).astype(np.bool_),
            difficult=none if difficult is None else np.concatenate([none[:0], *difficult]).astype(np.bool_),
            areas=(sides[:, 0] * sides[:, 1] if areas is None else np.concatenate([np.empty(0), *areas])).astype(
                np.float32
            ),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def rows(self, position: int) -> slice:
        """The rows of the picture at `position`."""
        return slice(int(self.offsets[position]), int(self.offsets[position + 1]))

    def rows_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of the pictures at `positions`, one after the other."""
        parts = [np.arange(self.offsets[at], self.offsets[at + 1]) for at in positions.tolist()]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def areas_are_of_boxes(self, rows: NDArray[np.int64]) -> bool:
        """Whether the areas of those rows are just those of the boxes, to a thousandth."""
        sides = self.boxes[rows, 2:] - self.boxes[rows, :2]
        return np.allclose(self.areas[rows], sides[:, 0] * sides[:, 1], rtol=1e-3)

    def target(self, position: int) -> DetectionTarget:
        """What a network should find in the picture at `position`."""
        rows = self.rows(position)
        return DetectionTarget(
            boxes=torch.from_numpy(self.boxes[rows].copy()),
            labels=torch.from_numpy(self.labels[rows].copy()),
            crowd=torch.from_numpy(self.crowd[rows].copy()),
            difficult=torch.from_numpy(self.difficult[rows].copy()),
            areas=torch.from_numpy(self.areas[rows].copy()),
        )

    def counts(self, positions: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
        """(K,) objects of each class in the pictures at `positions`."""
        chosen = [self.labels[self.rows(int(position))] for position in positions]
        return np.bincount(np.concatenate([np.empty(0, np.int64), *chosen]), minlength=num_classes)

    def relabelled(self, mapping: NDArray[np.int64]) -> "Objects":
        """The same with class c called `mapping[c]`."""
        return replace(self, labels=mapping[self.labels])

    def digest(self, position: int) -> str:
        """What of the picture at `position` goes into the data set's fingerprint."""
        rows = self.rows(position)
        columns = (self.boxes, self.labels, self.crowd, self.difficult)
        return "\0".join(str(column[rows].tolist()) for column in columns)

    def summary(self, position: int, class_names: Sequence[str]) -> str:
        """The annotation of the picture at `position` in one line for people; another annotation has another line.

        >>> Objects.of([np.array([[0, 0, 4, 2], [1, 1, 3, 3]])], [np.array([1, 1])]).summary(0, ["cat", "dog"])
        '2 dog, boxes 2bcf9915'
        """
        labels = self.labels[self.rows(position)]
        if not len(labels):
            return "no objects"
        found, counts = np.unique(labels, return_counts=True)
        named = ", ".join(f"{count} {class_names[label]}" for label, count in zip(found, counts, strict=True))
        return f"{named}, boxes {hashlib.sha256(self.digest(position).encode()).hexdigest()[:8]}"


Annotations = ClassLabels | Objects | Masks


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where the M objects of a data set are in its files, or the N pictures that have a class each.

    >>> Places(("a.xml",), np.array([7])).of(0, 0), Places(("a.json",), np.array([7]), np.array([True])).of(0, 0)
    ('a.xml line 7', 'a.json: annotation 7')
    """

    files: tuple[str, ...]
    """(N,) of each picture."""
    numbers: NDArray[np.int64]
    """(M,) the line of each object, or its id."""
    known: NDArray[np.bool_] | None = None
    """(M,) whether the number is an id, else the object stands at that position of a list; None where numbers are lines."""

    def of(self, position: int, row: int) -> str:
        """Of the object in that row, which is in the picture at `position`."""
        file, number = self.files[position], self.numbers[row]
        if self.known is None:
            return f"{file} line {number}"
        return f"{file}: annotation {number}" if self.known[row] else f"{file}: annotation at position {number}"
