"""How the RPN comes from anchors to proposals on one image: what it could reach, what it moved, what it kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou
from torchvision.ops.boxes import clip_boxes_to_image

from debug.case import Specimen
from forgery_rcnn import ranking
from forgery_rcnn.data import images as reader
from forgery_rcnn.models.anatomy import MATCH

IOUS = (0.3, 0.5, 0.7)
BINS = np.linspace(0, 1, 26)  # of objectness
TOP, THUMBNAIL = 20, 384  # proposals on a picture, pixels of its long side
KINDS = ("matching a region", "background, forged image", "background, authentic image")


@dataclass(frozen=True)
class Picture:
    """title; pixels: (h, w, 3) uint8; true: (G, 4), boxes: (T, 4) the top proposals, both in its pixels; objectness and
    overlap: (T,), IoU with the nearest true box."""

    title: str
    pixels: np.ndarray
    true: np.ndarray
    boxes: np.ndarray
    objectness: np.ndarray
    overlap: np.ndarray


@dataclass(frozen=True)
class Seen:
    """The G true regions of one image, in input pixels.

    sides: (G, 2) width, height. anchor, moved, kept: (G,) best IoU of any anchor, of any that the RPN has moved, of any
    proposal. first: (3, G) place of the first proposal with IoU >= each of IOUS, inf for none. hits: (G,) anchors of
    IoU >= 0.5, of `anchors`. levels: (3, G) level of the best anchor, of the anchor that the best proposal was (-1: none
    found it, or it cannot be told), and the one that RoIAlign pools the region from. matched: (2, m) IoU of anchors that
    training matches to a region, before and after they are moved. histogram: (3, bins) counts of objectness, KINDS.
    auc: objectness of matching against background anchors, NaN without a region.
    """

    sides: np.ndarray
    anchor: np.ndarray
    moved: np.ndarray
    kept: np.ndarray
    first: np.ndarray
    hits: np.ndarray
    anchors: int
    levels: np.ndarray
    matched: np.ndarray
    histogram: np.ndarray
    auc: float
    picture: Picture


def look(specimen: Specimen) -> Seen:
    """-> Seen."""
    a, true = specimen.anatomy, specimen.truth.fitted
    moved = clip_boxes_to_image(a.moved, a.fitted)
    anchors, after, kept = (box_iou(true, boxes) for boxes in (a.anchors, moved, a.proposals.boxes))
    labels = matches(specimen, anchors)
    positive = torch.where(labels >= 0)[0]
    pairs = torch.stack([overlap[labels[positive], positive] for overlap in (anchors, after)])
    objectness = a.objectness.double().cpu().numpy()
    matching, background = (mask.cpu().numpy() for mask in (labels >= 0, labels == -1))
    counts = [np.histogram(objectness[which], BINS)[0] for which in (matching, background)]
    rows = [counts[0], counts[1], 0 * counts[1]] if len(true) else [counts[0], 0 * counts[1], counts[1]]
    decided = matching | background
    return Seen(
        (true[:, 2:] - true[:, :2]).double().cpu().numpy(),
        *(best(overlap) for overlap in (anchors, after, kept)),
        first=np.stack([first_place(kept.cpu().numpy(), iou) for iou in IOUS]),
        hits=(anchors >= MATCH).sum(dim=1).cpu().numpy(),
        anchors=len(a.anchors),
        levels=_levels(specimen, anchors, moved, kept),
        matched=pairs.double().cpu().numpy(),
        histogram=np.stack(rows),
        auc=ranking.auc(objectness[decided], matching[decided]),
        picture=_picture(specimen, kept),
    )


def matches(specimen: Specimen, overlap: Tensor) -> Tensor:
    """(G, A) IoU -> (A,) int64 by the RPN's own rule: number of the region that training matches an anchor to, -1
    background, -2 neither."""
    if not len(overlap):
        return torch.full((overlap.shape[1],), -1, device=overlap.device)
    return specimen.model.rpn.proposal_matcher(overlap)


def best(overlap: Tensor) -> np.ndarray:
    """(G, N) IoU -> (G,) float64 the largest of each row, 0 for N = 0."""
    return overlap.double().cpu().numpy().max(axis=1, initial=0)


def first_place(overlap: np.ndarray, iou: float) -> np.ndarray:
    """(G, P) IoU with proposals, best first -> (G,) float64 place (0 the first) of the first one of at least `iou`, or inf.

    >>> first_place(np.array([[0.1, 0.6, 0.9], [0.2, 0.2, 0.2]]), 0.5).tolist()
    [1.0, inf]
    """
    good = overlap >= iou
    return np.where(good.any(axis=1), good.argmax(axis=1) if overlap.shape[1] else 0, np.inf)


def _levels(specimen: Specimen, anchors: Tensor, moved: Tensor, kept: Tensor) -> np.ndarray:
    """-> (3, G) int64, Seen.levels. A proposal is the moved anchor with the same four numbers: proposals are copies."""
    a, true = specimen.anatomy, specimen.truth.fitted
    out = np.full((3, len(true)), -1)
    if not len(true):
        return out
    out[0] = a.anchor_levels[anchors.argmax(dim=1)].cpu().numpy()
    out[2] = specimen.model.roi_heads.box_roi_pool.map_levels([true]).cpu().numpy()
    for region, overlaps in enumerate(kept if kept.shape[1] else ()):
        if overlaps.max() >= MATCH:
            same = (moved == a.proposals.boxes[overlaps.argmax()]).all(dim=1)
            levels = a.anchor_levels[same].unique()
            out[1, region] = int(levels[0]) if len(levels) == 1 else -1
    return out


def _picture(specimen: Specimen, kept: Tensor) -> Picture:
    a, pixels = specimen.anatomy, specimen.pixels
    size = reader.fitted_size(pixels.shape[:2], min(THUMBNAIL, max(pixels.shape[:2])))
    scale = np.float32([size[1] / a.fitted[1], size[0] / a.fitted[0]] * 2)
    overlap = kept[:, :TOP].cpu().numpy().max(axis=0, initial=0)
    true, boxes = specimen.truth.fitted.cpu().numpy() * scale, a.proposals.boxes[:TOP].cpu().numpy() * scale
    objectness = a.proposal_objectness[:TOP].cpu().numpy()
    title = f"{specimen.record.label} {specimen.record.case_id}"
    return Picture(title, reader.resized(pixels, size), true, boxes, objectness, overlap)
