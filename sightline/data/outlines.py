"""Masks drawn from the outlines of objects, one picture's when it is asked for.

An outline is polygons, or run lengths: how many pixels are outside, inside, outside and so on, down the columns from left to right.
Where objects lie over each other, the one with fewer pixels is on top. A pixel belongs to a polygon when its centre is inside by the
even-odd rule; `pycocotools`, which moves corners to fifths of a pixel first, differs in a few pixels of the rim.

Shape letters: `N` pictures, `M` objects in all of them, `H`, `W` of a picture, `P` corners.
"""

import hashlib
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.data.decode import DEFAULT_LIMITS
from sightline.errors import ImageError

Size = tuple[int, int]
"""Height and width of a picture, in pixels."""


class Cutout(NamedTuple):
    """The part of a picture that an object is in."""

    top: int
    left: int
    inside: NDArray[np.bool_]
    """(h, w) whether a pixel belongs to the object."""


class Outlines:
    """Outlines in a few long arrays, since a data set has a million of them with forty corners each.

    >>> outlines = Outlines()
    >>> outlines.add_polygons([np.array([[1, 0], [3, 0], [3, 2], [1, 2]])]), outlines.add_runs(np.array([3, 2, 3]))
    (0, 1)
    >>> outlines.cutout(0, (2, 4)).left, outlines.cutout(1, (2, 4)).inside.tolist()
    (1, [[False, True], [True, False]])
    """

    def __init__(self) -> None:
        self._corners = array("f")  # x and y in turn
        self._lengths = array("q")  # numbers in `_corners` that each polygon takes
        self._runs = array("I")
        self._ends = array("q", [0, 0, 0])  # of each outline in the three arrays, after the one before it

    def __len__(self) -> int:
        return len(self._ends) // 3 - 1

    def add_polygons(self, polygons: Sequence[NDArray[np.floating]]) -> int:
        """Take an object of one polygon or several, (P, 2) x and y in pixels from the left and upper edge; its number."""
        for polygon in polygons:
            self._corners.frombytes(polygon.astype(np.float32).tobytes())
            self._lengths.append(polygon.size)
        return self._added()

    def add_runs(self, runs: NDArray[np.int64]) -> int:
        """Take an object by its run lengths, the first of which is outside; its number."""
        self._runs.frombytes(runs.astype(np.uint32).tobytes())
        return self._added()

    def _added(self) -> int:
        self._ends.extend((len(self._corners), len(self._lengths), len(self._runs)))
        return len(self) - 1

    def _parts(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.uint32]]:
        (corner, length, run), (corners, lengths, runs) = (
            self._ends[3 * at : 3 * at + 3] for at in (number, number + 1)
        )
        return (
            np.array(self._corners[corner:corners], np.float32),
            np.array(self._lengths[length:lengths], np.int64),
            np.array(self._runs[run:runs], np.uint32),
        )

    def cutout(self, number: int, size: Size) -> Cutout:
        """Where an object is in a picture of that size."""
        corners, lengths, runs = self._parts(number)
        if len(runs):
            return _of_runs(runs.astype(np.int64), size)
        points = corners.astype(np.float64).reshape(-1, 2)
        limit = np.array(size[::-1])
        left, top = np.clip(np.floor(points.min(0)), 0, limit).astype(int).tolist()
        right, bottom = np.clip(np.ceil(points.max(0)), 0, limit).astype(int).tolist()
        inside = np.zeros((bottom - top, right - left), np.bool_)
        for polygon in np.split(points - (left, top), np.cumsum(lengths[:-1]) // 2):
            inside |= polygon_pixels(polygon, inside.shape)
        return Cutout(top, left, inside)

    def polygons(self, number: int) -> list[NDArray[np.float32]]:
        """The polygons of an outline, (P, 2) each; none where it is run lengths."""
        corners, lengths, _ = self._parts(number)
        return [part.reshape(-1, 2) for part in np.split(corners, np.cumsum(lengths)[:-1])] if len(lengths) else []

    def runs(self, number: int) -> NDArray[np.int64]:
        """The run lengths of an outline; none where it is polygons."""
        return self._parts(number)[2].astype(np.int64)

    def content(self, number: int) -> bytes:
        """All that an outline is, for telling it from others."""
        return b"".join(part.tobytes() + b"\0" for part in self._parts(number))


def polygon_pixels(polygon: NDArray[np.float64], size: Size) -> NDArray[np.bool_]:
    """(H, W) whether the centre of a pixel is inside a polygon (P, 2), x and y, by the even-odd rule.

    >>> polygon_pixels(np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.4]]), (2, 3)).astype(int).tolist()
    [[1, 1, 0], [1, 0, 0]]
    """
    height, width = size
    (x, y), (next_x, next_y) = polygon.T, np.roll(polygon, -1, axis=0).T
    # Each edge is crossed by the rows whose centres lie between its ends, and there turns what is right of it inside out.
    first, last = (
        np.clip(np.ceil(end - 0.5), 0, height).astype(np.int64)
        for end in (np.minimum(y, next_y), np.maximum(y, next_y))
    )
    edge = np.repeat(np.arange(len(polygon)), last - first)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
    crossing = x[edge] + (row + 0.5 - y[edge]) / (next_y - y)[edge] * (next_x - x)[edge]
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    turns = np.bincount(row * (width + 1) + column, minlength=height * (width + 1)).reshape(height, width + 1)
    return np.asarray(np.cumsum(turns[:, :width], axis=1) % 2 == 1)


def _of_runs(runs: NDArray[np.int64], size: Size) -> Cutout:
    height, width = size
    ends = np.cumsum(runs)
    left, right = int(ends[0]) // height, -(-int(ends[1::2][-1]) // height)
    whole = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height)
    return Cutout(0, left, whole[left:right].T.copy())


