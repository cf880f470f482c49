"""Predict: labels for pictures in files, folders and globs; as a table, a file, and a contact sheet."""

import csv
import glob
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.data.decode import decode_file
from sightline.errors import ImageError, InputError
from sightline.files import write_atomic
from sightline.inference.draw import Tile, contact_sheet
from sightline.inference.predictor import load
from sightline.structures import ClassificationPrediction
from sightline.training.runlog import Listener, Silence

TOP = 5
SHEET_TILES = 60
"""Pictures on a contact sheet; more would be too small to see."""

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What was said of one picture."""

    path: str
    top: list[tuple[str, float]]
    """(class name, probability), best first, up to five; empty when the picture could not be read."""
    error: str | None = None
    """Why it could not be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictResult:
    """One row a picture, in the order given."""

    class_names: tuple[str, ...]
    rows: list[Row]


def predict(run: str | Path, inputs: Sequence[str | Path], *, listener: Listener | None = None) -> PredictResult:
    """Label pictures by a run (its best weights) or a weights file.

    `inputs` are files, folders (every picture below them) and globs. A picture that cannot be read has its reason in its row.
    Raises `InputError` for an input that matches nothing.
    """
    listener = listener or Silence()
    paths = find_pictures(inputs)
    predictor = load(run)
    rows = []
    for path, outcome in predictor.stream(paths):
        if isinstance(outcome, ImageError):
            listener.say(f"unreadable: {outcome}")
            rows.append(Row(path=str(path), top=[], error=str(outcome)))
        elif isinstance(outcome, ClassificationPrediction):
            top = [(predictor.class_names[label], round(score, 6)) for label, score in outcome.top(TOP)]
            rows.append(Row(path=str(path), top=top))
    return PredictResult(class_names=predictor.class_names, rows=rows)


def find_pictures(inputs: Sequence[str | Path]) -> list[Path]:
    """Files as given, folders and globs sorted, none twice. Raises `InputError` for an input that matches nothing."""
    found: dict[Path, None] = {}
    for given in inputs:
        path = Path(given)
        if path.is_file():
            matches = [path]
        elif path.is_dir():
            matches = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in PICTURE_ENDINGS)
        else:
            matches = sorted(Path(p) for p in glob.glob(str(given), recursive=True) if Path(p).is_file())  # noqa: PTH207
        if not matches:
            raise InputError(f"{given}: no such file, and no picture in it or matching it.")
        found.update(dict.fromkeys(matches))
    return list(found)


def write_predictions(result: PredictResult, out: Path, overwrite: bool = False) -> list[Path]:
    """Write rows to `out` (.csv or .jsonl) and a contact sheet beside it (.png); the paths written.

    Raises `InputError` for another ending, and when a file is there already and `overwrite` is not set.
    """
    writers = {".csv": _csv, ".jsonl": _json_lines}
    if out.suffix.lower() not in writers:
        raise InputError(f"--out {out}: expected a name that ends in .csv or .jsonl.")
    sheet = out.with_suffix(".png")
    for path in (out, sheet):
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists already and is not overwritten. Choose another name, or say --overwrite.")
    write_atomic(out, writers[out.suffix.lower()](result).encode(errors="backslashreplace"))
    tiles = []
    for row in [row for row in result.rows if row.top][:SHEET_TILES]:
        name, score = row.top[0]
        tiles.append(
            Tile(image=decode_file(Path(row.path), row.path), title=name, detail=f"{score:.0%}  {Path(row.path).name}")
        )
    if not tiles:
        return [out]
    picture = io.BytesIO()
    contact_sheet(tiles).save(picture, format="PNG")
    write_atomic(sheet, picture.getvalue())
    return [out, sheet]


def _csv(result: PredictResult) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [column for rank in range(1, TOP + 1) for column in (f"label_{rank}", f"score_{rank}")]
    writer.writerow(["path", *columns, "error"])
    for row in result.rows:
        cells = [cell for name, score in row.top for cell in (name, f"{score:.6f}")]
        writer.writerow([row.path, *cells, *[""] * (2 * TOP - len(cells)), row.error or ""])
    return text.getvalue()


def _json_lines(result: PredictResult) -> str:
    return "".join(
        json.dumps({"path": row.path, "top": [{"label": n, "score": s} for n, s in row.top], "error": row.error}) + "\n"
        for row in result.rows
    )
