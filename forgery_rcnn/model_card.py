"""The model card: what shipped weights are, what they were made of, what was measured of them. Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forgery_rcnn.bootstrap import Interval
from forgery_rcnn.decision import ANSWERS, Answers, Decision, meant
from forgery_rcnn.numbers import AP, IMAGES, PIXELS, Baselines
from forgery_rcnn.strata import FEWEST

TITLES = {**PIXELS, **{f"{name}_forged": f"{title}, forged images" for name, title in PIXELS.items()}, **IMAGES, **AP}
MOST = 8  # strata named as weak


@dataclass(frozen=True)
class Measured:
    """What a system reached on images that nothing was fitted on. where: which images; numbers, baselines, strata: as
    numbers.intervals, numbers.trivial and strata.by_stratum give them; seconds: median of one image."""

    where: str
    images: int
    numbers: Mapping[str, Interval]
    baselines: Baselines
    strata: Mapping[str, Mapping[str, Mapping[str, Any]]]
    seconds: float
    machine: str
    decided: tuple[Decision, Answers] | None = None


@dataclass(frozen=True)
class Card:
    """name: as --weights takes it; about: lines on what it is; made: lines on data, recipe and commit; packing: how the file
    was checked; others: title -> mean oF1 of other systems on the same images."""

    name: str
    about: Sequence[str]
    made: Sequence[str]
    packing: Sequence[str]
    measured: Measured
    others: Mapping[str, Interval] = field(default_factory=dict)


def lines(card: Card) -> list[str]:
    """-> the card, Markdown."""
    found = card.measured
    return [
        f"# {card.name}",
        "",
        *card.about,
        "",
        f"`python3 encode_submission.py --images DIR --weights {card.name} --out OUT`, "
        f"`python3 scoring.py --weights {card.name} --data.root ROOT`",
        "",
        "## Made of",
        "",
        *card.made,
        "",
        "## The file",
        "",
        *card.packing,
        "",
        "## Measured",
        "",
        f"On {found.images} images, {found.where}; 95 % intervals. Every number beside what calling every image the same gives.",
        "",
        *_alone(found),
        *(["", *_others(card)] if card.others else []),
        "",
        *_alarms(found),
        "",
        *_decision(found),
        f"Speed: {found.seconds:.2f} s an image (median, reading and scoring included; {found.machine}).",
        "",
        "## What it is not good at",
        "",
        *weak_lines(found),
        "",
        "## By stratum",
        "",
        f"From {FEWEST} images on with intervals.",
        *[line for title in found.strata for line in _stratum(title, found.strata[title])],
        "",
    ]


def _alone(found: Measured) -> list[str]:
    table = ["| | measured | all called authentic | all called forged |", "|---|---|---|---|"]
    for name, title in TITLES.items():
        if name in found.numbers and not math.isnan(found.numbers[name].value):
            same = (found.baselines[answer].get(name, math.nan) for answer in ("authentic", "forged"))
            table.append(f"| {title} | {found.numbers[name]} | {' | '.join(map(_number, same))} |")
    return table


def _others(card: Card) -> list[str]:
    table = ["| on the same images | oF1 |", "|---|---|", f"| {card.name} | {card.measured.numbers['of1']} |"]
    return table + [f"| {title} | {value} |" for title, value in card.others.items()]


def _alarms(found: Measured) -> list[str]:
    rate, baseline = found.numbers["false_alarm_rate"], found.baselines["authentic"]["of1"]
    if math.isnan(rate.value):
        return ["No authentic image was scored: nothing is known of false alarms."]
    return [
        f"**False alarms**: {rate} (Wilson) of {rate.count} authentic images are flagged. Calling every image authentic flags "
        f"none, and has oF1 {baseline:.4f} on these images, where this has {found.numbers['of1']}."
    ]


def _decision(found: Measured) -> list[str]:
    if found.decided is None:
        return ["No decision was fitted (`edarnn.py decide`): its scores are no probabilities.", ""]
    rule, told = found.decided
    rows = [
        f"| {name} | {limit} | {told.counts[name][0]} | {told.counts[name][1]} | {told.right.get(name, '')} |"
        for name, limit in zip(ANSWERS, meant(rule), strict=True)
    ]
    return [
        f"**Decision** by the image score, fitted to at most {rule.false_alarms:.1%} false alarms and {rule.missed:.1%} misses on "
        f"other images; here {told.false_alarms} of authentic images are called forged, {told.missed} of forged ones "
        f"authentic, {told.undecided} left undecided.",
        "",
        "| answer | | authentic images | forged images | right |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


@dataclass(frozen=True)
class Weak:
    """A stratum of forged images that scores below what forged images score on the whole; gap: by how much."""

    title: str
    name: str
    images: int
    value: Interval
    gap: float


def weak(found: Measured) -> list[Weak]:
    """The strata whose interval of oF1 on forged images lies wholly below the mean of all forged ones, worst first."""
    whole = found.numbers["of1_forged"].value
    out = []
    for title, groups in found.strata.items():
        for name, part in groups.items():
            value = part["numbers"]["of1_forged"]
            if value.count >= FEWEST and value.high < whole:
                out.append(Weak(title, name, value.count, value, whole - value.value))
    return sorted(out, key=lambda one: -one.gap)[:MOST]


def weak_lines(found: Measured) -> list[str]:
    """`weak`, and what is missed and flagged, as a list."""
    whole, missed, alarms = (found.numbers[name] for name in ("of1_forged", "missed_rate", "false_alarm_rate"))
    out = [f"- Of forged images {missed} are passed over; on all of them mean oF1 is {whole}."]
    if not math.isnan(alarms.value) and alarms.high > 0.05:  # what the field's users complain of first
        out.append(
            f"- Up to {alarms.high:.1%} of authentic images may be flagged, as far as {alarms.count} of them can tell."
        )
    for one in weak(found):
        out.append(f"- {one.title} {one.name}: oF1 {one.value} on {one.images} forged images, {one.gap:.4f} below all.")
    if len(out) == 1 + (alarms.high > 0.05):
        out.append("- No stratum of ten images or more is shown to be worse than the whole.")
    few = sum(part["images"] < FEWEST for groups in found.strata.values() for part in groups.values())
    if few:
        out.append(f"- {few} strata have fewer than {FEWEST} images: nothing is claimed of them.")
    return out


def _stratum(title: str, groups: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A table: a line for each number, a column for each stratum."""
    names = list(groups)
    heads = " | ".join(f"{name} ({groups[name]['images']})" for name in names)
    table = ["", f"### {title}", "", f"| | {heads} |", "|---" * (len(names) + 1) + "|"]
    for key, label in TITLES.items():
        cells = [groups[name]["numbers"].get(key) for name in names]
        plain = [groups[name]["numbers"].get(key.removesuffix("_forged")) for name in names]
        known = [
            pair for pair in zip(cells, plain, strict=True) if pair[0] is not None and not math.isnan(pair[0].value)
        ]
        if known and (not key.endswith("_forged") or any(one.value != other.value for one, other in known)):
            table.append(f"| {label} | {' | '.join('n/a' if cell is None else str(cell) for cell in cells)} |")
    alike = " | ".join(_number(groups[name]["baselines"]["authentic"]["of1"]) for name in names)
    return [*table, f"| oF1 of calling all authentic | {alike} |"]


def _number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.4f}"
