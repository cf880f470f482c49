"""Fetching one file of known SHA-256, so that an interrupted download is continued and a wrong file never kept."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sightline.errors import WeightsError
from sightline.files import TEMPORARY_SUFFIX, storage_error, sync_folder

SIZE_LIMIT = 2 * 1024**3  # bytes; no published classifier is larger, so a longer answer is not what was asked for
TIMEOUT = 30.0  # seconds without a single byte
CHUNK = 1024**2  # bytes

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and, if the server says so, the bytes of the whole file."""


def fetch_file(
    url: str, path: Path, sha256_prefix: str, size_limit: int = SIZE_LIMIT, progress: Progress | None = None
) -> Path:
    """`path`, downloaded from `url` unless it is there already; either way its SHA-256 starts with `sha256_prefix`.

    Bytes arrive in a file beside `path` that ends in ".partial"; a later call continues it. Several processes may ask
    for one file at once: one downloads, the others wait. Raises `WeightsError` if the server cannot be reached, sends
    more than `size_limit` bytes or the wrong file (which is deleted), or if the file that is there is wrong or cannot be
    read (which is left alone); `StorageError` if the disk is full or the folder cannot be written.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path):
                if not path.exists():  # it may have come while we waited
                    _download(url, path, sha256_prefix, size_limit, progress)
                    return path
    except OSError as error:
        raise storage_error(path, error) from error
    require_published(path, url, sha256_prefix)
    return path


def require_published(path: Path, url: str, sha256_prefix: str) -> None:
    """Raise `WeightsError` unless the file is the one from `url`: its SHA-256 starts with `sha256_prefix`."""
    try:
        found = file_sha256(path)
    except OSError as error:
        raise WeightsError(
            f"{path} is there but cannot be read: {error.strerror}. Replace it by the file from {url}."
        ) from error
    if not found.startswith(sha256_prefix):
        raise WeightsError(
            f"{path} is damaged or is another file: its SHA-256 should start with {sha256_prefix}, but starts with "
            f"{found[:8]}. Delete it to have it downloaded again, or replace it by the file from {url}. If it holds weights of "
            "your own, give it another name."
        )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content in hexadecimal digits, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, path: Path, sha256_prefix: str, size_limit: int, progress: Progress | None) -> None:
    partial = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with partial.open("ab") as file:
            _receive(url, file, size_limit, progress)
            file.flush()
            os.fsync(file.fileno())
    except _RefusalError as refusal:
        if not partial.stat().st_size:
            partial.unlink()
        raise WeightsError(_how_to_bring(url, path, str(refusal))) from refusal
    found = file_sha256(partial)
    if not found.startswith(sha256_prefix):
        partial.unlink()
        reason = f"what came is another file (its SHA-256 starts with {found[:8]}, not {sha256_prefix}) and was deleted"
        raise WeightsError(_how_to_bring(url, path, reason))
    partial.replace(path)
    sync_folder(path.parent)


class _RefusalError(Exception):
    """The network or the server did not give the file. Apart from `OSError`, which here means our own disk."""


def _receive(url: str, file: IO[bytes], size_limit: int, progress: Progress | None) -> None:
    """Append to `file` what is still missing; start from nothing if the server cannot continue."""
    have = file.tell()
    response = _open(url, have)
    if response is None:  # the server has nothing from there on: what we have is complete, or not this file
        have = 0
        response = _open(url, have)
    with response as body:  # type: ignore[union-attr]
        if body.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0
        file.truncate(have)
        length = body.headers.get("Content-Length")
        total = have + int(length) if length is not None and length.isdigit() else None
        for chunk in _chunks(body):
            have += len(chunk)
            if have > size_limit:
                file.truncate(0)
                raise _RefusalError(f"the server sends more than {size_limit:,} bytes")
            file.write(chunk)
            if progress is not None:
                progress(have, total)
    if total is not None and have < total:
        raise _RefusalError(
            f"the connection broke after {have:,} of {total:,} bytes; the next try continues from there"
        )


def _open(url: str, start: int) -> http.client.HTTPResponse | None:
    """The server's answer from byte `start` on, or None if it has no bytes there."""
    request = urllib.request.Request(url, headers={"User-Agent": "sightline"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if start and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        raise _RefusalError(f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _RefusalError(f"the server cannot be reached: {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _RefusalError(f"the server cannot be reached: {error or type(error).__name__}") from error
    return response


def _chunks(body: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = body.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _RefusalError(f"the connection broke ({error}); the next try continues") from error
        if not chunk:
            return
        yield chunk


def _how_to_bring(url: str, path: Path, reason: str) -> str:
    return (
        f"{path.name} could not be downloaded: {reason}. "
        f"Without a network, bring the file from {url} and put it at {path}, under that name."
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time through for `path`; the lock goes away with its process, the empty lock file stays."""
    try:
        import fcntl
    except ImportError:  # not on Windows: there, two downloads at once end in a wrong hash and an error that says so
        yield
        return
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
