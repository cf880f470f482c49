"""What can go wrong, as a tree.

    SightlineError               the work failed                                  exit code 1
    ├── StorageError             a file could not be written (disk full, no permission)
    ├── TrainingError            the loss is no longer a number
    │   └── PeerError            another process of the training ended
    └── InputError               what the user gave is wrong                      exit code 2
        ├── DataError            a data set cannot be read: says file, line or row
        │   └── ImageError       one picture cannot be decoded: says which and why
        ├── ConfigError          a recipe, a flag or a `--set` is wrong: says file and dotted key
        ├── CheckpointError      a run or weights file of ours cannot be used
        ├── WeightsError         published weights cannot be had or do not match
        ├── UnknownNameError     a name that is in none of our tables: lists the nearest and the known ones
        └── MissingDependencyError   an optional library is not installed: says what to install

The command line prints an error's text as one short paragraph and exits with its `exit_code`; a traceback is a bug.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SightlineError(Exception):
    """The root of every error that Sightline raises on purpose."""

    exit_code = 1


class StorageError(SightlineError):
    """A file could not be written; what was there before is untouched."""


class TrainingError(SightlineError):
    """Training cannot go on."""


class PeerError(TrainingError):
    """Another process of the training ended; it has said why, if it could."""


class InputError(SightlineError):
    """Something that the user gave is wrong."""

    exit_code = 2


class DataError(InputError):
    """A data set cannot be read."""


class ImageError(DataError):
    """One picture cannot be decoded."""


class ConfigError(InputError):
    """A recipe, a flag or a setting is wrong."""


class CheckpointError(InputError):
    """A run folder or a weights file of ours cannot be used."""


class WeightsError(InputError):
    """Published weights cannot be had, or are not what they should be."""


class UnknownNameError(InputError):
    """A name that is in none of our tables; `besides` is what else it could have been and is not.

    >>> print(UnknownNameError("model", "resnet81", ["resnet18", "resnet34"]))
    Unknown model 'resnet81'. Did you mean 'resnet18'? Known: resnet18, resnet34.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], besides: str = "") -> None:
        names = list(known)
        hint = "".join(f" Did you mean {near!r}?" for near in get_close_matches(name, names, n=1, cutoff=0.6))
        text = f"Unknown {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}."
        super().__init__(f"{text} {besides}".rstrip())


class MissingDependencyError(InputError):
    """An optional library is not installed.

    >>> print(MissingDependencyError("pyarrow", "reading parquet files", "parquet"))
    reading parquet files needs pyarrow, which is not installed. Install it with: pip install 'sightline[parquet]'
    """

    def __init__(self, library: str, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs {library}, which is not installed. Install it with: pip install 'sightline[{extra}]'"
        )
