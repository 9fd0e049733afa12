"""Two submissions side by side: wins, losses, ties and p by hand, the verdict, and which images moved most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forgery_rcnn import compare
from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.instances import Answer, Truth
from forgery_rcnn.report import ImageRow, image_row

HOW = Resampling(300)
BLANK = image_row("", Answer((4, 5), None), Truth((4, 5), None))


def rows(**scores: float) -> list[ImageRow]:
    return [replace(BLANK, case_id=case, of1=of1, mask_quality=1 - of1) for case, of1 in scores.items()]


def many(*scores: float) -> list[ImageRow]:
    return rows(**{f"i{n}": score for n, score in enumerate(scores)})


A = rows(a=0.5, b=1.0, c=0.25, d=0.0, e=0.75)
B = rows(a=0.5, b=0.0, c=0.5, d=0.0, e=0.25)


def test_by_hand() -> None:
    found = compare.compare(A, B, HOW)
    assert (found.paired.wins, found.paired.losses, found.paired.ties) == (2, 1, 2)
    assert found.paired.p == 1.0  # 2 of 3: every outcome is as likely or likelier
    assert found.paired.difference.value == pytest.approx(1.25 / 5)
    assert found.paired.difference == HOW.paired(np.array([0, 1, -0.25, 0, 0.5]), np.zeros(5)).difference
    assert found.moved == (1, 4, 2)
    assert [row.case_id for row in found.a] == [row.case_id for row in found.b] == list("abcde")


def test_p_of_the_sign_test() -> None:
    """7 wins, 1 loss: 2 (1 + 8) / 2^8."""
    found = compare.compare(many(*[1] * 7, 0, 0.5), many(*[0.5] * 9), HOW)
    assert (found.paired.wins, found.paired.losses, found.paired.ties) == (7, 1, 1)
    assert found.paired.p == pytest.approx(18 / 256)


def test_b_is_put_in_the_order_of_a_and_what_one_side_lacks_is_left_out() -> None:
    found = compare.compare(rows(x=1, a=0.5, b=0.25), rows(b=0.25, y=0, a=0.75, z=1), HOW)
    assert [row.case_id for row in found.a] == [row.case_id for row in found.b] == ["a", "b"]
    assert [row.of1 for row in found.b] == [0.75, 0.25]
    assert (found.paired.wins, found.paired.losses, found.paired.ties) == (0, 1, 1)
    assert found.moved == (0,)


def test_no_image_in_common() -> None:
    found = compare.compare(rows(a=1), rows(b=1), HOW)
    assert (found.a, found.b, found.moved, found.paired.difference.count) == ((), (), (), 0)


def test_the_ten_that_moved_most_largest_first_in_order_where_equal() -> None:
    gaps = [0, 0.1, -0.9, 0.2, 0.9, 0.3, -0.3, 0.5, 0, 0.7, 0.6, -0.8, 0.15, 0.05]
    found = compare.compare(many(*[0.5 + gap / 2 for gap in gaps]), many(*[0.5 - gap / 2 for gap in gaps]), HOW)
    assert found.moved == (2, 4, 11, 9, 10, 7, 5, 6, 3, 12)
    assert len(found.moved) == compare.MOST
    assert found.moved[0] == 2 and found.moved[1] == 4  # equally far: the earlier one first


def test_images_that_score_the_same_have_not_moved() -> None:
    assert compare.compare(A, A, HOW).moved == ()
    assert len(compare.compare(A, B, HOW).moved) == 3


# Verdicts


@pytest.mark.parametrize("how", [HOW, Resampling(0)])
def test_the_same_everywhere(how: Resampling) -> None:
    assert compare.verdict(compare.compare(A, A, how)) == "the two score the same on every image"


def test_a_clear_difference() -> None:
    better, worse = many(*[0.75, 1.0] * 10), many(*[0.5] * 20)
    assert (
        compare.verdict(compare.compare(better, worse, HOW)) == "A is better by 0.3750; the 95 % interval leaves out 0"
    )
    assert (
        compare.verdict(compare.compare(worse, better, HOW)) == "B is better by 0.3750; the 95 % interval leaves out 0"
    )


def test_an_unclear_difference() -> None:
    one, other = many(*[1, 0, 1, 0, 0.5] * 3), many(*[0, 1, 0, 1, 0] * 3)
    said = "scores 0.1000 higher, but the 95 % interval holds 0: no difference is shown"
    assert compare.verdict(compare.compare(one, other, HOW)) == f"A {said}"
    assert compare.verdict(compare.compare(other, one, HOW)) == f"B {said}"


@pytest.mark.parametrize("how", [HOW, Resampling(0)])
@pytest.mark.parametrize(("differing", "alike"), [(1, 0), (1, 50), (9, 0), (9, 50)])
def test_fewer_than_ten_images_that_differ_show_nothing(differing: int, alike: int, how: Resampling) -> None:
    better, worse = many(*[1.0] * differing, *[0.5] * alike), many(*[0.25] * differing, *[0.5] * alike)
    said = f"only {differing} images differ, fewer than 10: no difference is shown"
    assert compare.verdict(compare.compare(better, worse, how)) == said
    assert compare.verdict(compare.compare(worse, better, how)) == said


def test_ten_images_that_differ_are_enough() -> None:
    found = compare.compare(many(*[1.0] * 10), many(*[0.25] * 9, 0.5), HOW)
    assert compare.verdict(found) == "A is better by 0.7250; the 95 % interval leaves out 0"
    mixed = compare.compare(many(*[1.0] * 5, *[0.0] * 5), many(*[0.0] * 5, *[0.5] * 5), HOW)
    assert compare.verdict(mixed).startswith("A scores 0.2500 higher, but the 95 % interval holds 0")


def test_without_resamples_there_is_no_interval() -> None:
    found = compare.compare(many(*[1.0] * 10), many(*[0.5] * 10), Resampling(0))
    assert compare.verdict(found) == "A scores 0.5000 higher, but there is no 95 % interval: no difference is shown"


def test_the_same_mean_by_different_images() -> None:
    assert (
        compare.verdict(compare.compare(many(1, 0), many(0, 1), HOW))
        == "the two have the same mean, by different images"
    )


# Lines


def test_lines_by_hand() -> None:
    b = [replace(row, missed=row.mask_quality, mask_quality=0.0) for row in B]
    found = compare.compare(A, b, HOW)
    table = compare.lines(found, ("one.csv", "two.csv"))
    assert table[0] == "5 images, mean oF1 of A 0.5000 (one.csv), of B 0.2500 (two.csv)"
    assert table[1] == f"A - B {found.paired.difference}; A higher on 2 images, B on 1, equal on 2"
    assert table[2] == "sign test: p = 1"
    budget = {line.rsplit(maxsplit=2)[0].strip(): line.split()[-2:] for line in table[4:9]}
    assert budget == {
        "false alarm": ["0.0000", "0.0000"],
        "called authentic": ["0.0000", "0.0000"],
        "missed": ["0.0000", "0.7500"],
        "excess": ["0.0000", "0.0000"],
        "mask quality": ["0.5000", "0.0000"],
    }
    assert table[9].startswith("the 3 images that moved most")
    assert [line.split() for line in table[10:-1]] == [
        ["b", "1.0000", "0.0000", "+1.0000"],
        ["e", "0.7500", "0.2500", "+0.5000"],
        ["c", "0.2500", "0.5000", "-0.2500"],
    ]
    assert table[-1] == f"verdict: {compare.verdict(found)}"


def test_a_case_id_cannot_break_the_table() -> None:
    names = ("a\nb\x1b[31m", "x" * 60)
    one, other = ([replace(BLANK, case_id=name, of1=score) for name in names] for score in (1.0, 0.0))
    table = compare.lines(compare.compare(one, other, HOW), ("one.csv", "two.csv"))
    assert all(line.isprintable() for line in table)
    assert {line[:36].strip() for line in table[-3:-1]} == {r"'a\nb\x1b[31m'", "x" * 33 + "…"}


def test_lines_where_nothing_moved() -> None:
    table = compare.lines(compare.compare(A, A, HOW), ("one.csv", "one.csv"))
    assert not any("moved" in line for line in table)
    assert table[-1] == "verdict: the two score the same on every image"
    assert table[1].endswith("A higher on 0 images, B on 0, equal on 5")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_nan_is_printed(count: int) -> None:
    for how in (HOW, Resampling(0)):
        assert "nan" not in "\n".join(compare.lines(compare.compare(A[:count], B[:count], how), ("a", "b")))
