"""What training looks at beside losses and scores: how separable the encoder's features are, and after every epoch
where the boxes of one image have got to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torchvision.ops import box_iou

from forgery_rcnn import separability
from forgery_rcnn.config import RunConfig, Stage
from forgery_rcnn.data import images, records
from forgery_rcnn.data.dataset import ForgeryDataset
from forgery_rcnn.data.records import Record
from forgery_rcnn.data.splits import Split
from forgery_rcnn.engine.evaluate import seen
from forgery_rcnn.instances import boxes_of
from forgery_rcnn.models import cues
from forgery_rcnn.models.anatomy import Anatomy, dissect
from forgery_rcnn.models.cues import Places
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from forgery_rcnn.models.segmenter import Segmenter

TOP = 5  # detections of the watched image that are written down


class Watch:
    """The encoder by the same forged images in all stages of a run, and the boxes of the first forged image of `scored`,
    the records that this stage is scored on."""

    def __init__(self, scored: Sequence[Record], split: Split, stage: Stage, config: RunConfig) -> None:
        self._data, self._model = config.data, config.model
        first = [record for record in scored if record.label == "forged"][:1]
        self._shown = ForgeryDataset(first, self._data, config.model)
        self._chosen = chosen(split, config.watch)
        self._twins = {record.key: record for record in split.named("all") if record.label == "authentic"}
        self._epochs, self._trained = stage.epochs, len(split.named(stage.subset))

    def due(self, epoch: int) -> bool:
        """Whether separability is measured in this epoch of the stage, from 0: the last, and each in which as many images
        have been trained on since as it takes to look at; so it never costs more than a part of the training."""
        done = [number * self._trained // max(len(self._chosen), 1) for number in (epoch, epoch + 1)]
        return done[1] > done[0] or epoch + 1 == self._epochs

    def separability(self, model: Segmenter, epoch: int) -> dict[str, float]:
        """{"separability": held-out AUC of a linear probe on RoI features}; {} where it is not due, or cannot be told.

        It needs a Mask R-CNN in eval mode and eight images with forged regions.
        """
        if not isinstance(model, MaskRCNN) or len(self._chosen) < separability.FEWEST or not self.due(epoch):
            return {}
        found = cues.separability_of(model, *zip(*self._opened, strict=True))
        return {} if math.isnan(found) else {"separability": found}

    @cached_property
    def _opened(self) -> list[tuple[np.ndarray, Places]]:
        """Of each watched image (h, w, 3) uint8 at the model's size, and where to look in it."""
        return [self._open(record) for record in self._chosen]

    def _open(self, record: Record) -> tuple[np.ndarray, Places]:
        view = seen(record, self._data)
        size = images.model_size(view.pixels.shape[:2], self._model)
        twin = self._twins.get(record.twin_key)
        other = None if twin is None else records.load(twin).pixels
        if other is not None:
            other = images.resized(other, size) if other.shape == view.pixels.shape else None
        pixels = images.resized(view.pixels, size)
        return pixels, cues.places(record.key, view.loaded.masks, pixels, other)

    def boxes(self, model: Segmenter) -> dict[str, Any]:
        """The line of boxes.jsonl, but for stage, epoch and step; {} without a forged image, or for another model.

        case: record key; size: [h, w] of the model's input; truth: true boxes; found: of each, the proposal nearest to it
        before regression, or null; best: the one nearest after it, which flatters the regressor; top: the best scored
        detections. Boxes x0 y0 x1 y1 exclusive, input pixels.
        """
        if not isinstance(model, MaskRCNN) or not len(self._shown):
            return {}
        pixels, truth = self._shown.fitted(0)
        truth = boxes_of(truth[truth.any(axis=(1, 2))])
        anatomy = dissect(model, pixels)
        regions, kept = anatomy.proposals, anatomy.kept[:TOP]
        top = zip(regions.refined[kept].tolist(), regions.scores[kept].tolist(), strict=True)
        return {
            "case": self._shown.items[0].key,
            "size": list(anatomy.fitted),
            "truth": truth.tolist(),
            "found": [_nearest(anatomy, box, "proposal_iou") for box in truth],
            "best": [_nearest(anatomy, box, "refined_iou") for box in truth],
            "top": [{"box": _rounded(box), "score": round(score, 4)} for box, score in top],
        }


def chosen(split: Split, count: int) -> list[Record]:
    """Up to `count` forged records, by key: of the validation split, evenly spread, else of the training images too, those
    that are overfitted last."""
    held = [record for record in split.validation if record.label == "forged"]
    known = {record.key for record in (*split.single, *split.few)}
    rest = sorted((record for record in split.full if record.label == "forged"), key=lambda record: record.key in known)
    if len(held) > count:
        held = [held[i * len(held) // count] for i in range(count)]
    return sorted((held + rest)[:count], key=lambda record: record.key)


def _nearest(anatomy: Anatomy, true: np.ndarray, by: Literal["proposal_iou", "refined_iou"]) -> dict[str, Any] | None:
    """The proposal with the largest IoU with this (4,) true box, before or after regression; None where none touches it."""
    regions, box = anatomy.proposals, torch.from_numpy(true)[None].to(anatomy.anchors.device)
    if not len(regions):
        return None
    overlaps = {
        "proposal_iou": box_iou(regions.boxes, box)[:, 0],
        "refined_iou": box_iou(regions.refined, box)[:, 0],
    }
    nearest = int(overlaps[by].argmax())
    if overlaps[by][nearest] == 0:
        return None
    return {
        "proposal": _rounded(regions.boxes[nearest].tolist()),
        "refined": _rounded(regions.refined[nearest].tolist()),
        "score": round(float(regions.scores[nearest]), 4),
        **{name: round(float(overlap[nearest]), 4) for name, overlap in overlaps.items()},
    }


def _rounded(box: Sequence[float]) -> list[float]:
    return [round(value, 2) for value in box]
