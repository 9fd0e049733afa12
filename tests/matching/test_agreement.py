"""How well a picture agrees with itself under a motion: 1 where it is equal, nothing where it is not, and nothing made up at
borders."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgery_rcnn.matching import agreement
from forgery_rcnn.matching.pairs import inverse
from tests.matching.planted import noise_texture, picture

BANDS = ("form", "middle", "detail")
SIDE = 240
NONE = np.zeros((SIDE, SIDE), bool)
SYMMETRIES = [
    np.diag(signs) @ turn for signs in itertools.product((1.0, -1.0), repeat=2) for turn in (np.eye(2), np.eye(2)[::-1])
]


def texture(seed: int, broad: float = 1.5) -> np.ndarray:
    """(240, 240) float32 levels."""
    return noise_texture(broad, seed, SIDE)[..., 0].astype(np.float32)


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1, y]])


def copied(seed: int) -> np.ndarray:
    """A texture with x 20..100, y 30..100 copied to 110 further right and 90 down."""
    gray = texture(seed)
    gray[120:190, 130:210] = gray[30:100, 20:100]
    return gray


MOTION, BOX = shift(110, 90), (20, 30, 100, 100)


def test_equal_regions_agree_fully_in_every_band() -> None:
    seen = agreement.compared(copied(0), NONE, MOTION, BOX)
    assert seen.corner == BOX[:2]
    for name in (*BANDS, "energy", "contrast"):
        values = getattr(seen, name)
        assert values.shape == (70, 80) and values.dtype == np.float32
    assert seen.inside.all()
    for name in BANDS:
        assert np.all(getattr(seen, name)[4:-4, 4:-4] == 1), name
    assert (seen.energy[10:-10, 10:-10] > 1).all() and (seen.contrast[10:-10, 10:-10] > 1).all()


def test_a_copy_agrees_where_it_lies_and_not_around() -> None:
    seen = agreement.compared(copied(1), NONE, MOTION, (0, 10, 120, 120))
    inner, outer = np.zeros((110, 120), bool), np.ones((110, 120), bool)
    inner[24:86, 24:96], outer[12:98, 12:108] = True, False
    for name in BANDS:
        values = getattr(seen, name)
        assert values[inner].min() > 0.99
        assert abs(values[outer].mean()) < 0.15


def test_a_faint_lossless_copy_agrees_and_a_flat_one_has_nothing_to_agree_in() -> None:
    gray = np.full((SIDE, SIDE), 128, np.float32)
    gray += np.random.default_rng(2).integers(0, 2, gray.shape)
    gray[120:190, 130:210] = gray[30:100, 20:100]
    assert np.median(agreement.compared(gray, NONE, MOTION, BOX).detail) == 1
    flat = agreement.compared(np.full((SIDE, SIDE), 128, np.float32), NONE, MOTION, BOX)
    assert all(np.abs(getattr(flat, name)).max() < 1e-3 for name in BANDS)
    assert flat.energy.max() < 1e-3 and flat.contrast.max() < 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_independent_noise_does_not_agree(seed: int) -> None:
    gray = np.random.default_rng(seed).uniform(0, 255, (SIDE, SIDE)).astype(np.float32)
    seen = agreement.compared(gray, NONE, shift(101, 83), (0, 0, 130, 150))
    for name in BANDS:
        assert abs(getattr(seen, name).mean()) < 0.05
        assert getattr(seen, name).max() < 0.95


def test_values_are_correlations_whatever_the_motion() -> None:
    gray = picture("coins.png")[:SIDE, :SIDE, 0].astype(np.float32)
    for linear in (*SYMMETRIES, np.array([[1.1, 0.4], [-0.4, 1.1]])):
        seen = agreement.compared(gray, NONE, np.column_stack([linear, [60.5, 71.25]]), (5, 9, 200, 180))
        for name in BANDS:
            assert np.isfinite(getattr(seen, name)).all()
            assert np.abs(getattr(seen, name)).max() <= 1 + 1e-5


def test_a_darker_copy_agrees_a_negative_one_disagrees() -> None:
    gray = copied(3)
    gray[120:190, 130:210] = 0.7 * gray[120:190, 130:210] + 20
    assert np.median(agreement.compared(gray, NONE, MOTION, BOX).middle) > 0.95
    gray[120:190, 130:210] = 255 - gray[30:100, 20:100]
    assert np.median(agreement.compared(gray, NONE, MOTION, BOX).middle) < -0.95


@pytest.mark.parametrize("side", ["first", "second"])
def test_what_is_ignored_on_either_side_is_out(side: str) -> None:
    ignored = NONE.copy()
    x, y = (40, 50) if side == "first" else (40 + 110, 50 + 90)
    ignored[y : y + 20, x : x + 30] = True
    seen = agreement.compared(copied(4), ignored, MOTION, BOX)
    expected = np.ones((70, 80), bool)
    expected[20:40, 20:50] = False
    assert np.array_equal(seen.inside, expected)
    for name in BANDS:
        assert (getattr(seen, name)[~expected] == 0).all()
        assert (getattr(seen, name)[4:16, 4:-4] == 1).all()


def test_what_the_motion_brings_from_outside_the_image_is_out() -> None:
    gray = texture(5)
    seen = agreement.compared(gray, NONE, shift(100, -30), (60, 0, 200, 90))
    expected = np.zeros((90, 140), bool)
    expected[30:, : SIDE - 160] = True
    assert np.array_equal(seen.inside, expected)
    assert all((getattr(seen, name)[~expected] == 0).all() for name in BANDS)
    for scale in (1.0, 3.0):
        far = agreement.compared(gray, NONE, np.array([[scale, 0, 5000], [0, scale, -5000]]), (0, 0, 50, 40))
        assert not far.inside.any() and not far.form.any()


@pytest.mark.parametrize("linear", SYMMETRIES, ids=lambda linear: str(linear.astype(int).tolist()))
def test_a_motion_by_whole_pixels_brings_the_very_pixels(linear: np.ndarray) -> None:
    gray, (x0, y0, x1, y1) = texture(6), (70, 80, 130, 120)
    matrix = np.column_stack([linear, np.array([120, 110]) - linear @ [100, 100]])
    first, second, inside = agreement.aligned(gray, NONE, matrix, (x0, y0, x1, y1))
    y, x = np.mgrid[y0:y1, x0:x1]
    there = np.round(matrix @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])).astype(int)
    assert inside.all()
    assert np.array_equal(first, gray[y0:y1, x0:x1])
    assert np.abs(second.ravel() - gray[there[1], there[0]]).max() < 0.01


@pytest.mark.parametrize("corner", [(0, 0), (SIDE - 60, 0), (0, SIDE - 50), (SIDE - 60, SIDE - 50)])
def test_a_window_at_the_border_says_what_a_larger_one_says(corner: tuple[int, int]) -> None:
    """But for the rim where the smaller one cannot see."""
    x, y = corner
    gray, motion = texture(7), shift(7, 3)
    large = agreement.compared(gray, NONE, motion, (0, 0, SIDE, SIDE))
    small = agreement.compared(gray, NONE, motion, (x, y, x + 60, y + 50))
    assert np.array_equal(small.inside, large.inside[y : y + 50, x : x + 60])
    for name in BANDS:
        whole = getattr(large, name)[y : y + 50, x : x + 60]
        assert np.abs(whole - getattr(small, name))[22:-22, 22:-22].max() < 0.02
    assert agreement.compared(gray, NONE, motion, (x, y, x + 1, y + 1)).form.shape == (1, 1)


def shrunk(small: tuple[int, int], large: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """x y of a region of 50 x 50 that shows the 150 x 150 at x y at a third of its size -> (240, 240) float32 of fine noise;
    motion small -> large."""
    gray = np.random.default_rng(8).uniform(0, 255, (SIDE, SIDE)).astype(np.float32)
    part = gray[large[1] : large[1] + 150, large[0] : large[0] + 150]
    gray[small[1] : small[1] + 50, small[0] : small[0] + 50] = cv2.resize(part, (50, 50), interpolation=cv2.INTER_AREA)
    return gray, np.array([[3.0, 0, large[0] + 1 - 3 * small[0]], [0, 3.0, large[1] + 1 - 3 * small[1]]])


@pytest.mark.parametrize(
    ("small", "large"), [((20, 20), (80, 80)), ((190, 190), (0, 0)), ((0, 95), (90, 20)), ((100, 0), (40, 90))]
)
def test_the_larger_side_is_smoothed_before_it_is_shrunk(small: tuple[int, int], large: tuple[int, int]) -> None:
    """At the image border too; without it every third pixel of the larger side would stand for all."""
    gray, matrix = shrunk(small, large)
    x, y = small
    first, second, inside = agreement.aligned(gray, NONE, matrix, (x, y, x + 50, y + 50))
    local = matrix.copy()
    local[:, 2] += matrix[:, :2] @ small
    aliased = cv2.warpAffine(gray, local, (50, 50), flags=cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC)
    assert inside.all()
    good, bad = (np.corrcoef(first.ravel(), values.ravel())[0, 1] for values in (second, aliased))
    assert good > 0.85
    assert bad < 0.6, "the picture does not tell"
    assert np.median(agreement.compared(gray, NONE, matrix, (x, y, x + 50, y + 50)).middle) > 0.8


def test_inputs_are_left_as_they_were() -> None:
    gray, matrix, box = copied(9), MOTION.copy(), (0, 0, 200, 200)
    before = gray.copy()
    agreement.compared(gray, NONE, matrix, box)
    agreement.refined(gray, matrix, np.ones((50, 50), bool), (30, 40), 3)
    agreement.exact(matrix, np.array([30.0, 40.0]))
    assert np.array_equal(gray, before) and np.array_equal(matrix, MOTION) and not NONE.any()


@given(
    number=st.integers(0, 7),
    jitter=st.lists(st.floats(-0.02, 0.02), min_size=4, max_size=4),
    offset=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
    centre=st.tuples(st.floats(0, 400), st.floats(0, 400)),
)
def test_a_motion_near_a_symmetry_is_snapped_to_it(
    number: int, jitter: list[float], offset: tuple[float, float], centre: tuple[float, float]
) -> None:
    """To whole pixels, and the region's middle stays where it went, within half of one."""
    matrix = np.column_stack([SYMMETRIES[number] + np.reshape(jitter, (2, 2)), offset])
    found = agreement.exact(matrix, np.array(centre))
    assert found is not None and found.shape == (2, 3)
    assert np.array_equal(found[:, :2], SYMMETRIES[number])
    assert np.array_equal(found, np.round(found))
    assert np.abs(found @ [*centre, 1] - matrix @ [*centre, 1]).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    "linear",
    [
        1.06 * np.eye(2),
        0.94 * np.eye(2),
        [[0.9962, 0.0872], [-0.0872, 0.9962]],
        [[0.7071, 0.7071], [-0.7071, 0.7071]],
        [[1, 1], [0, 1.2]],
        [[1, 0], [1, 0]],
        [[0, 0], [0, 0]],
        2 * np.eye(2),
    ],
    ids=str,
)
def test_another_motion_has_no_whole_pixels(linear: np.ndarray) -> None:
    assert agreement.exact(np.column_stack([linear, [3.0, 4.0]]), np.array([50.0, 60.0])) is None


