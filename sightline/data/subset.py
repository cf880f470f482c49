"""Some of the pictures of a data set as a data set of their own."""

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from sightline.data.annotations import ClassLabels, Objects, Places
from sightline.data.index import HasParts, ImageSource, Index, Positions
from sightline.data.masks import Masks, MaskSource
from sightline.data.outlines import OutlineMasks
from sightline.data.sources import FileSource


def only(index: Index, positions: Positions) -> Index:
    """The pictures at `positions`, with their annotations and splits; classes and what is unread stay, and what was noticed goes.

    >>> import torch
    >>> from sightline.data.sources import TensorSource
    >>> pictures = TensorSource(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), ["a.png", "b.png", "c.png"])
    >>> index = Index(source=pictures, annotations=ClassLabels(np.array([0, 1, 1])), class_names=("cat", "dog"),
    ...               splits={"train": np.array([0, 1, 2])}, format="image folder")
    >>> some = only(index, np.array([0, 2]))
    >>> some.source.name(1), some.labels.tolist(), some.splits
    ('c.png', [0, 1], {'train': array([0, 1])})
    """
    places = index.places
    match index.annotations:
        case ClassLabels(labels):
            annotations: ClassLabels | Objects | Masks = ClassLabels(labels[positions])
            rows = positions
        case Objects() as objects:
            rows = objects.rows_of(positions)
            counts = np.diff(objects.offsets)[positions]
            annotations = Objects(
                offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
                boxes=objects.boxes[rows],
                labels=objects.labels[rows],
                crowd=objects.crowd[rows],
                difficult=objects.difficult[rows],
                areas=objects.areas[rows],
            )
        case Masks() as masks:
            annotations = replace(masks, source=_some_masks(masks.source, positions), closeness=None)
            rows = np.empty(0, np.int64)
    if places is not None:
        files = tuple(places.files[position] for position in positions.tolist())
        places = Places(files, places.numbers[rows], None if places.known is None else places.known[rows])
    return Index(
        source=_some_pictures(index.source, positions),
        annotations=annotations,
        class_names=index.class_names,
        splits={split: np.flatnonzero(np.isin(positions, held)) for split, held in index.splits.items()},
        format=index.format,
        places=places,
        unread=index.unread,
    )


def only_classes(index: Index, classes: Positions) -> Index:
    """The same with these classes alone, numbered anew; of pictures with a class each, none of which is of another.

    >>> import torch
    >>> from sightline.data.sources import TensorSource
    >>> pictures = TensorSource(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), ["a.png", "b.png"])
    >>> index = Index(source=pictures, annotations=ClassLabels(np.array([0, 2])), class_names=("cat", "cow", "dog"),
    ...               splits={}, format="image folder")
    >>> two = only_classes(index, np.array([0, 2]))
    >>> two.class_names, two.labels.tolist()
    (('cat', 'dog'), [0, 1])
    """
    if len(classes) == len(index.class_names):
        return index
    names = tuple(index.class_names[label] for label in classes.tolist())
    return replace(index, annotations=ClassLabels(np.searchsorted(classes, index.labels)), class_names=names)


def _some_pictures(source: ImageSource, positions: Positions) -> ImageSource:
    if isinstance(source, FileSource):
        return FileSource(source.root, [source.names[position] for position in positions.tolist()], source.limits)
    return source.only(positions) if isinstance(source, HasParts) else _SomePictures(source, positions)


def _some_masks(source: MaskSource, positions: Positions) -> MaskSource:
    if not isinstance(source, OutlineMasks):
        return _SomeMasks(source, positions)
    bounds = [source.offsets[position : position + 2].tolist() for position in positions.tolist()]
    rows = np.concatenate([np.empty(0, np.int64), *(np.arange(*ends) for ends in bounds)])
    return OutlineMasks(
        source.outlines,
        offsets=np.cumsum([0, *(end - start for start, end in bounds)]).astype(np.int64),
        labels=source.labels[rows],
        numbers=source.numbers[rows],
        sizes=source.sizes[positions],
        names=[source.names[position] for position in positions.tolist()],
    )


@dataclass(frozen=True, slots=True, eq=False)
class _SomePictures:
    beneath: ImageSource
    positions: Positions

    def __len__(self) -> int:
        return len(self.positions)

    def name(self, position: int) -> str:
        return self.beneath.name(int(self.positions[position]))

    def image(self, position: int) -> Tensor:
        return self.beneath.image(int(self.positions[position]))


@dataclass(frozen=True, slots=True, eq=False)
class _SomeMasks:
    beneath: MaskSource
    positions: Positions

    def __len__(self) -> int:
        return len(self.positions)

    def name(self, position: int) -> str:
        return self.beneath.name(int(self.positions[position]))

    def mask(self, position: int) -> Tensor:
        return self.beneath.mask(int(self.positions[position]))

    def digest(self, position: int) -> str:
        return self.beneath.digest(int(self.positions[position]))
