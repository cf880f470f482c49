"""Annotations that can be read and are suspicious: boxes around everything, masks of one class, classes with one picture.

Shape letters: `N` pictures, `M` boxes in all of them, `K` classes.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from sightline.data.annotations import ClassLabels, Objects
from sightline.data.findings import Finding
from sightline.data.index import Index, Positions
from sightline.data.mask_files import listed
from sightline.data.masks import Masks

COVERS = 0.98
"""Share of a picture's width and height from which on a box covers it all."""
TINY = 2.0
"""Pixels: a box with a shorter side below this is tiny."""
SAME = 0.95
"""Intersection over union from which on two boxes are taken for the same."""
_NAMED = 10


def suspicious(
    index: Index, positions: Positions, sizes: NDArray[np.int64], pixels: Mapping[int, NDArray[np.int64]]
) -> Iterator[Finding]:
    """Findings about the annotations of the pictures at `positions`.

    `sizes` (N, 2) are heights and widths, 0 where not known; `pixels` those of each class in each good mask.
    """
    yield from _classes(index, pixels)
    match index.annotations:
        case Objects() as objects:
            yield from _boxes(index, objects, positions, sizes)
        case Masks() as masks:
            for position in positions.tolist():
                if position in pixels:
                    yield from _mask(index, masks, position, pixels[position])
        case ClassLabels():
            pass


def class_counts(index: Index, pixels: Mapping[int, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Split -> (K,) pictures, boxes or pixels of each class; "" when there are no splits."""
    counts = {}
    for split, held in (index.splits or {"": np.arange(len(index))}).items():
        if isinstance(index.annotations, Masks):
            there = [pixels[position] for position in held.tolist() if position in pixels]
            counts[split] = np.array(there, np.int64).reshape(-1, len(index.class_names)).sum(axis=0)
        else:
            counts[split] = index.annotations.counts(held, len(index.class_names))
    return counts


def _classes(index: Index, pixels: Mapping[int, NDArray[np.int64]]) -> Iterator[Finding]:
    counts = class_counts(index, pixels)
    what = {ClassLabels: "pictures", Objects: "boxes", Masks: "pixels"}[type(index.annotations)]
    for split, held in index.splits.items():
        if not len(held):
            yield Finding("empty split", split, "it has no pictures. Remove it, or put some in.")
            continue
        absent = [name for name, count in zip(index.class_names, counts[split].tolist(), strict=True) if not count]
        if absent:
            yield Finding("class missing", split, f"it has no {what} of {listed(absent, _NAMED)}.")
    spelt: dict[str, str] = {}
    for name in index.class_names:
        plain = "".join(letter for letter in name.casefold() if letter.isalnum()) or name
        first = spelt.setdefault(plain, name)
        if first != name:
            yield Finding("class names alike", name, f"there is the class {first!r} too. Are they one?")
    if isinstance(index.annotations, ClassLabels):
        split = "train" if "train" in counts else next(iter(counts), "")
        where = f" in the {split} split" if split else ""
        for label in np.flatnonzero(counts.get(split, np.empty(0)) == 1).tolist():
            (position,) = (p for p in index.splits.get(split, np.arange(len(index))) if index.labels[p] == label)
            name = index.source.name(int(position))
            yield Finding(
                "rare class", index.class_names[label], f"it has one picture{where}, {name}.", (int(position),)
            )


def _boxes(index: Index, objects: Objects, positions: Positions, sizes: NDArray[np.int64]) -> Iterator[Finding]:
    for position in positions.tolist():
        rows = objects.rows(position)
        boxes, labels, crowd = objects.boxes[rows], objects.labels[rows], objects.crowd[rows]
        if not len(boxes):
            yield Finding("no objects", index.source.name(position), "no box is given for it.", (position,))
            continue
        height, width = sizes[position].tolist()
        sides = boxes[:, 2:] - boxes[:, :2]
        kinds: list[tuple[str, int, str]] = []
        if height:
            over = (sides >= COVERS * np.array([width, height])).all(1)
            text = f"covers the whole picture of {width} x {height} pixels. Is it an object?"
            kinds += [("box over all", row, text) for row in np.flatnonzero(over).tolist()]
        for row in np.flatnonzero(sides.min(1) < TINY).tolist():
            kinds.append(("tiny box", row, f"is {sides[row, 0]:g} x {sides[row, 1]:g} pixels. Is it a slip?"))
        for row, first in _same(boxes):
            if crowd[row] or crowd[first]:
                continue
            at = _place(index, position, rows.start + first)
            kind = "duplicate box" if labels[row] == labels[first] else "two labels"
            other = "" if kind == "duplicate box" else f", a {index.class_names[labels[first]]},"
            kinds.append((kind, row, f"is the same box as that{other} of {at}. Keep one."))
        for kind, row, text in kinds:
            numbers = ", ".join(f"{number:g}" for number in boxes[row].round(1).tolist())
            what = f"{index.class_names[labels[row]]} [{numbers}] {text}"
            left, top, right, bottom = boxes[row].tolist()
            place = _place(index, position, rows.start + row)
            yield Finding(kind, place, what, (position,), (left, top, right, bottom))


def _same(boxes: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Rows of boxes that are nearly the same as one before, with that one's row."""
    if len(boxes) < 2:
        return []
    order = np.argsort(boxes[:, 0], kind="stable")
    left = boxes[order, 0]
    widths = boxes[order, 2] - left
    found = []
    # With such an overlap the left edges differ by less than a share of the width: only neighbours are compared.
    ends = np.searchsorted(left, left + widths * (1 - SAME) / SAME + 1e-3, side="right")
    for place in np.flatnonzero(ends > np.arange(len(order)) + 1).tolist():
        for other in range(place + 1, int(ends[place])):
            first, second = sorted((int(order[place]), int(order[other])))
            if _overlap(boxes[first], boxes[second]) >= SAME:
                found.append((second, first))
    return sorted(dict(sorted(found, reverse=True)).items())


def _overlap(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    sides = np.minimum(one[2:], two[2:]) - np.maximum(one[:2], two[:2])
    shared = float(sides.clip(min=0).prod())
    return shared / float((one[2:] - one[:2]).prod() + (two[2:] - two[:2]).prod() - shared)


def _place(index: Index, position: int, row: int) -> str:
    """File and line or id of a box, or the picture where the format does not say."""
    return index.places.of(position, row) if index.places else index.source.name(position)


def _mask(index: Index, masks: Masks, position: int, pixels: NDArray[np.int64]) -> Iterator[Finding]:
    name = masks.source.name(position)
    present = np.flatnonzero(pixels)
    if not len(present):
        yield Finding(
            "empty mask", name, "every pixel is to be ignored. Draw the mask, or remove the picture.", (position,)
        )
    elif len(present) == 1:
        only = index.class_names[int(present[0])]
        yield Finding("one-class mask", name, f"it has pixels of {only} only. Is there nothing else?", (position,))
