"""Every score with its interval: values as computed directly, the same in any order of the images; baselines; no NaN in print."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgery_rcnn import numbers, ranking, rle
from forgery_rcnn.average_precision import CocoImage, average_precision, coco_image
from forgery_rcnn.bootstrap import Interval, Resampling, wilson
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.numbers import Scored, collect, intervals
from forgery_rcnn.report import image_row, without_regions

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
    return Answer(SIZE, instances, score, scores=np.linspace(score, score / 2, count), heatmap=heat(seed))


Image = tuple[str, Answer, Truth]
IMAGES: tuple[Image, ...] = (
    ("found", said(of(A), 0.9, 0), Truth(SIZE, of(A), "splice")),
    ("half", said(of(A, C), 0.7, 1), Truth(SIZE, of(A, B), "copy-move")),
    ("missed", said(None, 0.3, 2), Truth(SIZE, of(B), "splice")),
    ("many", said(of(B, A, C), 0.8, 3), Truth(SIZE, of(A, B, C, (5, 6, 5, 6)))),
    ("clean", said(None, 0.1, 4), Truth(SIZE, None)),
    ("alarm", said(of(B), 0.75, 5), Truth(SIZE, None)),
)
SCORED = collect(IMAGES)
PLAIN = tuple((case, replace(answer, scores=None), truth) for case, answer, truth in IMAGES)  # scored by the image
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


def direct(images: Iterable[Image]) -> list[CocoImage]:
    """What COCO is to be given of each."""
    return [
        coco_image(answer.instances or Instances(SIZE), truth.instances or Instances(SIZE), answer.scores, answer.boxes)
        for _, answer, truth in images
    ]


def printed(part: Scored, how: Resampling = NONE) -> list[str]:
    return numbers.lines(intervals(part, how), numbers.trivial(part), "ranked")


# Collecting


def test_collect_keeps_a_row_and_the_matches_of_each_image() -> None:
    assert SCORED.rows == [image_row(*image) for image in IMAGES]
    assert SCORED.index.tolist() == [0, 1, 2, 3, 4, 5]
    for kind, table in SCORED.tables.items():
        assert table.true_counts.tolist() == SCORED.everything[kind].true_counts.tolist() == [1, 2, 1, 4, 0, 0]
        assert table.image.tolist() == [0, 3, 5, 1, 3, 3, 1]
        assert table.score == pytest.approx([0.9, 0.8, 0.75, 0.7, 0.6, 0.4, 0.35])
        assert sorted(SCORED.everything[kind].image) == [0, 1, 2, 3, 4, 5]
    assert SCORED.tables["mask"].hits[0].tolist() == [True, True, False, True, True, True, False]


def test_a_part_keeps_rows_and_matches_together() -> None:
    part = SCORED.only([3, 0])
    assert [row.case_id for row in part.rows] == ["many", "found"]
    assert part.index.tolist() == [3, 0] and part.only([1]).index.tolist() == [0]
    found, alone = intervals(part, NONE), intervals(collect([IMAGES[3], IMAGES[0]]), NONE)
    assert {name: found[name].value for name in numbers.AP} == pytest.approx(
        {name: alone[name].value for name in numbers.AP}, abs=1e-12
    )
    assert found["mask_ap50"].value != intervals(SCORED, NONE)["mask_ap50"].value


def test_a_part_of_what_has_no_regions_is_its_rows() -> None:
    part = Scored(SCORED.rows).only([1])
    assert part.rows == [SCORED.rows[1]] and not part.tables and not len(part.index)


def test_of_no_image_nothing_is_kept() -> None:
    none = collect([])
    assert not none.rows and not none.tables and not none.only([]).rows


@pytest.mark.parametrize(
    "predicted",
    [
        None,
        Instances(ANY_SIZE),
        Instances(ANY_SIZE, (np.array([[0, 3]]), np.array([[5, 2**31]]))),
        Instances(ANY_SIZE, (np.array([[2**50, 9]]), rle.EMPTY)),
    ],
)
def test_authentic_images_of_unknown_size_are_collected(predicted: Instances | None) -> None:
    image = ("x", Answer(ANY_SIZE, predicted), Truth(ANY_SIZE, None))
    alone, together = collect([image]), collect([*IMAGES, image])
    (row,) = alone.rows
    assert (row.label, row.height, row.width, row.of1) == ("authentic", 0, 0, float(predicted is None))
    wrong = 0 if predicted is None else len(predicted)
    assert alone.tables["mask"].image.tolist() == [0] * wrong and not alone.tables["mask"].hits.any()
    value = intervals(together, NONE)["mask_ap"].value
    assert (value < intervals(SCORED, NONE)["mask_ap"].value) == (wrong > 0)
    assert "nan" not in "\n".join(printed(together, HOW))


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
    scored = Scored([*SCORED.rows[:5], replace(SCORED.rows[5], image_score=math.nan)])
    found = intervals(scored, HOW)
    assert all(math.isnan(found[name].value) and math.isnan(found[name].low) for name in numbers.RANKED)
    assert found["f1"].value == pytest.approx(6 / 8)
    assert not any(numbers.IMAGES[name] in line for line in printed(scored, HOW) for name in numbers.RANKED)


def test_average_precision_of_masks_and_boxes() -> None:
    found = intervals(SCORED, NONE)
    for kind, name in (("segm", "mask"), ("bbox", "box")):
        table = average_precision(direct(IMAGES), kind)
        assert (found[f"{name}_ap"].value, found[f"{name}_ap50"].value) == (table.ap, table.ap50)
        assert found[f"{name}_ap75"].value == table.ap75
        assert 0 < table.ap < 1
    assert not set(numbers.AP) & set(intervals(Scored(SCORED.rows), NONE))


def test_the_detectors_own_boxes_are_used() -> None:
    boxes = np.array([[0.0, 0.0, 20.0, 10.0]], np.float32)  # far larger than the mask
    image = ("a", Answer(SIZE, of(A), boxes=boxes), Truth(SIZE, of(A)))
    found = intervals(collect([image]), NONE)
    assert (found["mask_ap"].value, found["box_ap"].value) == (pytest.approx(1), 0)


def test_equal_scores_are_one_operating_point_and_not_the_librarys_order() -> None:
    right, wrong = ("a", Answer(SIZE, of(A)), Truth(SIZE, of(A))), ("b", Answer(SIZE, of(B)), Truth(SIZE, None))
    library = [average_precision(direct(images), "segm").ap for images in ((right, wrong), (wrong, right))]
    assert library == pytest.approx([1, 0.5])
    for images in ((right, wrong), (wrong, right)):
        assert intervals(collect(images), NONE)["mask_ap"].value == pytest.approx(0.5)


def test_without_scores_of_instances_that_of_the_image_ranks_them() -> None:
    apart = [IMAGES[0], ("alarm", replace(IMAGES[5][1], image_score=0.95), IMAGES[5][2])]
    plain = [(case, replace(answer, scores=None), truth) for case, answer, truth in apart]
    assert intervals(collect(plain), NONE)["mask_ap50"].value == pytest.approx(0.5)  # the wrong one is above
    assert intervals(collect([PLAIN[0], PLAIN[5]]), NONE)["mask_ap50"].value == pytest.approx(1)


# Order


def drawn_images(seed: int, tied: str) -> list[Image]:
    """20 of IMAGES, their instances' scores drawn anew; `tied`: from three values."""
    rng, out = np.random.default_rng(seed), []
    for i in rng.integers(0, 6, 20):
        _, answer, truth = IMAGES[i]
        scores = rng.random(0 if answer.instances is None else len(answer.instances))
        scores = np.ceil(3 * scores) / 4 if tied == "tied" else scores
        out.append((f"i{len(out)}", replace(answer, scores=scores, image_score=float(rng.random())), truth))
    return out


