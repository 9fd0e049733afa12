"""The search for thresholds: coordinate descent over grids on outcomes of predicted images, plateaus before needles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from forgery_rcnn.config import InferenceConfig
from forgery_rcnn.engine.outcomes import CALLS, Goal, Outcomes, scores_at

# Multiples of 1/64: float16 holds them, and maps rounded down to it, exactly; see kept.
GRID = (1 / 64, 1 / 32, *(k / 16 for k in range(1, 16)), 31 / 32, 63 / 64)
AREAS = (0, 4, 16, 64, 256, 1024, 4096)
GAPS = (0, 4, 16)
SHARES = tuple(k / 8 for k in range(9))
SWEEPS = 3
GATES = 200  # image thresholds that are tried at most


@dataclass(frozen=True)
class Setting:
    """shares: weight of each member, adding up to 1; config: everything else."""

    shares: tuple[float, ...]
    config: InferenceConfig


Table = Callable[[Sequence[Setting]], list[Outcomes]]
"""Settings -> the outcomes of all images under each; the image threshold is not applied."""


@dataclass(frozen=True)
class Axis:
    """One setting that is searched. options: a Setting -> those to try, in order, itself among them.

    prefer: of values that score alike the middle one, or the first.
    """

    name: str
    options: Callable[[Setting], list[Setting]]
    prefer: Literal["middle", "first"] = "middle"


def axes(gives: Literal["instances", "map"], metric: str, rule: Literal["mean", "vote"]) -> list[Axis]:
    """What is searched of an ensemble; the image threshold always is, with each of these. In a vote each member keeps its
    mask threshold."""
    out: list[Axis] = []
    if metric in CALLS:
        return out
    if gives == "map" and rule == "mean":
        out.append(_numbers("mask_threshold", GRID))
    out += [_numbers("score_threshold", (0.0, *GRID)), _numbers("min_area", AREAS)]
    if gives == "map":
        out += [_numbers("close_gaps", GAPS, "first"), Axis("regions", _regions, "first")]
    return out


def _numbers(name: str, grid: Sequence[float], prefer: Literal["middle", "first"] = "middle") -> Axis:
    def options(here: Setting) -> list[Setting]:
        values = sorted({*grid, getattr(here.config, name)})
        return [replace(here, config=replace(here.config, **{name: value})) for value in values]

    return Axis(name, options, prefer)


def _regions(here: Setting) -> list[Setting]:
    other: Any = "one" if here.config.regions == "components" else "components"
    return [here, replace(here, config=replace(here.config, regions=other))]


def shares(members: int, kinds: Literal["alike", "mixed"]) -> list[Axis]:
    """The share of each member, where there are several. None of mixed kinds gets 0: what is left would be merged otherwise."""
    grid = SHARES if kinds == "alike" else SHARES[1:-1]
    return [_share(member, grid) for member in range(members if members > 1 else 0)]


def _share(member: int, grid: Sequence[float]) -> Axis:
    """The share of one member; the others keep their proportions."""

    def options(here: Setting) -> list[Setting]:
        rest = 1 - here.shares[member]
        out = []
        for own in sorted({*grid, here.shares[member]}):
            if rest > 0:
                others = [share * (1 - own) / rest for share in here.shares]
            else:
                others = [(1 - own) / (len(here.shares) - 1)] * len(here.shares)
            others[member] = own
            out.append(replace(here, shares=tuple(round(share, 9) for share in others)))
        return out

    return Axis(f"share {member + 1}", options)


def search(table: Table, start: Setting, goal: Goal, along: Sequence[Axis], index: np.ndarray) -> Setting:
    """(K,) int64, the images to fit on -> the best setting found from `start`; never one that is worse than it there.

    One axis after the other, each value with the image threshold that suits it, until nothing changes, SWEEPS times
    at most. Differences of less than half an image count as none.
    """
    best = _gated(table, [start], goal, index)[0][0]
    for _ in range(SWEEPS):
        before = best
        for axis in along:
            best = _along(axis, table, best, goal, index)
        if best == before:
            break
    return best if value(table, best, goal, index) >= value(table, start, goal, index) else start


def value(table: Table, setting: Setting, goal: Goal, index: np.ndarray) -> float:
    """What is made as large as possible: see outcomes.scores_at."""
    found = table([setting])[0].only(index)
    return float(scores_at(found, np.array([setting.config.image_threshold]), goal)[0])


def _along(axis: Axis, table: Table, here: Setting, goal: Goal, index: np.ndarray) -> Setting:
    options = axis.options(here)
    gated = _gated(table, options, goal, index)
    found = np.array([reached for _, reached in gated])
    return gated[chosen(found, 0.5 / max(len(index), 1), axis.prefer, options.index(here))][0]


def _gated(table: Table, options: Sequence[Setting], goal: Goal, index: np.ndarray) -> list[tuple[Setting, float]]:
    """Each option with the image threshold that suits it best, and what that reaches."""
    out = []
    for option, every in zip(options, table(options), strict=True):
        outcomes = every.only(index)
        thresholds = gates(outcomes.image_scores)
        found = scores_at(outcomes, thresholds, goal)
        passed = np.searchsorted(np.sort(outcomes.image_scores), thresholds)
        alike = np.diff(passed) <= max(1, len(index) // 20)  # a step over many images is no needle's edge
        place = chosen(found, 0.5 / max(len(index), 1), "middle", 0, alike)
        config = replace(option.config, image_threshold=float(thresholds[place]))
        out.append((replace(option, config=config), float(found[place])))
    return out


def gates(image_scores: np.ndarray) -> np.ndarray:
    """(N,) float64 0..1 -> (T,) float64 thresholds, rising: 0, the middles between neighbouring scores, and one above all.

    Of more than GATES middles that many, evenly; above scores of 1 there is none.

    >>> gates(np.array([0.5, 0.25, 0.5])).tolist()
    [0.0, 0.375, 0.75]
    """
    known = np.unique(image_scores)
    middles = (known[1:] + known[:-1]) / 2
    if len(middles) > GATES:
        middles = middles[np.linspace(0, len(middles) - 1, GATES).round().astype(int)]
    top = [(known[-1] + 1) / 2] if len(known) and known[-1] < 1 else []
    return np.concatenate([[0.0], middles, top])


def chosen(
    values: np.ndarray,
    slack: float,
    prefer: Literal["middle", "first"],
    current: int,
    alike: np.ndarray | None = None,
) -> int:
    """(V,) float64, what neighbouring values of a setting reach, below 0 = not allowed -> the place of the one to take.

    middle: each is averaged with its neighbours, half its own, a quarter either's; of the stretch around the best of
    these, within `slack` of it, the middle. first: the first within `slack` of the best. Where all reach the same:
    `current`. alike: (V - 1,) bool, whether each and its next are near enough to be averaged; None = all are.

    >>> needle = np.array([0.2, 0.2, 0.6, 0.2, 0.4, 0.5, 0.5, 0.5, 0.3])
    >>> chosen(needle, 0.01, "middle", 0), chosen(needle, 0.01, "first", 0)
    (6, 2)
    """
    if values.max() - values.min() <= slack:
        return current
    if prefer == "first":
        return current if values[current] >= values.max() - slack else int(np.argmax(values >= values.max() - slack))
    smooth = _smooth(values, np.ones(len(values) - 1, bool) if alike is None else alike)
    low = high = int(np.argmax(smooth))
    enough = smooth[low] - slack
    while low > 0 and smooth[low - 1] >= enough:
        low -= 1
    while high < len(smooth) - 1 and smooth[high + 1] >= enough:
        high += 1
    return (low + high) // 2


def _smooth(values: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Averaged with the neighbours that are alike and allowed; one that is not, or not there, counts as the value itself."""
    left, right = np.r_[values[:1], values[:-1]], np.r_[values[1:], values[-1:]]
    left = np.where((left < 0) | ~np.r_[True, alike], values, left)
    right = np.where((right < 0) | ~np.r_[alike, True], values, right)
    return np.where(values < 0, values, (left + 2 * values + right) / 4)
