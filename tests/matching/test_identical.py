"""Copies that no pixel of was changed: told at a few hundred pixels, and never from ground, ramps, letters or JPEG's blocks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forgery_rcnn import rle
from forgery_rcnn.matching import finder, identical, judge
from forgery_rcnn.matching.pairs import Figure, Hypothesis, Pair, gray_of
from forgery_rcnn.matching_config import MatchingConfig
from tests.matching.planted import noise_texture

SIDE, SMALL = 200, 18
FROM, TO = (30, 40), (121, 133)  # x y of the corners
TURNS = {
    "shifted": ((1, 0), (0, 1)),
    "mirrored": ((-1, 0), (0, 1)),
    "turned by a quarter": ((0, -1), (1, 0)),
    "turned by a half": ((-1, 0), (0, -1)),
}


def figure_of(pixels: np.ndarray) -> Figure:
    height, width = pixels.shape[:2]
    return Figure(pixels, gray_of(pixels), np.zeros((height, width), bool), np.array([[0, 0, width, height]]))


def copied(linear: tuple[tuple[int, int], ...], to: tuple[int, int] = TO, seed: int = 0) -> tuple[Figure, Hypothesis]:
    """Smooth noise with grain, 18 x 18 pixels of it once more -> the figure, and the motion with seeds inside."""
    pixels = noise_texture(3, seed, SIDE)
    x, y = FROM
    cut = np.stack(np.mgrid[:SMALL, :SMALL][::-1], axis=-1).reshape(-1, 2)
    matrix = np.column_stack([linear, (0, 0)]).astype(float)
    moved = (cut + FROM) @ matrix[:, :2].T
    matrix[:, 2] = np.array(to) - moved.min(axis=0)
    at = (moved + matrix[:, 2]).astype(int)
    pixels[at[:, 1], at[:, 0]] = pixels[cut[:, 1] + y, cut[:, 0] + x]
    seeds = np.float32([[x + 4, y + 5], [x + 9, y + 9], [x + 13, y + 6]])
    return figure_of(pixels), Hypothesis(matrix, seeds, np.float32(seeds @ matrix[:, :2].T + matrix[:, 2]), "keypoints")


def found(figure: Figure, hypothesis: Hypothesis, drawn: np.ndarray | None = None) -> identical.Same | None:
    return identical.found(figure, np.zeros(figure.size, bool) if drawn is None else drawn, hypothesis)


@pytest.mark.parametrize("linear", TURNS.values(), ids=TURNS)
def test_the_region_is_what_was_copied(linear: tuple[tuple[int, int], ...]) -> None:
    same = found(*copied(linear))
    assert same is not None and same.chance < 1e-100
    mask, (left, top) = same.grown.mask, same.grown.corner
    rows, columns = np.nonzero(mask)
    frame = columns.min() + left, rows.min() + top, columns.max() + left, rows.max() + top
    assert np.abs(np.subtract(frame, (*FROM, FROM[0] + SMALL - 1, FROM[1] + SMALL - 1))).max() <= 1
    assert mask.sum() > 0.9 * SMALL**2


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_a_region_beyond_the_widest_window_is_what_was_seen_of_it(
    monkeypatch: pytest.MonkeyPatch, attempts: int
) -> None:
    pixels = np.tile(noise_texture(3, 0, SIDE), (1, 2, 1))
    pixels[:, SIDE : SIDE + 3] += 1
    seeds = np.float32([[20, 20], [24, 22], [22, 26]])
    motion = np.array([[1.0, 0, SIDE], [0, 1, 0]])
    monkeypatch.setattr(identical, "_keeps_blocks", lambda _: False)
    monkeypatch.setattr(identical.regions, "ATTEMPTS", attempts)
    same = found(figure_of(pixels), Hypothesis(motion, seeds, seeds + np.float32([SIDE, 0]), "keypoints"))
    assert same is not None and same.grown.mask.shape == same.grown.agreement.detail.shape
    assert same.grown.mask.sum() > {1: 3_000, 2: 10_000, 4: 38_000}[attempts]


def test_it_is_found_and_sure_where_correlation_says_nothing() -> None:
    """324 pixels of 40,000."""
    figure, _ = copied(TURNS["shifted"])
    pairs = finder.find(figure.pixels, MatchingConfig()).pairs
    assert [pair.score for pair in pairs] == [judge.IDENTICAL]
    first, second = (rle.mask_of(side, figure.size) for side in (pairs[0].first, pairs[0].second))
    corners = sorted((int(np.nonzero(m)[1].min()), int(np.nonzero(m)[0].min())) for m in (first, second))
    assert np.abs(np.subtract(corners, [FROM, TO])).max() <= 1


def test_one_level_more_on_every_other_pixel_is_not_the_same() -> None:
    figure, hypothesis = copied(TURNS["shifted"])
    u, v = TO
    figure.pixels[v : v + SMALL : 2, u : u + SMALL] += 1
    assert found(figure, hypothesis) is None


def test_a_motion_between_pixels_is_left_to_correlation() -> None:
    figure, hypothesis = copied(TURNS["shifted"])
    turned = cv2.getRotationMatrix2D((0, 0), 5, 1) + [[0, 0, 91], [0, 0, 93]]
    assert found(figure, Hypothesis(turned, hypothesis.first, hypothesis.second, "field")) is None


def test_a_motion_seen_in_a_smaller_figure_is_settled_to_the_pixel() -> None:
    figure, hypothesis = copied(TURNS["mirrored"])
    off = hypothesis.matrix + [[0.004, -0.003, 1.4], [0.002, 0.005, -1.2]]
    same = found(figure, Hypothesis(off, hypothesis.first, hypothesis.second, "keypoints"))
    assert same is not None and np.array_equal(same.grown.matrix, hypothesis.matrix)


@pytest.mark.parametrize("off", [(88, 96), (-24, 72)], ids=str)
def test_blocks_on_blocks_say_nothing(off: tuple[int, int]) -> None:
    """What is alike becomes equal there once it was compressed; one pixel beside, it does not."""
    to = FROM[0] + off[0], FROM[1] + off[1]
    if min(to) < 0:
        to = FROM[0] + 96, to[1]
    assert found(*copied(TURNS["shifted"], to)) is None
    assert found(*copied(TURNS["shifted"], (to[0] + 1, to[1]))) is not None


def test_jpeg_makes_blocks_equal_that_were_alike() -> None:
    """The reason for it: two drawn letters, 96 pixels apart, in the same noise of two levels."""
    corner = np.array([[1.0, 0, 96], [0, 1, 0]])
    assert identical._keeps_blocks(corner)
    mirror = np.array([[-1.0, 0, 95], [0, 1, 0]])  # 0 -> 95, 7 -> 88: a block on a block
    assert identical._keeps_blocks(mirror)
    assert not identical._keeps_blocks(mirror + [[0, 0, 1], [0, 0, 0]])


def ground(kind: str) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    levels = {
        "flat": np.full((SIDE, SIDE), 90),
        "ramp": x // 2 + y // 3,
        "two levels": np.random.default_rng(0).integers(8, 10, (SIDE, SIDE)),
        "stripes": 60 + 80 * (x % 14 < 7),
    }[kind]
    return np.repeat(np.uint8(levels)[..., None], 3, axis=2)


@pytest.mark.parametrize("kind", ["flat", "ramp", "two levels", "stripes"])
def test_ground_is_equal_without_a_copy(kind: str) -> None:
    """A ramp is the same 42 pixels aside and 63 up, stripes 14 pixels aside."""
    pixels = ground(kind)
    offset = {"ramp": (42, -63), "stripes": (14, 5)}.get(kind, (43, 51))
    seeds = np.float32([[x, y] for x in range(20, 140, 12) for y in range(70, 140, 12)])
    matrix = np.array([[1.0, 0, offset[0]], [0, 1, offset[1]]])
    assert found(figure_of(pixels), Hypothesis(matrix, seeds, seeds + np.float32(offset), "keypoints")) is None


def test_letters_on_paper_are_left_to_correlation() -> None:
    pixels = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for x, y in ((20, 60), (91, 125)):
        cv2.putText(pixels, "GAPDH", (x, y), cv2.FONT_HERSHEY_DUPLEX, 0.7, (0, 0, 0), 1, cv2.LINE_AA)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 0.8)
    seeds = np.float32([[x, y] for x in range(22, 90, 6) for y in range(48, 60, 4)])
    matrix = np.array([[1.0, 0, 71], [0, 1, 65]])
    assert found(figure_of(pixels), Hypothesis(matrix, seeds, seeds + np.float32([71, 65]), "keypoints")) is None


def test_what_is_drawn_over_it_takes_no_part() -> None:
    figure, hypothesis = copied(TURNS["shifted"])
    drawn = np.zeros(figure.size, bool)
    drawn[FROM[1] : FROM[1] + 6, FROM[0] : FROM[0] + SMALL] = True
    same = found(figure, hypothesis, drawn)
    assert same is not None
    rows, columns = np.nonzero(same.grown.mask)
    assert not drawn[rows + same.grown.corner[1], columns + same.grown.corner[0]].any()


def test_the_judge_takes_it_and_its_excuses_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    figure, hypothesis = copied(TURNS["shifted"])
    drawn = np.zeros(figure.size, bool)
    pair = judge.judged(figure, drawn, hypothesis, MatchingConfig())
    assert (
        isinstance(pair, Pair) and pair.told_by == "pixels" and pair.score == judge.IDENTICAL and pair.chance < 1e-100
    )
    monkeypatch.setattr(judge.excuses, "of", lambda *_: "two channels of one field")
    assert judge.judged(figure, drawn, hypothesis, MatchingConfig()) == "two channels of one field"
