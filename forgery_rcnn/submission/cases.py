"""Rows of a submission matched to the truth by case id, never by position."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

from forgery_rcnn.errors import Problem
from forgery_rcnn.instances import Answer
from forgery_rcnn.tables import Row

Read = tuple[str, Answer] | Problem
"""What a reader yields: one image's answer by case id, or one thing that is wrong with the file."""
T = TypeVar("T")


def matched(
    rows: Iterable[tuple[int | None, str, T]], known: Collection[str]
) -> Iterator[tuple[int | None, str, T] | Problem]:
    """(line, case id, anything) -> the same for the first row of every known id; a Problem for each id that is empty,
    unknown, repeated, or, at the end, without a row."""
    seen: dict[str, int | None] = {}
    for line, case, what in rows:
        if not case:
            yield Problem("no case id; write the image's file name without extension", row=line)
        elif case not in known:
            yield Problem(f"unknown case id; {_nearest(case, known)}", case, line)
        elif case in seen:
            first = f" (first in row {seen[case]})" if seen[case] is not None else ""
            yield Problem(f"this case id occurs twice{first}; keep one", case, line)
        else:
            seen[case] = line
            yield line, case, what
    for case in known:
        if case not in seen:
            yield Problem("nothing for this case id; add it, every image needs an answer", case)


def complete(
    rows: Iterable[Row], key: str, known: Collection[str]
) -> Iterator[tuple[int, str, dict[str, str]] | Problem]:
    """`matched` for the rows of a table whose column `key` is the case id; a row with too few or too many cells is a Problem."""
    for found in matched(((row.line, row.cells[key], row) for row in rows), known):
        if isinstance(found, Problem):
            yield found
        elif found[2].fault:
            yield Problem(found[2].fault, found[1], found[0])
        else:
            yield found[0], found[1], found[2].cells


def _nearest(case: str, known: Collection[str]) -> str:
    """The fix for an unknown id: an extension or blanks to take away, else take the row out."""
    for guess in (case.strip(), case.rsplit(".", 1)[0], case.strip().rsplit(".", 1)[0]):
        if guess in known:
            return f"write {guess!r}"
    return "take it out, or give the truth of this image"
