"""The report: rates and trivial baselines by hand, the verdict, and JSON and CSV that other programs can read."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forgery_rcnn import report
from forgery_rcnn.instances import Instances
from forgery_rcnn.report import ImageRow, image_row

SIZE = (4, 5)


def region(*pixels: tuple[int, int]) -> np.ndarray:
    """(4, 5) bool with these (row, column) set."""
    mask = np.zeros(SIZE, bool)
    mask[tuple(np.array(pixels).T)] = True
    return mask


def of(*masks: np.ndarray) -> Instances:
    return Instances.from_masks(np.array(masks))


A, B = region((0, 0), (0, 1), (1, 0), (1, 1)), region((3, 3), (3, 4))
ROWS = (
    image_row("found", of(A), of(A), SIZE, 0.9),
    image_row("half", of(A), of(A, B), SIZE, 0.4),
    image_row("missed", None, of(B), SIZE, 0.1),
    image_row("clean", None, None, SIZE, 0.2),
    image_row("alarm", of(B), None, SIZE),
)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ROWS[0], {"label": "forged", "of1": 1, "dice": 1, "recall": 1, "precision": 1, "all_forged": 8 / 24}),
        (ROWS[1], {"label": "forged", "of1": 0.5, "dice": 0.8, "recall": 4 / 6, "precision": 1, "all_forged": 4 / 24}),
        (ROWS[2], {"label": "forged", "of1": 0, "dice": 0, "recall": 0, "precision": 0, "all_forged": 4 / 22}),
        (ROWS[3], {"label": "authentic", "of1": 1, "dice": 1, "recall": 1, "precision": 1, "all_forged": 0}),
        (ROWS[4], {"label": "authentic", "of1": 0, "dice": 0, "recall": 0, "precision": 0, "all_forged": 0}),
    ],
    ids=lambda value: value.case_id if isinstance(value, ImageRow) else "",
)
def test_row_by_hand(row: ImageRow, expected: dict[str, Any]) -> None:
    assert {name: getattr(row, name) for name in expected} == pytest.approx(expected)


def test_counts_of_instances() -> None:
    assert [(row.predicted_instances, row.true_instances) for row in ROWS] == [(1, 1), (1, 2), (0, 1), (0, 0), (1, 0)]


def test_union_of_overlapping_instances_is_counted_once() -> None:
    row = image_row("twice", of(A, A | B), of(A, B), SIZE)
    assert (row.dice, row.recall, row.precision) == (1, 1, 1)
    assert row.of1 == pytest.approx((1 + 4 / 8) / 2)


def test_forged_without_a_region_is_not_authentic() -> None:
    row = image_row("empty", Instances(SIZE), None, SIZE)
    assert (row.of1, row.dice, row.label) == (0, 1, "authentic")


def test_summary_by_hand() -> None:
    found = report.summary(ROWS)
    assert (found["images"], found["forged"], found["authentic"]) == (5, 3, 2)
    assert found["of1_mean"] == pytest.approx(2.5 / 5)
    assert found["of1_std"] == pytest.approx(math.sqrt((3 * 0.25 + 0.25 + 0) / 5))
    assert found["dice_mean"] == pytest.approx(2.8 / 5)
    assert found["recall_mean"] == pytest.approx((1 + 4 / 6 + 0 + 1 + 0) / 5)
    assert found["precision_mean"] == pytest.approx(3 / 5)
    assert found["of1_mean_forged"] == pytest.approx(0.5)
    assert found["precision_mean_forged"] == pytest.approx(2 / 3)
    assert (found["false_alarm_rate"], found["missed_rate"]) == (pytest.approx(1 / 2), pytest.approx(1 / 3))


def test_baselines_are_what_saying_the_same_of_every_image_would_score() -> None:
    truths = [of(A), of(A, B), of(B), None, None]
    everything = of(np.ones(SIZE, bool))
    found = report.summary(ROWS)
    for name, answer in (("baseline_all_authentic", None), ("baseline_all_forged", everything)):
        said = [image_row(str(i), answer, truth, SIZE) for i, truth in enumerate(truths)]
        assert found[name] == pytest.approx(report.summary(said)["of1_mean"])
        assert "no better and no worse" in report.verdict(report.summary(said)) or name == "baseline_all_forged"
    assert found["baseline_all_authentic"] == pytest.approx(0.4)
    assert found["baseline_all_forged"] == pytest.approx((8 / 24 + 4 / 24 + 4 / 22) / 5)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS, "0.1000 above calling everything authentic"),
        (ROWS[1:], "0.1250 BELOW calling everything authentic"),
        (ROWS[3:], "0.5000 BELOW calling everything authentic"),
        (ROWS[3:4], "no better and no worse than calling everything authentic"),
        (ROWS[:2], "0.5000 above calling everything forged"),
        (ROWS[2:3], "0.1818 BELOW calling everything forged"),
        (
            (image_row("all", of(np.ones(SIZE, bool)), of(A), SIZE),),
            "no better and no worse than calling everything forged",
        ),
        ((), "no image was scored"),
    ],
)
def test_verdict(rows: tuple[ImageRow, ...], said: str) -> None:
    assert report.verdict(report.summary(rows)) == said


def test_printed_report_shows_score_baselines_contract_and_verdict() -> None:
    printed = report.lines(report.summary(ROWS))
    text = "\n".join(printed)
    assert "MEAN oF1 0.5000 ± 0.4472" in text
    assert "everything authentic 0.4000" in text and "everything forged    0.1364" in text
    assert "flagged 0.5000" in text and "passed over 0.3333" in text
    assert report.CONTRACT in printed
    assert printed[-1] == "verdict: 0.1000 above calling everything authentic"


@pytest.mark.parametrize("rows", [(), ROWS[3:], ROWS[:3]], ids=["no image", "all authentic", "all forged"])
def test_one_sided_sets_are_reported_without_nan(rows: tuple[ImageRow, ...]) -> None:
    found = report.summary(rows)
    text = "\n".join(report.lines(found))
    assert "n/a" in text and "nan" not in text.lower()
    json.dumps(found, allow_nan=False)


def test_json_is_strict_and_complete() -> None:
    found = report.summary(ROWS)
    back = json.loads(report.to_json(found, ROWS), parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))
    assert {name: back[name] for name in found} == found
    assert [row["case_id"] for row in back["rows"]] == ["found", "half", "missed", "clean", "alarm"]
    assert [row["image_score"] for row in back["rows"]] == [0.9, 0.4, 0.1, 0.2, None]
    assert back["contract"] == report.CONTRACT


def test_json_and_csv_of_numpy_scores() -> None:
    """Scores come out of arrays; a float32 would stop json.dumps."""
    row = image_row("1", of(A), of(A), SIZE, float(np.float32(0.5)))
    assert json.loads(report.to_json(report.summary([row]), [row]))["rows"][0]["of1"] == 1.0


def test_csv_has_one_line_per_image() -> None:
    odd = replace(ROWS[0], case_id='a,"b"\nc')
    back = list(csv.DictReader(io.StringIO(report.to_csv((*ROWS, odd)))))
    assert [row["case_id"] for row in back] == ["found", "half", "missed", "clean", "alarm", odd.case_id]
    assert float(back[1]["recall"]) == ROWS[1].recall
    assert back[2]["label"] == "forged" and back[3]["true_instances"] == "0"
    assert report.to_csv(()).startswith("case_id,label,of1,")
