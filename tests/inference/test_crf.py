"""The conditional random field: against the dense definition, in its limits, tile by tile, and against pydensecrf2."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pytest

from forgery_rcnn.config import Refine
from forgery_rcnn.inference import crf, refine


def dense(forged: np.ndarray, pixels: np.ndarray, config: Refine) -> np.ndarray:
    """The definition: every pixel with every other, the exact Gaussian, two classes, float64."""
    height, width = forged.shape
    y, x = np.mgrid[:height, :width]
    place = np.stack([y, x], -1).reshape(-1, 2) / config.spatial
    colour = pixels.reshape(-1, 3).astype(np.float64) / config.colour
    far = sum(((f[:, None] - f[None]) ** 2).sum(-1) for f in (place, colour))
    kernel = np.exp(-far / 2)
    norm = 1 / np.sqrt(kernel.sum(1))
    kernel = norm[:, None] * kernel * norm[None]
    p = np.clip(forged.reshape(-1).astype(np.float64), crf.CLIP, 1 - crf.CLIP)
    unary = np.stack([1 - p, p])
    q = unary.copy()
    for _ in range(config.iterations):
        q = unary * np.exp(config.compat * (q @ kernel))
        q /= q.sum(0)
    return q[1].reshape(height, width)


def scene(side: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(truth, noisy heat map, pixels): a bright square, left of the middle, that the heat map shows 1/12 too far right."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((side, side), bool)
    truth[side // 4 : 3 * side // 4, side // 6 : side // 2] = True
    pixels = np.where(truth[..., None], (180, 160, 140), (60, 80, 90)) + rng.normal(0, 6, (side, side, 3))
    shifted = np.roll(truth, side // 12, axis=1)
    heat = np.clip(0.25 + 0.5 * shifted + rng.normal(0, 0.1, truth.shape), 0.02, 0.98)
    return truth, heat.astype(np.float32), pixels.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("compat", "iterations"), [(1.0, 1), (3.0, 5), (10.0, 5)])
def test_with_a_node_to_each_pixel_it_is_the_dense_definition(compat: float, iterations: int) -> None:
    _, heat, pixels = scene(24)
    config = Refine(method="crf", spatial=3, colour=13, compat=compat, iterations=iterations, spatial_at=0)
    exact = dense(heat, pixels, config)
    found = crf.by_mean_field(heat, pixels, config)
    assert abs(exact - heat).max() > 0.1  # there is something to find
    assert abs(found - exact).max() < 0.05  # the Gaussian is cut at 2.5 deviations
    assert abs(found - exact).mean() < 0.005


def test_with_four_pixels_to_a_node_the_mask_is_that_of_the_dense_definition() -> None:
    _, heat, pixels = scene(40)
    config = Refine(method="crf", spatial=10, colour=26, spatial_at=0)
    exact, found = dense(heat, pixels, config) >= 0.5, crf.by_mean_field(heat, pixels, config) >= 0.5
    assert (exact & found).sum() / (exact | found).sum() >= 0.98
    assert (exact != (heat >= 0.5)).sum() >= 50  # there is something to find


def test_one_pixel_by_hand() -> None:
    """Kernel and norm are 1: logit q = logit p + compat (2 p - 1) = ln 3 + 2 * 0.5; q = 3 e / (1 + 3 e) = 0.890768."""
    found = crf.by_mean_field(
        np.float32([[0.75]]), np.zeros((1, 1, 3), np.uint8), Refine(compat=2, iterations=1, spatial_at=0)
    )
    assert found == pytest.approx(0.890768, abs=1e-5)


def test_two_pixels_by_hand() -> None:
    """k = exp(-1/2) = 0.606531 one deviation apart; n = 1.606531; messages (0.5 - 0.606531 * 0.2) / n = 0.235720 and
    (0.606531 * 0.5 - 0.2) / n = 0.064280; compat 1: 0.75 -> sigmoid(1.098612 + 0.235720), 0.4 -> sigmoid(-0.405465 + 0.064280).
    """
    config = Refine(spatial=1, colour=13, compat=1, iterations=1, spatial_at=0)
    found = crf.by_mean_field(np.float32([[0.75, 0.4]]), np.full((1, 2, 3), 7, np.uint8), config)
    assert found[0].tolist() == pytest.approx([0.791559, 0.415522], abs=1e-5)


def test_a_colour_far_away_says_nothing() -> None:
    heat = np.full((8, 8), 0.3, np.float32)
    heat[:, 4:] = 0.9
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, 4:] = 255
    config = Refine(spatial=2, compat=1, iterations=1, spatial_at=0)
    found = crf.by_mean_field(heat, pixels, config)
    alone = crf.by_mean_field(heat[:, :4], pixels[:, :4], config)
    assert np.allclose(found[:, :4], alone, atol=1e-6)
    same = crf.by_mean_field(heat, np.zeros_like(pixels), config)
    assert same[4, 3] > found[4, 3] + 0.02  # of one colour, the forged half speaks


@pytest.mark.parametrize("spatial", [3.0, 10.0])
def test_tiles_leave_no_seam(monkeypatch: pytest.MonkeyPatch, spatial: float) -> None:
    _, heat, pixels = scene(150)
    config = Refine(method="crf", spatial=spatial, spatial_at=0)
    whole = crf.by_mean_field(heat[:, :131], pixels[:, :131], config)
    monkeypatch.setattr(crf, "TILE_PIXELS", 64)
    tiled = crf.by_mean_field(heat[:, :131], pixels[:, :131], config)
    assert ((whole >= 0.5) != (tiled >= 0.5)).sum() <= 20  # of 19,650
    assert abs(whole - tiled).mean() < 2e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (5, 3), (33, 62)])
@pytest.mark.parametrize("spatial", [1.0, 10.0])
def test_sure_maps_stay_and_nothing_is_undefined(size: tuple[int, int], spatial: float) -> None:
    rng = np.random.default_rng(1)
    config = Refine(method="crf", spatial=spatial, spatial_at=0)
    for pixels in (rng.integers(0, 256, (*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)):
        for value in (0.0, 1.0):
            found = crf.by_mean_field(np.full(size, value, np.float32), pixels, config)
            assert found.shape == size and found.dtype == np.float32
            assert abs(found - value).max() < 1e-6
        found = crf.by_mean_field(rng.random(size, np.float32), pixels, config)
        assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


def test_the_package_is_asked_by_name_and_never_stands_in(refused: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    _, heat, pixels = scene(24)
    ours, theirs = (Refine(method=name, spatial=3, spatial_at=0) for name in ("crf", "pydensecrf2"))
    for there in (None, object()):
        monkeypatch.setattr(crf, "find_spec", lambda name, there=there: there)
        assert np.array_equal(refine.refined(heat, pixels, ours), crf.by_mean_field(heat, pixels, ours))
    monkeypatch.setattr(crf, "find_spec", lambda name: None)
    with refused("pydensecrf2 is not installed: pip install '.[crf]', or use --inference.refine.method crf"):
        refine.refined(heat, pixels, theirs)


@pytest.mark.skipif(find_spec("pydensecrf") is None, reason="pydensecrf2 is an extra: pip install 'forgery_rcnn[crf]'")
def test_pydensecrf2_refuses_what_needs_too_much_memory(refused: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crf, "LARGEST", 24 * 24 - 1)
    _, heat, pixels = scene(24)
    with refused("pydensecrf2: 24 x 24 px need more than"):
        crf.by_pydensecrf(heat, pixels, Refine(method="pydensecrf2"))


@pytest.mark.skipif(find_spec("pydensecrf") is None, reason="pydensecrf2 is an extra: pip install 'forgery_rcnn[crf]'")
def test_masks_agree_with_pydensecrf2() -> None:
    _, heat, pixels = scene(240)
    config = Refine(method="crf", spatial_at=0)
    theirs, ours = (solve(heat, pixels, config) >= 0.5 for solve in (crf.by_pydensecrf, crf.by_mean_field))
    assert (theirs & ours).sum() / (theirs | ours).sum() >= 0.95
