"""Grain: what was copied carries its source's, what is only alike has its own, and what has none says nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.matching import agreement, finder, grain, judge
from forgery_rcnn.matching.pairs import Figure, Hypothesis, Pair, gray_of
from forgery_rcnn.matching.regions import Grown
from forgery_rcnn.matching_config import MatchingConfig
from tests.matching.planted import noise_texture

SIZE, SIDE = (200, 320), 70
AT, TO = (30, 40), (187, 83)  # x y: apart by no multiple of JPEG's blocks


def scene(seed: int, noise: float, outlines: float = 0.0, alike: bool = False) -> np.ndarray:
    """(200, 320, 3) uint8: broad shadows and noise, over it a grid of soft bars, in both places the same where they are `alike`."""
    rng = np.random.default_rng(seed)
    gray = 120 + 20 * cv2.GaussianBlur(rng.normal(size=SIZE).astype(np.float32), (0, 0), 12) * 12
    bars = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), 4) > 0
    bars = outlines * cv2.GaussianBlur(bars.astype(np.float32), (0, 0), 1)
    for x, y in (AT, TO) if alike else (AT,):
        gray[y : y + SIDE, x : x + SIDE] = 120 + bars
    gray += rng.normal(0, noise, SIZE)
    return np.clip(np.round(gray), 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)


def copied(pixels: np.ndarray) -> np.ndarray:
    out = pixels.copy()
    out[TO[1] : TO[1] + SIDE, TO[0] : TO[0] + SIDE] = pixels[AT[1] : AT[1] + SIDE, AT[0] : AT[0] + SIDE]
    return out


def saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def looked_at(
    pixels: np.ndarray,
    at: tuple[int, int] = AT,
    to: tuple[int, int] = TO,
    drawn: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> grain.Grain:
    gray = gray_of(pixels)
    figure = Figure(pixels, gray, np.zeros(gray.shape, bool), np.array([[0, 0, *gray.shape[::-1]]]))
    matrix = np.array([[1.0, 0, to[0] - at[0]], [0, 1, to[1] - at[1]]])
    seen = agreement.compared(gray, figure.ignored, matrix, (*at, at[0] + SIDE, at[1] + SIDE))
    mask = np.ones((SIDE, SIDE), bool) if mask is None else mask
    return grain.of(figure, np.zeros(gray.shape, bool) if drawn is None else drawn, Grown(matrix, mask, seen))


@pytest.mark.parametrize(
    "treated", [lambda p: p, lambda p: saved(p, 95), lambda p: saved(p, 90)], ids=["as is", "95", "90"]
)
def test_a_copy_carries_its_sources_grain(treated: Callable[[np.ndarray], np.ndarray]) -> None:
    found = looked_at(treated(copied(scene(0, 3.0))))
    assert found.same and not found.other
    assert found.clean.pixels > 0.7 * SIDE**2


def test_a_copy_that_was_made_lighter_too() -> None:
    pixels = copied(scene(1, 2.5)).astype(float)
    pixels[TO[1] : TO[1] + SIDE, TO[0] : TO[0] + SIDE] *= 1.12
    assert looked_at(np.clip(np.round(pixels), 0, 255).astype(np.uint8)).same


def test_what_is_only_alike_has_its_own() -> None:
    """The same ground twice, each time with other noise."""
    found = looked_at(scene(2, 2.5, alike=True))
    assert found.other and not found.same, found
    assert abs(found.calm.correlation) < 0.05 and found.calm.pixels > 0.8 * SIDE**2


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0, 1.5, 2.5])
def test_the_same_shape_drawn_twice_has_no_grain_in_common(noise: float) -> None:
    for seed in range(4):
        found = looked_at(scene(seed, noise, 30.0, alike=True))
        assert not found.same, (seed, found)


def test_without_grain_nothing_is_said() -> None:
    for pixels in (scene(3, 0.0, 40.0), copied(scene(3, 0.3)), np.full((*SIZE, 3), 90, np.uint8)):
        found = looked_at(pixels)
        assert not found.same and not found.other, found
    noisy = looked_at(copied(scene(4, 40.0)))
    assert noisy.calm.pixels < grain.SAME["pixels"] and not noisy.same and not noisy.other, "texture is no grain"


def test_only_the_region_counts_and_what_is_drawn_over_on_either_side_does_not() -> None:
    pixels = copied(scene(5, 2.5))
    half = np.zeros((SIDE, SIDE), bool)
    half[: SIDE // 2] = True
    whole = looked_at(pixels).clean
    assert 0.45 * whole.pixels < looked_at(pixels, mask=half).clean.pixels < 0.55 * whole.pixels
    for x, y in (AT, TO):
        drawn = np.zeros(SIZE, bool)
        drawn[y : y + SIDE // 2, x : x + SIDE] = True
        left = looked_at(pixels, drawn=drawn)
        assert 0.45 * whole.pixels < left.clean.pixels < 0.55 * whole.pixels
        assert left.clean.correlation > 0.95, "of the pixels that both sides show"
        assert left.same
    assert looked_at(pixels, drawn=np.ones(SIZE, bool)) == grain.Grain(grain.NOTHING, grain.NOTHING)


@pytest.mark.parametrize(("at", "to"), [((0, 0), (250, 130)), ((250, 7), (3, 130)), ((100, 130), (0, 5))])
def test_borders_are_no_matter(at: tuple[int, int], to: tuple[int, int]) -> None:
    pixels = scene(6, 2.5)
    pixels[to[1] : to[1] + SIDE, to[0] : to[0] + SIDE] = pixels[at[1] : at[1] + SIDE, at[0] : at[0] + SIDE]
    found = looked_at(pixels, at, to)
    assert found.same and found.clean.correlation > 0.9


@pytest.mark.parametrize("bound", ["pixels", "correlation", "height"])
def test_every_bound_counts(bound: str) -> None:
    inside = grain.Peak(grain.SAME["pixels"], grain.SAME["correlation"], grain.SAME["height"])
    other = grain.Peak(grain.OTHER["pixels"], grain.OTHER["correlation"] - 0.01, grain.OTHER["height"] - 0.01)
    assert grain.Grain(inside, other).same and grain.Grain(inside, other).other
    assert not grain.Grain(replace(inside, **{bound: getattr(inside, bound) * 0.99}), other).same
    outside = {"pixels": other.pixels - 1, "correlation": grain.OTHER["correlation"], "height": grain.OTHER["height"]}
    assert not grain.Grain(inside, replace(other, **{bound: outside[bound]})).other


def test_the_judge_asks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the grain says nothing the trees' score counts."""
    pixels = copied(noise_texture(2, 0, SIZE[1])[: SIZE[0]]) // 2 + 60
    pixels[TO[1] : TO[1] + SIDE, TO[0] : TO[0] + SIDE] += 1  # not equal to the last bit
    gray = gray_of(pixels)
    figure = Figure(pixels, gray, np.zeros(gray.shape, bool), np.array([[0, 0, *gray.shape[::-1]]]))
    seeds = np.float32([[x, y] for x in range(AT[0] + 5, AT[0] + SIDE, 8) for y in range(AT[1] + 5, AT[1] + SIDE, 8)])
    matrix = np.array([[1.0, 0, TO[0] - AT[0]], [0, 1, TO[1] - AT[1]]])
    motion = Hypothesis(matrix, seeds, np.float32(seeds @ matrix[:, :2].T + matrix[:, 2]), "keypoints")

    def judged(seen: grain.Grain, score: float, least: float = 0.5) -> Pair | str:
        monkeypatch.setattr(grain, "of", lambda *_: seen)
        monkeypatch.setattr(judge, "score", lambda *_: score)
        return judge.judged(figure, np.zeros(gray.shape, bool), motion, MatchingConfig(min_score=least))

    same = grain.Grain(grain.Peak(3000, 0.6, 30.0), grain.NOTHING)
    other = grain.Grain(grain.NOTHING, grain.Peak(3000, 0.02, -1.0))
    neither = grain.Grain(grain.NOTHING, grain.NOTHING)
    found = [judged(same, 0.1), judged(same, 0.6), judged(same, 0.99), judged(neither, 0.6), judged(other, 0.6)]
    assert [(pair.told_by, pair.score) for pair in found] == [
        ("grain", judge.SAME_GRAIN),
        ("likeness", judge.SAME_GRAIN),
        ("likeness", 0.99),
        ("likeness", 0.6),
        ("likeness", 0.6),
    ]
    assert judged(neither, 0.4, 0.3).score == 0.4
    said = "score 0.40, and each side has a grain of its own: 3,000 calm pixels correlate by 0.02"
    assert judged(other, 0.4, 0.3) == said
    assert judged(same, 0.1, 0.95) == "score 0.90 is below 0.95"
    assert isinstance(judged(neither, 0.1), str)


