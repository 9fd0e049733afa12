"""What the box classifier's scores are worth: pure numbers of scored proposals, image by image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from debug.measures.calls import Calibration, Cut, best_cut, calibrated, cut_at, held_out_f1
from debug.measures.proposals import by_size, highest, mean, number
from debug.probe import drawn_only
from forgery_rcnn import ranking
from forgery_rcnn.bootstrap import Interval, Resampling
from forgery_rcnn.calibration import ran_away, scores_of
from forgery_rcnn.models.anatomy import MATCH

FAR = 0.1  # IoU with every true box below which a proposal is on authentic ground for certain
SEPARATES = 0.8  # AUC, and share of pairs of images in order, from which the classifier is said to separate
PARTED = 0.5  # F1 over proposals at the best threshold, below which none parts them: called wrongly, or missed, more often than not
REACHED = 0.5  # share of the regions that must have a forged proposal, or else the classifier has little to call
F1_OFF = 0.05  # F1 that another threshold must bring on images it was not chosen on
ECE_OFF = 0.05  # calibration error from which scores are not to be read as probabilities, if chance does not make it

JUDGED = 8  # images from which calibration is judged: the proposals of one are not independent


@dataclass(frozen=True)
class Ranked:
    """One of an image's best scored proposals. label: forged (IoU >= .5), near (.1 to .5), authentic; box: refined, px."""

    rank: int
    score: float
    iou: float
    refined_iou: float
    label: str
    width: float
    height: float


@dataclass(frozen=True)
class Region:
    """A true region: side in px of the model's input; its forged proposals and their best score (NaN = none); the score
    that the classifier gives to the true box itself."""

    side: float
    proposals: int
    best: float
    true_box: float


@dataclass(frozen=True)
class Seen:
    """One image: (P,) float64 margins of its proposals and IoU with the truth; regions; the k best scored."""

    key: str
    label: str
    margins: np.ndarray
    ious: np.ndarray
    regions: list[Region]
    top: list[Ranked]


@dataclass(frozen=True)
class Best:
    """The best score of an image's forged proposals, and of those far from every true box; NaN = none."""

    key: str
    label: str
    forged: float
    authentic: float


@dataclass(frozen=True)
class Size:
    """Regions of one size: how many, how many have a forged proposal, mean best score of these, mean of the true boxes."""

    name: str
    regions: int
    reached: int
    best: float
    true_box: float


@dataclass(frozen=True)
class Scores:
    """What debug.scores reports. Counts are of proposals, unless said otherwise; near: IoU .1 to .5.

    auc: forged against all others; auc_far: against those of IoU < .1. order: share of pairs of images in which the
    best forged score of the one is above the best authentic score (IoU < .1) of the other. image_threshold: of the
    inference; false_alarms: authentic images with a proposal at or above both it and the score threshold.
    """

    images: int
    proposals: int
    forged: int
    near: int
    regions: int
    reached: int
    auc: Interval
    auc_far: Interval
    average_precision: float
    order: Interval
    best: list[Best]
    authentic_images: int
    false_alarms: int
    score_min: float
    used: Cut
    image_threshold: float
    best_cut: Cut
    held_out_f1: float
    calibration: Calibration
    sizes: list[Size]
    top: dict[str, list[Ranked]]
    seen: list[Seen] = drawn_only()
    saved: str | None = None


def summarised(seen: Sequence[Seen], threshold: float, score_min: float, image_threshold: float = 0.0) -> Scores:
    """Images, at least one -> Scores. threshold, image_threshold: used by the inference; score_min: the model drops what is
    not above it, so no lower threshold is used or advised, and calibration is judged on what is above."""
    threshold = max(threshold, score_min)
    margins, ious = (np.concatenate([getattr(s, name) for s in seen]) for name in ("margins", "ious"))
    forged, scores = ious >= MATCH, scores_of(margins)
    able = scores > score_min
    halves = np.repeat(np.arange(len(seen)) % 2 == 0, [len(s.margins) for s in seen])
    regions = [region for s in seen for region in s.regions]
    best = [_best(s) for s in seen]
    authentic = [b for b in best if b.label == "authentic"]
    return Scores(
        images=len(seen),
        proposals=len(margins),
        forged=int(forged.sum()),
        near=int(((ious >= FAR) & ~forged).sum()),
        regions=len(regions),
        reached=sum(region.proposals > 0 for region in regions),
        auc=Resampling().of(lambda index: _auc(seen, index, MATCH), len(seen)),
        auc_far=Resampling().of(lambda index: _auc(seen, index, FAR), len(seen)),
        average_precision=ranking.average_precision(margins, forged),
        order=Resampling().of(lambda index: _order(best, index), len(seen)),
        best=best,
        authentic_images=len(authentic),
        false_alarms=sum(b.authentic >= max(threshold, image_threshold) for b in authentic),
        score_min=score_min,
        used=cut_at(scores, forged, threshold),
        image_threshold=image_threshold,
        best_cut=best_cut(scores, forged, score_min),
        held_out_f1=held_out_f1(scores, forged, halves, score_min),
        calibration=calibrated(margins[able], forged[able], halves[able]),
        sizes=_sizes(regions),
        top={s.key: s.top for s in seen},
        seen=list(seen),
    )


