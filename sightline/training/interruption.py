"""Ctrl-C and SIGTERM ask the loop to save and stop after the step that it is in; a second one stops at once."""

import signal
import threading
from types import FrameType


class Interruption:
    """A context in which the two signals set `requested` instead of ending the process.

    Outside the main thread Python delivers no signals, and the context does nothing.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "Interruption":
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = [signal.signal(number, self._ask) for number in self._SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            for number, before in zip(self._SIGNALS, self._before, strict=True):
                signal.signal(number, before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
