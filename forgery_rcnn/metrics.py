"""Pure metrics on run-length masks: numbers in, numbers out; no files, no torch, no printing.

oF1 is the Recod.ai/LUC score: match predicted to true instances one to one so that the sum of pixel F1 is largest,
divide by the larger count; an image that either side calls authentic scores 1 when both do, else 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forgery_rcnn.instances import Instances
from forgery_rcnn.rle import Runs


def intersections(rows: Sequence[Runs], columns: Sequence[Runs]) -> np.ndarray:
    """P and G masks as Runs of one image -> (P, G) int64 pixels in common; no mask is ever decoded.

    For each row mask, covered(x) = its pixels before index x; a column run [s, e) holds covered(e) - covered(s).
    """
    out = np.zeros((len(rows), len(columns)), np.int64)
    owner = np.repeat(np.arange(len(columns)), [len(runs) for runs in columns])
    if not len(owner):
        return out
    starts, lengths = np.concatenate(list(columns)).T
    for line, runs in zip(out, rows, strict=True):
        if len(runs):
            common = _covered(runs, starts + lengths) - _covered(runs, starts)
            line[:] = np.bincount(owner, weights=common, minlength=len(columns)).astype(np.int64)
    return out


def _covered(runs: Runs, index: np.ndarray) -> np.ndarray:
    """Pixels of `runs` that lie before each index."""
    before = np.concatenate([[0], np.cumsum(runs[:, 1])])
    run = np.searchsorted(runs[:, 0], index, side="right")
    inside = np.minimum(index - runs[run - 1, 0], runs[run - 1, 1])
    return np.where(run > 0, before[run - 1] + inside, 0)


def pairwise_f1(predicted: Instances, true: Instances) -> np.ndarray:
    """P and G instances of one image -> (P, G) float64 pixel F1; empty against empty is 0."""
    common = intersections(predicted.runs, true.runs)
    total = predicted.areas()[:, None] + true.areas()[None, :]
    return np.divide(2 * common, total, out=np.zeros(common.shape), where=total > 0)


def optimal_f1(predicted: Instances, true: Instances) -> float:
    """Best one-to-one sum of pixel F1 over max(P, G); 0 when either side has no instance.

    >>> one = Instances.from_masks(np.ones((1, 2, 2)))
    >>> optimal_f1(one, one)
    1.0
    """
    if not len(predicted) or not len(true):
        return 0.0
    f1 = pairwise_f1(predicted, true)
    if min(f1.shape) == 1:
        best = f1.max()
    else:
        from scipy.optimize import linear_sum_assignment  # 0.3 s of import that most files never need

        best = f1[linear_sum_assignment(f1, maximize=True)].sum()
    return float(best / max(f1.shape))


def image_score(predicted: Instances | None, true: Instances | None) -> float:
    """oF1 of one image. None stands for "authentic"; an Instances, even of no region, for "forged"."""
    if predicted is None or true is None:
        return float(predicted is None and true is None)
    return optimal_f1(predicted, true)


def pixel_counts(predicted: Runs, true: Runs) -> tuple[int, int, int]:
    """Two masks as Runs -> (common, predicted, true) pixels."""
    return int(intersections([predicted], [true])[0, 0]), int(predicted[:, 1].sum()), int(true[:, 1].sum())


def dice(predicted: Runs, true: Runs) -> float:
    """2 common / (predicted + true) pixels, the same as pixel F1; both empty: 1."""
    common, p, t = pixel_counts(predicted, true)
    return 2 * common / (p + t) if p + t else 1.0


def iou(predicted: Runs, true: Runs) -> float:
    """common / union pixels; both empty: 1."""
    common, p, t = pixel_counts(predicted, true)
    return common / (p + t - common) if p + t else 1.0


def precision_recall(predicted: Runs, true: Runs) -> tuple[float, float]:
    """Pixel precision and recall; both masks empty: 1 and 1, otherwise 0 / 0 counts as 0."""
    common, p, t = pixel_counts(predicted, true)
    if p + t == 0:
        return 1.0, 1.0
    return (common / p if p else 0.0), (common / t if t else 0.0)
