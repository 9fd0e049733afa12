"""What was planted is found, noise is not, and neither an image nor its brightness passes for a cue."""

from __future__ import annotations

import math

import numpy as np
import pytest

from forgery_rcnn import separability as cues
from forgery_rcnn.separability import separability, separation

IMAGES, PAIRS, WIDTH = 24, 2, 64
GROUPS = np.repeat(np.arange(IMAGES), 2 * PAIRS)
FORGED = np.tile([True] * PAIRS + [False] * PAIRS, IMAGES)


def noise(seed: int, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).normal(size=(len(GROUPS), WIDTH))


def planted(seed: int) -> np.ndarray:
    """Noise with dimensions 0, 1 and 2 of the forged shifted by 1.5 standard deviations."""
    vectors = noise(seed)
    vectors[FORGED, :3] += 1.5
    return vectors


def test_a_planted_cue_is_found_in_its_three_dimensions() -> None:
    found = separation(planted(0), FORGED, GROUPS)
    assert found is not None
    assert found.auc.value > 0.85 and found.auc.low > 0.75 and found.auc_chance.p < 0.01
    assert found.surviving == 3
    assert set(np.argsort(-np.abs(found.cloud.d_primes))[:3]) == {0, 1, 2}
    assert found.d_prime == pytest.approx(1.5, abs=0.5)
    assert found.large.value == 3 and found.large.high < 3 and found.large.p < 0.01
    assert found.auc.value == separability(planted(0), FORGED, GROUPS)
    assert np.mean(found.cloud.scores[FORGED]) > np.mean(found.cloud.scores[~FORGED])


def test_noise_has_many_large_differences_and_so_has_its_null() -> None:
    """At five times the scale most of the dimensions pass 0.9 either way: the count alone shows nothing."""
    found = separation(noise(1, scale=8.0), FORGED, GROUPS)
    assert found is not None
    assert found.large.value > 20 and found.large.mean > 20
    assert found.large.value <= found.large.high and found.large.p > 0.05
    assert found.surviving == 0 and found.auc_chance.p > 0.05


def test_chance_is_a_half_on_average() -> None:
    aucs = [separability(noise(seed), FORGED, GROUPS) for seed in range(40)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.03)


def test_p_is_uniform_under_noise() -> None:
    found = [separation(noise(seed), FORGED, GROUPS) for seed in range(20)]
    assert sum(each is not None and each.auc_chance.p <= 0.05 for each in found) <= 4


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_an_image_is_no_cue(scale: float) -> None:
    """All vectors of an image share a large offset: a fold that parted an image would learn nothing but the image."""
    offsets = scale * np.random.default_rng(3).normal(size=(IMAGES, WIDTH))
    aucs = [separability(noise(seed) + offsets[GROUPS], FORGED, GROUPS) for seed in range(20)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.05)


def test_images_that_are_all_forged_do_not_leak() -> None:
    """Half of the images hold forged regions only, and their offset gives them away; only the others may count."""
    alone = GROUPS < IMAGES // 2
    forged = FORGED | alone
    vectors = noise(4) + 10.0 * alone[:, None]
    kept = separation(vectors, forged, GROUPS)
    assert kept is not None and kept.images == IMAGES // 2 and kept.regions == (~alone).sum()
    assert kept.auc_chance.p > 0.05


def test_the_order_of_the_rows_does_not_matter() -> None:
    order = np.random.default_rng(5).permutation(len(GROUPS))
    assert separability(planted(6)[order], FORGED[order], GROUPS[order] * 7 + 3) == pytest.approx(
        separability(planted(6), FORGED, GROUPS)
    )


@pytest.mark.parametrize("count", [0, 1, 7])
def test_fewer_than_eight_images_say_nothing(count: int) -> None:
    some = count > GROUPS
    assert math.isnan(separability(planted(0)[some], FORGED[some], GROUPS[some]))
    assert separation(planted(0)[some], FORGED[some], GROUPS[some]) is None


