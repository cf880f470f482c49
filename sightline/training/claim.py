"""One training a run folder: a lock that the system lets go of when the process ends, however it ends."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightline.errors import CheckpointError
from sightline.files import TEMPORARY_SUFFIX, storage_error


@contextmanager
def claim(run: Path) -> Iterator[None]:
    """Hold the run folder. Raises `CheckpointError` when another process is training in it."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        run.mkdir(parents=True, exist_ok=True)
        lock = (run / ".lock").open("a")
    except OSError as error:
        raise storage_error(run / ".lock", error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CheckpointError(f"Another process is training in {run}. Wait for it, or stop it first.") from error
        for unfinished in run.rglob(
            f".*{TEMPORARY_SUFFIX}"
        ):  # what a process that was killed while it wrote left behind
            unfinished.unlink(missing_ok=True)
        yield
