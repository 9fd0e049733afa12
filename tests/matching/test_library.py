"""The index of features: finds what files share under every motion, and little else; grows far below the pairs of panels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from forgery_rcnn.matching import library, signs
from forgery_rcnn.matching.keypoints import Keypoints
from forgery_rcnn.matching.library import Candidate, Library
from forgery_rcnn.matching.pairs import Figure, gray_of, parts_of

SIDE = 160


def speckled(seed: int, side: int = SIDE) -> np.ndarray:
    """(side, side, 3) uint8: blobs of all sizes."""
    rng = np.random.default_rng(seed)
    noise = sum(cv2.GaussianBlur(rng.standard_normal((side, side)), (0, 0), s) * s for s in (1.5, 3.0, 6.0))
    return np.repeat(np.clip(128 + 45 * noise / noise.std(), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def figure(pixels: np.ndarray) -> Figure:
    size = pixels.shape[:2]
    return Figure(pixels, gray_of(pixels), np.zeros(size, bool), np.array([[0, 0, size[1], size[0]]]))


def points(pixels: np.ndarray, limit: int = 150) -> Keypoints:
    found = figure(pixels)
    return library.features(found, found.panels[0], limit, 1600)


def shelf(*files: np.ndarray | Keypoints) -> Library:
    made = Library()
    for number, file in enumerate(files):
        made.add(number, file if isinstance(file, Keypoints) else points(file))
    return made


def turned(pixels: np.ndarray, degrees: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """-> the picture, and the matrix that took it there."""
    matrix = cv2.getRotationMatrix2D((SIDE / 2 - 0.5, SIDE / 2 - 0.5), degrees, scale)
    return cv2.warpAffine(pixels, matrix, (SIDE, SIDE), borderValue=(128, 128, 128)), matrix


@pytest.fixture(scope="module")
def others() -> list[Keypoints]:
    """Of four pictures that share nothing."""
    return [points(speckled(seed)) for seed in range(1, 5)]


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (90, 1), (37, 1), (-140, 1), (0, 0.75), (20, 1.3)])
@pytest.mark.parametrize("mirror", ["plain", "mirrored"])
def test_a_picture_is_found_again_with_its_motion(
    others: list[Keypoints], degrees: float, scale: float, mirror: str
) -> None:
    own = speckled(0)
    shown, matrix = turned(np.ascontiguousarray(own[:, ::-1]) if mirror == "mirrored" else own, degrees, scale)
    if mirror == "mirrored":
        matrix = matrix @ np.array([[-1.0, 0, SIDE - 1], [0, 1, 0], [0, 0, 1]])
    (found,) = shelf(*others, own, shown).candidates()
    assert (found.first, found.second) == (4, 5)
    assert len(found.first_xy) == len(found.second_xy) >= 10
    middle = np.array([SIDE / 2, SIDE / 2, 1])
    assert np.linalg.norm(found.matrix @ middle - matrix @ middle) < 3
    assert np.abs(found.matrix[:, :2] - matrix[:, :2]).max() < 0.06
    assert parts_of(found.matrix).mirrored == (mirror == "mirrored")


def test_a_patch_in_another_picture_is_found(others: list[Keypoints]) -> None:
    host = speckled(9)
    host[20:110, 50:140] = np.rot90(speckled(0)[50:140, 40:130])
    (found,) = shelf(speckled(0), *others, host).candidates()
    assert (found.first, found.second) == (0, 5) and abs(parts_of(found.matrix).turn - 90) < 3
    assert (found.second_xy >= [45, 15]).all() and (found.second_xy <= [145, 115]).all()


def test_pictures_that_share_nothing_give_nothing(others: list[Keypoints]) -> None:
    assert shelf(speckled(0), *others).candidates() == []


def test_panels_of_one_file_are_not_held_against_each_other(others: list[Keypoints]) -> None:
    made = Library()
    for file, panel in ((0, others[0]), (0, others[0]), (1, others[1])):
        made.add(file, panel)
    assert made.candidates() == []


def test_what_every_file_has_is_no_reuse() -> None:
    """A small mark in all of many files; one that holds half of another too is found first."""
    mark = speckled(77, 40)
    files = [speckled(seed) for seed in range(20, 34)]
    for pixels in files:
        pixels[110:150, 10:50] = mark
    files[7][:100] = files[2][:100]
    found = shelf(*files).candidates()
    assert (found[0].first, found[0].second) == (2, 7)
    assert len(found) == 1 or found[1].weight < found[0].weight / 4


@pytest.mark.parametrize("files", [(), (speckled(0),), (np.full((SIDE, SIDE, 3), 90, np.uint8),) * 3])
def test_nothing_to_compare(files: tuple[np.ndarray, ...]) -> None:
    assert shelf(*files).candidates() == []


def test_the_answer_is_always_the_same_and_bounded_per_panel() -> None:
    copies = [points(speckled(0))] * 12
    once, again = shelf(*copies).candidates(), shelf(*copies).candidates()
    assert [(c.first, c.second, c.weight) for c in once] == [(c.first, c.second, c.weight) for c in again]
    assert once and max(sum(n in (c.first, c.second) for c in once) for n in range(12)) <= library.KEPT
    assert {n for c in once for n in (c.first, c.second)} == set(range(12))  # each is found to be reused


def test_of_many_only_the_heaviest_are_kept() -> None:
    def one(first: int, second: int, weight: float) -> Candidate:
        return Candidate(first, second, np.eye(2, 3), np.zeros((1, 2)), np.zeros((1, 2)), weight)

    found = library._few([one(0, n, float(n)) for n in range(1, 9)])
    assert [c.second for c in found] == [8, 7, 6, 5, 4, 3][: library.KEPT]


def test_a_long_panel_is_described_small_in_its_own_pixels() -> None:
    large = cv2.resize(speckled(0, 250), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    found = library.features(figure(large), np.array([60, 50, 460, 450]), 300, 200)
    assert len(found) > 50
    assert found.xy.min(axis=0).tolist() >= [60, 50] and (found.xy < [460, 450]).all()
    assert found.scale.min() >= 2  # nothing finer than a pixel of what was looked at
    ignored = figure(large)
    ignored.ignored[:] = True
    assert len(library.features(ignored, np.array([60, 50, 460, 450]), 300, 200)) == 0


def test_buckets_stay_as_full_as_they_are() -> None:
    """Random features: twice as many are looked up with one sign more, so that pairs to compare double, not quadruple."""
    rng = np.random.default_rng(0)

    def compared(count: int) -> int:
        levels = np.minimum(np.abs(rng.normal(0, 40, (count, 128))), 255).astype(np.uint8)
        codes = signs.Signs(levels).of(levels)
        keys = signs.keys_of(codes, np.arange(round(np.log2(count))))
        order = np.argsort(keys, kind="stable")
        return sum(len(first) for first, _ in signs.same_bucket(keys, keys[order], order))

    assert compared(16384) / compared(4096) == pytest.approx(4, rel=0.15)


def test_common_words_say_nothing() -> None:
    keys = np.array([5] * (signs.CROWDED + 1) + [7] * 3, np.uint32)
    parts = list(signs.same_bucket(keys, keys, np.arange(len(keys))))
    assert sum(len(first) for first, _ in parts) == 9