def test_eight_images_of_one_pair_are_measured_without_an_interval() -> None:
    some = (np.arange(len(GROUPS)) % 2 == 0) & (GROUPS < 8)
    found = separation(planted(0)[some], FORGED[some], GROUPS[some])
    assert found is not None and (found.images, found.regions) == (8, 16)
    assert 0 <= found.auc.value <= 1 and math.isnan(found.auc.low) and math.isnan(found.auc.high)
    some = (np.arange(len(GROUPS)) % 2 == 0) & (GROUPS < 10)
    found = separation(planted(0)[some], FORGED[some], GROUPS[some])
    assert found is not None and found.auc.low <= found.auc.value <= found.auc.high


def test_p_is_uniform_where_an_image_has_one_forged_region_and_five_controls() -> None:
    groups, forged = np.repeat(np.arange(16), 6), np.tile([True] + [False] * 5, 16)
    vectors = [np.random.default_rng(seed).normal(size=(96, 32)) for seed in range(40)]
    p = [found.auc_chance.p for v in vectors if (found := separation(v, forged, groups)) is not None]
    assert len(p) == 40 and sum(each <= 0.05 for each in p) <= 6 and 0.35 < np.mean(p) < 0.65


def test_vectors_that_never_change_hold_nothing() -> None:
    constant = np.full((len(GROUPS), WIDTH), 3.7, np.float32)
    for vectors in (constant, constant * (1 + 1e-7 * noise(0)), np.zeros_like(constant)):
        found = separation(vectors, FORGED, GROUPS)
        assert found is not None
        assert found.auc.value == 0.5 and found.auc_chance.p == 1.0
        assert found.surviving == 0 and found.d_prime == found.fisher == 0.0 and math.isnan(found.silhouette)


def test_numbers_per_dimension_are_as_by_hand() -> None:
    """Forged 1 and 3, authentic 0 and 2: means 2 and 1, both variances 1; the second dimension never moves."""
    vectors = np.array([[1.0, 5], [0, 5], [3, 5], [2, 5]])
    forged, groups = np.array([True, False, True, False]), np.array([0, 0, 1, 1])
    differences = cues.mean_differences(vectors, forged[None])
    assert differences.tolist() == [[1.0, 0.0]]
    d_primes, fisher = cues.ratios(vectors, forged, differences[0])
    assert d_primes.tolist() == [1.0, 0.0] and fisher.tolist() == [0.5, 0.0]
    assert cues.p_values(vectors, forged, groups).tolist() == [0.0, 1.0], "each image differs by exactly 1, and by 0"
    vectors[2, 0] = 5  # the images differ by 1 and 3: mean 2, standard error 1, t = 2 with 1 degree of freedom
    assert cues.p_values(vectors, forged, groups)[0] == pytest.approx(0.29517, abs=1e-4)


def test_silhouette_of_two_far_clouds_is_near_one() -> None:
    far = 0.01 * noise(0) + FORGED[:, None]
    assert cues.silhouette(far, FORGED) > 0.9 > cues.silhouette(noise(0), FORGED)
    assert math.isnan(cues.silhouette(noise(0)[:2], np.array([True, False])))


def test_a_cue_that_is_lost_between_two_sets_is_seen() -> None:
    before, after = (separation(v, FORGED, GROUPS) for v in (noise(7), planted(7)))
    assert before is not None and after is not None
    gain = cues.rise(before.cloud, after.cloud)
    assert gain.low > 0 and gain.value == pytest.approx(after.auc.value - before.auc.value)
    assert cues.rise(after.cloud, after.cloud).value == 0.0


def test_it_gives_the_same_twice() -> None:
    rng = np.random.default_rng(8)
    vectors, groups = rng.normal(size=(384, 256)).astype(np.float32), np.arange(384) // 12
    forged = np.arange(384) % 6 == 0  # 32 images of two regions with five controls each
    assert len({separability(vectors, forged, groups) for _ in range(3)}) == 1