@pytest.mark.parametrize("tied", ["tied", "apart"])
@pytest.mark.parametrize("seed", range(4))
def test_no_number_depends_on_the_order_of_the_images(seed: int, tied: str) -> None:
    images = drawn_images(seed, tied)
    order = np.random.default_rng(seed).permutation(len(images))
    scored, shuffled = collect(images), collect([images[i] for i in order])
    assert scored.tables["mask"].tied() == (tied == "tied")
    values, others = ({name: one.value for name, one in intervals(part, NONE).items()} for part in (scored, shuffled))
    assert values == pytest.approx(others, abs=1e-12, nan_ok=True)
    assert {name: values[name] for name in numbers.AP} == {name: others[name] for name in numbers.AP}
    back = shuffled.only(np.argsort(order))
    assert back.rows == scored.rows
    assert repr(intervals(back, HOW)) == repr(intervals(scored, HOW))
    assert repr(numbers.trivial(back)) == repr(numbers.trivial(scored))


# Intervals


RATES = {"false_alarm_rate", "missed_rate"}


def test_no_resamples_no_bounds_but_those_that_need_none() -> None:
    for name, found in intervals(SCORED, NONE).items():
        assert not math.isnan(found.value), name
        assert math.isnan(found.low) == math.isnan(found.high) == (name not in RATES), name


