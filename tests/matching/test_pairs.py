"""The twin finder's types: pairs that share a region are one instance, and a motion is put into the right words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgery_rcnn import rle
from forgery_rcnn.matching.pairs import Figure, Finding, Pair, gray_of, inverse, parts_of, shares

SIZE = (60, 90)
Box = tuple[int, int, int, int]
A, B, C, D = (0, 0, 10, 10), (20, 0, 30, 10), (40, 5, 50, 15), (60, 30, 70, 40)


def region(box: Box) -> rle.Runs:
    """x0 y0 x1 y1 -> Runs."""
    mask = np.zeros(SIZE, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return rle.runs_of(mask)


def pair(first: Box, second: Box, score: float = 0.5) -> Pair:
    shift = np.array([[1.0, 0, second[0] - first[0]], [0, 1, second[1] - first[1]]])
    return Pair(region(first), region(second), shift, 9, 0.9, 0.001, score, "undecided", "keypoints", False)


def finding(*pairs: Pair) -> Finding:
    pixels = np.zeros((*SIZE, 3), np.uint8)
    panels = np.array([[0, 0, SIZE[1], SIZE[0]]])
    return Finding(Figure(pixels, gray_of(pixels), np.zeros(SIZE, bool), panels), pairs)


def union(*boxes: Box) -> rle.Runs:
    return rle.joined(np.concatenate([region(box) for box in boxes]))


def built(turn: float, scale: float, flip: bool) -> np.ndarray:
    """(2, 2): mirrored left to right first, then turned anticlockwise as seen (y down), then scaled."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    return scale * np.array([[c, s], [-s, c]]) @ np.diag([-1.0 if flip else 1.0, 1.0])


def test_three_copies_in_a_chain_are_one_instance() -> None:
    found = finding(pair(A, B, 0.9), pair(B, C, 0.6))
    assert found.groups() == [[0, 1]]
    instances, scores = found.instances()
    assert instances.size == SIZE
    assert [runs.tolist() for runs in instances.runs] == [union(A, B, C).tolist()]
    assert scores.dtype == np.float32
    assert scores.tolist() == pytest.approx([0.9])


def test_the_score_of_an_instance_is_its_best_pair_wherever_that_stands() -> None:
    _, scores = finding(pair(A, B, 0.2), pair(B, C, 0.7), pair(A, C, 0.4)).instances()
    assert scores.tolist() == pytest.approx([0.7])


def test_separate_pairs_are_separate_instances_in_the_order_of_their_best() -> None:
    found = finding(pair(A, B, 0.9), pair(C, D, 0.6))
    assert found.groups() == [[0], [1]]
    instances, scores = found.instances()
    assert [runs.tolist() for runs in instances.runs] == [union(A, B).tolist(), union(C, D).tolist()]
    assert scores.tolist() == pytest.approx([0.9, 0.6])


def test_a_pair_that_links_two_groups_makes_them_one() -> None:
    """And the group with the best pair comes first, however late it was completed."""
    alone = pair((0, 40, 10, 50), (30, 45, 40, 55))
    assert finding(pair(A, B), alone, pair(C, D), pair(B, C)).groups() == [[0, 2, 3], [1]]


def test_nothing_found_is_no_instance() -> None:
    found = finding()
    assert found.groups() == []
    instances, scores = found.instances()
    assert len(instances.runs) == 0 and instances.size == SIZE
    assert scores.shape == (0,) and scores.dtype == np.float32


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((5, 5, 15, 15), True),  # 25 of 100 pixels
        ((6, 5, 16, 15), False),  # 20
        ((10, 0, 20, 10), False),  # they touch
        ((2, 2, 6, 6), True),  # a small one inside
        ((8, 8, 12, 12), True),  # 4 of the smaller's 16
        ((9, 8, 13, 12), False),  # 2 of 16
    ],
)
def test_two_regions_share_from_a_quarter_of_the_smaller_one_on(other: Box, expected: bool) -> None:
    assert shares(region((0, 0, 10, 10)), region(other)) is expected
    assert shares(region(other), region((0, 0, 10, 10))) is expected


EIGHT = [(turn, flip) for flip in (False, True) for turn in (-90.0, 0.0, 90.0, 180.0)]


@pytest.mark.parametrize(("turn", "flip"), EIGHT)
def test_the_eight_symmetries_are_named_as_they_are_seen(turn: float, flip: bool) -> None:
    """Held against NumPy's own turning (anticlockwise as seen) and mirroring of a picture."""
    picture = np.arange(30).reshape(5, 6)
    seen = np.rot90(picture[:, ::-1] if flip else picture, round(turn / 90))
    linear = np.round(built(turn, 1.0, flip))
    y, x = np.mgrid[:5, :6]
    at = linear @ np.stack([x.ravel(), y.ravel()])
    column, row = (at - at.min(axis=1, keepdims=True)).astype(int)
    assert np.array_equal(seen[row, column], picture.ravel())
    parts = parts_of(np.column_stack([linear, [3.0, -4.0]]))
    assert parts.scale == pytest.approx(1)
    assert parts.mirrored is flip
    assert abs(parts.turn) == 180 if turn == 180 else parts.turn == turn


similar = {
    "turn": st.floats(-179.9, 179.9),
    "scale": st.floats(0.2, 5),
    "flip": st.booleans(),
    "shift": st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
}


@given(**similar)
def test_a_similarity_gives_its_parts_back(turn: float, scale: float, flip: bool, shift: tuple[float, float]) -> None:
    matrix = np.column_stack([built(turn, scale, flip), shift])
    parts = parts_of(matrix)
    assert parts.turn == pytest.approx(turn, abs=1e-6)
    assert parts.scale == pytest.approx(scale)
    assert parts.mirrored is flip
    assert -180 <= parts.turn <= 180


@given(**similar)
def test_the_inverse_leads_back(turn: float, scale: float, flip: bool, shift: tuple[float, float]) -> None:
    matrix = np.column_stack([built(turn, scale, flip), shift])
    back = inverse(matrix)
    assert back.shape == (2, 3) and back.dtype == np.float64
    points = np.array([[0.0, 0], [100, 0], [-30, 70]])
    there = points @ matrix[:, :2].T + matrix[:, 2]
    assert np.allclose(there @ back[:, :2].T + back[:, 2], points, atol=1e-6)
    parts = parts_of(back)
    assert parts.scale == pytest.approx(1 / scale)
    assert parts.mirrored is flip
    assert parts.turn == pytest.approx(turn if flip else -turn, abs=1e-6)  # turned after mirroring, both ways


def test_a_motion_of_no_turn_is_not_turned_by_minus_zero() -> None:
    assert str(parts_of(np.array([[1.0, -0.0, 0], [-0.0, 1, 0]])).turn) == "0.0"


def test_gray_is_the_luma_and_a_figure_knows_its_size() -> None:
    pixels = np.zeros((1, 4, 3), np.uint8)
    pixels[0, 0], pixels[0, 1], pixels[0, 2], pixels[0, 3] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
    gray = gray_of(pixels)
    assert gray.dtype == np.float32
    assert np.allclose(gray, [[76, 150, 29, 255]], atol=1)
    assert Figure(pixels, gray, gray > 300, np.array([[0, 0, 4, 1]])).size == (1, 4)
    assert np.array_equal(gray_of(np.full((5, 7, 3), 90, np.uint8)[:, ::-1]), np.full((5, 7), 90, np.float32))
