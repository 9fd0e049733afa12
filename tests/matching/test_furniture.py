"""Furniture: what is drawn over a picture is found, what the picture shows is left."""

import cv2
import numpy as np
import pytest

from forgery_rcnn.data.forge import charts
from forgery_rcnn.data.forge import furniture as drawn
from forgery_rcnn.errors import InputError
from forgery_rcnn.matching import furniture
from tests.matching.test_panels import cells, picture


def whole(pixels: np.ndarray) -> np.ndarray:
    return np.array([[0, 0, pixels.shape[1], pixels.shape[0]]])


def stamped(pixels: np.ndarray, alpha: np.ndarray, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """-> the picture with an alpha stamped on it at 40, 30, and (H, W) bool, where it is opaque."""
    canvas, room = pixels.copy(), np.zeros(pixels.shape[:2], np.uint8)
    drawn.stamp(canvas, room, alpha, (40, 30), colour)
    opaque = np.zeros(room.shape, bool)
    opaque[30 : 30 + alpha.shape[0], 40 : 40 + alpha.shape[1]] = alpha > 128
    return canvas, opaque


@pytest.mark.parametrize("colour", [(255, 255, 255), (255, 235, 0), (235, 20, 20), (0, 220, 60)])
@pytest.mark.parametrize("kind", ["text", "bar", "arrow", "frame"])
def test_drawn_over_cells(kind: str, colour: tuple[int, int, int]) -> None:
    alpha = {
        "text": lambda: drawn.text("Ki67 DAPI", 18),
        "bar": lambda: drawn.scale_bar(70, 5, "50 um", 14),
        "arrow": lambda: drawn.arrow(40, 0.7),
        "frame": lambda: drawn.frame((80, 120), 2),
    }[kind]()
    canvas, opaque = stamped(cells(3), alpha, colour)
    found = furniture.mask(canvas, whole(canvas))
    assert found[opaque].mean() > 0.9


def test_black_text_on_a_texture_after_jpeg() -> None:
    light = (150 + picture((240, 320), 4) // 3).astype(np.uint8)
    canvas, opaque = stamped(light, drawn.text("Control", 20, "heavy"), (0, 0, 0))
    canvas = cv2.imdecode(cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_COLOR)
    assert furniture.mask(canvas, whole(canvas))[opaque].mean() > 0.8


@pytest.mark.parametrize("seed", range(4))
def test_pictures_are_left(seed: int) -> None:
    for pixels in (cells(seed), picture((240, 320), seed)):
        assert furniture.mask(pixels, whole(pixels)).mean() < 0.005


def test_saturated_cells_are_no_ink() -> None:
    bright = np.clip(cells(1).astype(np.int16) * 2, 0, 255).astype(np.uint8)
    assert not furniture.ink(bright).any()


@pytest.mark.parametrize("seed", range(6))
def test_charts_are_masked_whole_but_not_cells_or_bands(seed: int) -> None:
    pixels = charts.chart((260, 320), np.random.default_rng(seed))
    assert furniture.mask(pixels, whole(pixels)).all()
    assert not furniture.is_chart(cells(seed)[..., 0].astype(np.float32))


def test_around_panels_only_ink_is_furniture() -> None:
    pixels = picture((100, 200), 0)
    assert furniture.mask(pixels, np.array([[0, 0, 100, 100]])).mean() < 0.005
    pixels[20:30, 140:143] = 255
    assert furniture.mask(pixels, np.array([[0, 0, 100, 100]]))[20:30, 140:143].all()


@pytest.mark.parametrize("seed", range(2))
def test_a_grey_picture_is_seen_as_its_three_channels_are(seed: int) -> None:
    canvas, _ = stamped(cells(seed), drawn.text("Ki67 DAPI", 18), (255, 255, 255))
    nearly = canvas.copy()
    nearly[0, 0] = np.clip(canvas[0, 0].astype(int) + [0, 0, 1], 0, 255)  # one pixel of colour: the longer way
    assert (furniture.ink(canvas) == furniture.ink(nearly)).all()


def test_flat_is_rounding_only() -> None:
    rng = np.random.default_rng(0)
    gray = np.full((60, 90), 40, np.float32)
    gray[:, 30:60] += rng.integers(0, 2, (60, 30))
    gray[:, 60:] += rng.normal(0, 4, (60, 30)).astype(np.float32)
    found = furniture.flat(gray)
    assert found.dtype == bool and found.shape == gray.shape
    assert found[:, :58].all()
    assert found[:, 70:].mean() < 0.02


@pytest.mark.parametrize("size", [(1, 1), (5, 200), (64, 3)])
def test_small_images(size: tuple[int, int]) -> None:
    pixels = np.zeros((*size, 3), np.uint8)
    assert furniture.mask(pixels, whole(pixels)).shape == size


def test_grey_array_is_refused() -> None:
    with pytest.raises(InputError, match="RGB"):
        furniture.mask(np.zeros((10, 10), np.uint8), np.array([[0, 0, 10, 10]]))


@pytest.mark.parametrize("colour", [(255, 235, 0), (255, 255, 255), (0, 255, 80)])
def test_thick_coloured_arrows_are_ink_after_jpeg(colour: tuple[int, int, int]) -> None:
    """Two arrows have the same outline: left in, one is a copy of the other."""
    large = cv2.resize(cells(3), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    canvas, opaque = stamped(large // 2, drawn.arrow(60, 0.7), colour)
    code = cv2.imencode(".jpg", canvas[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    canvas = np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1])
    found = furniture.ink(canvas)
    assert found[opaque].mean() > 0.9
    assert found[~cv2.dilate(opaque.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool)].mean() < 0.001


def test_grains_that_are_black_and_sharp_are_no_ink() -> None:
    """Painted over, their rims would be copies of each other."""
    rng, pixels = np.random.default_rng(2), np.full((700, 900, 3), 225, np.uint8)
    for x, y, radius in zip(rng.integers(20, 880, 90), rng.integers(20, 680, 90), rng.integers(5, 13, 90), strict=True):
        cv2.circle(pixels, (int(x), int(y)), int(radius), (22, 22, 22), -1, cv2.LINE_AA)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 0.8).astype(np.float32) + rng.normal(0, 6, pixels.shape[:2])[..., None]
    assert furniture.ink(np.clip(pixels, 0, 255).astype(np.uint8)).mean() < 0.01
