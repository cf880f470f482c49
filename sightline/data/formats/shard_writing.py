"""Writing shards, see `sightline.data.formats.shards`: members in tar files, picture by picture, then the index.

Pictures that are files or parts of files are taken byte for byte; others become PNG. The same data and seed make the same bytes.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import safetensors.numpy
import torch

from sightline.data.counted import counted
from sightline.data.formats.copying import require_new, unwritten, written_splits
from sightline.data.formats.shard_members import (
    ENDINGS,
    annotation,
    annotation_columns,
    content_of,
    ending_of,
    given_ending,
)
from sightline.data.formats.shards import COLUMNS, DESCRIPTION, KINDS, UNDIVIDED, VERSION
from sightline.data.formats.tar_file import BLOCK, TarFile
from sightline.data.index import SPLIT_ALIASES, Index
from sightline.data.names import Names
from sightline.errors import DataError, ImageError
from sightline.files import sha256, storage_error, write_atomic, write_json

SHARD_BYTES = 256 * 2**20
"""Of a shard, at most, unless one picture has more: large enough to be read in one go, small enough to be fetched again."""
MAX_BAD = 0.01
"""Share (0..1) of the pictures that may be left out because they, or their masks, cannot be read."""
_STRANGE = re.compile(r"[\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def write(
    index: Index,
    path: Path,
    *,
    size: int = SHARD_BYTES,
    pictures: int | None = None,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> tuple[str, ...]:
    """Write an index as shards into `path`, new or empty; what is not written, one text each. The index comes last.

    A shard has at most `size` bytes, or `pictures` pictures where given. `seed` is of the random order. `say` is told of every shard.
    Raises `DataError` for a target in use, and when more than 1 % of the pictures, or their masks, cannot be read.
    """
    require_new(path)
    splits = written_splits(index)
    total = sum(len(held) for held in splits.values())
    written = _Written(index, path, size, pictures or total, say or (lambda _: None))
    try:
        for split, positions in splits.items():
            order = torch.randperm(len(positions), generator=torch.Generator().manual_seed(seed)).numpy()
            for position in positions[order].tolist():
                written.add(split, position)
                if len(written.bad) > MAX_BAD * total:
                    raise DataError("\n".join([f"Too many of the pictures ({total}) cannot be read:", *written.bad]))
            written.close_shard()
        _write_index(index, path, written)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        written.abandon()
    bad = counted(len(written.bad), "picture cannot be read and is", "pictures cannot be read and are")
    left_out = [f"{bad} not written: {'; '.join(written.bad[:5])}"] if written.bad else []
    return (*unwritten(index), *written.renamed(), *left_out)


class _Written:
    """What is written so far: shards, and where each member is."""

    def __init__(self, index: Index, root: Path, size: int, pictures: int, say: Callable[[str], None]) -> None:
        self.index = index
        self.root = root
        self.size, self.pictures = size, pictures
        self.say = say
        self.shards: list[dict[str, Any]] = []
        self.positions: list[int] = []
        self.names: list[str] = []
        self.bad: list[str] = []
        self.columns: dict[str, list[Any]] = {
            name: [] for name in ("shards", "starts", "lengths", "hashes", "mask_starts", "mask_lengths", "mask_hashes")
        }
        self._open: tuple[str, str, TarFile] | None = None
        """File, split, and what writes it."""
        self._taken: set[str] = set()
        self._dotted: list[str] = []

    def add(self, split: str, position: int) -> None:
        """Write a picture and what is known of it into the open shard, or a new one."""
        try:
            content = content_of(self.index, position)
            beside = annotation(self.index, position)
        except ImageError as error:
            self.bad.append(str(error))
            return
        key, ending = self._key(split, position), ending_of(self.index.source.name(position), content)
        members = {f"{key}.{ending}": content, f"{key}.{beside[0]}": beside[1]}
        shard = self._shard(split, sum(len(held) + 2 * BLOCK for held in members.values()))
        prefix = ""
        for name, held in members.items():
            start = shard.add(name, held)
            if prefix == "" or beside[0] == "mask.png":
                self.columns[f"{prefix}starts"].append(start)
                self.columns[f"{prefix}lengths"].append(len(held))
                self.columns[f"{prefix}hashes"].append(hashlib.sha256(held).digest())
            prefix = "mask_"
        self.columns["shards"].append(len(self.shards))
        self.positions.append(position)
        self.names.append(f"{key}.{ending}")

    def close_shard(self) -> None:
        """Finish the open shard."""
        if self._open is None:
            return
        file, split, tar = self._open
        self._open = None
        described = {"file": file, "split": split, "pictures": tar.members // 2}
        self.shards.append({**described, "sha256": tar.finish(), "bytes": tar.size})
        self.say(f"{file}: {counted(tar.members // 2, 'picture')}, {tar.size / 2**20:.1f} MB")

    def renamed(self) -> list[str]:
        """A line on the names in which dots became something else."""
        names = counted(len(self._dotted), "name")
        why = "since other programs take what follows a dot for the ending"
        return [f"The dots in {names} become _, {why} (first: {self._dotted[0]})."] if self._dotted else []

    def abandon(self) -> None:
        """Close what is still open after an error."""
        if self._open is not None:
            self._open[2].close()

    def _shard(self, split: str, more: int) -> TarFile:
        """The shard that `more` bytes of a split go into."""
        if self._open:
            tar = self._open[2]
            if tar.members // 2 >= self.pictures or tar.size + more + 2 * BLOCK > self.size:
                self.close_shard()
        if self._open is None:
            number = sum(shard["split"] == split for shard in self.shards)
            file = f"{split or UNDIVIDED}/{number:06d}.tar"
            self._open = file, split, TarFile(self.root / file)
        return self._open[2]

    def _key(self, split: str, position: int) -> str:
        """A member's name without its endings, which no other picture of the split has, whatever the case of its letters."""
        name = self.index.source.name(position)
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts:
            parts = [part for part in parts if part != ".."][-1:]
        if len(parts) > 1 and split and SPLIT_ALIASES.get(parts[0].lower()) == split:
            parts = parts[1:]
        if not parts or given_ending(name) not in ENDINGS:
            parts = [f"{position:09d}"]
        # What follows the first dot of the last part is the ending, for other programs.
        stem = PurePosixPath(parts[-1]).stem
        parts[-1] = stem.replace(".", "_")
        if "." in stem:
            self._dotted.append(f"{stem} is {parts[-1]}")
        key = _STRANGE.sub("_", "/".join(parts))
        while f"{split}/{key.casefold()}" in self._taken:
            key = f"{key}_{position}"
        self._taken.add(f"{split}/{key.casefold()}")
        return key


def _write_index(index: Index, root: Path, written: _Written) -> None:
    positions, names = np.array(written.positions, np.int64), Names(written.names)
    columns = annotation_columns(index, positions)
    columns["letters"], columns["ends"] = names.columns
    for name, held in written.columns.items():
        if not held and name.startswith("mask_"):
            continue
        if name.endswith("hashes"):
            columns[name] = np.frombuffer(b"".join(held), np.uint8).reshape(-1, 32)
        else:
            columns[name] = np.array(held, np.int32 if name == "shards" else np.int64)
    content = safetensors.numpy.save({name: np.ascontiguousarray(held) for name, held in columns.items()})
    write_atomic(root / COLUMNS, content)
    described = {
        "sightline_shards": VERSION,
        "annotations": KINDS[type(index.annotations)],
        "class_names": list(index.class_names),
        "pictures": len(positions),
        "columns_sha256": sha256(content),
        "shards": written.shards,
    }
    write_json(root / DESCRIPTION, described)
