"""Predict: labels for pictures in files, folders and globs; as a table, a file, and a contact sheet."""

import csv
import glob
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sightline.data.decode import decode_file
from sightline.data.formats.mask_folder import CLASSES, class_file, label_colours
from sightline.data.formats.shards import is_sharded
from sightline.errors import ImageError, InputError
from sightline.files import require_free, write_atomic
from sightline.inference.draw import Tile, contact_sheet, write_png
from sightline.inference.mask_pictures import MaskedPicture, mask_sheet
from sightline.inference.object_pictures import Comparison, detection_sheet
from sightline.inference.predictor import load
from sightline.structures import ClassificationPrediction, DetectionPrediction, Prediction, SegmentationPrediction
from sightline.training.runlog import Listener, Silence

TOP = 5
SHEET_TILES = 60
"""Pictures on a contact sheet; more would be too small to see."""
SHEET_PAIRS = 24
"""Pictures with objects on a sheet."""

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"})


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundObject:
    """One object in a picture."""

    label: str
    """The name of its class."""
    score: float
    """0..1."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What was said of one picture."""

    path: str
    top: list[tuple[str, float]] = field(default_factory=list)
    """(class name, probability), best first, up to five; empty when the picture could not be read, and of a detector."""
    objects: list[FoundObject] = field(default_factory=list)
    """What a detector found, best first."""
    shares: list[tuple[str, float]] = field(default_factory=list)
    """(class name, share of the picture's pixels) of a segmenter, largest first; classes without a pixel are left out."""
    mask: Tensor | None = None
    """(H, W) uint8, 0..K-1: the class of each pixel, of a segmenter."""
    mask_file: str | None = None
    """Where `write_predictions` puts the mask."""
    error: str | None = None
    """Why it could not be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictResult:
    """One row a picture, in the order given."""

    task: str
    """Name in `sightline.tasks.TASKS`: whether rows have `top`, `objects`, or `shares` and `mask`."""
    class_names: tuple[str, ...]
    rows: list[Row]


def predict(run: str | Path, inputs: Sequence[str | Path], *, listener: Listener | None = None) -> PredictResult:
    """Label pictures, find objects in them, or label their pixels, by a run (its best weights) or a weights file.

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
        rows.append(row_of(str(path), outcome, predictor.class_names))
    return PredictResult(task=predictor.task.name, class_names=predictor.class_names, rows=rows)


def row_of(path: str, outcome: Prediction | ImageError, class_names: Sequence[str]) -> Row:
    """What is said of one picture."""
    match outcome:
        case ImageError():
            return Row(path=path, error=str(outcome))
        case ClassificationPrediction():
            return Row(path=path, top=[(class_names[label], round(score, 6)) for label, score in outcome.top(TOP)])
        case DetectionPrediction():
            return Row(path=path, objects=_objects(outcome, class_names))
        case SegmentationPrediction():
            return Row(path=path, shares=_shares(outcome, class_names), mask=outcome.labels)


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
            hint = " Shards are read with --job FOLDER." if is_sharded(given) else ""
            raise InputError(f"{given}: no such file, and no picture in it or matching it.{hint}")
        found.update(dict.fromkeys(matches))
    return list(found)


def write_predictions(result: PredictResult, out: Path, overwrite: bool = False) -> list[Path]:
    """Write rows to `out` (.csv or .jsonl) and a sheet of pictures beside it (.png); the paths written.

    A segmenter's masks go into a folder beside it, `out` without its ending: a PNG file each, whose values are the labels, and
    classes.yaml with their names, as `sightline.data.formats.mask_folder` reads it. Raises `InputError` for another ending, when a
    file is there already and `overwrite` is not set, and always when a file would replace a picture that was looked at or masks
    would come among such pictures.
    """
    tables = {"classification": _csv, "detection": _csv_of_objects, "segmentation": _csv_of_shares}
    writers = {".csv": tables[result.task], ".jsonl": _json_lines}
    if out.suffix.lower() not in writers:
        raise InputError(f"--out {out}: expected a name that ends in .csv or .jsonl.")
    sheet, folder = out.with_suffix(".png"), out.with_suffix("")
    result = replace(result, rows=_with_mask_files(result.rows, folder))
    masks = {Path(row.mask_file): row.mask for row in result.rows if row.mask_file is not None and row.mask is not None}
    beside = [*masks, folder / CLASSES] if masks else []
    _require_apart([Path(row.path) for row in result.rows], out, [sheet, *beside])
    if not overwrite:
        require_free((out, sheet, *beside))
    write_atomic(out, writers[out.suffix.lower()](result).encode(errors="backslashreplace"))
    readable = [row for row in result.rows if row.error is None]
    if not readable:
        return [out]
    for file, mask in masks.items():
        labels = Image.fromarray(mask.numpy())
        labels.putpalette(label_colours())  # to be seen; the values are the labels
        write_png(file, labels)
    if masks:
        write_atomic(folder / CLASSES, class_file(result.class_names))
    drawn = {"classification": _sheet_of_labels, "detection": _sheet_of_objects, "segmentation": _sheet_of_masks}
    write_png(sheet, drawn[result.task](readable, result))
    return [out, *beside, sheet]


