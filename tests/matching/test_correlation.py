"""Planted copies of noise and weak texture are proposed; images without repetition give no motion."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.matching import correlation, field_exact
from forgery_rcnn.matching.pairs import Figure

HEIGHT, WIDTH = 360, 400


def background(seed: int) -> np.ndarray:
    """(HEIGHT, WIDTH) uint8, a flat background with a camera's noise."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(0, 6, (HEIGHT, WIDTH)), (0, 0), 0.7)
    return np.uint8(np.clip(np.round(140 + noise), 0, 255))


def figure(gray: np.ndarray) -> Figure:
    """(H, W) uint8 -> a figure of one panel, nothing ignored."""
    height, width = gray.shape
    pixels = np.repeat(gray[..., None], 3, 2)
    return Figure(pixels, gray.astype(np.float32), np.zeros(gray.shape, bool), np.array([[0, 0, width, height]]))


def jpeg(gray: np.ndarray, quality: int) -> np.ndarray:
    """(H, W) uint8 -> the same, saved as JPEG and read again."""
    file = io.BytesIO()
    Image.fromarray(gray).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def copied(gray: np.ndarray) -> np.ndarray:
    """-> the image with a square of 70 pixels at (40, 60) pasted at (253, 221), x y."""
    out = gray.copy()
    out[221:291, 253:323] = gray[60:130, 40:110]
    return out


@pytest.mark.parametrize("quality", [95, 85])
def test_a_copy_of_noise_is_found_after_jpeg(quality: int) -> None:
    found = correlation.hypotheses(figure(jpeg(copied(background(0)), quality)))
    offset = found[0].matrix[:, 2] * np.sign(found[0].matrix[0, 2])
    assert np.abs(offset - [213, 161]).max() <= 1
    assert np.allclose(found[0].matrix[:, :2], np.eye(2))
    places = np.concatenate([found[0].first, found[0].second])
    inside = [((places >= a) & (places < np.add(a, 70))).all(1) for a in ((40, 60), (253, 221))]
    assert (inside[0] | inside[1]).mean() > 0.7


def test_a_copy_of_noise_is_found_under_more_noise() -> None:
    gray = copied(background(1)) + np.random.default_rng(2).normal(0, 2, (HEIGHT, WIDTH))
    found = correlation.shifts(figure(np.uint8(np.clip(np.round(gray), 0, 255))))
    assert np.abs(np.abs(found[0].matrix[:, 2]) - [213, 161]).max() <= 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("quality", [95, 70])
def test_noise_without_a_copy_gives_no_motion(seed: int, quality: int) -> None:
    assert correlation.hypotheses(figure(jpeg(background(seed), quality))) == []


@pytest.mark.parametrize("number", range(8))
def test_every_symmetry_of_the_square_is_found_without_loss(number: int) -> None:
    gray = background(3)
    linear = field_exact.SQUARE[number]
    patch = gray[60:124, 40:104]
    y, x = np.mgrid[0:64, 0:64]
    at = np.stack([x.ravel(), y.ravel()], 1) @ linear.T
    at -= at.min(0)
    gray[221 + at[:, 1], 253 + at[:, 0]] = patch.ravel()
    found = field_exact.hypotheses(figure(gray))[0]
    corners = np.array([[45, 65], [99, 65], [99, 119], [45, 119]])
    right = (corners - [40, 60]) @ linear.T
    right += [253, 221] - (np.array([[0, 0], [63, 0], [63, 63], [0, 63]]) @ linear.T).min(0)
    there = corners @ found.matrix[:, :2].T + found.matrix[:, 2]
    back = right @ found.matrix[:, :2].T + found.matrix[:, 2]
    assert np.allclose(there, right) or np.allclose(back, corners)


def test_exact_copies_in_flat_colour_are_not_copies() -> None:
    gray = np.full((200, 200), 250, np.uint8)
    gray[20:60, 20:60] = gray[120:160, 90:130] = 10
    assert field_exact.hypotheses(figure(gray)) == []


def test_a_periodic_pattern_is_not_a_lossless_copy() -> None:
    tile = np.random.default_rng(0).integers(0, 256, (16, 16)).astype(np.uint8)
    assert field_exact.hypotheses(figure(np.tile(tile, (12, 12)))) == []


def test_what_is_ignored_takes_no_part() -> None:
    shown = figure(copied(background(4)))
    ignored = shown.ignored.copy()
    ignored[60:130, 40:110] = True
    assert correlation.hypotheses(Figure(shown.pixels, shown.gray, ignored, shown.panels)) == []


def test_output_is_deterministic() -> None:
    shown = figure(jpeg(copied(background(5)), 85))
    once, again = correlation.hypotheses(shown), correlation.hypotheses(shown)
    assert [(h.matrix.tobytes(), h.first.tobytes()) for h in once] == [
        (h.matrix.tobytes(), h.first.tobytes()) for h in again
    ]


@pytest.mark.parametrize("size", [(1, 1), (9, 300), (40, 40)])
def test_small_and_flat_images_give_nothing(size: tuple[int, int]) -> None:
    assert correlation.hypotheses(figure(np.full(size, 90, np.uint8))) == []