def runs_of(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The run lengths of the pixels (H, W) of an object, down the columns, outside first.

    >>> runs_of(np.array([[False, True], [True, True]])).tolist(), runs_of(np.array([[True]])).tolist()
    ([1, 3], [0, 1])
    """
    flat = inside.T.ravel()
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    return np.diff(np.concatenate([[0] if flat[0] else [], [0], turns, [len(flat)]])).astype(np.int64)


class OutlineMasks:
    """The masks of N pictures with objects in them; what is in no object is 0.

    Those of picture i are the rows `offsets[i]` to `offsets[i + 1]`: `labels` (M,) says what they are, and `numbers` (M,) which of the
    `outlines`. `sizes` (N, 2) are the heights and widths, 0 where they are not known. `names` (N,) are what errors say.
    """

    def __init__(
        self,
        outlines: Outlines,
        offsets: NDArray[np.int64],
        labels: NDArray[np.uint8],
        numbers: NDArray[np.int64],
        sizes: NDArray[np.int64],
        names: Sequence[str],
    ) -> None:
        self.outlines = outlines
        self.offsets = offsets
        self.labels = labels
        self.numbers = numbers
        self.sizes = sizes
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def name(self, position: int) -> str:
        """Where the outlines of the picture are: file and id."""
        return self.names[position]

    def mask(self, position: int) -> Tensor:
        """The mask as (H, W) uint8, 0..K-1; raises `ImageError` where the size is not known, or is none of a picture."""
        height, width = self.sizes[position].tolist()
        if not 0 < height * width <= DEFAULT_LIMITS.pixels:
            said = f"{width} x {height} pixels is none of a picture" if height * width else "it is not known"
            raise ImageError(f"{self.names[position]}: no mask can be drawn without the size of the picture; {said}.")
        rows = range(*self.offsets[position : position + 2].tolist())
        drawn = [(self.outlines.cutout(int(self.numbers[row]), (height, width)), self.labels[row]) for row in rows]
        mask = np.zeros((height, width), np.uint8)
        for (top, left, inside), label in sorted(drawn, key=lambda one: -int(one[0].inside.sum())):
            mask[top : top + inside.shape[0], left : left + inside.shape[1]][inside] = label
        return torch.from_numpy(mask)

    def digest(self, position: int) -> str:
        """Of the size, and of the objects' classes and outlines; nothing is drawn for it."""
        digest = hashlib.sha256(str(self.sizes[position].tolist()).encode())
        for row in range(*self.offsets[position : position + 2].tolist()):
            digest.update(bytes([self.labels[row]]) + self.outlines.content(int(self.numbers[row])))
        return digest.hexdigest()[:16]
