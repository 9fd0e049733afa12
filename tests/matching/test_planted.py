"""What the twin finder is asked for: planted copies are found, nothing else is, and the answer is always the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
import pytest

from forgery_rcnn.matching.finder import find
from forgery_rcnn.matching.pairs import Finding
from forgery_rcnn.matching_config import MatchingConfig
from tests.matching.planted import HOSTS, PERIODIC, RICH, SMOOTH, Forgery, f1, gray, made, mask_of

CONFIG = MatchingConfig()
GOOD = 0.8


@cache
def found_in(forgery: Forgery) -> Finding:
    return find(made(forgery).pixels, CONFIG)


def scored(forgeries: Sequence[Forgery]) -> dict[str, float]:
    """-> F1 by the forgery's name."""
    return {str(one): f1(mask_of(found_in(one)), made(one).union) for one in forgeries}


def good_share(scores: dict[str, float]) -> float:
    return float(np.mean([score >= GOOD for score in scores.values()]))


def poor(scores: dict[str, float]) -> str:
    return "; ".join(f"{name} {score:.2f}" for name, score in scores.items() if score < GOOD)


def test_copies_of_rich_regions_are_found() -> None:
    scores = scored(RICH)
    assert good_share(scores) >= 0.9, poor(scores)


def test_copies_of_smooth_regions_are_found() -> None:
    """Noise added afterwards, and blots under JPEG, are what is missed (docs/lab.md): six of ten are found, seven before the contrast was
    evened."""
    scores = scored(SMOOTH)
    assert good_share(scores) >= 0.6, poor(scores)


def test_the_motion_is_the_one_that_was_made() -> None:
    """First -> second or the other way round, within 2 px across the region."""
    forgery = RICH[4]
    planted, (best, *_) = made(forgery), found_in(forgery).pairs
    ways = ((planted.matrix, planted.first), (cv2.invertAffineTransform(planted.matrix), planted.second))
    errors = []
    for matrix, region in ways:
        y, x = np.nonzero(region)
        points = np.stack([x, y, np.ones_like(x)]).astype(float)
        errors.append(np.linalg.norm((best.matrix - matrix) @ points, axis=0).mean())
    assert min(errors) < 2


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_a_picture_without_repetition_gives_nothing(name: str) -> None:
    assert find(HOSTS[name](), CONFIG).pairs == ()


@pytest.mark.parametrize("name", sorted(PERIODIC))
def test_legitimate_repetition_gives_nothing(name: str) -> None:
    assert find(PERIODIC[name](), CONFIG).pairs == ()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (3, 5), (17, 40), (64, 64), (31, 700)])
@pytest.mark.parametrize("kind", ["noise", "black", "white", "ramp"])
def test_any_size_is_answered(size: tuple[int, int], kind: str) -> None:
    values = {
        "noise": np.random.default_rng(0).uniform(0, 255, size),
        "black": np.zeros(size),
        "white": np.full(size, 255.0),
        "ramp": np.linspace(0, 255, size[0] * size[1]).reshape(size),
    }
    found = find(gray(values[kind]), CONFIG)
    assert found.figure.size == size
    assert found.pairs == ()


def facts(finding: Finding) -> list[tuple[object, ...]]:
    return [
        (pair.first.tobytes(), pair.second.tobytes(), pair.matrix.tobytes(), pair.score, pair.chance, pair.correlation)
        for pair in finding.pairs
    ]


@pytest.mark.parametrize("forgery", [RICH[0], RICH[17], SMOOTH[2]], ids=str)
def test_the_answer_is_the_same_each_time(forgery: Forgery) -> None:
    """Whatever else drew random numbers or ran in OpenCV before."""
    first = facts(found_in(forgery))
    cv2.setRNGSeed(12345)
    np.random.default_rng().random(10)
    find(PERIODIC["glyphs"](), CONFIG)
    assert facts(find(made(forgery).pixels, CONFIG)) == first
    assert first, "nothing found, nothing compared"


def test_pairs_lie_in_the_image_and_apart() -> None:
    """Regions are in the image, not empty, and most of a region is not its own copy."""
    for forgery in (RICH[0], RICH[8], SMOOTH[0]):
        finding = found_in(forgery)
        assert finding.pairs
        height, width = finding.figure.size
        for pair in finding.pairs:
            for runs in (pair.first, pair.second):
                assert runs[:, 1].sum() >= CONFIG.min_area
                assert runs[0, 0] >= 0 and runs[-1].sum() <= height * width
            assert 0 <= pair.score <= 1 and 0 <= pair.chance <= CONFIG.max_chance and -1 <= pair.correlation <= 1


def test_the_image_is_left_as_it_was() -> None:
    pixels = made(RICH[0]).pixels.copy()
    find(pixels, CONFIG)
    assert np.array_equal(pixels, made(RICH[0]).pixels)
