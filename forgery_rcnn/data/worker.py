"""What every worker process of ours does first."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import cv2


def begin() -> None:
    """End with the parent, leave Ctrl-C to it, and keep to one thread."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)


def _end_with_parent() -> None:
    """A parent that is killed takes its workers along."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
