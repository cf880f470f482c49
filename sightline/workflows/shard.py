"""Shard: write a data set as a few large files that are read from a server as fast as from a disk."""

import time
from dataclasses import dataclass
from pathlib import Path

from sightline.config import DataConfig
from sightline.data.addresses import address_of, local_path
from sightline.data.formats import read, shards
from sightline.data.formats.copying import finished
from sightline.data.formats.shard_writing import SHARD_BYTES, write
from sightline.data.index import Index
from sightline.data.splits import read_splits
from sightline.errors import ConfigError, InputError
from sightline.training.runlog import Listener, Silence

SMALLEST = 1
"""Megabytes of a shard, at least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sharded:
    """What was written."""

    data: str
    read_as: str
    """Format of the data set that was read."""
    out: str
    pictures: int
    """That were written."""
    splits: dict[str, int]
    """Pictures of each split; empty when the data set is not divided."""
    shards: int
    bytes: int
    """Of all shards together."""
    class_names: tuple[str, ...]
    lost: tuple[str, ...]
    """What was not written, one text each."""
    seconds: float


def shard(
    data: str | Path | DataConfig,
    out: str | Path,
    *,
    size: int | None = None,
    pictures: int | None = None,
    seed: int = 0,
    listener: Listener | None = None,
) -> Sharded:
    """Write the data set at `data` as shards into `out`, a new or empty folder.

    A shard has at most `size` megabytes (256 when not given), or `pictures` pictures; not both. `seed` is of the order of the
    pictures in them. `data` may be the section of a recipe, with a format and a table of splits. Raises `ConfigError` for sizes below
    1, `DataError` for a target in use and pictures that cannot be read, `InputError` for a target inside the data.
    """
    listener, began, out = listener or Silence(), time.perf_counter(), Path(out)
    if size is not None and pictures is not None:
        raise ConfigError("A shard has at most so many megabytes (--size) or so many pictures (--pictures): give one.")
    if min(size or SMALLEST, pictures or 1) < 1 or 0 in (size, pictures):
        raise ConfigError(
            f"A shard has at least one megabyte or one picture; got {pictures if size is None else size}."
        )
    given = data if isinstance(data, DataConfig) else DataConfig(path=str(data))
    index = read(given.path, given.format)
    if given.splits is not None:
        index = read_splits(index, Path(given.splits))
    if address_of(given.path) is None and out.resolve().is_relative_to(local_path(given.path).resolve()):
        raise InputError(f"{out} lies in {given.path}, and would become a part of it. Choose a folder elsewhere.")
    for line in (*(f"ignored: {name}" for name in index.ignored), *index.notes, *index.faults.lines):
        listener.say(line)

    def written(unfinished: Path) -> tuple[tuple[str, ...], Index, int, int]:
        most = SHARD_BYTES if size is None else size * 2**20
        lost = write(
            index, unfinished, size=most if pictures is None else 2**62, pictures=pictures, seed=seed, say=listener.say
        )
        files = [file.stat().st_size for file in unfinished.rglob("*.tar")]
        return lost, shards.read(unfinished), len(files), sum(files)

    lost, again, count, size_written = finished(out.resolve(), written)
    return Sharded(
        data=given.path,
        read_as=index.format,
        out=str(out),
        pictures=len(again),
        splits={split: len(held) for split, held in again.splits.items()},
        shards=count,
        bytes=size_written,
        class_names=again.class_names,
        lost=lost,
        seconds=round(time.perf_counter() - began, 2),
    )
