"""What is said of a file with many faults: a line each, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgery_rcnn.errors import SHOWN, FileProblems, InputError, Problem, listed, printable

FILE = Path("s.csv")


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("plain", 200, "plain"),
        ("ünï 例", 200, "ünï 例"),
        ("", 200, ""),
        ("x" * 200, 200, "x" * 200),
        ("x" * 201, 200, "x" * 199 + "…"),
        ("abcdef", 4, "abc…"),
        ("a\nb", 200, r"'a\nb'"),
        ("\x1b[31mred", 200, r"'\x1b[31mred'"),
        ("a\u202eb", 200, r"'a\u202eb'"),  # turns the rest of the line around
        ("abc\n", 3, "ab…"),
    ],
)
def test_a_name_fits_on_one_line(text: str, limit: int, shown: str) -> None:
    assert printable(text, limit) == shown
    assert shown.isprintable()


def test_a_case_id_in_a_problem_is_printable() -> None:
    assert str(Problem("wrong", "a\nb", 3)) == r"row 3: case 'a\nb': wrong"


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
