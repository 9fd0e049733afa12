"""What settings make of predicted images: a few numbers an image, of which every metric that is fitted to is made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from forgery_rcnn import metrics, ranking, rle
from forgery_rcnn.bootstrap import Interval, Resampling
from forgery_rcnn.config import InferenceConfig
from forgery_rcnn.errors import require
from forgery_rcnn.inference import pipeline
from forgery_rcnn.inference.members import CALLS as CALLS
from forgery_rcnn.instances import Instances, Prediction

MetricName = Literal["of1", "dice", "iou", "f1", "balanced_accuracy"]


@dataclass(frozen=True)
class Goal:
    """metric: what is to be as high as possible; false_alarms: share of authentic images that may be flagged, None = any."""

    metric: MetricName = "of1"
    false_alarms: float | None = None

    def __post_init__(self) -> None:
        limit = self.false_alarms
        require(limit is None or 0 <= limit <= 1, f"--false-alarms is {limit}; use a share in 0..1, e.g. 0.05")


@dataclass(frozen=True)
class Outcomes:
    """Of N images, (N,) each. forged: bool, the truth; image_scores: float64; found: bool, regions pass the thresholds
    (always, where the metric is of CALLS); values: float64, the metric of these; cleared: float64, of the answer authentic."""

    forged: np.ndarray
    image_scores: np.ndarray
    found: np.ndarray
    values: np.ndarray
    cleared: np.ndarray

    def only(self, index: np.ndarray) -> Outcomes:
        """(K,) int64 -> the outcomes of these images."""
        return Outcomes(*(part[index] for part in vars(self).values()))

    def called(self, image_threshold: float) -> np.ndarray:
        """-> (N,) bool: flagged at this threshold."""
        return self.found & (self.image_scores >= image_threshold)

    def settled(self, image_threshold: float) -> Outcomes:
        """The same with the threshold applied: found is what is flagged, values what is scored."""
        called = self.called(image_threshold)
        return replace(self, found=called, values=np.where(called, self.values, self.cleared))


def joined(parts: list[Outcomes]) -> Outcomes:
    """One after the other."""
    return Outcomes(*(np.concatenate(arrays) for arrays in zip(*(vars(part).values() for part in parts), strict=True)))


def of_image(found: Prediction, true: Instances | None, config: InferenceConfig, metric: str) -> tuple[bool, float]:
    """Candidates with their regions made, the truth (None = authentic) -> whether regions pass, and the metric of them.

    The image's threshold is not applied here: Outcomes do.
    """
    if metric in CALLS:
        return True, math.nan
    kept = pipeline.selected(found, replace(config, image_threshold=0.0)).instances
    answer = kept if len(kept) else None
    if metric == "of1":
        return answer is not None, metrics.image_score(answer, true)
    mine, theirs = (rle.EMPTY if side is None else side.union() for side in (answer, true))
    counts = metrics.common_pixels(mine, theirs), int(mine[:, 1].sum()), int(theirs[:, 1].sum())
    return answer is not None, (metrics.dice if metric == "dice" else metrics.iou)(*counts)


def cleared(true: Instances | None, metric: str) -> float:
    """The metric of the answer authentic: 1 where that is true (for Dice and IoU: where no pixel is forged), else 0."""
    if metric in CALLS:
        return math.nan
    return float(true is None or (metric != "of1" and not len(true.union())))


def score(outcomes: Outcomes, metric: str) -> float:
    """Settled outcomes -> the metric; NaN of none, or of calls that are 0 / 0."""
    if metric not in CALLS:
        return float(outcomes.values.mean()) if len(outcomes.values) else math.nan
    return float(ranking.call_rates(np.array(ranking.confusion(outcomes.found, outcomes.forged)))[metric])


def scores_at(outcomes: Outcomes, thresholds: np.ndarray, goal: Goal) -> np.ndarray:
    """(T,) image thresholds -> (T,) the goal's metric at each; where more authentic images are flagged than the goal
    allows, -1 minus their share."""
    called = outcomes.found & (outcomes.image_scores >= thresholds[:, None])
    fp, tp = (np.count_nonzero(called & kind, axis=1) for kind in (~outcomes.forged, outcomes.forged))
    forged, authentic = int(outcomes.forged.sum()), int((~outcomes.forged).sum())
    if goal.metric in CALLS:
        counts = np.stack([tp, fp, forged - tp, authentic - fp], axis=1)
        out = np.nan_to_num(ranking.call_rates(counts)[goal.metric])
    else:
        out = np.where(called, outcomes.values, outcomes.cleared).mean(axis=1)
    if goal.false_alarms is None or not authentic:
        return out
    return np.where(fp <= goal.false_alarms * authentic + 1e-9, out, -1 - fp / authentic)


def interval(statistic: Callable[[np.ndarray], float], groups: np.ndarray, how: Resampling) -> Interval:
    """`statistic`: (K,) int64 indices of images, some repeated -> number; (N,) int64, the group of each image. -> its value
    on all images, and the bootstrap interval over groups: images of one source are no independent witnesses."""
    names, own = np.unique(groups, return_inverse=True)

    def of_groups(drawn: np.ndarray) -> float:
        return statistic(np.repeat(np.arange(len(own)), np.bincount(drawn, minlength=len(names))[own]))

    return replace(how.of(of_groups, len(names)), count=len(own))


def false_alarm_rate(outcomes: Outcomes) -> float:
    """Settled outcomes -> the share of authentic images that are flagged; NaN where there is none."""
    authentic = ~outcomes.forged
    return float(outcomes.found[authentic].mean()) if authentic.any() else math.nan
