"""What the encoder says of forged regions and of authentic ones: a vector per region, from every part of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import roi_align

from forgery_rcnn import separability
from forgery_rcnn.data import masks
from forgery_rcnn.instances import boxes_of
from forgery_rcnn.models.anatomy import Anatomy, box_branch
from forgery_rcnn.models.contrast import controls
from forgery_rcnn.models.mask_rcnn import LEVELS, MaskRCNN

SMALLEST = 2  # pixels a side, at the model's size, of a region's box
GRID = 7  # cells a side that a region is pooled to, as for the box head
POOLED, HEAD = "RoI pooled", "box head"
NAMES = (*(f"stage {level}" for level in LEVELS), *(f"fpn {level}" for level in LEVELS), POOLED, HEAD)
"""The vector sets of `region_vectors`, in the order in which an image passes through them."""


def separability_of(
    model: MaskRCNN, images: Sequence[np.ndarray], truths: Sequence[np.ndarray], seed: int = 0
) -> float:
    """(h, w, 3) uint8 images at the model's size, (N, h, w) bool truths -> held-out linear-probe AUC of RoI-pooled vectors.

    Only backbone, pyramid and pooling run, one image at a time; the model must be in eval mode, autocast is the caller's.
    NaN where fewer than four images have a region and room for a control.
    """
    vectors, forged, groups = [], [], []
    for number, (pixels, truth) in enumerate(zip(images, truths, strict=True)):
        boxes = region_boxes(truth)
        places, found = controls(boxes, pixels.shape[:2], np.random.default_rng((seed, number)))
        if found.any():
            vectors.append(_pooled(model, pixels, np.concatenate([boxes[found], places[found]])))
            forged.append(np.arange(2 * found.sum()) < found.sum())
            groups.append(np.full(2 * found.sum(), number))
    if not vectors:
        return float("nan")
    return separability.separability(np.concatenate(vectors), np.concatenate(forged), np.concatenate(groups))


def region_boxes(truth: np.ndarray) -> np.ndarray:
    """(N, h, w) bool at the model's size -> (R, 4) float32 boxes of the components, those of 2 px a side at least."""
    boxes = boxes_of(masks.components(truth))
    return boxes[(boxes[:, 2:] - boxes[:, :2] >= SMALLEST).all(axis=1)]


@torch.inference_mode()
def _pooled(model: MaskRCNN, pixels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 at the model's size, (R, 4) -> (R, fpn_width) float32, mean of what the box head is given."""
    batch = model.batched([torch.from_numpy(pixels).permute(2, 0, 1)])
    levels = model.backbone(batch.tensors)
    regions = torch.from_numpy(boxes).to(model.device)
    return _mean(model.roi_heads.box_roi_pool(levels, [regions], batch.image_sizes))


def region_vectors(model: MaskRCNN, anatomy: Anatomy, boxes: np.ndarray) -> dict[str, np.ndarray]:
    """(R, 4) float32 boxes in the fitted frame -> (R, D) float32 for each of NAMES: means over the region of a backbone
    stage, of one pyramid level, of the level that the region is pooled from, and what the box head makes of that."""
    regions = torch.from_numpy(boxes).to(anatomy.anchors.device)
    branch = box_branch(model, anatomy.levels, regions, anatomy.fitted)
    out = _aligned("stage", anatomy.stages, anatomy.padded, regions)
    out |= _aligned("fpn", anatomy.levels, anatomy.padded, regions)
    return out | {POOLED: _mean(branch.pooled), HEAD: branch.vectors.cpu().numpy()}


def _aligned(kind: str, maps: Mapping[str, Tensor], padded: tuple[int, int], regions: Tensor) -> dict[str, np.ndarray]:
    """'0'..'3' -> (1, C, ...) feature maps of a (h', w') input, (R, 4) -> "KIND 0".."KIND 3": (R, C) float32."""
    out = {}
    for level in LEVELS:
        scale = maps[level].shape[-1] / padded[1]
        out[f"{kind} {level}"] = _mean(roi_align(maps[level], [regions], GRID, scale, sampling_ratio=2))
    return out


def _mean(pooled: Tensor) -> np.ndarray:
    """(R, C, 7, 7) -> (R, C) float32."""
    return pooled.float().mean(dim=(2, 3)).cpu().numpy()
