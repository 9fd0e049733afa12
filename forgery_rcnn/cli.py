"""How a command begins and ends: the command-line library, and one line instead of a traceback."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from forgery_rcnn.errors import InputError

NOT_INSTALLED = "error: the package {!r} is not installed here: run `make venv`, then use .venv/bin/python"

try:
    import tyro as tyro
except ModuleNotFoundError as error:  # a script was started outside the environment
    sys.exit(NOT_INSTALLED.format(error.name))


def described(doc: str | None) -> str:
    """A script's docstring for --help, every example a paragraph: lines that no blank line parts are joined there."""
    return re.sub(r"\n(?=python3 )", "\n\n", doc or "")


@contextlib.contextmanager
def _unwinding() -> Iterator[None]:
    """Within this context SIGTERM, where nothing else listens to it, ends the process like an exit: what is temporary goes."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def command(main: Callable[..., int]) -> Callable[..., int]:
    """Wrap a script's `main(argv) -> int`: an InputError becomes one line on stderr and exit status 2."""

    @functools.wraps(main)
    def wrapped(argv: list[str] | None = None) -> int:
        # A spinning OpenMP thread pool makes torch 9-17x slower beside any other busy process; read at torch's import.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show ± gets a ? and no traceback
                stream.reconfigure(errors="replace")
        try:
            with _unwinding():
                return main(argv)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("forgery_rcnn"):
                raise
            print(NOT_INSTALLED.format(error.name), file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except OSError as error:
            if isinstance(error, BrokenPipeError):  # the reader of our output (head, less) has gone
                sys.stdout = open(os.devnull, "w")
                return 141
            # A full disk, a folder without permission: the user's to mend, wherever it was met.
            print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
            return 2

    return wrapped
