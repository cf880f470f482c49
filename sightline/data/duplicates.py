"""Which pictures of a data set are the same, and which show nearly the same: copies, resized, recompressed or brightened.

A picture is compared by its thumbnail: 16 x 16 cells of grey. What is compared of two is their correlation, so that neither size
nor brightness nor contrast counts.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

CELLS = 16
"""Cells a side of a thumbnail."""
ALIKE = 0.996
"""The correlation from which on two thumbnails are taken for the same scene: photographs that were halved or recompressed are above it,
and hardly any two handwritten digits."""
_FLAT = 4.0
"""Grey levels: a thumbnail with a lower standard deviation shows too little to be compared."""
_ROWS = 1024
_AXES = 24
_COMPARED = 2**16


def thumbnail(image: Tensor) -> NDArray[np.uint8]:
    """What is compared of a picture (3, H, W) uint8: (16, 16) grey levels 0..255, each the mean of a cell.

    >>> thumbnail(torch.full((3, 40, 30), 7, dtype=torch.uint8)).mean()
    np.float64(7.0)
    """
    own: NDArray[np.uint8] = thumbnails(image[None])[0]
    return own


def thumbnails(images: Tensor) -> NDArray[np.uint8]:
    """The same of several pictures of one size, (N, 3, H, W): (N, 16, 16), faster than one by one where they are small."""
    # The mean of each channel's cells first: a picture is read once, and nothing of its size is kept.
    cells = F.adaptive_avg_pool2d(images.float(), CELLS)
    grey = (cells * cells.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1)
    return grey.round().to(torch.uint8).numpy()


def alike(thumbnails: NDArray[np.uint8], likeness: float = ALIKE) -> NDArray[np.int64]:
    """Groups of pictures that are nearly the same: (N,) the lowest position of each picture's group.

    `thumbnails` (N, 16, 16) as of `thumbnail`. Two are alike when they correlate by `likeness` (0..1) or more; so are pictures that
    a chain of such pairs connects. Flat ones, such as of an empty sky, are like no other.

    >>> noise = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    >>> noise[2] = noise[0] // 2 + 40  # darker, and with less contrast
    >>> alike(noise).tolist()
    [0, 1, 0]
    """
    count = len(thumbnails)
    flat = thumbnails.reshape(count, CELLS * CELLS)
    # Copies are grouped by themselves first: a thousand of one picture would be half a million pairs.
    _, first, same = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    shows = flat.std(axis=1) >= _FLAT
    compared = first[shows[first]]
    group = np.where(shows, first[same.ravel()], np.arange(count))
    edges = np.concatenate(
        [np.empty((0, 2), np.int64), *(compared[found] for found in _pairs(flat[compared], likeness))]
    )
    if not len(edges):
        return group
    from scipy.sparse import coo_matrix  # takes long to import
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(edges), np.bool_), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, member_of = connected_components(links, directed=False)
    _, lowest, inverse = np.unique(member_of, return_index=True, return_inverse=True)
    return lowest[inverse][group].astype(np.int64)


def _pairs(flat: NDArray[np.uint8], likeness: float) -> Iterator[NDArray[np.int64]]:
    """Rows (P, 2) of thumbnails (N, 256) that correlate enough, found without comparing each with each.

    Thumbnails are vectors of length 1 whose scalar product is their correlation c; their distance squared is 2 - 2 c, and seen along
    a few axes no more than that, whichever way these lie. Along the axis in which they spread most, only near ones are compared, by
    the few axes in which they spread most; what is near in these is compared in full.
    """
    values = flat.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    if len(values) < 2:
        return
    sample = values[:: max(1, len(values) // 2000)]
    axes = np.linalg.svd(sample - sample.mean(axis=0), full_matrices=False)[2][:_AXES]
    seen = values @ axes.T
    order = np.argsort(seen[:, 0])
    values, seen = values[order], seen[order]
    # One product gives half of the distance squared, with the other sign: x y - x x / 2 - y y / 2.
    half, ones = (seen**2).sum(axis=1, keepdims=True) / 2, np.ones((len(seen), 1), np.float32)
    left, right = np.concatenate([seen, -half, ones], axis=1), np.concatenate([seen, ones, -half], axis=1)
    along, reach = seen[:, 0], np.sqrt(2 - 2 * likeness) + 1e-4
    for begin in range(0, len(values), _ROWS):
        end = min(begin + _ROWS, len(values))
        last = int(np.searchsorted(along, along[end - 1] + reach, side="right"))
        near = np.flatnonzero(left[begin:end] @ right[begin:last].T >= likeness - 1 - 1e-5)
        rows, columns = np.divmod(near, last - begin)
        found = rows < columns  # the others are the same pairs once more, and each with itself
        pairs = np.stack([rows[found], columns[found]], axis=1) + begin
        for start in range(0, len(pairs), _COMPARED):
            some = pairs[start : start + _COMPARED]
            alike = (values[some[:, 0]] * values[some[:, 1]]).sum(axis=1) >= likeness
            yield order[some[alike]]
