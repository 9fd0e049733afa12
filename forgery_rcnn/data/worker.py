"""What every process that another one of ours has started does first."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable

import cv2


def begin() -> None:
    """End with the parent, leave Ctrl-C to it, and keep to one thread."""
    with_parent(lambda: os._exit(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)


def with_parent(end: Callable[[], object]) -> None:
    """A parent that is killed takes its workers along: `end` is called, in a thread, when it is gone."""
    threading.Thread(target=_wait, args=(end,), daemon=True).start()


def _wait(end: Callable[[], object]) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        end()
