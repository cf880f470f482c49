"""Dividing pictures so that each class has its share in each split, with whole groups on one side.

A picture may have any number of classes: those of its boxes, or of its pixels. The class with the fewest pictures is divided first, then
the next rarest of what is left, and so on (iterative stratification: Sechidis, Tsoumakas and Vlahavas 2011); pictures without any class
come last. Within a class, groups of several pictures go first, large ones before small ones, to the split that lacks most of its share
and has room for all of them; single pictures then fill val and test in the order of a hash of (seed, name), and train gets the rest.

Since that order is a hash's, one more picture moves few others: it takes a place in the order, and a neighbour may fall over the edge.

Shape letters: `N` pictures, `K` classes, `U` groups.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.data.index import SPLITS, Positions

_TRAIN = SPLITS.index("train")
_MORE = 0.01
"""Share of a split's pictures by which it may grow for the sake of its classes."""


def stratified(
    present: NDArray[np.bool_],
    groups: NDArray[np.int64],
    names: Sequence[str],
    shares: Mapping[str, float],
    seed: int = 0,
) -> dict[str, Positions]:
    """Positions of each split, ascending; those of a group are in one split.

    `present` (N, K) says which classes are in a picture, `groups` (N,) gives equal numbers to pictures that stay together, `names` (N,)
    are what the hash is of, and `shares` those of val and test, 0..1; train gets what they leave. A class with few pictures goes to
    train first, and a split that would stay empty, since the groups are too large for it, gets the smallest one.

    >>> present = np.zeros((8, 1), bool)
    >>> found = stratified(present, np.array([0, 0, 1, 2, 3, 4, 5, 6]), list("abcdefgh"), {"val": 0.25})
    >>> {split: held.tolist() for split, held in found.items()}
    {'train': [0, 1, 2, 4, 6, 7], 'val': [3, 5]}
    """
    numbers, member = np.unique(groups, return_inverse=True)
    # Pictures of no class are divided by a class of their own, which is always the last one.
    classes = np.concatenate([present, np.ones((len(present), 1), np.bool_)], axis=1)
    counts = np.zeros((len(numbers), classes.shape[1]), np.int64)
    np.add.at(counts, member, classes)
    ranks = [_rank(seed, name) for name in names]
    first = [min(ranks[at] for at in held) for held in _members(member, len(numbers))]
    split_of = _assigned(counts, first, _quotas(classes, shares))
    found = split_of[member]
    return {split: np.flatnonzero(found == at) for at, split in enumerate(SPLITS) if (found == at).any()}


def _quotas(classes: NDArray[np.bool_], shares: Mapping[str, float]) -> NDArray[np.int64]:
    """(3, K + 1) pictures of each class, and of all, that each split is to have.

    Of a class it is one at least, where there are enough, and first of all in train. With a class a picture, that makes a split of many
    rare classes larger than its share; with several, which one picture may serve at once, the share of all pictures holds.
    """
    totals = classes.sum(axis=0)
    quotas = np.zeros((len(SPLITS), len(totals)), np.int64)
    left = totals.copy()
    for split, share in shares.items():
        if share > 0:
            wanted = np.maximum(1, np.rint(share * totals).astype(np.int64))
            quotas[SPLITS.index(split)] = np.clip(np.minimum(wanted, left - 1), 0, None)
            left -= quotas[SPLITS.index(split)]
    quotas[_TRAIN] = left
    if (classes[:, :-1].sum(axis=1) <= 1).all():
        without = totals[-1] - totals[:-1].sum()
        for split, share in shares.items():
            at = SPLITS.index(split)
            quotas[at, -1] = quotas[at, :-1].sum() + np.rint(share * without)
        quotas[_TRAIN, -1] = totals[-1] - np.delete(quotas[:, -1], _TRAIN).sum()
    return quotas


def _assigned(counts: NDArray[np.int64], ranks: Sequence[bytes], quotas: NDArray[np.int64]) -> NDArray[np.int64]:
    """(U,) the number of the split of each group, from its pictures of each class (U, K)."""
    split_of = np.full(len(counts), -1)
    lacking = quotas.copy()
    whole = np.maximum(quotas, 1)
    sizes = counts[:, -1]

    def put(group: int, split: int) -> None:
        split_of[group] = split
        lacking[split] -= counts[group]

    while (free := np.flatnonzero(split_of < 0)).size:
        left = counts[free].sum(axis=0)
        # All pictures are the last column: it is chosen when no free picture has a class.
        some = np.flatnonzero(left[:-1])
        label = int(some[np.argmin(left[some])]) if len(some) else len(left) - 1
        held = free[counts[free, label] > 0]
        order = sorted(held.tolist(), key=lambda group: (-sizes[group], ranks[group]))
        for group in (group for group in order if sizes[group] > 1):
            room = [
                s for s in range(len(SPLITS)) if s == _TRAIN or (counts[group] <= lacking[s])[counts[group] > 0].all()
            ]
            put(group, max(room, key=lambda s: (lacking[s, label] / whole[s, label], s == _TRAIN)))
        singles = [group for group in order if sizes[group] == 1]
        for split in (s for s in range(len(SPLITS)) if s != _TRAIN):
            # First those that take no other class over its share, then any while the split has room.
            for fits in (True, False):
                for group in singles:
                    if lacking[split, label] <= 0 or lacking[split, -1] <= -quotas[split, -1] * _MORE:
                        break
                    if split_of[group] < 0 and (not fits or (lacking[split, counts[group] > 0] > 0).all()):
                        put(group, split)
        for group in singles:
            if split_of[group] < 0:
                put(group, _TRAIN)
    _fill_empty(split_of, sizes, ranks, quotas)
    return split_of


def _fill_empty(
    split_of: NDArray[np.int64], sizes: NDArray[np.int64], ranks: Sequence[bytes], quotas: NDArray[np.int64]
) -> None:
    """Where groups are so large that a split stays empty, it gets the smallest one of train, unless that is the last."""
    for split in range(len(SPLITS)):
        train = np.flatnonzero(split_of == _TRAIN)
        if quotas[split].any() and not (split_of == split).any() and len(train) > 1:
            split_of[min(train.tolist(), key=lambda group: (sizes[group], ranks[group]))] = split


def _members(member: NDArray[np.int64], groups: int) -> list[NDArray[np.int64]]:
    """The positions of each group."""
    return np.split(np.argsort(member, kind="stable"), np.cumsum(np.bincount(member, minlength=groups))[:-1])


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()
