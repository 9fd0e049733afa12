"""torchvision's own Mask R-CNN, by its defaults, on the weights of one of the package's: what benchmarks compare with."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN as Torchvision
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from forgery_rcnn.config import DataConfig
from forgery_rcnn.data import collection, images, records
from forgery_rcnn.models.mask_rcnn import LEVELS, MaskRCNN
from forgery_rcnn.models.roi_pool import RoIPool


def of(model: MaskRCNN) -> Torchvision:
    """A copy of the model's parts in torchvision's detector; its numbers of proposals, samples and detections."""
    config, parts = model.config, copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    for part in (parts.rpn.head, parts.roi_heads.box_predictor, parts.roi_heads.mask_predictor):
        part._forward_hooks.clear()
    detector = Torchvision(
        parts.backbone,
        min_size=config.image_size,
        max_size=config.image_size,
        rpn_anchor_generator=AnchorGenerator(
            tuple((side,) for side in config.anchor_sizes), (tuple(config.aspect_ratios),) * len(config.anchor_sizes)
        ),
        rpn_head=parts.rpn.head,
        box_roi_pool=MultiScaleRoIAlign(LEVELS, 7, 2),
        box_head=parts.roi_heads.box_head,
        box_predictor=parts.roi_heads.box_predictor,
        mask_roi_pool=MultiScaleRoIAlign(LEVELS, config.mask_pool, 2),
        mask_head=parts.roi_heads.mask_head,
        mask_predictor=parts.roi_heads.mask_predictor,
    )
    stem = getattr(parts.backbone, "stem", None)
    if stem is not None:  # it looks at unscaled levels, beside the colours
        colours = detector.transform.normalize
        detector.transform.normalize = lambda image: stem.seen(image * 255, colours(image))
    _with_its_own_norm(detector)
    assert not any(isinstance(module, RoIPool) for module in detector.modules())
    return detector


def _with_its_own_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, FrozenBatchNorm2d):
            own = FrozenBatchNorm2d(len(child.weight), eps=child.eps)
            own.load_state_dict(child.state_dict())
            setattr(module, name, own)
        else:
            _with_its_own_norm(child)


def fitted(count: int, side: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(h, w, 3) uint8 and masks (N, h, w) of forged figures of the built-in sample, long side `side`, the squarest first."""
    forged = [r for r in records.scan(collection.root_of(DataConfig())) if r.label != "authentic"]
    found = [records.load(record) for record in forged]
    found.sort(key=lambda one: -min(one.pixels.shape[:2]) / max(one.pixels.shape[:2]))
    out = []
    for one in found[:count]:
        size = images.fitted_size(one.pixels.shape[:2], side)
        masks = [images.resized(np.ascontiguousarray(mask, np.uint8), size) > 0 for mask in one.masks]
        out.append((images.resized(one.pixels, size), np.stack(masks)))
    return out


def tensor(pixels: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> what torchvision's detectors take, (3, H, W) float32 in 0..1."""
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
