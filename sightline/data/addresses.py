"""What a data set is called by: a path on this machine, or an address such as https://data.example.org/birds."""

import os
import re
from pathlib import Path

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.+)", re.DOTALL)


def address_of(path: Path | str) -> str | None:
    """The address that `path` is, None for a path on this machine (which file:// names too; see `local_path`).

    A `Path` has one slash where the address had two.

    >>> address_of(Path("http://example.org/birds")), address_of("birds"), address_of("file:///data/birds")
    ('http://example.org/birds', None, None)
    """
    match = _ADDRESS.fullmatch(os.fspath(path))
    if match is None or match[1].lower() == "file":
        return None
    return f"{match[1].lower()}://{match[2]}"


def local_path(path: Path | str) -> Path:
    """A path on this machine, without file:// and with the home folder in it.

    >>> local_path("file:///data/birds").as_posix()
    '/data/birds'
    """
    match = _ADDRESS.fullmatch(os.fspath(path))
    return Path(f"/{match[2]}" if match and match[1].lower() == "file" else path).expanduser()


def whole_path(path: Path | str) -> str:
    """The same place from whichever folder it is read: an absolute path, or the address."""
    return address_of(path) or str(local_path(path).absolute())
