"""The faults of a data set are said once: by the error that stops the work, or else by the listener."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sightline.errors import DataError
from sightline.training.runlog import Listener

Judged = TypeVar("Judged")


def once_said(lines: Sequence[str], judge: Callable[[], Judged], listener: Listener, prefix: str = "") -> Judged:
    """What `judge` says of data with these faults, each of which is said, with `prefix`.

    Where it raises a `DataError`, those that the error names are left to it.
    """
    named: set[str] = set()
    try:
        return judge()
    except DataError as error:
        named.update(str(error).splitlines())
        raise
    finally:
        for line in lines:
            if line not in named:
                listener.say(prefix + line)
