"""How probable it is that any place fits as well: nothing for a copy, all for a pattern, and as often as it says for noise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgery_rcnn.matching import agreement, chance
from forgery_rcnn.matching.agreement import Agreement
from forgery_rcnn.matching.regions import Grown
from tests.matching.planted import noise_texture, picture

LIMIT = 0.01
"""From here on pairs are not reported, as set by default."""


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1, y]])


def region(matrix: np.ndarray, corner: tuple[int, int], mask: np.ndarray) -> Grown:
    zeros = np.zeros(mask.shape, np.float32)
    return Grown(matrix, mask, Agreement(corner, zeros, zeros, zeros, zeros, zeros, mask))


def ellipse(width: int, height: int) -> np.ndarray:
    """(height, width) bool."""
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (width // 2 - 1, height // 2 - 1), 0, 0, 360, 1, -1)
    return mask > 0


def texture(broad: float, seed: int, side: int = 260) -> np.ndarray:
    """(side, side) float32 levels."""
    return noise_texture(broad, seed, side)[..., 0].astype(np.float32)


SHAPE = ellipse(50, 40)
LARGE = ellipse(90, 70)


def pasted(
    gray: np.ndarray, source: tuple[int, int], *targets: tuple[int, int], shape: np.ndarray = SHAPE
) -> np.ndarray:
    """What lies in the ellipse at x y, at other places too."""
    gray = gray.copy()
    part = gray[source[1] :, source[0] :][: shape.shape[0], : shape.shape[1]][shape].copy()
    for x, y in targets:
        gray[y : y + shape.shape[0], x : x + shape.shape[1]][shape] = part
    return gray


def treated(gray: np.ndarray, treatment: str) -> np.ndarray:
    if treatment == "noise":
        return gray + np.random.default_rng(0).normal(0, 4, gray.shape).astype(np.float32)
    if treatment == "jpeg":
        code = cv2.imencode(".jpg", np.clip(np.round(gray), 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        return cv2.imdecode(code, cv2.IMREAD_GRAYSCALE).astype(np.float32)
    return gray


@pytest.mark.parametrize("treatment", ["none", "noise", "jpeg"])
@pytest.mark.parametrize("broad", [1.5, 3.0])
def test_a_copy_is_no_accident(broad: float, treatment: str) -> None:
    gray = treated(pasted(texture(broad, 1), (20, 30), (170, 190)), treatment)
    assert chance.of(gray, region(shift(150, 160), (20, 30), SHAPE)).probable < LIMIT / 100


@pytest.mark.parametrize("source", ["coins.png", "coffee.png", "camera.png"])
def test_a_copy_in_a_picture_is_no_accident(source: str) -> None:
    gray = pasted(picture(source)[:280, :280, 0].astype(np.float32), (100, 110), (20, 200), shape=LARGE)
    assert chance.of(gray, region(shift(-80, 90), (100, 110), LARGE)).probable < LIMIT / 10


@pytest.mark.parametrize(
    "linear", [np.diag([-1.0, 1.0]), np.array([[0.0, 1], [-1, 0]]), 1.25 * np.array([[0.8, 0.6], [-0.6, 0.8]])]
)
def test_a_mirrored_turned_or_scaled_copy_is_no_accident(linear: np.ndarray) -> None:
    gray = texture(2.5, 2)
    mask = np.zeros(gray.shape, np.uint8)
    mask[30:70, 20:70] = SHAPE
    matrix = np.column_stack([linear, np.array([190, 190]) - linear @ [45, 50]])
    there = cv2.warpAffine(mask, matrix, gray.shape[::-1], flags=cv2.INTER_NEAREST) > 0
    gray[there] = cv2.warpAffine(gray, matrix, gray.shape[::-1], flags=cv2.INTER_CUBIC)[there]
    assert chance.of(gray, region(matrix, (20, 30), SHAPE)).probable < LIMIT / 100


@pytest.mark.parametrize("copies", [2, 3, 4])
def test_several_copies_are_no_accident_either(copies: int) -> None:
    targets = [(170, 190), (20, 200), (190, 20), (110, 110)][:copies]
    gray = pasted(texture(2, 3), (20, 30), *targets)
    for x, y in targets:
        assert chance.of(gray, region(shift(x - 20, y - 30), (20, 30), SHAPE)).probable < LIMIT / 10


def test_the_region_is_not_held_against_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chance, "COPIES", 0)
    gray = pasted(texture(2, 3), (20, 30), (170, 190))
    score, others = chance.placed(gray, shift(150, 160), SHAPE, (20, 30))
    assert others.max() < 0.7 * score


Y, X = np.mgrid[:260, :260].astype(np.float32)
GRAIN = np.random.default_rng(4).normal(0, 2, X.shape).astype(np.float32)
PATTERNS = {
    "checkerboard": (255 * ((Y // 20 + X // 20) % 2), shift(120, 80)),
    "grainy checkerboard": (255 * ((Y // 20 + X // 20) % 2) + GRAIN, shift(120, 80)),
    "stripes": (127 + 100 * np.sin(X * np.pi / 10), shift(120, 77)),
    "grainy stripes": (127 + 100 * np.sin((X + Y) * np.pi / 10) + GRAIN, shift(120, 80)),
    "an edge": (np.where(X > 130, 200, 60) + GRAIN, shift(0, 120)),
    "dots": (np.where(np.hypot(X % 26 - 13, Y % 26 - 13) < 6, 60, 200) + GRAIN, shift(130, 104)),
    "flat": (np.full_like(X, 128), shift(120, 80)),
}


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_a_pattern_fits_everywhere(name: str) -> None:
    gray, matrix = PATTERNS[name]
    corner = (110, 40) if name == "an edge" else (30, 40)
    assert chance.of(gray.astype(np.float32), region(matrix, corner, SHAPE)).probable > 0.5


@pytest.mark.parametrize("period", [40, 56])
@pytest.mark.parametrize("grain", [0.0, 3.0])
def test_a_texture_that_is_tiled_fits_at_every_tile(period: int, grain: float) -> None:
    """At more places than a region is copied to."""
    tile = texture(2, 5, period)
    side = -(-300 // period)
    gray = np.tile(tile, (side, side))[:300, :300]
    gray = gray + grain * np.random.default_rng(1).standard_normal(gray.shape).astype(np.float32)
    assert chance.of(gray, region(shift(2 * period, 2 * period), (30, 40), SHAPE)).probable > 0.5


def test_alike_objects_of_which_there_are_many_are_an_accident_copies_of_one_of_them_are_not() -> None:
    """Discs with a grain of their own."""
    rng = np.random.default_rng(6)
    gray = np.full((300, 300), 60, np.float32)
    for y in range(30, 300, 60):
        for x in range(30, 300, 60):
            cv2.circle(gray, (x, y), 16, float(150), -1)
    gray = cv2.GaussianBlur(gray, (0, 0), 1.5) + rng.normal(0, 3, gray.shape).astype(np.float32)
    found = region(shift(120, 60), (65, 70), ellipse(50, 40))
    assert chance.of(gray, found).probable > 0.5
    gray[130:170, 185:235] = gray[70:110, 65:115]
    assert chance.of(gray, found).probable < LIMIT


def test_the_answer_is_the_same_each_time_and_inputs_are_left() -> None:
    gray = pasted(texture(2, 7), (20, 30), (170, 190))
    found, before = region(shift(150, 160), (20, 30), SHAPE), gray.copy()
    first = chance.of(gray, found)
    cv2.setRNGSeed(99)
    np.random.default_rng().random(5)
    assert chance.of(gray, found) == first
    assert np.array_equal(gray, before) and found.mask.all() == SHAPE.all()


def test_where_the_window_lies_does_not_matter() -> None:
    """A region is the same whether its mask has a margin or not."""
    gray = pasted(texture(2, 8), (20, 30), (170, 190)) + 3 * GRAIN
    tight = chance.placed(gray, shift(150, 160), SHAPE, (20, 30))
    loose = chance.placed(gray, shift(150, 160), np.pad(SHAPE, ((11, 6), (9, 3))), (11, 19))
    assert tight[0] == pytest.approx(loose[0], abs=1e-4)
    assert np.allclose(np.sort(tight[1]), np.sort(loose[1]), atol=1e-3)


@pytest.mark.parametrize("motion", [shift(150, 160), shift(-20, -30), shift(190, -30)])
def test_regions_at_the_border_are_answered(motion: np.ndarray) -> None:
    gray = pasted(texture(2, 9), (20, 30), (20 + int(motion[0, 2]), 30 + int(motion[1, 2])))
    assert chance.of(gray, region(motion, (20, 30), SHAPE)).probable < LIMIT / 10


def test_in_an_image_without_other_places_nothing_can_be_said() -> None:
    gray = texture(1, 10, 40)
    assert chance.of(gray, region(shift(2, 0), (0, 0), np.ones((40, 38), bool))).probable == 1


def brute(scene: np.ndarray, first: np.ndarray, mask: np.ndarray, y: int, x: int) -> float:
    a, b = first[mask], scene[y : y + mask.shape[0], x : x + mask.shape[1]][mask]
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_correlations_are_those_of_each_place() -> None:
    rng = np.random.default_rng(11)
    scene = rng.normal(0, 10, (37, 45)).astype(np.float32)
    first, mask = rng.normal(0, 10, (9, 12)).astype(np.float32), ellipse(12, 9)
    known = np.ones(scene.shape, bool)
    field = chance.correlations(scene, known, first, mask)
    assert field.shape == (29, 34) and field.dtype == np.float32
    for y, x in ((0, 0), (28, 33), (11, 5), (3, 30)):
        assert field[y, x] == pytest.approx(brute(scene, first, mask, y, x), abs=1e-3)
    known[:, :20] = False
    field = chance.correlations(scene, known, first, mask)
    assert (field[:, :15] == -2).all() and (field[:, 20:] > -1).all()


OTHERS = np.random.default_rng(12).normal(0, 0.1, 5000).astype(np.float32)


@given(st.floats(-0.999, 1), st.floats(-0.999, 1))
def test_a_better_fit_is_never_the_likelier_accident(a: float, b: float) -> None:
    values = [chance.of_places(score, OTHERS) for score in sorted((a, b))]
    assert 0 <= values[1] <= values[0] <= 1


SMALL = 140


def searched(seed: int, chosen: str) -> float:
    """Of an image of noise, a region and either any other place or the one of all that fits best -> the chance."""
    rng = np.random.default_rng((13, seed))
    gray = cv2.GaussianBlur(rng.standard_normal((SMALL, SMALL)).astype(np.float32), (0, 0), rng.uniform(0.5, 1.2))
    gray *= np.float32(30 / gray.std())
    mask = ellipse(*rng.integers(16, 32, 2).tolist())
    height, width = mask.shape
    x, y = int(rng.integers(0, SMALL - width)), int(rng.integers(0, SMALL - height))
    band = agreement.band(gray, *chance.BAND)
    field = chance.correlations(band, np.ones(gray.shape, bool), band[y : y + height, x : x + width], mask)
    field[max(y - 15, 0) : y + 16, max(x - 15, 0) : x + 16] = -2
    if chosen == "best":
        row, column = np.unravel_index(int(np.argmax(field)), field.shape)
    else:
        row, column = rng.choice(np.argwhere(field > -1))
    return chance.of(gray, region(shift(int(column) - x, int(row) - y), (x, y), mask)).probable


@pytest.mark.parametrize(("chosen", "count"), [("any", 50), ("best", 200)])
def test_noise_fits_as_often_as_is_said(monkeypatch: pytest.MonkeyPatch, chosen: str, count: int) -> None:
    """The best place of an image of noise is as good as one in a hundred in about one of a hundred images; any place in none."""
    monkeypatch.setattr(chance, "AROUND", SMALL)  # as far as these images go, in less time
    found = np.array([searched(seed, chosen) for seed in range(count)])
    assert (found < LIMIT).mean() <= (0.04 if chosen == "best" else 0)
    assert np.median(found) > (0.1 if chosen == "best" else 0.9)
