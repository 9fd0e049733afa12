"""Thresholds, order and the answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from forgery_rcnn.config import InferenceConfig, ModelConfig, Tiling
from forgery_rcnn.inference.pipeline import answer, candidates, finished, predict_image, selected
from forgery_rcnn.inference.views import SYMMETRIES
from forgery_rcnn.instances import Instances, Prediction
from forgery_rcnn.models import regions
from forgery_rcnn.models.segmenter import Segmenter


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


def test_what_passes_is_one_instance_where_asked_for() -> None:
    found = prediction([0.4, 0.9, 0.6], [30, 5, 9])
    found = Prediction(
        found.instances, found.boxes + np.float32([[0] * 4, [2, 0, 2, 0], [0] * 4]), found.scores, found.heatmap, 0.9
    )
    one = selected(found, InferenceConfig(regions="one"))
    assert one.instances.areas().tolist() == [81] and one.scores.tolist() == np.float32([0.9]).tolist()
    assert one.boxes.tolist() == [[0, 0, 9, 9]] and one.boxes.dtype == np.float32
    assert len(selected(found, InferenceConfig()).scores) == 2
    for config in (InferenceConfig(regions="one", score_threshold=0.7), InferenceConfig(regions="one", min_area=10000)):
        few = selected(found, config)
        np.testing.assert_array_equal(
            few.boxes, selected(found, InferenceConfig(score_threshold=0.7, min_area=config.min_area)).boxes
        )


def test_of_a_map_that_is_one_region_no_pixel_is_left_out() -> None:
    """However small or faint its part: thresholds are of the whole. Of instances each has to pass."""
    heatmap = np.zeros((40, 40), np.float32)
    heatmap[5:15, 5:15], heatmap[30, 30] = 0.9, 0.5
    parts = regions.prediction(heatmap, 0.9, 0.5)
    config, unseen = InferenceConfig(score_threshold=0.6, regions="one"), np.zeros((40, 40, 3), np.uint8)
    assert finished(parts, unseen, config, "map").instances.areas().tolist() == [101]
    assert finished(parts, unseen, config, "instances").instances.areas().tolist() == [100]
    strict = InferenceConfig(min_area=102, regions="one")
    assert len(finished(parts, unseen, strict, "map").instances) == 0


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


class Red(Segmenter):
    """Red is the heat, each pixel by itself: it turns with its image, and does not know where a tile ends."""

    gives = "map"

    def __init__(self) -> None:
        super().__init__(ModelConfig())
        self.seen: list[np.ndarray] = []

    def losses(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {}

    def predict(self, images: Sequence[np.ndarray], mask_threshold: float = 0.5) -> list[Prediction]:
        self.seen += images
        return [self.told(image[:, :, 0].astype(np.float32) / 255, mask_threshold) for image in images]

    def told(self, heatmap: np.ndarray, mask_threshold: float) -> Prediction:
        return regions.prediction(heatmap, float(heatmap.max()), mask_threshold)


class RedRegions(Red):
    """The same, as a model that gives instances."""

    gives = "instances"


class FromAbove(Red):
    """Sees only the upper half of what it is shown."""

    def told(self, heatmap: np.ndarray, mask_threshold: float) -> Prediction:
        seen = heatmap.copy()
        seen[len(seen) // 2 :] = 0
        return super().told(seen, mask_threshold)


def figure(size: tuple[int, int] = (90, 151)) -> np.ndarray:
    """Two forged regions, one of them an L over several tiles of 64, and faint noise."""
    pixels = np.random.default_rng(6).integers(0, 60, (*size, 3), dtype=np.uint8)
    pixels[10:30, 20:120] = pixels[10:80, 20:40] = (204, 0, 0)
    pixels[60:75, 100:130] = (153, 0, 0)
    return pixels


TILES = Tiling("auto", (64,))
KINDS = [pytest.param(Red, id="map"), pytest.param(RedRegions, id="instances")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("views", [("identity",), ("five",), ("rot90",), ("eight",)])
@pytest.mark.parametrize("tiling", [Tiling(), TILES, Tiling("auto", (64,), 0.0)])
def test_views_and_tiles_change_nothing_where_the_model_knows_neither(
    kind: type[Red], views: tuple[str, ...], tiling: Tiling
) -> None:
    pixels = figure()
    plain = predict_image(RedRegions(), pixels, InferenceConfig())
    found = predict_image(kind(), pixels, InferenceConfig(views=views, tiling=tiling))
    assert found.instances.areas().tolist() == [20 * 100 + 50 * 20, 15 * 30]
    np.testing.assert_array_equal(found.instances.masks(), plain.instances.masks())
    np.testing.assert_allclose(found.heatmap, plain.heatmap, atol=1e-6)
    np.testing.assert_allclose(found.scores, [0.8, 0.6], atol=1e-6)
    np.testing.assert_allclose(found.boxes, [[20, 10, 120, 80], [100, 60, 130, 75]], atol=1e-5)
    assert found.image_score == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (65, 64)])
def test_images_of_a_pixel_and_of_a_line(kind: type[Red], size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 255, np.uint8)
    found = predict_image(kind(), pixels, InferenceConfig(views=("eight",), tiling=TILES, min_area=1))
    assert found.instances.areas().tolist() == [size[0] * size[1]]
    nothing = predict_image(kind(), 0 * pixels, InferenceConfig(views=("eight",), tiling=TILES))
    assert len(nothing.instances) == 0 and nothing.heatmap.shape == size


def test_identity_untiled_is_one_call_with_the_image_itself() -> None:
    model, pixels = Red(), figure()
    candidates(model, pixels, InferenceConfig())
    assert len(model.seen) == 1 and model.seen[0] is pixels
    candidates(model, pixels[:64, :64], InferenceConfig(tiling=TILES))
    assert len(model.seen) == 2


def test_every_tile_is_seen_from_all_sides_before_the_next() -> None:
    model, pixels = Red(), figure((64, 151))
    candidates(model, pixels, InferenceConfig(views=("identity", "rot90"), tiling=TILES))
    tiles = [pixels[:, x : x + 64] for x in (0, 48, 87)]
    expected = [SYMMETRIES[view].apply(tile) for tile in tiles for view in ("identity", "rot90")]
    assert len(model.seen) == 6
    for seen, tile in zip(model.seen, expected, strict=True):
        np.testing.assert_array_equal(seen, tile)
        torch.from_numpy(seen)  # contiguous, no negative strides


def test_views_are_averaged_before_regions_are_made() -> None:
    """From above and from below each half is seen once: half the heat, on the whole region."""
    pixels = np.full((40, 40, 3), 255, np.uint8)
    both = InferenceConfig(views=("identity", "flip_vertical"))
    found = predict_image(FromAbove(), pixels, both)
    assert found.instances.areas().tolist() == [1600] and found.scores.tolist() == [0.5]
    assert predict_image(FromAbove(), pixels, InferenceConfig()).instances.areas().tolist() == [800]


def test_thresholds_come_last() -> None:
    """Candidates keep what the thresholds drop; a merged score counts, not a view's."""
    pixels = figure()
    found = candidates(RedRegions(), pixels, InferenceConfig(score_threshold=0.9, tiling=TILES))
    assert len(found.instances) == 2
    kept = finished(found, pixels, InferenceConfig(score_threshold=0.7), "instances")
    assert kept.instances.areas().tolist() == [3000] and kept.heatmap is found.heatmap


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_threshold_reaches_the_regions(kind: type[Red]) -> None:
    found = predict_image(kind(), figure(), InferenceConfig(mask_threshold=0.7, views=("five",), tiling=TILES))
    assert found.instances.areas().tolist() == [3000]
