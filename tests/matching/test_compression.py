"""The steps of the last JPEG, told from pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forgery_rcnn.matching import compression
from forgery_rcnn.matching.pairs import gray_of
from tests.matching.planted import noise_texture, saved

QUALITIES = (30, 50, 60, 70, 80, 90)


def scene(seed: int = 0, size: int = 320) -> np.ndarray:
    pixels = 60 + 0.5 * noise_texture(3, seed, size).astype(np.float32)
    pixels += np.random.default_rng(seed).normal(0, 2, pixels.shape)
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_picture_tells_the_quality_that_it_was_saved_with(quality: int) -> None:
    found = compression.scale(gray_of(saved(scene(), quality)))
    assert compression.quality(found) == pytest.approx(quality, abs=4)


def test_a_picture_that_was_not_compressed_or_was_scaled_or_moved_off_its_blocks_shows_none() -> None:
    pixels = scene()
    hard = saved(pixels, 50)
    for shown in (pixels, cv2.resize(hard, (290, 290), interpolation=cv2.INTER_AREA), hard[3:, 5:]):
        assert compression.scale(gray_of(shown)) == 0


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (8, 8), (9, 17)])
def test_a_picture_with_few_or_no_blocks_shows_none(size: tuple[int, int]) -> None:
    assert compression.scale(np.random.default_rng(0).uniform(0, 255, size).astype(np.float32)) == 0


@pytest.mark.parametrize("level", [0, 255])
def test_an_empty_picture_shows_none(level: int) -> None:
    assert compression.scale(np.full((64, 64), level, np.float32)) == 0
