"""Paths that were written on another machine: with backslashes, or from a folder on that is not here."""

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

_LOOKED_AT = 50
"""Paths that are looked for by their last parts."""


def slashes(path: str) -> str:
    r"""A path with the slashes of this machine.

    >>> slashes(r"C:\data\images")
    'C:/data/images'
    """
    return path.replace("\\", "/")


def name_below(base: Path, path: str, elsewhere: str = "") -> str:
    """What a file is called below `base`: its path as it is written, or with slashes, or without the folder `elsewhere`.

    Empty where none of these is there.
    """
    plain = slashes(path)
    for name in dict.fromkeys((path, plain, plain.removeprefix(elsewhere))):
        if os.path.isfile(f"{base}/{name}" if not name.startswith("/") else name):  # noqa: PTH113 - raises for nothing
            return name
    return ""


def folder_elsewhere(paths: Iterable[str], bases: Sequence[Path]) -> str:
    """What some paths begin with on another machine, with a slash at its end: the rest of one is there below a base.

    As many of the last parts count as can be. Empty where nothing is found so.
    """
    for path in islice(paths, _LOOKED_AT):
        parts = slashes(path).rstrip("/").split("/")
        for cut in range(1, len(parts)):
            inside = parts[cut] and ".." not in parts[cut:]
            if inside and any(base.joinpath(*parts[cut:]).exists() for base in bases):
                return "/".join([*parts[:cut], ""])
    return ""
