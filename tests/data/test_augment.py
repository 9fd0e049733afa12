"""Augmentation: image and masks change alike, by the generator alone; and the painted boxes of the oracle."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as v2

from forgery_rcnn.data import distort
from forgery_rcnn.data.augment import PAINT, augment, paint_boxes
from forgery_rcnn.instances import boxes_of

NAMES = st.lists(st.sampled_from(["flip", "rot90"]), unique=True)
ALL = ("flip", "rot90", "colour", "elastic", "stretch", "salt_pepper", "noise", "jpeg", "objects")


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
    painted = (paint_boxes(pixels, boxes_of(masks)) == PAINT).all(axis=2)
    expected = np.zeros((20, 30), bool)
    expected[4:10, 9:15] = expected[14:19, 1:5] = True
    expected[5:9, 10:14] = expected[15:18, 2:4] = False
    assert np.array_equal(painted, expected)
    assert not pixels.any()


def test_box_at_the_edge_is_painted_as_far_as_there_is_an_image() -> None:
    masks = np.zeros((1, 6, 8), bool)
    masks[0, :3, :4] = True
    painted = (paint_boxes(np.zeros((6, 8, 3), np.uint8), boxes_of(masks)) == PAINT).all(axis=2)
    assert painted.sum() == 5 + 3 and painted[3, :5].all() and painted[:4, 4].all()


@pytest.mark.parametrize("side", [256, 512, 768, 1300])
def test_thicker_lines_on_large_images_stay_outside_too(side: int) -> None:
    masks = np.zeros((1, side, side), bool)
    masks[0, 100:140, 90:160] = True
    painted = (paint_boxes(np.zeros((side, side, 3), np.uint8), boxes_of(masks)) == PAINT).all(axis=2)
    assert not (painted & masks[0]).any()
    assert painted[99, 90:160].all() and painted[140, 90:160].all()  # and touch the region's box
    assert painted[100:140, 89].all() and painted[100:140, 160].all()
    assert painted[:100, 120].sum() == max(1, side // 256)


def test_nothing_is_painted_on_an_authentic_image() -> None:
    pixels = np.full((6, 8, 3), 7, np.uint8)
    assert np.array_equal(paint_boxes(pixels, np.zeros((0, 4), np.float32)), pixels)


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


def white(height: int, width: int, *rectangles: tuple[int, int, int, int]) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    """A black image with white rectangles y0 x0 y1 x1, one instance each."""
    masks = np.zeros((len(rectangles), height, width), bool)
    for mask, (y0, x0, y1, x1) in zip(masks, rectangles, strict=True):
        mask[y0:y1, x0:x1] = True
    pixels = np.repeat(masks.any(axis=0)[None], 3, axis=0).astype(np.uint8) * np.uint8(255)
    return tv_tensors.Image(torch.from_numpy(pixels)), tv_tensors.Mask(torch.from_numpy(masks))


def test_flips_turns_and_colours_are_what_they_were_before_there_were_other_operations() -> None:
    """Runs of old are repeated by their seeds: the digest is of the results of an augment that knew only these three."""
    digest = hashlib.sha256()
    for seed in range(40):
        for part in augment(*marked(31, 45), ("flip", "rot90", "colour"), np.random.default_rng(seed)):
            digest.update(repr(tuple(part.shape)).encode() + part.contiguous().numpy().tobytes())
    assert digest.hexdigest()[:16] == "de33f53fed687ecb"


@pytest.mark.parametrize("name", ALL[2:])
def test_each_operation_happens_half_the_time(name: str) -> None:
    image, masks = marked(40, 60)
    if name == "elastic":  # at alpha 1 hardly a pixel moves
        image, masks = white(40, 60, (0, 0, 40, 60))
        rng, calls = np.random.default_rng(1), []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(distort, "elastic", lambda *a: (calls.append(a[2:4]), a[:2])[1])
            for _ in range(200):
                augment(image, masks, (name,), rng)
        assert set(calls) == {(1.0, 50.0)} and 75 <= len(calls) <= 125
        return
    rng = np.random.default_rng(1)
    if name == "objects":  # where anything is forged nearby there are none
        masks = masks[:0]
    results = [augment(image, masks, (name,), rng)[0] for _ in range(200)]
    changed = sum(result.shape != image.shape or not torch.equal(result, image) for result in results)
    assert 75 <= changed <= 125  # 100 +- 3.5 standard deviations
    assert len({result.numpy().tobytes() for result in results}) > changed / 2  # and is not always the same


def test_all_chance_comes_from_the_generator_and_inputs_stay() -> None:
    image, masks = marked(40, 60)
    before = image.clone(), masks.clone()
    first: list[tuple[bytes, bytes]] = []
    for attempt in range(2):
        torch.manual_seed(attempt), np.random.seed(attempt), cv2.setRNGSeed(attempt)
        found = [augment(image, masks, ALL, np.random.default_rng(seed), (32, 48)) for seed in range(30)]
        results = [(pixels.numpy().tobytes(), layers.numpy().tobytes()) for pixels, layers in found]
        assert results == (first or results)
        first = results
    assert len(set(first)) == 30
    assert torch.equal(image, before[0]) and torch.equal(masks, before[1])


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (7, 5)])
@pytest.mark.parametrize("count", [0, 2])
def test_all_operations_on_thin_images_and_without_masks(size: tuple[int, int], count: int) -> None:
    image, masks = marked(*size, count)
    for seed in range(25):
        changed, moved = augment(image, masks, ALL, np.random.default_rng(seed), (64, 64))
        assert changed.dtype == torch.uint8 and moved.dtype == torch.bool and changed.is_contiguous()
        assert moved.shape == (count, *changed.shape[1:]) and 1 <= min(changed.shape) <= max(changed.shape) <= 64


# ---- windows and stretching -----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**62))
def test_a_window_is_a_part_of_the_image(height: int, width: int, most_h: int, most_w: int, seed: int) -> None:
    image, masks = marked(height, width)
    found, kept = augment(image, masks, (), np.random.default_rng(seed), (most_h, most_w))
    assert found.shape == (3, min(height, most_h), min(width, most_w))
    y, x = int(found[1, 0, 0]), int(found[2, 0, 0])  # green and blue number rows and columns
    window = slice(y, y + found.shape[1]), slice(x, x + found.shape[2])
    assert torch.equal(found, image[:, *window]) and torch.equal(kept, masks[:, *window])


def test_windows_lie_everywhere_alike() -> None:
    image, masks = marked(9, 4, 0)
    rng = np.random.default_rng(0)
    begins = [tuple(augment(image, masks, (), rng, (7, 3))[0][1:, 0, 0].tolist()) for _ in range(600)]
    counts = {place: begins.count(place) for place in set(begins)}
    assert sorted(counts) == [(y, x) for y in range(3) for x in range(2)]
    assert min(counts.values()) > 65 and max(counts.values()) < 135  # 100 each


@pytest.mark.parametrize(
    ("factors", "largest", "wanted"),
    [
        ((0.9, 1.05), (100, 200), (90, 200)),  # 200 * 1.05 is cut to what it was
        ((0.9, 1.05), (100, 300), (90, 210)),
        ((1.0, 1.0), (100, 200), (100, 200)),
        ((1.09, 0.93), (64, 64), (64, 64)),
        ((1.09, 0.93), (109, 186), (109, 186)),
        ((0.9, 0.9), (1, 1), (1, 1)),
    ],
)
def test_size_of_a_stretched_window(
    factors: tuple[float, float], largest: tuple[int, int], wanted: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (100, 200, 3), np.uint8)
    found, kept = distort.cut(pixels, np.ones((1, 100, 200), bool), factors, largest, np.random.default_rng(0))
    assert found.shape == (*wanted, 3) and kept.shape == (1, *wanted) and kept.all()


@pytest.mark.parametrize("factors", [(0.9, 1.09), (1.09, 0.9), (1.09, 1.09), (0.9, 0.9)])
def test_a_stretched_region_stays_under_its_mask(factors: tuple[float, float]) -> None:
    image, masks = white(200, 300, (60, 90, 100, 150))
    found, kept = distort.cut(
        image.permute(1, 2, 0).numpy(), masks.numpy(), factors, (400, 400), np.random.default_rng(0)
    )
    assert found.shape == (round(200 * factors[0]), round(300 * factors[1]), 3)
    assert ((found[:, :, 0] >= 128) != kept[0]).mean() < 1e-3  # their borders round alike
    rows, columns = np.flatnonzero(kept[0].any(axis=1)), np.flatnonzero(kept[0].any(axis=0))
    assert [rows[0], rows[-1] + 1] == pytest.approx([60 * factors[0], 100 * factors[0]], abs=1)
    assert [columns[0], columns[-1] + 1] == pytest.approx([90 * factors[1], 150 * factors[1]], abs=1)


def test_stretching_draws_both_factors_on_their_own() -> None:
    image, masks = marked(100, 100, 0)
    rng = np.random.default_rng(0)
    sizes = np.array([augment(image, masks, ("stretch",), rng, (200, 200))[0].shape[1:] for _ in range(400)])
    sizes = sizes[(sizes != 100).any(axis=1)]
    assert sizes.min() == 90 and sizes.max() == 109
    assert abs(np.corrcoef(sizes.T)[0, 1]) < 0.2 and np.abs(sizes.mean(axis=0) - 99.5).max() < 1.5


def test_a_stretched_image_is_no_larger_than_it_was() -> None:
    image, masks = marked(80, 50)
    for seed in range(40):
        found, kept = augment(image, masks, ("stretch",), np.random.default_rng(seed))
        assert found.shape[1] <= 80 and found.shape[2] <= 50 and kept.shape == (3, *found.shape[1:])


# ---- elastic --------------------------------------------------------------------------------------------------


def test_elastic_follows_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that is 3 to the right and 2 up everywhere takes each pixel from there; beyond the border, from the border."""
    image, masks = marked(20, 30)
    size, field = [], (np.full((20, 30), 3, np.float32), np.full((20, 30), -2, np.float32))
    monkeypatch.setattr(distort, "displacement", lambda *a: size.append(a[:3]) or field)
    found, moved = distort.elastic(image.numpy(), masks.numpy(), 5.0, 9.0, np.random.default_rng(0))
    assert size == [((20, 30), 5.0, 9.0)]
    rows, columns = np.clip(np.arange(20) - 2, 0, None), np.clip(np.arange(30) + 3, None, 29)
    assert np.array_equal(found, image.numpy()[:, rows][:, :, columns])
    assert moved.dtype == bool and np.array_equal(moved, masks.numpy()[:, rows][:, :, columns])


