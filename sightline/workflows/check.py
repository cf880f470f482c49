"""Check: look at a whole data set before anything is trained on it, and say all that is wrong with it or odd."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data.addresses import address_of
from sightline.data.counted import counted
from sightline.data.figures import figures, task_name
from sightline.data.findings import KINDS, Finding, errors, grouped
from sightline.data.formats import WRITERS, read
from sightline.data.formats.copying import finished, require_new
from sightline.data.formats.csv_table import text_of_rows
from sightline.data.index import Index
from sightline.data.mask_files import listed
from sightline.data.repairs import Change, repair
from sightline.data.splits import read_splits
from sightline.data.subset import only, only_classes
from sightline.data.survey import Survey, place_of, survey
from sightline.device import keep_freed_memory
from sightline.errors import DataError, ImageError, InputError, SightlineError
from sightline.files import write_atomic
from sightline.report.check_page import write_page
from sightline.workflows.check_targets import changes_of, require_copy, require_listing, require_page

_INSTEAD = {"classification": "image folder", "detection": "coco", "segmentation": "mask folder"}
"""What is written for a format that is only read."""
_FOR_THE_OWNER = (
    "there is nothing to repair, since any copy would have the error too: mend the data set as the error says."
)
_EMPTIED = "all that they had were faulty"
_NAMED = 4
Progress = Callable[[int, int], None]
_SAID_TWICE = re.compile(r"The (\w+ split|data set) has no (pictures|objects) of ")
"""Notes of the formats that findings say too."""


def check(
    data: str | Path,
    *,
    format: str | None = None,
    splits: str | Path | None = None,
    page: str | Path | None = None,
    fixed: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """All that is wrong with the data set at `data` or odd about it, as JSON can hold it.

    `splits` is a table of splits, as `sightline split` writes it; without it those of the data count. `page` is where an HTML page
    with pictures of it is written, `fixed` where a repaired copy is, which is looked at in turn. `progress` is called with the pictures
    that are done, and all. A data set that cannot be read is a finding; what could not be written is told in `failed`, one text each.
    Raises `InputError`, before the pictures are looked at, when there is nothing at `data`, something at `page` and no `overwrite`, or
    anything else that speaks against writing there.

    >>> import tempfile
    >>> from sightline.data.samples import write_digits
    >>> result = check(write_digits(Path(tempfile.mkdtemp()) / "digits"))
    >>> result["pictures"], result["errors"], result["splits"]
    (1797, 0, {'train': 1259, 'val': 179, 'test': 359})
    """
    began, path = time.perf_counter(), Path(data).expanduser()
    keep_freed_memory()
    shown, copy = (None if given is None else Path(given) for given in (page, fixed))
    if shown is not None:
        require_page(shown, path, copy, overwrite=overwrite)
    if copy is not None:
        require_copy(copy, path)
    looked = look(path, format, None if splits is None else Path(splits), progress, copy=copy)
    result = {**as_json(path, looked), "seconds": round(time.perf_counter() - began, 2)}
    failed = []
    if shown is not None:
        try:
            write_page(shown, result, looked.survey, looked.findings)
            result["page"] = str(shown)
        except (SightlineError, OSError) as error:
            failed.append(f"No page was written: {error}")
    if copy is not None:
        try:
            result["fixed"] = write_fixed(copy, looked, progress)
        except (SightlineError, OSError) as error:
            failed.append(f"No repaired copy was written: {error}")
    return {**result, "failed": failed} if failed else result


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What was found at a path."""

    survey: Survey | None
    """None for what cannot be read."""
    findings: tuple[Finding, ...]


def look(
    path: Path,
    format: str | None = None,
    splits: Path | None = None,
    progress: Progress | None = None,
    *,
    copy: Path | None = None,
) -> Looked:
    """Read and survey the data set at `path`, divided as the table `splits` says.

    Raises `InputError` when there is none of them, and before the survey when a repaired one could not be written at `copy`.
    """
    for given, what in ((path, "a data set"), (splits, "a table of splits")):
        if given is not None and address_of(given) is None and not given.exists():
            raise InputError(f"{given} does not exist. Expected {what}.")
    try:
        index = read(path, format)
        index = index if splits is None else read_splits(index, splits)
    except DataError as error:
        return _unreadable(path, error)
    if copy is not None:
        target = _target(copy, index)[1]
        require_new(target)
        require_listing(target)
    try:
        found = survey(index, progress=progress)
    except DataError as error:
        return _unreadable(path, error)
    return Looked(found, found.findings)


