"""What a data set holds, in numbers: pictures of each split and class, sizes, boxes, masks. All of it as JSON can hold it."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.annotations import ClassLabels, Objects
from sightline.data.index import Index, Positions
from sightline.data.masks import Masks
from sightline.data.survey import Survey
from sightline.data.suspects import class_counts

_SHARES = (0.0, 0.05, 0.5, 0.95, 1.0)
SPREAD = ("min", "p5", "median", "p95", "max")
"""Names of what `_spread` gives."""
_USUAL = 5
WITHOUT_SPLIT = "all"
"""What the pictures of a data set that is not divided are called."""


def figures(found: Survey) -> dict[str, Any]:
    """The numbers of a survey.

    `classes` counts pictures, boxes or pixels of each class in each split; `sizes`, `boxes` and the like have the least, the 5th
    percentile, the median, the 95th percentile and the largest.
    """
    index = found.index
    splits = index.splits or {WITHOUT_SPLIT: np.arange(len(index))}
    counts = class_counts(index, found.report.pixels)
    values: dict[str, Any] = {
        "format": index.format,
        "task": task_name(index),
        "pictures": int(sum(len(held) for held in splits.values())),
        "splits": {split: len(held) for split, held in splits.items()},
        "class_names": list(index.class_names),
        "classes": {
            split or WITHOUT_SPLIT: dict(zip(index.class_names, held.tolist(), strict=True))
            for split, held in counts.items()
        },
        "sizes": _sizes(found.sizes[found.positions]),
        "kept_as": found.ways,
    }
    if isinstance(index.annotations, Objects):
        values["boxes"] = _boxes(index.annotations, found.positions, found.sizes)
    if isinstance(index.annotations, Masks):
        values["masks"] = _masks(found)
    return values


def task_name(index: Index) -> str:
    """What can be learned from the annotations."""
    return {ClassLabels: "classification", Objects: "detection", Masks: "segmentation"}[type(index.annotations)]


def _sizes(sizes: NDArray[np.int64]) -> dict[str, Any]:
    good = sizes[sizes.all(axis=1)]
    usual = Counter(map(tuple, good.tolist())).most_common()
    return {
        "width": _spread(good[:, 1]),
        "height": _spread(good[:, 0]),
        "different": len(usual),
        "usual": [{"width": width, "height": height, "pictures": n} for (height, width), n in usual[:_USUAL]],
    }


def _boxes(objects: Objects, positions: Positions, sizes: NDArray[np.int64]) -> dict[str, Any]:
    counts = np.diff(objects.offsets)
    rows = np.isin(np.repeat(np.arange(len(objects)), counts), positions)
    sides = (objects.boxes[:, 2:] - objects.boxes[:, :2])[rows]
    areas = np.repeat(sizes.prod(axis=1), counts)[rows]
    known = areas > 0
    return {
        "boxes": int(rows.sum()),
        "crowds": int(objects.crowd[rows].sum()),
        "difficult": int(objects.difficult[rows].sum()),
        "pictures_without": int((counts[positions] == 0).sum()),
        "in_a_picture": _spread(counts[positions]),
        "width": _spread(sides[:, 0]),
        "height": _spread(sides[:, 1]),
        "width_to_height": _spread(sides[:, 0] / sides[:, 1]),
        "share_of_picture": _spread(sides[known].prod(axis=1) / areas[known]),
    }


def _masks(found: Survey) -> dict[str, Any]:
    """Shares of the pixels whose class is known, and of those that are ignored."""
    splits = found.index.splits or {WITHOUT_SPLIT: np.arange(len(found.index))}
    shares, known, every = {}, 0, 0
    for split, held in splits.items():
        pixels = found.report.class_pixels(held)
        total = int(pixels.sum())
        known += total
        every += sum(int(found.sizes[position].prod()) for position in held.tolist() if position in found.report.pixels)
        values = (pixels / total).round(6).tolist() if total else [0.0] * len(found.index.class_names)
        shares[split] = dict(zip(found.index.class_names, values, strict=False))
    return {"shares": shares, "ignored": round(1 - known / every, 6) if every else 0.0}


def _spread(values: NDArray[Any]) -> dict[str, float] | None:
    """Least, percentiles and largest; nothing of nothing."""
    if not len(values):
        return None
    found = np.quantile(values.astype(np.float64), _SHARES)
    return {name: float(f"{value:.4g}") for name, value in zip(SPREAD, found.tolist(), strict=True)}
