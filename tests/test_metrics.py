"""Metrics: the official scorer's answers, dense counting, brute force over all matchings, and the empty cases."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forgery_rcnn import metrics, submission
from forgery_rcnn.instances import Instances
from forgery_rcnn.rle import EMPTY, Runs, runs_of

VECTORS = json.loads((Path(__file__).parent / "of1_vectors.json").read_text())["image"]
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
    return submission.parse(text, submission.ANY_SIZE if shape == "authentic" else tuple(shape))


@pytest.mark.parametrize(
    "vector", [pytest.param(v, id=v["name"]) for v in VECTORS if "score" in v and v["name"] not in STRICTER]
)
def test_official_scores(vector: dict[str, Any]) -> None:
    predicted, true = (side(vector[name], vector["shape"]) for name in ("prediction", "label"))
    assert metrics.image_score(predicted, true) == pytest.approx(vector["score"], abs=1e-12)


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in VECTORS if isinstance(v["prediction"], str)])
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
@given(pairs(least=1, most=1))
def test_pixel_measures_are_those_of_dense_masks(pair: tuple[np.ndarray, np.ndarray]) -> None:
    (p,), (t,) = pair
    mine, truth = runs_of(p), runs_of(t)
    common, union = int((p & t).sum()), int((p | t).sum())
    precision, recall = metrics.precision_recall(mine, truth)
    assert metrics.pixel_counts(mine, truth) == (common, p.sum(), t.sum())
    assert metrics.iou(mine, truth) == pytest.approx(common / union if union else 1)
    assert metrics.dice(mine, truth) == pytest.approx(dense_f1(p, t) if union else 1)
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
    assert metrics.dice(mine, truth) == pytest.approx(dice)
    assert metrics.iou(mine, truth) == pytest.approx(iou)
    assert metrics.precision_recall(mine, truth) == pytest.approx((precision, recall))


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
    assert metrics.pixel_counts(whole, lacking) == (pixels - 1, pixels, pixels - 1)
    assert metrics.pixel_counts(lacking, EMPTY) == (0, pixels - 1, 0)
