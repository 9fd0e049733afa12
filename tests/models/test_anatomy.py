"""dissect is the model, opened: the same numbers for every backbone, size and precision; truth can replace each part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from forgery_rcnn import metrics
from forgery_rcnn.config import ModelConfig
from forgery_rcnn.instances import Instances
from forgery_rcnn.models import anatomy, weights, zoo
from forgery_rcnn.models.anatomy import PARTS, dissect, substituted, true_regions
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from tests.models.test_segmenters import pictures

BACKBONES = ["resnet18", "resnet50", "mobilenet_v3_large", "timm:tf_efficientnet_lite0", "timm:convnext_atto"]


def built(config: ModelConfig, seed: int = 0) -> MaskRCNN:
    torch.manual_seed(seed)
    return zoo.build(weights.settled(config)).eval()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_dissect_equals_the_model(tiny_model: ModelConfig, backbone: str) -> None:
    model = built(replace(tiny_model, backbone=backbone))
    for pixels in pictures((70, 130), (96, 96), (33, 20), (1, 40)):
        opened, plain = dissect(model, pixels), model.predict([pixels])[0]
        assert len(plain.scores) == len(opened.kept) > 0
        np.testing.assert_array_equal(opened.prediction.boxes, plain.boxes)
        np.testing.assert_array_equal(opened.prediction.scores, plain.scores)
        np.testing.assert_array_equal(opened.prediction.heatmap, plain.heatmap)
        assert all(map(np.array_equal, opened.prediction.instances.runs, plain.instances.runs))


def test_dissect_equals_a_model_that_sees_images_unscaled(tiny_model: ModelConfig) -> None:
    """Larger and smaller than the squares it is trained on; boxes and masks are in the image's own pixels."""
    model = built(replace(tiny_model, fit="native", image_size=64))
    for pixels in pictures((150, 230), (64, 64), (20, 33), (1, 1)):
        opened, plain = dissect(model, pixels), model.predict([pixels])[0]
        assert opened.original == opened.fitted == pixels.shape[:2]
        assert len(plain.scores) == len(opened.kept) > 0
        np.testing.assert_array_equal(opened.prediction.boxes, plain.boxes)
        np.testing.assert_array_equal(opened.prediction.heatmap, plain.heatmap)
        torch.testing.assert_close(opened.proposals.refined[opened.kept], torch.from_numpy(plain.boxes))


def test_dissect_equals_the_model_under_autocast_and_at_another_mask_threshold(tiny_model: ModelConfig) -> None:
    model = built(tiny_model)
    (pixels,) = pictures((70, 130))
    with torch.autocast("cpu", torch.bfloat16):
        opened, plain = dissect(model, pixels, 0.45), model.predict([pixels], 0.45)[0]
    np.testing.assert_array_equal(opened.prediction.heatmap, plain.heatmap)
    assert opened.prediction.instances.areas().tolist() == plain.instances.areas().tolist()
    kept = (opened.stages | opened.levels).values()
    assert all(
        t.dtype == torch.float32
        for t in (*kept, opened.anchors, opened.objectness, opened.proposals.vectors, opened.grids)
    )


def test_the_shapes_are_as_said(tiny_model: ModelConfig) -> None:
    model = built(tiny_model)
    (pixels,) = pictures((70, 130))
    found = dissect(model, pixels)
    assert (found.original, found.fitted, found.padded) == ((70, 130), (52, 96), (64, 96))
    assert {n: tuple(s.shape) for n, s in found.stages.items()}["3"] == (1, 512, 2, 3)
    count = 3 * sum(s.shape[-2] * s.shape[-1] for s in found.levels.values())
    assert len(found.anchors) == len(found.anchor_levels) == len(found.objectness) == len(found.moved) == count
    assert torch.bincount(found.anchor_levels).tolist() == [3 * 16 * 24, 3 * 8 * 12, 3 * 4 * 6, 3 * 2 * 3, 3 * 1 * 2]
    regions = found.proposals
    assert regions.pooled.shape == (len(regions), 32, 7, 7) and regions.vectors.shape == (len(regions), 32)
    assert (found.proposal_objectness.diff() <= 0).all() and (regions.scores[found.kept].diff() <= 0).all()
    assert regions.refined[:, [0, 2]].max() <= 96 and regions.refined[:, [1, 3]].max() <= 52


def two_regions(size: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((2, *size), bool)
    masks[0, 10:50, 8:40] = masks[1, 30:80, 60:85] = True
    masks[0, 10:20, 8:15] = False
    return masks


def of1(prediction: anatomy.Prediction, masks: np.ndarray, threshold: float) -> float:
    found = prediction.take(np.flatnonzero(prediction.scores >= threshold)).instances
    return metrics.image_score(found if len(found) else None, Instances.from_masks(masks))


def test_nothing_given_is_the_model_and_all_given_is_the_truth(tiny_model: ModelConfig) -> None:
    """On a model that knows nothing at all."""
    for seed in range(3):
        model = built(tiny_model, seed)
        (pixels,) = pictures((96, 96))
        masks = two_regions((96, 96))
        found = dissect(model, pixels)
        truth = true_regions(masks, found)
        plain = substituted(model, found, truth, ())
        np.testing.assert_array_equal(plain.heatmap, found.prediction.heatmap)
        assert of1(substituted(model, found, truth, PARTS), masks, 0.5) == 1.0


def test_each_part_given_is_what_comes_out(tiny_model: ModelConfig) -> None:
    model = built(replace(tiny_model, detections=100, box_score_min=0.0))
    (pixels,) = pictures((80, 96))
    masks = two_regions((80, 96))
    found = dissect(model, pixels)
    truth = true_regions(masks, found)
    boxes = substituted(model, found, truth, ("boxes", "proposals")).boxes
    distance = np.abs(boxes[:, None] - truth.boxes).max(axis=2).min(axis=0)
    assert distance.max() < 1e-3, "both true boxes are among the detections"
    scores = substituted(model, found, truth, ("proposals", "scores", "boxes")).scores
    assert scores.tolist() == [1.0, 1.0]
    given = substituted(model, found, truth, ("proposals", "boxes", "scores", "masks")).instances.masks()
    assert {mask.tobytes() for mask in given} == {mask.tobytes() for mask in masks}


def test_an_authentic_image_has_no_truth_to_give(tiny_model: ModelConfig) -> None:
    model = built(tiny_model)
    (pixels,) = pictures((80, 96))
    found = dissect(model, pixels)
    truth = true_regions(np.zeros((0, 80, 96), bool), found)
    for parts in ((), ("proposals",), ("boxes",), ("masks",)):
        same = substituted(model, found, truth, parts)
        np.testing.assert_array_equal(same.boxes, found.prediction.boxes)
    assert len(substituted(model, found, truth, ("scores",)).scores) == 0
    with pytest.raises(ValueError, match=r"no part \['rpn'\]"):
        substituted(model, found, truth, ("rpn",))


def test_an_empty_channel_is_no_region(tiny_model: ModelConfig) -> None:
    model = built(tiny_model)
    (pixels,) = pictures((80, 96))
    masks = np.concatenate([two_regions((80, 96)), np.zeros((1, 80, 96), bool)])
    assert len(true_regions(masks, dissect(model, pixels))) == 2
