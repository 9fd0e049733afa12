"""The eight views: what is found in each comes back to its place, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forgery_rcnn import rle
from forgery_rcnn.inference.views import SYMMETRIES, boxes_back, named, turned_back, viewed
from forgery_rcnn.inference_config import VIEW_SETS, VIEWS
from forgery_rcnn.instances import Instances, Prediction

# Each view by hand: where the pixels of [[1, 2, 3], [4, 5, 6]] go.
BY_HAND = {
    "identity": [[1, 2, 3], [4, 5, 6]],
    "flip_horizontal": [[3, 2, 1], [6, 5, 4]],
    "flip_vertical": [[4, 5, 6], [1, 2, 3]],
    "rot90": [[3, 6], [2, 5], [1, 4]],  # anticlockwise
    "rot180": [[6, 5, 4], [3, 2, 1]],
    "rot270": [[4, 1], [5, 2], [6, 3]],
    "transpose": [[1, 4], [2, 5], [3, 6]],
    "transverse": [[6, 3], [5, 2], [4, 1]],
}
SIZES = [(1, 1), (3, 5), (7, 4), (1, 6), (5, 1), (4, 4)]


def prediction(masks: np.ndarray, heatmap: np.ndarray) -> Prediction:
    """Masks (N, H, W) with tight boxes and falling scores."""
    instances = Instances.from_masks(masks)
    scores = np.linspace(0.9, 0.5, len(masks)).astype(np.float32)
    return Prediction(instances, instances.boxes().astype(np.float32), scores, heatmap, 0.7)


def test_the_settings_name_the_views_that_exist() -> None:
    assert tuple(SYMMETRIES) == VIEWS == tuple(BY_HAND)


@pytest.mark.parametrize("name", VIEWS)
def test_each_view_by_hand(name: str) -> None:
    pixels = np.array([[1, 2, 3], [4, 5, 6]])
    assert SYMMETRIES[name].apply(pixels).tolist() == BY_HAND[name]
    colours = np.stack([pixels, 10 * pixels, 100 * pixels], axis=2)
    assert SYMMETRIES[name].apply(colours)[:, :, 2].tolist() == (100 * np.array(BY_HAND[name])).tolist()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", VIEWS)
def test_masks_boxes_and_heat_maps_come_back_exactly(name: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    masks, heatmap = rng.random((4, *size)) < 0.5, rng.random(size, np.float32)
    masks[:3, -1, 0], masks[3] = True, False
    view = SYMMETRIES[name]
    seen = prediction(np.stack([view.apply(mask) for mask in masks]), view.apply(heatmap))
    back = turned_back(seen, view)
    assert back.instances.size == size and back.heatmap.flags.c_contiguous
    np.testing.assert_array_equal(back.heatmap, heatmap)
    np.testing.assert_array_equal(back.instances.masks(), masks)
    np.testing.assert_array_equal(back.boxes[:3], Instances.from_masks(masks[:3]).boxes())
    for runs, mask in zip(back.instances.runs, masks, strict=True):
        np.testing.assert_array_equal(runs, rle.runs_of(mask))  # in the one order that Runs have
    assert back.scores is seen.scores and back.image_score == 0.7


def test_a_box_between_pixels_by_hand() -> None:
    """In an image 10 wide and 6 high; its view rot90 is 6 wide and 10 high."""
    box = np.float32([[1.5, 2, 4, 5.25]])
    seen = {
        "flip_horizontal": [6, 2, 8.5, 5.25],
        "flip_vertical": [1.5, 0.75, 4, 4],
        "rot90": [2, 6, 5.25, 8.5],
        "rot180": [6, 0.75, 8.5, 4],
        "rot270": [0.75, 1.5, 4, 4],
        "transpose": [2, 1.5, 5.25, 4],
        "transverse": [0.75, 6, 4, 8.5],
    }
    for name, turned in seen.items():
        shape = SYMMETRIES[name].apply(np.empty((6, 10))).shape
        np.testing.assert_array_equal(boxes_back(np.float32([turned]), SYMMETRIES[name], shape), box, err_msg=name)
    assert boxes_back(np.zeros((0, 4), np.float32), SYMMETRIES["rot90"], (10, 6)).shape == (0, 4)


def test_names_and_sets_each_view_once() -> None:
    assert named(("identity",)) == ("identity",)
    assert named(("rot90", "five", "rot90")) == ("rot90", "identity", "flip_horizontal", "flip_vertical", "rot270")
    assert named(("eight", "five")) == VIEWS == VIEW_SETS["eight"]


def bright(pixels: np.ndarray) -> Prediction:
    """What a model says that looks at each pixel alone: red is the heat; one instance, all pixels above a half."""
    assert pixels.flags.c_contiguous and pixels.flags.owndata
    torch.from_numpy(pixels)  # refuses negative strides, even of one row
    heatmap = pixels[:, :, 0].astype(np.float32) / 255
    return prediction((heatmap > 0.5)[None], heatmap)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("gives", ["map", "instances"])
def test_a_model_that_turns_with_its_image_says_the_same_of_all_views(size: tuple[int, int], gives: str) -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels[0, 0] = 255  # something to find
    plain, found = bright(pixels), viewed(bright, pixels, ("eight",), gives)
    np.testing.assert_allclose(found.heatmap, plain.heatmap, atol=1e-6)
    assert found.image_score == pytest.approx(0.7)
    if gives == "instances":
        np.testing.assert_array_equal(found.instances.masks(), plain.instances.masks())
        np.testing.assert_array_equal(found.boxes, plain.boxes)
        assert found.scores == pytest.approx(plain.scores)
    else:
        assert len(found.instances) == 0  # made of the merged map, by the pipeline


def test_a_model_that_looks_to_the_left_is_averaged() -> None:
    """Heat 1 in the view's first column only: of the five views, two see the left column there, one each other border."""

    def left(pixels: np.ndarray) -> Prediction:
        heatmap = np.zeros(pixels.shape[:2], np.float32)
        heatmap[:, 0] = 1
        return prediction(np.zeros((0, *heatmap.shape), bool), heatmap)

    found = viewed(left, np.zeros((3, 4, 3), np.uint8), ("five",), "map")
    # identity and the vertical flip: left; the horizontal flip: right; rot90 (anticlockwise): the top, rot270: the bottom
    by_hand = np.array([[3, 1, 1, 2], [2, 0, 0, 1], [3, 1, 1, 2]]) / 5
    np.testing.assert_allclose(found.heatmap, by_hand, atol=1e-6)


def test_one_view_is_one_call_and_identity_alone_costs_nothing() -> None:
    calls: list[np.ndarray] = []

    def counting(pixels: np.ndarray) -> Prediction:
        calls.append(pixels)
        return prediction(np.ones((1, *pixels.shape[:2]), bool), np.ones(pixels.shape[:2], np.float32))

    pixels = np.zeros((3, 4, 3), np.uint8)
    viewed(counting, pixels, ("identity",), "map")
    assert len(calls) == 1 and calls[0] is pixels
    viewed(counting, pixels, ("rot90",), "map")
    assert len(calls) == 2 and calls[1].shape == (4, 3, 3)
    viewed(counting, pixels, ("five", "rot90", "identity"), "map")
    assert len(calls) == 7
