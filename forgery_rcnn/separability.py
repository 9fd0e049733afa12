"""Do vectors tell forged from authentic? Linear probes on images held out, and numbers per dimension with their null.

Vectors are (N, D), labels (N,) bool forged, groups (N,) the image each is of. Images that hold one label only are left
out. What holds for a label is asked of images that took no part in fitting, and chance is what labels dealt anew within
each image give: so neither an image nor its number of regions can pass for a cue.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from forgery_rcnn import ranking
from forgery_rcnn.bootstrap import Interval, Resampling

FEWEST = 8  # images with both labels, below which nothing is said: one region more or less moves the number too far
FEW = 10  # images, below which a bootstrap over them is too narrow to be shown
FOLDS = 10
RIDGE = 0.1  # added to a kernel whose diagonal is 1 on average
LARGE = 0.9  # mean difference that is counted, in the vectors' own unit
DEALT = 500  # times the labels are dealt anew
FALSE_SHARE = 0.05  # of the dimensions called different, at most so many on average are not (Benjamini & Hochberg 1995)


@dataclass(frozen=True)
class Cloud:
    """What is drawn of a Separation: scores (N,) by probes of other images, residual (N,) first principal component of
    what the probe does not use, forged (N,), groups (N,), differences (D,), null (20, D) the same of labels dealt anew, d_primes (D,)."""

    scores: np.ndarray
    residual: np.ndarray
    forged: np.ndarray
    groups: np.ndarray
    differences: np.ndarray
    null: np.ndarray
    d_primes: np.ndarray


@dataclass(frozen=True)
class Chance:
    """A number beside what labels dealt anew within each image give: mean, 95 % quantile, p of as much or more."""

    value: float
    mean: float
    high: float
    p: float


@dataclass(frozen=True)
class Separation:
    """How far N vectors of D dimensions tell forged from authentic, over images that have both.

    auc: held-out linear-probe AUC and its interval over images; auc_chance: the same beside chance. large: dimensions
    whose mean differs by more than 0.9, beside chance. surviving: dimensions that differ at a false-discovery rate of 0.05,
    by a t test of the images' own differences. d_prime: largest |difference of means| / pooled standard deviation;
    fisher: largest (difference of means)^2 / sum of variances. silhouette: -1..1, of the standardised vectors.
    """

    regions: int
    dimensions: int
    images: int
    auc: Interval
    auc_chance: Chance
    large: Chance
    surviving: int
    d_prime: float
    fisher: float
    silhouette: float
    cloud: Cloud = field(metadata={"json": False})


def separability(vectors: np.ndarray, forged: np.ndarray, groups: np.ndarray) -> float:
    """(N, D), (N,) bool, (N,) whole numbers of images -> AUC of a linear probe on images held out, 0.5 = chance.

    NaN for fewer than eight images that have both labels.
    """
    vectors, forged, groups = paired_only(vectors, forged, groups)
    if not len(groups) or groups[-1] + 1 < FEWEST:
        return math.nan
    return ranking.auc(_operator(vectors, groups) @ _signs(forged), forged)


def paired_only(
    vectors: np.ndarray, forged: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Without the images that hold one label only, image by image; -> (vectors float64, forged, groups as 0..G-1)."""
    (both,) = np.nonzero(np.isin(groups, groups[forged]) & np.isin(groups, groups[~forged]))
    both = both[np.argsort(groups[both], kind="stable")]
    _, numbers = np.unique(groups[both], return_inverse=True)
    vectors = vectors[both].astype(np.float64)
    if not len(vectors):
        return vectors, forged[both], numbers
    # What differs by rounding alone would be standardised to a dimension like the others.
    dead = vectors.std(axis=0) <= 1e-6 * np.abs(vectors).max(axis=0)
    return np.where(dead, 0.0, vectors), forged[both], numbers


def _signs(forged: np.ndarray) -> np.ndarray:
    """bool -> +1.0 and -1.0, of the same shape."""
    return np.where(forged, 1.0, -1.0)


