"""A decision fitted to images: their scores predicted, thresholds found, judged on folds, stored beside the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forgery_rcnn import calibration, decision
from forgery_rcnn.data.splits import Member
from forgery_rcnn.decision import Answers, Decision
from forgery_rcnn.engine import fitting
from forgery_rcnn.engine.evaluate import Part, seen
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.inference import ensemble
from forgery_rcnn.inference.ensemble import Ensemble
from forgery_rcnn.models import whole


@dataclass(frozen=True)
class Decided:
    """decision: fitted to all images; after: its answers to the very images, so they flatter; crossed: to each image by a
    decision fitted on other groups, None with too few. error: calibration error of the scores as they are, and of crossed
    probabilities, NaN where there are none."""

    decision: Decision
    after: Answers
    crossed: Answers | None
    error: tuple[float, float]


def scores(
    found: Ensemble, part: Part, chosen: Sequence[Member], precision: str, screen: Screen
) -> tuple[np.ndarray, np.ndarray]:
    """-> (N,) float64 image scores as prediction gives them, (N,) bool forged."""
    out = []
    with screen.bar("predicting", len(chosen)) as advance, autocast(found.device, precision):
        for member in chosen:
            pixels = seen(member.record, part.data).pixels
            asked = part.asked(found, member.record)
            out.append(asked.merged(asked.candidates(pixels)).image_score)  # no threshold changes it
            advance()
    return np.array(out, np.float64), np.array([m.record.label == "forged" for m in chosen], bool)


def fit(
    values: np.ndarray, forged: np.ndarray, folds: Sequence[np.ndarray], false_alarms: float, missed: float
) -> Decided:
    """(N,) image scores, (N,) bool; folds: disjoint groups of the images by their numbers, (K,) int64 each.

    Raises InputError like decision.fit.
    """
    fitted = decision.fit(values, forged, false_alarms, missed)
    others = decision.crossed(values, forged, folds, (false_alarms, missed))
    after = decision.of_scores(fitted, values, forged)
    raw = calibration.expected_error(values, forged)
    if others is None:
        return Decided(fitted, after, None, (raw, math.nan))
    said, chance = others
    return Decided(fitted, after, decision.answers(said, forged), (raw, calibration.expected_error(chance, forged)))


def lines(found: Decided) -> list[str]:
    """-> the two tables that are printed, ending with a verdict."""
    rule = found.decision
    out = ["on the images fitted on (flatters)", *decision.lines(rule, found.after, decision.meant(rule))]
    if found.crossed is not None:
        own = ("low score", "high score", "between")  # each fold has thresholds of its own
        out += ["each image by thresholds fitted on others, the honest one", *decision.lines(rule, found.crossed, own)]
    raw, after = (f"{value:.4f}" if not math.isnan(value) else "n/a" for value in found.error)
    out.append(f"calibration error of the scores {raw}, of probabilities fitted on others {after}")
    return [*out, f"verdict: {verdict(found)}"]


def verdict(found: Decided) -> str:
    """One plain sentence on the honest estimate."""
    told = found.crossed
    if told is None:
        return "too few images, or groups of them, for an honest estimate; score other images"
    rate, asked = told.false_alarms, found.decision.false_alarms
    said = f"{told.undecided.value:.1%} undecided; false alarms {rate.value:.1%}"
    if rate.low > asked:
        return f"{said}, more than the {asked:.1%} asked: scores of these images do not carry over to others"
    if rate.high > asked:
        return f"{said}, on {rate.count} authentic images up to {rate.high:.1%} cannot be ruled out, {asked:.1%} were asked"
    return f"{said}, at most the {asked:.1%} asked"


def as_json(found: Decided, digests: Sequence[str]) -> dict[str, Any]:
    """What is stored as `decision`: its numbers, how often it was right, and the images fitted on, see held_out."""
    told = decision.as_json(found.decision) | {"images": sorted(digests)}
    told |= {
        name: fitting.plain(asdict(part)) if (part := getattr(found, name)) else None for name in ("after", "crossed")
    }
    return told | {"calibration_error": [None if math.isnan(value) else value for value in found.error]}


def store(found: Ensemble, target: Path, decided: Decided, digests: Sequence[str]) -> None:
    """Write the decision into the JSON of the weights or of the ensemble at `target` (targets.check_target); tensors and
    thresholds are not touched."""
    told = as_json(decided, digests)
    if found.meta and target.exists() and found.path.with_suffix(".json") == target:
        whole.write_json(target, {**found.meta, "decision": told})
        return
    members = [(ensemble.source_of(member), member.weight) for member in found.members]
    more = {} if found.fusion is None else {"fusion": found.fusion.as_json()}
    if found.fitted:
        more["fitted"] = {"images": sorted(found.fitted)}
    ensemble.write(target, members, found.rule, found.config, decision=told, **more)