def drift(matrix: np.ndarray, truth: np.ndarray) -> float:
    """Pixels between two motions, mean over the region."""
    y, x = np.mgrid[30:100:7, 20:100:7]
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    return float(np.linalg.norm((matrix - truth) @ points, axis=0).mean())


MASK = np.zeros((70, 80), bool)
MASK[6:-6, 6:-6] = True


@pytest.mark.parametrize("off", [(1.0, 0.0), (0.0, -1.0), (0.7, 0.7), (-1.0, 1.0)])
@pytest.mark.parametrize("blur", [3, 7])
@pytest.mark.parametrize("broad", [1.5, 4.0])
def test_a_motion_off_by_a_pixel_is_put_right(off: tuple[float, float], blur: int, broad: float) -> None:
    gray = texture(10, broad)
    gray[120:190, 130:210] = gray[30:100, 20:100]
    found = agreement.refined(gray, shift(110 + off[0], 90 + off[1]), MASK, (20, 30), blur)
    assert found.shape == (2, 3) and found.dtype == np.float64
    assert drift(found, MOTION) < 0.2


@pytest.mark.parametrize("seed", range(4))
def test_refining_makes_no_motion_worse(seed: int) -> None:
    """A turned and scaled copy under noise, begun at the truth or up to a pixel and a degree off."""
    rng = np.random.default_rng(seed)
    turn, scale = np.radians(rng.uniform(-30, 30)), rng.uniform(1, 1.2)
    linear = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    truth = np.column_stack([linear, np.array([165, 165]) - linear @ [60, 65]])
    gray = texture(20 + seed, 3)
    there = cv2.warpAffine(np.pad(MASK, ((24, SIDE - 94), (14, SIDE - 94))).astype(np.uint8), truth, (SIDE, SIDE)) > 0
    gray = np.where(there, cv2.warpAffine(gray, truth, (SIDE, SIDE), flags=cv2.INTER_CUBIC), gray)
    gray += rng.normal(0, 2, gray.shape).astype(np.float32)
    inner = np.zeros_like(MASK)
    inner[14:-14, 14:-14] = True
    for off, degrees in ((0.0, 0.0), (1.0, 0.0), (0.5, 1.0)):
        angle = np.radians(degrees)
        tilt = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        start = np.column_stack([tilt @ linear, np.array([165 + off, 165]) - tilt @ linear @ [60, 65]])
        found = agreement.refined(gray, start, inner, (20, 30), 7)
        assert drift(found, truth) <= drift(start, truth) + 0.25


