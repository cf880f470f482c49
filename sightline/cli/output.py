"""Results on stdout: tables for people, one JSON object for programs."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any


def is_first_process() -> bool:
    """Whether this process talks: of several that torchrun started, only the first."""
    return os.environ.get("RANK", "0") == "0"


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout; paths become text."""
    print(json.dumps(value, allow_nan=False, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
    """A table on stdout; the columns named in `numbers` are aligned right. Long cells are folded, never cut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        right = column in numbers
        table.add_column(column, justify="right" if right else "left", no_wrap=right, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # A file or a pipe has no width: lines that programs read are not folded at 80.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)


def duration(seconds: float) -> str:
    """Seconds as people read them.

    >>> duration(5.2), duration(75), duration(3700)
    ('5 s', '1:15', '1:01:40')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def share(value: float | None) -> str:
    """A figure of 0..1; what could not be measured is not a zero.

    >>> share(0.5), share(None)
    ('0.500', '-')
    """
    return "-" if value is None else f"{value:.3f}"
