"""Motions put every pixel where their matrix says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgery_rcnn.data.forge import motions, regions
from forgery_rcnn.data.forge.motions import Motion

BLOB = regions.filled(np.array([[[40, 30]], [[75, 35]], [[80, 60]], [[50, 72]]], np.int32))


def smooth(seed: int = 0, size: tuple[int, int] = (140, 180)) -> np.ndarray:
    """(H, W, 3) uint8 that interpolation hardly changes."""
    coarse = np.random.default_rng(seed).integers(20, 235, (size[0] // 12, size[1] // 12, 3)).astype(np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 10**6), st.integers(-20, 20), st.integers(-20, 20))
def test_content_is_what_the_matrix_says(seed: int, down: int, across: int) -> None:
    """Of every target pixel, the source pixel found through the inverse matrix has the same colour."""
    canvas = smooth(seed % 7)
    matrix, _ = motions.linear(BLOB, np.random.default_rng(seed))
    moving = motions.motion(BLOB, matrix)
    moving = motions.shifted(moving, moving.region.y + down, moving.region.x + across)
    brought = motions.content(canvas, moving)
    rows, columns = np.nonzero(moving.region.mask)
    target = np.stack([columns + moving.region.x, rows + moving.region.y])
    source = np.linalg.solve(moving.matrix[:, :2], target - moving.matrix[:, 2:])
    wanted = cv2.remap(canvas, source[0].astype(np.float32)[None], source[1].astype(np.float32)[None], cv2.INTER_LINEAR)
    error = np.abs(brought[rows, columns].astype(int) - wanted[0])
    assert error.mean() < 1.5 and np.quantile(error, 0.99) <= 8


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6))
def test_a_moved_region_is_the_source_turned_and_scaled(seed: int) -> None:
    matrix, parameters = motions.linear(BLOB, np.random.default_rng(seed))
    moved = motions.motion(BLOB, matrix).region
    scaling = parameters["scale"] ** 2
    assert moved.area == pytest.approx(BLOB.area * scaling, rel=0.05)
    assert np.linalg.det(matrix) == pytest.approx(-scaling if parameters["mirrored"] else scaling, rel=1e-3)


@pytest.mark.parametrize(
    "matrix", [np.eye(2), [[-1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [1, 0]]]
)
def test_shifts_mirrors_and_quarter_turns_are_exact(matrix: object) -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (140, 180, 3)).astype(np.uint8)
    moving = motions.motion(BLOB, np.array(matrix, float))
    brought = motions.content(canvas, moving)
    assert sorted(map(tuple, brought[moving.region.mask])) == sorted(map(tuple, BLOB.window(canvas)[BLOB.mask]))


def test_rectangles_stay_upright() -> None:
    box = regions.rectangle(10, 20, 60, 50)
    for seed in range(60):
        matrix, _ = motions.linear(box, np.random.default_rng(seed))
        assert np.array_equal(np.abs(matrix), np.eye(2))


def test_all_kinds_of_motion_occur() -> None:
    drawn = [motions.linear(BLOB, np.random.default_rng(seed)) for seed in range(300)]
    assert 0.3 < np.mean([np.array_equal(matrix, np.eye(2)) for matrix, _ in drawn]) < 0.5
    assert {round(p["turn_degrees"] % 360) for _, p in drawn} >= {0, 90, 180, 270}
    assert np.mean([p["mirrored"] for _, p in drawn]) > 0.15
    scales = [p["scale"] for _, p in drawn]
    assert 0.7 <= min(scales) < 0.8 and 1.25 < max(scales) <= 1.4


def test_a_shift_moves_target_and_matrix_together() -> None:
    moving = motions.motion(BLOB, np.eye(2))
    moved = motions.shifted(moving, BLOB.y + 5, BLOB.x - 7)
    assert (
        isinstance(moved, Motion) and moved.matrix[:, 2].tolist() == [-7, 5] and moving.matrix[:, 2].tolist() == [0, 0]
    )
