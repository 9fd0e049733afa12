"""Strata part the images; each has the numbers of its images, and an interval only where there are ten of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgery_rcnn import strata
from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.numbers import Scored, collect, intervals, trivial
from forgery_rcnn.report import ImageRow, image_row

SIZE = (10, 20)
HOW = Resampling(50)
BLANK = image_row("", Answer(SIZE, None), Truth(SIZE, None))


def of(*lengths: int) -> Instances:
    """Instances of so many pixels, one after the other."""
    starts = np.cumsum([0, *lengths])
    runs = (np.array([[start, length]]) for start, length in zip(starts, lengths, strict=False))
    return Instances(SIZE, tuple(runs))


def images(count: int, predicted: Instances | None, true: Instances | None, kind: str = "") -> list:
    scores = np.linspace(0.9, 0.6, 0 if predicted is None else len(predicted))
    return [(f"{kind}{n}", Answer(SIZE, predicted, 0.5, scores=scores), Truth(SIZE, true, kind)) for n in range(count)]


SCORED = collect(
    [
        *images(6, of(20), of(20), "splice"),
        *images(5, of(10), of(30), "splice"),
        *images(2, None, of(4), "copy"),
        *images(7, of(4, 8), of(4), "copy"),
        *images(9, None, None),
        *images(3, of(9), None),
    ]
)


def row(true: int, height: int, width: int, count: int = 1, kind: str = "") -> ImageRow:
    label = "forged" if count else "authentic"
    return replace(BLANK, label=label, true_pixels=true, height=height, width=width, true_instances=count, kind=kind)


@pytest.mark.parametrize(
    ("images", "title", "expected"),
    [
        ([row(0, 10, 100, 0), row(0, 0, 0, 0)], "forged area", {"authentic": [0, 1]}),
        (
            [row(n, 10, 100) for n in (150, 149, 70, 69, 20, 19, 5, 4, 1, 1000)],
            "forged area",
            {
                "0 to 0.5 %": [7, 8],
                "0.5 to 2 %": [5, 6],
                "2 to 7 %": [3, 4],
                "7 to 15 %": [1, 2],
                "15 % and more": [0, 9],
            },
        ),
        (
            [row(1, 9, 9, n) for n in (4, 2, 1, 3, 0)],
            "true instances",
            {"0": [4], "1": [2], "2": [1], "3 or more": [0, 3]},
        ),
        (
            [row(1, *size) for size in ((1, 2048), (2047, 1), (1024, 3), (9, 1023), (255, 256), (255, 255))],
            "longer side",
            {
                "0 to 255 px": [5],
                "256 to 511 px": [4],
                "512 to 1023 px": [3],
                "1024 to 2047 px": [1, 2],
                "2048 px and more": [0],
            },
        ),
        (
            [row(1, 9, 9, kind="splice"), row(1, 9, 9), row(0, 9, 9, 0), row(0, 9, 9, 0, "camera"), row(1, 9, 9)],
            "kind",
            {"authentic": [2], "camera": [3], "splice": [0], "unknown": [1, 4]},
        ),
    ],
    ids=["no area", "area", "instances", "side", "kind"],
)
def test_strata_by_hand(images: list[ImageRow], title: str, expected: dict[str, list[int]]) -> None:
    found = strata.strata(images)[title]
    assert found == expected and list(found) == list(expected)


@pytest.mark.parametrize("kind", ["1.5.2", "²", " "])
def test_any_text_is_a_kind(kind: str) -> None:
    assert strata.strata([row(1, 9, 9, kind=kind), row(1, 9, 9, kind="x")])["kind"] == {kind: [0], "x": [1]}


def test_kinds_are_told_apart_only_where_one_is_known() -> None:
    assert list(strata.strata([row(1, 9, 9), row(0, 9, 9, 0)])) == ["forged area", "true instances", "longer side"]
    assert list(strata.strata(SCORED.rows))[-1] == "kind"


def test_an_image_of_unknown_size_has_no_longer_side() -> None:
    unknown = image_row("x", Answer(ANY_SIZE, None), Truth(ANY_SIZE, None))
    assert strata.strata([row(1, 9, 9), unknown])["longer side"] == {"unknown": [1], "0 to 255 px": [0]}


some_rows = st.builds(
    lambda count, share, height, width, kind: row(
        max(1, int(share * height * width)) if count else 0, height, width, count, kind
    ),
    st.integers(0, 5),
    st.floats(0, 1),
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from(["", "", "splice", "2 copies", "1.5 x", "authentic"]),
)


@given(st.lists(some_rows, min_size=1, max_size=12))
def test_strata_part_the_images(rows: list[ImageRow]) -> None:
    for groups in strata.strata(rows).values():
        assert sorted(i for index in groups.values() for i in index) == list(range(len(rows)))
        assert all(index == sorted(index) and index for index in groups.values())


def test_each_stratum_has_the_numbers_and_baselines_of_its_images() -> None:
    found = strata.by_stratum(SCORED, HOW)
    for title, groups in strata.strata(SCORED.rows).items():
        assert list(found[title]) == list(groups)
        for name, index in groups.items():
            part, one = SCORED.only(index), found[title][name]
            assert one["images"] == len(index)
            values = {key: interval.value for key, interval in intervals(part, HOW).items()}
            assert {key: interval.value for key, interval in one["numbers"].items()} == pytest.approx(
                values, nan_ok=True
            )
            assert repr(one["baselines"]) == repr(trivial(part))


def test_average_precision_of_a_stratum_is_that_of_its_images_alone() -> None:
    one = strata.by_stratum(SCORED, HOW)["kind"]["copy"]["numbers"]
    alone = intervals(collect([*images(2, None, of(4), "copy"), *images(7, of(4, 8), of(4), "copy")]), HOW)
    assert one["mask_ap"].value == pytest.approx(alone["mask_ap"].value) and 0 < one["mask_ap"].value < 1


def test_fewer_than_ten_images_have_no_drawn_interval() -> None:
    kinds = strata.by_stratum(SCORED, HOW)["kind"]
    assert {name: part["images"] for name, part in kinds.items()} == {"authentic": 12, "copy": 9, "splice": 11}
    for key, interval in kinds["copy"]["numbers"].items():
        assert math.isnan(interval.low) == math.isnan(interval.high) == (key != "missed_rate"), key
    assert repr(kinds["splice"]["numbers"]) == repr(intervals(SCORED.only(range(11)), HOW))
    assert not math.isnan(kinds["splice"]["numbers"]["of1"].low)
    assert not math.isnan(kinds["splice"]["numbers"]["mask_ap"].low)


@pytest.mark.parametrize(("count", "known"), [(strata.FEWEST - 1, False), (strata.FEWEST, True)])
def test_ten_images_are_enough(count: int, known: bool) -> None:
    part = strata.by_stratum(SCORED.only(range(count)), HOW)["kind"]["splice"]
    assert part["images"] == count
    assert math.isnan(part["numbers"]["of1"].low) == (not known)


def test_lines_by_hand() -> None:
    found = strata.by_stratum(SCORED, HOW)
    table = strata.lines(found)
    assert [line.split("  ")[0] for line in table if line.startswith("by ")] == [
        "by forged area",
        "by true instances",
        "by longer side",
        "by kind",
    ]
    (copy,) = (line.split() for line in table if line.startswith("  copy "))
    # 7 of 9: one of two instances right; Dice 2 * 4 / 16, IoU 4 / 12. Every pixel: 2 * 4 / 204.
    numbers = [f"{value:.4f}" for value in (3.5 / 9, 3.5 / 9, 7 / 27, 0, 8 / 204)]
    assert copy == ["copy", "9", numbers[0], "[n/a,", "n/a]", *numbers[1:]]
    (splice,) = (line.split() for line in table if line.startswith("  splice "))
    assert splice[:5] == ["splice", "11", *str(found["kind"]["splice"]["numbers"]["of1"]).split()]


@pytest.mark.parametrize("index", [range(32), range(20), range(20, 32), [0], [31]])
def test_no_nan_is_printed(index: list[int]) -> None:
    for how in (HOW, Resampling(0)):
        assert "nan" not in "\n".join(strata.lines(strata.by_stratum(SCORED.only(index), how)))


def test_a_kind_cannot_break_the_line() -> None:
    odd = Scored([replace(SCORED.rows[0], kind="a\nb\x1b[31m")])
    table = strata.lines(strata.by_stratum(odd, HOW))
    assert all(line.isprintable() for line in table) and any(r"a\nb\x1b[31m" in line for line in table)
