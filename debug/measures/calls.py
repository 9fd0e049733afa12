"""What thresholds and a temperature make of scores: pure numbers, on the images they were fitted on and on others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forgery_rcnn import calibration, ranking
from forgery_rcnn.calibration import scores_of


@dataclass(frozen=True)
class Cut:
    """What calling all proposals that score >= threshold forged gives; NaN without a forged proposal."""

    threshold: float
    f1: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Calibration:
    """Of the proposals that can become detections. temperature: fitted on all images, NaN = cannot be; error (ECE, bins
    of 0.1) and log loss as they are and with it on the images it was fitted on (fitted_*), and with temperatures of the
    other half of the images (held_out_*; NaN = cannot be). chance: error that true probabilities would stay below in 19
    of 20 such sets. before, after: (B, 3), the curves, calibration.reliability."""

    proposals: int
    temperature: float
    chance: float
    error: float
    fitted_error: float
    held_out_error: float
    loss: float
    fitted_loss: float
    held_out_loss: float
    before: np.ndarray
    after: np.ndarray


def cut_at(scores: np.ndarray, forged: np.ndarray, threshold: float) -> Cut:
    """(N,) scores, (N,) bool -> Cut. Precision is NaN where nothing is called."""
    if not forged.any():
        return Cut(threshold, math.nan, math.nan, math.nan)
    tp, fp, fn, _ = ranking.confusion(scores >= threshold, forged)
    precision = tp / (tp + fp) if tp + fp else math.nan
    return Cut(threshold, 2 * tp / (2 * tp + fp + fn), precision, tp / (tp + fn))


def best_cut(scores: np.ndarray, forged: np.ndarray, least: float) -> Cut:
    """(N,) scores 0..1, (N,) bool -> the Cut of best F1 among thresholds >= least: the model drops what is below.

    Its threshold lies between two scores and has as few digits, 3 or more, as still make the same calls.
    """
    if not forged.any():
        return cut_at(scores, forged, math.nan)
    thresholds, precision, recall = ranking.precision_recall(scores, forged)
    able = thresholds >= least
    if not able.any():
        return cut_at(scores, forged, least)
    thresholds, precision, recall = thresholds[able], precision[able], recall[able]
    # At a threshold that calls no forged one both are 0, and so is F1.
    both = precision + recall
    best = int(np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0).argmax())
    below = thresholds[best + 1] if best + 1 < len(thresholds) else least
    return cut_at(scores, forged, short(float(below), float(thresholds[best])))


def short(low: float, high: float) -> float:
    """A number of few digits, 3 or more, between two, rounded down from their middle and never below low.

    >>> short(0.3, 0.4), short(0.996, 0.998), short(0.9961, 0.9963), short(0.05, 0.05)
    (0.35, 0.997, 0.9962, 0.05)
    """
    middle = (low + high) / 2
    shorter = (math.floor(middle * 10**digits) / 10**digits for digits in range(3, 16))
    # Not at the edge: the model's own scores are float32.
    return next((number for number in shorter if number > (low + middle) / 2), middle)


def held_out_f1(scores: np.ndarray, forged: np.ndarray, halves: np.ndarray, least: float) -> float:
    """F1 of calls by the best threshold of the other half of the images; NaN where a half has no forged proposal."""
    called = calibration.crossed(
        halves,
        lambda fitted: best_cut(scores[fitted], forged[fitted], least).threshold,
        lambda others, threshold: scores[others] >= threshold,
    )
    return math.nan if called is None else cut_at(called, forged, 0.5).f1


def calibrated(margins: np.ndarray, forged: np.ndarray, halves: np.ndarray) -> Calibration:
    """(N,) margins, (N,) bool forged, (N,) bool first half of the images -> Calibration.

    Of whatever set is given: choosing proposals by their score leaves the probability at each score what it is, so a
    temperature can be fitted on the same proposals that are judged.
    """
    found = calibration.temperature_of(margins, forged)
    fitted = margins if math.isnan(found) else margins / found
    held_out = calibration.crossed(
        halves,
        lambda those: calibration.temperature_of(margins[those], forged[those]),
        lambda others, temperature: margins[others] / temperature,
    )
    sets = [margins, fitted if not math.isnan(found) else margins[:0], margins[:0] if held_out is None else held_out]
    truths = [forged if len(m) else forged[:0] for m in sets]
    errors = [calibration.expected_error(scores_of(m), f) for m, f in zip(sets, truths, strict=True)]
    losses = [calibration.log_loss(m, f) for m, f in zip(sets, truths, strict=True)]
    curves = [calibration.reliability(scores_of(m), f) for m, f in zip(sets[:2], truths[:2], strict=True)]
    chance = calibration.error_by_chance(scores_of(margins), np.random.default_rng(0))
    return Calibration(len(margins), found, chance, *errors, *losses, *curves)
