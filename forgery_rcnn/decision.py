"""Authentic, forged, or undecided: an image's score as a calibrated probability, and two thresholds with stated errors.

forged: from the lowest score at which at most a stated share of the authentic images fitted on is called so; authentic:
below the highest at which at most a stated share of the forged ones is; between the two nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from forgery_rcnn import calibration
from forgery_rcnn.bootstrap import Interval, wilson
from forgery_rcnn.errors import InputError, require

Said = Literal["authentic", "forged", "undecided"]
ANSWERS: tuple[Said, ...] = ("authentic", "forged", "undecided")
FEWEST = 5  # images of either kind below which nothing is fitted; the intervals say how little that is
NEVER = 2.0  # a score from which nothing is called forged: scores end at 1


@dataclass(frozen=True)
class Decision:
    """slope, offset: of Platt's sigmoid over the score's logit; below authentic_below an image is authentic, from
    forged_from on forged, both of the score itself; false_alarms, missed: shares of images that these were to keep to."""

    slope: float
    offset: float
    authentic_below: float
    forged_from: float
    false_alarms: float
    missed: float

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(N,) image scores 0..1 -> (N,) float64 0..1, that the image is forged, where as many are as among those fitted on;
        NaN of NaN."""
        known = ~np.isnan(scores)
        out = np.full(len(scores), math.nan)
        out[known] = calibration.scores_of(self.slope * calibration.margins_of(scores[known]) + self.offset)
        return out

    def probability(self, score: float) -> float:
        """The same of one image."""
        return float(self.probabilities(np.array([score], np.float64))[0])

    def said(self, score: float) -> Said:
        """An image's score -> the answer; NaN, a score that is not known, is undecided."""
        if score >= self.forged_from:
            return "forged"
        return "authentic" if score < self.authentic_below else "undecided"


@dataclass(frozen=True)
class Answers:
    """How often each answer was right. counts: answer -> (authentic images, forged images) it was given for; right: answer
    -> share of right ones, but of undecided; false_alarms: share of the authentic called forged, missed: of the forged
    called authentic, undecided: of all images. 95 % Wilson intervals: images of one source make them too narrow."""

    counts: Mapping[str, tuple[int, int]]
    right: Mapping[str, Interval]
    false_alarms: Interval
    missed: Interval
    undecided: Interval


def check_shares(false_alarms: float, missed: float) -> None:
    """Raises InputError: no share that may be asked for."""
    for name, share in (("--false-alarms", false_alarms), ("--missed", missed)):
        require(0 <= share < 1, f"{name} is {share}; use a share from 0 to below 1, e.g. 0.05")


def fit(scores: np.ndarray, forged: np.ndarray, false_alarms: float, missed: float) -> Decision:
    """(N,) image scores 0..1, (N,) bool -> Decision that keeps to both shares on these images.

    Raises InputError: a score that is not known, too few images of a kind.
    """
    counts = int((~forged).sum()), int(forged.sum())
    check_shares(false_alarms, missed)
    require(
        min(counts) >= FEWEST,
        f"{counts[0]} authentic and {counts[1]} forged images: a decision needs {FEWEST} of each; use more images",
    )
    require(not np.isnan(scores).any(), "an image has no score to decide by; use weights that give one")
    scores = np.asarray(scores, np.float64)
    slope, offset = calibration.platt(calibration.margins_of(scores), forged)
    low, high = _below(scores, scores[forged], missed), _from(scores, scores[~forged], false_alarms)
    if low > high:  # any score between keeps to both
        low = high = (low + high) / 2
    return Decision(slope, offset, low, high, false_alarms, missed)


def _from(scores: np.ndarray, authentic: np.ndarray, share: float) -> float:
    """The threshold that calls at most this share of the authentic scores forged, half way to the next score that occurs."""
    ranked = np.sort(authentic)[::-1]
    last = ranked[math.floor(share * len(ranked) + 1e-9)]  # the highest that is not to be called
    above = scores[scores > last].min(initial=1.0)
    if above <= last:
        return NEVER
    middle = float(last + above) / 2
    return middle if middle > last else float(above)  # of neighbours among floats there is none between


