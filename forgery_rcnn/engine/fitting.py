"""Thresholds fitted to images: found, judged honestly, refinement switched on where it is shown to help, and stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from forgery_rcnn.bootstrap import Interval, Paired, Resampling
from forgery_rcnn.config import InferenceConfig, to_dict
from forgery_rcnn.engine import outcomes
from forgery_rcnn.engine.outcomes import CALLS, Goal, Outcomes
from forgery_rcnn.engine.thresholds import Axis, Setting, Table, search
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference import ensemble
from forgery_rcnn.inference.ensemble import Ensemble
from forgery_rcnn.models import weights

FOLDS = 5  # of the honest estimate
FEWEST = 10  # images that differ, for an interval to be believed; as in compare


@dataclass(frozen=True)
class Plan:
    """What is searched, and how it is judged. methods: of refinement, compared with none."""

    goal: Goal
    axes: Sequence[Axis]
    methods: Sequence[str]
    how: Resampling


@dataclass(frozen=True)
class Reached:
    """A metric with its interval over images, and the share of authentic images flagged, NaN where there is none."""

    score: Interval
    false_alarms: float


@dataclass(frozen=True)
class Fitted:
    """before: with the stored thresholds; after: with the fitted ones, on the very images, so it flatters; crossed: each
    image with thresholds fitted on other groups, None with fewer than two groups; refinement: each method minus none."""

    setting: Setting
    goal: Goal
    before: Reached
    after: Reached
    crossed: Reached | None
    refinement: dict[str, Paired]


def fit(table: Table, start: Setting, folds: Sequence[np.ndarray], plan: Plan) -> Fitted:
    """folds: disjoint groups of the table's images by their numbers, (K,) int64 each. -> the best setting, judged.

    The honest estimate repeats everything, refinement and all, on all folds but one, and scores that one.
    """
    every = np.sort(np.concatenate(folds))
    setting, refinement = _fitted(table, start, plan, every)
    crossed = None
    if len(folds) > 1:
        parts = []
        for fold in folds:
            own, _ = _fitted(table, start, plan, np.setdiff1d(every, fold))
            parts.append(_settled(table, own, fold))
        crossed = _reached(outcomes.joined(parts), plan)
    before, after = (_reached(_settled(table, s, every), plan) for s in (start, setting))
    return Fitted(setting, plan.goal, before, after, crossed, refinement)


def _fitted(table: Table, start: Setting, plan: Plan, index: np.ndarray) -> tuple[Setting, dict[str, Paired]]:
    """Thresholds without refinement; then each method under these thresholds, the best of those shown to help kept."""
    plain = _with_method(start, "none") if plan.methods else start
    found = search(table, plain, plan.goal, plan.axes, index)
    if not plan.methods or plan.goal.metric in CALLS:
        return found, {}
    table([_with_method(found, method) for method in plan.methods])  # in one pass
    raw = _settled(table, found, index)
    told = {m: _settled(table, _with_method(found, m), index) for m in plan.methods}
    refinement = {m: plan.how.paired(other.values, raw.values) for m, other in told.items()}
    good = [m for m in plan.methods if _helps(refinement[m]) and _allowed(told[m], raw, plan.goal)]
    best = max(good, key=lambda m: refinement[m].difference.value, default="none")
    return _with_method(found, best), refinement


def _helps(gain: Paired) -> bool:
    return gain.difference.low > 0 and gain.wins + gain.losses >= FEWEST


def _allowed(refined: Outcomes, raw: Outcomes, goal: Goal) -> bool:
    """Whether refinement flags no more authentic images than allowed, or than without it."""
    if goal.false_alarms is None or raw.forged.all():
        return True
    return outcomes.false_alarm_rate(refined) <= max(goal.false_alarms, outcomes.false_alarm_rate(raw))


def _with_method(setting: Setting, method: Any) -> Setting:
    config = setting.config
    return replace(setting, config=replace(config, refine=replace(config.refine, method=method)))


def _settled(table: Table, setting: Setting, index: np.ndarray) -> Outcomes:
    return table([setting])[0].only(index).settled(setting.config.image_threshold)


def _reached(settled: Outcomes, plan: Plan) -> Reached:
    score = outcomes.interval(settled, plan.goal.metric, plan.how)
    return Reached(score, outcomes.false_alarm_rate(settled))


def lines(found: Fitted, start: InferenceConfig) -> list[str]:
    """-> the table that is printed, ending with a verdict."""
    metric, config = found.goal.metric, found.setting.config
    out = [f"{metric} on the images fitted on              score [95 %]                  authentic flagged"]
    rows = [("stored thresholds", found.before), ("fitted thresholds (flatters)", found.after)]
    rows += [("fitted on others, the honest one", found.crossed)] if found.crossed else []
    out += [f"  {name:<34}{reached.score!s:<34}{_share(reached.false_alarms)}" for name, reached in rows]
    for name, gain in found.refinement.items():
        kept = "  kept" if config.refine.method == name else ""
        out.append(f"  refinement {name:<9} minus none     {gain.difference}, {gain.wins} up {gain.losses} down{kept}")
    for name in ("mask_threshold", "score_threshold", "image_threshold", "min_area", "close_gaps", "regions"):
        old, new = getattr(start, name), getattr(config, name)
        out.append(f"  {name:<18}{_told(old)}" + (f" -> {_told(new)}" if new != old else ""))
    if len(found.setting.shares) > 1:
        out.append(f"  shares            {' '.join(f'{share:.3f}' for share in found.setting.shares)}")
    return [*out, f"verdict: {_verdict(found)}"]


def _told(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _share(rate: float) -> str:
    return "n/a" if math.isnan(rate) else f"{rate:.1%}"


def _verdict(found: Fitted) -> str:
    """One plain sentence on the honest estimate."""
    if found.crossed is None:
        return "too few groups of images for an honest estimate; score other images"
    gain = found.crossed.score.value - found.before.score.value
    if math.isnan(gain):
        return "the metric is not defined on these images"
    moved = "no better than" if gain <= 0 else f"{gain:.4f} above"
    said = f"on images not fitted on, expect {found.crossed.score}, {moved} the stored thresholds"
    limit = found.goal.false_alarms
    if limit is not None and found.crossed.false_alarms > limit:
        said += (
            f"; there {found.crossed.false_alarms:.1%} of authentic images are flagged, more than the {limit:.1%} asked"
        )
    return said


def as_json(found: Fitted, digests: Sequence[str]) -> dict[str, Any]:
    """What is stored as `fitted` beside the thresholds. digests: of the images fitted on, see held_out."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(v) for name, v in value.items()}
        return None if isinstance(value, float) and math.isnan(value) else value

    told = {"metric": found.goal.metric, "false_alarms": found.goal.false_alarms, "images": sorted(digests)}
    told |= {name: asdict(getattr(found, name)) for name in ("before", "after")}
    told["crossed"] = asdict(found.crossed) if found.crossed else None
    return plain(told | {"refinement": {name: asdict(gain) for name, gain in found.refinement.items()}})


