"""`sightline check`: what is wrong with a data set, before anything is trained on it."""

import sys
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli.failures import paragraph
from sightline.cli.options import Format, Json, Splits, Task
from sightline.cli.output import duration, print_json, print_table
from sightline.cli.progress import counting
from sightline.data.counted import counted
from sightline.errors import ConfigError
from sightline.report.check_words import counts, facts, headline, sentence, verdict

SHOWN = 3
"""Findings of a kind on the screen."""
LEVELS = {"error": "ERROR", "warning": "warning"}
"""What stands before a kind: errors are to be seen at once."""


def check(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="The data set, in any of the formats.", show_default=False)
    ],
    format_: Format = None,
    task: Task = None,
    splits: Splits = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PAGE.html", help="Also one page with pictures of what is wrong, for any browser."),
    ] = None,
    fixed: Annotated[
        Path | None,
        typer.Option(
            "--write-fixed",
            metavar="OUT",
            help="Write a copy without what is wrong, in the same format, and OUT.changes.csv with what was left out.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page that there is.")] = False,
    as_json: Json = False,
) -> None:
    """Look at a whole data set, and say what is wrong with it or odd.

    Every picture is decoded, and every annotation looked at. Errors are what training would leave out or stop at, and what makes figures
    dishonest, such as a picture in two splits; warnings are the rest. The exit code is 1 when there are errors, or when
    the page or the copy could not be written.
    """
    from sightline.data.formats import TASKS, recognised
    from sightline.workflows import check as workflow

    if task is not None and format_ is None:
        format_ = recognised(data.expanduser(), task)
    for_task = TASKS.get(format_, "classification") if format_ else task
    if task not in (None, for_task):
        raise ConfigError(f"--task {task}: {data} is read as {format_}, which is for {for_task}. Leave --task out.")
    with counting("pictures") as progress:
        result = workflow.check(
            data, format=format_, splits=splits, page=out, fixed=fixed, overwrite=overwrite, progress=progress
        )
    print_json(result) if as_json else print_check(result)
    for text in result.get("failed", ()):
        print(paragraph(f"sightline: {text}"), file=sys.stderr)
    if result["errors"] or "failed" in result:
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
        print(f"{LEVELS[row['level']]}  {kind} ({row['count']:,}): {row['about']}")
        for finding in findings[:SHOWN]:
            print(f"    {sentence(finding)}")
        if len(findings) > SHOWN:
            print(f"    ... and {len(findings) - SHOWN:,} more")
            hidden = True
        print()
    more = ". All of them: --json; with pictures: --out page.html" if hidden and "page" not in result else ""
    print(f"{verdict(result)}{more}")
    if "page" in result:
        print(f"page: {result['page']}")
    if "fixed" in result:
        _print_fixed(result)


def _print_fixed(result: dict[str, Any]) -> None:
    fixed = result["fixed"]
    other = "" if fixed["format"] == result["format"] else f", {fixed['format']}"
    there = (
        f"{counted(fixed['pictures'], 'picture')}, {counted(fixed['changed'], 'change')} (listed in {fixed['changes']})"
    )
    print(f"repaired copy: {fixed['path']}{other}: {there}; checked: {counted(fixed['errors'], 'error')}")
    for line in (*fixed["lost"], *fixed["left"]):
        print(f"    {line}")


def _print_summary(result: dict[str, Any]) -> None:
    print(f"{headline(result)}, looked at in {duration(result['seconds'])}")
    print()
    header, rows = counts(result)
    print_table(header, rows, numbers=header[1:])
    print()
    for name, text in facts(result):
        print(f"{name:<12}{text}")
    print()
