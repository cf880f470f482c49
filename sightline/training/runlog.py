"""What a training tells: lines in `log.jsonl`, TensorBoard events, and a listener that shows progress."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sightline.errors import MissingDependencyError
from sightline.files import append_line, write_atomic


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where the loop stands, for a progress bar."""

    step: int
    total_steps: int
    epoch: int
    epochs: int
    loss: float
    lr: float
    images_per_second: float
    seconds_left: float
    headline: str
    """Name of the task's headline metric."""
    value: float | None
    """Its last value on the validation split, None before the first."""


class Listener(Protocol):
    """Shows what happens; decides nothing. Rooms below the command line talk to people only through it."""

    def say(self, text: str) -> None:
        """One line that people must see: a choice made for them, a warning, a place where something lies."""

    def progress(self, progress: Progress) -> None:
        """Called every few steps."""

    def epoch(self, record: dict[str, Any]) -> None:
        """Called after each validation with what went into the log."""


class Silence:
    """A listener that shows nothing, for use from Python."""

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, progress: Progress) -> None:
        """Nothing."""

    def epoch(self, record: dict[str, Any]) -> None:
        """Nothing."""


class RunLog:
    """`log.jsonl` in a run folder, one JSON object a line, and TensorBoard events beside it when asked for."""

    def __init__(self, run: Path, *, tensorboard: bool = False) -> None:
        self.path = run / "log.jsonl"
        self._events = _event_writer(run / "tensorboard") if tensorboard else None

    def rewind(self, step: int) -> None:
        """Forget lines of steps after `step`: a resumed run will write them again."""
        kept = [json.dumps(record) for record in read_log(self.path) if record.get("step", 0) <= step]
        write_atomic(self.path, "".join(line + "\n" for line in kept).encode())

    def write(self, record: dict[str, Any]) -> None:
        """Append one record, and its numbers as TensorBoard scalars."""
        append_line(self.path, json.dumps(record))
        if self._events is not None:
            for name, value in record.items():
                if isinstance(value, float):
                    self._events.add_scalar(f"{record['event']}/{name}", value, record["step"])

    def close(self) -> None:
        """Flush the events."""
        if self._events is not None:
            self._events.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a `log.jsonl`; a torn last line, as a crash leaves it, is passed over. Empty without a file."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def _event_writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError("tensorboard", "Writing TensorBoard events", "tensorboard") from error
    return SummaryWriter(str(folder))
