"""Two panels of two files as one figure: there and back again, and which side is which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from forgery_rcnn import rle
from forgery_rcnn.matching import between, finder
from forgery_rcnn.matching.library import Candidate
from forgery_rcnn.matching.pairs import Figure, Finding, Hypothesis, Pair, gray_of, inverse
from forgery_rcnn.matching_config import MatchingConfig
from tests.matching.planted import noise_texture

BOXES = np.array([[10, 20, 70, 60], [5, 0, 85, 50]])
SIZES = (80, 90), (50, 100)


def figure(size: tuple[int, int], seed: int) -> Figure:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return Figure(pixels, gray_of(pixels), np.zeros(size, bool), np.array([[0, 0, size[1], size[0]]]))


@pytest.fixture
def canvas() -> between.Canvas:
    return between.joined((figure(SIZES[0], 0), figure(SIZES[1], 1)), BOXES)


def candidate(matrix: np.ndarray) -> Candidate:
    return Candidate(0, 1, matrix, np.float32([[20, 30]]), np.float32([[30, 10]]), 4.0)


def region(box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    x0, y0, x1, y1 = box
    return rle.runs_of(np.ones((y1 - y0, x1 - x0), bool), size, (x0, y0))


def pair_on(canvas: between.Canvas, first: tuple[int, ...], second: tuple[int, ...], chance: float = 1e-9) -> Pair:
    """Boxes on the canvas, a shift between them."""
    size = canvas.figure.size
    matrix = np.array([[1.0, 0, second[0] - first[0]], [0, 1, second[1] - first[1]]])
    return Pair(
        region(first, size), region(second, size), matrix, 9, 0.9, chance, 0.9, "first", "keypoints", True
    )  # fmt: skip


def says(*pairs: Pair) -> between.Verifier:
    def verifier(figure: Figure, hypotheses: Sequence[Hypothesis], config: MatchingConfig) -> Finding:
        assert hypotheses and hypotheses[-1].matrix.shape == (2, 3)
        return Finding(figure, pairs)

    return verifier


def test_the_canvas_holds_both_panels_apart(canvas: between.Canvas) -> None:
    assert canvas.figure.size == (50, 60 + between.GAP + 80)
    assert np.array_equal(canvas.figure.pixels[:40, :60], figure(SIZES[0], 0).pixels[20:60, 10:70])
    assert np.array_equal(canvas.figure.pixels[:50, 76:], figure(SIZES[1], 1).pixels[0:50, 5:85])
    assert canvas.figure.ignored[:, 60:76].all() and canvas.figure.ignored[40:, :60].all()
    assert not canvas.figure.ignored[:40, :60].any() and not canvas.figure.ignored[:, 76:].any()
    assert canvas.figure.panels.tolist() == [[0, 0, 60, 40], [76, 0, 156, 50]]


def test_a_motion_goes_to_the_canvas_and_back(canvas: between.Canvas) -> None:
    matrix = np.array([[0.0, -1.2, 90], [1.1, 0.1, -12]])
    there = between.to_canvas(canvas, matrix)
    assert np.allclose(between.from_canvas(canvas, there), matrix)
    in_first, in_second = np.array([33.0, 41]), matrix @ [33.0, 41, 1]
    assert np.allclose(there @ [33 - 10, 41 - 20, 1], in_second - [5, 0] + [76, 0])
    assert (in_first + canvas.at[0]).tolist() == [23, 21]


@pytest.mark.parametrize("order", ["as given", "swapped"])
def test_a_pair_is_told_in_the_pixels_of_its_files(canvas: between.Canvas, order: str) -> None:
    boxes = (4, 6, 24, 26), (100, 10, 120, 30)
    pair = pair_on(canvas, *(boxes if order == "as given" else boxes[::-1]))
    (found,) = between.verified(canvas, candidate(np.eye(2, 3)), MatchingConfig(), says(pair)).pairs
    assert np.array_equal(found.first, region((14, 26, 34, 46), SIZES[0]))
    assert np.array_equal(found.second, region((29, 10, 49, 30), SIZES[1]))
    assert np.allclose(found.matrix, [[1, 0, 15], [0, 1, -16]])
    assert found.original == ("first" if order == "as given" else "second")
    assert np.allclose(inverse(inverse(found.matrix)), found.matrix)


def test_what_lies_in_one_file_is_not_told_here(canvas: between.Canvas) -> None:
    pair = pair_on(canvas, (2, 2, 12, 12), (30, 12, 40, 22))
    assert between.verified(canvas, candidate(np.eye(2, 3)), MatchingConfig(), says(pair)).pairs == []


def test_chance_grows_with_what_was_looked_at(canvas: between.Canvas) -> None:
    pair = pair_on(canvas, (4, 6, 24, 26), (100, 10, 120, 30), chance=1e-4)
    (found,) = between.verified(canvas, candidate(np.eye(2, 3)), MatchingConfig(), says(pair), 50).pairs
    assert found.chance == pytest.approx(5e-3)
    assert between.verified(canvas, candidate(np.eye(2, 3)), MatchingConfig(), says(pair), 500).pairs == []


def test_specks_that_stay_in_place_are_the_cameras() -> None:
    """The same motion with a tenth of the panel is a picture shown twice."""
    twins = between.joined((figure((100, 120), 0), figure((100, 120), 1)), np.array([[0, 0, 120, 100]] * 2))
    right = 120 + between.GAP
    for box, count in (((10, 10, 30, 30), 0), ((10, 10, 70, 80), 1)):
        pair = pair_on(twins, box, (box[0] + right, box[1], box[2] + right, box[3]))
        assert len(between.verified(twins, candidate(np.eye(2, 3)), MatchingConfig(), says(pair)).pairs) == count
    moved = pair_on(twins, (10, 10, 30, 30), (60 + right, 50, 80 + right, 70))
    assert len(between.verified(twins, candidate(np.eye(2, 3)), MatchingConfig(), says(moved)).pairs) == 1


@pytest.mark.parametrize("side", [236, 240])
def test_one_picture_in_two_files_is_the_same_pixel_for_pixel(side: int) -> None:
    """However far from each other the two are laid side by side: they were not compressed together."""
    one = finder.seen(noise_texture(1.5, 2, side))
    canvas = between.joined((one, one), np.array([[0, 0, side, side]] * 2))
    places = np.argwhere(np.ones((side // 20, side // 20), bool))[:, ::-1] * 20.0 + 5
    same = Candidate(0, 1, np.eye(2, 3), np.float32(places), np.float32(places), 9.0)
    found = between.verified(canvas, same, MatchingConfig(), finder.verified).pairs
    assert [pair.told_by for pair in found] == ["pixels"]