def test_elastic_is_bilinear_and_masks_take_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    image, masks = white(6, 8, (0, 4, 6, 8))
    for shift, level, begin in ((0.25, 64, 4), (0.75, 191, 3)):  # column 3 has its source a quarter into the white
        field = (np.full((6, 8), shift, np.float32), np.zeros((6, 8), np.float32))
        monkeypatch.setattr(distort, "displacement", lambda *a, field=field: field)
        found, moved = distort.elastic(image.numpy(), masks.numpy(), 1.0, 50.0, np.random.default_rng(0))
        assert found[0, 2].tolist() == pytest.approx([0, 0, 0, level, 255, 255, 255, 255], abs=1)
        assert moved[0, 2].tolist() == [column >= begin for column in range(8)]


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 50.0), (300.0, 12.0), (20.0, 4.0)])
def test_displacements_are_smoothed_uniform_noise(alpha: float, sigma: float) -> None:
    """Against uniform noise at every pixel and scipy's Gaussian: deviation, and correlation at one sigma, exp(-1/4)."""
    from scipy.ndimage import gaussian_filter

    side, lag = 240, round(sigma)
    rng = np.random.default_rng(4)
    ours = np.stack([field for _ in range(60) for field in distort.displacement((side, side), alpha, sigma, rng)])
    noise = rng.uniform(-1, 1, (4, side, side))
    reference = alpha * np.stack([gaussian_filter(one, sigma) for one in noise])
    theory = alpha / (sigma * np.sqrt(12 * np.pi))
    inner = slice(side // 3, 2 * side // 3)  # at its border a field is mirrored, and livelier
    assert ours[:, inner, inner].std() == pytest.approx(theory, rel=0.1 if sigma < 20 else 0.2)  # few humps fit in
    assert reference[:, inner, inner].std() == pytest.approx(theory, rel=0.6)  # four fields only
    if sigma < 20:
        product = (ours[:, inner, :-lag] * ours[:, inner, lag:]).mean() / (ours[:, inner] ** 2).mean()
        assert product == pytest.approx(np.exp(-0.25), abs=0.06)
    assert ours.dtype == np.float32 and ours.shape[1:] == (side, side)


def test_the_published_elastic_distortion_moves_nothing_visibly() -> None:
    """Alpha 1 is a displacement of at most a fortieth of a pixel: recorded, for who wonders why it changes nothing."""
    rng = np.random.default_rng(0)
    fields = [field for _ in range(30) for field in distort.displacement((256, 256), 1.0, 50.0, rng)]
    assert 0.005 < max(float(np.abs(field).max()) for field in fields) < 0.03
    image, masks = marked(256, 200)
    found, moved = distort.elastic(image.numpy(), masks.numpy(), 1.0, 50.0, rng)
    assert np.array_equal(moved, masks.numpy())
    assert np.abs(found.astype(int) - image.numpy()).max() <= 8  # of 255, where neighbours differ most


def test_a_strong_elastic_distortion_keeps_regions_under_their_masks() -> None:
    image, masks = white(120, 160, (30, 40, 80, 110), (90, 10, 110, 30))
    found, moved = distort.elastic(image.numpy(), masks.numpy(), 400.0, 12.0, np.random.default_rng(2))
    assert 0.02 < (moved != masks.numpy()).mean() < 0.2
    assert ((found[0] >= 128) != moved.any(axis=0)).mean() < 0.01


# ---- noise ----------------------------------------------------------------------------------------------------


def test_salt_and_pepper_lie_on_forged_pixels_alone() -> None:
    image = tv_tensors.Image(torch.full((3, 100, 120), 90, dtype=torch.uint8))
    _, masks = white(100, 120, (10, 20, 60, 90), (50, 80, 95, 118))
    forged = masks.any(dim=0).numpy()
    shares = []
    for seed in range(40):
        found = distort.salted(image.numpy(), masks.numpy(), np.random.default_rng(seed))
        hit = (found != 90).any(axis=0)
        assert not (hit & ~forged).any()
        assert (
            set(np.unique(found[:, hit])) == {0, 255} and (found[0] == found[1]).all() and (found[0] == found[2]).all()
        )
        shares.append(hit.sum() / forged.sum())
        assert (found[0] == 255).sum() / hit.sum() == pytest.approx(0.5, abs=0.25)
    assert (
        0.005 < min(shares) < 0.03 and 0.08 < max(shares) < 0.12 and np.mean(shares) == pytest.approx(0.055, abs=0.015)
    )


def test_salt_and_pepper_leave_an_authentic_image_alone() -> None:
    image, masks = marked(30, 40, 0)
    found = [augment(image, masks, ("salt_pepper",), np.random.default_rng(seed))[0] for seed in range(10)]
    assert all(torch.equal(one, image) for one in found)


def test_noise_is_normal_and_everywhere() -> None:
    grey = np.full((3, 128, 96), 120, np.uint8)
    found = np.stack([distort.noisy(grey, np.random.default_rng(seed)).astype(float) - 120 for seed in range(30)])
    spread = found.std(axis=(1, 2, 3))
    assert 2.9 < spread.min() < 3.7 and 6.3 < spread.max() < 7.1
    assert np.abs(found.mean(axis=(1, 2, 3))).max() < 0.2
    scaled = found / spread[:, None, None, None]
    assert (np.abs(scaled) < 1).mean() == pytest.approx(0.6827, abs=0.03)
    assert (scaled**4).mean() == pytest.approx(3, abs=0.1)
    channels = np.corrcoef(scaled.transpose(1, 0, 2, 3).reshape(3, -1))
    assert np.abs(channels - np.eye(3)).max() < 0.01
    assert abs((scaled[..., 1:] * scaled[..., :-1]).mean()) < 0.01  # nor does a pixel know its neighbour


def test_noise_stops_at_black_and_white() -> None:
    ends = np.stack([np.zeros((60, 60), np.uint8), np.full((60, 60), 255, np.uint8), np.full((60, 60), 128, np.uint8)])
    found = distort.noisy(ends, np.random.default_rng(0))
    assert (
        found[0].max() < 40 and found[1].min() > 215 and (found[0] == 0).mean() > 0.4 and (found[1] == 255).mean() > 0.4
    )


def test_jpeg_quantises_blocks_of_a_grid_that_begins_anywhere() -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8), (0, 0), 1.5)
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    found = [distort.compressed(planes, np.random.default_rng(seed)) for seed in range(12)]
    assert all(one.shape == planes.shape and one.dtype == np.uint8 for one in found)
    errors = [np.abs(one.astype(int) - planes).mean() for one in found]
    assert 0.3 < min(errors) < max(errors) < 8 and len({one.tobytes() for one in found}) == 12

    def grid(one: np.ndarray) -> tuple[int, int]:
        """Where blocks begin: the shift at which most luma coefficients vanish."""
        luma = cv2.cvtColor(np.ascontiguousarray(one.transpose(1, 2, 0)), cv2.COLOR_RGB2YCrCb)[..., 0]
        shares = {}
        for down, across in np.ndindex(8, 8):
            blocks = (
                luma[down : down + 88, across : across + 120].reshape(11, 8, 15, 8).swapaxes(1, 2).reshape(-1, 8, 8)
            )
            shares[down, across] = np.mean([np.abs(cv2.dct(np.float32(block) - 128)) < 1 for block in blocks])
        return max(shares, key=lambda shift: shares[shift])

    drawn = [np.random.default_rng(seed).integers(0, 8, 2) for seed in range(12)]
    hits = [grid(one) == tuple((-shift % 8).tolist()) for one, shift in zip(found, drawn, strict=True)]
    assert sum(hits) >= 10  # the finest quality leaves little to see


def test_strength_of_the_elastic_operation_is_a_setting() -> None:
    rng = np.random.default_rng(4)
    image = tv_tensors.Image(torch.from_numpy(rng.integers(0, 256, (3, 64, 80), dtype=np.uint8)))
    masks = tv_tensors.Mask(torch.zeros((0, 64, 80), dtype=torch.bool))
    seeds = range(6)
    weak, strong = (
        [augment(image, masks, ("elastic",), np.random.default_rng(s), elastic=e)[0] for s in seeds]
        for e in ((1.0, 50.0), (2000.0, 50.0))
    )
    moved = [
        np.mean([(one.numpy() != image.numpy()).mean() for one in found if not torch.equal(one, image)] or [0])
        for found in (weak, strong)
    ]
    assert moved[0] < 0.05 < 0.5 < moved[1]
