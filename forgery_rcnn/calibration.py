"""How far scores are probabilities: reliability bins, calibration error, temperature, Platt. Arrays in, numbers out.

A margin is the logit of forged minus the logit of background; the score is its sigmoid, the same as the two-class softmax.
Temperature T divides margins: the order of scores stays, and so does every call at 0.5 (Guo et al., On Calibration of
Modern Neural Networks, ICML 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from forgery_rcnn.errors import require

COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are looked at
EDGE = 0.01  # a fitted log T this near to the end of what is looked at has run away
SURE = 1e-4  # scores nearer to 0 or 1 count as this near: one image scored 0 is no infinite evidence


def scores_of(margins: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(N,) margins -> (N,) float64 scores 0..1, sigmoid(margin / T).

    >>> scores_of(np.array([0.0, 2.0]), 2.0).round(4).tolist()
    [0.5, 0.7311]
    """
    return np.exp(-np.logaddexp(0, -np.asarray(margins, np.float64) / temperature))


def margins_of(scores: np.ndarray) -> np.ndarray:
    """(N,) scores 0..1 -> (N,) float64 margins, finite: the inverse of `scores_of` but at the very ends (SURE).

    >>> margins_of(np.array([0.0, 0.5, 1.0])).round(2).tolist()
    [-9.21, 0.0, 9.21]
    """
    inside = np.clip(np.asarray(scores, np.float64), SURE, 1 - SURE)
    return np.log(inside) - np.log1p(-inside)


def platt(margins: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """(N,) margins, (N,) bool -> slope >= 0 and offset: sigmoid(slope * margin + offset) is the probability of positive.

    Platt, Probabilistic Outputs for Support Vector Machines, 1999, with his targets (n + 1) / (n + 2), which keep both
    finite where the classes are parted without a mistake. (0, logit of the share) where margins order them the wrong way;
    NaN when a class is missing.

    >>> margins = np.repeat([2.0, -2.0], 500)
    >>> slope, offset = platt(margins, np.tile(np.arange(500) < 400, 2) == (margins > 0))  # right in 4 of 5
    >>> round(slope, 2), round(offset, 2) + 0.0  # ln(4) / 2
    (0.69, 0.0)
    """
    many, few = int(positive.sum()), int((~positive).sum())
    if not many or not few:
        return math.nan, math.nan
    from scipy.optimize import minimize  # 0.3 s of import

    target = np.where(positive, (many + 1) / (many + 2), 1 / (few + 2))

    def loss(both: np.ndarray) -> tuple[float, np.ndarray]:
        logit = both[0] * margins + both[1]
        wrong = scores_of(logit) - target
        return float((np.logaddexp(0, logit) - target * logit).sum()), np.array([wrong @ margins, wrong.sum()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)])
    return float(found.x[0]), float(found.x[1])


def scaled(score: float, temperature: float) -> float:
    """A score or threshold 0..1 -> what temperature T makes of it; what no score lies beyond stays.

    >>> round(scaled(0.9, 2.0), 9), scaled(0.5, 3.0), scaled(0.0, 2.0), scaled(1.0, 2.0)
    (0.75, 0.5, 0.0, 1.0)
    """
    if not 0 < score < 1:
        return score
    margin = math.log(score) - math.log1p(-score)
    return float(scores_of(np.array([margin]), temperature)[0])


