"""Parts of a few large files, on this machine or at an address, each checked by its SHA-256.

At an address, reading takes the time to a server and back: who knows what comes next says so (`ahead`), and it is fetched side by side,
neighbours in one piece. Each process of a loader has its own open files, connections and threads.
"""

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.addresses import local_path
from sightline.data.folders import Folder, folder_at

CONNECTIONS = 8
"""Pieces that one process fetches side by side."""
WAITING_BYTES = 128 * 2**20
"""What was fetched ahead and not asked for yet, in one process, at most."""
_PIECE_BYTES = 4 * 2**20
_GAP_BYTES = 32 * 2**10
"""Members that are no farther apart are fetched in one piece."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Spans:
    """Where N members lie, in columns."""

    shards: NDArray[np.int32]
    """(N,) number of the shard that each is in."""
    starts: NDArray[np.int64]
    """(N,) its first byte there."""
    lengths: NDArray[np.int64]
    """(N,) in bytes."""
    hashes: NDArray[np.uint8]
    """(N, 32) SHA-256."""

    def __len__(self) -> int:
        return len(self.starts)

    def only(self, rows: NDArray[np.int64]) -> "Spans":
        """Those in some rows."""
        return Spans(
            shards=self.shards[rows], starts=self.starts[rows], lengths=self.lengths[rows], hashes=self.hashes[rows]
        )


class Members:
    """Reads members of shards. `files` are the names of the shards below `root`, a path or an address, `hashes` their SHA-256.

    Any number of threads may read; a forked or spawned worker opens everything anew.
    """

    def __init__(self, root: Path | str, files: Sequence[str], hashes: Sequence[str] = ()) -> None:
        self.root = root
        self.files = tuple(files)
        self.hashes = tuple(hashes)
        self._process = _Process(os.getpid(), folder_at(root))

    def read(self, places: Spans, at: int) -> bytes:
        """The member in row `at`; raises `OSError` when it cannot be read, `ValueError` when it is not what was written."""
        shard, start, length = int(places.shards[at]), int(places.starts[at]), int(places.lengths[at])
        content = self._here().read(self.files[shard], start, length)
        if sha256(content).digest() != places.hashes[at].tobytes():
            raise ValueError(
                f"the bytes from {start:,} in the shard {self.files[shard]} are not those that were written (their SHA-256 differs). "
                "Fetch or write that shard again"
            )
        return content

    def ahead(self, members: Sequence[tuple[Spans, int]]) -> None:
        """Begin to fetch what will be read next, where that saves time."""
        here = self._here()
        if here.folder.remote:
            wanted = [
                (int(places.shards[at]), int(places.starts[at]), int(places.lengths[at])) for places, at in members
            ]
            here.fetch([(self.files[piece[0][0]], [span[1:] for span in piece]) for piece in _pieces(wanted)])

    def changed(self) -> Iterator[str]:
        """The shards on this machine whose bytes are not those that were written, also where no member is that is read."""
        if self._here().folder.remote:
            return
        for file, written in zip(self.files, self.hashes, strict=False):
            with contextlib.suppress(OSError), local_path(self.root).joinpath(file).open("rb") as shard:
                if hashlib.file_digest(shard, "sha256").hexdigest() != written:
                    yield file

    def _here(self) -> "_Process":
        if self._process.id != os.getpid():
            self._process = _Process(os.getpid(), folder_at(self.root))
        return self._process

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "files": self.files, "hashes": self.hashes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Members.__init__(self, **state)


@dataclass(slots=True)
class _Fetched:
    """A piece of a shard that comes, or is there."""

    start: int
    content: "Future[bytes]"


@dataclass(slots=True)
class _Process:
    """What one process has open."""

    id: int
    folder: Folder
    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: "OrderedDict[tuple[str, int], tuple[_Fetched, int]]" = field(default_factory=OrderedDict)
    """File and first byte of a member -> the piece that it is in, and its length."""
    held: int = 0
    """Bytes of the members that wait."""
    pool: ThreadPoolExecutor | None = None

    def read(self, file: str, start: int, length: int) -> bytes:
        with self.lock:
            fetched, there = self.waiting.pop((file, start), (None, 0))
            self.held -= there
        if fetched is None:
            return self.folder.part(file, start, length)
        first = start - fetched.start
        return fetched.content.result()[first : first + length]

    def fetch(self, pieces: list[tuple[str, list[tuple[int, int]]]]) -> None:
        """Begin to fetch members (start, length), a list of neighbours a piece."""
        with self.lock:
            self.pool = self.pool or ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="shards")
            for file, spans in pieces:
                spans = [span for span in spans if (file, span[0]) not in self.waiting]
                room = sum(length for _, length in spans)
                if not spans or room > WAITING_BYTES:
                    continue
                while self.held + room > WAITING_BYTES:  # nobody came for the oldest
                    self.held -= self.waiting.popitem(last=False)[1][1]
                start, end = spans[0][0], spans[-1][0] + spans[-1][1]
                piece = _Fetched(start, self.pool.submit(self.folder.part, file, start, end - start))
                for first, length in spans:
                    self.waiting[file, first] = piece, length
                self.held += room


def _pieces(spans: list[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    """(shard, start, length) of members, those together that are fetched in one piece.

    >>> _pieces([(0, 5000, 10), (1, 0, 10), (0, 0, 4000), (0, 9_000_000, 10)])
    [[(0, 0, 4000), (0, 5000, 10)], [(0, 9000000, 10)], [(1, 0, 10)]]
    """
    pieces: list[list[tuple[int, int, int]]] = []
    for shard, start, length in sorted(set(spans)):
        if pieces:
            (last, before, held), first = pieces[-1][-1], pieces[-1][0][1]
            if shard == last and start - before - held <= _GAP_BYTES and start + length - first <= _PIECE_BYTES:
                pieces[-1].append((shard, start, length))
                continue
        pieces.append([(shard, start, length)])
    return pieces
