"""Atomic writes: errors in words, and no trace of a failed one."""

import errno
import os
from pathlib import Path

import pytest

from sightline.errors import StorageError
from sightline.files import append_line, write_atomic, write_json


def test_content_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize(("number", "text"), [(errno.ENOSPC, "The disk is full"), (errno.EIO, "could not be written")])
def test_a_failed_write_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, number: int, text: str
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def fail(*arguments: object, **keywords: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, operation, fail)
        with pytest.raises(StorageError, match=text) as caught:
            write_atomic(path, b"new")
    assert caught.value.exit_code == 1
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_really_full_device_is_named() -> None:
    """Linux has one that is always full."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(StorageError, match="The disk is full: /dev/full could not be written"):
        append_line(full, "x" * 10_000)


def test_json_refuses_what_json_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", float("nan"))
    assert not list(tmp_path.iterdir())
