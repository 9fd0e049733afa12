"""How sure a number is: percentile bootstrap over images, and a paired comparison of two answers to the same images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEVELS = (0.025, 0.975)  # of the 95 % interval
TIE = 1e-12  # two scores that differ by no more are the same
DRAWN = 2_000_000  # indices at a time: 34 MB with what they point at


@dataclass(frozen=True)
class Interval:
    """A number of `count` images and the 95 % interval around it, in the number's own unit; NaN where undefined.

    >>> print(Interval(0.46431, 0.40118, 0.53009, 120), Interval(0.5, math.nan, math.nan, 1), sep="; ")
    0.4643 [0.4012, 0.5301]; 0.5000 [n/a, n/a]
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        value, low, high = ("n/a" if math.isnan(x) else f"{x:.4f}" for x in (self.value, self.low, self.high))
        return value if math.isnan(self.value) else f"{value} [{low}, {high}]"


def interval(
    statistic: Callable[[np.ndarray], float], count: int, rng: np.random.Generator, resamples: int = 1000
) -> Interval:
    """`statistic`: (count,) int64 indices of images, some repeated -> number. -> its value on all images, 95 % interval.

    Percentile bootstrap (Efron & Tibshirani 1993, ch. 13). Resamples whose statistic is NaN are left out. The bounds
    are NaN for fewer than two images, without resamples, and when more than half of the resamples are NaN.
    """
    if count == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    value = float(statistic(np.arange(count)))
    drawn = [float(statistic(rng.integers(0, count, count))) for _ in range(resamples if count > 1 else 0)]
    return percentiles(value, np.array(drawn, np.float64), count)


def percentiles(value: float, drawn: np.ndarray, count: int) -> Interval:
    """A number of `count` images, and (R,) float64 the same of the resamples -> Interval.

    The bounds are NaN for fewer than two images, without resamples, and when more than half of the resamples are NaN.
    """
    defined = drawn[~np.isnan(drawn)]
    if count < 2 or not defined.size or 2 * defined.size < drawn.size:
        return Interval(value, math.nan, math.nan, count)
    low, high = np.quantile(defined, LEVELS)
    return Interval(value, float(low), float(high), count)


def mean_interval(values: np.ndarray, rng: np.random.Generator, resamples: int = 1000) -> Interval:
    """(N,) float, one per image, NaN = not defined for it -> their mean and its interval; count = defined values.

    The same as `interval` of the mean of what is defined among the drawn, without a call per resample. The bounds are
    also NaN when fewer than two values are defined.

    >>> print(mean_interval(np.array([1.0, 1.0, math.nan]), np.random.default_rng(0)))
    1.0000 [1.0000, 1.0000]
    """
    values = np.asarray(values, np.float64)
    defined = ~np.isnan(values)
    count = int(defined.sum())
    if count == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    drawn = _drawn_means(np.where(defined, values, 0.0), defined, rng, resamples if count > 1 else 0)
    return percentiles(float(values[defined].mean()), drawn, count)


def _drawn_means(filled: np.ndarray, defined: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """(N,) float64 with 0 for what is not defined, (N,) bool -> (resamples,) float64 means of the defined, or NaN."""
    means = np.full(resamples, math.nan)
    rows = max(1, DRAWN // len(filled))
    for first in range(0, resamples, rows):
        part = means[first : first + rows]
        index = rng.integers(0, len(filled), (len(part), len(filled)))
        found = np.count_nonzero(defined[index], axis=1)
        np.divide(filled[index].sum(axis=1), found, out=part, where=found > 0)
    return means


def wilson(hits: int, count: int) -> Interval:
    """hits of count -> the rate and its 95 % score interval (Wilson 1927), which has a width at 0 and 1 too.

    >>> print(wilson(0, 8))
    0.0000 [0.0000, 0.3244]
    """
    if not count:
        return Interval(math.nan, math.nan, math.nan, 0)
    rate, z = hits / count, 1.959964
    middle, half = rate + z * z / (2 * count), z * math.sqrt(rate * (1 - rate) / count + (z / (2 * count)) ** 2)
    low, high = (bound / (1 + z * z / count) for bound in (middle - half, middle + half))
    return Interval(rate, max(low, 0.0) if hits else 0.0, min(high, 1.0) if hits < count else 1.0, count)


@dataclass(frozen=True)
class Paired:
    """a against b on the same images: mean of a - b, images where a is higher, lower, the same; p of the sign test."""

    difference: Interval
    wins: int
    losses: int
    ties: int
    p: float


def paired(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, resamples: int = 1000) -> Paired:
    """(N,) float, (N,) float: two scores of each image; NaN in either leaves the image out. -> Paired.

    p: exact two-sided sign test of wins against losses, ties left out; 1 when nothing differs.
    """
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    wins, losses = int(np.count_nonzero(difference > TIE)), int(np.count_nonzero(difference < -TIE))
    ties = int(np.count_nonzero(np.abs(difference) <= TIE))
    return Paired(mean_interval(difference, rng, resamples), wins, losses, ties, _sign_test(wins, losses))


def _sign_test(wins: int, losses: int) -> float:
    if wins + losses == 0:
        return 1.0
    from scipy.stats import binomtest  # 0.5 s of import

    return float(binomtest(wins, wins + losses).pvalue)


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn. Every number draws anew from `seed`, so the same number gets the same interval wherever it stands.

    count: resamples, 0 = no bootstrap intervals.
    """

    count: int = 1000
    seed: int = 0

    def rng(self) -> np.random.Generator:
        """A fresh generator."""
        return np.random.default_rng(self.seed)

    def mean(self, values: np.ndarray) -> Interval:
        """`mean_interval`, drawn this way."""
        return mean_interval(values, self.rng(), self.count)

    def of(self, statistic: Callable[[np.ndarray], float], count: int) -> Interval:
        """`interval`, drawn this way."""
        return interval(statistic, count, self.rng(), self.count)

    def paired(self, a: np.ndarray, b: np.ndarray) -> Paired:
        """`paired`, drawn this way."""
        return paired(a, b, self.rng(), self.count)