def _below(scores: np.ndarray, forged: np.ndarray, share: float) -> float:
    """The threshold below which at most this share of the forged scores lies, half way to the next score that occurs."""
    first = np.sort(forged)[math.floor(share * len(forged) + 1e-9)]  # the lowest that is not to be called
    under = scores[scores < first].max(initial=0.0)
    return float(first + under) / 2


def crossed(
    scores: np.ndarray, forged: np.ndarray, folds: Sequence[np.ndarray], asked: tuple[float, float]
) -> tuple[list[Said], np.ndarray] | None:
    """The same images, each answered by a Decision fitted on the other folds. asked: false alarms, missed; folds: disjoint,
    (K,) int64 each. -> answers, (N,) float64 probabilities; None where too few images are left to fit on."""
    said: list[Said] = ["undecided"] * len(scores)
    chance = np.full(len(scores), math.nan)
    if len(folds) < 2:
        return None
    for fold in folds:
        others = np.setdiff1d(np.arange(len(scores)), fold)
        try:
            own = fit(scores[others], forged[others], *asked)
        except InputError:
            return None
        chance[fold] = own.probabilities(scores[fold])
        for place in fold:
            said[place] = own.said(scores[place])
    return said, chance


def answers(said: Sequence[Said], forged: np.ndarray) -> Answers:
    """What was said of N images, (N,) bool -> how often it was right."""
    told = np.array(said)
    counts = {name: (int(((told == name) & ~forged).sum()), int(((told == name) & forged).sum())) for name in ANSWERS}
    right = {name: wilson(counts[name][place], sum(counts[name])) for place, name in enumerate(ANSWERS[:2])}
    return Answers(
        counts,
        right,
        wilson(counts["forged"][0], int((~forged).sum())),
        wilson(counts["authentic"][1], int(forged.sum())),
        wilson(sum(counts["undecided"]), len(forged)),
    )


def of_scores(decision: Decision, scores: np.ndarray, forged: np.ndarray) -> Answers:
    """(N,) image scores, (N,) bool -> how often a Decision is right on them. Raises ValueError for a score that is not known."""
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).sum())} of {len(scores)} images have no score to decide by")
    return answers([decision.said(float(score)) for score in scores], forged)


def meant(rule: Decision) -> tuple[str, str, str]:
    """Of which scores each of ANSWERS is the answer."""
    low, high = f"score < {rule.authentic_below:.4g}", f"score >= {rule.forged_from:.4g}"
    return low if rule.authentic_below else "never", high if rule.forged_from < NEVER else "never", "between"


def lines(rule: Decision, found: Answers, scores: Sequence[str]) -> list[str]:
    """How often each answer was right -> a table. scores: as `meant` gives them."""
    table = [f"{'decision':<34}{'images':>7}  {'authentic':>9}  {'forged':>6}  right [95 %]"]
    for name, of in zip(ANSWERS, scores, strict=True):
        authentic, forged = found.counts[name]
        right = str(found.right[name]) if name in found.right else ""
        table.append(f"  {f'{name} ({of})':<32}{authentic + forged:>7}  {authentic:>9}  {forged:>6}  {right}".rstrip())
    table.append(f"  authentic images called forged    {found.false_alarms}, asked {rule.false_alarms:.1%}")
    table.append(f"  forged images called authentic    {found.missed}, asked {rule.missed:.1%}")
    return table


def as_json(decision: Decision) -> dict[str, float]:
    """The inverse of `from_json`."""
    return asdict(decision)


def from_json(told: Mapping[str, Any], where: str) -> Decision:
    """What is stored -> Decision. Raises InputError, which begins with `where`, for what is none."""
    try:
        found = Decision(**{name: float(told[name]) for name in Decision.__dataclass_fields__})
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{where}: its `decision` is not what `edarnn.py decide` writes; fit it anew") from None
    fine = all(math.isfinite(value) for value in asdict(found).values())
    fine &= found.slope >= 0 and 0 <= found.authentic_below <= found.forged_from <= NEVER
    require(fine, f"{where}: its `decision` holds numbers that cannot be used; fit it anew")
    return found
