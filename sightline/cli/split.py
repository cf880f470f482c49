"""`sightline split`: divide a data set into train, val and test, as a file."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.options import Format, Json
from sightline.cli.output import print_json, print_table
from sightline.cli.progress import listening
from sightline.data.counted import counted

CLASSES_SHOWN = 20
"""Rows of the table; with more classes, the rarest ones are shown."""


def split(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="The data set, in any format that is read.", show_default=False)
    ],
    val: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the pictures for validation, 0 to 1.", show_default=True)
    ] = 0.1,
    test: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the pictures for the test, 0 to 1.", show_default=True)
    ] = 0.1,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed divides otherwise.", show_default=True)] = 0,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Keep pictures together for whose names (paths in DATA) the first group of this regular expression is the same: "
            "'patient-(\\d+)' keeps each patient on one side.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table to write; it must not exist.  [default: name of DATA + .splits.csv]"),
    ] = None,
    format_: Format = None,
    as_json: Json = False,
) -> None:
    """Divide a data set into train, val and test.

    Nothing is copied: a table says which picture is in which split, and `sightline train DATA --splits FILE` reads it. Each class has
    its share in each split, also where pictures have several. Copies of a picture, exact ones and nearly the same ones, stay in one
    split. The same seed divides the same way, and a picture more moves few others.
    """
    from sightline.workflows import split as workflow

    with listening() as listener:
        result = workflow.split(
            data,
            shares={"val": val, "test": test},
            seed=seed,
            group_by=group_by,
            out=out,
            format=format_,
            listener=listener,
        )
    if as_json:
        print_json(asdict(result))
        return
    print(f"{result.out}: {', '.join(f'{name} {count}' for name, count in result.splits.items())} pictures")
    if result.alike_groups:
        print(
            f"{counted(result.alike, 'picture is a copy', 'pictures are copies')} of others or nearly so, in "
            f"{counted(result.alike_groups, 'group that stays', 'groups that stay')} together"
        )
    if result.named_groups is not None:
        print(
            f"{counted(result.named_groups, 'group')} by name; the largest group has {counted(result.largest_group, 'picture')}"
        )
    print()
    rows = [(name, counts) for name, counts in result.classes.items() if any(counts.values())]
    if len(rows) < len(result.classes):
        print(f"{len(result.classes) - len(rows)} of {len(result.classes)} classes are in no picture")
    if len(rows) > CLASSES_SHOWN:
        print(f"the {CLASSES_SHOWN} rarest of {len(rows)} classes:")
        rows = sorted(rows, key=lambda row: sum(row[1].values()))[:CLASSES_SHOWN]
    cells = [[name, *(str(counts[split]) for split in result.splits)] for name, counts in rows]
    print_table(("pictures with", *result.splits), cells, numbers=tuple(result.splits))
    if "val" not in result.splits:
        print("there is no val, which training picks the weights by: for training, give it a share (--val 0.1)")
        return
    named = f" --format {shlex.quote(format_)}" if format_ else ""
    print(f"next: sightline train {shlex.quote(str(data))} --splits {shlex.quote(result.out)}{named}")
