"""The walk of one image: any size, any setting, the same answer each time, and motions at the size of the image."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgery_rcnn import rle
from forgery_rcnn.matching import finder, identical, judge
from forgery_rcnn.matching.finder import enlarged, find, hypotheses, seen, shrunk, verified
from forgery_rcnn.matching.pairs import Figure, Finding, Hypothesis, gray_of, inverse
from forgery_rcnn.matching_config import METHODS, MatchingConfig
from tests.matching.planted import noise_texture

CONFIG = MatchingConfig()
KEYPOINTS = MatchingConfig(methods=("keypoints",))


@pytest.fixture(autouse=True)
def forgiving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the line between likely and unlikely copies lies is not asked here: what correlates well is one."""
    monkeypatch.setattr(
        judge, "score", lambda found, probable: 0.9 if found.detail > 0.6 and found.inliers > 9 else 0.1
    )


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1, y]])


@cache
def copied() -> np.ndarray:
    """(300, 320, 3) uint8, x 20..130, y 30..130 copied to 170 further right and 150 down."""
    pixels = noise_texture(2, 0, 320)[:300].copy()
    pixels[180:280, 190:300] = pixels[30:130, 20:130]
    return pixels


MOTION = shift(170, 150)


def facts(found: Finding) -> list[tuple[object, ...]]:
    return [(p.first.tobytes(), p.second.tobytes(), p.matrix.tobytes(), p.score, p.found_by) for p in found.pairs] + [
        (one.reason, one.hypothesis.matrix.tobytes()) for one in found.rejected
    ]


def is_motion(matrix: np.ndarray, truth: np.ndarray, off: float) -> bool:
    return min(np.abs(matrix - truth).max(), np.abs(inverse(matrix) - truth).max()) <= off


def test_a_copy_is_found_once_with_its_motion() -> None:
    found = find(copied(), KEYPOINTS)
    assert len(found.pairs) == 1
    (pair,) = found.pairs
    assert is_motion(pair.matrix, MOTION, 1e-6)
    assert pair.found_by == "keypoints" and not pair.between_panels
    union = rle.mask_of(found.instances()[0].runs[0], found.figure.size)
    truth = np.zeros(found.figure.size, bool)
    truth[30:130, 20:130] = truth[180:280, 190:300] = True
    assert (union & truth).sum() > 0.85 * (union | truth).sum()
    assert all(one.reason and len(one.reason.splitlines()) == 1 for one in found.rejected)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 5), (17, 40), (2, 700)])
@pytest.mark.parametrize("kind", ["noise", "black", "white"])
def test_odd_sizes_are_answered_with_nothing(size: tuple[int, int], kind: str) -> None:
    levels = {"black": np.zeros(size), "white": np.full(size, 255.0)}
    levels["noise"] = np.random.default_rng(0).uniform(0, 255, size)
    pixels = np.repeat(levels[kind].astype(np.uint8)[..., None], 3, axis=2)
    for config in (CONFIG, MatchingConfig(max_side=256)):
        found = find(pixels, config)
        assert found.pairs == ()
        assert found.figure.size == size
        assert found.groups() == [] and found.instances()[1].shape == (0,)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_level_all_over_holds_nothing(level: int) -> None:
    found = find(np.full((300, 280, 3), level, np.uint8), CONFIG)
    assert found.pairs == ()
    assert len(found.figure.panels) >= 1


def test_gray_in_three_channels_and_a_view_are_as_good_as_a_copy() -> None:
    gray = np.repeat(copied()[..., :1], 3, axis=2)
    first = facts(find(gray, KEYPOINTS))
    assert first == facts(find(np.broadcast_to(copied()[..., :1], copied().shape), KEYPOINTS))
    large = np.zeros((600, 640, 3), np.uint8)
    large[::2, ::2] = gray
    assert first == facts(find(large[::2, ::2], KEYPOINTS))