def reliability(scores: np.ndarray, positive: np.ndarray, bins: int = 10) -> np.ndarray:
    """(N,) scores 0..1, (N,) bool -> (B, 3) float64: mean score, share of positives, count; B <= bins, by score.

    Bins are equally wide, from 0 to 1; empty ones are left out. Equally full ones would put the few positives among many
    proposals into one bin. (0, 3) for N = 0. Raises InputError: a score that is none.

    >>> reliability(np.array([0.1, 0.3, 0.8, 1.0]), np.array([False, False, True, False]), 2).tolist()
    [[0.2, 0.0, 2.0], [0.9, 0.5, 2.0]]
    """
    scores = np.asarray(scores, np.float64)
    odd = scores[~((scores >= 0) & (scores <= 1))]
    require(
        not len(odd), f"reliability: {len(odd)} scores are not within 0..1, the first is {odd[:1]}; give probabilities"
    )
    which = np.minimum((scores * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    sums = [np.bincount(which, values, bins) for values in (scores, positive)]
    full = count > 0
    return np.stack([sums[0][full] / count[full], sums[1][full] / count[full], count[full]], axis=1)


def expected_error(scores: np.ndarray, positive: np.ndarray, bins: int = 10) -> float:
    """(N,) scores 0..1, (N,) bool -> mean |score - share of positives| over `reliability`'s bins; NaN for N = 0.

    >>> expected_error(np.array([0.25, 0.25, 0.25, 0.25]), np.array([True, False, False, False]))
    0.0
    """
    found = reliability(scores, positive, bins)
    if not len(found):
        return math.nan
    return float(np.average(np.abs(found[:, 0] - found[:, 1]), weights=found[:, 2]))


def error_by_chance(scores: np.ndarray, rng: np.random.Generator, draws: int = 400) -> float:
    """(N,) scores 0..1 -> the `expected_error` that only 1 in 20 such sets would exceed if each score were the true
    probability of its own, independent proposal; NaN for N = 0. Few proposals err by chance.

    >>> [round(error_by_chance(np.full(n, 0.5), np.random.default_rng(0)), 2) for n in (10, 1000)]
    [0.3, 0.03]
    """
    if not len(scores):
        return math.nan
    drawn = [expected_error(scores, rng.random(len(scores)) < scores) for _ in range(draws)]
    return float(np.quantile(drawn, 0.95))


def log_loss(margins: np.ndarray, positive: np.ndarray, temperature: float = 1.0) -> float:
    """(N,) margins, (N,) bool -> mean negative log-likelihood, nats; NaN for N = 0.

    >>> round(log_loss(np.zeros(4), np.array([True, False, True, False])), 4)
    0.6931
    """
    if not len(margins):
        return math.nan
    return float(np.logaddexp(0, np.where(positive, -1.0, 1.0) * margins / temperature).mean())


def temperature_of(margins: np.ndarray, positive: np.ndarray) -> float:
    """(N,) margins, (N,) bool -> the T of least `log_loss`, COLDEST..HOTTEST; NaN when a class is missing.

    Where one margin parts the classes without a mistake, and it is 0, the loss falls for ever: see `ran_away`.

    >>> margins = np.repeat([4.0, -4.0], 100)  # scores .98 and .02, right in 73 of 100
    >>> right = np.tile(np.arange(100) < 73, 2)
    >>> round(temperature_of(margins, right == (margins > 0)), 2)  # 4 / ln(73 / 27)
    4.02
    """
    if positive.all() or not positive.any():
        return math.nan
    from scipy.optimize import minimize_scalar  # 0.3 s of import

    found = minimize_scalar(
        lambda log_t: log_loss(margins, positive, math.exp(log_t)),
        bounds=(math.log(COLDEST), math.log(HOTTEST)),
        method="bounded",
    )
    return math.exp(found.x)


def ran_away(temperature: float) -> bool:
    """Whether a fitted temperature lies at an end of what is looked at: then it says nothing.

    >>> ran_away(1.7), ran_away(COLDEST), ran_away(HOTTEST)
    (False, True, True)
    """
    return not COLDEST * (1 + EDGE) < temperature < HOTTEST * (1 - EDGE)


def crossed(
    half: np.ndarray, fit: Callable[[np.ndarray], float], use: Callable[[np.ndarray, float], np.ndarray]
) -> np.ndarray | None:
    """What a fitted number does where it was not fitted. half: (N,) bool, the half of the images that each item is of.

    fit: (N,) bool, the items to fit on -> a number; use: (N,) bool, the K others, and the number -> (K,) values.
    -> (N,) float64 values, each made with the number of the other half; None where a half gives none (NaN).
    """
    out = np.empty(len(half))
    for fitted in (half, ~half):
        number = fit(fitted) if fitted.any() else math.nan
        if math.isnan(number):
            return None
        out[~fitted] = use(~fitted, number)
    return out
