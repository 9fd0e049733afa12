"""How a stage stands: its scores on the images that it is scored on, its loss there, and what makes weights the best."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch

from forgery_rcnn import ranking, report
from forgery_rcnn.config import InferenceConfig, Refine, RunConfig
from forgery_rcnn.data.dataset import ForgeryDataset
from forgery_rcnn.data.records import Record
from forgery_rcnn.engine import seeding
from forgery_rcnn.models.segmenter import Segmenter
from forgery_rcnn.report import ImageRow

SCORES = (
    "of1_mean",
    "dice_mean",
    "of1_mean_forged",
    "recall_mean",
    "precision_mean",
    "false_alarm_rate",
    "baseline_all_authentic",
    "image_auc",
)
"""What an evaluation leaves in the log and beside the weights, and, where it is measured, validation_loss."""


def plain(inference: InferenceConfig) -> InferenceConfig:
    """The same thresholds and tiles without views and refinement: what training evaluates with, as they cost many times."""
    return replace(inference, views=("identity",), refine=Refine())


def measured(rows: Sequence[ImageRow]) -> dict[str, Any]:
    """Rows -> their report.summary, and image_auc, None where a class is missing."""
    scores, forged = np.array([row.image_score for row in rows]), np.array([row.label == "forged" for row in rows])
    found = ranking.auc(scores, forged)
    return report.summary(rows) | {"image_auc": None if math.isnan(found) else found}


def losses(
    model: Segmenter, items: Sequence[Record], config: RunConfig, advance: Callable[[], None] = lambda: None
) -> list[float]:
    """The summed training loss of each record, as training sees it but not augmented, one at a time.

    The model must be in eval mode, and is again afterwards; what only directs others is put in train mode meanwhile.
    """
    data = ForgeryDataset(items, replace(config.data, cache_mb=0), config.model)  # each is looked at once
    modules = dict(model.named_modules())
    for name in model.coordinators:
        modules[name].training = True
    out = []
    with torch.inference_mode():
        for index in range(len(data)):
            seed = seeding.mixed(config.seed, zlib.crc32(items[index].key.encode()))  # whoever computes it
            torch.manual_seed(seed)  # Mask R-CNN draws proposals
            image, target, _ = data[index, seed]
            out.append(float(sum(model.losses([image], [target]).values())))
            advance()
    model.eval()
    return out


def standing(
    found: dict[str, Any], best_by: Literal["of1", "dice", "image_auc", "loss"], training_loss: float
) -> list[float]:
    """An evaluation -> numbers that are compared in this order, the larger the better.

    Early on every image is called authentic and all scores tie: then the lower training loss is the better one.
    """
    orders = {
        "of1": ("of1_mean", "of1_mean_forged", "dice_mean"),
        "dice": ("dice_mean", "of1_mean"),
        "image_auc": ("image_auc", "of1_mean"),
    }
    first = [-found["validation_loss"]] if best_by == "loss" else [found[name] or 0.0 for name in orders[best_by]]
    return [*first, -training_loss]