def test_the_answer_is_the_same_each_time_and_the_pixels_are_left() -> None:
    pixels = copied().copy()
    first = facts(find(pixels, CONFIG))
    assert first, "nothing found, nothing compared"
    cv2.setRNGSeed(4711)
    np.random.default_rng().random(3)
    assert facts(find(pixels, CONFIG)) == first
    assert np.array_equal(pixels, copied())


@pytest.mark.parametrize("side", [256, 400, 640])
@pytest.mark.parametrize("size", [(300, 2000), (700, 333), (2000, 3)])
def test_a_figure_is_shrunk_to_the_side_asked_for(size: tuple[int, int], side: int) -> None:
    figure = seen(noise_texture(2, 1, max(size))[: size[0], : size[1]])
    small, factor = shrunk(figure, side)
    assert max(small.size) == side
    assert factor == pytest.approx(side / max(size))
    assert small.pixels.shape == (*small.size, 3) and small.ignored.shape == small.size
    assert small.gray.dtype == np.float32 and small.ignored.dtype == bool
    assert (small.panels >= 0).all() and (small.panels <= [*small.size[::-1]] * 2).all()


def test_a_small_figure_is_not_shrunk() -> None:
    figure = seen(copied())
    for side in (320, 321, 5000):
        small, factor = shrunk(figure, side)
        assert small is figure and factor == 1


