"""The order of inference, known here only: tiles, the views of each, segmenter, refinement, regions, thresholds, answer."""

from __future__ import annotations

from typing import Literal

import numpy as np

from forgery_rcnn.config import InferenceConfig
from forgery_rcnn.inference import refine, tiling, views
from forgery_rcnn.instances import Answer, Instances, Prediction
from forgery_rcnn.models import regions
from forgery_rcnn.models.segmenter import Segmenter


def predict_image(model: Segmenter, pixels: np.ndarray, config: InferenceConfig) -> Prediction:
    """(H, W, 3) uint8 -> the instances that pass the thresholds, best first; heat map and image score of all candidates."""
    return finished(candidates(model, pixels, config), pixels, config, model.gives)


def candidates(model: Segmenter, pixels: np.ndarray, config: InferenceConfig) -> Prediction:
    """(H, W, 3) uint8 -> what the model says of it, tiles and views merged; no thresholds but the masks'.

    One that sees images whole is asked once, without tiles and views.
    """

    if model.sees == "whole":
        return model.predict([pixels], config.mask_threshold)[0]

    def segmented(seen: np.ndarray) -> Prediction:
        return model.predict([seen], config.mask_threshold)[0]

    def from_all_sides(tile: np.ndarray) -> Prediction:
        return views.viewed(segmented, tile, config.views, model.gives)

    # Tiles outermost: only the views of one tile are in memory together.
    return tiling.tiled(from_all_sides, pixels, config.tiling, model.gives)


def finished(
    found: Prediction, pixels: np.ndarray, config: InferenceConfig, gives: Literal["instances", "map"]
) -> Prediction:
    """Candidates, of one model or of several merged -> refined, their regions made where a map is given, and selected."""
    if gives == "map":
        heatmap = refine.refined(found.heatmap, pixels, config.refine)
        found = regions.prediction(heatmap, found.image_score, config.mask_threshold, config.close_gaps, config.regions)
    return selected(found, config)


def selected(prediction: Prediction, config: InferenceConfig) -> Prediction:
    """The instances with score and area at or above the thresholds, at most `max_instances`, by descending score; none
    where the image score is below its own. With config.regions one they are one instance then."""
    order = np.argsort(-prediction.scores, kind="stable")
    good = (prediction.scores >= config.score_threshold) & (prediction.instances.areas() >= config.min_area)
    good &= prediction.image_score >= config.image_threshold
    kept = prediction.take([int(i) for i in order if good[i]][: config.max_instances])
    return _as_one(kept) if config.regions == "one" and len(kept.scores) > 1 else kept


def _as_one(found: Prediction) -> Prediction:
    """Two instances or more -> their union, in the hull of their boxes, as sure as the surest."""
    hull = np.concatenate([found.boxes[:, :2].min(axis=0), found.boxes[:, 2:].max(axis=0)])
    union = Instances(found.instances.size, (found.instances.union(),))
    return Prediction(union, hull[None], found.scores.max(keepdims=True), found.heatmap, found.image_score)


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