def as_object(row: Row, task: str) -> dict[str, Any]:
    """A row as JSON holds it."""
    if task == "classification":
        found: dict[str, Any] = {"top": [{"label": name, "score": score} for name, score in row.top]}
    elif task == "detection":
        found = {"objects": [asdict(entry) for entry in row.objects]}
    else:
        found = {"shares": [{"label": name, "share": share} for name, share in row.shares]}
        found |= {} if row.mask_file is None else {"mask": row.mask_file}
    return {"path": row.path, **found, "error": row.error}


def _objects(found: DetectionPrediction, class_names: Sequence[str]) -> list[FoundObject]:
    return [
        FoundObject(label=class_names[label], score=round(score, 6), box=(left, top, right, bottom))
        for label, score, (left, top, right, bottom) in zip(
            found.labels.tolist(), found.scores.tolist(), found.boxes.double().round(decimals=2).tolist(), strict=True
        )
    ]


def _sheet_of_labels(rows: Sequence[Row], _: PredictResult) -> Image.Image:
    tiles = []
    for row in rows[:SHEET_TILES]:
        name, score = row.top[0]
        detail = f"{score:.0%}  {Path(row.path).name}"
        tiles.append(Tile(image=decode_file(Path(row.path), row.path), title=name, detail=detail))
    return contact_sheet(tiles)


def _shares(found: SegmentationPrediction, class_names: Sequence[str]) -> list[tuple[str, float]]:
    counts = found.labels.flatten().bincount().tolist()
    present = sorted(
        ((count, label) for label, count in enumerate(counts) if count), key=lambda pair: (-pair[0], pair[1])
    )
    return [(class_names[label], round(count / found.labels.numel(), 6)) for count, label in present]


def _require_apart(pictures: Sequence[Path], out: Path, files: Sequence[Path]) -> None:
    """Raise `InputError` when what is written would replace one of the user's pictures, or stand among them as if it were one."""
    theirs = {path.resolve() for path in pictures}
    taken = next((file for file in (out, *files) if file.resolve() in theirs), None)
    folder = out.with_suffix("")
    among = folder.resolve() in {path.parent for path in theirs} and any(file.parent == folder for file in files)
    if taken is not None or among:
        what = (
            f"{taken} is one of the pictures"
            if taken is not None
            else f"the masks would come into {folder}, among the pictures"
        )
        raise InputError(
            f"--out {out}: {what}, which nothing here replaces or mixes with its own. Choose another name."
        )


def _with_mask_files(rows: Sequence[Row], folder: Path) -> list[Row]:
    """Files for the masks of a segmenter, named after their pictures; of two pictures of one name the second gets a number."""
    taken: set[str] = set()
    placed = []
    for row in rows:
        if row.mask is not None:
            stem = Path(row.path).stem
            numbered = (str(folder / f"{stem}{'' if number == 1 else f'_{number}'}.png") for number in count(1))
            row = replace(row, mask_file=next(file for file in numbered if file not in taken))
            taken.add(str(row.mask_file))
        placed.append(row)
    return placed


def _sheet_of_masks(rows: Sequence[Row], result: PredictResult) -> Image.Image:
    shown = [
        MaskedPicture(
            image=decode_file(Path(row.path), row.path), labels=row.mask, truth=None, title=Path(row.path).name
        )
        for row in rows[:SHEET_PAIRS]
        if row.mask is not None
    ]
    return mask_sheet(shown, result.class_names)


def _sheet_of_objects(rows: Sequence[Row], result: PredictResult) -> Image.Image:
    shown = []
    for row in rows[:SHEET_PAIRS]:
        prediction = DetectionPrediction(
            boxes=torch.tensor([entry.box for entry in row.objects]).reshape(-1, 4),
            scores=torch.tensor([entry.score for entry in row.objects]),
            labels=torch.tensor([result.class_names.index(entry.label) for entry in row.objects], dtype=torch.int64),
        )
        image = decode_file(Path(row.path), row.path)
        shown.append(Comparison(image=image, prediction=prediction, target=None, title=Path(row.path).name))
    return detection_sheet(shown, result.class_names)


def _csv(result: PredictResult) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [column for rank in range(1, TOP + 1) for column in (f"label_{rank}", f"score_{rank}")]
    writer.writerow(["path", *columns, "error"])
    for row in result.rows:
        cells = [cell for name, score in row.top for cell in (name, f"{score:.6f}")]
        writer.writerow([row.path, *cells, *[""] * (2 * TOP - len(cells)), row.error or ""])
    return text.getvalue()


def _csv_of_objects(result: PredictResult) -> str:
    """A line for each object; a picture without any has a line with its path alone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "score", "left", "top", "right", "bottom", "error"])
    for row in result.rows:
        for entry in row.objects:
            writer.writerow([row.path, entry.label, f"{entry.score:.6f}", *(f"{edge:.2f}" for edge in entry.box), ""])
        if not row.objects:
            writer.writerow([row.path, *[""] * 6, row.error or ""])
    return text.getvalue()


def _csv_of_shares(result: PredictResult) -> str:
    """A line for each class in a picture, with its share of the pixels, and where the mask is."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "share", "mask", "error"])
    for row in result.rows:
        writer.writerows([row.path, name, f"{share:.6f}", row.mask_file, ""] for name, share in row.shares)
        if row.error is not None:
            writer.writerow([row.path, "", "", "", row.error])
    return text.getvalue()


def _json_lines(result: PredictResult) -> str:
    return "".join(json.dumps(as_object(row, result.task)) + "\n" for row in result.rows)
