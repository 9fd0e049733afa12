"""Planted smooth copies are proposed by the dense field; moments tell turns and mirrors; nothing to see gives nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forgery_rcnn.matching import field, field_moments, field_refine, field_search
from forgery_rcnn.matching.pairs import Figure, inverse

FROM, TO = (80.0, 90.0), (220.0, 200.0)


def smooth(size: tuple[int, int], seed: int) -> np.ndarray:
    """(H, W) float32 in 0..255, soft clouds without a corner."""
    noise = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    cloud = cv2.GaussianBlur(noise, (0, 0), 6) * 300
    return np.clip(120 + cloud, 0, 255)


def figure(gray: np.ndarray) -> Figure:
    """(H, W) -> a figure of one panel, nothing ignored."""
    pixels = np.repeat(np.uint8(np.round(gray))[..., None], 3, 2)
    height, width = gray.shape
    return Figure(
        pixels, pixels[..., 0].astype(np.float32), np.zeros(gray.shape, bool), np.array([[0, 0, width, height]])
    )


def motion(turn: float, scale: float, mirror: int) -> np.ndarray:
    """-> (2, 3) motion that carries FROM to TO; mirror is 1 or -1."""
    t = np.radians(turn)
    linear = scale * np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]]) @ np.diag([mirror, 1.0])
    return np.column_stack([linear, np.array(TO) - linear @ np.array(FROM)])


def planted(gray: np.ndarray, matrix: np.ndarray, radius: float) -> np.ndarray:
    """-> the image with a disc about FROM pasted where the motion takes it."""
    height, width = gray.shape
    disc = cv2.circle(np.zeros(gray.shape, np.float32), (int(FROM[0]), int(FROM[1])), int(radius), 1.0, -1)
    moved = cv2.warpAffine(gray, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    alpha = cv2.GaussianBlur(cv2.warpAffine(disc, matrix, (width, height)), (0, 0), 1)
    return moved * alpha + gray * (1 - alpha)


def error(found: np.ndarray, matrix: np.ndarray, radius: float) -> float:
    """-> the largest distance, in pixels, over the disc's rim, between a motion and the planted one, either way round."""
    angle = np.linspace(0, 2 * np.pi, 16)
    rim = np.array(FROM) + radius * np.stack([np.cos(angle), np.sin(angle)], 1)
    right = rim @ matrix[:, :2].T + matrix[:, 2]
    return min(float(np.hypot(*(rim @ m[:, :2].T + m[:, 2] - right).T).max()) for m in (found, inverse(found)))


@pytest.mark.parametrize(
    ("turn", "scale", "mirror"),
    [
        (0, 1, 1),
        (37, 1, 1),
        (-110, 1, 1),
        (180, 1, 1),
        (0, 1, -1),
        (70, 1, -1),
        (10, 1.3, 1),
        (-20, 0.78, 1),
        (25, 1.2, -1),
    ],
)
def test_a_planted_smooth_copy_is_the_first_motion(turn: float, scale: float, mirror: int) -> None:
    matrix = motion(turn, scale, mirror)
    gray = planted(smooth((300, 320), 3), matrix, 45)
    gray += np.random.default_rng(1).normal(0, 1.5, gray.shape)
    found = field.hypotheses(figure(np.clip(gray, 0, 255)))
    assert error(found[0].matrix, matrix, 40) < 3
    assert found[0].found_by == "field"
    assert 1 <= len(found[0].first) == len(found[0].second) <= field.SEEDS


def test_seeds_follow_the_motion() -> None:
    gray = planted(smooth((300, 320), 4), motion(50, 1, 1), 45)
    for found in field.hypotheses(figure(gray)):
        assert np.allclose(found.first @ found.matrix[:, :2].T + found.matrix[:, 2], found.second, atol=1e-2)


def test_motions_are_in_the_image_s_pixels_where_the_field_is_smaller() -> None:
    matrix = motion(37, 1, 1)
    gray = planted(smooth((300, 320), 3), matrix, 45)
    large = cv2.resize(gray, (960, 900), interpolation=cv2.INTER_CUBIC)
    found = field.hypotheses(figure(np.clip(large, 0, 255)))[0].matrix
    # A pixel's centre p of the small image lies at 3 p + 1 of the large one.
    small = np.column_stack([found[:, :2], (found[:, :2] @ [1.0, 1.0] + found[:, 2] - 1) / 3])
    assert error(small, matrix, 40) < 1


