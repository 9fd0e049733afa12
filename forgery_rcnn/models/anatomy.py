"""One image through the Mask R-CNN with every intermediate kept, and the truth in the place of any of its parts.

`dissect` calls torchvision's own parts once, in the order in which `MaskRCNN.predict` does, and equals it (a test holds
that for every backbone). Boxes are in the fitted frame, pixels of the model's input, x0 y0 x1 y1 exclusive, unless said
otherwise.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import boxes as box_ops

from forgery_rcnn.data import images as reader
from forgery_rcnn.instances import Instances, Prediction, boxes_of
from forgery_rcnn.models import backbones
from forgery_rcnn.models.mask_rcnn import MaskRCNN, in_original_frame, scale_of

PARTS = ("proposals", "boxes", "scores", "masks")
"""What the truth can stand in for: the RPN, the box regressor, the classifier, the mask head."""
FORGED = 1  # the class; 0 is background
MATCH = 0.5  # IoU with a true box from which the box head is trained to call a proposal forged
NEAR = 0.3  # IoU with a true box below which the RPN is trained to call an anchor background


@dataclass(frozen=True)
class Regions:
    """What the box head makes of R boxes.

    boxes: (R, 4); pooled: (R, C, 7, 7) RoI features; vectors: (R, box_hidden) after the box head; logits: (R, 2)
    background, forged; deltas: (R, 4) dx dy dw dh of the forged class, in torchvision's weighted units (10, 10, 5, 5);
    refined: (R, 4) boxes moved by them, inside the image; scores: (R,) probability of forged.
    """

    boxes: Tensor
    pooled: Tensor
    vectors: Tensor
    logits: Tensor
    deltas: Tensor
    refined: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class Anatomy:
    """One image, part by part. All tensors float32 on the model's device, without gradient.

    original, fitted: (H, W) of the file and (h, w) of the model's input; padded: (h', w') with zeros to multiples of 32.
    stages: '0'..'3' -> (1, C, h'/4.., w'/4..), the backbone's; levels: '0'..'3', 'pool' -> (1, fpn_width, ...), the pyramid's.
    anchors: (A, 4); anchor_levels: (A,) int64 0..4; objectness: (A,) probability; moved: (A, 4) anchors moved by the
    RPN's deltas, before anything is dropped.
    proposals: Regions of the P proposals that are left, best first, those that are not the RPN's (config.extra_proposals) at
    the end; proposal_objectness: (P,), 0 of these.
    kept: (D,) int64, the proposals whose refined boxes are detections, best first; grids: (D, M, M) mask probabilities.
    prediction: the same as the model's, every candidate, in the original frame.
    """

    original: tuple[int, int]
    fitted: tuple[int, int]
    padded: tuple[int, int]
    stages: dict[str, Tensor]
    levels: dict[str, Tensor]
    anchors: Tensor
    anchor_levels: Tensor
    objectness: Tensor
    moved: Tensor
    proposals: Regions
    proposal_objectness: Tensor
    kept: Tensor
    grids: Tensor
    prediction: Prediction


@dataclass(frozen=True)
class TrueRegions:
    """The instances of an image: masks (G, H, W) bool and boxes (G, 4) float32 in the original frame, fitted (G, 4) tensor."""

    masks: np.ndarray
    boxes: np.ndarray
    fitted: Tensor

    def __len__(self) -> int:
        return len(self.masks)


@torch.inference_mode()
def dissect(model: MaskRCNN, pixels: np.ndarray, mask_threshold: float = 0.5) -> Anatomy:
    """(H, W, 3) uint8 of any size -> Anatomy. The model must be in eval mode; autocast is the caller's, as for `predict`."""
    original = pixels.shape[:2]
    fitted = reader.model_size(original, model.config)
    batch = model.batched([torch.from_numpy(reader.resized(pixels, fitted)).permute(2, 0, 1)])
    stages = backbones.stages(model.backbone, batch.tensors)
    levels = model.backbone.fpn(stages)
    anchors, anchor_levels, objectness, moved, (boxes, scores) = _proposed(model, batch, levels)
    extra = model.extra(pixels, fitted)
    boxes, scores = torch.cat([boxes, extra]), torch.cat([scores, scores.new_zeros(len(extra))])
    regions = box_branch(model, levels, boxes, fitted)
    kept = survivors(model, regions.refined, regions.scores)
    grids = mask_branch(model, levels, regions.refined[kept], fitted)
    return Anatomy(
        original,
        fitted,
        (int(batch.tensors.shape[-2]), int(batch.tensors.shape[-1])),
        {name: stage.float() for name, stage in stages.items()},
        {name: level.float() for name, level in levels.items()},
        anchors,
        anchor_levels,
        objectness,
        moved,
        regions,
        scores,
        kept,
        grids,
        in_original_frame(regions.refined[kept], grids, regions.scores[kept], original, fitted, mask_threshold),
    )


