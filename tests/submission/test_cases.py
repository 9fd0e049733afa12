"""Rows by case id: the order they come in, one Problem for every id that is empty, unknown, repeated or missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgery_rcnn.errors import Problem
from forgery_rcnn.submission.cases import complete, matched
from forgery_rcnn.tables import TOO_FEW, TOO_MANY, Row

KNOWN = ("a", "b", "c")
TAKE_OUT = "out, or give the truth of this image"


def said(problem: object, *texts: str, case: str = "", row: int | None = None) -> bool:
    """Whether it is a Problem of this case and row that holds all these texts."""
    assert isinstance(problem, Problem)
    return (problem.case_id, problem.row) == (case, row) and all(text in problem.text for text in texts)


def test_rows_come_in_their_own_order_and_the_missing_ids_last_in_that_of_the_truth() -> None:
    known = ("e", "d", "c", "b", "a")
    first, second, *missing = matched([(2, "b", "x"), (4, "d", "y")], known)
    assert (first, second) == ((2, "b", "x"), (4, "d", "y"))
    assert [said(one, "for this case id; add", case=case) for one, case in zip(missing, "eca", strict=True)] == [
        True
    ] * 3


@pytest.mark.parametrize(
    ("case", "known", "fix"),
    [
        ("a.png", KNOWN, "write 'a'"),
        (" a", KNOWN, "write 'a'"),
        ("a\t", KNOWN, "write 'a'"),
        (" a.PNG ", KNOWN, "write 'a'"),
        ("a.b.png", ("a.b",), "write 'a.b'"),
        ("a.png", ("a", "a.png "), "write 'a'"),
        ("A", KNOWN, TAKE_OUT),
        ("x.png", KNOWN, TAKE_OUT),
        (".png", KNOWN, TAKE_OUT),
        ("  ", KNOWN, TAKE_OUT),
    ],
)
def test_an_unknown_id_comes_with_its_fix(case: str, known: tuple[str, ...], fix: str) -> None:
    first = next(matched([(7, case, None)], known))
    assert said(first, "unknown case id; ", fix, case=case, row=7)


def test_an_id_with_an_extension_that_is_known_is_no_problem() -> None:
    assert list(matched([(2, "a.png", 1), (3, "a", 2)], ("a.png", "a"))) == [(2, "a.png", 1), (3, "a", 2)]


def test_duplicates_name_the_first_row_and_the_first_counts() -> None:
    first, *others = matched([(2, "a", "first"), (5, "a", "second"), (6, "a", "third")], ("a",))
    assert first == (2, "a", "first")
    assert len(others) == 2
    for one, row in zip(others, (5, 6), strict=True):
        assert said(one, "occurs twice (first in row 2); keep one", case="a", row=row)
    assert said(list(matched([(None, "a", 1), (None, "a", 2)], ("a",)))[1], "occurs twice; keep one", case="a")


def test_an_empty_id_and_an_unknown_one_that_is_repeated() -> None:
    found = list(matched([(2, "", 1), (3, "x", 1), (4, "x", 1), (5, "", 1), (6, "a", 1)], ("a",)))
    assert said(found[0], "no case id; write", row=2) and said(found[3], "no case id; write", row=5)
    assert said(found[1], TAKE_OUT, case="x", row=3) and said(found[2], TAKE_OUT, case="x", row=4)
    assert found[4:] == [(6, "a", 1)]


ids = st.text("ab.", max_size=2)


@given(st.lists(ids, max_size=8), st.lists(ids.filter(bool), unique=True, max_size=4))
def test_every_known_id_is_answered_for_once_and_no_row_is_lost(rows: list[str], known: list[str]) -> None:
    found = list(matched([(line, case, line) for line, case in enumerate(rows, start=2)], known))
    good = [one for one in found if not isinstance(one, Problem)]
    missing = [one.case_id for one in found if isinstance(one, Problem) and one.row is None]
    assert sorted([case for _, case, _ in good] + missing) == sorted(known)
    assert all(line == what and rows[line - 2] == case for line, case, what in good)
    lines = [one.row if isinstance(one, Problem) else one[0] for one in found]
    assert lines == [*range(2, len(rows) + 2), *[None] * len(missing)]


def test_a_row_with_too_few_or_too_many_cells_is_a_problem_and_its_id_not_missing() -> None:
    rows = [
        Row(2, {"id": "a", "x": "1"}),
        Row(3, {"id": "b", "x": ""}, TOO_FEW),
        Row(4, {"id": "z", "x": ""}, TOO_FEW),
        Row(5, {"id": "c", "x": "1"}, TOO_MANY),
    ]
    first, short, unknown, long = complete(rows, "id", ("a", "b", "c"))
    assert first == (2, "a", {"id": "a", "x": "1"})
    assert said(short, "too few cells", case="b", row=3) and said(unknown, TAKE_OUT, case="z", row=4)
    assert said(long, "more cells in this row than the header has", "double quotes", case="c", row=5)
