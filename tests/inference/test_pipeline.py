"""Thresholds, order and the answer."""

from __future__ import annotations

import numpy as np

from forgery_rcnn.config import InferenceConfig
from forgery_rcnn.inference.pipeline import answer, selected
from forgery_rcnn.instances import Instances, Prediction


def prediction(scores: list[float], sides: list[int]) -> Prediction:
    """Squares of these sides in a 40 x 40 image."""
    masks = np.zeros((len(sides), 40, 40), bool)
    for mask, side in zip(masks, sides, strict=True):
        mask[:side, :side] = True
    boxes = np.array([[0, 0, s, s] for s in sides], np.float32).reshape(-1, 4)
    return Prediction(Instances.from_masks(masks), boxes, np.float32(scores), np.zeros((40, 40), np.float32), 0.9)


def test_scores_and_areas_at_the_threshold_pass_and_the_best_come_first() -> None:
    found = selected(
        prediction([0.5, 0.9, 0.49, 0.8], [4, 5, 30, 3]), InferenceConfig(score_threshold=0.5, min_area=16)
    )
    assert found.scores.tolist() == np.float32([0.9, 0.5]).tolist()
    assert found.instances.areas().tolist() == [25, 16]
    assert found.boxes[:, 2].tolist() == [5, 4]
    assert found.image_score == 0.9


def test_at_most_so_many_instances() -> None:
    found = selected(prediction([0.6, 0.9, 0.8], [9, 8, 7]), InferenceConfig(max_instances=2))
    assert found.instances.areas().tolist() == [64, 49]


def test_nothing_left_is_authentic() -> None:
    for none in (prediction([0.1], [9]), prediction([], [])):
        found = answer(selected(none, InferenceConfig()))
        assert found.instances is None
        assert (found.size, found.image_score) == ((40, 40), 0.9)
        assert found.scores.shape == (0,) and found.boxes.shape == (0, 4)


def test_an_answer_is_all_that_was_predicted() -> None:
    found = prediction([0.9, 0.7], [9, 6])
    kept = answer(found)
    assert kept.instances is found.instances and kept.size == (40, 40) and kept.image_score == 0.9
    assert kept.scores is found.scores and kept.boxes is found.boxes and kept.heatmap is found.heatmap
