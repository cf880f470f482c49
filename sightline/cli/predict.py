"""`sightline predict`: label pictures."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.options import Json, Run
from sightline.cli.output import print_json, print_table
from sightline.cli.progress import listening
from sightline.data.counted import counted
from sightline.errors import ConfigError
from sightline.files import require_free

if TYPE_CHECKING:
    from sightline.workflows.predict import PredictResult, Row

SHOWN_SCORE = 0.5
"""Objects that a detector is less sure of are not in the table."""
CLASSES_SHOWN = 5
"""Classes of a segmented picture in the table."""
ROWS_SHOWN = 20
"""Pictures that the table on the screen lists; all go into a file."""


def predict(
    run: Run,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Pictures, folders of them, or patterns such as 'photos/*.jpg'; with --job also shards.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write all predictions to a .csv or .jsonl file, and a sheet of pictures (.png) beside it.",
        ),
    ] = None,
    job: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Work through any number of pictures, or shards: write parts of 1,000 pictures (.jsonl) into a folder. When it was "
            "stopped, the same command goes on.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files of --out when they exist.")] = False,
    as_json: Json = False,
) -> None:
    """Label pictures, find the objects in them, or label their pixels, with a trained network.

    Shows the five most probable classes of each picture, what a detector found, or the share of each class in a segmented picture;
    with --out a segmenter's masks are written too. Pictures that cannot be read are named with the reason, and the exit code is
    then 1.
    """
    check_out(out, overwrite=overwrite)
    if job is not None:
        if out is not None:
            raise ConfigError("--job writes parts into a folder, --out one file: give one of them.")
        _work(run, paths, job, as_json=as_json)
    from sightline.workflows import predict as workflow

    with listening() as listener:
        result = workflow.predict(run, paths, listener=listener)
        files = workflow.write_predictions(result, out, overwrite=overwrite) if out is not None else []
        unreadable = sum(row.error is not None for row in result.rows)
        if unreadable:
            listener.say(f"{unreadable} of {counted(len(result.rows), 'picture')} could not be read.")
    if as_json:
        print_json({"run": run, **as_object(result), "files": files})
    else:
        print_predictions(result, f"all are in {out}" if out is not None else "--out FILE.csv writes all of them")
        for file in files:
            print(f"wrote {file}")
    raise typer.Exit(1 if unreadable else 0)


def _work(run: Path, paths: list[str], job: Path, *, as_json: bool) -> None:
    """Do the job, say what was done, and exit."""
    from sightline.workflows.predict_job import predict_job

    with listening() as listener:
        result = predict_job(run, paths, job, listener=listener)
    if as_json:
        print_json({"run": run, **asdict(result)})
    else:
        unread = f", {result.unreadable} could not be read" if result.unreadable else ""
        parts = f"{counted(result.parts, 'part')} ({result.done_before} from before)"
        print(f"{result.job}: {counted(result.pictures, 'picture')}{unread}, in {parts}")
    raise typer.Exit(1 if result.unreadable else 0)


def check_out(out: Path | None, *, overwrite: bool) -> None:
    """Refuse what could not be written in the end before the work begins."""
    if out is None:
        if overwrite:
            raise ConfigError("--overwrite says what to do with the files of --out, which is not given.")
        return
    if out.suffix.lower() not in (".csv", ".jsonl"):
        raise ConfigError(f"--out {out}: expected a name that ends in .csv or .jsonl.")
    if not overwrite:
        require_free((out, out.with_suffix(".png")))


def as_object(result: "PredictResult") -> dict[str, Any]:
    """Predictions as JSON holds them."""
    from sightline.workflows.predict import as_object as row_object

    rows = [row_object(row, result.task) for row in result.rows]
    return {"task": result.task, "class_names": result.class_names, "predictions": rows}


def print_predictions(result: "PredictResult", where: str) -> None:
    """A table of the first pictures, how many more there are, and where they all can be had."""
    readable = [row for row in result.rows if row.error is None]
    if readable and result.task == "classification":
        cells = []
        for row in readable[:ROWS_SHOWN]:
            (best, score), *others = row.top
            cells.append([row.path, best, f"{score:.3f}", ", ".join(f"{name} {value:.3f}" for name, value in others)])
        print_table(("picture", "label", "score", "then"), cells, numbers=("score",))
    elif readable and result.task == "segmentation":
        cells = [
            [row.path, ", ".join(f"{name} {share:.1%}" for name, share in row.shares[:CLASSES_SHOWN])]
            for row in readable[:ROWS_SHOWN]
        ]
        print_table(("picture", "share of the pixels"), cells)
    elif readable:
        print(f"Objects with a score of {SHOWN_SCORE} or more; fainter ones are in the files.")
        print_table(
            ("picture", "objects", "found"), [_objects(row) for row in readable[:ROWS_SHOWN]], numbers=("objects",)
        )
    if len(readable) > ROWS_SHOWN:
        print(f"... and {len(readable) - ROWS_SHOWN} more; {where}.")


def _objects(row: "Row") -> list[str]:
    """Path, how many objects, and which."""
    shown = [entry.label for entry in row.objects if entry.score >= SHOWN_SCORE]
    return [row.path, str(len(shown)), ", ".join(f"{count} {name}" for name, count in Counter(shown).most_common())]
