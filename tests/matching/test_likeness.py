"""What tells a copy from something alike, in numbers whose truth is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forgery_rcnn.matching import agreement, likeness
from forgery_rcnn.matching.pairs import Figure, gray_of
from forgery_rcnn.matching.regions import Grown
from tests.matching.planted import noise_texture

SIDE, AWAY = 220, 110
BOX = (20, 20, 90, 90)
MOTION = np.array([[1.0, 0, AWAY], [0, 1, AWAY]])
NONE = np.zeros((SIDE, SIDE), bool)


def scene(levels: float, seed: int = 0, other: int | None = None) -> Figure:
    """A copy of BOX under white noise of `levels`; with `other`, another texture's region in the copy's place."""
    rng = np.random.default_rng(seed)
    pixels = 60 + 0.5 * noise_texture(3, seed, SIDE).astype(np.float32)
    x0, y0, x1, y1 = BOX
    source = pixels if other is None else 60 + 0.5 * noise_texture(3, other, SIDE).astype(np.float32)
    pixels[y0 + AWAY : y1 + AWAY, x0 + AWAY : x1 + AWAY] = source[y0:y1, x0:x1]
    # Somewhere the figure shows nothing but its noise.
    pixels[:, -8:] = 100
    pixels += rng.normal(0, levels, (SIDE, SIDE, 1))
    pixels = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
    return Figure(pixels, gray_of(pixels), NONE, np.array([[0, 0, SIDE, SIDE]]))


def region(figure: Figure, mask: np.ndarray | None = None) -> Grown:
    mask = np.ones((BOX[3] - BOX[1], BOX[2] - BOX[0]), bool) if mask is None else mask
    return Grown(MOTION, mask, agreement.compared(figure.gray, NONE, MOTION, BOX))


@pytest.mark.parametrize("levels", [2.0, 4.0, 8.0])
def test_the_grain_of_a_figure_is_that_of_its_noise(levels: float) -> None:
    assert scene(levels).grain == pytest.approx(levels**2, rel=0.5)


def test_a_figure_that_is_ignored_all_over_has_no_grain() -> None:
    figure = scene(3.0)
    assert Figure(figure.pixels, figure.gray, ~NONE, figure.panels).grain == 0


@pytest.mark.parametrize("levels", [2.0, 4.0, 8.0])
def test_a_noisy_copy_differs_by_no_more_than_the_noise(levels: float) -> None:
    """By less where structures are strong: some of what resampling would leave is allowed for."""
    figure = scene(levels)
    found, _ = likeness.of(figure, NONE, region(figure))
    assert max(found.excess_middle, found.excess_form, found.excess_coarse) < 0.35
    assert abs(found.excess_middle) < 0.35
    assert found.fine < found.middle < found.form


def test_another_texture_differs_by_far_more_than_noise() -> None:
    figure = scene(3.0, other=5)
    found, _ = likeness.of(figure, NONE, region(figure))
    assert min(found.excess_middle, found.excess_form) > 0.7
    assert abs(found.form) < 0.3


def test_white_noise_has_the_power_that_is_said_in_every_band() -> None:
    noise = np.random.default_rng(0).normal(0, 5, (600, 600)).astype(np.float32)
    for low, high in likeness.BANDS.values():
        inner = agreement.band(noise, low, high)[40:-40, 40:-40]
        assert float((inner**2).mean()) / 25 == pytest.approx(likeness.white(low, high), rel=0.1)


def test_one_edge_is_concentrated_and_runs_one_way_and_texture_does_not() -> None:
    texture = scene(1.0)
    edge = np.full((SIDE, SIDE, 3), 60, np.uint8)
    edge[:, 55:] = edge[:, 55 + AWAY :] = 180
    edge[:, 55 + 70 : 55 + AWAY] = 60
    edge = cv2.GaussianBlur(edge, (0, 0), 2)
    line = Figure(edge, gray_of(edge), NONE, texture.panels)
    shown = [likeness.of(figure, NONE, region(figure))[1] for figure in (line, texture)]
    assert shown[0].along_form > 0.95 > 0.5 > shown[1].along_form
    assert shown[0].concentrated_form > shown[1].concentrated_form + 0.2
    assert shown[0].flat > 0.5 > 0.1 > shown[1].flat


def test_a_rim_that_belongs_to_the_surroundings_changes_little() -> None:
    """A twelfth of the region is no copy."""
    figure = scene(3.0)
    y0, x0 = BOX[1] + AWAY, BOX[0] + AWAY
    gray = figure.gray.copy()
    gray[y0 : y0 + 6, x0 : x0 + 70] = gray[:6, 140:210]
    other = Figure(figure.pixels, gray, NONE, figure.panels)
    (whole, _), (hurt, _) = (likeness.of(f, NONE, region(f)) for f in (figure, other))
    assert hurt.form > 0.7 * whole.form
    assert hurt.excess_middle < whole.excess_middle + 0.3


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.4])
def test_the_contrast_between_the_sides_is_not_that_of_an_arrow(gain: float) -> None:
    """Drawn over the copy, stronger than anything in the picture."""
    figure = scene(1.0)
    x0, y0, x1, y1 = (bound + AWAY for bound in BOX)
    pixels = figure.pixels.astype(np.float32)
    pixels[y0:y1, x0:x1] = (pixels[y0:y1, x0:x1] - 110) * gain + 110
    cv2.line(pixels, (x0 + 8, y0 + 8), (x0 + 18, y0 + 18), (255, 255, 255), 4)
    pixels = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
    figure = Figure(pixels, gray_of(pixels), NONE, figure.panels)
    assert likeness.of(figure, NONE, region(figure))[0].gain == pytest.approx(abs(np.log(gain)), abs=0.05)
