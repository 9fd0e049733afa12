"""Bootstrap: the interval covers what it should, is the same for the same seed, and says nothing where nothing is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgery_rcnn import bootstrap
from forgery_rcnn.bootstrap import Interval, interval, mean_interval, paired, wilson

NAN = math.nan


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def bounds(found: Interval) -> tuple[float, float]:
    return found.low, found.high


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Interval(0.46434, 0.4012, 0.53009, 9), "0.4643 [0.4012, 0.5301]"),
        (Interval(-0.5, -1.0, 0.0, 9), "-0.5000 [-1.0000, 0.0000]"),
        (Interval(0.5, NAN, NAN, 1), "0.5000 [n/a, n/a]"),
        (Interval(NAN, NAN, NAN, 0), "n/a"),
    ],
)
def test_text(found: Interval, text: str) -> None:
    assert str(found) == text


@pytest.mark.parametrize("draw", [lambda rng: rng.normal(1.0, 2.0, 60), lambda rng: rng.exponential(1.0, 60)])
def test_interval_of_a_mean_covers_it_19_times_of_20(draw) -> None:
    rng, covered = seeded(1), 0
    for _ in range(200):
        low, high = bounds(mean_interval(draw(rng), rng, 400))
        covered += low <= 1.0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_width_is_that_of_the_normal_approximation() -> None:
    values = seeded(2).normal(0.0, 1.0, 2000)
    low, high = bounds(mean_interval(values, seeded(), 2000))
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / math.sqrt(2000), rel=0.06)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.003)


@given(st.lists(st.one_of(st.just(NAN), st.floats(0, 1)), min_size=2, max_size=12), st.integers(0, 9))
def test_mean_is_the_general_interval_of_the_mean_of_what_is_defined(values: list[float], seed: int) -> None:
    array = np.array(values)
    if np.isfinite(array).sum() < 2:
        array[:2] = 0.25, 0.75

    def mean(index: np.ndarray) -> float:
        drawn = array[index][np.isfinite(array[index])]
        return drawn.mean() if drawn.size else NAN

    general, special = interval(mean, len(array), seeded(seed), 40), mean_interval(array, seeded(seed), 40)
    assert special.value == general.value
    assert bounds(special) == pytest.approx(bounds(general), abs=1e-12, nan_ok=True)
    assert (special.count, general.count) == (np.isfinite(array).sum(), len(array))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = seeded(3).random(7)
    whole = mean_interval(values, seeded(), 50)
    monkeypatch.setattr(bootstrap, "DRAWN", 20)
    assert mean_interval(values, seeded(), 50) == whole


def test_same_seed_same_interval_other_seed_another() -> None:
    values = seeded(4).random(30)
    first, again, other = (mean_interval(values, seeded(seed), 100) for seed in (5, 5, 6))
    assert first == again
    assert first.value == other.value == values.mean()
    assert bounds(first) != bounds(other)


def test_statistic_sees_every_image_once_and_then_resamples() -> None:
    seen: list[np.ndarray] = []

    def spread(index: np.ndarray) -> float:
        seen.append(index)
        return float(index.max() - index.min())

    found = interval(spread, 50, seeded(), 30)
    assert seen[0].tolist() == list(range(50))
    assert found.value == 49.0
    assert found.low < found.high <= 49.0
    assert len(seen) == 31
    assert all(index.shape == (50,) and index.dtype == np.int64 for index in seen)
    assert all(0 <= index.min() <= index.max() < 50 and len(set(index.tolist())) < 50 for index in seen[1:])


def test_bounds_are_the_percentiles() -> None:
    values = iter([0.5, *np.linspace(0, 1, 41)])
    assert bounds(interval(lambda index: next(values), 3, seeded(), 41)) == pytest.approx((0.025, 0.975))


@pytest.mark.parametrize(("defined", "known"), [(10, True), (5, True), (4, False), (0, False)])
def test_resamples_without_a_value_are_left_out_until_they_are_most(defined: int, known: bool) -> None:
    values = iter([0.5] + [0.25] * defined + [NAN] * (10 - defined))
    found = interval(lambda index: next(values), 3, seeded(), 10)
    assert found.value == 0.5
    assert bounds(found) == pytest.approx((0.25, 0.25) if known else (NAN, NAN), nan_ok=True)


@pytest.mark.parametrize("values", [[], [NAN], [NAN, NAN]])
def test_no_value_no_interval(values: list[float]) -> None:
    found = mean_interval(np.array(values), seeded())
    assert found.count == 0
    assert np.isnan([found.value, *bounds(found)]).all()


@pytest.mark.parametrize(("values", "resamples"), [([0.5], 100), ([0.5, NAN], 100), ([0.0, 1.0], 0)])
def test_one_image_or_no_resample_has_a_value_and_no_bounds(values: list[float], resamples: int) -> None:
    found = mean_interval(np.array(values), seeded(), resamples)
    assert found.value == 0.5
    assert np.isnan(bounds(found)).all()


@pytest.mark.parametrize(("count", "resamples"), [(1, 100), (2, 0)])
def test_the_same_of_any_statistic(count: int, resamples: int) -> None:
    found = interval(lambda index: 0.5, count, seeded(), resamples)
    assert (found.value, found.count) == (0.5, count)
    assert np.isnan(bounds(found)).all()


def test_no_image_asks_for_no_statistic() -> None:
    found = interval(lambda index: 1 / 0, 0, seeded())
    assert found.count == 0
    assert np.isnan([found.value, *bounds(found)]).all()


@pytest.mark.parametrize("count", [1, 2, 8, 100, 5123])
def test_wilson_is_that_of_scipy(count: int) -> None:
    from scipy.stats import binomtest

    for hits in {0, 1, count // 3, count - 1, count}:
        found, other = wilson(hits, count), binomtest(hits, count).proportion_ci(method="wilson")
        assert (found.value, found.count) == (hits / count, count)
        assert bounds(found) == pytest.approx((other.low, other.high), abs=1e-7)
        assert 0 <= found.low <= found.value <= found.high <= 1 and found.low < found.high
    assert wilson(0, count).low == 0 and wilson(count, count).high == 1


def test_wilson_by_hand() -> None:
    """The bounds p solve (p - 1/4)^2 = z^2 p (1 - p) / 8."""
    for bound in bounds(wilson(2, 8)):
        assert (bound - 0.25) ** 2 == pytest.approx(1.959964**2 * bound * (1 - bound) / 8)
    assert wilson(2, 8).low < 0.25 < wilson(2, 8).high


def test_wilson_of_nothing() -> None:
    found = wilson(0, 0)
    assert math.isnan(found.value) and math.isnan(found.low) and math.isnan(found.high) and found.count == 0


def test_paired_counts_and_exact_p() -> None:
    a = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.5 + 1e-13, 0.5, NAN, 1.0])
    b = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.5, 0.5 + 1e-13, 1.0, NAN])
    found = paired(a, b, seeded(), 100)
    assert (found.wins, found.losses, found.ties) == (5, 1, 2)
    assert found.p == pytest.approx(2 * (1 + 6) / 2**6)  # none or one of six, and the other end
    assert found.difference.value == pytest.approx(0.5)
    assert found.difference.count == 8
    assert found.difference == mean_interval(a - b, seeded(), 100)


def test_paired_is_antisymmetric() -> None:
    a, b = seeded(7).random(20), seeded(8).random(20)
    one, other = paired(a, b, seeded(), 100), paired(b, a, seeded(), 100)
    assert one.p == other.p < 1
    assert (one.wins, one.losses) == (other.losses, other.wins)
    assert one.difference.value == -other.difference.value
    assert bounds(one.difference) == pytest.approx((-other.difference.high, -other.difference.low))


def test_paired_of_the_same_answers() -> None:
    found = paired(np.ones(5), np.ones(5), seeded(), 100)
    assert (found.wins, found.losses, found.ties, found.p) == (0, 0, 5, 1.0)
    assert (found.difference.value, *bounds(found.difference)) == (0.0, 0.0, 0.0)


def test_paired_of_nothing() -> None:
    found = paired(np.zeros(0), np.zeros(0), seeded())
    assert (found.wins, found.losses, found.ties, found.p) == (0, 0, 0, 1.0)
    assert math.isnan(found.difference.value)
