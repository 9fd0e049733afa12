"""A fusion fitted to images: logistic regression on the regions of both sources, calibrated on images it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forgery_rcnn import metrics
from forgery_rcnn.engine import outcomes
from forgery_rcnn.engine.outcomes import Outcomes
from forgery_rcnn.engine.thresholds import Setting
from forgery_rcnn.errors import require
from forgery_rcnn.inference import fusion
from forgery_rcnn.inference.fusion import FEATURES, Fusion
from forgery_rcnn.instances import Instances, Prediction
from forgery_rcnn.models.matcher import Matched

TRUE = 0.5  # pixel F1 with a true instance from which a region is to be called forged
FEWEST = 5  # regions of either kind below which so many features cannot be weighed


@dataclass(frozen=True)
class Seen:
    """One image: its truth (None = authentic), and the regions of both sources with their (N, F) features; no heat map."""

    true: Instances | None
    regions: Prediction
    features: np.ndarray

    def labels(self) -> np.ndarray:
        """-> (N,) bool: the region is a true instance, near enough."""
        if self.true is None:
            return np.zeros(len(self.features), bool)
        common = metrics.intersections(self.regions.instances.runs, self.true.runs)
        areas = self.regions.instances.areas()[:, None] + self.true.areas()[None, :]
        return (2 * common >= TRUE * np.maximum(areas, 1)).any(axis=1)


def seen(detected: Prediction, twins: Matched, true: Instances | None) -> Seen:
    """What the two sources say of an image of this truth."""
    regions, features = fusion.candidates(detected, twins)
    return Seen(true, replace(regions, heatmap=np.broadcast_to(np.float32(0), regions.heatmap.shape)), features)


@dataclass(frozen=True)
class Fused:
    """fusion: fitted to all images; scores: of each image's regions (N,), by numbers fitted to images of other folds;
    regions, true: how many were weighed, how many of them true."""

    fusion: Fusion
    scores: tuple[np.ndarray, ...]
    regions: int
    true: int


def fit(images: Sequence[Seen], folds: Sequence[np.ndarray]) -> Fused:
    """folds: disjoint groups of the images by their numbers, (K,) int64 each, at least two.

    Raises InputError where too few regions are true or false.
    """
    features = np.concatenate([image.features for image in images])
    labels = np.concatenate([image.labels() for image in images])
    owner = np.repeat(np.arange(len(images)), [len(image.features) for image in images])
    true, false = int(labels.sum()), int((~labels).sum())
    require(
        min(true, false) >= FEWEST and len(folds) > 1,
        f"of {len(labels)} regions of {len(images)} images {true} are true: a fusion needs {FEWEST} true and {FEWEST} false "
        "ones on images of several origins; use more images",
    )
    whole = _regression(features, labels)
    decisions = np.zeros(len(labels))
    for fold in folds:
        inside = np.isin(owner, fold)
        decisions[inside] = _regression(features[~inside], labels[~inside]).decisions(features[inside])
    whole = replace(whole, **_calibration(decisions, labels))
    scores = whole.probabilities(decisions)
    return Fused(whole, tuple(scores[owner == number] for number in range(len(images))), len(labels), true)


def _regression(features: np.ndarray, labels: np.ndarray) -> Fusion:
    """(N, F), (N,) bool -> not calibrated yet. Of one kind alone: no weight on anything."""
    from sklearn.linear_model import LogisticRegression

    count = features.shape[1]
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale < 1e-9] = 1.0
    weights, intercept = np.zeros(count), 0.0
    if 0 < labels.sum() < len(labels):
        found = LogisticRegression(max_iter=1000).fit((features - mean) / scale, labels)
        weights, intercept = found.coef_[0], float(found.intercept_[0])
    return Fusion(*(tuple(values.tolist()) for values in (mean, scale, weights)), intercept, 1.0, 0.0)


def _calibration(decisions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """(N,) decisions of others' regressions, (N,) bool -> slope and offset of Platt's sigmoid; never turned round."""
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=1e3, max_iter=1000).fit(decisions[:, None], labels)
    slope = float(found.coef_[0, 0])
    return {"slope": slope, "offset": float(found.intercept_[0])} if slope > 0 else {"slope": 1.0, "offset": 0.0}


class Rescored:
    """Called with settings it gives the outcomes of the images under each, their regions scored so (thresholds.Table)."""

    def __init__(self, images: Sequence[Seen], scores: Sequence[np.ndarray], metric: str) -> None:
        self._metric = metric
        self._true = [image.true for image in images]
        self._found = [_by_score(image.regions, own) for image, own in zip(images, scores, strict=True)]

    def __call__(self, settings: Sequence[Setting]) -> list[Outcomes]:
        """-> without image threshold."""
        forged = np.array([true is not None for true in self._true], bool)
        scores = np.array([found.image_score for found in self._found], np.float64)
        cleared = np.array([outcomes.cleared(true, self._metric) for true in self._true], np.float64)
        out = []
        for setting in settings:
            told = [
                outcomes.of_image(found, true, setting.config, self._metric)
                for found, true in zip(self._found, self._true, strict=True)
            ]
            found, values = (np.array(column) for column in zip(*told, strict=True))
            out.append(Outcomes(forged, scores, found.astype(bool), values.astype(np.float64), cleared))
        return out


def _by_score(regions: Prediction, scores: np.ndarray) -> Prediction:
    """As Fusion.scored has it, but for the heat map."""
    order = np.argsort(-scores, kind="stable")
    best = float(scores.max(initial=0.0))
    return replace(regions, scores=scores.astype(np.float32), image_score=best).take(order)


def lines(found: Fused) -> list[str]:
    """-> what was weighed and how, the heaviest feature first."""
    weights = np.array(found.fusion.weights)
    out = [f"{found.regions} regions, {found.true} of them true; weight of each feature, per standard deviation:"]
    out += [f"  {FEATURES[i]:<24}{weights[i]:+.2f}" for i in np.argsort(-np.abs(weights), kind="stable")]
    return [*out, f"calibrated by slope {found.fusion.slope:.2f}, offset {found.fusion.offset:+.2f}"]
