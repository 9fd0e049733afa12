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
    """temperature: fitted on all images, NaN = cannot be; error (ECE) and log loss as they are and with it on the images
    it was fitted on (fitted_*), and with temperatures of the other half of the images (held_out_*; NaN = cannot be)."""

    temperature: float
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


def best_cut(scores: np.ndarray, forged: np.ndarray) -> Cut:
    """(N,) scores 0..1, (N,) bool -> the Cut of best F1, its threshold midway to the next score below."""
    thresholds, precision, recall = ranking.precision_recall(scores, forged)
    if not len(thresholds):
        return cut_at(scores, forged, math.nan)
    # At a threshold that calls no forged one both are 0, and so is F1.
    both = precision + recall
    best = int(np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0).argmax())
    below = thresholds[best + 1] if best + 1 < len(thresholds) else 0.0
    return cut_at(scores, forged, float(thresholds[best] + below) / 2)


def held_out_f1(scores: np.ndarray, forged: np.ndarray, halves: np.ndarray) -> float:
    """F1 of calls by the best threshold of the other half of the images; NaN where a half has no forged proposal."""
    called = calibration.crossed(
        halves,
        lambda fitted: best_cut(scores[fitted], forged[fitted]).threshold,
        lambda others, threshold: scores[others] >= threshold,
    )
    return math.nan if called is None else cut_at(called, forged, 0.5).f1


def calibrated(margins: np.ndarray, forged: np.ndarray, halves: np.ndarray) -> Calibration:
    """(N,) margins, (N,) bool forged, (N,) bool first half of the images -> Calibration."""
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
    return Calibration(found, *errors, *losses, *curves)
