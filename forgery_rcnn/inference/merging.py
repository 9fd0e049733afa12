"""One prediction out of several of the same image: of its views, of folds, of different models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from forgery_rcnn.instances import Instances, Prediction


def mean(predictions: Sequence[Prediction], weights: Sequence[float], gives: Literal["instances", "map"]) -> Prediction:
    """Predictions of one image in the same frame -> their weighted mean; the weights need not add up to 1.

    map: the mean of heat maps and image scores, no instances (pipeline.finished makes them).
    """
    if len(predictions) == 1:
        return predictions[0]
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    heatmap = np.zeros(predictions[0].heatmap.shape, np.float32)
    for found, share in zip(predictions, shares, strict=True):
        heatmap += np.float32(share) * found.heatmap
    score = float(sum(share * found.image_score for found, share in zip(predictions, shares, strict=True)))
    none = Instances(predictions[0].instances.size)
    return Prediction(none, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), heatmap, score)
