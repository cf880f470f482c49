"""`sightline evaluate`: how good a run is on pictures with known labels."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sightline.cli.options import Format, Json, Run, Splits
from sightline.cli.output import duration, print_json, print_table, share
from sightline.cli.progress import listening
from sightline.data.counted import counted
from sightline.errors import ConfigError

CROPS: dict[str, Literal[1, 10, "dense"]] = {"1": 1, "10": 10, "dense": "dense"}
OVERLAPS = {"mIoU": "mIoU", "Dice": "dice", "pixel accuracy": "pixel_accuracy", "boundary F": "boundary_f"}
CLASSES_SHOWN = 20
"""Rows of the table; with more classes, the weakest ones are shown."""


def evaluate(
    run: Run,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA", help="Other pictures with labels.  [default: the data of the run]", show_default=False
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="train, val or test.  [default: test where there is one, else val]"),
    ] = None,
    crops: Annotated[
        str,
        typer.Option(
            metavar="1|10|dense",
            help="1: the centre crop. 10: four corners, centre, and their mirror images, averaged. dense: the whole picture and "
            "its mirror image, the network moved over them as a convolution, its scores averaged.",
        ),
    ] = "1",
    voc: Annotated[
        bool, typer.Option("--voc", help="Also the average precision of PASCAL VOC, of 2007 and of 2010.")
    ] = False,
    splits: Splits = None,
    format_: Format = None,
    as_json: Json = False,
) -> None:
    """Measure a run on labelled pictures.

    Of a classifier, prints top-1, top-5 and each class's precision, recall and F1, and draws the confusion matrix into the run's
    pictures folder; of a detector, COCO's average precision and recall, each class's, and what kinds of errors cost how much; of a
    segmenter, the overlap of pixels and outlines, mean and each class's. Of these two it draws what was found beside what is there.
    """
    if crops not in CROPS:
        raise ConfigError(f"--crops: expected {', '.join(CROPS)}, got {crops}.")
    if splits is not None and data is None:
        raise ConfigError(
            "--splits divides other data; that of the run is divided as it was for its training. Name DATA too."
        )
    from sightline.config import DataConfig
    from sightline.workflows import evaluate as workflow

    other = data if splits is None else DataConfig(path=str(data), format=format_, splits=str(splits))
    with listening() as listener:
        result = workflow.evaluate(
            run, other, split=split, crops=CROPS[crops], voc=voc, format=format_, listener=listener
        )
    print_json(result) if as_json else print_evaluation(result)


def print_evaluation(result: dict[str, Any]) -> None:
    """The figures of an evaluation for people: the headline, then a line for each class."""
    if result.get("task") == "detection":
        _print_detection(result)
        return
    if result.get("task") == "segmentation":
        _print_segmentation(result)
        return
    figures = f"top1 {result['top1']:.4f}  top5 {result['top5']:.4f}  macro F1 {result['macro']['f1']:.4f}"
    print(f"{figures}  {_rests_on(result)}")
    print()
    rows = _weakest(result["per_class"], "f1", "F1")
    numbers = ("precision", "recall", "F1", "pictures")
    cells = [
        [row["name"], *(share(row[key]) for key in ("precision", "recall", "f1")), str(row["images"])] for row in rows
    ]
    print_table(("class", *numbers), cells, numbers=numbers)


def _print_detection(result: dict[str, Any]) -> None:
    """COCO's figures, those of VOC where there are, a line for each class, and what errors cost."""
    line = "  ".join(f"{name} {share(result[name])}" for name in ("AP", "AP50", "AP75", "APs", "APm", "APl"))
    print(f"{line}  {_rests_on(result)}")
    names = [name for name in ("AR1", "AR10", "AR100", "voc07", "voc10") if name in result]
    print("  ".join(f"{name} {share(result[name])}" for name in names))
    print()
    rows = _weakest(result["per_class"], "ap", "AP")
    cells = [[row["name"], share(row["ap"]), share(row["ap50"]), str(row["objects"])] for row in rows]
    print_table(("class", "AP", "AP50", "objects"), cells, numbers=("AP", "AP50", "objects"))
    print()
    errors = [[kind, str(row["count"]), share(row["ap50_gained"])] for kind, row in result["errors"].items()]
    print_table(("error", "count", "AP50 lost"), errors, numbers=("count", "AP50 lost"))


def _print_segmentation(result: dict[str, Any]) -> None:
    """Overlap, a line for each class, and for two classes what became of single objects."""
    line = "  ".join(f"{name} {share(result[key])}" for name, key in OVERLAPS.items())
    print(f"{line}  {_rests_on(result)}")
    if "objects" in result:
        print(f"precision {share(result['precision'])}  recall {share(result['recall'])}  of pixels;  ", end="")
        print(f"objects {result['objects']}, merged {result['merged_objects']}, split {result['split_objects']}")
    print()
    rows = _weakest([row for row in result["per_class"] if row["iou"] is not None], "iou", "IoU")
    cells = [[row["name"], share(row["iou"]), share(row["dice"]), f"{row['pixels']:,}"] for row in rows]
    print_table(("class", "IoU", "Dice", "pixels"), cells, numbers=("IoU", "Dice", "pixels"))


def _rests_on(result: dict[str, Any]) -> str:
    taken = f" in {duration(result['seconds'])}" if "seconds" in result else ""
    return f"({result['split']} split, {counted(result['images'], 'picture')}{taken})"


def _weakest(rows: list[dict[str, Any]], key: str, name: str) -> list[dict[str, Any]]:
    """All rows as they come, or the `CLASSES_SHOWN` lowest by `key` of many, which is said."""
    if len(rows) <= CLASSES_SHOWN:
        return rows
    print(f"The {CLASSES_SHOWN} classes with the lowest {name}, of {len(rows)}:")
    return sorted(rows, key=lambda row: (row[key] is not None, row[key]))[:CLASSES_SHOWN]