def _proposed(
    model: MaskRCNN, batch: ImageList, levels: dict[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """RegionProposalNetwork.forward in eval mode, nothing thrown away."""
    rpn, features = model.rpn, list(levels.values())
    scores, deltas = rpn.head(features)
    (anchors,) = rpn.anchor_generator(batch, features)
    counts = [level[0].numel() for level in scores]
    logits, flat = concat_box_prediction_layers(scores, deltas)
    moved = rpn.box_coder.decode(flat, [anchors]).view(1, -1, 4)
    boxes, probabilities = rpn.filter_proposals(moved, logits, batch.image_sizes, counts)
    of_level = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(anchors.device)
    return anchors, of_level, torch.sigmoid(logits.flatten()), moved[0], (boxes[0], probabilities[0])


@torch.inference_mode()
def box_branch(model: MaskRCNN, levels: dict[str, Tensor], boxes: Tensor, fitted: tuple[int, int]) -> Regions:
    """(R, 4) boxes on the pyramid's levels -> Regions."""
    heads = model.roi_heads
    pooled = heads.box_roi_pool(levels, [boxes], [fitted])
    vectors = heads.box_head(pooled)
    logits, deltas = heads.box_predictor(vectors)
    moved = heads.box_coder.decode(deltas, [boxes])[:, FORGED]
    refined = box_ops.clip_boxes_to_image(moved, fitted)
    of_class = deltas[:, 4 * FORGED : 4 * FORGED + 4]
    scores = torch.softmax(logits, -1)[:, FORGED]
    return Regions(boxes, pooled.float(), vectors.float(), logits, of_class, refined, scores)


@torch.inference_mode()
def mask_branch(model: MaskRCNN, levels: dict[str, Tensor], boxes: Tensor, fitted: tuple[int, int]) -> Tensor:
    """(D, 4) boxes on the pyramid's levels -> (D, M, M) probabilities that a cell of the box is forged."""
    heads = model.roi_heads
    pooled = heads.mask_roi_pool(levels, [boxes], [fitted])
    return heads.mask_predictor(heads.mask_head(pooled)).sigmoid()[:, FORGED]


def survivors(model: MaskRCNN, boxes: Tensor, scores: Tensor) -> Tensor:
    """(R, 4) refined boxes, (R,) scores -> (D,) int64 indices of the detections, best first, as postprocess_detections
    keeps them: above the least score, not empty, not suppressed by a better one, at most `detections`."""
    heads = model.roi_heads
    good = torch.where(scores > heads.score_thresh)[0]
    good = good[box_ops.remove_small_boxes(boxes[good], min_size=1e-2)]
    best = box_ops.batched_nms(boxes[good], scores[good], torch.full_like(good, FORGED), heads.nms_thresh)
    return good[best[: heads.detections_per_img]]


def true_regions(masks: np.ndarray, anatomy: Anatomy) -> TrueRegions:
    """(N, H, W) bool in the original frame -> TrueRegions, without the empty ones."""
    masks = masks[masks.any(axis=(1, 2))]
    boxes = boxes_of(masks)
    fitted = torch.from_numpy(boxes / scale_of(anatomy.original, anatomy.fitted))
    return TrueRegions(masks, boxes, fitted.to(anatomy.anchors.device))


@torch.inference_mode()
def substituted(
    model: MaskRCNN, anatomy: Anatomy, truth: TrueRegions, parts: Collection[str], mask_threshold: float = 0.5
) -> Prediction:
    """What the model would say with the truth in the place of these `parts`; () gives anatomy.prediction.

    IoU with a true box is that of a proposal or of its refined box, whichever is larger.
    proposals: the true boxes join the RPN's, as in torchvision's training (they replace none: their absence would tell
    the box head which images are authentic). boxes: every refined box near a true one (IoU >= 0.3) becomes it.
    scores: 0 for every box that has found none (IoU < 0.5), 1 for the model's own favourite among those that have found
    the same; the others keep theirs, so that boxes which should have become one stay two.
    masks: the true mask inside the box, for every detection that has found a true one.
    Raises ValueError for a part not in PARTS.
    """
    if unknown := set(parts) - set(PARTS):
        raise ValueError(f"no part {sorted(unknown)}; use some of {PARTS}")
    before, boxes, scores = anatomy.proposals.boxes, anatomy.proposals.refined, anatomy.proposals.scores
    if "proposals" in parts and len(truth):
        given = box_branch(model, anatomy.levels, truth.fitted, anatomy.fitted)
        before, boxes = torch.cat([before, given.boxes]), torch.cat([boxes, given.refined])
        scores = torch.cat([scores, given.scores])
    overlap, nearest = _nearest(before, boxes, truth.fitted)
    if "boxes" in parts and len(truth):
        boxes = torch.where((overlap >= NEAR)[:, None], truth.fitted[nearest], boxes)
    if "scores" in parts:
        scores = _true_scores(torch.where(overlap >= MATCH, nearest, -1), scores)
    kept = survivors(model, boxes, scores)
    grids = mask_branch(model, anatomy.levels, boxes[kept], anatomy.fitted)
    at = in_original_frame(boxes[kept], grids, scores[kept], anatomy.original, anatomy.fitted, mask_threshold)
    return _with_true_masks(at, truth) if "masks" in parts else at


def _nearest(before: Tensor, after: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """(R, 4) proposals and the same refined, (G, 4) -> (R,) IoU with the true one nearest to either, (R,) its number."""
    if not len(true):
        return before.new_zeros(len(before)), torch.zeros(len(before), dtype=torch.int64, device=before.device)
    return torch.maximum(box_ops.box_iou(before, true), box_ops.box_iou(after, true)).max(dim=1)


def _true_scores(found: Tensor, scores: Tensor) -> Tensor:
    """(R,) number of the true box that each has found or -1, (R,) scores -> (R,): 1 for the best of each, 0 at -1."""
    out = torch.where(found >= 0, scores, 0.0)
    for region in found.unique().tolist():
        if region >= 0:
            (those,) = torch.where(found == region)
            out[those[scores[those].argmax()]] = 1.0
    return out


def best_overlap(boxes: Tensor, others: Tensor) -> Tensor:
    """(R, 4), (G, 4) -> (R,) largest IoU of each box with any of the others; 0 where there is none."""
    if not len(others):
        return boxes.new_zeros(len(boxes))
    return box_ops.box_iou(boxes, others).amax(dim=1)


def _with_true_masks(prediction: Prediction, truth: TrueRegions) -> Prediction:
    """Every detection that has found a true region (IoU >= 0.5) gets its mask, cut at its own box; the others keep theirs."""
    if not len(truth) or not len(prediction.scores):
        return prediction
    overlaps = box_ops.box_iou(torch.from_numpy(prediction.boxes), torch.from_numpy(truth.boxes)).numpy()
    masks = prediction.instances.masks()
    for mask, box, overlap in zip(masks, prediction.boxes, overlaps, strict=True):
        if overlap.max() >= MATCH:
            x0, y0 = np.floor(box[:2] + 1e-3).astype(int)
            x1, y1 = np.ceil(box[2:] - 1e-3).astype(int)
            mask[:] = False
            mask[y0:y1, x0:x1] = truth.masks[int(overlap.argmax())][y0:y1, x0:x1]
    return Prediction(
        Instances.from_masks(masks), prediction.boxes, prediction.scores, prediction.heatmap, prediction.image_score
    )
