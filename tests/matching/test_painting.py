"""What is no picture takes no part: strokes, and gutters up to the pictures beside them; flat areas in pictures stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forgery_rcnn.matching import furniture, painting
from forgery_rcnn.matching.finder import find, seen
from forgery_rcnn.matching_config import MatchingConfig

HEIGHT, WIDTH, GAP = 90, 480, 24
INSIDE = slice(10, 80)
"""Rows of a strip that are copied."""


def strips(copied: bool, quality: int) -> np.ndarray:
    """(3 * HEIGHT + 2 * GAP, WIDTH, 3) uint8: three strips of a blot on white, five bands each; in the second the first two lanes may be
    the last two again, pixel for pixel; saved as JPEG of this quality, 0 = not."""
    rng, (y, x) = np.random.default_rng(3), np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    sheet = np.full((3 * HEIGHT + 2 * GAP, WIDTH), 255, np.float32)
    for number in range(3):
        strip = 205 - 12 * number + rng.normal(0, 2.5, x.shape)
        for lane in range(5):
            off = np.hypot(
                (x - 48 - 96 * lane - rng.normal(0, 4)) / 34, (y - 45 - rng.normal(0, 5)) / rng.uniform(8, 13)
            )
            strip -= rng.uniform(40, 150) / (1 + np.exp(6 * (off - 1)))
        if copied and number == 1:
            strip[INSIDE, 288:480] = strip[INSIDE, 0:192]
        sheet[number * (HEIGHT + GAP) :][:HEIGHT] = cv2.GaussianBlur(strip, (0, 0), 0.7)
    gray = np.clip(np.round(sheet), 0, 255).astype(np.uint8)
    if quality:
        gray = cv2.imdecode(cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)
    return np.repeat(gray[..., None], 3, axis=2)


@pytest.mark.parametrize("quality", [0, 92, 80])
def test_gutters_are_painted_over_up_to_the_pictures(quality: int) -> None:
    figure = seen(strips(False, quality))
    assert len(figure.panels) == 3
    drawn = painting.drawn(figure.gray, figure.ignored, figure.panels)
    rows = drawn.mean(axis=1)
    for top in (HEIGHT, 2 * HEIGHT + GAP):
        assert (rows[top + 1 : top + GAP - 1] == 1).all()
    assert rows[:HEIGHT].max() < 0.05 and rows[-HEIGHT:].max() < 0.05
    painted = painting.painted_over(figure.gray, drawn)
    before, after = (
        np.abs(np.diff(gray[HEIGHT - 3 : HEIGHT + 4], axis=0)).max(axis=0) for gray in (figure.gray, painted)
    )
    assert np.median(after) < 0.4 * np.median(before)


def test_what_is_flat_inside_a_picture_stays() -> None:
    pixels = strips(False, 0)
    pixels[HEIGHT + GAP + 20 :][:40, 200:260] = 255  # saturated
    figure = seen(pixels)
    inside = np.zeros(figure.size, bool)
    inside[HEIGHT + GAP + 20 :][:40, 200:260] = True
    assert furniture.flat(figure.gray)[inside].mean() > 0.9
    assert painting.drawn(figure.gray, figure.ignored, figure.panels)[inside].mean() < 0.05


def test_a_figure_of_one_panel_has_no_gutter() -> None:
    gray = np.full((60, 80), 250, np.float32)
    whole = np.array([[0, 0, 80, 60]])
    assert not painting.drawn(gray, np.zeros(gray.shape, bool), whole).any()


@pytest.mark.parametrize("quality", [0, 92])
def test_lanes_of_a_strip_that_occur_twice_are_found_and_end_with_the_strip(quality: int) -> None:
    """Where the strip ends is a step that fits wherever it is moved along the strip, and once hid that the bands fit at one place."""
    found = find(strips(True, quality), MatchingConfig())
    assert found.pairs
    best = found.pairs[0]
    assert np.abs(np.abs(best.matrix) - [[1, 0, 288], [0, 1, 0]]).max() < 1.5
    rows = (best.first[:, 0] % found.figure.size[0], best.second[:, 0] % found.figure.size[0])
    for start, runs in zip(rows, (best.first, best.second), strict=True):
        assert start.min() >= HEIGHT + GAP - 1 and (start + runs[:, 1]).max() <= 2 * HEIGHT + GAP + 1
    assert not find(strips(False, quality), MatchingConfig()).pairs
