"""Three answers: thresholds worked out by hand, stated errors kept, intervals that say how few images were seen."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgery_rcnn import calibration, decision
from forgery_rcnn.decision import NEVER, Decision

PLAIN = Decision(1.0, 0.0, 0.2, 0.8, 0.05, 0.1)


def kinds(authentic: list[float], forged: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(authentic + forged), np.repeat([False, True], [len(authentic), len(forged)])


def test_thresholds_lie_half_way_between_scores() -> None:
    scores, forged = kinds([0.1, 0.1, 0.2, 0.3, 0.8], [0.0, 0.4, 0.6, 0.7, 0.9])
    found = decision.fit(scores, forged, 0.0, 0.0)
    assert found.forged_from == pytest.approx(0.85) and found.authentic_below == 0  # one forged image scores 0: never
    found = decision.fit(scores, forged, 0.2, 0.2)
    assert (found.authentic_below, found.forged_from) == (pytest.approx(0.35), pytest.approx(0.35))  # any of 0.3..0.4
    told = decision.of_scores(found, scores, forged)
    assert told.counts == {"authentic": (4, 1), "forged": (1, 4), "undecided": (0, 0)}
    assert told.false_alarms.value == told.missed.value == 0.2 and told.right["forged"].value == 0.8
    beside = float(np.nextafter(0.2, 1))
    found = decision.fit(*kinds([0.2] * 5, [beside] * 5), 0.0, 0.0)
    assert found.said(0.2) != "forged" and found.said(beside) == "forged"  # nothing lies half way between these two
    found = decision.fit(*kinds([1.0] * 5, [1.0] * 5), 0.05, 0.1)
    assert found.forged_from == NEVER and found.said(1.0) == "undecided" and found.said(0.1) == "authentic"


def test_what_was_said_of_a_score() -> None:
    said = [PLAIN.said(score) for score in (0.0, 0.2, 0.5, 0.8, 1.0, math.nan)]
    assert said == ["authentic", "undecided", "undecided", "forged", "forged", "undecided"]
    np.testing.assert_allclose(PLAIN.probabilities(np.array([0.2, 0.5, math.nan])), [0.2, 0.5, math.nan])


UNIT = st.integers(0, 40).map(lambda n: n / 40)


@given(st.lists(UNIT, min_size=5, max_size=30), st.lists(UNIT, min_size=5, max_size=30), UNIT, UNIT)
def test_both_shares_are_kept_to_on_the_images_fitted_on(
    authentic: list[float], forged: list[float], alarms: float, missed: float
) -> None:
    scores, truth = kinds(authentic, forged)
    alarms, missed = alarms * 0.99, missed * 0.99
    found = decision.fit(scores, truth, alarms, missed)
    told = decision.of_scores(found, scores, truth)
    assert told.false_alarms.value <= alarms + 1e-9 and told.missed.value <= missed + 1e-9
    assert sum(map(sum, told.counts.values())) == len(scores) and found.authentic_below <= found.forged_from
    assert decision.from_json(json.loads(json.dumps(decision.as_json(found))), "x") == found


def test_an_answer_that_is_never_given_is_called_so() -> None:
    assert decision.meant(PLAIN) == ("score < 0.2", "score >= 0.8", "between")
    assert decision.meant(Decision(1.0, 0.0, 0.0, NEVER, 0.05, 0.1))[:2] == ("never", "never")


def test_few_images_are_told_by_the_interval() -> None:
    scores, forged = kinds([0.1] * 8, [0.9] * 8)
    told = decision.of_scores(decision.fit(scores, forged, 0.05, 0.1), scores, forged)
    assert (told.false_alarms.value, round(told.false_alarms.high, 4)) == (0, 0.3244)
    assert any(
        "0.0000 [0.0000, 0.3244], asked 5.0%" in line for line in decision.lines(PLAIN, told, decision.meant(PLAIN))
    )


def test_crossed_answers_do_not_know_their_own_fold() -> None:
    """Scores that are chance: thresholds fitted on the images keep to the share, those of other folds pass it half the time."""
    rng = np.random.default_rng(0)
    scores, forged = rng.random(400), np.arange(400) % 2 == 0
    folds = np.array_split(np.arange(400), 5)
    said, chance = decision.crossed(scores, forged, folds, (0.1, 0.1))
    told = decision.answers(said, forged)
    assert told.false_alarms.low < 0.1 < told.false_alarms.high and chance.std() < 0.1
    spoilt = scores.copy()
    spoilt[folds[0]] = 0.999  # the others' answers alone may change
    again, _ = decision.crossed(spoilt, forged, folds, (0.1, 0.1))
    own = decision.fit(scores[80:], forged[80:], 0.1, 0.1)
    assert [again[i] for i in folds[0]] == [own.said(0.999)] * 80
    assert decision.crossed(scores, forged, folds[:1], (0.1, 0.1)) is None
    assert decision.crossed(scores[:10], forged[:10], np.array_split(np.arange(10), 2), (0.1, 0.1)) is None


def test_calibration_finds_the_slope_of_scores_that_exaggerate() -> None:
    rng = np.random.default_rng(1)
    margins = rng.normal(0, 2, 4000)
    forged = rng.random(4000) < calibration.scores_of(0.5 * margins - 0.3)
    slope, offset = calibration.platt(margins, forged)
    assert slope == pytest.approx(0.5, abs=0.05) and offset == pytest.approx(-0.3, abs=0.1)
    probabilities = calibration.scores_of(slope * margins + offset)
    assert (
        calibration.expected_error(probabilities, forged)
        < 0.03
        < calibration.expected_error(calibration.scores_of(margins), forged)
    )
    assert calibration.platt(-margins, forged)[0] == 0  # never turned round
    assert math.isnan(calibration.platt(margins, np.ones(4000, bool))[0])
    slope, _ = calibration.platt(np.array([-1.0] * 5 + [1.0] * 5), np.arange(10) >= 5)
    assert 0 < slope < 3  # parted without a mistake, and yet not sure


def test_what_is_no_decision_is_refused(refused: Callable) -> None:
    told = decision.as_json(PLAIN)
    for wrong, said in (
        ({}, "not what `edarnn.py decide` writes"),
        ({**told, "slope": "x"}, "not what"),
        ({**told, "slope": -1}, "cannot be used"),
        ({**told, "forged_from": 0.1}, "cannot be used"),
        ({**told, "offset": math.inf}, "cannot be used"),
    ):
        with refused("x: its `decision`", said):
            decision.from_json(wrong, "x")
    with refused("4 authentic and 5 forged", "use more images"):
        decision.fit(*kinds([0.1] * 4, [0.9] * 5), 0.05, 0.1)
    with refused("--missed is 1.0", "use a share"):
        decision.fit(*kinds([0.1] * 5, [0.9] * 5), 0.05, 1.0)
    with refused("no score to decide by"):
        decision.fit(*kinds([0.1] * 5, [math.nan] * 5), 0.05, 0.1)


def test_an_unknown_score_is_not_counted_as_undecided() -> None:
    with pytest.raises(ValueError, match="1 of 2 images have no score"):
        decision.of_scores(PLAIN, *kinds([math.nan], [0.4]))


@pytest.mark.parametrize("score", [-0.1, 1.2, math.nan])
def test_what_is_no_score_is_refused(refused: Callable, score: float) -> None:
    with refused("1 scores are not within 0..1", "give probabilities"):
        calibration.reliability(np.array([0.5, score]), np.array([True, False]))
