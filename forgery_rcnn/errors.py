"""What a user meets when something given is wrong: one line, or, of a file with many faults, one line for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SHOWN = 20  # of a file's problems; the rest is counted


class InputError(Exception):
    """Something given by the user is wrong. The message is one line: the thing, what was found, the fix."""


def require(holds: bool, message: str) -> None:
    """Raise InputError with this message unless it holds."""
    if not holds:
        raise InputError(message)


def printable(text: str, limit: int = 200) -> str:
    """A name that a file gave, for one line on a terminal: cut to `limit`, control characters escaped."""
    short = text if len(text) <= limit else f"{text[: limit - 1]}…"
    if not short.isprintable():
        short = repr(short)
    return short if len(short) <= limit else f"{short[: limit - 1]}…"


@dataclass(frozen=True)
class Problem:
    """One fault of a file. `row`: line of the file, 1 = its first (None: of no one line); `case_id`: "" if of no one case."""

    text: str
    case_id: str = ""
    row: int | None = None

    def __str__(self) -> str:
        place = [f"row {self.row}"] if self.row is not None else []
        case = [f"case {printable(self.case_id)}"] if self.case_id else []
        return ": ".join([*place, *case, self.text])


class FileProblems(InputError):
    """All that is wrong with one file, a line each; the first 20 are shown."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(listed(path, problems)))


def listed(path: Path, problems: Sequence[Problem]) -> list[str]:
    """The lines of a message: one problem is one line; more are counted first, and only the first 20 are shown."""
    if len(problems) == 1:
        return [f"{path}: {problems[0]}"]
    more = f"; the first {SHOWN}" if len(problems) > SHOWN else ""
    return [f"{path}: {len(problems)} problems{more}:", *(f"  {problem}" for problem in problems[:SHOWN])]
