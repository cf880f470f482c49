"""Split: who trains on which pictures, as a file. Nothing is copied, and pictures that belong together stay on one side."""

import hashlib
import os
import re
import time
from collections.abc import Mapping, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.data.annotations import ClassLabels
from sightline.data.counted import counted
from sightline.data.duplicates import CELLS, alike, thumbnail
from sightline.data.formats import read
from sightline.data.index import Index
from sightline.data.masks import Masks, pixel_counts
from sightline.data.splits import write_splits
from sightline.data.stratify import stratified
from sightline.errors import ConfigError, DataError, ImageError, InputError
from sightline.training.runlog import Listener, Silence
from sightline.workflows.pictures import task_of

SHARES: Mapping[str, float] = MappingProxyType({"val": 0.1, "test": 0.1})
_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """How a data set was divided."""

    data: str
    format: str
    task: str
    out: str
    """The file with the division."""
    seed: int
    splits: dict[str, int]
    """Pictures of each split."""
    classes: dict[str, dict[str, int]]
    """Class name -> pictures of each split that have it: as their class, in a box, or in their masks."""
    alike: int
    """Pictures that are copies of others, or nearly."""
    alike_groups: int
    """What these are together."""
    named_groups: int | None
    """Groups of pictures by name, when they were asked for."""
    largest_group: int
    """Pictures of the largest group, whatever holds it together."""
    unreadable: tuple[str, ...]
    """Pictures and masks that cannot be read, each with the reason; they are divided as well."""
    seconds: float


def split(
    data: str | Path,
    *,
    shares: Mapping[str, float] = SHARES,
    seed: int = 0,
    group_by: str | None = None,
    out: str | Path | None = None,
    format: str | None = None,
    listener: Listener | None = None,
) -> Split:
    """Divide the data set at `data` into train, val and test, and write that down at `out`, a new file.

    `shares` are those of val and test among the pictures, 0..1; train gets what they leave. Each class has its share in each split.
    Pictures that are copies of each other, exactly or nearly, are in one split, and so are those for whose names the first group of
    the regular expression `group_by` is the same text. Splits that the data set has are not used. Raises `ConfigError` for shares that
    leave nothing and for an expression that is none, `InputError` when `out` exists, `DataError` when no name matches the expression,
    and when a split that has a share stays empty.
    """
    listener, began, data = listener or Silence(), time.perf_counter(), Path(data)
    if not (
        {*shares} <= {"val", "test"} and all(share >= 0 for share in shares.values()) and 0 < sum(shares.values()) < 1
    ):
        raise ConfigError(
            f"The shares of val and test are 0 or more, and together above 0 and below 1; got {dict(shares)}."
        )
    pattern = _pattern(group_by)
    out = Path(out) if out is not None else Path(f"{data.resolve().stem}.splits.csv")
    if out.exists():
        raise InputError(f"{out} exists already and is not overwritten. Choose another name with --out.")
    index = read(data, format)
    for line in (*(f"ignored: {name}" for name in index.ignored), *index.notes, *index.faults.lines):
        listener.say(line)
    if index.splits:
        own = ", ".join(f"{name} {len(held)}" for name, held in index.splits.items())
        listener.say(f"The data set's own splits ({own}) are not used: all its pictures are divided anew.")
    names = [index.source.name(at) for at in range(len(index))]
    named = None if pattern is None else _by_name(names, pattern, listener)
    listener.say(f"looking at {counted(len(index), 'picture')} for copies of each other")
    seen = _seen(index)
    for line in seen.unreadable:
        listener.say(f"unreadable: {line}")
    copies = _joined([alike(seen.thumbnails), seen.digests])
    groups = copies if named is None else _joined([copies, named])
    splits = stratified(seen.present, groups, names, shares, seed)
    _require_each(splits, shares, len(np.unique(groups)), len(index))
    write_splits(index.divided(splits), out)
    return Split(
        data=str(data),
        format=index.format,
        task=task_of(index),
        out=str(out),
        seed=seed,
        splits={name: len(held) for name, held in splits.items()},
        classes={
            name: {split: int(seen.present[held, label].sum()) for split, held in splits.items()}
            for label, name in enumerate(index.class_names)
        },
        alike=int(sum(size for size in np.unique(copies, return_counts=True)[1] if size > 1)),
        alike_groups=int((np.unique(copies, return_counts=True)[1] > 1).sum()),
        named_groups=None if named is None else len(np.unique(named)),
        largest_group=int(np.unique(groups, return_counts=True)[1].max()),
        unreadable=seen.unreadable,
        seconds=round(time.perf_counter() - began, 2),
    )


