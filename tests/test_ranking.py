"""Ranking metrics: scikit-learn's answers, brute force over all thresholds, one class missing, counts of whole data sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from forgery_rcnn import ranking

Sample = tuple[np.ndarray, np.ndarray]


@st.composite
def samples(draw: st.DrawFn, least: int = 1) -> Sample:
    """(N,) scores with many ties, of several types, and (N,) labels of which each class occurs `least` times."""
    labels = draw(st.lists(st.booleans(), max_size=30)) + [True] * least + [False] * least
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64, np.int64]))
    scores = draw(st.lists(st.integers(-4, 4), min_size=len(labels), max_size=len(labels)))
    return np.array(scores, dtype), np.array(labels)


def f1(called: np.ndarray, positive: np.ndarray) -> float:
    return float(ranking.call_rates(np.array(ranking.confusion(called, positive)))["f1"])


def balanced_accuracy(called: np.ndarray, positive: np.ndarray) -> float:
    return float(ranking.call_rates(np.array(ranking.confusion(called, positive)))["balanced_accuracy"])


def rates(scores: np.ndarray, positive: np.ndarray) -> list[tuple[float, float]]:
    """(recall, false alarm rate) of every threshold, the one that calls nothing included."""
    called = [scores >= t for t in [*np.unique(scores), np.inf]]
    return [(np.mean(c[positive]), np.mean(c[~positive])) for c in called]


@given(samples())
def test_auc_is_that_of_scikit_learn(sample: Sample) -> None:
    scores, positive = sample
    assert ranking.auc(scores, positive) == pytest.approx(reference.roc_auc_score(positive, scores), abs=1e-12)


@pytest.mark.parametrize("share", [0.003, 0.5, 0.99])
def test_auc_of_a_pixel_map(share: float) -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(50_000) < share
    scores = (rng.random(50_000) + 0.2 * positive).astype(np.float32)
    assert ranking.auc(scores, positive) == pytest.approx(reference.roc_auc_score(positive, scores), abs=1e-12)


def test_auc_of_separated_reversed_and_equal_scores() -> None:
    positive = np.array([True, False, False])
    assert ranking.auc(np.array([2.0, 1.0, 0.0]), positive) == 1.0
    assert ranking.auc(np.array([0.0, 1.0, 2.0]), positive) == 0.0
    assert ranking.auc(np.zeros(3), positive) == 0.5


@given(samples(), st.one_of(st.floats(0, 1), st.fractions(0, 1, max_denominator=12).map(float)))
def test_false_alarm_rate_is_the_least_over_all_thresholds(sample: Sample, recall: float) -> None:
    least = min(rate for found, rate in rates(*sample) if found >= recall)
    assert ranking.false_alarm_rate_at(*sample, recall) == least


@given(samples(), st.one_of(st.floats(0, 1), st.fractions(0, 1, max_denominator=12).map(float)))
def test_recall_is_the_most_over_all_thresholds(sample: Sample, allowed: float) -> None:
    most = max(found for found, rate in rates(*sample) if rate <= allowed)
    assert ranking.recall_at(*sample, allowed) == most


@pytest.mark.parametrize("count", [7, 49, 93, 100])
def test_a_share_that_the_class_holds_exactly_is_met_exactly(count: int) -> None:
    positive = np.arange(2 * count) < count
    scores = np.concatenate([np.arange(count), np.arange(count)])
    met = [k / count for k in range(count + 1)]
    for exact in met:
        for share in (exact, np.nextafter(exact, 0), np.nextafter(exact, 1)):  # times `count`, rounded either way
            assert ranking.false_alarm_rate_at(scores, positive, share) == min(m for m in met if m >= share)
            assert ranking.recall_at(scores, positive, share) == max(m for m in met if m <= share)


def test_defaults_are_95_and_5_percent() -> None:
    positive = np.arange(40) < 20
    scores = np.concatenate([np.arange(20), np.arange(20)])
    assert ranking.false_alarm_rate_at(scores, positive) == 19 / 20
    assert ranking.recall_at(scores, positive) == 1 / 20


@pytest.mark.parametrize("labels", [[], [True, True], [False, False]])
def test_a_missing_class_has_no_curve(labels: list[bool]) -> None:
    scores, positive = np.arange(len(labels), dtype=float), np.array(labels, bool)
    for measure in (ranking.auc, ranking.false_alarm_rate_at, ranking.recall_at, balanced_accuracy):
        called = scores > 0 if measure is balanced_accuracy else scores
        assert math.isnan(measure(called, positive)), measure


@given(samples())
def test_counts_of_calls(sample: Sample) -> None:
    scores, positive = sample
    called = scores > 0
    (tn, fp), (fn, tp) = reference.confusion_matrix(positive, called)
    assert ranking.confusion(called, positive) == (tp, fp, fn, tn)
    assert all(type(count) is int for count in ranking.confusion(called, positive))


@given(samples())
def test_f1_and_balanced_accuracy_are_those_of_scikit_learn(sample: Sample) -> None:
    scores, positive = sample
    called = scores > 0
    assert f1(called, positive) == pytest.approx(reference.f1_score(positive, called), abs=1e-12)
    expected = reference.balanced_accuracy_score(positive, called)
    assert balanced_accuracy(called, positive) == pytest.approx(expected, abs=1e-12)


def test_f1_without_a_positive() -> None:
    nothing = np.zeros(3, bool)
    assert math.isnan(f1(nothing, nothing))
    assert f1(~nothing, nothing) == 0.0
    assert f1(nothing, ~nothing) == 0.0


@given(samples())
def test_mcc_is_that_of_scikit_learn_where_both_calls_occur(sample: Sample) -> None:
    scores, positive = sample
    called = scores > 0
    called[:2] = True, False
    expected = reference.matthews_corrcoef(positive, called)
    assert ranking.mcc(*ranking.confusion(called, positive)) == pytest.approx(expected, abs=1e-12)


def test_mcc_where_a_margin_is_empty() -> None:
    assert ranking.mcc(0, 0, 0, 9) == ranking.mcc(9, 0, 0, 0) == ranking.mcc(0, 0, 0, 0) == 1.0
    assert (
        ranking.mcc(0, 1, 0, 8) == ranking.mcc(0, 0, 1, 8) == ranking.mcc(8, 1, 0, 0) == ranking.mcc(8, 0, 1, 0) == 0.0
    )


def test_mcc_of_counts_whose_product_is_far_past_64_bits() -> None:
    many = np.int64(2**40)
    assert ranking.mcc(many, 0, 0, many) == 1.0
    assert ranking.mcc(0, many, many, 0) == -1.0
    assert ranking.mcc(3 * many, many, many, 3 * many) == 0.5


@pytest.mark.parametrize(
    ("scores", "labels", "rate"),
    [
        ([0.9, 0.1], [1, 0], 0.0),
        ([0.1, 0.9], [1, 0], 1.0),
        ([0.5, 0.5], [1, 0], 0.5),
        ([0.9, 0.8, 0.3, 0.7, 0.2, 0.1], [1, 1, 1, 0, 0, 0], 1 / 3),
        ([0.9, 0.4, 0.5, 0.1, 0.0], [1, 1, 0, 0, 0], 1 / 3),  # 1/3 called, 1/2 missed, then 1/3 and 0: met in between
    ],
)
def test_equal_error_rate_by_hand(scores: list[float], labels: list[int], rate: float) -> None:
    assert ranking.equal_error_rate(np.array(scores), np.array(labels, bool)) == pytest.approx(rate)


def test_equal_error_rate_is_where_scikit_learns_curve_meets_the_diagonal() -> None:
    from sklearn.metrics import roc_curve

    rng = np.random.default_rng(5)
    for _ in range(20):
        labels = rng.random(60) < 0.4
        scores = np.round(rng.normal(labels, 1.0), 1)  # ties
        false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
        grid = np.linspace(0, 1, 200_001)
        meets = grid[np.argmin(np.abs(np.interp(grid, false, true) - (1 - grid)))]
        assert ranking.equal_error_rate(scores, labels) == pytest.approx(meets, abs=2e-3)


@pytest.mark.parametrize("labels", [[True, True], [False, False], []])
def test_equal_error_rate_needs_both_classes(labels: list[bool]) -> None:
    assert np.isnan(ranking.equal_error_rate(np.zeros(len(labels)), np.array(labels, bool)))


def test_the_other_call_rates_by_hand() -> None:
    rates = ranking.call_rates(np.array([3, 1, 2, 4]))
    found = [float(rates[name]) for name in ("accuracy", "call_precision", "call_recall")]
    assert found == [0.7, 0.75, 0.6]