def test_rates_of_the_calls_have_the_intervals_of_counts() -> None:
    for how in (NONE, HOW):
        found = intervals(SCORED, how)
        assert (found["false_alarm_rate"], found["missed_rate"]) == (wilson(1, 2), wilson(1, 4))
    clean = intervals(SCORED.only([4, 4, 4, 4]), HOW)["false_alarm_rate"]
    assert (clean.value, clean.low) == (0, 0) and 0.4 < clean.high < 0.6  # none of 4: still a width


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
    assert math.isnan(found["mask_ap"].value) == ("forged" not in labels)
    for name, interval in found.items():
        assert not math.isnan(interval.value) or (math.isnan(interval.low) and math.isnan(interval.high)), name


# Trivial baselines


def trivially(answer: str, part: Scored) -> list[Image]:
    """Really answering so: every image authentic, or one region of all its pixels, with the same score."""
    truths, out = {case: truth for case, _, truth in IMAGES}, []
    for row in part.rows:
        truth = truths[row.case_id]
        everything = Instances(truth.size, (np.array([[0, math.prod(truth.size)]]),))
        instances = everything if answer == "forged" else None
        out.append((row.case_id, Answer(SIZE, instances, 0.5, heatmap=np.full(SIZE, 0.5, np.float32)), truth))
    return out


@pytest.mark.parametrize("name", ["all", "forged", "authentic", "one forged", "one authentic"])
def test_trivial_numbers_are_those_of_really_answering_so(name: str) -> None:
    found = numbers.trivial(PARTS[name])
    assert list(found) == ["authentic", "forged"]
    for answer, values in found.items():
        real = {key: one.value for key, one in intervals(collect(trivially(answer, PARTS[name])), NONE).items()}
        names = {*numbers.PIXELS, *numbers.IMAGES, *numbers.AP}
        if math.isnan(real["pixel_auc"]):  # no image with pixels of both classes
            names.remove("pixel_auc")
        assert {key: values[key] for key in names} == pytest.approx({key: real[key] for key in names}, nan_ok=True)


def test_trivial_rankings_by_hand() -> None:
    """One score for all: a threshold flags every image or none."""
    for values in numbers.trivial(SCORED).values():
        share = np.mean([truth.instances is not None for _, _, truth in IMAGES])
        assert [values[name] for name in numbers.RANKED] == [0.5, share, 0.5, 1.0, 0.0]
    for name in ("forged", "one authentic"):
        assert all(
            math.isnan(values[key]) for values in numbers.trivial(PARTS[name]).values() for key in numbers.RANKED
        )


def test_trivial_average_precision_by_hand() -> None:
    """All pixels of the first image are true, of the second 40 of 200: one hit of two, in whatever order."""
    full = of((0, 10, 0, 20))
    images = [("a", Answer(SIZE, None), Truth(SIZE, of(B))), ("b", Answer(SIZE, None), Truth(SIZE, full))]
    for order in (images, images[::-1]):
        found = numbers.trivial(collect(order))
        assert found["forged"]["mask_ap"] == pytest.approx(51 / 101 / 2)
        assert found["authentic"]["mask_ap"] == 0
    found = numbers.trivial(collect(images).only([1]))
    assert (found["forged"]["mask_ap"], found["forged"]["box_ap75"]) == (pytest.approx(1), pytest.approx(1))


def test_trivial_numbers_of_no_image_are_unknown() -> None:
    for scored in (PARTS["none"], collect([])):
        for values in numbers.trivial(scored).values():
            assert all(math.isnan(value) for value in values.values())


# Print


