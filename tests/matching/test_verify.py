"""What is measured of a region and its copy, and that a motion without a copy is turned away with a reason."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from forgery_rcnn.matching import likeness, regions, verify
from forgery_rcnn.matching.pairs import Figure, Hypothesis, gray_of, inverse
from forgery_rcnn.matching.verify import Measured
from tests.matching.planted import noise_texture

SIDE = 260
NONE = np.zeros((SIDE, SIDE), bool)


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1, y]])


MOTION = shift(130, 120)
REGION = np.zeros((SIDE, SIDE), np.uint8)
cv2.ellipse(REGION, (70, 70), (42, 34), 20, 0, 360, 1, -1)
SEEDS = np.float32([[70, 70], [50, 60], [90, 80], [80, 60], [60, 84], [75, 75]])


def figure(pixels: np.ndarray) -> Figure:
    size = pixels.shape[:2]
    return Figure(pixels, gray_of(pixels), np.zeros(size, bool), np.array([[0, 0, size[1], size[0]]]))


def copied(seed: int, broad: float = 2.0) -> np.ndarray:
    """(260, 260, 3) uint8, grey between 40 and 216, an ellipse copied by MOTION."""
    pixels = np.clip(noise_texture(broad, seed, SIDE), 40, 216)
    y, x = np.nonzero(REGION)
    pixels[y + 120, x + 130] = pixels[y, x]
    return pixels


def recoloured(seed: int, gain: float, plus: tuple[float, float, float]) -> np.ndarray:
    """The same, the copy's levels times a gain and with so much added to its red, green and blue."""
    pixels = copied(seed)
    y, x = np.nonzero(REGION)
    copy = pixels[y + 120, x + 130].astype(np.float32)
    copy = (copy - copy.mean()) * gain + copy.mean() + np.array(plus)
    pixels[y + 120, x + 130] = np.clip(np.round(copy), 0, 255)
    return pixels


def hypothesis(matrix: np.ndarray = MOTION, seeds: np.ndarray = SEEDS) -> Hypothesis:
    there = seeds @ matrix[:, :2].T + matrix[:, 2]
    return Hypothesis(matrix, seeds, there.astype(np.float32), "keypoints")


def measured(pixels: np.ndarray, found: Hypothesis | None = None) -> Measured:
    answer = verify.measured(figure(pixels), NONE, found or hypothesis())
    assert isinstance(answer, Measured), answer
    return answer


def test_a_copy_is_measured() -> None:
    found = measured(copied(0))
    assert np.array_equal(found.grown.matrix, MOTION)
    assert found.area == found.grown.mask.sum()
    assert abs(found.area - int(REGION.sum())) < 0.2 * int(REGION.sum())
    assert found.second.sum() == found.area
    assert np.array(found.second_corner).shape == (2,)
    assert found.inliers == len(SEEDS)
    assert min(found.compared.form, found.compared.middle, found.compared.fine) > 1 and found.detail > 0.8
    assert found.energy > 1
    assert found.overlap == 0


def test_a_seed_outside_of_the_region_is_no_inlier() -> None:
    outside = np.float32([[8, 8], [250, 20], [70, 150]])
    assert measured(copied(1), hypothesis(seeds=np.concatenate([SEEDS, outside]))).inliers == len(SEEDS)


def test_the_second_region_is_the_partner() -> None:
    found = measured(copied(2))
    second, corner = regions.partner(found.grown, (SIDE, SIDE))
    assert np.array_equal(found.second, second) and tuple(found.second_corner) == tuple(corner)


def test_a_motion_and_its_inverse_find_the_same_regions() -> None:
    pixels = copied(3)
    forward, back = measured(pixels), hypothesis()
    swapped = measured(pixels, Hypothesis(inverse(back.matrix), back.second, back.first, "field"))
    assert np.allclose(swapped.grown.matrix, inverse(forward.grown.matrix), atol=1e-6)
    assert abs(swapped.area - forward.area) < 0.1 * forward.area
    assert swapped.detail == pytest.approx(forward.detail, abs=0.05)


@pytest.mark.parametrize("scale", [0.75, 1.3])
def test_the_larger_region_is_brought_onto_the_smaller_one(scale: float) -> None:
    pixels = np.clip(noise_texture(3, 4, SIDE), 40, 216)
    matrix = np.array([[scale, 0, 180 - 70 * scale], [0, scale, 190 - 70 * scale]])
    there = cv2.warpAffine(REGION, matrix, (SIDE, SIDE), flags=cv2.INTER_NEAREST) > 0
    pixels[there] = cv2.warpAffine(pixels, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC)[there]
    found = measured(pixels, hypothesis(matrix))
    factor = float(np.sqrt(np.linalg.det(found.grown.matrix[:, :2])))
    assert factor == pytest.approx(max(scale, 1 / scale), rel=0.03)
    assert found.second.sum() / found.area == pytest.approx(factor**2, rel=0.06)
    assert found.area == pytest.approx(int(REGION.sum()) * min(scale, 1.0) ** 2, rel=0.25)
    assert found.inliers >= 4


@pytest.mark.parametrize("matrix", [shift(900, 0), shift(-300, -300)])
def test_a_motion_out_of_the_image_is_turned_away_in_a_line(matrix: np.ndarray) -> None:
    answer = verify.measured(figure(copied(5)), NONE, hypothesis(matrix))
    assert isinstance(answer, str)
    assert answer and len(answer.splitlines()) == 1


