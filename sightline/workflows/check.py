"""Check: look at a whole data set before anything is trained on it, and say all that is wrong with it or odd."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data.figures import figures
from sightline.data.findings import KINDS, Finding, errors, grouped
from sightline.data.formats import read
from sightline.data.survey import Survey, survey
from sightline.errors import DataError, ImageError, InputError

Progress = Callable[[int, int], None]


def check(
    data: str | Path,
    *,
    format: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """All that is wrong with the data set at `data` or odd about it, as JSON can hold it.

    `progress` is called with the pictures that are done, and all. Raises `InputError` when there is nothing at `data`; a data set that
    cannot be read is a finding.

    >>> import tempfile
    >>> from sightline.data.samples import write_digits
    >>> result = check(write_digits(Path(tempfile.mkdtemp()) / "digits"))
    >>> result["pictures"], result["errors"], result["kinds"]
    (1797, 0, {})
    """
    began, path = time.perf_counter(), Path(data).expanduser()
    looked = look(path, format, progress)
    return {**as_json(path, looked), "seconds": round(time.perf_counter() - began, 2)}


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What was found at a path."""

    survey: Survey | None
    """None for what cannot be read."""
    findings: tuple[Finding, ...]


def look(path: Path, format: str | None = None, progress: Progress | None = None) -> Looked:
    """Read and survey the data set at `path`. Raises `InputError` when there is nothing."""
    if not path.exists():
        raise InputError(f"{path} does not exist. Name the folder or file of a data set.")
    try:
        found = survey(read(path, format), progress=progress)
    except DataError as error:
        where = str(error).partition(":")[0] if isinstance(error, ImageError) else str(path)
        return Looked(None, (Finding("unreadable data", where, str(error)),))
    return Looked(found, found.findings)


def as_json(path: Path, looked: Looked) -> dict[str, Any]:
    """What was found, in figures and sentences."""
    findings = looked.findings
    there = figures(looked.survey) if looked.survey else {}
    return {
        "data": str(path),
        **there,
        "notes": list(looked.survey.index.notes) if looked.survey else [],
        "errors": errors(findings),
        "warnings": len(findings) - errors(findings),
        "kinds": {
            kind: {"level": KINDS[kind].level, "count": len(held), "about": KINDS[kind].about}
            for kind, held in grouped(findings).items()
        },
        "findings": [finding.as_json() for held in grouped(findings).values() for finding in held],
    }