def _best(seen: Seen) -> Best:
    scores = scores_of(seen.margins)
    return Best(seen.key, seen.label, highest(scores[seen.ious >= MATCH]), highest(scores[seen.ious < FAR]))


def _auc(seen: Sequence[Seen], index: np.ndarray, below: float) -> float:
    """AUC of forged proposals against those of IoU < below, of the images of these indices."""
    margins, ious = (np.concatenate([getattr(seen[i], name) for i in index]) for name in ("margins", "ious"))
    counted = (ious >= MATCH) | (ious < below)
    return ranking.auc(margins[counted], ious[counted] >= MATCH)


def _order(best: Sequence[Best], index: np.ndarray) -> float:
    """Share of pairs of these images in which a best forged score is above a best authentic one, ties half."""
    forged, authentic = (np.array([getattr(best[i], name) for i in index]) for name in ("forged", "authentic"))
    both = np.concatenate([forged, authentic])
    positive = np.arange(len(both)) < len(forged)
    defined = ~np.isnan(both)
    return ranking.auc(both[defined], positive[defined])


def _sizes(regions: Sequence[Region]) -> list[Size]:
    out = []
    for name, those in by_size(np.array([region.side for region in regions])).items():
        group = [regions[i] for i in those]
        best = np.array([region.best for region in group])
        reached = sum(region.proposals > 0 for region in group)
        out.append(Size(name, len(group), reached, mean(best), mean(np.array([r.true_box for r in group]))))
    return out


def verdict(found: Scores) -> str:
    """One line: whether the classifier separates, and what to do next."""
    if not found.regions:
        return (
            f"n/a: no forged region in these images; the best authentic score is {_highest_authentic(found)}, "
            f"{found.false_alarms} of {found.authentic_images} images would be flagged at {thresholds(found)}"
        )
    if found.reached < REACHED * found.regions:
        return (
            f"few forged proposals: only {found.reached} of {found.regions} regions have one (IoU >= {MATCH:g}), so there is "
            "little to classify; that is the RPN's fault: run debug.rpn"
        )
    if (why := _not_separated(found)) is not None:
        return f"the classifier does not separate forged from authentic: {why}; run debug.features: do the features hold a cue?"
    said = f"AUC {found.auc}"
    used, best = found.used, found.best_cut
    if found.held_out_f1 > used.f1 + F1_OFF:
        return (
            f"the classifier separates ({said}) but the threshold is off: --inference.score-threshold {best.threshold} "
            f"gives F1 {best.f1:.3f} over proposals ({found.held_out_f1:.3f} on images it was not chosen on), "
            f"{used.threshold:g} gives {used.f1:.3f}"
            + f"; images below the image threshold {found.image_threshold:g} stay authentic"
            * (found.image_threshold > best.threshold)
        )
    few = found.images < JUDGED
    if not few and (why := _no_probabilities(found.calibration)) is not None:
        return f"the classifier separates ({said}) but its scores are no probabilities: {why}"
    calls = f"F1 {number(used.f1)} at {used.threshold:g}" + few * "; too few images to judge calibration"
    return f"fine: the classifier separates forged from authentic proposals, {said}; {calls}"


def thresholds(found: Scores) -> str:
    """What an image's best score must reach for it to be flagged."""
    both = found.image_threshold > found.used.threshold
    return f"{found.used.threshold:g}" + f" and the image threshold {found.image_threshold:g}" * both


def _no_probabilities(found: Calibration) -> str | None:
    """How far scores are from probabilities, and whether a temperature mends it; None where they are near enough."""
    if not found.error > max(ECE_OFF, found.chance):
        return None
    said = f"calibration error {found.error:.3f} over the {found.proposals} proposals that can become detections"
    if not ran_away(found.temperature) and found.held_out_error < found.error:
        return (
            f"{said}, {found.held_out_error:.3f} on held-out images with a temperature near {found.temperature:.2f}: "
            "--save FILE"
        )
    return f"{said}, and these images give no temperature that mends it: look at more of them"


def _not_separated(found: Scores) -> str | None:
    """What says that it does not separate, the worse of two numbers; None where it does."""
    order, auc = found.order.value, found.auc.value
    if not math.isnan(order) and order < SEPARATES and order <= auc:
        return (
            f"the best forged score of an image is above the best authentic one in only {found.order} of the pairs of images "
            f"(AUC over all proposals {number(auc)}: most of them are easy)"
        )
    if auc < SEPARATES or found.auc.low <= 0.5:
        return f"AUC {found.auc} over {found.forged} forged of {found.proposals} proposals"
    if found.best_cut.f1 < PARTED:
        return f"AUC {found.auc}, yet no threshold parts them: the best, {found.best_cut.threshold}, gives F1 {found.best_cut.f1:.3f}"
    return None


def _highest_authentic(found: Scores) -> str:
    return number(highest(np.array([b.authentic for b in found.best if not math.isnan(b.authentic)])))