def _unreadable(path: Path, error: DataError) -> Looked:
    where = place_of(str(error), path) if isinstance(error, ImageError) else address_of(path) or str(path)
    return Looked(None, (Finding("unreadable data", where, str(error)),))


def _target(out: Path, index: Index) -> tuple[str, Path]:
    """The format of the repaired copy of an index, and where it is: a table is a file with an ending."""
    written = index.format if index.format in WRITERS else _INSTEAD[task_name(index)]
    return written, out.with_name(f"{out.name}.csv") if written == "csv" and out.suffix.lower() != ".csv" else out


def write_fixed(out: Path, looked: Looked, progress: Progress | None = None) -> dict[str, Any]:
    """Write a copy without what is wrong, in the same format, and then the list of changes beside it; what was done.

    A format that is only read is written as another of its task. The copy is there when it is whole, and is looked at in turn. Raises
    `DataError` when there is nothing that can be left out to mend it, and when `out` is in use.
    """
    if looked.survey is None:
        raise DataError(_FOR_THE_OWNER)
    index = looked.survey.index
    written, out = _target(out, index)
    mended = repair(index, looked.findings)
    nothing_to_tell_apart = len(mended.classes) < min(2, len(index.class_names))
    if (mended.changes and not mended.mends_something) or nothing_to_tell_apart:
        raise DataError(_FOR_THE_OWNER)
    kept, write = only_classes(only(index, mended.kept), mended.classes), WRITERS[written]
    if "train" in kept.splits and not len(kept.splits["train"]):
        raise DataError("Without what is wrong, the train split would have no pictures. Put good ones into it.")
    # A table is one file, which is there at once; "." has no name of its own.
    lost = write(kept, out) if written == "csv" else finished(out.resolve(), lambda unfinished: write(kept, unfinished))
    changes = changes_of(out)
    emptied = [index.source.name(position) for position in mended.emptied.tolist()]
    without = (Change("no objects", name, "it stays as a picture without objects", _EMPTIED) for name in emptied)
    unwritten = (Change("whole copy", out.name, line, f"it is written in the format {written}") for line in lost)
    text = text_of_rows([Change._fields, *mended.changes, *without, *unwritten])
    write_atomic(changes, text.encode(errors="backslashreplace"))
    again = look(out, written, progress=progress)
    return {
        "path": str(out),
        "format": written,
        "changes": str(changes),
        "changed": len(mended.changes),
        "pictures": len(mended.kept),
        "lost": [*lost, *([_stay(emptied)] if emptied else [])],
        "errors": errors(again.findings),
        "left": [finding.sentence for finding in again.findings if finding.level == "error"],
    }


def _stay(names: list[str]) -> str:
    """A line on the pictures that have no objects left."""
    stay = counted(len(names), "picture stays without objects", "pictures stay without objects")
    return f"{stay}, since {_EMPTIED}: {listed(names, _NAMED)}. Take out those that do show some."


def as_json(path: Path, looked: Looked) -> dict[str, Any]:
    """What was found, in figures and sentences."""
    findings = looked.findings
    there = figures(looked.survey) if looked.survey else {}
    notes = looked.survey.index.notes if looked.survey else ()
    return {
        "data": address_of(path) or str(path),
        **there,
        "notes": [note for note in notes if not _SAID_TWICE.match(note)],
        "errors": errors(findings),
        "warnings": len(findings) - errors(findings),
        "kinds": {
            kind: {"level": KINDS[kind].level, "count": len(held), "about": KINDS[kind].about}
            for kind, held in grouped(findings).items()
        },
        "findings": [finding.as_json() for held in grouped(findings).values() for finding in held],
    }
