"""Regions: shapes of the wanted area, objects found."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgery_rcnn.data.forge import regions
from forgery_rcnn.data.forge.regions import Objects, Region

BLOB = regions.filled(np.array([[[40, 30]], [[75, 35]], [[80, 60]], [[50, 72]]], np.int32))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.floats(60, 20_000), st.sampled_from(list(regions.OUTLINES)))
def test_outlines_have_about_the_area(seed: int, area: float, kind: str) -> None:
    region = regions.filled(regions.outline(area, (kind,), np.random.default_rng(seed)))
    assert 0.8 * area - 10 < region.area < 1.35 * area + 40


@pytest.mark.parametrize("scale", [1, 3])
def test_objects_are_found_parted_and_at_their_place(scale: int) -> None:
    """Two touching discs and one alone; large figures are looked at reduced."""
    canvas = np.full((200 * scale, 240 * scale, 3), 20, np.uint8)
    centres = [(60, 80), (94, 80), (180, 140)]
    for x, y in centres:
        cv2.circle(canvas, (x * scale, y * scale), 20 * scale, (200, 200, 200), -1)
    area = np.pi * (20 * scale) ** 2
    found = [regions.filled(outline) for outline in Objects.of(canvas).near(area, np.random.default_rng(0))]
    for x, y in centres:
        hits = [r for r in found if np.hypot(*_centre(r) - np.array([x, y]) * scale) < 5 * scale]
        assert any(0.65 * area < region.area < 1.3 * area for region in hits), (x, y)


def _centre(region: Region) -> np.ndarray:
    return np.argwhere(region.mask).mean(axis=0)[::-1] + [region.x, region.y]


def test_dark_objects_on_light_ground_are_objects_too() -> None:
    canvas = np.full((160, 160, 3), 220, np.uint8)
    cv2.circle(canvas, (70, 90), 18, (60, 60, 60), -1)
    found = Objects.of(canvas).near(np.pi * 18**2, np.random.default_rng(0))
    assert any(np.hypot(*_centre(regions.filled(outline)) - [70, 90]) < 4 for outline in found)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (40, 40)])
def test_flat_and_tiny_figures_have_no_objects(size: tuple[int, int]) -> None:
    assert Objects.of(np.full((*size, 3), 90, np.uint8)).near(100, np.random.default_rng(0)) == []


def test_proposed_regions_have_about_the_area_and_the_asked_kinds() -> None:
    objects = Objects.of(np.full((200, 300, 3), 90, np.uint8))
    for region in regions.proposed(objects, (0, 0, 300, 200), 900, ("rectangle",), np.random.default_rng(1)):
        assert regions.CLOSE_ENOUGH[0] * 900 < region.area < regions.CLOSE_ENOUGH[1] * 900
        assert region.mask.all()


def test_region_algebra() -> None:
    whole = np.zeros((140, 180), bool)
    BLOB.window(whole)[BLOB.mask] = True
    grown = BLOB.grown(3)
    wide = np.zeros((140, 180), bool)
    grown.window(wide)[grown.mask] = True
    assert np.array_equal(wide, cv2.dilate(whole.astype(np.uint8), np.ones((7, 7))) > 0)
    edge = BLOB._replace(y=-10, x=170)
    clipped = edge.clipped((140, 180))
    assert clipped.inside((140, 180)) and not edge.inside((140, 180))
    assert np.array_equal(clipped.mask, edge.mask[10:, :10])
    assert BLOB.clipped((10, 10)).area == 0


def test_a_polygon_redraws_its_region() -> None:
    polygon = np.array(BLOB.polygon(), np.int32)
    drawn = cv2.fillPoly(np.zeros((140, 180), np.uint8), [polygon], 1) > 0
    whole = np.zeros((140, 180), bool)
    BLOB.window(whole)[BLOB.mask] = True
    assert (drawn & whole).sum() / (drawn | whole).sum() > 0.95
