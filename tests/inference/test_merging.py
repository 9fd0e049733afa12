"""Means and votes over predictions of one image, by hand."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgery_rcnn import rle
from forgery_rcnn.config import InferenceConfig
from forgery_rcnn.inference.merging import TIE, covered, groups, mean, vote
from forgery_rcnn.instances import Instances, Prediction
from tests.conftest import Refused

light = settings(max_examples=40, deadline=None)
SIZE = (12, 20)


def prediction(*found: tuple[float, tuple[int, int, int, int]], heat: float = 0.0, image: float = 0.5) -> Prediction:
    """Rectangles x0 y0 x1 y1 with their scores, best first; one value everywhere in the heat map."""
    masks = np.zeros((len(found), *SIZE), bool)
    for mask, (_, (x0, y0, x1, y1)) in zip(masks, found, strict=True):
        mask[y0:y1, x0:x1] = True
    boxes = np.array([box for _, box in found], np.float32).reshape(-1, 4)
    scores = np.array([score for score, _ in found], np.float32)
    return Prediction(Instances.from_masks(masks), boxes, scores, np.full(SIZE, heat, np.float32), image)


def by(*thresholds: float) -> list[InferenceConfig]:
    """Settings with one threshold for scores and masks each."""
    return [InferenceConfig(score_threshold=at, mask_threshold=at) for at in thresholds]


def same(a: Prediction, b: Prediction) -> None:
    assert [runs.tolist() for runs in a.instances.runs] == [runs.tolist() for runs in b.instances.runs]
    np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-5)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)
    np.testing.assert_allclose(a.heatmap, b.heatmap, atol=1e-6)
    assert a.image_score == pytest.approx(b.image_score)


def test_heat_maps_and_image_scores_are_averaged_by_weight() -> None:
    found = mean([prediction(heat=0.2, image=0.9), prediction(heat=0.8, image=0.1)], [3, 1], "map")
    np.testing.assert_allclose(found.heatmap, 0.35, atol=1e-6)
    assert found.image_score == pytest.approx(0.7) and len(found.instances) == 0 and found.heatmap.dtype == np.float32


def test_a_mean_of_maps_never_holds_more_than_one_of_them() -> None:
    """A generator is enough, and what it gave is not kept or changed."""
    given_out = []

    def one_by_one():
        for heat in (0.3, 0.6):
            given_out.append(prediction(heat=heat))
            yield given_out[-1]

    assert mean(one_by_one(), [1, 1], "map").heatmap[0, 0] == pytest.approx(0.45)
    assert [found.heatmap.max() for found in given_out] == pytest.approx([0.3, 0.6])


def test_means_stay_within_one() -> None:
    found = mean([prediction((1.0, (0, 0, 3, 3)), heat=1.0, image=1.0)] * 7, [0.1, 0.2, 0.3, 0.7, 0.9, 1.1, 1.3], "map")
    assert found.heatmap.max() <= 1 and found.image_score <= 1
    assert found.heatmap.min() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("gives", ["map", "instances"])
def test_one_prediction_is_its_own_mean(gives: str) -> None:
    one = prediction((0.9, (0, 0, 3, 3)))
    assert mean([one], [0.3], gives) is one


def test_regions_that_overlap_are_one_and_their_scores_count_who_missed_them() -> None:
    a = prediction((0.9, (0, 0, 10, 4)), (0.6, (14, 0, 18, 4)), image=0.9)
    b = prediction((0.7, (2, 0, 12, 4)), image=0.7)  # IoU with the first of a: 32 of 48
    found = mean([a, b], [1, 1], "instances")
    np.testing.assert_allclose(found.scores, [0.8, 0.3], atol=1e-6)
    np.testing.assert_allclose(found.boxes, [[1, 0, 11, 4], [14, 0, 18, 4]], atol=1e-6)
    assert found.instances.areas().tolist() == [40, 16]  # at just half the surer of the two decides: its mask
    assert found.instances.boxes()[0].tolist() == [0, 0, 10, 4]
    assert found.image_score == pytest.approx(0.8)


def test_the_heavier_member_decides_over_a_pixel() -> None:
    a, b = prediction((0.9, (0, 0, 10, 4))), prediction((0.3, (2, 0, 12, 4)))
    found = mean([a, b], [2, 1], "instances")
    assert found.instances.masks()[0].tolist() == a.instances.masks()[0].tolist()
    assert found.scores[0] == pytest.approx(0.7)
    np.testing.assert_allclose(found.boxes[0], [2 / 3, 0, 32 / 3, 4], rtol=1e-6)


def test_two_of_three_decide_over_a_pixel_and_only_those_who_saw_the_region_count() -> None:
    a, b, c = (prediction((score, (x, 0, x + 8, 4))) for score, x in ((0.9, 0), (0.8, 1), (0.7, 2)))
    (mask,) = mean([a, b, c], [1, 1, 1], "instances").instances.masks()
    assert np.flatnonzero(mask.any(axis=0)).tolist() == list(range(1, 9))
    (mask,) = mean([a, b, prediction()], [1, 1, 1], "instances").instances.masks()
    assert np.flatnonzero(mask.any(axis=0)).tolist() == list(range(0, 8))  # two of these three are even: the surer


@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [0.1, 0.1, 0.1, 0.1], [0.3, 0.2, 0.4, 0.1]])
def test_the_surest_decides_only_where_the_others_are_even(weights: list[float]) -> None:
    """Columns: 0 of one, 1 of two with the surest (b), 2..8 of all, 9 of two without it, 10 of none but the third."""
    a, b = prediction((0.6, (2, 0, 10, 4))), prediction((0.9, (1, 0, 9, 4)))
    c, d = prediction((0.7, (2, 0, 11, 4))), prediction((0.8, (0, 0, 9, 4)))
    found = mean([a, b, c, d], weights, "instances")
    whole = range(1, 9) if weights[0] == weights[1] else range(2, 10)  # by weight: b and d 0.3, a and c 0.7
    assert np.flatnonzero(found.instances.masks()[0].any(axis=0)).tolist() == list(whole)


def test_two_equal_views_give_the_mask_of_the_surer_whichever_comes_first() -> None:
    """108 px each, 96 in common: the union is 120."""
    a, b = prediction((0.8, (0, 0, 9, 12))), prediction((0.9, (1, 0, 10, 12)))
    for found in (mean([a, b], [1, 1], "instances"), mean([b, a], [1, 1], "instances")):
        assert found.instances.runs[0].tolist() == b.instances.runs[0].tolist()
        np.testing.assert_allclose(found.boxes, [[0.5, 0, 9.5, 12]])
        np.testing.assert_allclose(found.scores, [0.85], atol=1e-6)


def test_below_half_an_overlap_regions_stay_apart() -> None:
    """5 x 4 of 10 x 4 pixels and 5 x 4: IoU exactly a half is the same; one column less is not."""
    a = prediction((0.9, (0, 0, 10, 4)))
    assert len(mean([a, prediction((0.8, (0, 0, 5, 4)))], [1, 1], "instances").scores) == 1
    assert len(mean([a, prediction((0.8, (0, 0, 4, 4)))], [1, 1], "instances").scores) == 2


def test_a_group_takes_one_instance_of_each_and_the_best_that_fits() -> None:
    a = prediction((0.9, (0, 0, 10, 4)), (0.8, (0, 0, 10, 6)))
    b = prediction((0.7, (0, 0, 10, 6)), (0.6, (0, 0, 10, 4)))
    assert groups([a, b]) == [{0: 0, 1: 1}, {0: 1, 1: 0}]


def test_nothing_and_empty_regions() -> None:
    none = mean([prediction(), prediction()], [1, 2], "instances")
    assert len(none.instances) == 0 and none.boxes.shape == (0, 4) and none.scores.dtype == np.float32
    empty = prediction((0.4, (0, 0, 0, 0)))
    same(mean([empty, empty], [1, 2], "instances"), empty)


@pytest.mark.parametrize("wrong", [[1, 0], [1, -2], []])
def test_weights_are_positive(wrong: list[float], refused: Refused) -> None:
    with refused("weights", "positive"):
        mean([prediction(), prediction()], wrong, "map")


rectangles = st.tuples(st.integers(0, 10), st.integers(0, 8), st.integers(1, 10), st.integers(1, 4)).map(
    lambda r: (r[0], r[1], r[0] + r[2], r[1] + r[3])
)


@st.composite
def several(draw: st.DrawFn) -> list[Prediction]:
    """Two to four predictions, all scores distinct."""
    counts = draw(st.lists(st.integers(0, 4), min_size=2, max_size=4))
    scores = draw(st.permutations([round(0.05 + 0.04 * i, 2) for i in range(sum(counts))]))
    left = iter(scores)
    return [
        prediction(
            *((score, draw(rectangles)) for score in sorted((next(left) for _ in range(count)), reverse=True)),
            heat=draw(st.floats(0, 1, width=32)),
            image=draw(st.floats(0, 1)),
        )
        for count in counts
    ]


def sorted_by_score(found: Prediction) -> Prediction:
    """Equal means may come in any order: by score, then by pixels."""
    order = sorted(
        range(len(found.scores)), key=lambda i: (-round(float(found.scores[i]), 5), found.instances.runs[i].tolist())
    )
    return found.take(order)


@light
@given(several(), st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(found: list[Prediction], shuffle) -> None:
    order = list(range(len(found)))
    shuffle.shuffle(order)
    weights = [1.0, 2.0, 0.5, 1.5][: len(found)]
    for merge in (
        lambda p, w: mean(p, w, "instances"),
        lambda p, w: mean(p, w, "map"),
        lambda p, w: vote(p, w, "instances", by(*[0.2] * len(p))),
        lambda p, w: vote(p, w, "map", by(*[0.5] * len(p))),
    ):
        one, other = merge(found, weights), merge([found[i] for i in order], [weights[i] for i in order])
        same(sorted_by_score(one), sorted_by_score(other))


@light
@given(several(), st.integers(2, 5))
def test_identical_predictions_merge_to_themselves(found: list[Prediction], times: int) -> None:
    weights = [0.7 + 0.3 * i for i in range(times)]
    same(mean([found[0]] * times, weights, "instances"), found[0])
    voted = vote([found[0]] * times, weights, "instances", by(*[0.0] * times))
    assert [runs.tolist() for runs in voted.instances.runs] == [runs.tolist() for runs in found[0].instances.runs]
    np.testing.assert_allclose(voted.scores, found[0].scores, atol=1e-6)


@light
@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(1, 3)), min_size=1, max_size=4), st.integers(1, 8))
def test_covered_counts_weights_at_each_pixel(told: Sequence[tuple[int, int]], least: int) -> None:
    masks = [np.array([bits >> i & 1 for i in range(16)], bool).reshape(4, 4) for bits, _ in told]
    weight = sum(w * mask.astype(int) for mask, (_, w) in zip(masks, told, strict=True))
    found = covered([rle.runs_of(mask) for mask in masks], [w for _, w in told], least)
    np.testing.assert_array_equal(found, rle.runs_of(weight >= least))


def maps(*rows: Sequence[float], images: Sequence[float]) -> list[Prediction]:
    """Heat maps of one row each."""
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    return [
        Prediction(Instances((1, len(row))), *none, np.float32([row]), score)
        for row, score in zip(rows, images, strict=True)
    ]


def test_two_of_three_maps_decide() -> None:
    found = vote(
        maps([0.9, 0.4, 0.6, 0.1], [0.9, 0.9, 0.3, 0.1], [0.5, 0.5, 0.3, 0.1], images=(0.9, 0.6, 0.2)),
        [1, 1, 1],
        "map",
        by(0.5, 0.5, 0.5),
    )
    np.testing.assert_allclose(found.heatmap, [[1, 2 / 3, 1 / 3, 0]], atol=1e-6)
    assert found.image_score == pytest.approx(2 / 3) and len(found.instances) == 0


def test_each_map_votes_by_its_own_threshold_and_weight() -> None:
    found = vote(maps([0.4, 0.4], [0.9, 0.1], images=(1, 0)), [3, 1], "map", by(0.3, 0.95))
    np.testing.assert_allclose(found.heatmap, [[0.75, 0.75]])
    assert found.image_score == 0.75


def test_half_of_the_votes_is_no_majority() -> None:
    found = vote(maps([1, 0, 1], [0, 0, 1], images=(1, 0)), [0.3, 0.3], "map", by(0.5, 0.5))
    assert (found.heatmap >= 0.5).tolist() == [[False, False, True]]
    assert found.heatmap[0, 0] == np.float32(TIE) and found.image_score == TIE < 0.5


def test_regions_that_two_of_three_found_stay() -> None:
    a = prediction((0.9, (0, 0, 8, 4)), (0.8, (12, 0, 16, 4)), image=0.9)
    b = prediction((0.7, (1, 0, 9, 4)), (0.3, (12, 0, 16, 4)), image=0.7)
    c = prediction((0.4, (0, 0, 8, 4)), image=0.4)
    found = vote([a, b, c], [1, 1, 1], "instances", by(0.5, 0.5, 0.5))
    # the second region has one vote: b is not sure enough of it; of the first, c is not
    assert found.scores.tolist() == pytest.approx([0.8])
    np.testing.assert_allclose(found.boxes, [[0.5, 0, 8.5, 4]])
    assert np.flatnonzero(found.instances.masks()[0].any(axis=0)).tolist() == list(
        range(1, 8)
    )  # both of the two say so
    np.testing.assert_allclose(found.heatmap[0, [0, 4, 8, 12, 18]], [1 / 3, 2 / 3, 1 / 3, 1 / 3, 0], atol=1e-6)
    assert found.image_score == pytest.approx(2 / 3)


def test_nobody_finds_anything() -> None:
    found = vote([prediction()] * 3, [1, 1, 1], "instances", by(0.5, 0.5, 0.5))
    assert len(found.instances) == 0 and found.heatmap.max() == 0


def test_who_calls_an_image_authentic_votes_for_nothing_in_it() -> None:
    """The second member's image score is below its own threshold; the third has none, and votes for the image from 0.5 on."""
    configs = [replace(one, image_threshold=at) for one, at in zip(by(0.5, 0.5, 0.5), (0.3, 0.8, 0.0), strict=True)]
    found = vote(maps([1, 1, 0], [1, 1, 1], [0, 1, 1], images=(0.3, 0.7, 0.4)), [1, 1, 1], "map", configs)
    np.testing.assert_allclose(found.heatmap, [[1 / 3, 2 / 3, 1 / 3]], atol=1e-6)
    assert found.image_score == pytest.approx(1 / 3)
    a, b = prediction((0.9, (0, 0, 8, 4)), image=0.9), prediction((0.9, (0, 0, 8, 4)), image=0.7)
    assert len(vote([a, b, b], [1, 1, 1], "instances", by(0.5, 0.5, 0.5)).scores) == 1
    strict = [replace(one, image_threshold=0.8) for one in configs]
    assert len(vote([a, b, b], [1, 1, 1], "instances", strict).scores) == 0


@pytest.mark.parametrize("gives", ["map", "instances"])
def test_a_vote_never_holds_the_maps_of_all(gives: str) -> None:
    """Of eight only the one that votes, and the next that is being made, are there at once."""
    alive: list[weakref.ref] = []

    def one_by_one() -> Iterator[Prediction]:
        for _ in range(8):
            made = prediction((0.9, (0, 0, 3, 3)), heat=0.9)
            alive.append(weakref.ref(made.heatmap))
            assert sum(ref() is not None for ref in alive) <= 2
            yield made
            del made

    found = vote(one_by_one(), [1] * 8, gives, by(*[0.5] * 8))
    assert found.heatmap.max() == 1 and len(alive) == 8
    assert all(ref() is None for ref in alive[:-1])
