"""Metrics: the official scorer's answers, dense counting, brute force over all matchings, and the empty cases."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forgery_rcnn import metrics
from forgery_rcnn.instances import ANY_SIZE, Instances
from forgery_rcnn.metrics import ErrorBudget
from forgery_rcnn.rle import EMPTY, Runs, runs_of
from forgery_rcnn.submission import recodai
from tests.official_vectors import VECTORS

IMAGES = VECTORS["image"]
# Scored by the official scorer; our reader refuses the file (a length past the end, a misspelt `authentic`, an empty cell).
STRICTER = {
    "prediction out of range is clipped",
    "authentic label, prediction Authentic (case)",
    "authentic label, prediction with blank",
    "authentic label, missing prediction",
}
light = settings(max_examples=60, deadline=None)
small = st.tuples(st.integers(1, 6), st.integers(1, 6))


def pairs(least: int = 0, most: int = 4) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Two stacks of masks of one image."""
    counts = st.integers(least, most)
    return st.tuples(counts, counts, small).flatmap(
        lambda n: st.tuples(hnp.arrays(bool, (n[0], *n[2])), hnp.arrays(bool, (n[1], *n[2])))
    )


def of(*masks: Any) -> Instances:
    return Instances.from_masks(np.array(masks, bool))


def dense_f1(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * int((a & b).sum()) / int(a.sum() + b.sum()) if a.any() or b.any() else 0.0


def brute_force(predicted: np.ndarray, true: np.ndarray) -> float:
    """The best of all one-to-one matchings, each tried."""
    if len(predicted) > len(true):
        predicted, true = true, predicted
    sums = [
        sum(dense_f1(p, t) for p, t in zip(predicted, chosen, strict=True))
        for chosen in itertools.permutations(true, len(predicted))
    ]
    return max(sums) / len(true) if len(true) else 0.0


def side(text: Any, shape: Any) -> Instances | None:
    return recodai.parse(text, ANY_SIZE if shape == "authentic" else tuple(shape))


@pytest.mark.parametrize(
    "vector", [pytest.param(v, id=v["name"]) for v in IMAGES if "score" in v and v["name"] not in STRICTER]
)
def test_official_scores(vector: dict[str, Any]) -> None:
    predicted, true = (side(vector[name], vector["shape"]) for name in ("prediction", "label"))
    assert metrics.image_score(predicted, true) == pytest.approx(vector["score"], abs=1e-12)


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in IMAGES if isinstance(v["prediction"], str)])
def test_official_errors_and_what_only_we_refuse(vector: dict[str, Any], refused) -> None:
    if "error" in vector or vector["name"] in STRICTER:
        with refused():
            side(vector["prediction"], vector["shape"])
    else:
        side(vector["prediction"], vector["shape"])


