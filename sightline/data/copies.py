"""Pictures that are in a data set more than once, exactly or nearly, and what that means for splits and annotations."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sightline.data.annotations import ClassLabels, Objects
from sightline.data.duplicates import alike
from sightline.data.findings import Finding
from sightline.data.index import SPLITS, Index, Positions
from sightline.data.mask_files import listed

_NAMED = 4
PREFERRED = ("test", "val", "train")
"""In which split a picture stays that is in several: figures must not change, training can do without."""


def copies(
    index: Index,
    positions: Positions,
    digests: NDArray[np.uint8],
    thumbnails: NDArray[np.uint8],
    masks: dict[int, bytes],
) -> Iterator[Finding]:
    """Findings about the good pictures at `positions` (n,).

    `digests` (n, B) are of their pixels, `thumbnails` (n, 16, 16) as of `sightline.data.duplicates`, `masks` those of their masks' pixels.
    """
    if not len(positions):
        return
    _, first, same = np.unique(digests, axis=0, return_index=True, return_inverse=True)
    same = same.ravel()
    told = _Told(index, masks)
    for group in _groups(same):
        yield told.exact(positions[group])
    one_each = np.sort(first)  # of each picture, copies apart
    for group in _groups(alike(thumbnails[one_each])):
        # A picture that has copies stands for all of them, so that a split is not missed.
        whole = np.flatnonzero(np.isin(same, same[one_each[group]]))
        yield told.near(positions[whole])


def split_of(index: Index) -> NDArray[np.int64]:
    """(N,) the split of each picture, as its number in `SPLITS`; -1 for none."""
    numbers = np.full(len(index), -1, np.int64)
    for name, held in index.splits.items():
        numbers[held] = SPLITS.index(name)
    return numbers


def _groups(member_of: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The rows of each group with two members or more, in the order of their first ones."""
    order = np.argsort(member_of, kind="stable")
    borders = np.flatnonzero(np.diff(member_of[order])) + 1
    return sorted((rows for rows in np.split(order, borders) if len(rows) > 1), key=lambda rows: int(rows[0]))


class _Told:
    """Puts groups of pictures into words."""

    def __init__(self, index: Index, masks: dict[int, bytes]) -> None:
        self.index = index
        self.masks = masks
        self.split = split_of(index)

    def exact(self, group: Positions) -> Finding:
        """About copies."""
        splits = self._splits(group)
        ordered = self._by_split(group)
        names = [self._name(position) for position in ordered]
        if len({self._annotation(position) for position in ordered}) > 1:
            what = f"the same picture as {listed(names[1:], _NAMED)}, with other annotations{self._labels(ordered)}."
            return Finding("contradiction", names[0], f"{what} Keep the right one.", tuple(ordered))
        if len(splits) > 1:
            what = f"the same picture as {listed(names[1:], _NAMED)}. Keep it in one split."
            return Finding("leak", names[0], what, tuple(ordered))
        return Finding("duplicate", names[0], f"the same picture as {listed(names[1:], _NAMED)}.", tuple(ordered))

    def near(self, group: Positions) -> Finding:
        """About pictures that are nearly the same."""
        ordered = self._by_split(group)
        names = [self._name(position) for position in ordered]
        apart = self._labels(ordered)
        kind = "near leak" if len(self._splits(group)) > 1 else "near duplicate"
        what = f"nearly the same picture as {listed(names[1:], _NAMED)}{apart}."
        return Finding("near contradiction" if apart else kind, names[0], what, tuple(ordered))

    def _splits(self, group: Positions) -> set[int]:
        return set(self.split[group].tolist()) - {-1}

    def _by_split(self, group: Positions) -> list[int]:
        """Those of the test split first, and one of each split before the second of any."""
        rank = {SPLITS.index(name): place for place, name in enumerate(PREFERRED)}
        split = [rank.get(int(number), len(rank)) for number in self.split[group]]
        before: dict[int, int] = {}
        keys = []
        for place, position in zip(split, group.tolist(), strict=True):
            keys.append((before.setdefault(place, 0), place, position))
            before[place] += 1
        return [position for _, _, position in sorted(keys)]

    def _name(self, position: int) -> str:
        """With its split, unless the name begins with it."""
        name, number = self.index.source.name(position), int(self.split[position])
        split = SPLITS[number] if number >= 0 else ""
        return f"{name} ({split})" if split and split not in name.replace("-", "/").split("/") else name

    def _annotation(self, position: int) -> object:
        """Equal for equal annotations."""
        annotations = self.index.annotations
        if isinstance(annotations, ClassLabels):
            return int(annotations.labels[position])
        if isinstance(annotations, Objects):
            rows = annotations.rows(position)
            return tuple(
                sorted(zip(annotations.labels[rows].tolist(), *annotations.boxes[rows].T.tolist(), strict=True))
            )
        return self.masks.get(position)

    def _labels(self, positions: list[int]) -> str:
        """The classes of the pictures, where these differ."""
        annotations = self.index.annotations
        if not isinstance(annotations, ClassLabels):
            return ""
        labels = dict.fromkeys(annotations.labels[positions].tolist())
        names = [self.index.class_names[label] for label in labels]
        return f" ({' and '.join(names)})" if len(names) > 1 else ""