def test_without_anything_to_go_by_a_motion_stays() -> None:
    flat = np.full((SIDE, SIDE), 99, np.float32)
    start = shift(110.3, 89.6)
    assert np.array_equal(agreement.refined(flat, start, MASK, (20, 30), 3), start)
    noise = np.random.default_rng(0).uniform(0, 255, (SIDE, SIDE)).astype(np.float32)
    assert drift(agreement.refined(noise, start, MASK, (20, 30), 3), start) < 8
    outside = shift(4000, 0)
    assert np.array_equal(agreement.refined(texture(0), outside, MASK, (20, 30), 3), outside)


def test_a_band_holds_what_lies_between_two_blurs_and_no_brightness() -> None:
    gray = texture(11)
    assert abs(agreement.band(gray, *agreement.FORM).mean()) < 0.5
    assert np.abs(agreement.band(np.full((50, 60), 200, np.float32), 0.0, 1.2)).max() < 1e-3
    fine, coarse = (np.float32(50 * np.sin(np.arange(200) / period)) for period in (0.5, 9))
    for low, high in (agreement.DETAIL, agreement.MIDDLE):
        strength = [agreement.band(np.tile(wave, (40, 1)), low, high).std() for wave in (fine, coarse)]
        assert strength[0] > strength[1]
    assert agreement.parts_of(inverse(shift(3, 4))).scale == pytest.approx(1)
