"""Every score with its interval: values as computed directly, strata that part the images, baselines, no NaN in print."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgery_rcnn import numbers, ranking
from forgery_rcnn.average_precision import average_precision, coco_image
from forgery_rcnn.bootstrap import Interval, Resampling
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.numbers import Scored, collect, intervals
from forgery_rcnn.report import ImageRow, image_row, said_of_all

SIZE = (10, 20)
HOW = Resampling(50)
NONE = Resampling(0)


def of(*boxes: tuple[int, int, int, int], size: tuple[int, int] = SIZE) -> Instances:
    """One instance for each y0 y1 x0 x1."""
    masks = np.zeros((len(boxes), *size), bool)
    for mask, (y0, y1, x0, x1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return Instances.from_masks(masks)


A, B, C = (0, 2, 0, 2), (4, 8, 10, 20), (9, 10, 0, 1)  # 4, 40 and 1 of 200 pixels


def heat(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(SIZE).astype(np.float32)


def said(instances: Instances | None, score: float, seed: int) -> Answer:
    count = 0 if instances is None else len(instances)
    return Answer(SIZE, instances, score, scores=np.linspace(0.9, 0.5, count, dtype=np.float32), heatmap=heat(seed))


IMAGES = (
    ("found", said(of(A), 0.9, 0), Truth(SIZE, of(A), "splice")),
    ("half", said(of(A, C), 0.7, 1), Truth(SIZE, of(A, B), "copy-move")),
    ("missed", said(None, 0.3, 2), Truth(SIZE, of(B), "splice")),
    ("many", said(of(B, A, C), 0.8, 3), Truth(SIZE, of(A, B, C, (5, 6, 5, 6)))),
    ("clean", said(None, 0.1, 4), Truth(SIZE, None)),
    ("alarm", said(of(B), 0.75, 5), Truth(SIZE, None)),
)
SCORED = collect(IMAGES)
PARTS = {
    "all": SCORED,
    "forged": SCORED.only(range(4)),
    "authentic": SCORED.only([4, 5]),
    "one forged": SCORED.only([0]),
    "one authentic": SCORED.only([4]),
    "none": SCORED.only([]),
}


def each_part(function: Callable) -> Callable:
    return pytest.mark.parametrize("part", [pytest.param(part, id=name) for name, part in PARTS.items()])(function)


# Collecting


def test_collect_keeps_one_row_and_one_coco_image_each() -> None:
    assert SCORED.rows == [image_row(*image) for image in IMAGES]
    assert [len(image.true.counts) for image in SCORED.coco] == [1, 2, 1, 4, 0, 0]
    assert [image.scores.tolist() for image in SCORED.coco[:2]] == [[pytest.approx(0.9)], pytest.approx([0.9, 0.5])]


def test_a_part_keeps_rows_and_coco_images_together() -> None:
    part = SCORED.only([3, 0])
    assert [row.case_id for row in part.rows] == ["many", "found"]
    assert part.coco[0] is SCORED.coco[3] and part.coco[1] is SCORED.coco[0]
    assert Scored(SCORED.rows).only([1]) == Scored([SCORED.rows[1]])


@pytest.mark.parametrize(
    "predicted", [None, Instances(ANY_SIZE), Instances(ANY_SIZE, (np.array([[0, 3]]), np.array([[5, 2**31]])))]
)
def test_authentic_images_of_unknown_size_are_collected(predicted: Instances | None) -> None:
    alone = collect([("x", Answer(ANY_SIZE, predicted), Truth(ANY_SIZE, None))])
    (row,) = alone.rows
    assert (row.label, row.height, row.width, row.of1) == ("authentic", 0, 0, float(predicted is None))
    together = Scored([*SCORED.rows, *alone.rows], [*SCORED.coco, *alone.coco])
    found = intervals(together, HOW)
    wrong = 0 if predicted is None else len(predicted)
    assert len(alone.coco[0].predicted.counts) == wrong
    assert found["mask_ap"].value <= intervals(SCORED, NONE)["mask_ap"].value
    assert numbers.strata(together.rows)["longer side"]["unknown"] == [6]
    assert "nan" not in "\n".join(numbers.lines(found, together))


def test_predictions_on_an_image_of_unknown_size_count_as_false_positives() -> None:
    """Ranked first, the wrong one halves the precision at every recall."""
    right = ("a", Answer(SIZE, of(A), scores=np.array([0.5])), Truth(SIZE, of(A)))
    wrong = ("b", Answer(SIZE, Instances(ANY_SIZE, of(B).runs), scores=np.array([0.9])), Truth(ANY_SIZE, None))
    assert intervals(collect([right]), NONE)["mask_ap50"].value == pytest.approx(1)
    assert intervals(collect([right, wrong]), NONE)["mask_ap50"].value == pytest.approx(0.5)


# Values


def test_pixel_scores_are_means_over_images() -> None:
    found = intervals(SCORED, NONE)
    for name in numbers.PIXELS:
        for suffix, rows in (("", SCORED.rows), ("_forged", SCORED.rows[:4])):
            values = [getattr(row, name) for row in rows if not math.isnan(getattr(row, name))]
            assert found[name + suffix].value == pytest.approx(sum(values) / len(values)), name + suffix
            assert found[name + suffix].count == len(values)
    assert found["of1"].value == pytest.approx((1 + 0.5 + 0 + 0.75 + 1 + 0) / 6)
    assert found["dice"].value == pytest.approx((1 + 8 / 49 + 0 + 90 / 91 + 1 + 0) / 6)
    assert found["iou_forged"].value == pytest.approx((1 + 4 / 45 + 0 + 45 / 46) / 4)
    assert found["recall_forged"].value == pytest.approx((1 + 4 / 44 + 0 + 45 / 46) / 4)
    assert found["precision"].value == pytest.approx((1 + 4 / 5 + 0 + 1 + 1 + 0) / 6)
    assert found["pixel_auc"].count == 4  # an authentic image has one class of pixels only


def test_calls_by_hand() -> None:
    """3 of 4 forged images found, 1 of 2 authentic ones flagged."""
    found = {name: interval.value for name, interval in intervals(SCORED, NONE).items()}
    assert found["f1"] == pytest.approx(6 / 8)
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert (found["false_alarm_rate"], found["missed_rate"]) == (0.5, 0.25)


def test_image_scores_by_hand() -> None:
    """Forged .9 .7 .3 .8 against authentic .1 .75: 6 of 8 pairs in order."""
    found = {name: interval.value for name, interval in intervals(SCORED, NONE).items()}
    assert found["image_auc"] == 6 / 8
    assert found["false_alarms_at_95_recall"] == 0.5
    assert found["recall_at_5_false_alarms"] == 0.5
    scores, positive = np.array([0.9, 0.7, 0.3, 0.8, 0.1, 0.75]), np.arange(6) < 4
    for name, measure in numbers.RANKED.items():
        assert found[name] == measure(scores, positive)


def test_one_unknown_image_score_leaves_their_ranking_unknown() -> None:
    rows = [*SCORED.rows[:5], replace(SCORED.rows[5], image_score=math.nan)]
    found = intervals(Scored(rows), HOW)
    assert all(math.isnan(found[name].value) and math.isnan(found[name].low) for name in numbers.RANKED)
    assert found["f1"].value == pytest.approx(6 / 8)
    assert not any(
        numbers.IMAGES[name] in line for line in numbers.lines(found, Scored(rows)) for name in numbers.RANKED
    )


def test_average_precision_of_masks_and_boxes() -> None:
    found = intervals(SCORED, NONE)
    for kind, name in (("segm", "mask"), ("bbox", "box")):
        table = average_precision(SCORED.coco, kind)
        assert (found[f"{name}_ap"].value, found[f"{name}_ap50"].value) == (table.ap, table.ap50)
        assert found[f"{name}_ap75"].value == table.ap75
        assert 0 < table.ap < 1
    assert not set(numbers.AP) & set(intervals(Scored(SCORED.rows), NONE))


def test_the_detectors_own_boxes_are_used() -> None:
    boxes = np.array([[0.0, 0.0, 20.0, 10.0]], np.float32)  # far larger than the mask
    image = ("a", Answer(SIZE, of(A), boxes=boxes), Truth(SIZE, of(A)))
    found = intervals(collect([image]), NONE)
    assert (found["mask_ap"].value, found["box_ap"].value) == (pytest.approx(1), 0)


def test_average_precision_takes_what_coco_image_makes_of_the_answer() -> None:
    direct = coco_image(of(A, C), of(A, B), np.array([0.9, 0.5], np.float32))
    assert SCORED.coco[1].predicted.counts == direct.predicted.counts
    assert (SCORED.coco[1].predicted.boxes == direct.predicted.boxes).all()


# Intervals


def test_no_resamples_no_bounds() -> None:
    for name, found in intervals(SCORED, NONE).items():
        assert math.isnan(found.low) and math.isnan(found.high), name
        assert not math.isnan(found.value), name


def test_bounds_hold_the_value_and_stay_in_range() -> None:
    for name, found in intervals(SCORED, Resampling(400)).items():
        if found.count > 1:
            assert found.low <= found.value <= found.high, name
            assert -1 <= found.low <= found.high <= 1, name


def test_the_same_seed_draws_the_same_intervals() -> None:
    first, again, other = (intervals(SCORED, Resampling(200, seed)) for seed in (3, 3, 4))
    assert first == again != other
    assert {name: found.value for name, found in first.items()} == {name: found.value for name, found in other.items()}


def test_an_interval_does_not_depend_on_what_else_is_measured() -> None:
    alone = intervals(Scored(SCORED.rows), HOW)
    assert {name: found for name, found in intervals(SCORED, HOW).items() if name in alone} == alone
    assert intervals(PARTS["forged"], HOW)["dice"] == intervals(SCORED, HOW)["dice_forged"]


def test_calls_are_drawn_as_images_are() -> None:
    """The multinomial short cut against drawing images: the bounds of 600 images agree within the noise of resampling."""
    rows = [SCORED.rows[i] for i in np.random.default_rng(0).integers(0, 6, 600)]
    called, positive = (np.array([getattr(row, name) == "forged" for row in rows]) for name in ("answer", "label"))
    how = Resampling(2000)
    found = intervals(Scored(rows), how)["f1"]

    def f1(index: np.ndarray) -> float:
        return float(ranking.call_rates(np.array(ranking.confusion(called[index], positive[index])))["f1"])

    drawn = how.of(f1, len(rows))
    assert found.value == drawn.value
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=0.006)
    assert 0.03 < found.high - found.low < 0.12


@each_part
def test_one_class_or_no_image_gives_nan_and_no_error(part: Scored) -> None:
    found = intervals(part, HOW)
    labels = {row.label for row in part.rows}
    assert math.isnan(found["image_auc"].value) == (len(labels) < 2)
    assert math.isnan(found["missed_rate"].value) == math.isnan(found["of1_forged"].value) == ("forged" not in labels)
    assert math.isnan(found["false_alarm_rate"].value) == ("authentic" not in labels)
    assert math.isnan(found["of1"].value) == (not labels)
    if part.coco:
        assert math.isnan(found["mask_ap"].value) == ("forged" not in labels)
    for name, interval in found.items():
        assert not math.isnan(interval.value) or (math.isnan(interval.low) and math.isnan(interval.high)), name


# Strata


def row(true: int, height: int, width: int, count: int = 1, kind: str = "") -> ImageRow:
    label = "forged" if count else "authentic"
    return replace(
        SCORED.rows[0], label=label, true_pixels=true, height=height, width=width, true_instances=count, kind=kind
    )


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
    found = numbers.strata(images)[title]
    assert found == expected and list(found) == list(expected)


@pytest.mark.parametrize("kind", ["1.5.2", "²", " "])
def test_any_text_is_a_kind(kind: str) -> None:
    assert numbers.strata([row(1, 9, 9, kind=kind), row(1, 9, 9, kind="x")])["kind"] == {kind: [0], "x": [1]}


def test_kinds_are_told_apart_only_where_one_is_known() -> None:
    assert list(numbers.strata([row(1, 9, 9), row(0, 9, 9, 0)])) == ["forged area", "true instances", "longer side"]
    assert list(numbers.strata(SCORED.rows))[-1] == "kind"


images = st.builds(
    lambda count, share, height, width, kind: row(
        max(1, int(share * height * width)) if count else 0, height, width, count, kind
    ),
    st.integers(0, 5),
    st.floats(0, 1),
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from(["", "", "splice", "2 copies", "1.5 x", "authentic"]),
)


@given(st.lists(images, min_size=1, max_size=12))
def test_strata_part_the_images(rows: list[ImageRow]) -> None:
    for groups in numbers.strata(rows).values():
        assert sorted(i for index in groups.values() for i in index) == list(range(len(rows)))
        assert all(index == sorted(index) and index for index in groups.values())


def test_each_stratum_has_the_numbers_of_its_images() -> None:
    found = numbers.by_stratum(SCORED, HOW)
    for title, groups in numbers.strata(SCORED.rows).items():
        assert list(found[title]) == list(groups)
        for name, index in groups.items():
            part = SCORED.only(index)
            assert str(found[title][name]["numbers"]) == str(intervals(part, HOW))
            assert found[title][name]["images"] == len(index)
            assert found[title][name]["baseline_all_authentic"] == np.mean([i >= 4 for i in index])
            assert found[title][name]["baseline_all_forged"] == np.mean([r.all_forged for r in part.rows])


# Trivial baselines


def trivially(answer: str, rows: Sequence[ImageRow]) -> list[ImageRow]:
    """The rows of really answering so: every image authentic, or one region of all its pixels, with the same score."""
    truths = {case: truth for case, _, truth in IMAGES}
    out = []
    for known in rows:
        truth = truths[known.case_id]
        everything = Instances(truth.size, (np.array([[0, math.prod(truth.size)]]),))
        instances = everything if answer == "forged" else None
        said = Answer(truth.size, instances, 0.5, heatmap=np.full(truth.size, 0.5, np.float32))
        out.append(image_row(known.case_id, said, truth))
    return out


@pytest.mark.parametrize("name", ["all", "forged", "authentic", "one forged", "one authentic"])
def test_trivial_numbers_are_those_of_really_answering_so(name: str) -> None:
    found = numbers.trivial(PARTS[name].rows)
    assert list(found) == ["authentic", "forged"]
    for answer, values in found.items():
        direct = intervals(Scored(trivially(answer, PARTS[name].rows)), NONE)
        for key in (*numbers.PIXELS, *numbers.IMAGES):
            if math.isnan(direct[key].value):
                assert key in ("pixel_auc", "image_auc") or math.isnan(values[key]), key
            elif key not in ("false_alarms_at_95_recall", "recall_at_5_false_alarms"):
                assert values[key] == pytest.approx(direct[key].value), (answer, key)


def test_trivial_rows_are_those_of_really_answering_so() -> None:
    for answer in ("authentic", "forged"):
        for mine, real in zip(said_of_all(SCORED.rows, answer), trivially(answer, SCORED.rows), strict=True):
            for key in ("answer", "predicted_instances", "predicted_pixels", "common_pixels", *numbers.PIXELS):
                if key != "pixel_auc":
                    assert getattr(mine, key) == pytest.approx(getattr(real, key)), (answer, real.case_id, key)


def test_trivial_numbers_of_no_image_are_unknown() -> None:
    found = numbers.trivial([])
    assert all(math.isnan(values["of1"]) and math.isnan(values["f1"]) for values in found.values())


# Print


@each_part
def test_no_nan_is_printed(part: Scored) -> None:
    for how in (HOW, NONE):
        found = intervals(part, how)
        printed = "\n".join([*numbers.lines(found, part), *numbers.stratum_lines(numbers.by_stratum(part, how))])
        assert "nan" not in printed.lower().replace("instan", "")


@pytest.mark.parametrize("name", ["all", "forged", "authentic", "one forged"])
def test_no_nan_is_printed_of_calls(name: str) -> None:
    part = PARTS[name]
    assert "nan" not in "\n".join(numbers.image_lines(intervals(part, HOW), part.rows))


def test_no_nan_is_printed_of_calls_that_are_all_authentic_and_right() -> None:
    part = PARTS["one authentic"]
    assert "nan" not in "\n".join(numbers.image_lines(intervals(part, HOW), part.rows))


@pytest.mark.parametrize("name", ["f1", "mask_ap"])
def test_one_image_is_too_few_for_any_interval(name: str) -> None:
    found = intervals(PARTS["one forged"], HOW)
    assert math.isnan(found["of1"].low) and math.isnan(found[name].low)


def test_lines_show_values_beside_the_baselines() -> None:
    found = intervals(SCORED, HOW)
    table = numbers.lines(found, SCORED)
    (line,) = (line for line in table if line.startswith("  oF1 "))
    forged = f"{(8 / 204 + 80 / 240 * (1 / 2 + 1 + 1 / 4)) / 6:.4f}"
    assert line.split() == ["oF1", *str(found["of1"]).split(), *str(found["of1_forged"]).split(), "0.3333", forged]
    (line,) = (line for line in table if "authentic images flagged" in line)
    assert line.endswith("    0.0000    1.0000") and str(found["false_alarm_rate"]) in line
    assert [title for title in numbers.AP.values() if not any(title in line for line in table)] == []
    assert "instances, COCO AP" in table  # the instances are ranked


def test_that_nothing_is_ranked_is_said() -> None:
    plain = collect((case, replace(answer, scores=None), truth) for case, answer, truth in IMAGES)
    (line,) = (line for line in numbers.lines(intervals(plain, NONE), plain) if line.startswith("instances, COCO AP"))
    assert "no instance is ranked above another" in line
    bare = Scored(plain.rows)
    assert not any("COCO" in line for line in numbers.lines(intervals(bare, NONE), bare))


def test_what_is_not_known_is_left_out() -> None:
    bare = collect((case, Answer(SIZE, answer.instances), truth) for case, answer, truth in IMAGES)
    printed = "\n".join(numbers.lines(intervals(bare, HOW), bare))
    for name in ("pixel_auc", *numbers.RANKED):
        assert {**numbers.PIXELS, **numbers.IMAGES}[name] not in printed
    assert numbers.IMAGES["f1"] in printed


def test_lines_of_calls_end_with_a_verdict() -> None:
    table = numbers.image_lines(intervals(SCORED, HOW), SCORED.rows)
    assert table[0] == "images 6 (forged 4, authentic 2)"
    assert "  baseline: every image called forged: F1 0.8000" in table
    assert table[-1] == "verdict: F1 is 0.0500 BELOW calling every image forged"
    better = SCORED.only([0, 1, 3, 4])
    assert numbers.image_lines(intervals(better, NONE), better.rows)[-1].startswith(
        "verdict: F1 is 0.1429 above calling"
    )


def test_lines_of_strata() -> None:
    table = numbers.stratum_lines(numbers.by_stratum(SCORED, HOW))
    heads = [line.split("  ")[0] for line in table if line.startswith("by ")]
    assert heads == ["by forged area", "by true instances", "by longer side", "by kind"]
    (line,) = (line for line in table if line.startswith("  splice "))
    interval = intervals(SCORED.only([0, 2]), HOW)["of1"]
    assert line.split() == [
        "splice",
        "2",
        *str(interval).split(),
        "0.0000",
        f"{(8 / 204 + 80 / 240) / 2:.4f}",
        "0.5000",
        "0.5000",
    ]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=10), st.integers(0, 5))
def test_any_choice_of_images_can_be_measured_and_printed(index: list[int], seed: int) -> None:
    part = SCORED.only(index)
    found = intervals(part, Resampling(5, seed))
    assert all(isinstance(interval, Interval) for interval in found.values())
    assert "nan" not in "\n".join(numbers.lines(found, part))
