"""What people see while it works, on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sightline.cli.output import duration, is_first_process

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from sightline.training.runlog import Listener, Progress

LINE_EVERY = 10.0
"""Seconds between two plain lines."""

NARROW = 80
"""Columns below which a terminal has no room for a bar."""


@contextmanager
def listening() -> "Iterator[Listener]":
    """A listener that suits stderr; of several processes only the first one talks."""
    if not is_first_process():
        from sightline.training.runlog import Silence

        yield Silence()
    elif sys.stderr.isatty():
        from rich.console import Console

        listener = TerminalListener(Console(stderr=True, highlight=False))
        try:
            yield listener
        finally:
            listener.close()
    else:
        yield LineListener()


@contextmanager
def counting(what: str) -> "Iterator[Callable[[int, int], None]]":
    """What takes (done, total) of something and shows it: a bar on a terminal, elsewhere a line every 10 seconds."""
    if not sys.stderr.isatty():
        last = [time.monotonic()]

        def line(done: int, total: int) -> None:
            if time.monotonic() - last[0] >= LINE_EVERY:
                print(f"{done:,} of {total:,} {what}", file=sys.stderr, flush=True)
                last[0] = time.monotonic()

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    text = TextColumn("{task.description}", markup=False)
    track = BarColumn(bar_width=None, complete_style="cyan", finished_style="cyan")
    console = Console(stderr=True, highlight=False)
    with Bar(text, track, TimeRemainingColumn(), console=console, expand=True, transient=True) as bar:
        task = bar.add_task(f"looking for {what}", total=None)

        def move(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"{done:,} of {total:,} {what}")

        yield move


class LineListener:
    """Plain lines: what is said, each epoch, and in between one line every 10 seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_line = clock()
        self._last: Progress | None = None

    def say(self, text: str) -> None:
        """One line."""
        print(text, file=sys.stderr, flush=True)

    def progress(self, progress: "Progress") -> None:
        """A line when the last one is 10 seconds old."""
        self._last = progress
        if self._clock() - self._last_line >= LINE_EVERY:
            self.say(_progress_line(progress))
            self._last_line = self._clock()

    def epoch(self, record: dict[str, Any]) -> None:
        """A line."""
        self.say(epoch_line(record, self._last))
        self._last_line = self._clock()


class TerminalListener:
    """A bar at the bottom; lines scroll above it."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._bar: Bar | None = None
        self._last: Progress | None = None

    def say(self, text: str) -> None:
        """One line above the bar."""
        self._console.print(text, markup=False, soft_wrap=True)

    def progress(self, progress: "Progress") -> None:
        """Move the bar; it appears with the first call."""
        self._last = progress
        fields: dict[str, Any] = {
            "epoch": f"epoch {progress.epoch}/{progress.epochs}",
            "figures": _figures(progress),
            "left": f"{duration(progress.seconds_left)} left",
        }
        if self._bar is None:
            self._bar = _bar(self._console)
            self._bar.add_task("training", total=progress.total_steps, completed=progress.step, **fields)
            self._bar.start()
        # The total too: one command may train several times.
        total, done = progress.total_steps, progress.step
        self._bar.update(self._bar.task_ids[0], total=total, completed=done, **fields)
        self._bar.refresh()

    def epoch(self, record: dict[str, Any]) -> None:
        """One line above the bar."""
        self.say(epoch_line(record, self._last))

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


SCORES_SHOWN = 3
"""Figures of an epoch in its line; all are in the log."""


def epoch_line(record: dict[str, Any], last: "Progress | None") -> str:
    """An epoch's record as a line: the metrics, whether they are the best, the time since the start.

    >>> epoch_line({"event": "epoch", "step": 90, "epoch": 3, "seconds": 75.0, "best": True, "top1": 0.9}, None)
    'epoch 3: top1 0.9000, best so far, after 1:15'
    """
    of = f"/{last.epochs}" if last else ""
    known = {"event", "step", "epoch", "seconds", "best"}
    parts = [f"loss {last.loss:.4f}"] if last else []
    scores = [f"{name} {value:.4f}" for name, value in record.items() if name not in known and isinstance(value, float)]
    parts += scores[:SCORES_SHOWN]
    if record.get("best"):
        parts.append("best so far")
    return f"epoch {record['epoch']}{of}: {', '.join(parts)}, after {duration(record['seconds'])}"


def _progress_line(progress: "Progress") -> str:
    where = f"epoch {progress.epoch}/{progress.epochs}, step {progress.step}/{progress.total_steps}"
    return f"{where}: {_figures(progress, ', ')}, {duration(progress.seconds_left)} left"


def _figures(progress: "Progress", between: str = "  ") -> str:
    parts = [f"loss {progress.loss:.3f}"]
    if progress.value is not None:
        parts.append(f"{progress.headline} {progress.value:.3f}")
    parts.append(f"{progress.images_per_second:,.0f} images/s")
    return between.join(parts)


def _bar(console: "Console") -> "Bar":
    from rich.progress import BarColumn, ProgressColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    texts = ("{task.fields[epoch]}", "{task.fields[figures]}", "{task.fields[left]}")
    epoch, figures, left = (TextColumn(text, markup=False) for text in texts)
    track = BarColumn(bar_width=None, complete_style="cyan", finished_style="cyan")
    # On a narrow terminal the figures are worth more than the bar.
    columns: tuple[ProgressColumn, ...] = (epoch, track, TaskProgressColumn(), figures, left)
    if console.width < NARROW:
        columns = (TextColumn("  ".join(texts), markup=False),)
    # No thread of its own: worker processes are forked from here, and a lock held at that moment would stay held in them.
    return Bar(*columns, console=console, auto_refresh=False, expand=True, transient=True)
