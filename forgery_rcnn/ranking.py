"""Pure metrics of scores and calls against labels: arrays in, numbers out.

A threshold t calls all that scores >= t. Thresholds are taken between the scores that occur, the one that calls nothing
included; nothing is interpolated. Callers pass finite scores: NaN has no rank, and no function here looks for it.
"""

from __future__ import annotations

import math

import numpy as np


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """(N,) numbers, (N,) bool -> area under the ROC curve, ties counted half; NaN when a class is missing.

    It is the Mann-Whitney statistic, exact: the share of pairs of a positive and a negative that are in order.

    >>> auc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    few, many = scores[positive], scores[~positive]
    if not few.size or not many.size:
        return math.nan
    above = few.size <= many.size
    if not above:
        few, many = many, few
    # Sorting the many is one fast pass; looking the few up in them, sorted too, walks through memory in one direction.
    few, many = np.sort(few), np.sort(many)
    twice = int(np.searchsorted(many, few, "left").sum()) + int(np.searchsorted(many, few, "right").sum())
    share = twice / (2 * few.size * many.size)
    return share if above else 1.0 - share


def false_alarm_rate_at(scores: np.ndarray, positive: np.ndarray, recall: float = 0.95) -> float:
    """(N,) numbers, (N,) bool -> the smallest share of negatives called over all thresholds whose recall is >= `recall`.

    NaN when a class is missing. `recall`: 0..1; at 0 the threshold that calls nothing will do.

    >>> false_alarm_rate_at(np.array([0.9, 0.4, 0.6, 0.1]), np.array([True, True, False, False]))
    0.5
    """
    true, false = scores[positive], scores[~positive]
    if not true.size or not false.size:
        return math.nan
    near = math.ceil(recall * true.size)  # the product is rounded: the count wanted may be the one before or after
    needed = min(k for k in (near - 1, near, near + 1) if k / true.size >= recall)
    if needed == 0:
        return 0.0
    return int(np.count_nonzero(false >= _largest(true, needed))) / false.size


def recall_at(scores: np.ndarray, positive: np.ndarray, false_alarm_rate: float = 0.05) -> float:
    """(N,) numbers, (N,) bool -> the largest recall over thresholds that call at most that share of the negatives.

    NaN when a class is missing. `false_alarm_rate`: 0..1.

    >>> recall_at(np.array([0.9, 0.4, 0.6, 0.1]), np.array([True, True, False, False]))
    0.5
    """
    true, false = scores[positive], scores[~positive]
    if not true.size or not false.size:
        return math.nan
    near = math.floor(false_alarm_rate * false.size)  # rounded, as above
    allowed = max(k for k in (near - 1, near, near + 1) if k / false.size <= false_alarm_rate)
    if allowed >= false.size:
        return 1.0
    return int(np.count_nonzero(true > _largest(false, allowed + 1))) / true.size


def precision_recall(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) numbers, (N,) bool -> (T,) thresholds, the scores that occur, falling; (T,) precision, (T,) recall at each.

    All three empty when there is no positive.

    >>> [part.tolist() for part in precision_recall(np.array([0.9, 0.4, 0.4]), np.array([True, True, False]))]
    [[0.9, 0.4], [1.0, 0.6666666666666666], [0.5, 1.0]]
    """
    total = int(np.count_nonzero(positive))
    if not total:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    order = np.argsort(scores)[::-1]
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # equal scores are called together
    hits = np.cumsum(positive[order])[last]
    return ranked[last], hits / (last + 1), hits / total


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """(N,) numbers, (N,) bool -> sum over thresholds of precision x rise of recall, 0..1; NaN without a positive.

    >>> average_precision(np.array([0.9, 0.4, 0.3]), np.array([True, False, True]))
    0.8333333333333333
    """
    _, precision, recall = precision_recall(scores, positive)
    return float(np.sum(precision * np.diff(recall, prepend=0.0))) if len(recall) else math.nan


def equal_error_rate(scores: np.ndarray, positive: np.ndarray) -> float:
    """(N,) numbers, (N,) bool -> the rate at which as many negatives are called as positives are not, 0..1; NaN when a class
    is missing.

    Between two thresholds, where the order of the two rates changes, both are taken to move evenly (the ROC's straight line).

    >>> equal_error_rate(np.array([0.9, 0.6, 0.7, 0.1]), np.array([True, True, False, False]))
    0.5
    """
    total = int(np.count_nonzero(positive))
    if not total or total == len(scores):
        return math.nan
    order = np.argsort(-scores)
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    missed = 1 - np.concatenate([[0], np.cumsum(positive[order])[last]]) / total
    false = np.concatenate([[0], np.cumsum(~positive[order])[last]]) / (len(scores) - total)
    gap = false - missed  # from -1, where nothing is called, rising to 1
    after = int(np.argmax(gap >= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(false[after - 1] + share * (false[after] - false[after - 1]))


def _largest(values: np.ndarray, k: int) -> np.generic:
    """(N,) -> the k-th largest, k = 1 the largest; in linear time."""
    return np.partition(values, len(values) - k)[len(values) - k]


def confusion(called: np.ndarray, positive: np.ndarray) -> tuple[int, int, int, int]:
    """(N,) bool, (N,) bool -> counts: true positives, false positives, false negatives, true negatives.

    >>> confusion(np.array([True, True, False]), np.array([True, False, False]))
    (1, 1, 0, 1)
    """
    tp = int(np.count_nonzero(called & positive))
    fp, fn = int(np.count_nonzero(called)) - tp, int(np.count_nonzero(positive)) - tp
    return tp, fp, fn, len(called) - tp - fp - fn


def call_rates(counts: np.ndarray) -> dict[str, np.ndarray]:
    """(..., 4) counts tp, fp, fn, tn -> F1, accuracy, balanced accuracy, precision, recall, share of negatives called, share
    of positives not called.

    Each of shape (...,); NaN where it is 0 / 0, and balanced accuracy where a class is missing.

    >>> {name: float(rate) for name, rate in call_rates(np.array([3, 1, 1, 3])).items() if name.endswith("_rate")}
    {'false_alarm_rate': 0.25, 'missed_rate': 0.25}
    """
    tp, fp, fn, tn = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    with np.errstate(invalid="ignore"):
        false_alarms, missed = fp / (fp + tn), fn / (fn + tp)
        return {
            "f1": 2 * tp / (2 * tp + fp + fn),
            "accuracy": (tp + tn) / (tp + fp + fn + tn),
            "balanced_accuracy": 1 - (false_alarms + missed) / 2,
            "call_precision": tp / (tp + fp),
            "call_recall": tp / (tp + fn),
            "false_alarm_rate": false_alarms,
            "missed_rate": missed,
        }


def mcc(tp: int, fp: int, fn: int, tn: int) -> float:
    """Counts -> Matthews correlation, -1..1.

    Where a class or a call is missing it is 0 / 0; then it is 1 when all calls are right (fp = fn = 0), else 0.

    >>> mcc(90, 10, 10, 90), mcc(0, 0, 0, 5), mcc(0, 1, 0, 4)
    (0.8, 1.0, 0.0)
    """
    tp, fp, fn, tn = int(tp), int(fp), int(fn), int(tn)  # Python's whole numbers: the product passes 2^63
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    if margins == 0:
        return float(fp == fn == 0)
    return (tp * tn - fp * fn) / math.sqrt(margins)
