"""The stored image threshold: the probes' numbers per image heed it, and it moves along with a saved temperature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from debug import scores
from debug.case import Case, Specimen, open_case
from debug.measures.classifier import Region, Seen, summarised, verdict
from debug.measures.heads import heads_of
from debug.scores import ScoresJob
from forgery_rcnn import decision
from forgery_rcnn.calibration import margins_of, scaled
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.models import weights


def test_what_an_image_is_called_survives_the_temperature(healthy: Case, tmp_path: Path) -> None:
    """Image threshold and decision are of the same scores: each image is called what it was, as surely as it was."""
    best = [float(one.anatomy.prediction.image_score) for one in healthy.specimens()]
    low, cut = 0.9 * min(best), (min(best) + max(best)) / 2
    told = {
        "slope": 0.5,
        "offset": -0.1,
        "authentic_below": low,
        "forged_from": cut,
        "false_alarms": 0.1,
        "missed": 0.1,
    }
    tensors, meta = weights.read(healthy.path)
    meta["thresholds"] |= {"image_threshold": cut}
    weights.write(tmp_path / "told.safetensors", tensors, {**meta, "decision": told, "measured": {"images": 4}})
    before = open_case(ScoresJob(weights=str(tmp_path / "told.safetensors"), split="few"), Screen(None))
    scores.save(replace(before, precision="float32"), 0.4, [], tmp_path / "hot.safetensors")
    then = open_case(ScoresJob(weights=str(tmp_path / "hot.safetensors"), split="few"), Screen(None))
    was, now = (decision.from_json(weights.read(case.path)[1]["decision"], "") for case in (before, then))
    for score in best:
        moved = scaled(score, 0.4)
        assert (moved >= then.inference.image_threshold) == (score >= cut) and now.said(moved) == was.said(score)
    assert now.probability(scaled(0.7, 0.4)) == pytest.approx(was.probability(0.7))
    assert "measured" not in weights.read(then.path)[1]


def test_no_score_is_too_small_to_scale() -> None:
    assert 0 <= scaled(1e-16, 0.05) < 1e-300 and scaled(2.0, 0.05) == 2.0, "2: never, of a decision"


def authentic(key: str, score: float) -> Seen:
    return Seen(key, "authentic", margins_of(np.array([score])), np.zeros(1), [], [])


def test_an_image_is_flagged_from_the_larger_threshold_on() -> None:
    found = summarised([authentic("a", 0.8), authentic("b", 0.95)], 0.75, 0.05, 0.9)
    assert found.false_alarms == 1 and found.used.threshold == 0.75
    assert "at or above 0.75 and the image threshold 0.9: 1 of 2" in "\n".join(scores.lines(found))
    assert verdict(found).endswith("1 of 2 images would be flagged at 0.75 and the image threshold 0.9")
    alone = summarised([authentic("a", 0.8)], 0.75, 0.05, 0.3)
    assert verdict(alone).endswith("1 of 1 images would be flagged at 0.75")


def test_a_lower_score_threshold_does_not_lift_the_image_threshold() -> None:
    forged = [
        Seen(str(i), "forged", margins_of(np.array([0.4, 0.01])), np.array([0.9, 0.0]), [Region(20, 1, 0.4, 0.4)], [])
        for i in range(8)
    ]
    said = verdict(summarised(forged, 0.5, 0.05, 0.9))
    assert "threshold is off" in said and said.endswith("; images below the image threshold 0.9 stay authentic")


def test_a_proposal_below_the_image_threshold_calls_nothing(specimens: list[Specimen]) -> None:
    s = specimens[0]
    assert heads_of(s).called is True
    assert heads_of(replace(s, inference=replace(s.inference, image_threshold=1.0))).called is False
