"""Precision over recall, and the two ways to make one number of it.

Rows are detections by falling score. Shape letters: `n` rows, `T` cases (such as IoU thresholds), `P` points of recall.
"""

import numpy as np

from sightline.metrics.detection_records import Flags, Floats, Ints

RECALLS = np.linspace(0.0, 1.0, 101)
"""The points of COCO."""


def envelope(right: Flags, total: Ints) -> Floats:
    """(n, T): the best precision at this row or a later one.

    `right` (n, T): which rows found an object; `total` (n, T): how many detections count up to and with each row. Detections
    that are not right may be left out of the rows as long as they are in `total`.

    >>> envelope(np.array([[False], [True], [True]]), total=np.array([[1], [2], [3]]))[:, 0]
    array([0.66666667, 0.66666667, 0.66666667])
    """
    precision = right.cumsum(axis=0) / np.maximum(total, 1)  # 0 where nothing counts yet
    best: Floats = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    return best


def interpolated(right: Flags, total: Ints, objects: int, recalls: Floats = RECALLS) -> Floats:
    """(P, T): the best precision at each of (P,) recalls or beyond it, 0 where it is not reached; `objects` is above 0.

    >>> right, total = np.array([[True], [False], [True]]), np.array([[1], [2], [3]])
    >>> interpolated(right, total, objects=4, recalls=np.array([0.0, 0.25, 0.5, 0.75]))[:, 0]
    array([1.        , 1.        , 0.66666667, 0.        ])
    """
    case, row = np.nonzero(right.T)
    heights = np.append(envelope(right, total)[row, case], 0.0)  # at the objects found, case by case; at last none
    found = right.sum(axis=0)
    before = np.searchsorted(np.arange(1, objects + 1) / objects, recalls)[:, None]  # objects found before each recall
    at_recalls: Floats = heights[np.where(before < found, found.cumsum() - found + before, -1)]
    return at_recalls


def area_below(right: Flags, total: Ints, objects: int) -> Floats:
    """(T,): the area below the envelope; each object found adds a step of 1 / `objects`.

    >>> area_below(np.array([[True], [False], [True]]), np.array([[1], [2], [3]]), objects=4)
    array([0.41666667])
    """
    area: Floats = np.where(right, envelope(right, total), 0.0).sum(axis=0) / objects
    return area
