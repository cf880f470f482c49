"""Writing a tar file, member by member, knowing where each begins."""

import hashlib
import tarfile
from pathlib import Path

BLOCK = 512
"""Bytes that everything in a tar file is a multiple of."""


class TarFile:
    """A tar file that is being written to `path`; the same members make the same bytes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.size = 0
        """Bytes so far."""
        self.members = 0
        self._digest = hashlib.sha256()
        self._stream = path.open("wb")

    def add(self, name: str, content: bytes) -> int:
        """Write a member; where its first byte is in the file."""
        info = tarfile.TarInfo(name)
        info.size = len(content)
        header = info.tobuf(tarfile.PAX_FORMAT)
        start = self.size + len(header)
        self._put(header)
        self._put(content)
        self._put(bytes(-len(content) % BLOCK))
        self.members += 1
        return start

    def finish(self) -> str:
        """Write what ends a tar file, and close it; its SHA-256 in hexadecimal digits."""
        self._put(bytes(2 * BLOCK))
        self.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file as it is."""
        self._stream.close()

    def _put(self, content: bytes) -> None:
        self._stream.write(content)
        self._digest.update(content)
        self.size += len(content)