@given(
    factor=st.floats(0.1, 1),
    turn=st.floats(-3, 3),
    scale=st.floats(0.5, 2),
    offset=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
)
def test_a_motion_seen_small_is_the_same_at_full_size(
    factor: float, turn: float, scale: float, offset: tuple[float, float]
) -> None:
    """A pixel's corner at 0 stays at 0: centres of pixels are at whole numbers in both."""
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    matrix = np.array([[c, s, offset[0]], [-s, c, offset[1]]])
    first = np.float32([[3, 4], [90.5, 17], [40, 200]])
    second = (first @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    large = enlarged(Hypothesis(matrix, first, second, "field"), factor)
    assert large.found_by == "field"
    assert large.first.dtype == large.second.dtype == np.float32 and large.matrix.shape == (2, 3)
    assert np.allclose((large.first + 0.5) * factor, first + 0.5, atol=1e-3)
    assert np.allclose(large.matrix[:, :2], matrix[:, :2])
    moved = large.first @ large.matrix[:, :2].T + large.matrix[:, 2]
    assert np.allclose(moved, large.second, atol=0.02 + 1e-5 / factor * 1e3)


def test_a_wide_image_is_searched_small_and_answered_at_full_size() -> None:
    pixels = noise_texture(9, 2, 2000)[:400].copy()
    pixels[90:390, 1200:1600] = pixels[20:320, 150:550]
    config = MatchingConfig(methods=("keypoints",), max_side=400)
    proposed = hypotheses(seen(pixels), config)
    assert proposed
    middle = np.array([350.0, 170, 1])
    off = [min(np.linalg.norm(m @ middle - [1400, 240]) for m in (one.matrix, inverse(one.matrix))) for one in proposed]
    assert min(off) < 4
    found = verified(seen(pixels), proposed, config)
    assert found.figure.size == (400, 2000)
    assert any(is_motion(pair.matrix, shift(1050, 70), 0.02) for pair in found.pairs)
    area = max(int(pair.first[:, 1].sum()) for pair in found.pairs)
    assert area > 0.85 * 300 * 400


@pytest.mark.parametrize("names", [("keypoints",), ("field",), ("panels", "correlation"), ("correlation",)], ids=str)
def test_only_the_methods_asked_for_are_used(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    for name in finder.METHODS:
        monkeypatch.setitem(finder.METHODS, name, lambda figure, name=name: asked.append((name, figure.size)) or [])
    assert hypotheses(seen(copied()), MatchingConfig(methods=names, max_side=256)) == []
    assert [name for name, _ in asked] == list(names)
    assert all(max(size) == 256 for _, size in asked)


def test_every_method_that_may_be_named_is_there_and_signs_what_it_proposes() -> None:
    assert set(finder.METHODS) == set(METHODS)
    figure = seen(copied())
    for name in METHODS:
        found = hypotheses(figure, MatchingConfig(methods=(name,)))
        assert {one.found_by for one in found} <= {name}
        for one in found:
            assert one.matrix.shape == (2, 3) and len(one.first) == len(one.second) >= 1


def figure_of(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    gap = np.full((left.shape[0], 14, 3), 255, np.uint8)
    return np.ascontiguousarray(np.concatenate([left, gap, right], axis=1))


@pytest.mark.parametrize("where", ["between", "within"])
def test_panels_are_told_apart(where: str) -> None:
    left, right = (noise_texture(2, seed, 220).copy() for seed in (3, 4))
    if where == "between":
        right[110:200, 90:190] = left[20:110, 10:110]
    else:
        left[115:205, 110:210] = left[20:110, 10:110]
    found = find(figure_of(left, right), KEYPOINTS)
    assert len(found.figure.panels) == 2
    assert [pair.between_panels for pair in found.pairs] == [where == "between"]


def test_three_copies_are_pairs_of_one_instance() -> None:
    pixels = noise_texture(2, 5, 360).copy()
    for x, y in ((220, 30), (60, 220)):
        pixels[y : y + 90, x : x + 90] = pixels[20:110, 20:110]
    found = find(pixels, KEYPOINTS)
    assert len(found.pairs) >= 2
    assert len(found.instances()[0].runs) == 1
    assert found.instances()[0].runs[0][:, 1].sum() > 0.85 * 3 * 90 * 90


def test_text_over_different_pictures_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "score", lambda *_: 0.9)  # not even where nobody judges
    pages = [noise_texture(7, seed, 240).copy() for seed in (6, 7)]
    for page in pages:
        for number, text in enumerate(("control", "mutant 7", "37 kDa")):
            place = (14, 50 + 70 * number)
            cv2.putText(page, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2, cv2.LINE_AA)
    figure = seen(figure_of(*pages))
    seeds = np.float32([[x, 44 + 70 * row] for row in range(3) for x in range(20, 120, 8)])
    proposed = [Hypothesis(shift(254, 0), seeds, seeds + np.float32([254, 0]), "keypoints")]
    found = verified(figure, proposed, CONFIG)
    assert found.pairs == ()
    assert len(found.rejected) == 1


def seeded(matrix: np.ndarray, near: tuple[int, int] = (70, 80)) -> Hypothesis:
    seeds = np.float32([[near[0] + x, near[1] + y] for x in range(-30, 31, 10) for y in range(-30, 31, 10)])
    return Hypothesis(matrix, seeds, (seeds @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32), "field")


def test_a_motion_and_its_like_and_its_inverse_are_one_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are looked into once."""
    looked, judged = [], judge.judged
    monkeypatch.setattr(judge, "judged", lambda *given: looked.append(given[2]) or judged(*given))
    forward = seeded(MOTION)
    back = Hypothesis(inverse(MOTION), forward.second, forward.first, "keypoints")
    near = seeded(MOTION + [[0, 0, 1], [0, 0, -1]])
    found = verified(seen(copied()), [forward, back, near, forward], CONFIG)
    assert len(found.pairs) == 1
    assert found.pairs[0].found_by == "field"
    assert looked == [forward]


def test_what_is_dropped_is_told_with_its_reason() -> None:
    wrong = [seeded(shift(100, 40)), seeded(shift(-900, 0))]
    found = verified(seen(copied()), [*wrong, seeded(MOTION)], CONFIG)
    assert len(found.pairs) == 1
    assert [one.hypothesis for one in found.rejected] == wrong
    assert all(one.reason and len(one.reason.splitlines()) == 1 for one in found.rejected)


def test_without_motions_there_is_nothing() -> None:
    found = verified(seen(copied()), [], CONFIG)
    assert found.pairs == () and found.rejected == ()


def test_better_pairs_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = copied().copy()
    pixels[10:25, 200:310] = pixels[285:300, 20:130]
    monkeypatch.setattr(identical, "found", lambda *_: None)  # these copies are lossless
    monkeypatch.setattr(judge, "score", lambda found, _: min(1.0, 0.5 + found.area / 30000))
    small = np.float32([[x, y] for x in range(30, 125, 5) for y in (289, 292, 295)])
    one = Hypothesis(shift(180, -275), small, small + np.float32([180, -275]), "field")
    scores = [pair.score for pair in verified(seen(pixels), [one, seeded(MOTION)], CONFIG).pairs]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 2


@pytest.mark.parametrize(("least", "scores"), [(0.5, [0.9]), (0.3, [0.9, 0.4])])
def test_weak_pairs_are_told_where_asked_for_and_make_no_sure_one_worse(
    monkeypatch: pytest.MonkeyPatch, least: float, scores: list[float]
) -> None:
    """Of two weak motions one is about the region of a sure pair, the other about another."""
    pixels = copied().copy()
    pixels[10:25, 200:310] = pixels[285:300, 20:130]
    monkeypatch.setattr(identical, "found", lambda *_: None)  # these copies are lossless
    monkeypatch.setattr(judge, "score", lambda found, _: 0.9 if found.area > 5000 else 0.4)
    seeds = np.float32([[x, y] for x in range(30, 125, 5) for y in (289, 292, 295)])
    other = Hypothesis(shift(180, -275), seeds, seeds + np.float32([180, -275]), "field")
    (sure,) = verified(seen(pixels), [seeded(MOTION)], CONFIG).pairs
    told = verified(seen(pixels), [other, seeded(MOTION)], replace(CONFIG, min_score=least))
    assert [pair.score for pair in told.pairs] == scores
    same = replace(sure, score=0.4, second=told.pairs[-1].second)
    assert finder._apart([sure, same], len(pixels)) == [sure]


def test_a_picture_used_twice_is_told_beside_the_patch_that_was_moved_within_it() -> None:
    """The pixels of the small region are exact as well; of the same motion one pair is enough."""
    one = noise_texture(2, 4, 240)
    other = one.copy()
    other[150:210, 160:220] = one[20:80, 30:90]
    pairs = finder.find(np.hstack([one, np.full((240, 21, 3), 255, np.uint8), other]), CONFIG).pairs
    shifts = sorted(tuple(np.abs(pair.matrix[:, 2]).round().tolist()) for pair in pairs)
    assert shifts == [(130.0, 130.0), (261.0, 0.0)] or shifts == [(261.0, 0.0), (391.0, 130.0)]
    large = max(pairs, key=lambda pair: int(pair.first[:, 1].sum()))
    part = replace(large, first=np.array([[240 * 9, 200]]), second=np.array([[240 * 270, 200]]), score=0.99)
    assert finder._apart([part, large], 240) == [part]
    assert finder._apart([replace(part, matrix=shift(261, 20)), large], 240)[1:] == [large]


def test_what_is_drawn_over_is_painted_over_in_gray_alone() -> None:
    pixels = noise_texture(6, 8, 240).copy()
    cv2.putText(pixels, "50 um", (60, 120), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 2, cv2.LINE_AA)
    figure = seen(pixels)
    painted, drawn = finder.undrawn(figure)
    assert drawn.any() and drawn.shape == figure.size
    assert np.array_equal(painted.pixels, pixels)
    assert np.array_equal(painted.gray[~drawn], figure.gray[~drawn])
    assert painted.gray[drawn].max() < figure.gray[drawn].max()
    bare = replace(figure, ignored=np.zeros(figure.size, bool))
    assert np.array_equal(finder.undrawn(bare)[0].gray, figure.gray) and not finder.undrawn(bare)[1].any()
    assert isinstance(painted, Figure) and np.array_equal(gray_of(pixels), figure.gray)