def test_other_motions_carry_nothing_or_little_that_is_not_the_same() -> None:
    motions = [shift(100, 70), shift(90, 60), shift(130, 134), shift(60, 150)]
    answers = [
        verify.measured(figure(copied(seed)), NONE, hypothesis(matrix)) for seed in range(4) for matrix in motions
    ]
    lines = [answer for answer in answers if isinstance(answer, str)]
    assert len(lines) >= 0.75 * len(answers)
    assert all(line and len(line.splitlines()) == 1 for line in lines)
    for answer in answers:
        if isinstance(answer, Measured):
            assert answer.detail < 0.6 and answer.area < 0.4 * int(REGION.sum())


def test_seeds_outside_of_the_image_are_answered() -> None:
    far = np.float32([[-40, 20], [900, 900]])
    for seeds in (far, np.concatenate([SEEDS, far])):
        answer = verify.measured(figure(copied(6)), NONE, hypothesis(seeds=seeds))
        assert isinstance(answer, Measured | str)


def test_what_was_drawn_over_a_region_is_not_measured() -> None:
    pixels, drawn = copied(7), NONE.copy()
    drawn[60:75, 60:85] = True
    answer = verify.measured(figure(pixels), drawn, hypothesis())
    assert isinstance(answer, Measured)
    x0, y0 = answer.grown.corner
    height, width = answer.grown.mask.shape
    assert not (answer.grown.mask & drawn[y0 : y0 + height, x0 : x0 + width]).any()
    assert answer.detail > 0.8


def test_a_pattern_moved_along_itself_overlaps_its_copy() -> None:
    tile = noise_texture(2, 8, 24)
    pixels = np.tile(tile, (11, 11, 1))[:SIDE, :SIDE]
    assert measured(pixels, hypothesis(shift(24, 0))).overlap > verify.MOST_OVERLAP
    assert measured(copied(8)).overlap < verify.MOST_OVERLAP


def test_overlap_is_of_the_smaller_region() -> None:
    found = measured(copied(9))
    corner = found.grown.corner
    assert verify._overlap(found.grown, found.grown.mask, corner) == 1
    assert verify._overlap(found.grown, found.grown.mask, (corner[0] + 2000, corner[1])) == 0
    inner = np.zeros_like(found.grown.mask)
    y, x = np.argwhere(found.grown.mask).mean(axis=0).astype(int)
    inner[y - 3 : y + 3, x - 3 : x + 3] = True
    assert verify._overlap(found.grown, inner, corner) == 1
    assert verify._overlap(found.grown, inner, (corner[0] + 3, corner[1])) == 1


def test_two_equal_sides_differ_in_nothing() -> None:
    differ = measured(copied(10)).compared
    assert differ.gain < 0.03
    assert differ.brightness < 1
    assert differ.tint < 1
    assert np.isfinite(differ.structure)


@pytest.mark.parametrize("gain", [0.7, 1.3])
def test_a_copy_of_other_contrast_is_measured_so(gain: float) -> None:
    differ = measured(recoloured(11, gain, (0, 0, 0))).compared
    assert differ.gain == pytest.approx(abs(np.log(gain)), abs=0.08)
    assert differ.brightness < 4


@pytest.mark.parametrize("levels", [-20.0, 15.0])
def test_a_brighter_copy_is_measured_so(levels: float) -> None:
    differ = measured(recoloured(12, 1.0, (levels, levels, levels))).compared
    assert differ.brightness == pytest.approx(abs(levels), abs=3)
    assert differ.gain < 0.06
    assert differ.tint < 2


def test_a_tinted_copy_is_measured_so_whichever_way() -> None:
    for plus in ((24.0, -12.0, -12.0), (-12.0, 24.0, -12.0)):
        assert measured(recoloured(13, 1.0, plus)).compared.tint > 15


def test_alike_structures_with_grain_of_their_own_differ_as_copies_do_not() -> None:
    """A copy under noise differs by the noise alone; two alike objects differ in structure."""
    rng = np.random.default_rng(15)
    clean = copied(15, 3.0).astype(np.float32)
    found = measured(clean.astype(np.uint8)).grown
    noisy = clean + rng.normal(0, 3, (SIDE, SIDE, 1))
    bent = noisy + 12 * cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)), (0, 0), 2)[..., None] * 5
    # Not its rim, which is of the surroundings: they differ in everything.
    found = replace(found, mask=cv2.erode(found.mask.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0)
    copy, alike = (
        likeness.of(figure(np.clip(np.round(p), 0, 255).astype(np.uint8)), NONE, found)[0] for p in (noisy, bent)
    )
    assert copy.structure < 0.3
    assert alike.structure > copy.structure + 0.5


def test_measuring_is_deterministic_and_leaves_the_figure() -> None:
    seen = figure(copied(16))
    before = seen.gray.copy()
    a, b = (verify.measured(seen, NONE, hypothesis()) for _ in range(2))
    assert isinstance(a, Measured) and isinstance(b, Measured)
    assert a.compared == b.compared and a.detail == b.detail and a.area == b.area
    assert np.array_equal(seen.gray, before)
