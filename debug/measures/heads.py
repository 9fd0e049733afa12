"""One number per head of the detector: does it do its own task, given what it is given?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import boxes as box_ops

from debug.case import Specimen
from forgery_rcnn import metrics
from forgery_rcnn.inference import pipeline
from forgery_rcnn.models.anatomy import MATCH, NEAR, mask_branch
from forgery_rcnn.models.mask_rcnn import in_original_frame
from forgery_rcnn.ranking import auc


@dataclass(frozen=True)
class ImageHeads:
    """One image with G true regions and P proposals. found: (G,) bool, a proposal overlaps it (IoU >= 0.5); overlaps: IoU
    of the refined box of each proposal that does, with the region that it overlaps most; scores: (P,) probability of
    forged; matched: (P,) bool; other: (P,) bool, far from every region (IoU < 0.3), those between are neither: half a
    region is half forged; called: a matched proposal scores above the threshold, None = no true region; dice: (G,) of the
    mask given the true box; of1; trivial: oF1 of calling everything authentic, everything forged."""

    found: np.ndarray
    overlaps: np.ndarray
    scores: np.ndarray
    matched: np.ndarray
    other: np.ndarray
    called: bool | None
    dice: np.ndarray
    of1: float
    trivial: tuple[float, float]


@dataclass(frozen=True)
class Heads:
    """Over images; NaN where there is nothing to measure. recall: share of true regions that a proposal overlaps; box: mean
    IoU of matched proposals after the box regressor; auc: of the scores, matched against other proposals; called: share of
    forged images with a matched proposal above the threshold; dice: mean, of masks given the true boxes; of1: mean;
    baseline: the better of its two trivial baselines; images; forged: those with a region."""

    recall: float
    box: float
    auc: float
    called: float
    dice: float
    of1: float
    baseline: float
    images: int
    forged: int


def heads_of(specimen: Specimen) -> ImageHeads:
    """One opened image -> ImageHeads."""
    found, truth = specimen.anatomy, specimen.truth
    regions = found.proposals
    scores, none = regions.scores.cpu().numpy(), np.zeros(0, np.float32)
    chosen = pipeline.selected(found.prediction, specimen.inference).instances
    of1 = metrics.image_score(chosen if len(chosen) else None, specimen.true)
    trivial = (float(specimen.true is None), metrics.all_forged(specimen.true))
    if not len(truth):
        nowhere = np.zeros(len(scores), bool)
        return ImageHeads(none.astype(bool), none, scores, nowhere, ~nowhere, None, none, of1, trivial)
    before = box_ops.box_iou(truth.fitted, regions.boxes).cpu().numpy()
    after = box_ops.box_iou(truth.fitted, regions.refined).cpu().numpy()
    nearest = before.max(axis=0, initial=0)
    matched = nearest >= MATCH
    overlaps = after[before.argmax(axis=0), np.arange(len(scores))][matched]
    called = bool((scores[matched] > specimen.inference.score_threshold).any())
    hit = before.max(axis=1, initial=0) >= MATCH
    return ImageHeads(hit, overlaps, scores, matched, nearest < NEAR, called, _dice(specimen), of1, trivial)


def _dice(specimen: Specimen) -> np.ndarray:
    """(G,) Dice of the mask head's mask of each true region, its true box given; in the original frame."""
    found, truth = specimen.anatomy, specimen.truth
    grids = mask_branch(specimen.model, found.levels, truth.fitted, found.fitted)
    given = in_original_frame(
        truth.fitted, grids, torch.ones(len(truth)), found.original, found.fitted, specimen.inference.mask_threshold
    )
    return np.array(
        [
            metrics.dice(int((mask & true).sum()), int(mask.sum()), int(true.sum()))
            for mask, true in zip(given.instances.masks(), truth.masks, strict=True)
        ]
    )


def together(seen: Sequence[ImageHeads]) -> Heads:
    """Images, at least one -> Heads: every region, proposal and image counts the same."""
    called = [image.called for image in seen if image.called is not None]
    scores, matched, other = (
        np.concatenate([getattr(image, name) for image in seen]) for name in ("scores", "matched", "other")
    )
    clear = matched | other
    return Heads(
        recall=_mean(image.found for image in seen),
        box=_mean(image.overlaps for image in seen),
        auc=auc(scores[clear], matched[clear]),
        called=float(np.mean(called)) if called else math.nan,
        dice=_mean(image.dice for image in seen),
        of1=float(np.mean([image.of1 for image in seen])),
        baseline=float(np.mean([image.trivial for image in seen], axis=0).max()),
        images=len(seen),
        forged=len(called),
    )


def _mean(several: Iterable[np.ndarray]) -> float:
    """Mean of all numbers of all arrays; NaN of none."""
    values = np.concatenate(list(several))
    return float(values.mean()) if len(values) else math.nan
