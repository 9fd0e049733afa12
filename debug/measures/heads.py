"""One number per head of the detector: does it do its own task, given what it is given?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torchvision.ops import box_iou

from debug.case import Specimen
from debug.measures import grids
from debug.measures.proposals import nearest
from debug.measures.regions import over_images
from forgery_rcnn import metrics
from forgery_rcnn.bootstrap import Interval, Resampling, wilson
from forgery_rcnn.inference import pipeline
from forgery_rcnn.models.anatomy import MATCH, best_overlap, mask_branch
from forgery_rcnn.ranking import auc


@dataclass(frozen=True)
class ImageHeads:
    """One image with G true regions and P proposals. found: (G,) bool, a proposal overlaps it (IoU >= 0.5); overlaps: IoU
    of the refined box of each proposal that does, with the region that it overlaps most; margins: (P,) logit of forged
    less that of authentic; matched: (P,) bool, forged by the rule of the training (IoU >= 0.5); called: a matched proposal
    scores at or above the thresholds of instances and images, None = no true region; dice: (G,) of the mask given the true
    box; of1; trivial: oF1 of calling everything authentic, everything forged."""

    found: np.ndarray
    overlaps: np.ndarray
    margins: np.ndarray
    matched: np.ndarray
    called: bool | None
    dice: np.ndarray
    of1: float
    trivial: tuple[float, float]


@dataclass(frozen=True)
class Heads:
    """Over images, each with its 95 % interval: Wilson's of the shares, a bootstrap over images of the others; NaN where
    there is nothing to measure. recall: share of true regions that a proposal overlaps; box: mean IoU of matched
    proposals after the box regressor; auc: of the margins, matched against all other proposals; called: share of forged
    images with a matched proposal at or above the thresholds; dice: mean, of masks given the true boxes; of1: mean; lead:
    oF1 above baseline, the better of its two trivial baselines; images; forged: those with a region."""

    recall: Interval
    box: Interval
    auc: Interval
    called: Interval
    dice: Interval
    of1: Interval
    lead: Interval
    baseline: float
    images: int
    forged: int


def heads_of(specimen: Specimen) -> ImageHeads:
    """One opened image -> ImageHeads."""
    found, truth = specimen.anatomy, specimen.truth
    regions = found.proposals
    margins = (regions.logits[:, 1] - regions.logits[:, 0]).double().cpu().numpy()
    chosen = pipeline.selected(found.prediction, specimen.inference).instances
    of1 = metrics.image_score(chosen if len(chosen) else None, specimen.true)
    trivial = (float(specimen.true is None), metrics.all_forged(specimen.true))
    ious, which = nearest(regions.boxes, truth.fitted)
    matched = ious >= MATCH
    overlaps, called = np.zeros(0), None
    if len(truth):
        after = box_iou(truth.fitted, regions.refined).cpu().numpy()
        overlaps = after[which, np.arange(len(margins))][matched]
        flagged = max(specimen.inference.score_threshold, specimen.inference.image_threshold)
        called = bool((regions.scores.cpu().numpy()[matched] >= flagged).any())
    hit = best_overlap(truth.fitted, regions.boxes).cpu().numpy() >= MATCH
    return ImageHeads(hit, overlaps, margins, matched, called, _dice(specimen), of1, trivial)


def _dice(specimen: Specimen) -> np.ndarray:
    """(G,) Dice of the mask head's mask of each true region, its true box given; in the original frame."""
    found, truth = specimen.anatomy, specimen.truth
    own = mask_branch(specimen.model, found.levels, truth.fitted, found.fitted)
    maps = grids.stretched(specimen, truth.fitted, own)
    return grids.dices([p >= specimen.inference.mask_threshold for p in maps], truth.masks)


def together(seen: Sequence[ImageHeads]) -> Heads:
    """Images, at least one -> Heads: every region, proposal and image counts the same."""
    called = [image.called for image in seen if image.called is not None]
    found = np.concatenate([image.found for image in seen])
    of1, trivial = np.array([image.of1 for image in seen]), np.array([image.trivial for image in seen])
    better = trivial[:, trivial.mean(axis=0).argmax()]
    return Heads(
        recall=wilson(int(found.sum()), len(found)),
        box=_pooled([image.overlaps for image in seen]),
        auc=Resampling().of(lambda drawn: _auc(seen, drawn), len(seen)),
        called=wilson(sum(called), len(called)),
        dice=_pooled([image.dice for image in seen]),
        of1=Resampling().mean(of1),
        lead=Resampling().mean(of1 - better),
        baseline=float(better.mean()),
        images=len(seen),
        forged=len(called),
    )


def _auc(seen: Sequence[ImageHeads], drawn: np.ndarray) -> float:
    """AUC of the proposals of the images of these indices, as debug.scores has it."""
    margins, matched = (np.concatenate([getattr(seen[i], name) for i in drawn]) for name in ("margins", "matched"))
    return auc(margins, matched)


def _pooled(several: Sequence[np.ndarray]) -> Interval:
    """Values of each image -> mean of all, interval over the images that have any."""
    images = np.repeat(np.arange(len(several)), [len(values) for values in several])
    return over_images(np.concatenate(several), images)
