"""Folders of files on this machine or at an address, read whole or in parts.

What is not on this machine is asked for by ranges of bytes: http:// and https:// by `sightline.data.web`, every other address by fsspec.
What keeps a file from being read is an `OSError`, whatever the library calls it.
"""

import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Protocol

from sightline.data.addresses import address_of, local_path
from sightline.data.object_store import StoreFolder
from sightline.data.web import WebFolder, of_length

_OPEN_FILES = 64


class Folder(Protocol):
    """Files below one place, by their names with slashes."""

    remote: bool
    """Whether each reading costs the time to a server and back."""

    def whole(self, name: str, most: int) -> bytes:
        """A file; raises `OSError`, also for one of more than `most` bytes."""
        ...

    def part(self, name: str, start: int, length: int) -> bytes:
        """`length` bytes of a file, from `start`; raises `OSError`, also when the file ends before."""
        ...


def folder_at(path: Path | str) -> Folder:
    """What reads the files below a path or an address; raises `MissingDependencyError` for an address that needs a library."""
    address = address_of(path)
    if address is None:
        return LocalFolder(local_path(path))
    if address.startswith(("http://", "https://")):
        return WebFolder(address)
    return StoreFolder(address)


class LocalFolder:
    """A folder on this machine. Files that were read stay open, the last ones; any number of threads may read."""

    remote = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._lock = Lock()

    def whole(self, name: str, most: int) -> bytes:
        """See `Folder`."""
        path = self.root / name
        if path.stat().st_size > most:
            raise OSError(f"it has {path.stat().st_size:,} bytes, more than the limit of {most:,}")
        return path.read_bytes()

    def part(self, name: str, start: int, length: int) -> bytes:
        """See `Folder`."""
        file = self._opened(name)
        content = os.pread(file.descriptor, length, start)
        while len(content) < length and (
            more := os.pread(file.descriptor, length - len(content), start + len(content))
        ):
            content += more
        return of_length(content, length)

    def _opened(self, name: str) -> "_File":
        with self._lock:
            if name not in self._files:
                self._files[name] = _File(self.root / name)
                if len(self._files) > _OPEN_FILES:
                    self._files.popitem(last=False)  # closed when nobody reads from it any more
            self._files.move_to_end(name)
            return self._files[name]


class _File:
    """An open file that is closed when nobody holds it."""

    def __init__(self, path: Path) -> None:
        self.descriptor = -1
        self.descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