def check_target(found: Ensemble, out: Path | None) -> Path:
    """-> where the fitted thresholds go: `out`, or the JSON that they were read from.

    Raises InputError, before anything is predicted, where neither will do.
    """
    if out is not None:
        if out.suffix != ".json" or out.with_suffix(".safetensors").exists():
            raise InputError(f"--out {out}: is to be an ensemble's file; name it .json, with no weights of that name")
        return out
    if found.path.suffix == ".json":
        return found.path
    if len(found.members) > 1:
        raise InputError(
            "several --weights are stored as an ensemble; name its file, e.g. --out runs/NAME/ensemble.json"
        )
    if found.path.suffix != ".safetensors":
        raise InputError(
            f"{found.path}: has no JSON beside it to store thresholds in; pass --out runs/NAME/ensemble.json"
        )
    return found.path.with_suffix(".json")


def store(found: Ensemble, target: Path, fitted: Fitted, digests: Sequence[str]) -> None:
    """Write the thresholds and what they were fitted on to `target`; weights themselves are not touched.

    Members with a share of 0 are left out of an ensemble.
    """
    told = as_json(fitted, sorted({*digests, *found.fitted}))
    config = fitted.setting.config
    if target == found.path.with_suffix(".json") and found.path.suffix == ".safetensors":
        weights.write_json(target, {**found.meta, "thresholds": to_dict(config), "fitted": told})
        return
    members = [(m.path, share) for m, share in zip(found.members, fitted.setting.shares, strict=True) if share > 0]
    target.parent.mkdir(parents=True, exist_ok=True)
    ensemble.write(target, members, found.rule, config, fitted=told)
