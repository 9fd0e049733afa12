"""The order of inference, known here only: segmenter, then thresholds, then the answer."""

from __future__ import annotations

import numpy as np

from forgery_rcnn.config import InferenceConfig
from forgery_rcnn.instances import Answer, Prediction
from forgery_rcnn.models.segmenter import Segmenter


def predict_image(model: Segmenter, pixels: np.ndarray, config: InferenceConfig) -> Prediction:
    """(H, W, 3) uint8 -> the instances that pass the thresholds, best first; heat map and image score of all candidates."""
    return selected(model.predict([pixels], config.mask_threshold)[0], config)


def selected(prediction: Prediction, config: InferenceConfig) -> Prediction:
    """The instances with score and area at or above the thresholds, at most `max_instances`, by descending score."""
    order = np.argsort(-prediction.scores, kind="stable")
    good = (prediction.scores >= config.score_threshold) & (prediction.instances.areas() >= config.min_area)
    return prediction.take([int(i) for i in order if good[i]][: config.max_instances])


def answer(prediction: Prediction) -> Answer:
    """What is submitted: the instances, or authentic when there is none; heat map and image score as they are."""
    instances = prediction.instances
    return Answer(
        instances.size,
        instances if len(instances) else None,
        prediction.image_score,
        prediction.scores,
        prediction.boxes,
        prediction.heatmap,
    )
