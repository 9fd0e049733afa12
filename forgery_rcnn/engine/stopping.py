"""Ctrl-C and SIGTERM: finish the step, save, then leave. A second one leaves at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class Interrupted(Exception):
    """A run was asked to stop and has saved itself in `folder`."""

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(f"stopped by signal {number}; everything is saved in {folder}; go on with --resume")
        self.status = 128 + number


class StopSignal:
    """True once a signal has come; `number` says which."""

    number = 0

    def __bool__(self) -> bool:
        return self.number != 0

    def ask(self, number: int, frame: FrameType | None = None) -> None:
        """Signal handler: the first one asks, the second one interrupts whatever is running."""
        if self.number:
            raise KeyboardInterrupt
        self.number = number


@contextmanager
def listening() -> Iterator[StopSignal]:
    """Within this context SIGINT and SIGTERM only ask; the handlers before it come back at its end."""
    stop = StopSignal()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
