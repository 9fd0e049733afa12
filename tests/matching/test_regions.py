"""Which pixels took part: the region that is grown is the one that was copied, and its partner where it was copied to."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from benchmarks.planting import Planted, plant
from forgery_rcnn.matching import regions
from forgery_rcnn.matching.agreement import Agreement
from forgery_rcnn.matching.pairs import gray_of, inverse
from forgery_rcnn.matching.regions import Grown
from tests.matching.planted import blot, noise_texture, picture

SOURCES = {
    "fine": lambda: noise_texture(1.5, 1, 300),
    "broad": lambda: noise_texture(4, 2, 300),
    "coins": lambda: picture("coins.png")[:300, :380],
    "blot": lambda: blot(3),
}


@cache
def planted(source: str, transform: str, treatment: str, seed: int = 0) -> Planted:
    done = plant(SOURCES[source](), transform, treatment, "rich", 0.1, np.random.default_rng((3, seed)))
    assert done is not None
    return done


def larger_second(done: Planted) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> motion of scale 1 and more, and the two regions in its order."""
    if abs(np.linalg.det(done.matrix[:, :2])) < 1:
        return inverse(done.matrix), done.second, done.first
    return done.matrix, done.first, done.second


def places(mask: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """(H, W) bool -> (count, 2) float32 x y in it, some pixels from its rim."""
    core = cv2.erode(mask.astype(np.uint8), np.ones((7, 7), np.uint8))
    found = np.argwhere(core)[:, ::-1]
    return np.float32(np.random.default_rng(seed).choice(found, count, replace=False))


def placed(mask: np.ndarray, corner: tuple[int, int], size: tuple[int, ...]) -> np.ndarray:
    """(h, w) bool at x0 y0 -> (H, W) bool."""
    whole = np.zeros(size, bool)
    whole[corner[1] : corner[1] + mask.shape[0], corner[0] : corner[0] + mask.shape[1]] = mask
    return whole


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two (H, W) bool."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def none(gray: np.ndarray) -> np.ndarray:
    return np.zeros(gray.shape, bool)


def both(gray: np.ndarray, found: Grown) -> tuple[np.ndarray, np.ndarray]:
    """-> (H, W) bool of the region, (H, W) bool of its partner."""
    return placed(found.mask, found.corner, gray.shape), placed(*regions.partner(found, gray.shape), gray.shape)


CASES = [
    (source, transform, treatment, least)
    for source in ("fine", "broad", "coins", "blot")
    for transform, treatment, least in (
        ("shift", "none", 0.8),
        ("shift", "jpeg 85", 0.6),
        ("mirror", "none", 0.8),
        ("turn", "none", 0.65),
        ("scale", "none", 0.65),
        ("all", "jpeg 95", 0.6),
    )
]


@pytest.mark.parametrize(("source", "transform", "treatment", "least"), CASES)
def test_the_region_is_the_one_that_was_copied(source: str, transform: str, treatment: str, least: float) -> None:
    done = planted(source, transform, treatment)
    matrix, first, second = larger_second(done)
    gray = gray_of(done.pixels)
    found = regions.grown(gray, none(gray), matrix, places(first, 12))
    assert found is not None
    own, other = both(gray, found)
    assert overlap(own, first) >= least
    assert overlap(other, second) >= least
    assert found.mask.dtype == bool and found.mask.shape == found.agreement.form.shape


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("transform", ["shift", "mirror", "scale"])
def test_few_seeds_are_enough(transform: str, count: int) -> None:
    done = planted("fine", transform, "jpeg 95", 1)
    matrix, first, _ = larger_second(done)
    gray = gray_of(done.pixels)
    found = regions.grown(gray, none(gray), matrix, places(first, count))
    assert found is not None
    assert overlap(both(gray, found)[0], first) >= 0.7


@pytest.mark.parametrize("transform", ["shift", "mirror", "turn", "scale"])
@pytest.mark.parametrize("off", [(1.0, -1.0), (-1.2, 0.4)])
def test_a_motion_that_is_a_pixel_off_is_put_right(transform: str, off: tuple[float, float]) -> None:
    done = planted("fine", transform, "none", 2)
    matrix, first, _ = larger_second(done)
    gray = gray_of(done.pixels)
    started = matrix + [[0, 0, off[0]], [0, 0, off[1]]]
    found = regions.grown(gray, none(gray), started, places(first, 12))
    assert found is not None
    assert overlap(both(gray, found)[0], first) >= 0.7
    y, x = np.nonzero(first)
    errors = np.linalg.norm((found.matrix - matrix) @ np.stack([x, y, np.ones_like(x)]), axis=0)
    assert errors.mean() < 0.35


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_a_lossless_copy_is_moved_by_whole_pixels(source: str) -> None:
    """Begun a little off, as hypotheses are; in the first case, at the truth."""
    gray = gray_of(SOURCES[source]())
    first = none(gray)
    cv2.ellipse(first.view(np.uint8), (90, 100), (55, 42), 30, 0, 360, 1, -1)
    y, x = np.nonzero(first)
    gray[y + 110, x + 130] = gray[y, x]
    truth = np.array([[1.0, 0, 130], [0, 1, 110]])
    for off in (np.zeros((2, 3)), np.array([[0.004, 0.003, 0.2], [-0.003, 0.004, -0.2]])):
        found = regions.grown(gray, none(gray), truth + off, places(first, 12))
        assert found is not None
        assert np.array_equal(found.matrix, truth)
        assert overlap(both(gray, found)[0], first) >= 0.8


@pytest.mark.parametrize(
    "linear", [np.eye(2), np.diag([-1.0, 1]), np.diag([-1.0, -1])], ids=["as is", "mirror", "turn"]
)
@pytest.mark.parametrize("corner", ["upper left", "lower right"])
def test_a_region_in_a_corner_of_the_image(linear: np.ndarray, corner: str) -> None:
    """Source or copy cut off by the border: the region reaches it, and does not leave the image."""
    gray = noise_texture(2, 5, 200)[..., 0].astype(np.float32)
    block = gray[:60, :50].copy()
    copy = block[:, ::-1] if linear[0, 0] < 0 else block
    gray[140:, 150:] = copy[::-1] if linear[1, 1] < 0 else copy
    first, second = none(gray), none(gray)
    first[:60, :50] = second[140:, 150:] = True
    end = np.array([150, 140]) + [49 if linear[0, 0] < 0 else 0, 59 if linear[1, 1] < 0 else 0]
    matrix = np.column_stack([linear, end])
    if corner == "lower right":
        matrix, first, second = inverse(matrix), second, first
    found = regions.grown(gray, none(gray), matrix, places(first, 8))
    assert found is not None
    own, other = both(gray, found)
    assert overlap(own, first) >= 0.85 and overlap(other, second) >= 0.85
    assert own[0, 0] or own[-1, -1]


def test_a_region_much_larger_than_its_seeds_is_grown_to_its_end() -> None:
    """In an image where half was copied to the other half, from three places close together."""
    left = noise_texture(2, 6, 320)[:, :190, 0].astype(np.float32)
    gray = np.concatenate([left, left], axis=1)
    seeds = np.float32([[20, 20], [24, 22], [22, 30]])
    found = regions.grown(gray, none(gray), np.array([[1.0, 0, 190], [0, 1, 0]]), seeds)
    assert found is not None
    assert found.mask.sum() > 0.95 * left.size
    assert overlap(*both(gray, found)) == 0


@pytest.mark.parametrize("kind", ["other places", "noise", "flat", "out of the image"])
def test_where_nothing_agrees_there_is_no_region(kind: str) -> None:
    gray = noise_texture(2, 7, 240)[..., 0].astype(np.float32)
    if kind == "noise":
        gray = np.random.default_rng(7).uniform(0, 255, gray.shape).astype(np.float32)
    if kind == "flat":
        gray = np.full_like(gray, 180)
    matrix = np.array([[1.0, 0, 2000 if kind == "out of the image" else 110], [0, 1, 70]])
    seeds = np.float32([[40, 50], [60, 90], [80, 60], [70, 70]])
    assert regions.grown(gray, none(gray), matrix, seeds) is None


def test_what_is_ignored_is_in_neither_region() -> None:
    done = planted("fine", "shift", "none")
    gray, ignored = gray_of(done.pixels), none(gray_of(done.pixels))
    for mask in (done.first, done.second):
        y, x = np.argwhere(mask).mean(axis=0).astype(int)
        ignored[y - 3 : y + 9, x - (9 if mask is done.first else -3) :][:, :9] = True
    found = regions.grown(gray, ignored, done.matrix, places(done.first & ~ignored, 12))
    assert found is not None
    own, other = both(gray, found)
    assert not (own & ignored).any() and not (other & ignored).any()
    assert overlap(own, done.first) > 0.6


def test_a_seed_outside_of_the_copy_adds_nothing() -> None:
    done = planted("fine", "shift", "none")
    gray = gray_of(done.pixels)
    wrong = places(~(done.first | done.second), 3)
    found = regions.grown(gray, none(gray), done.matrix, np.concatenate([places(done.first, 9), wrong]))
    assert found is not None
    assert overlap(both(gray, found)[0], done.first) >= 0.7


def test_growing_is_deterministic_and_leaves_its_inputs() -> None:
    done = planted("coins", "turn", "none")
    matrix, first, _ = larger_second(done)
    gray, seeds = gray_of(done.pixels), places(first, 10)
    kept = gray.copy(), matrix.copy(), seeds.copy()
    found = [regions.grown(gray, none(gray), matrix, seeds) for _ in range(2)]
    assert found[0] is not None and found[1] is not None
    assert np.array_equal(found[0].mask, found[1].mask) and np.array_equal(found[0].matrix, found[1].matrix)
    assert all(np.array_equal(a, b) for a, b in zip(kept, (gray, matrix, seeds), strict=True))


def given(mask: np.ndarray, corner: tuple[int, int], matrix: np.ndarray) -> Grown:
    zeros = np.zeros(mask.shape, np.float32)
    return Grown(matrix, mask, Agreement(corner, zeros, zeros, zeros, zeros, zeros, mask))


MOTIONS = [
    np.array([[1.0, 0, 77], [0, 1, 31]]),
    np.array([[-1.0, 0, 260], [0, 1, 31]]),
    np.array([[0.0, 1, 40], [-1, 0, 170]]),
    np.array([[1.2, 0.3, 20.4], [-0.3, 1.2, 60.7]]),
    np.array([[1.0, 0, 200], [0, 1, -70]]),  # half out of the image
    np.array([[1.0, 0, -60], [0, 1, 100]]),
]


@pytest.mark.parametrize("matrix", MOTIONS, ids=lambda matrix: str(matrix.tolist()))
@pytest.mark.parametrize("corner", [(30, 40), (0, 0)])
def test_the_partner_is_the_region_moved(matrix: np.ndarray, corner: tuple[int, int]) -> None:
    mask = planted("broad", "shift", "none").first
    y, x = np.nonzero(mask)
    mask = mask[y.min() : y.max() + 1, x.min() : x.max() + 1]
    size = (220, 260)
    seen = placed(*regions.partner(given(mask, corner, matrix), size), size)
    moved = cv2.warpAffine(placed(mask, corner, size).astype(np.float32), matrix, size[::-1]) > 0.5
    assert overlap(seen, moved) > (0.999 if np.array_equal(matrix, np.round(matrix)) else 0.97)


def test_a_partner_outside_of_the_image_is_empty() -> None:
    mask = np.ones((20, 30), bool)
    for x, y in ((500, 0), (-500, 0), (0, 500), (0, -500), (500, -500)):
        second, corner = regions.partner(given(mask, (5, 5), np.array([[1.0, 0, x], [0, 1, y]])), (100, 120))
        assert not second.any() and second.size
        assert 0 <= corner[0] < 120 and 0 <= corner[1] < 100
