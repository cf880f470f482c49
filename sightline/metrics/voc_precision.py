"""Average precision by the protocol of PASCAL VOC (Everingham et al. 2010, sections 4.2 and 4.4; development kits 2007 to 2012)."""

import numpy as np

from sightline.metrics.detection_records import Flags, Floats, Found, Ints, Truth
from sightline.metrics.matching import overlapping
from sightline.metrics.precision_curve import area_below, interpolated

ELEVEN = np.linspace(0.0, 1.0, 11)
"""As floating point has them, like the toolkits in Python: 3 of 10 objects do not reach the point 0.3 (0.30000000000000004)."""


def voc_average_precision(found: Found, truth: Truth, num_classes: int, iou_threshold: float = 0.5) -> Floats:
    """(K, 2): of each class, the mean at eleven points of recall (2007) and the area below the curve (2010).

    A detection belongs to the object of its class that it overlaps most, the first of equals, if by `iou_threshold` or more.
    The first by score is right, all others of that object are wrong; those of a difficult object do not count, and neither
    do those of a crowd, which VOC does not have. The number of detections is not limited. Not a number where a class has no
    object that is asked for.

    Boxes are edges, not pixels: the development kit's widths, right - left + 1 of the first and last pixel, are those of
    boxes that begin at the left edge of the first pixel and end at the right edge of the last.
    """
    pairs = overlapping(found, truth, iou_threshold)
    pairs = pairs.rows(np.lexsort((-pairs.iou, pairs.found)))
    pairs = pairs.rows(np.flatnonzero(np.diff(pairs.found, prepend=-1)))  # the best of each detection
    theirs = np.full(len(found.scores), -1)
    theirs[pairs.found] = pairs.truth
    objects = np.bincount(truth.labels[~truth.ignored], minlength=num_classes)
    order = np.lexsort((-found.scores, found.labels))
    bounds = np.searchsorted(found.labels[order], np.arange(num_classes + 1))
    scores = np.full((num_classes, 2), np.nan)
    for label in np.flatnonzero(objects):
        own = theirs[order[bounds[label] : bounds[label + 1]]]
        own = own[(own < 0) | ~truth.ignored[own]]
        right = _first_of_each(own)[:, None] & (own >= 0)[:, None]
        total = np.arange(1, len(own) + 1)[:, None]
        scores[label, 0] = interpolated(right, total, int(objects[label]), ELEVEN).mean()
        scores[label, 1] = area_below(right, total, int(objects[label]))[0]
    return scores


def _first_of_each(values: Ints) -> Flags:
    first = np.zeros(len(values), dtype=np.bool_)
    first[np.unique(values, return_index=True)[1]] = True
    return first
