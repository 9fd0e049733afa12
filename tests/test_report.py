"""The report: rates and trivial baselines by hand, the verdict, and JSON and CSV that other programs can read."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from forgery_rcnn import report
from forgery_rcnn.bootstrap import Interval
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.report import ImageRow

SIZE = (4, 5)


def region(*pixels: tuple[int, int]) -> np.ndarray:
    """(4, 5) bool with these (row, column) set."""
    mask = np.zeros(SIZE, bool)
    mask[tuple(np.array(pixels).T)] = True
    return mask


def of(*masks: np.ndarray) -> Instances:
    return Instances.from_masks(np.array(masks))


def image_row(
    case: str, predicted: Instances | None, true: Instances | None, score: float = math.nan, kind: str = ""
) -> ImageRow:
    return report.image_row(case, Answer(SIZE, predicted, score), Truth(SIZE, true, kind))


A, B = region((0, 0), (0, 1), (1, 0), (1, 1)), region((3, 3), (3, 4))
ROWS = (
    image_row("found", of(A), of(A), 0.9, "splice"),
    image_row("half", of(A), of(A, B), 0.4),
    image_row("missed", None, of(B), 0.1),
    image_row("clean", None, None, 0.2),
    image_row("alarm", of(B), None),
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


PIXELS = ("true_pixels", "predicted_pixels", "common_pixels")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ROWS[0], (4, 4, 4, 1, 1)),
        (ROWS[1], (6, 4, 4, 4 / 6, (4 * 14 - 0) / math.sqrt(4 * 6 * 14 * 16))),
        (ROWS[2], (2, 0, 0, 0, 0)),
        (ROWS[3], (0, 0, 0, 1, 1)),
        (ROWS[4], (0, 2, 0, 0, 0)),
        (image_row("shifted", of(A), of(region((0, 1), (1, 1), (0, 2), (1, 2)))), (4, 4, 2, 2 / 6, (28 - 4) / 64)),
        (image_row("all", of(np.ones(SIZE)), of(A)), (4, 20, 4, 0.2, 0)),
        (image_row("inverted", of(~A), of(A)), (4, 16, 0, 0, -1)),
    ],
    ids=lambda value: value.case_id if isinstance(value, ImageRow) else "",
)
def test_pixel_scores_by_hand(row: ImageRow, expected: tuple[float, ...]) -> None:
    assert [getattr(row, name) for name in (*PIXELS, "iou", "mcc")] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("row", "shares"),
    [
        (ROWS[0], {}),
        (ROWS[1], {"missed": 0.5}),
        (ROWS[2], {"called_authentic": 1}),
        (ROWS[3], {}),
        (ROWS[4], {"false_alarm": 1}),
        (image_row("excess", of(A, B), of(A)), {"excess": 0.5}),
        (image_row("coarse", of(A | B), of(A)), {"mask_quality": 0.2}),
    ],
    ids=lambda value: value.case_id if isinstance(value, ImageRow) else "",
)
def test_budget_of_a_row_by_hand(row: ImageRow, shares: dict[str, float]) -> None:
    found = {name: getattr(row, name) for name in report.BUDGET}
    assert found == pytest.approx({**dict.fromkeys(report.BUDGET, 0), **shares})
    assert sum(found.values()) == pytest.approx(1 - row.of1)


def test_what_was_said_and_known_of_a_row() -> None:
    assert [row.answer for row in ROWS] == ["forged", "forged", "authentic", "authentic", "forged"]
    assert [row.kind for row in ROWS] == ["splice", "", "", "", ""]
    assert {(row.height, row.width) for row in ROWS} == {SIZE}


def test_size_comes_from_either_side_or_is_unknown() -> None:
    row = report.image_row("1", Answer(SIZE, of(A)), Truth(ANY_SIZE, None))
    assert (row.height, row.width, row.predicted_pixels, row.false_alarm) == (*SIZE, 4, 1)
    row = report.image_row("1", Answer(ANY_SIZE, None), Truth(SIZE, of(A)))
    assert (row.height, row.width, row.true_pixels, row.called_authentic) == (*SIZE, 4, 1)
    row = report.image_row("1", Answer(ANY_SIZE, Instances(ANY_SIZE, (np.array([[0, 4]]),))), Truth(ANY_SIZE, None))
    assert (row.height, row.width, row.predicted_pixels, row.of1, row.mcc) == (0, 0, 4, 0, 0)


def test_auc_of_the_heat_map() -> None:
    heat = np.linspace(0.9, 0, 20, dtype=np.float32).reshape(SIZE)

    def auc(heatmap: np.ndarray | None, *true: np.ndarray) -> float:
        return report.image_row("1", Answer(SIZE, None, heatmap=heatmap), Truth(SIZE, of(*true))).pixel_auc

    assert auc(heat, region((0, 0)), region((0, 1))) == 1
    assert auc(heat, region((3, 4))) == 0
    assert auc(heat, region((0, 1))) == pytest.approx(18 / 19)
    assert auc(np.zeros(SIZE), A) == 0.5
    assert math.isnan(auc(None, A)) and math.isnan(auc(heat, np.ones(SIZE))) and math.isnan(auc(heat, np.zeros(SIZE)))
    assert math.isnan(report.image_row("1", Answer(SIZE, None, heatmap=heat), Truth(SIZE, None)).pixel_auc)


@pytest.mark.parametrize("size", [SIZE, ANY_SIZE])
@pytest.mark.parametrize("said", ["authentic", "forged"])
def test_said_of_all_is_the_row_of_the_trivial_answer(said: str, size: tuple[int, int]) -> None:
    truths = [None] if size == ANY_SIZE else [of(A), of(A, B), of(B, A | B), None, of(np.ones(SIZE))]
    check_said_of_all(said, size, truths)


@pytest.mark.parametrize(
    "said",
    [
        "authentic",
        "forged",
    ],
)
def test_said_of_all_of_a_forged_image_without_an_instance(said: str) -> None:
    check_said_of_all(said, SIZE, [Instances(SIZE)])


@pytest.mark.parametrize("said", ["authentic", "forged"])
def test_said_of_all_of_a_true_instance_without_a_pixel(said: str) -> None:
    check_said_of_all(said, SIZE, [of(np.zeros(SIZE)), of(A, np.zeros(SIZE))])


def check_said_of_all(said: str, size: tuple[int, int], truths: list[Instances | None]) -> None:
    """Every field that the trivial answer has, from rows of another answer; the shares add up to 1 - oF1."""
    runs = {"authentic": None, "forged": Instances(size, (np.array([[0, size[0] * size[1]]]),))}[said]
    flat = np.full(SIZE, 0.5, np.float32) if size == SIZE else None
    rows = [report.image_row(str(i), Answer(size, of(B), 0.7), Truth(size, true)) for i, true in enumerate(truths)]
    real = [Answer(size, runs, heatmap=flat) for _ in truths]
    expected = [report.image_row(str(i), real[i], Truth(size, true)) for i, true in enumerate(truths)]
    for found, one in zip(report.said_of_all(rows, said), expected, strict=True):
        defined = {name: value for name, value in asdict(one).items() if value == value}
        assert {name: asdict(found)[name] for name in defined} == pytest.approx(defined)
        assert set(asdict(one)) - set(defined) <= {"image_score", "pixel_auc"}
        assert math.isnan(found.image_score) and found.pixel_auc == 0.5
        assert sum(getattr(found, name) for name in report.BUDGET) == pytest.approx(1 - found.of1)


def test_a_row_of_an_answer_that_says_only_whether() -> None:
    row = report.without_regions(ROWS[1])
    unknown = {name for name, value in asdict(row).items() if value != value}
    assert unknown == {"of1", "dice", "iou", "recall", "precision", "mcc", "pixel_auc", *report.BUDGET}
    kept = {name: value for name, value in asdict(ROWS[1]).items() if name not in unknown}
    assert {name: asdict(row)[name] for name in kept} == kept
    assert report.said_of_all([row], "forged")[0].dice == report.said_of_all([ROWS[1]], "forged")[0].dice
    back = json.loads(report.to_json(report.summary([row]), [row]))
    assert back["of1_mean"] is back["rows"][0]["of1"] is back["error_budget"]["missed"] is None
    assert back["missed_rate"] == 0


def test_counts_of_instances() -> None:
    assert [(row.predicted_instances, row.true_instances) for row in ROWS] == [(1, 1), (1, 2), (0, 1), (0, 0), (1, 0)]


def test_union_of_overlapping_instances_is_counted_once() -> None:
    row = image_row("twice", of(A, A | B), of(A, B))
    assert (row.dice, row.recall, row.precision) == (1, 1, 1)
    assert row.of1 == pytest.approx((1 + 4 / 8) / 2)


def test_forged_without_a_region_is_not_authentic() -> None:
    row = image_row("empty", Instances(SIZE), None)
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


def test_error_budget_of_a_summary_adds_up() -> None:
    found = report.summary(ROWS)
    assert found["error_budget"] == pytest.approx(
        {"false_alarm": 0.2, "called_authentic": 0.2, "missed": 0.1, "excess": 0, "mask_quality": 0}
    )
    table = report.budget(found)
    assert [line.split()[-2:] for line in table[1:4]] == [["0.2000", "40.0%"], ["0.2000", "40.0%"], ["0.1000", "20.0%"]]
    assert len(table) == 1 + len(report.BUDGET)
    perfect = report.budget(report.summary(ROWS[3:4]))
    assert perfect[0].startswith("error budget: 1 - oF1 = 0.0000") and "%" not in "".join(perfect)
    assert report.budget(report.summary(())) == []


def test_baselines_are_what_saying_the_same_of_every_image_would_score() -> None:
    truths = [of(A), of(A, B), of(B), None, None]
    everything = of(np.ones(SIZE, bool))
    found = report.summary(ROWS)
    for name, answer in (("baseline_all_authentic", None), ("baseline_all_forged", everything)):
        said = [image_row(str(i), answer, truth) for i, truth in enumerate(truths)]
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
            (image_row("all", of(np.ones(SIZE, bool)), of(A)),),
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
    assert f"contract: {report.CONTRACT}" in printed
    assert "error budget: 1 - oF1 = 0.5000, lost to" in printed
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
    assert list(back) == [*found, "rows"] and list(back["rows"][0]) == list(ImageRow.__dataclass_fields__)
    assert [row["case_id"] for row in back["rows"]] == ["found", "half", "missed", "clean", "alarm"]
    assert [row["image_score"] for row in back["rows"]] == [0.9, 0.4, 0.1, 0.2, None]


def test_json_and_csv_of_numpy_scores() -> None:
    """Scores come out of arrays; a float32 would stop json.dumps."""
    row = image_row("1", of(A), of(A), float(np.float32(0.5)))
    assert json.loads(report.to_json(report.summary([row]), [row]))["rows"][0]["of1"] == 1.0


def test_json_of_intervals_and_of_what_is_not_defined() -> None:
    numbers = {"ap": Interval(0.5, math.nan, math.inf, 1), "deep": [{"x": (-math.inf, 1, "nan", None, True)}]}
    text = report.to_json({"numbers": numbers}, ())
    back = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))
    assert back["numbers"]["ap"] == {"value": 0.5, "low": None, "high": None, "count": 1}
    assert back["numbers"]["deep"] == [{"x": [None, 1, "nan", None, True]}]
    assert back["rows"] == []


@pytest.mark.parametrize("case", ["=1+1", "@SUM(A1)", "+1", "-1", "'=1", "\t=1"])
def test_no_cell_is_a_formula(case: str) -> None:
    (row,) = csv.DictReader(io.StringIO(report.to_csv([replace(ROWS[0], case_id=case, kind=case, mcc=-0.5)])))
    assert row["case_id"] == row["kind"] == f"'{case}"
    assert row["mcc"] == "-0.5"


def test_csv_has_one_line_per_image() -> None:
    odd = replace(ROWS[0], case_id='a,"b"\nc')
    back = list(csv.DictReader(io.StringIO(report.to_csv((*ROWS, odd)))))
    assert [row["case_id"] for row in back] == ["found", "half", "missed", "clean", "alarm", odd.case_id]
    assert float(back[1]["recall"]) == ROWS[1].recall
    assert back[2]["label"] == "forged" and back[3]["true_instances"] == "0"
    assert report.to_csv(()).startswith("case_id,label,answer,kind,height,width,")
