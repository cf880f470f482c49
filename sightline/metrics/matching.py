"""Which detection is which object. Shape letters: `G` objects, `D` detections, `A` ranges of area, `T` IoU thresholds.

All images are matched at once: what is left of the loops is one over the ranks of detections, since the better one chooses
first, and one over slices, which bounds the memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.metrics.detection_records import Flags, Floats, Found, Ints, Truth

SLICE = 2**18
"""Pairs that are looked at together; about 100 MB while they are."""

Verdicts = NDArray[np.uint8]
UNMATCHED, RIGHT, IGNORED = 0, 1, 2
"""Verdicts: no object left for it; it found one; it found one that is not asked for."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """n pairs of a detection and an object, by detection, then by object."""

    found: Ints
    """(n,) positions in `Found`, rising."""
    truth: Ints
    """(n,) positions in `Truth`."""
    iou: Floats
    """(n,) how well they overlap, 0..1."""

    def rows(self, chosen: Ints | Flags | slice) -> "Pairs":
        """Some of the pairs."""
        return Pairs(self.found[chosen], self.truth[chosen], self.iou[chosen])


@dataclass(frozen=True, slots=True)
class Matches:
    """The n detections that overlap an object of their class well enough; all others are unmatched everywhere."""

    found: Ints
    """(n,) positions in `Found`, rising."""
    verdicts: Verdicts
    """(n, A, T)."""
    taken: Flags
    """(G, A, T): which objects were found. Crowds never are: there is always one more in them."""


def box_areas(boxes: Floats) -> Floats:
    """(n,) areas of (4, n) boxes.

    >>> box_areas(np.array([[0.0], [0.0], [4.0], [2.0]]))
    array([8.])
    """
    areas: Floats = (boxes[2] - boxes[0]) * (boxes[3] - boxes[1])
    return areas


def within(areas: Floats, ranges: Floats) -> Flags:
    """(n, A): which of n areas lie in which of the (A, 2) ranges, both ends included."""
    return (areas[:, None] >= ranges[:, 0]) & (areas[:, None] <= ranges[:, 1])


def overlapping(
    found: Found, truth: Truth, at_least: float, *, any_class: bool = False, crowd_regions: bool = False
) -> Pairs:
    """All pairs of one image, and of one class unless `any_class`, with an IoU of `at_least` (above 0).

    With `crowd_regions`, the overlap with a crowd is the share of the detection that lies in it (COCO).
    """
    theirs = truth.images if any_class else truth.groups
    ours = found.images if any_class else found.groups
    begin = np.searchsorted(theirs, ours)
    counts = np.searchsorted(theirs, ours, side="right") - begin
    found_areas, truth_areas = box_areas(found.boxes), box_areas(truth.boxes)
    kept = [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for first, last in _slices(counts):
        some = counts[first:last]
        ends = some.cumsum()
        a = np.repeat(np.arange(first, last), some)
        b = np.arange(ends[-1]) + np.repeat(begin[first:last] - ends + some, some)
        left, top = np.maximum(found.boxes[:2, a], truth.boxes[:2, b])
        right, bottom = np.minimum(found.boxes[2:, a], truth.boxes[2:, b])
        shared = (right - left).clip(min=0) * (bottom - top).clip(min=0)
        union = found_areas[a] + truth_areas[b] - shared
        if crowd_regions:
            union = np.where(truth.crowd[b], found_areas[a], union)
        iou = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
        kept.append(Pairs(a, b, iou).rows(iou >= at_least))
    return Pairs(*(np.concatenate([getattr(pairs, name) for pairs in kept]) for name in Pairs.__slots__))


def match(found: Found, truth: Truth, thresholds: Floats, area_ranges: Floats) -> Matches:
    """COCO's matching for (T,) IoU thresholds and (A, 2) ranges of object areas, all at once.

    Of each image and class the detection with the highest score chooses first: the object with the highest IoU among those
    not yet taken, the later one of equals. Objects that are not asked for (crowds, difficult ones, areas outside of the
    range) are chosen where no other is left; a crowd can be chosen by many.
    """
    pairs = overlapping(found, truth, float(thresholds.min()), crowd_regions=True)
    pairs = pairs.rows(np.lexsort((pairs.iou, pairs.found)))
    asked = within(truth.areas, area_ranges) & ~truth.ignored[:, None]  # (G, A)
    taken = np.zeros((*asked.shape, len(thresholds)), dtype=np.bool_)
    begin = np.flatnonzero(np.diff(pairs.found, prepend=-1))
    candidates, counts = pairs.found[begin], np.diff(begin, append=len(pairs.found))
    groups = found.groups[candidates]
    turns = np.arange(len(groups)) - np.searchsorted(groups, groups)
    verdicts = np.empty((len(candidates), *taken.shape[1:]), dtype=np.uint8)
    for first, last in _slices(counts):  # what is taken in one is taken in the next
        order = np.argsort(turns[first:last], kind="stable") + first
        for some in np.split(order, np.flatnonzero(np.diff(turns[order])) + 1):
            sizes = counts[some]
            starts = sizes.cumsum() - sizes
            rows = np.arange(sizes.sum()) + np.repeat(begin[some] - starts, sizes)
            verdicts[some] = _choose(pairs.rows(rows), starts, thresholds, asked, truth.crowd, taken)
    return Matches(candidates, verdicts, taken)


def _choose(pairs: Pairs, starts: Ints, thresholds: Floats, asked: Flags, crowd: Flags, taken: Flags) -> Verdicts:
    """One detection of each image and class chooses: the verdicts of c detections, (c, A, T). Fills `taken`.

    The pairs of a detection begin at its row of `starts` (c,) and have rising IoU.
    """
    sizes = np.diff(starts, append=len(pairs.found))
    places = (np.arange(len(pairs.found)) - np.repeat(starts, sizes) + 1).astype(np.int32)
    most = places.max()
    free = (pairs.iou[:, None] >= thresholds)[:, None, :] & ~taken[pairs.truth]  # (n, A, T)
    wishes = places[:, None] + most * asked[pairs.truth]  # (n, A): all that are asked for before all others
    best = np.maximum.reduceat(np.where(free, wishes[:, :, None], 0), starts, axis=0)  # (c, A, T), 0 where none is free
    chosen = pairs.truth[np.where(best > 0, starts[:, None, None] + (best - 1) % most, 0)]
    row, area, threshold = np.nonzero((best > 0) & ~crowd[chosen])
    taken[chosen[row, area, threshold], area, threshold] = True
    return np.where(best > most, RIGHT, np.where(best > 0, IGNORED, UNMATCHED)).astype(np.uint8)


def _slices(counts: Ints) -> Iterator[tuple[int, int]]:
    """First and last of rows that have at most `SLICE` pairs together, or of one row that has more."""
    ends = counts.cumsum()
    first = 0
    while first < len(counts):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + SLICE, side="right")))
        yield first, last
        first = last
