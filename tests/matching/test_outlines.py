"""A rim is alike wherever it is round; what lies beside it tells a copy."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.planting import cut_out
from forgery_rcnn.data import images, sample
from forgery_rcnn.matching import finder, outlines
from forgery_rcnn.matching.pairs import Finding
from forgery_rcnn.matching_config import MatchingConfig
from tests.matching.planted import noise_texture, saved

SIDE, RADIUS = 300, 132
KINDS = {"white": (255, 0.0), "black": (0, 0.0), "ringed": (250, 3.0)}
"""Levels of the ground, and px, how wide a dark ring is."""


def content(seed: int) -> np.ndarray:
    """(300, 300, 3) float32 of coarse and fine texture."""
    texture = 0.6 * noise_texture(6, seed, SIDE).astype(np.float32) + 0.4 * noise_texture(1, seed + 1, SIDE)
    return np.clip(60 + 0.5 * texture, 40, 210)


def round_field(inside: np.ndarray, kind: str, uneven: float = 0.0) -> np.ndarray:
    """(300, 300, 3) uint8, only what lies in a circle in the middle, or in a section of uneven outline."""
    ground, ring = KINDS[kind]
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    turn = np.arctan2(y, x)
    off = np.hypot(x, y) - RADIUS * (1 - uneven * (1 + np.cos(2 * turn) + np.sin(3 * turn) / 2))
    pixels = cut_out(inside, off, ground, 0.8, ring)
    pixels += np.random.default_rng(int(inside.sum()) % 1000).normal(0, 1, (SIDE, SIDE, 1))
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


def turned(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """About the middle."""
    matrix = cv2.getRotationMatrix2D(((SIDE - 1) / 2,) * 2, degrees, 1.0)
    return cv2.warpAffine(pixels, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def found(pixels: np.ndarray) -> Finding:
    return finder.find(pixels, MatchingConfig())


EACH = pytest.mark.parametrize("kind", sorted(KINDS))
QUALITIES = pytest.mark.parametrize("quality", [100, 80])


@EACH
@QUALITIES
def test_the_rim_of_a_round_field_is_no_copy(kind: str, quality: int) -> None:
    findings = [found(saved(round_field(content(seed), kind), quality)) for seed in range(4)]
    assert [one.pairs for one in findings] == [()] * 4
    assert any("rim" in motion.reason for one in findings for motion in one.rejected)


@EACH
def test_the_rims_of_two_round_fields_are_none(kind: str) -> None:
    for seed in range(0, 8, 2):
        sides = [round_field(content(number), kind) for number in (seed, seed + 30)]
        assert found(np.hstack(sides)).pairs == ()


@EACH
@QUALITIES
def test_a_round_field_that_is_shown_twice_and_turned_is_a_copy(kind: str, quality: int) -> None:
    inside = content(3)
    sides = round_field(inside, kind), round_field(turned(inside, 35), kind)
    assert found(saved(np.hstack(sides), quality)).pairs


@EACH
def test_a_sector_that_is_turned_about_the_middle_is_a_copy(kind: str) -> None:
    """Rim and all, within one field."""
    field = round_field(content(5), kind)
    away = np.mgrid[:SIDE, :SIDE][::-1] - (SIDE - 1) / 2
    place = (np.abs(np.arctan2(away[1], away[0])) < 0.6) & (np.hypot(*away) > 30)
    pasted = np.where(turned(place.astype(np.uint8), 90)[..., None] > 0, turned(field, 90), field)
    assert found(pasted).pairs


@EACH
def test_a_copy_within_a_round_field_is_found(kind: str) -> None:
    inside = content(7)
    inside[170:230, 150:220] = inside[70:130, 90:160]
    assert found(round_field(inside, kind)).pairs


@EACH
@QUALITIES
def test_the_outline_of_a_section_is_no_copy_of_its_other_side(kind: str, quality: int) -> None:
    findings = [found(saved(round_field(content(seed), kind, uneven=0.07), quality)) for seed in range(20, 24)]
    assert [one.pairs for one in findings] == [()] * 4


def test_without_the_excuse_some_of_the_fields_above_pass_for_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "is_outline", lambda *_: False)
    assert any(found(round_field(content(seed), "ringed")).pairs for seed in range(4))


def test_bands_of_a_blot_are_no_outline(tmp_path: Path) -> None:
    """Two lanes of the built-in sample, mirrored beside their source: one curve runs along all bands."""
    pixels = images.read(sample.build(tmp_path / "sample") / "test_images/30011.png").pixels
    (pair,) = found(pixels).pairs
    assert pair.told_by == "pixels" and pair.matrix.tolist() == [[-1, 0, 238], [0, 1, 4]]
