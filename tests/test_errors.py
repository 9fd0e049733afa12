"""What is said of a file with many faults: a line each, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgery_rcnn.errors import SHOWN, FileProblems, InputError, Problem, listed

FILE = Path("s.csv")


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Problem("wrong"), "wrong"),
        (Problem("wrong", "x7"), "case x7: wrong"),
        (Problem("wrong", row=3), "row 3: wrong"),
        (Problem("wrong", "x7", 3), "row 3: case x7: wrong"),
    ],
)
def test_a_problem_says_where(problem: Problem, said: str) -> None:
    assert str(problem) == said
    assert listed(FILE, [problem]) == [f"s.csv: {said}"]


def test_each_of_a_few_has_its_line() -> None:
    problems = [Problem("first", "a", 2), Problem("second", row=5)]
    error = FileProblems(FILE, problems)
    assert str(error) == "s.csv: 2 problems:\n  row 2: case a: first\n  row 5: second"
    assert isinstance(error, InputError) and error.problems == tuple(problems)


@pytest.mark.parametrize(("count", "more"), [(SHOWN, ""), (SHOWN + 1, "; the first 20"), (500, "; the first 20")])
def test_of_many_the_first_twenty_are_shown_and_all_are_counted_and_kept(count: int, more: str) -> None:
    error = FileProblems(FILE, [Problem("wrong", row=n) for n in range(count)])
    head, *rest = str(error).splitlines()
    assert head == f"s.csv: {count} problems{more}:"
    assert rest == [f"  row {n}: wrong" for n in range(SHOWN)]
    assert len(error.problems) == count
