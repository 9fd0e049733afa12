"""What a detector sees and what occurs twice in an image, as one list of regions, scored anew by a few stored numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from forgery_rcnn import calibration, metrics, rle
from forgery_rcnn.errors import InputError, require
from forgery_rcnn.instances import Instances, Prediction
from forgery_rcnn.models.matcher import EVIDENCE, Matched

FEATURES = ("detector", "matcher", "matched", *EVIDENCE, "overlap", "log10_area", "log10_area_if_matched")
"""Of a region. detector: logit of its score, that of UNSEEN where it saw nothing; matcher: logit of its score; matched: 1 = the
matcher saw it, else 0, and so are matcher, its EVIDENCE and log10_area_if_matched; overlap: the largest IoU of its mask with one
of the other's; log10_area: of its share of the image. The area of twins says other things than that of other regions."""
UNSEEN = 0.05  # a detector keeps no score below (model.box_score_min): what it did not see may have any of these
SAME = (
    0.5  # IoU with an instance of the matcher, or share inside it, from which a detection is evidence for that instance
)


def candidates(detected: Prediction, twins: Matched) -> tuple[Prediction, np.ndarray]:
    """-> the matcher's instances, then those detections that lie in none of them, and (N, 11) float64 FEATURES of each.

    The matcher's masks are the finer ones; a detection that lies in one, often only the copy, is counted as evidence for it.
    Heat map and image score are the detector's, the scores each one's own.
    """
    mine, theirs = twins.instances, detected.instances
    common = metrics.intersections(mine.runs, theirs.runs).reshape(len(mine), len(theirs))
    areas, others = mine.areas(), theirs.areas()
    overlap = common / np.maximum(areas[:, None] + others[None, :] - common, 1)
    supports = (overlap >= SAME) | (common >= SAME * np.maximum(others, 1))
    alone = np.flatnonzero(~supports.any(axis=0))
    features = np.zeros((len(mine) + len(alone), len(FEATURES)))
    column = {name: features[:, number] for number, name in enumerate(FEATURES)}
    supporting = (supports * detected.scores).max(axis=1, initial=0)
    seen = np.maximum(np.concatenate([supporting, detected.scores[alone]]), UNSEEN)
    column["detector"][:] = calibration.margins_of(seen)
    column["matcher"][: len(mine)], column["matched"][: len(mine)] = calibration.margins_of(twins.scores), 1
    for name, values in zip(EVIDENCE, twins.evidence.T, strict=True):
        column[name][: len(mine)] = values
    column["overlap"][: len(mine)] = overlap.max(axis=1, initial=0)
    column["overlap"][len(mine) :] = overlap[:, alone].max(axis=0, initial=0)
    size = mine.size[0] * mine.size[1]
    column["log10_area"][:] = np.log10(np.maximum(np.concatenate([areas, others[alone]]), 1) / size)
    runs = (*mine.runs, *theirs.take(alone).runs)
    column["log10_area_if_matched"][:] = column["log10_area"] * column["matched"]
    boxes, scores = (
        np.concatenate([twins.boxes, detected.boxes[alone]]),
        np.concatenate([twins.scores, detected.scores[alone]]),
    )
    return Prediction(Instances(mine.size, runs), boxes, scores, detected.heatmap, detected.image_score), features


def rescored(found: Prediction, scores: np.ndarray) -> Prediction:
    """(N,) 0..1 -> the same regions with these scores, best first; heat map: the best score at each pixel, image score: of all."""
    heatmap = np.zeros(found.instances.size, np.float32)
    for runs, score in zip(found.instances.runs, scores, strict=True):
        np.maximum(heatmap, np.float32(score), out=heatmap, where=rle.mask_of(runs, heatmap.shape))
    best = float(scores.max(initial=0.0))
    whole = Prediction(found.instances, found.boxes, scores.astype(np.float32), heatmap, best)
    return whole.take(np.argsort(-scores, kind="stable"))


@dataclass(frozen=True)
class Fusion:
    """Logistic regression on FEATURES, (F,) each: (features - mean) / scale times weights, plus intercept; this times slope
    plus offset is the calibrated logit (Platt 1999). See engine.fusing."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    slope: float
    offset: float

    def decisions(self, features: np.ndarray) -> np.ndarray:
        """(N, F) -> (N,) float64, not calibrated."""
        return (features - np.array(self.mean)) / np.array(self.scale) @ np.array(self.weights) + self.intercept

    def probabilities(self, decisions: np.ndarray) -> np.ndarray:
        """(N,) as `decisions` gives them -> (N,) float64 0..1, that a region is forged."""
        return 1 / (1 + np.exp(-np.clip(self.slope * decisions + self.offset, -50, 50)))

    def scored(self, detected: Prediction, twins: Matched) -> Prediction:
        """-> the regions of both, see `candidates`, each with its probability as score, best first."""
        found, features = candidates(detected, twins)
        return rescored(found, self.probabilities(self.decisions(features)))

    def as_json(self) -> dict[str, Any]:
        """What is stored: numbers, and the names of the features that they belong to."""
        return {"features": list(FEATURES)} | asdict(self)


def from_json(told: Mapping[str, Any], where: str) -> Fusion:
    """The inverse of Fusion.as_json. Raises InputError, which begins with `where`, for what is no fusion or of other features."""
    try:
        lists = [tuple(float(v) for v in told[name]) for name in ("mean", "scale", "weights")]
        numbers = [float(told[name]) for name in ("intercept", "slope", "offset")]
        named = tuple(told["features"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{where}: its `fusion` is not what `edarnn.py fusion` writes; fit it anew") from None
    require(named == FEATURES, f"{where}: its fusion is of other features than {', '.join(FEATURES)}; fit it anew")
    fine = all(len(values) == len(FEATURES) for values in lists) and min(lists[1]) > 0
    fine &= bool(np.isfinite([*sum(lists, ()), *numbers]).all())
    require(fine, f"{where}: its `fusion` holds numbers that cannot be used; fit it anew")
    return Fusion(*lists, *numbers)
