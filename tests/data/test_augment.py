"""Augmentation: image and masks change alike, by the generator alone; and the painted boxes of the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as v2

from forgery_rcnn.data.augment import PAINT, augment, paint_boxes

NAMES = st.lists(st.sampled_from(["flip", "rot90"]), unique=True)


def marked(height: int, width: int, count: int = 3) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    """An image whose red channel numbers the instance under each pixel: where they go, it must go."""
    masks = np.random.default_rng(height * width).random((count, height, width)) < 0.3
    number = np.zeros((3, height, width), np.uint8)
    for index, mask in enumerate(masks):
        number[0][mask] = index + 1
    number[1], number[2] = np.indices((height, width))
    return tv_tensors.Image(torch.from_numpy(number)), tv_tensors.Mask(torch.from_numpy(masks))


def shown(masks: torch.Tensor) -> torch.Tensor:
    """The red channel that belongs to these masks."""
    out = torch.zeros(masks.shape[-2:], dtype=torch.uint8)
    for index, mask in enumerate(masks):
        out[mask.bool()] = index + 1
    return out


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), NAMES, st.integers(0, 2**62))
def test_marked_pixels_stay_under_their_masks(height: int, width: int, names: list[str], seed: int) -> None:
    image, masks = marked(height, width)
    changed, moved = augment(image, masks, names, np.random.default_rng(seed))
    assert changed.shape[-2:] == moved.shape[-2:] and sorted(changed.shape[-2:]) == sorted((height, width))
    assert torch.equal(changed[0], shown(moved))
    assert changed.dtype == torch.uint8 and moved.dtype == torch.bool
    pixels = {tuple(pixel) for pixel in changed.reshape(3, -1).T.tolist()}
    assert pixels == {tuple(pixel) for pixel in image.reshape(3, -1).T.tolist()}  # moved, none blended or lost


def test_all_eight_views_occur() -> None:
    image, masks = marked(4, 4)
    rng = np.random.default_rng(0)
    views = {augment(image, masks, ("flip", "rot90"), rng)[0].numpy().tobytes() for _ in range(100)}
    assert len(views) == 8


@pytest.mark.parametrize(
    ("names", "views"), [((), 1), (("rot90",), 2), (("flip",), 4), (("rot90", "flip"), 8)], ids=str
)
def test_only_the_named_operations_happen(names: tuple[str, ...], views: int) -> None:
    image, masks = marked(5, 3)
    rng = np.random.default_rng(0)
    seen = {
        (tuple(out.shape), out.numpy().tobytes()) for out, _ in (augment(image, masks, names, rng) for _ in range(100))
    }
    assert len(seen) == views


def test_the_same_generator_gives_the_same_result_and_global_seeds_none() -> None:
    image, masks = marked(6, 7)
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        results.append(augment(image, masks, ("flip", "rot90", "colour"), np.random.default_rng(5)))
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])


def test_colour_changes_the_image_alone() -> None:
    image, masks = marked(8, 8)
    rng = np.random.default_rng(0)
    results = [augment(image, masks, ("colour",), rng) for _ in range(20)]
    assert all(torch.equal(moved, masks) for _, moved in results)
    unchanged = sum(torch.equal(changed, image) for changed, _ in results)
    assert 3 < unchanged < 17
    assert all(changed.dtype == torch.uint8 and changed.shape == image.shape for changed, _ in results)


def test_brightness_stays_within_a_fifth() -> None:
    """Contrast turns about the mean, which an even image is already."""
    image, masks = (
        tv_tensors.Image(torch.full((3, 4, 4), 100, dtype=torch.uint8)),
        tv_tensors.Mask(torch.zeros(0, 4, 4)),
    )
    rng = np.random.default_rng(0)
    levels = [augment(image, masks, ("colour",), rng)[0].float().mean().item() for _ in range(60)]
    assert 79 <= min(levels) < 86 and 114 < max(levels) <= 120


@pytest.mark.parametrize("seed", range(8))
def test_authentic_images_have_no_mask_to_move(seed: int) -> None:
    image, masks = marked(5, 9, count=0)
    changed, moved = augment(image, masks, ("flip", "rot90", "colour"), np.random.default_rng(seed))
    assert moved.shape == (0, *changed.shape[-2:])


def test_inputs_are_left_as_they_were() -> None:
    image, masks = marked(6, 6)
    before = image.clone(), masks.clone()
    for seed in range(6):
        augment(image, masks, ("flip", "rot90", "colour"), np.random.default_rng(seed))
    assert torch.equal(image, before[0]) and torch.equal(masks, before[1])


def test_boxes_are_painted_around_the_region_never_over_it() -> None:
    masks = np.zeros((2, 20, 30), bool)
    masks[0, 5:9, 10:14] = masks[1, 15:18, 2:4] = True
    pixels = np.zeros((20, 30, 3), np.uint8)
    painted = (paint_boxes(pixels, masks) == PAINT).all(axis=2)
    expected = np.zeros((20, 30), bool)
    expected[4:10, 9:15] = expected[14:19, 1:5] = True
    expected[5:9, 10:14] = expected[15:18, 2:4] = False
    assert np.array_equal(painted, expected)
    assert not pixels.any()


def test_box_at_the_edge_is_painted_as_far_as_there_is_an_image() -> None:
    masks = np.zeros((1, 6, 8), bool)
    masks[0, :3, :4] = True
    painted = (paint_boxes(np.zeros((6, 8, 3), np.uint8), masks) == PAINT).all(axis=2)
    assert painted.sum() == 5 + 3 and painted[3, :5].all() and painted[:4, 4].all()


@pytest.mark.parametrize("side", [256, 512, 768, 1300])
def test_thicker_lines_on_large_images_stay_outside_too(side: int) -> None:
    masks = np.zeros((1, side, side), bool)
    masks[0, 100:140, 90:160] = True
    painted = (paint_boxes(np.zeros((side, side, 3), np.uint8), masks) == PAINT).all(axis=2)
    assert not (painted & masks[0]).any()
    assert painted[99, 90:160].all() and painted[140, 90:160].all()  # and touch the region's box
    assert painted[100:140, 89].all() and painted[100:140, 160].all()
    assert painted[:100, 120].sum() == max(1, side // 256)


def test_nothing_is_painted_on_an_authentic_image() -> None:
    pixels = np.full((6, 8, 3), 7, np.uint8)
    assert np.array_equal(paint_boxes(pixels, np.zeros((0, 6, 8), bool)), pixels)


@pytest.mark.parametrize("count", [0, 2])
def test_colour_is_torchvisions_to_within_a_level(count: int) -> None:
    image, masks = marked(40, 56, count)
    image = tv_tensors.Image(torch.from_numpy(np.random.default_rng(1).integers(0, 256, (3, 40, 56), np.uint8)))
    changes = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        found, _ = augment(image, masks, ("colour",), rng)
        rng = np.random.default_rng(seed)
        if rng.random() < 0.5:
            brightness, contrast = rng.uniform(0.8, 1.2, 2)
            wanted = v2.adjust_contrast(v2.adjust_brightness(image, brightness), contrast)
            assert (found.int() - wanted.int()).abs().max() <= 1
            changes += 1
    assert changes > 2
