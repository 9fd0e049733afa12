"""Panels: gutters, lines and seams part them; cells, bands and a plain page do not."""

import cv2
import numpy as np
import pytest

from forgery_rcnn.errors import InputError
from forgery_rcnn.matching import panels


def picture(size: tuple[int, int], seed: int) -> np.ndarray:
    """(h, w) -> (h, w, 3) uint8, a texture that reaches its border at every level."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(40, 200, (7, 8)).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.normal(0, 25, size).astype(np.float32), (0, 0), 1.0)
    return np.repeat(np.clip(coarse + 2 * grain, 5, 235).astype(np.uint8)[..., None], 3, axis=2)


def grid(gap: int, colour: int, rows: int = 2, columns: int = 3, side: int = 120) -> tuple[np.ndarray, np.ndarray]:
    height, width = rows * (side + gap) - gap, columns * (side + gap) - gap
    page, boxes = np.full((height, width, 3), colour, np.uint8), []
    for number in range(rows * columns):
        y, x = number // columns * (side + gap), number % columns * (side + gap)
        page[y : y + side, x : x + side] = picture((side, side), number)
        boxes.append((x, y, x + side, y + side))
    return page, np.array(boxes)


def cells(seed: int, count: int = 12) -> np.ndarray:
    """(240, 320, 3) uint8: soft bright discs on black noise, in rows as on a plate."""
    rng = np.random.default_rng(seed)
    field = np.full((240, 320), 8, np.float32)
    for number in range(count):
        centre = (40 + 80 * (number % 4) + int(rng.integers(-9, 9)), 40 + 80 * (number // 4))
        cv2.circle(field, centre, int(rng.integers(14, 24)), float(rng.uniform(80, 170)), -1)
    field = cv2.GaussianBlur(field, (0, 0), 2.0) + rng.normal(0, 2, field.shape)
    return np.repeat(np.clip(field, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("gap", "colour"), [(1, 255), (2, 255), (3, 255), (8, 255), (2, 0), (8, 0), (6, 127), (10, 230)]
)
def test_grid(gap: int, colour: int) -> None:
    page, boxes = grid(gap, colour)
    found = panels.split(page)
    assert found.dtype == np.int64
    assert len(found) == len(boxes)
    assert np.abs(found - boxes).max() <= 2


@pytest.mark.parametrize("gap", [2, 8])
def test_grid_after_jpeg(gap: int) -> None:
    page, boxes = grid(gap, 255)
    found = panels.split(cv2.imdecode(cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_COLOR))
    assert len(found) == len(boxes)
    assert np.abs(found - boxes).max() <= 3


def test_pictures_that_touch() -> None:
    first, second = (cv2.GaussianBlur(picture((150, 160), seed), (0, 0), 2.0) // 2 for seed in (1, 2))
    page = np.hstack([first[:, :140], second + 100])
    found = panels.split(page)
    assert len(found) == 2
    assert np.abs(found - [[0, 0, 140, 150], [140, 0, 300, 150]]).max() <= 1


def test_rows_of_different_counts_with_letters_above() -> None:
    page = np.full((330, 400, 3), 255, np.uint8)
    boxes = [(10, 30, 390, 150), (10, 190, 195, 320), (205, 190, 390, 320)]
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        page[y0:y1, x0:x1] = picture((y1 - y0, x1 - x0), number)
        cv2.putText(page, "ABC"[number], (x0, y0 - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 2)
    found = panels.split(page)
    assert len(found) == 3
    assert np.abs(found - boxes).max() <= 2


@pytest.mark.parametrize("seed", range(4))
def test_cells_on_black_are_one_picture(seed: int) -> None:
    assert panels.split(cells(seed)).tolist() == [[0, 0, 320, 240]]


def test_bands_on_white_are_one_picture() -> None:
    blot = np.full((160, 400), 250, np.float32)
    for lane in range(8):
        for row in (40, 110):
            cv2.ellipse(blot, (30 + 48 * lane, row), (18, 5), 0, 0, 360, 40.0 + 20 * (lane % 3), -1)
    blot = cv2.GaussianBlur(blot, (0, 0), 3.0) + np.random.default_rng(0).normal(0, 1, blot.shape)
    page = np.repeat(np.clip(blot, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    assert panels.split(page).tolist() == [[0, 0, 400, 160]]


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (40, 40), (200, 3)])
def test_blank_pages_are_one_panel(size: tuple[int, int]) -> None:
    for level in (0, 128, 255):
        assert panels.split(np.full((*size, 3), level, np.uint8)).tolist() == [[0, 0, size[1], size[0]]]


def test_panels_lie_apart_and_inside() -> None:
    for gap in (0, 1, 5):
        page, _ = grid(gap, 255, 3, 3, 90)
        found, count = panels.split(page), np.zeros(page.shape[:2], int)
        for x0, y0, x1, y1 in found.tolist():
            assert 0 <= x0 < x1 <= page.shape[1] and 0 <= y0 < y1 <= page.shape[0]
            count[y0:y1, x0:x1] += 1
        assert count.max() == 1


def test_grey_array_is_refused() -> None:
    with pytest.raises(InputError, match="RGB"):
        panels.split(np.zeros((10, 10), np.uint8))
