"""Convert: read a data set in one format, write it in another, and say what that one could not hold."""

import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from sightline.data.counted import counted
from sightline.data.formats import FORMATS, GOING_WITH, WRITERS, read
from sightline.data.formats.copying import finished, written_splits
from sightline.data.index import Index
from sightline.errors import ConfigError, DataError, InputError, UnknownNameError
from sightline.training.runlog import Listener, Silence
from sightline.workflows.pictures import THERE, task_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Converted:
    """What was written, and what was not."""

    data: str
    read_as: str
    """Format of the data set that was read."""
    out: str
    format: str
    """Format of the one that was written."""
    task: str
    pictures: int
    """That were written."""
    splits: dict[str, int]
    """Pictures of each split; empty when the data set is not divided."""
    class_names: tuple[str, ...]
    """As they are read from what was written."""
    lost: tuple[str, ...]
    """What the format could not hold, one text each."""
    left_out: tuple[str, ...]
    """What was wrong with the data set that was read: lines that name file and line or id."""
    seconds: float


def convert(
    data: str | Path,
    out: str | Path,
    to: str,
    *,
    format: str | None = None,
    listener: Listener | None = None,
) -> Converted:
    """Write the data set at `data` in the format `to` at `out`, a new or empty folder; of a table (csv), a new file.

    `format` names that of `data` where it cannot be told. What is written is read again before it is there under its name. Raises
    `UnknownNameError` for a format that cannot be written, `InputError` for one of another task, `DataError` for a target in use.
    """
    listener, began = listener or Silence(), time.perf_counter()
    data, out = Path(data), Path(out)
    if to not in WRITERS:
        raise UnknownNameError("format to write", to, WRITERS)
    index = _read(data, format)
    going = GOING_WITH[type(index.annotations)]
    if to not in going:
        raise InputError(
            f"{data} ({index.format}) has {THERE[task_of(index)]}, which {to!r} cannot hold. "
            f"Formats that can: {', '.join(map(shlex.quote, going))}."
        )
    root = data.resolve()
    if to != "csv" and root.is_dir() and out.resolve().is_relative_to(root):
        raise InputError(f"{out} lies in {data}, and would become a part of it. Choose a folder elsewhere.")
    notes = (note.replace("--format", "--from") for note in index.notes)
    for line in (*(f"ignored: {name}" for name in index.ignored), *notes, *index.faults.lines):
        listener.say(line)
    if to == "csv":
        lost = WRITERS[to](index, out)
        try:
            again = _read_again(index, out, to, out)
        except DataError:
            out.unlink()
            raise
    else:
        target = out.resolve()  # "." has no name of its own

        def write(unfinished: Path) -> tuple[tuple[str, ...], Index]:
            held = WRITERS[to](index, unfinished)
            return held, _read_again(index, unfinished, to, out)

        lost, again = finished(target, write)
    return Converted(
        data=str(data),
        read_as=index.format,
        out=str(out),
        format=to,
        task=task_of(index),
        pictures=len(again),
        splits={split: len(held) for split, held in again.splits.items()},
        class_names=again.class_names,
        lost=lost,
        left_out=index.faults.lines,
        seconds=round(time.perf_counter() - began, 2),
    )


def _read(data: Path, format: str | None) -> Index:
    try:
        return read(data, format)
    except ConfigError as error:
        # --format is the one to write here, and the way out that the error names is the other flag.
        raise ConfigError(str(error).replace("--format", "--from")) from error


def _read_again(index: Index, written: Path, format: str, out: Path) -> Index:
    """What was written, as it is read; raises `DataError` when it cannot be, or is another number of pictures."""
    try:
        again = FORMATS[format](written)
    except DataError as error:
        said = str(error).replace(str(written), str(out))
        raise DataError(f"As {format} it could not be read again, so nothing is left at {out}: {said}") from error
    wanted = sum(len(held) for held in written_splits(index).values())
    if len(again) != wanted:
        raise DataError(
            f"Of {counted(wanted, 'picture')} only {len(again)} can be found again as {format}; nothing is left at {out}."
        )
    return again
