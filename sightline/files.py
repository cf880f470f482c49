"""Writing files so that a reader sees the old content or the new, never a torn one.

Everything that Sightline keeps goes through `write_atomic`: temporary file in the same folder, fsync, replace, fsync of the folder.
Every step is one call to `os`, so that a test can stop after each of them in turn.
"""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sightline.errors import InputError, StorageError

TEMPORARY_SUFFIX = ".partial"


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step, durably.

    Raises `StorageError` when the disk is full or the folder cannot be written; `path` then holds what it held before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_and_sync(temporary, content)
        os.replace(temporary, path)  # noqa: PTH105 - the tests count calls to os
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise storage_error(path, error) from error


def write_json(path: Path, value: Any) -> None:
    """`write_atomic` for a JSON value, indented for people."""
    write_atomic(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def append_line(path: Path, line: str) -> None:
    """Add one line to a log. A torn last line is possible after a crash; readers skip it."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise storage_error(path, error) from error


def require_free(paths: Iterable[Path]) -> None:
    """Raise `InputError` when there is something at one of `paths` already, for what has a flag --overwrite."""
    for path in paths:
        if path.exists():
            raise InputError(f"{path} exists already and is not overwritten. Choose another name, or say --overwrite.")


def sha256(content: bytes) -> str:
    """The SHA-256 of `content` in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, not only the contents behind them."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(path: Path, error: OSError) -> StorageError:
    """An `OSError` while writing `path`, in words that say what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"The disk is full: {path} could not be written. What was saved before is intact. Free some space and resume."
        )
    return StorageError(f"{path} could not be written: {error.strerror or error}. What was there before is intact.")


def _write_and_sync(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
