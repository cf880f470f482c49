"""`sightline check`: what is wrong with a data set, before anything is trained on it."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli.options import Format, Json
from sightline.cli.output import duration, print_json, print_table
from sightline.cli.progress import counting

CLASSES_SHOWN = 20
"""Rows of the table of classes; of more, the numbers are summed up."""
SHOWN = 3
"""Findings of a kind on the screen."""


def check(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="The data set, in any of the formats.", show_default=False)
    ],
    format_: Format = None,
    as_json: Json = False,
) -> None:
    """Look at a whole data set, and say what is wrong with it or odd.

    Every picture is decoded, and every annotation looked at. Errors are what training would leave out or stop at, and what makes figures
    dishonest, such as a picture in two splits; warnings are the rest. The exit code is 1 when there are errors.
    """
    from sightline.workflows import check as workflow

    with counting("pictures") as progress:
        result = workflow.check(data, format=format_, progress=progress)
    print_json(result) if as_json else print_check(result)
    if result["errors"]:
        raise typer.Exit(1)


def print_check(result: dict[str, Any]) -> None:
    """For people: what there is, then what is wrong with it, the first few of each kind."""
    if "format" in result:
        _print_summary(result)
    for note in result["notes"]:
        print(f"note: {note}")
    if result["notes"]:
        print()
    hidden = False
    for kind, held in groupby(result["findings"], key=lambda finding: finding["kind"]):
        findings = list(held)
        row = result["kinds"][kind]
        print(
            f"{row['level'].upper() if row['level'] == 'error' else row['level']}  {kind} ({row['count']:,}): {row['about']}"
        )
        for finding in findings[:SHOWN]:
            print(f"    {sentence(finding)}")
        if len(findings) > SHOWN:
            print(f"    ... and {len(findings) - SHOWN:,} more")
            hidden = True
        print()
    counts = f"{_counted(result['errors'], 'error')}, {_counted(result['warnings'], 'warning')}"
    print(counts + (". All of them: --json; with pictures: --out page.html" if hidden else ""))


def sentence(finding: dict[str, Any]) -> str:
    """Where and what, in one line."""
    where, what = " ".join(finding["where"].split()), " ".join(finding["what"].split())
    return what if what.startswith(where) else f"{where}: {what}"


def _print_summary(result: dict[str, Any]) -> None:
    classes, taken = len(result["class_names"]), f", looked at in {duration(result['seconds'])}"
    print(
        f"{result['data']}: {result['format']}, {result['task']}, {classes} classes, {result['pictures']:,} pictures{taken}"
    )
    print()
    splits = list(result["splits"])
    rows = [["pictures", *(f"{count:,}" for count in result["splits"].values())]]
    rows += _class_rows(result, splits)
    print_table(("", *splits), rows, numbers=splits)
    print()
    for name, text in _lines(result):
        print(f"{name:<12}{text}")
    print()


def _class_rows(result: dict[str, Any], splits: list[str]) -> list[list[str]]:
    """A row a class; with many, how their numbers spread. Of masks the shares of pixels."""
    names = result["class_names"]
    if "masks" in result:
        shares = result["masks"]["shares"]
        cells = {name: [f"{shares[split].get(name, 0):.2%}" for split in splits] for name in names}
    else:
        cells = {name: [f"{result['classes'][split][name]:,}" for split in splits] for name in names}
    if len(names) <= CLASSES_SHOWN:
        return [[name, *row] for name, row in cells.items()]
    counts = {split: sorted(result["classes"][split].values()) for split in splits}
    return [
        [f"{len(names)} classes: least", *(f"{counts[split][0]:,}" for split in splits)],
        ["median", *(f"{counts[split][len(names) // 2]:,}" for split in splits)],
        ["most", *(f"{counts[split][-1]:,}" for split in splits)],
    ]


def _lines(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    sizes = result["sizes"]
    if sizes["different"] == 1:
        (only,) = sizes["common"]
        yield "sizes", f"all {only['width']} x {only['height']}"
    elif sizes["different"]:
        common = sizes["common"][0]
        most = f"{common['pictures']:,} are {common['width']} x {common['height']}"
        spread = f"width {_spread(sizes['width'])}, height {_spread(sizes['height'])}"
        yield "sizes", f"{spread}; {sizes['different']:,} different, {most}"
    if result["kept_as"]:
        yield "kept as", ", ".join(f"{kind} ({count:,})" for kind, count in result["kept_as"].items())
    if "boxes" in result:
        boxes = result["boxes"]
        special = [
            f"{boxes[key]:,} {word}" for key, word in (("crowds", "crowds"), ("difficult", "difficult")) if boxes[key]
        ]
        yield (
            "boxes",
            f"{boxes['boxes']:,}{' (' + ', '.join(special) + ')' if special else ''}; in a picture {_spread(boxes['in_a_picture'])}",
        )
        yield "box sizes", f"width {_spread(boxes['width'])}, height {_spread(boxes['height'])}"
        yield (
            "box shapes",
            f"width to height {_spread(boxes['width_to_height'])}; share of the picture {_spread(boxes['share_of_picture'], percent=True)}",
        )
    if "masks" in result and result["masks"]["ignored"]:
        yield "ignored", f"{result['masks']['ignored']:.2%} of the pixels"


def _spread(values: dict[str, float] | None, *, percent: bool = False) -> str:
    """Least, median and largest."""
    if values is None:
        return "-"
    least, median, most = (
        f"{values[key]:.3g}" if not percent else f"{values[key]:.2%}" for key in ("min", "median", "max")
    )
    return f"{least} to {most} (median {median})"


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