def _operator(vectors: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(N, D), (N,) 0..G-1 -> (N, N): times the labels (+1, -1) it gives the score of each row by a probe of other images.

    Ridge regression of the labels, which is Fisher's discriminant with a shrunken covariance, on vectors standardised
    over the fold's training rows. It is linear in the labels: one operator serves every way to deal them.
    """
    out = np.zeros((len(vectors), len(vectors)))
    folds = groups % min(FOLDS, int(groups.max()) + 1)
    for fold in np.unique(folds):
        seen, new = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        spread = vectors[seen].std(axis=0)
        alive = spread > 0
        scaled = (vectors[:, alive] - vectors[seen][:, alive].mean(axis=0)) / spread[alive] / max(alive.sum(), 1) ** 0.5
        kernel = scaled[seen] @ scaled[seen].T + RIDGE * np.eye(len(seen))
        centred = np.eye(len(seen)) - 1 / len(seen)
        out[np.ix_(new, seen)] = scaled[new] @ scaled[seen].T @ np.linalg.solve(kernel, centred)
    return out


def separation(vectors: np.ndarray, forged: np.ndarray, groups: np.ndarray) -> Separation | None:
    """(N, D), (N,) bool, (N,) image -> Separation; None for fewer than eight images that have both labels."""
    vectors, forged, groups = paired_only(vectors, forged, groups)
    if not len(groups) or groups[-1] + 1 < FEWEST:
        return None
    dealt = _dealt(forged, groups, Resampling().rng())
    operator = _operator(vectors, groups)
    scores, null = operator @ _signs(forged), mean_differences(vectors, dealt)
    differences = mean_differences(vectors, forged[None])[0]
    counts = np.count_nonzero(np.abs(null) > LARGE, axis=1)
    d_primes, fisher = ratios(vectors, forged, differences)
    cloud = Cloud(scores, _residual(vectors, forged), forged, groups, differences, null[:20], d_primes)
    return Separation(
        len(vectors),
        vectors.shape[1],
        int(groups[-1]) + 1,
        auc_interval(scores, forged, groups),
        _chance(ranking.auc(scores, forged), _aucs(operator @ _signs(dealt).T, dealt)),
        _chance(int(np.count_nonzero(np.abs(differences) > LARGE)), counts),
        surviving(vectors, forged, groups),
        float(np.abs(d_primes).max()),
        float(fisher.max()),
        silhouette(vectors, forged),
        cloud,
    )


def _dealt(forged: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) labels, (N,) groups in order -> (500, N): the labels dealt anew within each image."""
    return forged[np.argsort(rng.random((DEALT, len(forged))) + groups, axis=1)]


def mean_differences(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, D), (P, N) bool, both kinds in each row -> (P, D): mean of the forged less mean of the authentic."""
    true = labels.astype(np.float64)
    ours, others = true.sum(axis=1, keepdims=True), (1 - true).sum(axis=1, keepdims=True)
    return (true / ours - (1 - true) / others) @ vectors


def _chance(value: float, null: np.ndarray) -> Chance:
    """The labels as they are count as one of the ways to deal them, so that p is never 0."""
    p = (1 + np.count_nonzero(null >= value - 1e-12)) / (1 + len(null))
    return Chance(value, float(null.mean()), float(np.quantile(null, 0.95)), float(p))


def _aucs(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, P) scores, (P, N) bool -> (P,) AUC of each column against its own labels."""
    return np.array([ranking.auc(column, label) for column, label in zip(scores.T, labels, strict=True)])


def auc_interval(scores: np.ndarray, forged: np.ndarray, groups: np.ndarray) -> Interval:
    """(N,) held-out scores, labels, groups 0..G-1 -> AUC over all regions and its interval over images."""
    return _over_images(groups, lambda rows: ranking.auc(scores[rows], forged[rows]))


def rise(before: Cloud, after: Cloud) -> Interval:
    """Two vector sets of the same regions -> AUC of the second less that of the first, paired over images."""

    def gain(rows: np.ndarray) -> float:
        one, two = (ranking.auc(each.scores[rows], each.forged[rows]) for each in (before, after))
        return two - one

    return _over_images(before.groups, gain)


def _over_images(groups: np.ndarray, statistic: Callable[[np.ndarray], float]) -> Interval:
    """(N,) groups 0..G-1, a statistic of row numbers -> its value on all rows, and its interval over images,
    whose bounds are NaN for fewer than ten."""
    rows = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    if len(rows) < FEW:
        return Interval(statistic(np.arange(len(groups))), math.nan, math.nan, len(rows))
    return Resampling().of(lambda images: statistic(np.concatenate([rows[image] for image in images])), len(rows))


def ratios(vectors: np.ndarray, forged: np.ndarray, differences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, D), (N,), (D,) -> d' and Fisher ratio of each dimension; 0 where it never changes."""
    both = vectors[forged].var(axis=0) + vectors[~forged].var(axis=0)
    alive = both > 0
    spread = np.where(alive, both, 1.0)
    return np.where(alive, differences / np.sqrt(spread / 2), 0.0), np.where(alive, differences**2 / spread, 0.0)


def p_values(vectors: np.ndarray, forged: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(N, D), (N,), (N,) 0..G-1, G >= 2 -> (D,): two-sided t test of the images' own mean differences; 1 where all are 0."""
    from scipy.stats import t

    own = np.stack([mean_differences(vectors[groups == g], forged[groups == g][None])[0] for g in np.unique(groups)])
    error = own.std(axis=0, ddof=1) / math.sqrt(len(own))
    mean = own.mean(axis=0)
    found = 2 * t.sf(np.abs(mean) / np.where(error > 0, error, 1.0), len(own) - 1)
    return np.where(error > 0, found, (mean == 0).astype(float))


def surviving(vectors: np.ndarray, forged: np.ndarray, groups: np.ndarray) -> int:
    """Dimensions that differ, of which at most 5 % on average do not (Benjamini & Hochberg 1995)."""
    from scipy.stats import false_discovery_control

    return int(np.count_nonzero(false_discovery_control(p_values(vectors, forged, groups)) <= FALSE_SHARE))


def silhouette(vectors: np.ndarray, forged: np.ndarray) -> float:
    """(N, D), (N,) bool -> mean silhouette of the two classes, -1..1, dimensions standardised; NaN where undefined."""
    spread = vectors.std(axis=0)
    alive = spread > 0
    if not alive.any() or not 0 < forged.sum() < len(forged) or len(forged) < 3:
        return math.nan
    from sklearn.metrics import silhouette_score

    return float(silhouette_score((vectors - vectors.mean(axis=0))[:, alive] / spread[alive], forged))


def _residual(vectors: np.ndarray, forged: np.ndarray) -> np.ndarray:
    """(N, D), (N,) -> (N,) first principal component of the standardised vectors without the probe's own direction."""
    spread = vectors.std(axis=0)
    scaled = (vectors - vectors.mean(axis=0)) / np.where(spread > 0, spread, 1.0) / vectors.shape[1] ** 0.5
    weight = scaled.T @ np.linalg.solve(scaled @ scaled.T + RIDGE * np.eye(len(scaled)), _signs(forged))
    rest = scaled - np.outer(scaled @ weight, weight) / max(float(weight @ weight), 1e-30)
    left, size, _ = np.linalg.svd(rest, full_matrices=False)
    return left[:, 0] * size[0]
