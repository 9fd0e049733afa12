"""Motions: planted copies are recovered, each once, whatever their turn, scale and mirror; unlike keypoints give none."""

from __future__ import annotations

import numpy as np
import pytest

from forgery_rcnn.matching import keypoints, motions
from forgery_rcnn.matching.keypoints import Keypoints
from forgery_rcnn.matching.pairs import Hypothesis, inverse

NONE = Keypoints(np.zeros((0, 2), np.float32), *np.zeros((2, 0), np.float32), np.zeros((0, 128), np.float32))


def scattered(count: int, box: tuple[float, float, float, float], seed: int) -> Keypoints:
    """Unlike keypoints in a box x0 y0 x1 y1."""
    rng = np.random.default_rng(seed)
    descriptors = rng.gamma(0.5, 1.0, (count, 128)).astype(np.float32)
    return Keypoints(
        rng.uniform(box[:2], box[2:], (count, 2)).astype(np.float32),
        rng.uniform(4, 9, count).astype(np.float32),
        rng.uniform(0, 360, count).astype(np.float32),
        np.sqrt(descriptors / descriptors.sum(axis=1, keepdims=True)),
    )


def motion(turn: float, scale: float, sign: int, shift: tuple[float, float]) -> np.ndarray:
    """-> (2, 3); turn in degrees, x towards y; sign -1 exchanges left and right first."""
    cos, sin = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    return np.column_stack([np.array([[cos, -sin], [sin, cos]]) @ np.diag([sign, 1.0]), shift])


def carried(points: Keypoints, matrix: np.ndarray, error: float) -> Keypoints:
    """What the keypoints are in the copy, seen with an error of so many pixels."""
    rng = np.random.default_rng(9)
    linear = matrix[:, :2]
    along = np.stack([np.cos(np.radians(points.angle)), np.sin(np.radians(points.angle))]) * 1.0
    turned = linear @ along
    mirror = np.linalg.det(linear) < 0
    noisy = (keypoints.mirrored(points.descriptors) if mirror else points.descriptors) + rng.normal(
        0, 0.01, (len(points), 128)
    )
    noisy = np.maximum(noisy, 0)
    return Keypoints(
        np.float32(motions.moved(matrix, points.xy) + rng.normal(0, error, (len(points), 2))),
        np.float32(points.scale * np.sqrt(abs(np.linalg.det(linear)))),
        np.float32(np.degrees(np.arctan2(turned[1], turned[0])) % 360),
        np.float32(noisy / np.linalg.norm(noisy, axis=1, keepdims=True)),
    )


def joined(*parts: Keypoints) -> Keypoints:
    return Keypoints(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("xy", "scale", "angle", "descriptors"))
    )


def follows(found: Hypothesis, matrix: np.ndarray, points: np.ndarray) -> bool:
    """Whether it carries the points as the matrix does, or back."""
    there = motions.moved(matrix, points)
    off = (motions.moved(m, points) - there for m in (found.matrix, inverse(found.matrix)))
    return min(float(np.abs(error).max()) for error in off) < 2


@pytest.mark.parametrize(
    ("turn", "scale", "sign"),
    [(0, 1, 1), (75, 1, 1), (-160, 1, 1), (0, 1.4, 1), (20, 0.7, 1), (0, 1, -1), (50, 1, -1), (-120, 1.3, -1)],
)
def test_a_planted_motion_is_found_once_and_exactly(turn: float, scale: float, sign: int) -> None:
    source, matrix = scattered(30, (50, 50, 150, 140), 0), motion(turn, scale, sign, (500, 300))
    found = motions.hypotheses(joined(source, carried(source, matrix, 0.3), scattered(300, (0, 0, 700, 600), 1)))
    assert len(found) == 1
    assert follows(found[0], matrix, source.xy)
    assert found[0].found_by == "keypoints"
    assert len(found[0].first) == len(found[0].second) >= 25
    assert np.abs(motions.moved(found[0].matrix, found[0].first) - found[0].second).max() < motions.CLOSE


