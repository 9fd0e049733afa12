"""Refinement of heat maps: settings, the two edge-keeping filters, and images that do not fit in one go."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from forgery_rcnn.config import Refine
from forgery_rcnn.inference import crf, refine

METHODS = ("crf", "guided", "smoother")
Method = Literal["crf", "guided", "smoother"]


def edge(side: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """(heat map, pixels): the image steps from 50 to 200 in the middle, the heat map ramps from 0.2 to 0.8 around it."""
    ramp = np.clip(0.5 + (np.arange(side) - side / 2 + 0.5) * 0.03, 0.2, 0.8)
    pixels = np.full((side, side, 3), 50, np.uint8)
    pixels[:, side // 2 :] = 200
    return np.tile(ramp, (side, 1)).astype(np.float32), pixels


def test_none_gives_the_map_itself() -> None:
    heat, pixels = edge()
    assert refine.refined(heat, pixels, Refine()) is heat


@pytest.mark.parametrize("method", METHODS)
def test_a_slope_becomes_a_step_where_the_image_has_one(method: Method) -> None:
    heat, pixels = edge()
    before = heat.copy()
    found = refine.refined(heat, pixels, Refine(method=method, spatial=10, spatial_at=0))
    assert np.array_equal(heat, before)  # the input is left alone
    assert found.dtype == np.float32 and found.shape == heat.shape
    assert heat[30, 30] - heat[30, 29] == pytest.approx(0.03, abs=1e-5)
    assert found[30, 30] - found[30, 29] > 0.15


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (3, 3), (37, 53)])
def test_sure_maps_stay_sure(method: Method, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for pixels in (noise, np.zeros_like(noise)):
        for value in (0.0, 1.0):
            found = refine.refined(np.full(size, value, np.float32), pixels, Refine(method=method, spatial_at=0))
            assert found.shape == size and abs(found - value).max() < 1e-5
            assert found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("method", METHODS)
def test_a_view_of_other_arrays_is_read_right(method: Method) -> None:
    """Pixels mirrored by a negative stride give the mirrored answer."""
    heat, pixels = edge()
    heat = heat + np.linspace(0, 0.1, 60, dtype=np.float32)[:, None]
    straight = refine.refined(heat, pixels, Refine(method=method, spatial=2.5, spatial_at=0))
    mirrored = refine.refined(heat[:, ::-1], pixels[:, ::-1], Refine(method=method, spatial=2.5, spatial_at=0))
    assert np.allclose(straight, mirrored[:, ::-1], atol=2e-4)


def test_the_reach_follows_the_image() -> None:
    assert refine.spatial((256, 128), Refine(spatial=10, spatial_at=512)) == 5
    assert refine.spatial((2048, 4096), Refine(spatial=10, spatial_at=512)) == 80
    assert refine.spatial((2048, 4096), Refine(spatial=10, spatial_at=0)) == 10
    heat, pixels = edge()  # 60 px wide: 10 at 120 is 5 here
    for method in METHODS:
        scaled = refine.refined(heat, pixels, Refine(method=method, spatial=10, spatial_at=120))
        assert np.array_equal(scaled, refine.refined(heat, pixels, Refine(method=method, spatial=5, spatial_at=0)))
        assert not np.array_equal(scaled, refine.refined(heat, pixels, Refine(method=method, spatial=10, spatial_at=0)))


def test_colour_is_in_levels_in_the_guided_filter() -> None:
    """Grey 100 and 126 by turns: variance 169 in each of three equal channels. The slope on each is v / (3 v + eps); with
    eps = 13^2 = 169 they give back 3/4 of a map that alternates with the image: amplitude 0.2 -> 0.15 around 0.5."""
    turns = (np.indices((80, 80)).sum(0) % 2).astype(np.float32)
    pixels = np.repeat((100 + 26 * turns).astype(np.uint8)[..., None], 3, axis=2)
    found = refine.refined(0.3 + 0.4 * turns, pixels, Refine(method="guided", spatial=10, colour=13, spatial_at=0))
    assert found[40, 40:42].tolist() == pytest.approx([0.35, 0.65], abs=0.003)


@pytest.mark.parametrize("spatial", [4.0, 8.0])
def test_the_smoother_blurs_a_flat_image_by_the_reach(spatial: float) -> None:
    point = np.zeros((161, 161), np.float32)
    point[80, 80] = 1
    found = refine.smoother(point, np.full((161, 161, 3), 90, np.uint8), spatial, 13)
    away = np.arange(161) - 80.0
    for axis in (0, 1):
        share = found.sum(axis, dtype=np.float64)
        assert np.sqrt((share * away**2).sum() / share.sum()) == pytest.approx(spatial, rel=0.02)


@pytest.mark.parametrize("method", ["guided", "smoother"])
def test_strips_leave_no_seam(monkeypatch: pytest.MonkeyPatch, method: Method) -> None:
    rng = np.random.default_rng(0)
    heat, pixels = rng.random((120, 40), np.float32), rng.integers(90, 110, (120, 40, 3), np.uint8)
    config = Refine(method=method, spatial=3, spatial_at=0)
    whole = refine.refined(heat, pixels, config)
    monkeypatch.setattr(refine, "STRIP", 40 * 17)
    assert abs(refine.refined(heat, pixels, config) - whole).max() < 2e-3


@pytest.mark.parametrize("method", ["guided", "smoother"])
def test_a_far_reach_is_filtered_on_a_smaller_copy(monkeypatch: pytest.MonkeyPatch, method: Method) -> None:
    heat, pixels = edge(120)
    whole = refine.refined(heat, pixels, Refine(method=method, spatial=12, spatial_at=0))
    monkeypatch.setattr(refine, "WIDEST", 6.0)
    small = refine.refined(heat, pixels, Refine(method=method, spatial=12, spatial_at=0))
    assert small.shape == heat.shape
    assert 1e-4 < abs(small - whole).mean() < 0.03


def test_crf_is_the_field() -> None:
    heat, pixels = edge()
    config = Refine(method="crf", spatial_at=0)
    assert np.allclose(refine.refined(heat, pixels, config), crf.by_mean_field(heat, pixels, config), atol=1e-6)