@light
@given(pairs())
def test_intersections_are_those_counted_densely(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    found = metrics.intersections(Instances.from_masks(a).runs, Instances.from_masks(b).runs)
    assert found.dtype == np.int64
    assert np.array_equal(found, np.einsum("phw,ghw->pg", a.astype(int), b.astype(int)))


@pytest.mark.parametrize("seed", range(4))
def test_intersections_of_many_columns_that_overlap(seed: int) -> None:
    """Rectangles that overlap, nest, repeat, fill the image, or are empty: columns are taken apart until they are disjoint."""
    rng = np.random.default_rng(seed)
    stacks = []
    for count in (25, 30):
        masks = np.zeros((count, 40, 30), bool)
        for mask in masks[3:]:
            (y0, y1), (x0, x1) = np.sort(rng.integers(0, 41, 2)), np.sort(rng.integers(0, 31, 2))
            mask[y0:y1, x0:x1] = True
        masks[1] = True
        masks[2] = masks[-1]
        stacks.append(masks)
    found = metrics.intersections(*(Instances.from_masks(masks).runs for masks in stacks))
    assert np.array_equal(found, np.einsum("phw,ghw->pg", *(masks.astype(int) for masks in stacks)))


WRAPPING = np.array([[2, 3]])  # of a 4 x 3 image: the lower half of the first column, the top of the second


@pytest.mark.parametrize(
    ("rows", "columns", "common"),
    [
        ([WRAPPING], [np.array([[3, 1]]), np.array([[4, 1]]), np.array([[0, 2], [5, 7]])], [[1, 1, 0]]),
        ([np.array([[0, 12]]), EMPTY], [WRAPPING, np.array([[0, 12]]), WRAPPING, EMPTY], [[3, 12, 3, 0], [0, 0, 0, 0]]),
        ([np.array([[0, 1], [11, 1]])], [np.array([[0, 12]]), np.array([[1, 10]])], [[2, 0]]),
        ([EMPTY], [EMPTY], [[0]]),
        ([], [WRAPPING], np.zeros((0, 1))),
        ([WRAPPING], [], np.zeros((1, 0))),
        ([], [], np.zeros((0, 0))),
    ],
    ids=["over a column's border", "everything", "first and last pixel", "empty", "no row", "no column", "nothing"],
)
def test_intersections_by_hand(rows: list[Runs], columns: list[Runs], common: Any) -> None:
    found = metrics.intersections(rows, columns)
    assert found.dtype == np.int64 and found.shape == np.shape(common)
    assert np.array_equal(found, common)


@light
@given(pairs())
def test_pairwise_f1_is_that_of_dense_masks(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    found = metrics.pairwise_f1(Instances.from_masks(a), Instances.from_masks(b))
    assert found.shape == (len(a), len(b))
    assert found.ravel().tolist() == pytest.approx([dense_f1(p, t) for p in a for t in b], abs=1e-12)


@light
@given(pairs())
def test_optimal_f1_is_the_best_of_all_matchings(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    assert metrics.optimal_f1(*map(Instances.from_masks, pair)) == pytest.approx(brute_force(a, b), abs=1e-12)


@light
@given(pairs(least=1), st.randoms(use_true_random=False))
def test_order_and_sides_do_not_matter(pair: tuple[np.ndarray, np.ndarray], random: Any) -> None:
    a, b = map(Instances.from_masks, pair)
    shuffled = [one.take(random.sample(range(len(one)), len(one))) for one in (a, b)]
    score = metrics.optimal_f1(a, b)
    assert metrics.optimal_f1(*shuffled) == pytest.approx(score, abs=1e-12)
    assert metrics.optimal_f1(b, a) == pytest.approx(score, abs=1e-12)


@light
@given(pairs())
def test_matched_f1_is_one_number_per_pair(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = metrics.matched_f1(*map(Instances.from_masks, pair))
    assert found.shape == (min(map(len, pair)),)
    assert ((found >= 0) & (found <= 1)).all()
    assert found.sum() == pytest.approx(brute_force(*pair) * max(*map(len, pair), 1), abs=1e-12)


@st.composite
def nearly_equal(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Masks, and the same ones in another order, of which one may have a pixel turned, or be taken out."""
    true = draw(st.tuples(st.integers(1, 4), small).flatmap(lambda n: hnp.arrays(bool, (n[0], *n[1]))))
    predicted = true[draw(st.permutations(range(len(true))))].copy()
    change = draw(st.sampled_from(["none", "pixel", "out", "twice"]))
    if change == "pixel":
        predicted[draw(st.tuples(*(st.integers(0, side - 1) for side in predicted.shape)))] ^= True
    elif change == "out":
        predicted = predicted[1:]
    elif change == "twice":
        predicted = np.concatenate([predicted, predicted[:1]])
    return predicted, true


@light
@given(st.one_of(nearly_equal(), pairs(least=1)))
def test_only_the_same_masks_score_1(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """As multisets; a mask of no pixel scores 0 even against its like."""
    same = Counter(mask.tobytes() for mask in pair[0]) == Counter(mask.tobytes() for mask in pair[1])
    perfect = same and all(mask.any() for mask in pair[0])
    assert (metrics.optimal_f1(*map(Instances.from_masks, pair)) > 1 - 1e-9) == perfect


sides = st.one_of(st.none(), st.integers(0, 4))


@light
@given(sides, sides, small, st.data())
def test_error_budget_adds_up(p: int | None, g: int | None, size: tuple[int, int], data: Any) -> None:
    predicted, true = (
        None if n is None else Instances.from_masks(data.draw(hnp.arrays(bool, (n, *size)))) for n in (p, g)
    )
    score, budget = metrics.score_and_budget(predicted, true)
    assert score == metrics.image_score(predicted, true)
    assert budget == metrics.error_budget(predicted, true)
    assert budget.total() == pytest.approx(1 - score, abs=1e-12)
    assert min(astuple(budget)) >= 0
    assert budget.excess == pytest.approx(max(0, p - g) / max(p, g) if p and g is not None else 0)
    assert all(type(share) is float for share in astuple(budget))


@light
@given(nearly_equal())
def test_error_budget_of_a_perfect_answer_is_all_zero(pair: tuple[np.ndarray, np.ndarray]) -> None:
    true = Instances.from_masks(pair[1][pair[1].any(axis=(1, 2))])
    shuffled = true.take(range(len(true))[::-1])
    if len(true):
        assert metrics.score_and_budget(shuffled, true) == (pytest.approx(1), ErrorBudget())
    assert metrics.score_and_budget(None, None) == (1, ErrorBudget())


@light
@given(sides, small, st.data())
def test_all_forged_is_the_score_of_a_mask_of_all_pixels(n: int | None, size: tuple[int, int], data: Any) -> None:
    true = None if n is None else Instances.from_masks(data.draw(hnp.arrays(bool, (n, *size))))
    everything = of(np.ones(size))
    assert metrics.all_forged(true) == pytest.approx(metrics.image_score(everything, true), abs=1e-12)


@light
@given(pairs(least=1, most=1))
def test_pixel_measures_are_those_of_dense_masks(pair: tuple[np.ndarray, np.ndarray]) -> None:
    (p,), (t,) = pair
    mine, truth = runs_of(p), runs_of(t)
    common, union = int((p & t).sum()), int((p | t).sum())
    assert metrics.common_pixels(mine, truth) == common
    counts = (common, int(p.sum()), int(t.sum()))
    precision, recall = metrics.precision_recall(*counts)
    assert metrics.iou(*counts) == pytest.approx(common / union if union else 1)
    assert metrics.dice(*counts) == pytest.approx(dense_f1(p, t) if union else 1)
    assert precision == pytest.approx(common / p.sum() if p.any() else float(not t.any()))
    assert recall == pytest.approx(common / t.sum() if t.any() else float(not p.any()))


PIXEL, FULL, NOTHING = [[1, 0], [0, 0]], [[1, 1], [1, 1]], [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("predicted", "true", "score"),
    [
        (None, None, 1.0),
        (None, of(PIXEL), 0.0),
        (of(PIXEL), None, 0.0),
        (Instances((2, 2)), None, 0.0),
        (Instances((2, 2)), Instances((2, 2)), 0.0),
        (of(NOTHING), of(NOTHING), 0.0),
        (of(PIXEL), of(PIXEL), 1.0),
        (of(FULL), of(PIXEL), 0.4),
        (of(FULL, NOTHING), of(FULL), 0.5),
        (of(PIXEL, PIXEL), of(FULL, PIXEL), 0.7),
    ],
)
def test_image_score_by_hand(predicted: Instances | None, true: Instances | None, score: float) -> None:
    assert metrics.image_score(predicted, true) == pytest.approx(score)


@pytest.mark.parametrize(
    ("predicted", "true", "dice", "iou", "precision", "recall"),
    [
        (NOTHING, NOTHING, 1, 1, 1, 1),
        (PIXEL, NOTHING, 0, 0, 0, 0),
        (NOTHING, PIXEL, 0, 0, 0, 0),
        (PIXEL, PIXEL, 1, 1, 1, 1),
        (FULL, PIXEL, 0.4, 0.25, 0.25, 1),
        (PIXEL, FULL, 0.4, 0.25, 1, 0.25),
    ],
)
def test_pixel_measures_by_hand(
    predicted: Any, true: Any, dice: float, iou: float, precision: float, recall: float
) -> None:
    mine, truth = runs_of(np.array(predicted)), runs_of(np.array(true))
    counts = (metrics.common_pixels(mine, truth), int(np.sum(predicted)), int(np.sum(true)))
    assert metrics.dice(*counts) == pytest.approx(dice)
    assert metrics.iou(*counts) == pytest.approx(iou)
    assert metrics.precision_recall(*counts) == pytest.approx((precision, recall))


LEFT, RIGHT, TWO = [[1, 0], [1, 0]], [[0, 1], [0, 1]], [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("predicted", "true", "budget"),
    [
        (None, None, ErrorBudget()),
        (of(PIXEL), None, ErrorBudget(false_alarm=1)),
        (Instances((2, 2)), None, ErrorBudget(false_alarm=1)),
        (None, of(PIXEL, FULL), ErrorBudget(called_authentic=1)),
        (None, Instances((2, 2)), ErrorBudget(called_authentic=1)),
        (Instances((2, 2)), Instances((2, 2)), ErrorBudget(missed=1)),
        (Instances((2, 2)), of(PIXEL, FULL), ErrorBudget(missed=1)),
        (of(PIXEL), Instances((2, 2)), ErrorBudget(excess=1)),
        (of(NOTHING), of(NOTHING), ErrorBudget(missed=1)),
        (of(LEFT), of(RIGHT), ErrorBudget(missed=1)),
        (of(LEFT), of(LEFT, RIGHT), ErrorBudget(missed=1 / 2)),
        (of(LEFT, RIGHT), of(LEFT), ErrorBudget(excess=1 / 2)),
        (of(LEFT, RIGHT, RIGHT), of(LEFT), ErrorBudget(excess=2 / 3)),
        (of(LEFT, RIGHT), of(NOTHING), ErrorBudget(missed=1 / 2, excess=1 / 2)),
        (of(TWO), of(LEFT), ErrorBudget(mask_quality=1 / 2)),
        (of(FULL), of(PIXEL), ErrorBudget(mask_quality=0.6)),
        (of(TWO, NOTHING, PIXEL), of(LEFT, RIGHT), ErrorBudget(excess=1 / 3, mask_quality=(1 / 2 + 1 / 3) / 3)),
        (of(FULL, NOTHING), of(LEFT, RIGHT, RIGHT), ErrorBudget(missed=2 / 3, mask_quality=1 / 9)),
    ],
)
def test_error_budget_by_hand(predicted: Instances | None, true: Instances | None, budget: ErrorBudget) -> None:
    found = metrics.error_budget(predicted, true)
    assert astuple(found) == pytest.approx(astuple(budget), abs=1e-12)


def test_greedy_matching_would_be_beaten() -> None:
    """The largest single F1 (0.8) blocks the better pairing 4/7 + 2/3."""
    true = of([[1, 1, 0, 0, 0]], [[0, 1, 1, 1, 1]])
    predicted = of([[1, 1, 1, 0, 0]], [[1, 0, 0, 0, 0]])
    assert metrics.pairwise_f1(predicted, true).max() == pytest.approx(0.8)
    assert metrics.optimal_f1(predicted, true) == pytest.approx((2 * 2 / 7 + 2 / 3) / 2)


@pytest.mark.parametrize("pixels", [2**24 + 1, 3_000_000_001, 2**52 - 1])
def test_huge_counts_stay_exact(pixels: int) -> None:
    """float32 loses the 1 at 2^24, int32 the whole at 2^31."""
    whole: Runs = np.array([[0, pixels]], np.int64)
    lacking: Runs = np.array([[0, 10], [11, pixels - 11]], np.int64)
    assert metrics.intersections([whole, lacking], [lacking, whole, EMPTY]).tolist() == [
        [pixels - 1, pixels, 0],
        [pixels - 1, pixels - 1, 0],
    ]
    assert metrics.precision_recall(pixels - 1, pixels, pixels - 1)[0] < 1
