"""`sightline convert`: a data set in another format."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.options import Json
from sightline.cli.output import print_json
from sightline.cli.progress import listening
from sightline.data.counted import counted


def convert(
    data: Annotated[Path, typer.Argument(metavar="IN", help="The data set to read.", show_default=False)],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="What to write: a folder that is new or empty; of a table, a new file that ends in .csv.",
            show_default=False,
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Format to write. Of pictures with a class: 'image folder', csv, parquet or idx; with boxes: coco, voc or yolo; with "
            "masks: 'mask folder' or 'coco masks'; of any: shards.",
            show_default=False,
        ),
    ],
    format_: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME", help="Format of IN when it cannot be told.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a data set in another format.

    Picture files are copied byte for byte and keep their names. What is written is read again before it is there, and what the
    format could not hold is said.
    """
    from sightline.workflows import convert as workflow

    with listening() as listener:
        result = workflow.convert(data, out, to, format=format_, listener=listener)
    if as_json:
        print_json(asdict(result))
        return
    splits = ", ".join(f"{split} {count}" for split, count in result.splits.items())
    print(f"{result.out}: {counted(result.pictures, 'picture')} as {result.format}{f' ({splits})' if splits else ''}")
    if result.left_out:
        print(f"left out: {counted(len(result.left_out), 'fault')} of {result.data}, named above")
    for text in result.lost:
        print(f"not held: {text}")
    named = f" --format {shlex.quote(to)}" if to == "coco masks" else ""
    print(f"next: sightline train {shlex.quote(result.out)}{named}")