@each_part
def test_no_nan_is_printed(part: Scored) -> None:
    for how in (HOW, NONE):
        assert "nan" not in "\n".join(printed(part, how)).lower().replace("instan", "")


@each_part
def test_no_nan_is_printed_of_calls(part: Scored) -> None:
    for scored in (part, Scored([without_regions(row) for row in part.rows])):
        table = numbers.image_lines(scored.rows, intervals(scored, HOW), numbers.trivial(scored))
        assert "nan" not in "\n".join(table)


@pytest.mark.parametrize("name", ["f1", "mask_ap"])
def test_one_image_is_too_few_for_any_interval(name: str) -> None:
    found = intervals(PARTS["one forged"], HOW)
    assert math.isnan(found["of1"].low) and math.isnan(found[name].low)


def test_lines_show_values_beside_the_baselines() -> None:
    found = intervals(SCORED, HOW)
    table = printed(SCORED, HOW)
    (line,) = (line for line in table if line.startswith("  oF1 "))
    forged = f"{(8 / 204 + 80 / 240 * (1 / 2 + 1 + 1 / 4)) / 6:.4f}"
    assert line.split() == ["oF1", *str(found["of1"]).split(), *str(found["of1_forged"]).split(), "0.3333", forged]
    (line,) = (line for line in table if "authentic images flagged" in line)
    assert line.endswith("    0.0000    1.0000") and str(found["false_alarm_rate"]) in line
    (line,) = (line for line in table if numbers.AP["mask_ap75"] in line)
    assert line.split()[-2:] == ["0.0000", "0.0000"] and str(found["mask_ap75"]) in line
    assert [title for title in numbers.AP.values() if not any(title in line for line in table)] == []


def test_that_scores_are_equal_is_said() -> None:
    plain = collect(PLAIN)
    found, alike = intervals(plain, NONE), numbers.trivial(plain)
    (line,) = (line for line in numbers.lines(found, alike, "tied") if "COCO" in line)
    assert line == "instances, COCO AP (equal scores are one operating point)"
    assert "instances, COCO AP" in numbers.lines(found, alike, "ranked")
    assert not any("COCO" in line for line in printed(Scored(plain.rows)))


def test_what_is_not_known_is_left_out() -> None:
    text = "\n".join(printed(collect((case, Answer(SIZE, said.instances), truth) for case, said, truth in IMAGES)))
    for name in ("pixel_auc", *numbers.RANKED):
        assert {**numbers.PIXELS, **numbers.IMAGES}[name] not in text
    assert numbers.IMAGES["f1"] in text


def image_lines(part: Scored) -> list[str]:
    return numbers.image_lines(part.rows, intervals(part, NONE), numbers.trivial(part))


def test_lines_of_calls_end_with_a_verdict() -> None:
    table = image_lines(SCORED)
    assert table[0] == "images 6 (forged 4, authentic 2)"
    alike = {line[2:36].strip(): line.split()[-2:] for line in table[2:-2]}
    assert list(alike) == list(numbers.IMAGES.values())
    assert alike[numbers.IMAGES["f1"]] == ["0.0000", "0.8000"]
    assert alike[numbers.IMAGES["image_auc"]] == ["0.5000", "0.5000"]
    assert alike[numbers.IMAGES["missed_rate"]] == ["1.0000", "0.0000"]
    assert table[-2] == f"contract: {numbers.IMAGE_CONTRACT}"
    assert table[-1] == "verdict: F1 is 0.0500 BELOW calling every image forged"


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([0, 1, 3, 4], "F1 is 0.1429 above calling every image forged"),
        ([0, 5], "no better and no worse than calling every image forged"),
        ([4], "no image is forged, and none was called so: there is no F1"),
        ([2, 4], "F1 is 0.6667 BELOW calling every image forged"),
    ],
)
def test_verdicts_of_calls(images: list[int], said: str) -> None:
    assert image_lines(SCORED.only(images))[-1] == f"verdict: {said}"


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=10), st.integers(0, 5))
def test_any_choice_of_images_can_be_measured_and_printed(index: list[int], seed: int) -> None:
    part = SCORED.only(index)
    assert all(isinstance(found, Interval) for found in intervals(part, Resampling(5, seed)).values())
    assert "nan" not in "\n".join(printed(part, Resampling(5, seed)))
