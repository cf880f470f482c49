"""What people see while a training runs: lines in a file, a bar on a terminal."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from sightline.cli.progress import LineListener, TerminalListener, listening
from sightline.training.runlog import Progress, Silence

pty = pytest.importorskip("pty", reason="pseudo-terminals are a Unix thing")

EPOCH = {"event": "epoch", "step": 40, "epoch": 1, "seconds": 75.0, "best": True, "top1": 0.5, "top5": 1.0}


def progress(step: int, value: float | None = None) -> Progress:
    return Progress(
        step=step,
        total_steps=80,
        epoch=1 + step // 41,
        epochs=2,
        loss=1.25,
        lr=0.1,
        images_per_second=1234.0,
        seconds_left=3700.0,
        headline="top1",
        value=value,
    )


def test_lines_come_every_ten_seconds_and_each_epoch(capsys) -> None:
    clock = SimpleNamespace(now=0.0)
    listener = LineListener(lambda: clock.now)
    listener.say("data: 10 classes")
    for step, now in [(1, 1.0), (10, 9.9), (20, 10.0), (21, 19.9), (30, 20.0)]:
        clock.now = now
        listener.progress(progress(step))
    listener.epoch(EPOCH)
    clock.now = 29.0
    listener.progress(progress(50, 0.5))
    clock.now = 30.0
    listener.progress(progress(60, 0.5))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "data: 10 classes",
        "epoch 1/2, step 20/80: loss 1.250, 1,234 images/s, 1:01:40 left",
        "epoch 1/2, step 30/80: loss 1.250, 1,234 images/s, 1:01:40 left",
        "epoch 1/2: loss 1.2500, top1 0.5000, top5 1.0000, best so far, after 1:15",
        "epoch 2/2, step 60/80: loss 1.250, top1 0.500, 1,234 images/s, 1:01:40 left",
    ]


def test_an_epoch_that_is_not_the_best_does_not_say_so(capsys) -> None:
    LineListener().epoch({**EPOCH, "best": False})
    assert capsys.readouterr().err == "epoch 1: top1 0.5000, top5 1.0000, after 1:15\n"


@pytest.mark.parametrize("width", [60, 90, 140])
def test_the_bar_stays_on_one_line(width) -> None:
    screen = io.StringIO()
    listener = TerminalListener(Console(file=screen, force_terminal=True, width=width, highlight=False))
    listener.progress(progress(20, 0.5))
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).strip("\r\n")
    listener.close()
    frames = [frame for frame in drawn.split("\r") if frame.strip()]
    assert all(len(frame) <= width and "\n" not in frame for frame in frames)
    assert "epoch 1/2" in frames[0]
    if width >= 90:
        for word in ("25%", "loss 1.250", "top1 0.500", "1,234 images/s", "1:01:40 left"):
            assert word in frames[0]


def test_what_is_said_is_not_markup_and_not_folded() -> None:
    screen = io.StringIO()
    listener = TerminalListener(Console(file=screen, force_terminal=True, width=40, highlight=False))
    listener.say("unreadable: [red]a/very/long/path/to/a/picture.png[/red]: truncated")
    assert screen.getvalue() == "unreadable: [red]a/very/long/path/to/a/picture.png[/red]: truncated\n"


def test_without_a_terminal_there_are_lines(capsys) -> None:
    with listening() as listener:
        assert isinstance(listener, LineListener)


def test_other_processes_are_silent(monkeypatch) -> None:
    monkeypatch.setenv("RANK", "3")
    with listening() as listener:
        assert isinstance(listener, Silence)


SESSION = """
from tests_progress import progress, EPOCH
from sightline.cli.progress import listening
with listening() as listener:
    listener.say("data: 10 classes")
    listener.progress(progress(20))
    listener.progress(progress(40))
    listener.epoch(EPOCH)
    listener.progress(progress(60, 0.5))
print("the result")
"""


@pytest.mark.slow
def test_on_a_real_terminal(tmp_path) -> None:
    (tmp_path / "tests_progress.py").write_bytes(Path(__file__).read_bytes())
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(tmp_path)}
    child = subprocess.Popen(
        [sys.executable, "-c", SESSION], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True
    )
    os.close(theirs)
    raw = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        raw += part
    os.close(ours)
    assert child.wait() == 0
    screen = raw.decode()
    assert screen.count("\x1b[?25l") == screen.count("\x1b[?25h") == 1, "the cursor is hidden and shown again"
    assert shown(screen) == [
        "data: 10 classes",
        "epoch 1/2: loss 1.2500, top1 0.5000, top5 1.0000, best so far, after 1:15",
        "the result",
    ]
    assert "75%" in screen


def shown(screen: str) -> list[str]:
    """What stays on the screen: carriage returns, line feeds, erasing and moving up are all that a bar uses."""
    lines, row = [""], 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", screen):
        if token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token.endswith("A") and token.startswith("\x1b"):
            row = max(0, row - int(token[2:-1] or 1))
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token == "\r":
            column = 0
            continue
        elif not token.startswith("\x1b"):
            lines[row] = token if not lines[row] or column == 0 else lines[row] + token
        column = len(lines[row])
    return [line.rstrip() for line in lines if line.strip()]
