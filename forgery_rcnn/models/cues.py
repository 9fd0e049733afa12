"""What the encoder says of forged regions and of authentic ones: a vector per region, from every part of the model."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import roi_align

from forgery_rcnn import separability
from forgery_rcnn.data import masks
from forgery_rcnn.models.anatomy import Anatomy, box_branch
from forgery_rcnn.models.contrast import controls
from forgery_rcnn.models.mask_rcnn import LEVELS, MaskRCNN, scale_of

SMALLEST = 2  # pixels a side, at the model's size, of a region's box
CONTROLS = 5  # authentic places at most beside each forged region: with one the AUC hangs on where it fell
CHANGED = 2.0  # grey levels, mean over a region's box, by which it differs from its pristine twin at least
GRID = 7  # cells a side that a region is pooled to, as for the box head
POOLED, HEAD = "RoI pooled", "box head"
NAMES = (*(f"stage {level}" for level in LEVELS), *(f"fpn {level}" for level in LEVELS), POOLED, HEAD)
"""The vector sets of `region_vectors`, in the order in which an image passes through them."""


@dataclass(frozen=True)
class Places:
    """Where to look in one image: boxes x0 y0 x1 y1 exclusive, float32, in the fitted frame.

    forged: (R, 4) regions that hold something forged, as far as that can be told; free: (F, 4) those of them that leave
    an authentic place of their shape; controls: (K, 4) such places, up to five a region. small: regions below 2 px a side;
    untouched: regions that are as in the pristine twin (what a copy was taken of); both are left out.
    """

    forged: np.ndarray
    free: np.ndarray
    controls: np.ndarray
    small: int
    untouched: int

    @property
    def both(self) -> np.ndarray:
        """(F + K, 4): forged regions first, controls after."""
        return np.concatenate([self.free, self.controls])


def places(key: str, truth: np.ndarray, pixels: np.ndarray, twin: np.ndarray | None) -> Places:
    """Record key, (N, H, W) bool original frame, (h, w, 3) uint8 at the model's size, its pristine twin's or None -> Places.

    The key alone decides where the controls are. Without a twin every region counts as forged.
    """
    size = (pixels.shape[0], pixels.shape[1])
    every = region_boxes(truth, size)
    large = every[(every[:, 2:] - every[:, :2] >= SMALLEST).all(axis=1)]
    ours = np.ones(len(large), bool) if twin is None else changed(pixels, twin, large)
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    spots, owners = controls(large, size, rng, CONTROLS)  # clear of the sources of copies too
    taken = ours[owners]
    free = large[np.unique(owners[taken])]
    return Places(large[ours], free, spots[taken], len(every) - len(large), int((~ours).sum()))


def region_boxes(truth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N, H, W) bool -> (R, 4) float32 boxes of the components, in the frame of the image resized to `size`."""
    return (masks.boxes(truth, "components") / scale_of(truth.shape[1:], size)).astype(np.float32).reshape(-1, 4)


def changed(pixels: np.ndarray, twin: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 and the pristine twin's, (R, 4) boxes inside -> (R,) bool: whose content differs from the twin's."""
    difference = np.abs(pixels.astype(np.float32) - twin).mean(axis=2)
    level = np.median(difference) + CHANGED  # a twin may have been saved in another way as a whole
    edges = boxes.round().astype(int).reshape(-1, 4)
    return np.array([difference[y0:y1, x0:x1].mean() > level for x0, y0, x1, y1 in edges], bool)


def separability_of(model: MaskRCNN, images: Sequence[np.ndarray], where: Sequence[Places]) -> float:
    """(h, w, 3) uint8 images at the model's size, Places of each -> held-out linear-probe AUC of RoI-pooled vectors.

    Only backbone, pyramid and pooling run, one image at a time; the model must be in eval mode, autocast is the caller's.
    NaN where fewer than eight images have a forged region and room for a control.
    """
    used = [(pixels, each) for pixels, each in zip(images, where, strict=True) if len(each.free)]
    if len(used) < separability.FEWEST:
        return float("nan")
    forged = np.concatenate([np.arange(len(each.both)) < len(each.free) for _, each in used])
    groups = np.repeat(np.arange(len(used)), [len(each.both) for _, each in used])
    return separability.separability(np.concatenate([_pooled(model, p, e.both) for p, e in used]), forged, groups)


@torch.inference_mode()
def _pooled(model: MaskRCNN, pixels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 at the model's size, (R, 4) -> (R, fpn_width) float32, mean of what the box head is given."""
    batch = model.batched([torch.from_numpy(pixels).permute(2, 0, 1)])
    levels = {name: level.float() for name, level in model.backbone(batch.tensors).items()}  # as an Anatomy has them
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
