"""What went wrong, as a short paragraph on stderr and an exit code."""

import json
import os
import shutil
import sys
import textwrap
import traceback

import typer

from sightline.errors import InputError, PeerError, SightlineError

TRACEBACK = "SIGHTLINE_TRACEBACK"
"""Environment variable; with it set to 1, a bug shows its traceback."""

# The usage errors of every typer: the base of its BadParameter, which is exported under no name of its own.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def describe(error: BaseException, *, as_json: bool = False) -> int:
    """Print what `error` says; the exit code. With `as_json` also as `{"error": ...}` on stdout."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return 130
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, _UsageError):
        text, code = str(error.format_message()), 2  # type: ignore[attr-defined]
        error.show()  # type: ignore[attr-defined]
    elif isinstance(error, SightlineError):
        text, code = str(error), error.exit_code
        if not _said_by_another(error):
            print(paragraph(f"sightline: {text}"), file=sys.stderr)
    else:
        text, code = f"{type(error).__name__}: {error}", 1
        _report_bug(error)
    if as_json and os.environ.get("RANK", "0") == "0":
        print(json.dumps({"error": text}))
    return code


def paragraph(text: str, width: int | None = None) -> str:
    """`text` wrapped to the terminal, lines that it already has kept; a word is never cut, so paths stay whole.

    Where stderr is a file or a pipe nothing is wrapped: what a program looks for in it stays on one line.

    >>> print(paragraph("sightline: There is no run at runs/first. Train one.", width=30))
    sightline: There is no run at
    runs/first. Train one.
    """
    if width is None and not sys.stderr.isatty():
        return text
    width = width or min(shutil.get_terminal_size().columns, 120)
    lines = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        lines += textwrap.wrap(
            line.strip(),
            width,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return "\n".join(lines)


def _said_by_another(error: SightlineError) -> bool:
    """Of several processes, all find the same fault in what the user gave, or the same one missing; the first one says it."""
    return isinstance(error, InputError | PeerError) and os.environ.get("RANK", "0") != "0"


def _report_bug(error: BaseException) -> None:
    if os.environ.get(TRACEBACK) == "1":
        traceback.print_exception(error)
        return
    first = (str(error).strip() or "no message").splitlines()[0]
    text = f"sightline: this is a bug in Sightline: {type(error).__name__}: {first} (set {TRACEBACK}=1 to see where)"
    print(text, file=sys.stderr)
