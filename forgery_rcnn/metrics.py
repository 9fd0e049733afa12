"""Pure metrics on run-length masks: numbers in, numbers out; no files, no torch, no printing.

oF1 is the Recod.ai/LUC score: match predicted to true instances one to one so that the sum of pixel F1 is largest,
divide by the larger count; an image that either side calls authentic scores 1 when both do, else 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from forgery_rcnn.instances import Instances
from forgery_rcnn.rle import EMPTY, Runs

_Spans = tuple[np.ndarray, np.ndarray, np.ndarray]


def intersections(rows: Sequence[Runs], columns: Sequence[Runs]) -> np.ndarray:
    """P and G masks as Runs of one image -> (P, G) int64 pixels in common; no mask is ever decoded.

    Columns are taken together as long as they are disjoint; those that overlap others are set apart, or all are halved.
    """
    out = np.zeros((len(rows), len(columns)), np.int64)
    laid_out = _laid_out(rows)
    waiting = [np.arange(len(columns))] if out.size else []
    while waiting:
        chosen = waiting.pop()
        starts, ends, owner = _laid_out([columns[i] for i in chosen])
        order = np.argsort(starts, kind="stable")
        starts, ends, owner = starts[order], ends[order], owner[order]
        begins_inside = starts[1:] < np.maximum.accumulate(ends)[:-1]
        if not begins_inside.any():
            out[:, chosen] = _common(laid_out, (starts, ends, owner), (len(rows), len(chosen)))
            continue
        overlapping = np.unique(owner[1:][begins_inside])
        if 2 * len(overlapping) > len(chosen):
            waiting += np.array_split(chosen, 2)
        else:
            waiting += [np.delete(chosen, overlapping), chosen[overlapping]]
    return out


def _common(rows: _Spans, columns: _Spans, shape: tuple[int, int]) -> np.ndarray:
    """-> `shape` (P, k) int64 pixels in common. Columns are sorted and disjoint: a run of a row meets one stretch of them."""
    starts, ends, owner = columns
    first = np.searchsorted(ends, rows[0], side="right")
    count = np.searchsorted(starts, rows[1], side="left") - first
    run = np.repeat(np.arange(len(count)), count)
    other = np.arange(len(run)) + np.repeat(first - (np.cumsum(count) - count), count)
    common = np.minimum(rows[1][run], ends[other]) - np.maximum(rows[0][run], starts[other])
    pair = rows[2][run] * shape[1] + owner[other]
    total = np.bincount(pair, weights=common, minlength=shape[0] * shape[1])  # exact: below 2^53
    return total.astype(np.int64).reshape(shape)


def _laid_out(masks: Sequence[Runs]) -> _Spans:
    """Masks as Runs -> (R,) int64 starts, ends and mask numbers of all their runs, mask after mask."""
    starts, lengths = np.concatenate([EMPTY, *masks]).T
    return starts, starts + lengths, np.repeat(np.arange(len(masks)), [len(runs) for runs in masks])


def common_pixels(a: Runs, b: Runs) -> int:
    """Two masks of one image as Runs -> pixels that both cover."""
    return int(intersections([a], [b])[0, 0])


def pairwise_f1(predicted: Instances, true: Instances) -> np.ndarray:
    """P and G instances of one image -> (P, G) float64 pixel F1; empty against empty is 0."""
    common = intersections(predicted.runs, true.runs)
    total = predicted.areas()[:, None] + true.areas()[None, :]
    return np.divide(2 * common, total, out=np.zeros(common.shape), where=total > 0)


def matched_f1(predicted: Instances, true: Instances) -> np.ndarray:
    """-> (min(P, G),) float64, the pixel F1 of each pair in the one-to-one matching whose sum is largest."""
    f1 = pairwise_f1(predicted, true)
    if min(f1.shape) <= 1:
        return f1.max(axis=None, keepdims=True).ravel() if f1.size else np.zeros(0)
    from scipy.optimize import linear_sum_assignment  # 0.3 s of import that most files never need

    return f1[linear_sum_assignment(f1, maximize=True)]


def optimal_f1(predicted: Instances, true: Instances) -> float:
    """Best one-to-one sum of pixel F1 over max(P, G); 0 when either side has no instance.

    >>> one = Instances.from_masks(np.ones((1, 2, 2)))
    >>> optimal_f1(one, one)
    1.0
    """
    return _mean(matched_f1(predicted, true), predicted, true)


def _mean(matched: np.ndarray, predicted: Instances, true: Instances) -> float:
    return float(matched.sum() / max(len(predicted), len(true), 1))


def image_score(predicted: Instances | None, true: Instances | None) -> float:
    """oF1 of one image. None stands for "authentic"; an Instances, even of no region, for "forged"."""
    if predicted is None or true is None:
        return float(predicted is None and true is None)
    return optimal_f1(predicted, true)


@dataclass(frozen=True)
class ErrorBudget:
    """Where 1 - oF1 of an image went: five shares that add up to it exactly.

    false_alarm: authentic, called forged. called_authentic: forged, called authentic. missed: true instances whose
    match shares no pixel with them, or that have none. excess: predicted instances beyond the number of true ones.
    mask_quality: what the F1 of the pairs that do share pixels lacks to 1. All but the first two are in units of
    1 / max(P, G), as the score is.
    """

    false_alarm: float = 0.0
    called_authentic: float = 0.0
    missed: float = 0.0
    excess: float = 0.0
    mask_quality: float = 0.0

    def total(self) -> float:
        """1 - oF1."""
        return float(sum(astuple(self)))


def score_and_budget(predicted: Instances | None, true: Instances | None) -> tuple[float, ErrorBudget]:
    """oF1 of one image, and where the rest went; None stands for "authentic"."""
    if predicted is None or true is None:
        if predicted is true:
            return 1.0, ErrorBudget()
        return 0.0, ErrorBudget(false_alarm=1.0) if true is None else ErrorBudget(called_authentic=1.0)
    slots = max(len(predicted), len(true))
    if not slots:
        return 0.0, ErrorBudget(missed=1.0)  # both say forged, neither says where
    matched = matched_f1(predicted, true)
    met = matched[matched > 0]
    return _mean(matched, predicted, true), ErrorBudget(
        missed=(len(true) - len(met)) / slots,
        excess=(slots - len(true)) / slots,
        mask_quality=float((len(met) - met.sum()) / slots),
    )


def error_budget(predicted: Instances | None, true: Instances | None) -> ErrorBudget:
    """Where 1 - oF1 of one image went.

    >>> true, found = (Instances.from_masks(np.eye(4)[rows, None] > 0) for rows in ([0, 1], [0]))
    >>> error_budget(found, true)
    ErrorBudget(false_alarm=0.0, called_authentic=0.0, missed=0.5, excess=0.0, mask_quality=0.0)
    """
    return score_and_budget(predicted, true)[1]


def all_forged(true: Instances | None) -> float:
    """oF1 of calling every pixel of the image forged, as one instance."""
    if true is None or not len(true):
        return 0.0
    areas = true.areas()
    return float((2 * areas / (true.size[0] * true.size[1] + areas)).max() / len(true))


def dice(common: int, predicted: int, true: int) -> float:
    """Pixel counts of two masks -> 2 common / (predicted + true), the same as pixel F1; both empty: 1."""
    return 2 * common / (predicted + true) if predicted + true else 1.0


def iou(common: int, predicted: int, true: int) -> float:
    """Pixel counts -> common / union; both masks empty: 1."""
    return common / (predicted + true - common) if predicted + true else 1.0


def precision_recall(common: int, predicted: int, true: int) -> tuple[float, float]:
    """Pixel counts -> precision and recall; both masks empty: 1 and 1, otherwise 0 / 0 counts as 0."""
    if predicted + true == 0:
        return 1.0, 1.0
    return (common / predicted if predicted else 0.0), (common / true if true else 0.0)