def test_output_is_deterministic() -> None:
    shown = figure(planted(smooth((300, 320), 5), motion(50, 1, 1), 45))
    once, again = field.hypotheses(shown), field.hypotheses(shown)
    assert [h.matrix.tobytes() for h in once] == [h.matrix.tobytes() for h in again]


@pytest.mark.parametrize("size", [(1, 1), (20, 400), (64, 64)])
def test_nothing_to_see_gives_nothing(size: tuple[int, int]) -> None:
    assert field.hypotheses(figure(np.full(size, 200.0))) == []


def test_what_is_ignored_takes_no_part() -> None:
    shown = figure(planted(smooth((300, 320), 3), motion(37, 1, 1), 45))
    ignored = shown.ignored.copy()
    ignored[30:150, 20:140] = True
    hidden = Figure(shown.pixels, shown.gray, ignored, shown.panels)
    for found in field.hypotheses(hidden):
        places = np.round(np.concatenate([found.first, found.second])).astype(int)
        inside = (places >= 0).all(1) & (places[:, 0] < 320) & (places[:, 1] < 300)
        assert ignored[places[inside, 1], places[inside, 0]].mean() < 0.1


@pytest.mark.parametrize("mirror", [1, -1])
def test_moments_tell_turn_and_mirror(mirror: int) -> None:
    turn = 50.0
    matrix = motion(-turn, 1, 1)[:, :2] @ np.diag([1, mirror])  # x towards y; a mirrored place has y negated first
    centre = np.array([99.5, 99.5])
    whole = np.column_stack([matrix, centre - matrix @ centre])
    gray = smooth((200, 200), 7)
    moved = cv2.warpAffine(gray, whole, (200, 200), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    moments = field_moments.moments(np.hstack([gray, moved]))
    first = np.random.default_rng(0).integers(60, 140, (100, 2))
    second = np.round(first @ matrix.T + whole[:, 2]).astype(int) + [200, 0]
    rows = [side[:, 1] * 400 + side[:, 0] for side in (first, second)]
    cost, angle, mirrored = field_moments.compared(moments, *rows)
    assert np.median(cost / moments.energy[rows[0]]) < 0.05
    assert np.median(np.abs(np.degrees(angle) - turn)) < 4
    assert (mirrored == (mirror == -1)).mean() > 0.95


def test_moments_add_up_to_the_variance() -> None:
    ramp = np.tile(np.arange(60, dtype=np.float32), (60, 1))
    moments = field_moments.moments(ramp)
    radius = field_moments.RADIUS
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    assert moments.energy[30 * 60 + 30] == pytest.approx(x[np.hypot(x, y) <= radius].var(), rel=0.1)


def test_magnitudes_do_not_change_under_a_quarter_turn() -> None:
    gray = smooth((81, 81), 2)
    centre = np.array([40 * 81 + 40])
    values = [
        field_moments.moments(g).still[centre]
        for g in (gray, np.ascontiguousarray(np.rot90(gray)), np.ascontiguousarray(gray[:, ::-1]))
    ]
    assert np.allclose(values[0], values[1], atol=1e-2)
    assert np.allclose(values[0], values[2], atol=1e-2)


def test_twins_lie_apart() -> None:
    moments = field_moments.moments(smooth((120, 120), 9))
    matches = field_search.search(moments, np.ones((120, 120), bool))
    gh, gw = matches.cost.shape
    own = np.stack(np.meshgrid(np.arange(gw), np.arange(gh)), -1) * matches.step
    known = np.isfinite(matches.cost)
    assert known.any()
    assert np.abs(matches.place - own).max(-1)[known].min() >= field_search.APART


def test_a_motion_is_refined_to_a_fraction_of_a_pixel() -> None:
    matrix = motion(30, 1.1, 1)
    gray = planted(smooth((300, 320), 6), matrix, 45)
    places = np.array(FROM) + np.stack(np.meshgrid([-20.0, 0, 20], [-20.0, 0, 20]), -1).reshape(-1, 2)
    rough = matrix + [[0.02, -0.01, 1.0], [0.0, 0.02, -1.5]]
    found, likeness = field_refine.refined(field_refine.slopes(gray), rough, places, 6)
    assert error(rough, matrix, 35) > 2
    assert error(found, matrix, 35) < 0.3
    assert likeness > 0.99
