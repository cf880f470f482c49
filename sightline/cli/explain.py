"""`sightline explain`: why a network says what it says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.options import Json, Run
from sightline.cli.output import print_json, print_table
from sightline.cli.progress import listening
from sightline.errors import ConfigError
from sightline.files import require_free

if TYPE_CHECKING:
    from torch import Tensor

    from sightline.inference.explain import Cam, ClassMap
    from sightline.inference.proposals import Proposals
    from sightline.ops.cells import Cells
    from sightline.workflows.explain import Explained, Way


def explain(
    run: Run,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Pictures, folders of them, or patterns such as 'photos/*.jpg'.",
            show_default=False,
        ),
    ],
    cam: Annotated[
        bool,
        typer.Option("--cam", help="Grad-CAM: which parts of the picture speak for the class, as a heat map over it."),
    ] = False,
    dense: Annotated[
        bool,
        typer.Option(
            "--dense",
            help="The network moved over the enlarged picture, its fully connected layers read position by position: the "
            "probability of the class, and the most probable class, of each window.",
        ),
    ] = False,
    proposals: Annotated[
        bool,
        typer.Option(
            "--proposals",
            help="For a detector: its reference boxes at one place, how likely each part of the picture holds an object, the "
            "best proposals, and what is found in the end.",
        ),
    ] = False,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME", help="The class that --cam and --dense ask about.  [default: the predicted one]"
        ),
    ] = None,
    stage: Annotated[
        str | None, typer.Option(metavar="NAME", help="Stage of the network for --cam.  [default: the last one]")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Shorter side of the enlarged picture for --dense.  [default: twice that of training]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|FILE",
            help="Folder for what is drawn, or a name ending in .png for one picture.  [default: RUN/pictures; the current "
            "folder when RUN is a file]",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    as_json: Json = False,
) -> None:
    """Show why a network says what it says of a picture.

    Draws a PNG file for each picture and way: --cam, --dense or both for a classifier, --proposals for a detector. Pictures
    that cannot be read are named with the reason, and the exit code is then 1.
    """
    asked: tuple[tuple[Way, bool], ...] = (("cam", cam), ("dense", dense), ("proposals", proposals))
    ways = [way for way, wanted in asked if wanted]
    if not ways:
        raise ConfigError("Say how: --cam, --dense, or both; --proposals for a detector.")
    from sightline.workflows import explain as workflow
    from sightline.workflows.predict import find_pictures

    with listening() as listener:
        paths = find_pictures(images)
        files = workflow.picture_files(run, paths, ways, out, [mark for mark in (class_name, stage) if mark])
        if not overwrite:
            require_free(files)
        result = workflow.explain(run, paths, ways, class_name=class_name, stage=stage, size=size, listener=listener)
        drawn = workflow.draw_explanations(result, files)
    rows = [as_object(row, file, result.class_names) for row, file in zip(result.rows, drawn, strict=True)]
    if as_json:
        print_json({"run": run, "class_names": result.class_names, "explanations": rows})
    else:
        print_rows(rows)
    raise typer.Exit(1 if any(row.error for row in result.rows) else 0)


def as_object(row: "Explained", file: Path | None, class_names: tuple[str, ...]) -> dict[str, Any]:
    """What was found for one picture as JSON holds it; lengths are in its own pixels."""
    from sightline.inference.proposals import Proposals

    found = row.found
    if found is None:
        return {"path": row.path, "way": row.way, "file": file, "error": row.error}
    said = _proposals(found, class_names) if isinstance(found, Proposals) else _map(found, class_names)
    return {"path": row.path, "way": row.way, **said, "file": file, "error": None}


def _map(found: "Cam | ClassMap", class_names: tuple[str, ...]) -> dict[str, Any]:
    from sightline.inference.explain import Cam

    said = found.prediction
    values = found.values if isinstance(found, Cam) else found.probabilities[found.label]
    both: dict[str, Any] = {
        "class": class_names[found.label],
        "probability": round(float(said.probabilities[found.label]), 6),
        "predicted": {"label": class_names[said.label], "score": round(said.score, 6)},
        "map": [[float(f"{value:.6g}") for value in line] for line in values.tolist()],
        "centres": {"x": _places(found.across, values.shape[1]), "y": _places(found.down, values.shape[0])},
    }
    if isinstance(found, Cam):
        return {**both, "stage": found.stage, "seen": [round(side, 3) for side in found.seen]}
    labels = found.probabilities.argmax(0).tolist()
    return {
        **both,
        "classes": [[class_names[label] for label in line] for line in labels],
        "size": found.size,
        "window": {"height": round(found.window[0], 3), "width": round(found.window[1], 3)},
    }


def _proposals(found: "Proposals", class_names: tuple[str, ...]) -> dict[str, Any]:
    number, row, column = found.place
    y, x = found.centre
    levels = [
        {
            "stage": level.name,
            "cells": {"height": level.objectness.shape[0], "width": level.objectness.shape[1]},
            "step": {"x": round(level.across.step, 3), "y": round(level.down.step, 3)},
            "reference_boxes": _rounded(level.references.flatten(0, 1)),
            "objectness": round(float(level.objectness.max()), 6),
        }
        for level in found.levels
    ]
    best = [
        {
            "box": box,
            "objectness": round(likely, 6),
            "from": {"stage": found.levels[level].name, "row": row, "column": column, "reference_box": reference},
        }
        for box, likely, (level, row, column, reference) in zip(
            _rounded(found.boxes), found.objectness.tolist(), found.origins.tolist(), strict=True
        )
    ]
    said = found.detections
    return {
        "reference_boxes_a_cell": found.levels[0].references.shape[:2].numel(),
        "levels": levels,
        "place": {"stage": levels[number]["stage"], "row": row, "column": column, "x": round(x, 3), "y": round(y, 3)},
        "proposed": found.proposed,
        "proposals": best,
        "detections": [
            {"label": class_names[label], "score": round(score, 6), "box": box}
            for label, score, box in zip(said.labels.tolist(), said.scores.tolist(), _rounded(said.boxes), strict=True)
        ],
    }


def print_rows(rows: list[dict[str, Any]]) -> None:
    """A table of what was asked and answered, then the files."""
    maps, found = [], []
    for row in {row["path"]: row for row in rows if row["error"] is None}.values():
        if row["way"] == "proposals":
            boxes = sum(level["cells"]["height"] * level["cells"]["width"] for level in row["levels"])
            counts = boxes * row["reference_boxes_a_cell"], row["proposed"], len(row["detections"])
            found.append([str(row["path"]), *(f"{count:,}" for count in counts)])
        else:
            said = row["predicted"]
            asked = [str(row["path"]), row["class"], f"{row['probability']:.3f}"]
            maps.append([*asked, said["label"], f"{said['score']:.3f}"])
    if maps:
        print_table(("picture", "class", "probability", "predicted", "score"), maps, numbers=("probability", "score"))
    if found:
        counted = ("reference boxes", "proposals", "detections")
        print_table(("picture", *counted), found, numbers=counted)
    for row in rows:
        if row["file"] is not None:
            print(f"wrote {row['file']}")


def _rounded(boxes: "Tensor") -> list[list[float]]:
    return [[round(side, 2) for side in box] for box in boxes.tolist()]


def _places(cells: "Cells", count: int) -> list[float]:
    return [round(cells.first + number * cells.step, 3) for number in range(count)]
