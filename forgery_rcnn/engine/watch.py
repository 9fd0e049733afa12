"""What training looks at after every epoch, beside losses and scores: how separable the encoder's features are, and
where the boxes of one image have got to. The same images every time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchvision.ops import box_iou

from forgery_rcnn import separability
from forgery_rcnn.config import RunConfig
from forgery_rcnn.data.dataset import ForgeryDataset
from forgery_rcnn.data.records import Record
from forgery_rcnn.instances import boxes_of
from forgery_rcnn.models import cues
from forgery_rcnn.models.anatomy import Anatomy, dissect
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from forgery_rcnn.models.segmenter import Segmenter

TOP = 5  # detections of the watched image that are written down


class Watch:
    """Up to config.watch forged images among those that a stage is scored on, evenly spread; the first one's boxes."""

    def __init__(self, items: Sequence[Record], config: RunConfig) -> None:
        forged = [record for record in items if record.label == "forged"]
        count = min(len(forged), config.watch)
        self._chosen = [forged[i * len(forged) // count] for i in range(count)]
        self._images = ForgeryDataset(self._chosen, config.data, config.model.image_size)
        self._seed = config.seed

    def separability(self, model: Segmenter) -> dict[str, float]:
        """{"separability": held-out AUC of a linear probe on RoI features}; {} where it cannot be told.

        It needs a Mask R-CNN in eval mode and four images with regions.
        """
        if not isinstance(model, MaskRCNN) or len(self._chosen) < separability.FEWEST:
            return {}
        pairs = [self._images.fitted(index) for index in range(len(self._chosen))]
        found = cues.separability_of(model, [p for p, _ in pairs], [t for _, t in pairs], self._seed)
        return {} if math.isnan(found) else {"separability": found}

    def boxes(self, model: Segmenter) -> dict[str, Any]:
        """The line of boxes.jsonl, but for stage, epoch and step; {} without a forged image, or for another model.

        case: record key; size: [h, w] of the model's input; truth: true boxes; found: of each, the proposal whose
        refined box is nearest, or null; top: the best scored detections. Boxes x0 y0 x1 y1 exclusive, input pixels.
        """
        if not isinstance(model, MaskRCNN) or not self._chosen:
            return {}
        pixels, truth = self._images.fitted(0)
        truth = boxes_of(truth[truth.any(axis=(1, 2))])
        anatomy = dissect(model, pixels)
        regions, kept = anatomy.proposals, anatomy.kept[:TOP]
        top = zip(regions.refined[kept].tolist(), regions.scores[kept].tolist(), strict=True)
        return {
            "case": self._chosen[0].key,
            "size": list(anatomy.fitted),
            "truth": truth.tolist(),
            "found": [_nearest(anatomy, box) for box in truth],
            "top": [{"box": _rounded(box), "score": round(score, 4)} for box, score in top],
        }


def _nearest(anatomy: Anatomy, true: np.ndarray) -> dict[str, Any] | None:
    """The proposal whose refined box has the largest IoU with this (4,) true box; None where none touches it."""
    regions, box = anatomy.proposals, torch.from_numpy(true)[None].to(anatomy.anchors.device)
    if not len(regions):
        return None
    before, after = box_iou(regions.boxes, box)[:, 0], box_iou(regions.refined, box)[:, 0]
    best = int(after.argmax())
    if after[best] == 0:
        return None
    return {
        "proposal": _rounded(regions.boxes[best].tolist()),
        "refined": _rounded(regions.refined[best].tolist()),
        "score": round(float(regions.scores[best]), 4),
        "proposal_iou": round(float(before[best]), 4),
        "refined_iou": round(float(after[best]), 4),
    }


def _rounded(box: Sequence[float]) -> list[float]:
    return [round(value, 2) for value in box]