def test_a_motion_by_whole_pixels_is_exact_and_another_is_left() -> None:
    source = scattered(40, (50, 50, 150, 140), 0)
    for matrix, exact in ((motion(90, 1, 1, (500, 300)), True), (motion(0, 1, 1, (500.5, 300.5)), False)):
        found = motions.hypotheses(joined(source, carried(source, matrix, 0.2)))
        assert len(found) == 1
        assert (min(np.abs(m - matrix).max() for m in (found[0].matrix, inverse(found[0].matrix))) < 1e-9) == exact
        assert follows(found[0], matrix, source.xy)


def test_several_motions_in_one_image_the_one_with_most_matches_first() -> None:
    large, small = scattered(40, (20, 20, 150, 140), 2), scattered(15, (20, 300, 120, 400), 3)
    plants = [(large, motion(30, 1.1, 1, (500, 100))), (small, motion(0, 1, -1, (640, 40)))]
    found = motions.hypotheses(joined(*(part for s, m in plants for part in (s, carried(s, m, 0.3)))))
    assert len(found) == 2
    assert all(follows(one, matrix, source.xy) for one, (source, matrix) in zip(found, plants, strict=True))


def test_a_region_copied_twice_gives_every_pair_of_its_places() -> None:
    source = scattered(25, (20, 20, 120, 120), 4)
    shifts = [motion(0, 1, 1, at) for at in ((300, 10), (40, 330))]
    found = motions.hypotheses(joined(source, *(carried(source, matrix, 0.2) for matrix in shifts)))
    assert len(found) == 3
    assert all(any(follows(one, matrix, source.xy) for one in found) for matrix in shifts)


def test_three_places_are_enough_where_they_fit_tightly() -> None:
    source, matrix = scattered(3, (50, 50, 80, 80), 5), motion(10, 1, 1, (300, 200))
    source = Keypoints(np.float32([[50, 50], [75, 55], [60, 78]]), source.scale, source.angle, source.descriptors)
    around = scattered(100, (0, 0, 500, 400), 6)
    exact = motions.hypotheses(joined(source, carried(source, matrix, 0.0), around))
    assert len(exact) == 1 and follows(exact[0], matrix, source.xy)
    bent = carried(source, matrix, 0.0)
    bent.xy[2] += [5, 5]
    assert motions.hypotheses(joined(source, bent, around)) == []


def test_two_places_are_not() -> None:
    source = scattered(2, (50, 50, 90, 90), 7)
    assert motions.hypotheses(joined(source, carried(source, motion(0, 1, 1, (300, 200)), 0.0))) == []


def test_what_lies_on_itself_is_no_copy() -> None:
    source = scattered(40, (50, 50, 150, 140), 8)
    assert motions.hypotheses(joined(source, carried(source, motion(0, 1, 1, (6, 6)), 0.1))) == []


@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_what_is_much_larger_is_no_copy(scale: float) -> None:
    source = scattered(40, (50, 50, 150, 140), 8)
    assert motions.hypotheses(joined(source, carried(source, motion(0, scale, 1, (400, 300)), 0.1))) == []


@pytest.mark.parametrize("count", [1, 5, 700, 1500])
def test_unlike_keypoints_give_none(count: int) -> None:
    assert motions.hypotheses(scattered(count, (0, 0, 900, 700), 10)) == []


def test_no_keypoints_give_none() -> None:
    assert motions.hypotheses(NONE) == []


def test_matches_do_not_depend_on_how_many_are_compared_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    source = scattered(60, (0, 0, 200, 200), 11)
    points = joined(source, carried(source, motion(20, 1, 1, (400, 100)), 0.2))
    whole = motions._matches(points, 1)
    monkeypatch.setattr(motions, "BLOCK", 61)
    parts = motions._matches(points, 1)
    assert len(whole) == 120
    assert (whole.first == parts.first).all() and (whole.second == parts.second).all()


def test_output_is_deterministic() -> None:
    source = scattered(30, (50, 50, 150, 140), 12)
    points = joined(source, carried(source, motion(33, 1.2, -1, (500, 300)), 0.5), scattered(200, (0, 0, 700, 600), 13))
    once, again = motions.hypotheses(points), motions.hypotheses(points)
    assert [(h.matrix.tobytes(), h.first.tobytes()) for h in once] == [
        (h.matrix.tobytes(), h.first.tobytes()) for h in again
    ]