def _require_each(splits: Mapping[str, Sized], shares: Mapping[str, float], groups: int, pictures: int) -> None:
    """Raise `DataError` where a split that was asked for has no picture."""
    wanted = ["train", *(name for name, share in shares.items() if share > 0)]
    empty = [name for name in wanted if name not in splits]
    if empty:
        raise DataError(
            f"No picture is left for {' and '.join(empty)}: {counted(pictures, 'picture is', 'pictures are')} in "
            f"{counted(groups, 'group that stays', 'groups that stay')} together (by name, or as copies of each other). "
            "Give larger shares, leave a split out (--test 0), or make smaller groups with --group-by."
        )


def _pattern(group_by: str | None) -> re.Pattern[str] | None:
    if group_by is None:
        return None
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ConfigError(f"--group-by {group_by}: this is no regular expression ({error}).") from error
    if not pattern.groups:
        raise ConfigError(
            f"--group-by {group_by}: put what tells the groups apart into parentheses, such as 'patient-(\\d+)'."
        )
    return pattern


def _by_name(names: Sequence[str], pattern: re.Pattern[str], listener: Listener) -> NDArray[np.int64]:
    """(N,) the group of each picture, from its name; one that does not match is a group by itself."""
    matches = [pattern.search(name) for name in names]
    if not any(matches):
        raise DataError(f"--group-by {pattern.pattern}: it fits none of the {len(names)} names, such as {names[0]}.")
    others = [name for name, match in zip(names, matches, strict=True) if not match]
    if others:
        listener.say(
            f"--group-by fits {len(names) - len(others)} of {len(names)} names; not {', '.join(others[:_NAMED])}."
        )
    keys = [f"={match[1]}" if match else f" {at}" for at, match in enumerate(matches)]
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


class _Seen(NamedTuple):
    """What the pictures show."""

    thumbnails: NDArray[np.uint8]
    """(N, 16, 16); black for what cannot be read."""
    digests: NDArray[np.int64]
    """(N,) equal numbers for pictures of the same pixels."""
    present: NDArray[np.bool_]
    """(N, K) whether a picture has a class."""
    unreadable: tuple[str, ...]


def _seen(index: Index) -> _Seen:
    """Look at each picture once, in threads, and keep none of them."""
    count, annotations = len(index), index.annotations
    thumbnails = np.zeros((count, CELLS, CELLS), np.uint8)
    digests = [b""] * count
    present = np.zeros((count, len(index.class_names)), np.bool_)
    unreadable: dict[int, str] = {}

    def look(position: int) -> None:
        digests[position] = f"unreadable {position}".encode()
        try:
            if isinstance(annotations, Masks):
                present[position] = pixel_counts(annotations.target(position).mask, len(index.class_names)) > 0
            image = index.source.image(position)
        except ImageError as error:
            unreadable[position] = str(error)
            return
        thumbnails[position] = thumbnail(image)
        content = image.contiguous().numpy().tobytes()
        digests[position] = hashlib.sha256(f"{tuple(image.shape)}".encode() + content).digest()

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(look, range(count)):
            pass
    if isinstance(annotations, ClassLabels):
        present[np.arange(count), annotations.labels] = True
    elif not isinstance(annotations, Masks):
        pictures = np.repeat(np.arange(count), np.diff(annotations.offsets))
        present[pictures, annotations.labels] = True
    same = np.unique(np.array(digests, dtype=object).astype("S64"), return_inverse=True)[1]
    return _Seen(thumbnails, same.astype(np.int64), present, tuple(unreadable[at] for at in sorted(unreadable)))


def _joined(groupings: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """(N,) groups of what is in one group by any of several ways to group N things, or by a chain of such."""
    from scipy.sparse import coo_matrix  # takes long to import
    from scipy.sparse.csgraph import connected_components

    count = len(groupings[0])
    firsts = []
    for grouping in groupings:
        _, first, inverse = np.unique(grouping, return_index=True, return_inverse=True)
        firsts.append(first[inverse])
    rows, columns = np.tile(np.arange(count), len(firsts)), np.concatenate(firsts)
    links = coo_matrix((np.ones(len(rows), np.bool_), (rows, columns)), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)