def test_a_region_told_by_its_grain_keeps_no_better_one_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have grown too far: another motion of the same place may be told by equal pixels, or correlate better."""
    pixels = copied(noise_texture(2, 1, SIZE[1])[: SIZE[0]])
    figure = Figure(pixels, gray_of(pixels), np.zeros(SIZE, bool), np.array([[0, 0, *SIZE[::-1]]]))
    seeds = np.float32([[x, y] for x in range(AT[0] + 5, AT[0] + SIDE, 8) for y in range(AT[1] + 5, AT[1] + SIDE, 8)])
    matrix = np.array([[1.0, 0, TO[0] - AT[0]], [0, 1, TO[1] - AT[1]]])
    motion = Hypothesis(matrix, seeds, np.float32(seeds @ matrix[:, :2].T + matrix[:, 2]), "keypoints")
    real = judge.judged(figure, np.zeros(SIZE, bool), motion, MatchingConfig())
    assert isinstance(real, Pair) and real.told_by == "pixels"
    loose = replace(real, told_by="grain", score=judge.SAME_GRAIN, correlation=0.3)
    for better in (real, replace(loose, correlation=0.6)):
        answers = iter([loose, better])
        monkeypatch.setattr(judge, "judged", lambda *_, answers=answers: next(answers))
        assert finder.verified(figure, [motion, motion], MatchingConfig()).pairs == (better,)
