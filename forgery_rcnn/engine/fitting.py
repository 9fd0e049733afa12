"""Thresholds fitted to images: found, judged honestly, refinement switched on where it is shown to help, and stored."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from forgery_rcnn.bootstrap import Interval, Paired, Resampling
from forgery_rcnn.config import InferenceConfig, to_dict
from forgery_rcnn.data import splits
from forgery_rcnn.data.splits import Member
from forgery_rcnn.engine import held_out, outcomes, targets
from forgery_rcnn.engine.outcomes import CALLS, Goal, Outcomes
from forgery_rcnn.engine.thresholds import Axis, Setting, Table, search, value
from forgery_rcnn.inference import ensemble
from forgery_rcnn.inference.ensemble import Ensemble
from forgery_rcnn.models import whole

FOLDS = 5  # of the honest estimate
FEWEST = 10  # images that differ, for an interval to be believed; as in compare


@dataclass(frozen=True)
class Plan:
    """What is searched, and how it is judged. methods: of refinement, compared with none; groups: (N,) int64, of each image
    of the table, those that share a source have one."""

    goal: Goal
    axes: Sequence[Axis]
    methods: Sequence[str]
    how: Resampling
    groups: np.ndarray


@dataclass(frozen=True)
class Reached:
    """A metric with its interval over images, and the share of authentic images flagged, NaN where there is none."""

    score: Interval
    false_alarms: float


@dataclass(frozen=True)
class Fitted:
    """before: with the thresholds at the start; after: with the fitted ones, on the very images, so it flatters; crossed:
    each image with thresholds fitted on other groups; gain: crossed minus before; both None with fewer than two groups.

    setting: what is to be stored: the fitted one, or the start where the honest estimate falls below it. searched: names
    of the axes. refinement: each method minus none.
    """

    setting: Setting
    goal: Goal
    before: Reached
    after: Reached
    crossed: Reached | None
    gain: Interval | None
    searched: tuple[str, ...]
    refinement: dict[str, Paired]


def folds(chosen: Sequence[Member], seed: int) -> list[np.ndarray]:
    """Members -> their numbers in each fold that holds any, (K,) int64 each; folds share no group, but one that is larger than
    a fold: that falls apart into its cases.

    Compound figures tie hosts into pools, of which one may hold nearly all images. What is fitted without it would be fitted to
    next to nothing, and be no estimate of what is fitted to all; a dozen numbers do not remember its pictures.
    """
    place = {member.record.key: number for number, member in enumerate(chosen)}
    sizes = Counter(member.group for member in chosen)
    pools = {group for group, size in sizes.items() if size * FOLDS > len(chosen)}
    cases = {member.record.case_id: -1 - number for number, member in enumerate(chosen)}  # no group's number
    parts = splits.folds(
        [replace(m, group=cases[m.record.case_id]) if m.group in pools else m for m in chosen], FOLDS, seed
    )
    return [np.array(sorted(place[member.record.key] for member in part)) for part in parts if part]


def honest(found: Ensemble, target: Path, root: Path | None) -> str:
    """The line that says how to score what was fitted and stored at `target`, on images that it does not know."""
    scored = target if target.suffix == ".json" and not target.with_suffix(".safetensors").exists() else found.path
    there = f" --data.root {root}" if root else ""
    return f"an honest score: python3 scoring.py --weights {scored}{there} --split {held_out.PART}"


def fit(table: Table, start: Setting, folds: Sequence[np.ndarray], plan: Plan) -> Fitted:
    """folds: disjoint groups of the table's images by their numbers, (K,) int64 each. -> the best setting, judged.

    The honest estimate repeats everything, refinement and all, on all folds but one, and scores that one.
    """
    every = np.concatenate(folds)
    setting, refinement = _fitted(table, start, plan, np.sort(every))
    old = _settled(table, start, every)
    before, after = _reached(old, plan, every), _reached(_settled(table, setting, every), plan, every)
    crossed, gain = None, None
    if len(folds) > 1:
        others = [np.setdiff1d(every, fold) for fold in folds]
        fitted = [_fitted(table, start, plan, other)[0] for other in others]
        new = outcomes.joined([_settled(table, own, fold) for own, fold in zip(fitted, folds, strict=True)])
        crossed, gain = _reached(new, plan, every), _gain(new, old, plan, every)
        if gain.value < 0 and not before.false_alarms > _limit(plan.goal):
            setting = start
    searched = tuple(axis.name for axis in plan.axes)
    return Fitted(setting, plan.goal, before, after, crossed, gain, searched, refinement)


def _fitted(table: Table, start: Setting, plan: Plan, index: np.ndarray) -> tuple[Setting, dict[str, Paired]]:
    """Thresholds without refinement; then each method under these thresholds, the best of those shown to help kept.

    Calls know no refinement: the stored way stays. What is found is nowhere below the start.
    """
    if not plan.methods or plan.goal.metric in CALLS:
        return search(table, start, plan.goal, plan.axes, index), {}
    found = search(table, _with_method(start, "none"), plan.goal, plan.axes, index)
    table([_with_method(found, method) for method in plan.methods])  # in one pass
    raw = _settled(table, found, index)
    told = {m: _settled(table, _with_method(found, m), index) for m in plan.methods}
    refinement = {m: _paired(other, raw, plan, index) for m, other in told.items()}
    good = [m for m in plan.methods if _helps(refinement[m]) and _allowed(told[m], raw, plan.goal)]
    best = _with_method(found, max(good, key=lambda m: refinement[m].difference.value, default="none"))
    worse = value(table, best, plan.goal, index) < value(table, start, plan.goal, index)
    return start if worse else best, refinement


def _paired(one: Outcomes, other: Outcomes, plan: Plan, index: np.ndarray) -> Paired:
    """Each image of `index` under two settings; the interval is of the mean difference, over groups."""
    return replace(plan.how.paired(one.values, other.values), difference=_gain(one, other, plan, index))


def _gain(one: Outcomes, other: Outcomes, plan: Plan, index: np.ndarray) -> Interval:
    """The metric of one minus that of the other, on the same images, those of `index`; drawn together."""

    def difference(drawn: np.ndarray) -> float:
        return outcomes.score(one.only(drawn), plan.goal.metric) - outcomes.score(other.only(drawn), plan.goal.metric)

    return outcomes.interval(difference, plan.groups[index], plan.how)


def _helps(gain: Paired) -> bool:
    return gain.difference.low > 0 and gain.wins + gain.losses >= FEWEST


def _allowed(refined: Outcomes, raw: Outcomes, goal: Goal) -> bool:
    """Whether refinement flags no more authentic images than allowed, or than without it."""
    if raw.forged.all():
        return True
    return outcomes.false_alarm_rate(refined) <= max(_limit(goal), outcomes.false_alarm_rate(raw))


def _limit(goal: Goal) -> float:
    """The share of authentic images that may be flagged."""
    return 1.0 if goal.false_alarms is None else goal.false_alarms


def _with_method(setting: Setting, method: Any) -> Setting:
    config = setting.config
    return replace(setting, config=replace(config, refine=replace(config.refine, method=method)))


def _settled(table: Table, setting: Setting, index: np.ndarray) -> Outcomes:
    return table([setting])[0].only(index).settled(setting.config.image_threshold)


def _reached(settled: Outcomes, plan: Plan, index: np.ndarray) -> Reached:
    score = outcomes.interval(
        lambda drawn: outcomes.score(settled.only(drawn), plan.goal.metric), plan.groups[index], plan.how
    )
    return Reached(score, outcomes.false_alarm_rate(settled))


def reached(table: Table, config: InferenceConfig, plan: Plan) -> Reached:
    """What a setting makes of all images of the table. Nothing is searched."""
    every = np.arange(len(plan.groups))
    return _reached(_settled(table, Setting((1.0,), config), every), plan, every)


def line(found: Reached, config: InferenceConfig) -> str:
    """What is said of a setting that was not searched."""
    return (
        f"regions from score {config.score_threshold:.4g} on: oF1 {found.score}, {_share(found.false_alarms)} of authentic images "
        "flagged, by scores that know other folds only"
    )


def reached_json(found: Reached, digests: Collection[str]) -> dict[str, Any]:
    """What is stored as `fitted` beside thresholds that were not searched. digests: of the images fitted on, see held_out."""
    return {"metric": "of1", "images": sorted(digests), "reached": plain(asdict(found))}


def lines(found: Fitted, start: InferenceConfig) -> list[str]:
    """-> the table that is printed, ending with a verdict. start: the stored thresholds."""
    metric, config = found.goal.metric, found.setting.config
    out = [f"{metric} on the images fitted on              score [95 %]                  authentic flagged"]
    rows = [("thresholds at the start", found.before), ("fitted thresholds (flatters)", found.after)]
    rows += [("fitted on others, the honest one", found.crossed)] if found.crossed else []
    out += [f"  {name:<34}{reached.score!s:<34}{_share(reached.false_alarms)}" for name, reached in rows]
    for name, gain in found.refinement.items():
        kept = "  kept" if config.refine.method == name else ""
        out.append(f"  refinement {name:<9} minus none     {gain.difference}, {gain.wins} up {gain.losses} down{kept}")
    for name in ("image_threshold", "mask_threshold", "score_threshold", "min_area", "close_gaps", "regions"):
        idle = "" if name in ("image_threshold", *found.searched) else "  (not searched)"
        out.append(_row(name, getattr(start, name), getattr(config, name)) + idle)
    out.append(_row("refinement", start.refine.method, config.refine.method))
    if len(found.setting.shares) > 1:
        out.append(f"  shares            {' '.join(f'{share:.3f}' for share in found.setting.shares)}")
    return [*out, f"verdict: {_verdict(found)}"]


def _row(name: str, old: Any, new: Any) -> str:
    return f"  {name:<18}{_told(old)}" + (f" -> {_told(new)}" if new != old else "")


def _told(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _share(rate: float) -> str:
    return "n/a" if math.isnan(rate) else f"{rate:.1%}"


def _verdict(found: Fitted) -> str:
    """One plain sentence on the honest estimate."""
    if found.crossed is None or found.gain is None:
        return "too few groups of images for an honest estimate; score other images"
    if math.isnan(found.gain.value):
        return "the metric is not defined on these images"
    limit = _limit(found.goal)
    said = f"on images not fitted on, expect {found.crossed.score}, {found.gain} against the start"
    if found.gain.value < 0:
        flags = found.before.false_alarms > limit
        said += ", which flags more than asked" if flags else "; the thresholds of the start are kept"
    if found.crossed.false_alarms > limit:
        said += (
            f"; there {found.crossed.false_alarms:.1%} of authentic images are flagged, more than the {limit:.1%} asked"
        )
    return said


def as_json(found: Fitted, digests: Sequence[str]) -> dict[str, Any]:
    """What is stored as `fitted` beside the thresholds. digests: of the images fitted on, see held_out."""

    told = {"metric": found.goal.metric, "false_alarms": found.goal.false_alarms, "images": sorted(digests)}
    told |= {name: asdict(getattr(found, name)) for name in ("before", "after")}
    told |= {name: asdict(part) if (part := getattr(found, name)) else None for name in ("crossed", "gain")}
    return plain(told | {"refinement": {name: asdict(gain) for name, gain in found.refinement.items()}})


def plain(value: Any) -> Any:
    """The same without NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def store(found: Ensemble, target: Path, fitted: Fitted, digests: Sequence[str]) -> None:
    """Write the thresholds and what they were fitted on to `target`; weights themselves are not touched.

    Members with a share of 0 are left out of an ensemble.
    """
    told = as_json(fitted, sorted({*digests, *found.fitted}))
    config = fitted.setting.config
    if targets.own(found, target):
        whole.write_json(target, {**found.meta, "thresholds": to_dict(config), "fitted": told})
        return
    each = zip(found.members, fitted.setting.shares, strict=True)
    members = [(ensemble.source_of(member), share) for member, share in each if share > 0]
    more = {} if found.fusion is None else {"fusion": found.fusion.as_json()}
    ensemble.write(target, members, found.rule, config, fitted=told, **more)
