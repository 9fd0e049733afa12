"""Which motions carry a copy: measured, held against chance, and judged by boosted trees over some twenty numbers.

`benchmarks/judge.py` fits them on copies planted in clean pictures, on made figures, on what the same motions find in untouched
ones, and on lookalikes; judge.json holds what it fitted.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.matching import chance, excuses, grain, identical, origin, outlines, verify
from forgery_rcnn.matching.pairs import Figure, Hypothesis, Pair
from forgery_rcnn.matching.verify import Measured
from forgery_rcnn.matching_config import MatchingConfig

FITTED = Path(__file__).with_name("judge.json")
LEAST_CHANCE = 1e-20  # what an exponential tail says beyond this is no measurement
IDENTICAL = 0.97
"""Score of a region whose pixels are those of its copy: what docs/lab.md counts under "The same pixels"."""
SURE, SAME_GRAIN = 0.5, 0.9
"""Score from which likeness is enough, and score at least of a region whose grain is its copy's: where likeness was not enough it may have
grown too far."""
LARGE, MANY = 10_000, 50  # px and places beyond which more of them prove no more: alike objects have them too
SURER = ("detail", "log_area", "log_inliers", "fine", "middle", "form", "here", "margin", "margin_typical")
LESS_SURE = (
    *("log_chance", "structure", "excess_middle", "excess_form", "excess_coarse"),
    *("concentrated_middle", "concentrated_form", "flat"),
)
"""Features of which more never lowers, or never raises, the score: the trees are fitted so."""


def features(found: Measured, fit: chance.Fit) -> dict[str, float]:
    """A pair and how it fits beside the places around -> the numbers that it is judged by."""
    here, best, typical = (float(np.arctanh(np.clip(z, -0.999, 0.999))) for z in (fit.here, fit.best, fit.typical))
    compared = {
        name: value for name, value in asdict(found.compared).items() if name not in ("gain", "brightness", "tint")
    }
    return {
        "detail": found.detail,
        "log_area": float(np.log10(np.clip(found.area, 100, LARGE))),
        "log_inliers": float(np.log10(min(found.inliers, MANY) + 1)),
        "log_energy": float(np.log10(found.energy + 0.1)),
        "log_chance": float(np.log10(max(fit.probable, LEAST_CHANCE))),
        "here": here,
        "margin": here - best,
        "margin_typical": here - typical,
        **compared,
        **asdict(found.shown),
    }


@dataclass(frozen=True)
class Trees:
    """Boosted trees. features: names, in the order that nodes count them; start: logit; trees: lists of nodes, the root first, each
    (feature, threshold, node if not above, node if above) or, a leaf, (logit,)."""

    features: tuple[str, ...]
    start: float
    trees: tuple[tuple[tuple[float, ...], ...], ...]

    def logit(self, values: dict[str, float]) -> float:
        """-> the sum of the leaves that the values lead to."""
        at, total = [values[name] for name in self.features], self.start
        for tree in self.trees:
            node = tree[0]
            while len(node) > 1:
                node = tree[int(node[2] if at[int(node[0])] <= node[1] else node[3])]
            total += node[0]
        return total


@cache
def fitted() -> Trees:
    """What benchmarks/judge.py wrote."""
    kept = json.loads(FITTED.read_text(encoding="utf-8"))
    trees = tuple(tuple(tuple(node) for node in tree) for tree in kept["trees"])
    return Trees(tuple(kept["features"]), kept["start"], trees)


def score(found: Measured, fit: chance.Fit) -> float:
    """-> 0..1, how sure a pair is."""
    return float(1 / (1 + np.exp(-np.clip(fitted().logit(features(found, fit)), -50, 50))))


def judged(figure: Figure, drawn: np.ndarray, hypothesis: Hypothesis, config: MatchingConfig) -> Pair | str:
    """A figure, (H, W) bool, drawn over the picture, and a motion -> the pair, or why it is none: one line."""
    same = identical.found(figure, drawn, hypothesis)
    if same is not None:
        found = _let_pass(figure, _equal_sides(verify.told(figure, drawn, same.grown, hypothesis.first)), config)
        if isinstance(found, str):
            return found
        return replace(_pair(figure, hypothesis, found, same.chance, IDENTICAL), told_by="pixels")
    found = tested(figure, drawn, hypothesis, config)
    if isinstance(found, str):
        return found
    seen = grain.of(figure, drawn, found.grown)
    # The best that chance could make of it: the costly count of places is for those that it could help.
    if not seen.same and score(found, chance.PERFECT) < config.min_score:
        return f"alike, but not the same: detail correlates by {found.detail:.2f}"
    fit = chance.of(figure.gray, found.grown)
    if fit.probable > config.max_chance:
        return f"chance {fit.probable:.2g}: other places fit as well"
    sure = score(found, fit)
    if sure < SURE and seen.other:
        calm = seen.calm
        return f"score {sure:.2f}, and each side has a grain of its own: {calm.pixels:,} calm pixels correlate by {calm.correlation:.2f}"
    told = max(sure, SAME_GRAIN) if seen.same else sure
    if told < config.min_score:
        return f"score {told:.2f} is below {config.min_score}"
    pair = _pair(figure, hypothesis, found, fit.probable, told)
    return replace(pair, told_by="grain") if seen.same and sure < SURE else pair


def tested(figure: Figure, drawn: np.ndarray, hypothesis: Hypothesis, config: MatchingConfig) -> Measured | str:
    """A motion -> its regions, measured, where nothing but their likeness is left to judge; else why it is no copy: one line."""
    found = _let_pass(figure, verify.measured(figure, drawn, hypothesis), config)
    if not isinstance(found, str) and outlines.is_outline(figure, found.grown):
        return "one edge, and nothing beside it that is the same: an outline, a rim"
    return found


def _equal_sides(found: Measured | str) -> Measured | str:
    """What was measured of two sides that are equal -> without what stands beside them, which blurs reach."""
    if isinstance(found, str):
        return found
    return replace(found, compared=replace(found.compared, gain=0.0, brightness=0.0, tint=0.0))


def _let_pass(figure: Figure, found: Measured | str, config: MatchingConfig) -> Measured | str:
    """What was measured -> the same, or why it is no copy whatever it is like: one line."""
    if isinstance(found, str):
        return found
    if found.area < config.min_area:
        return f"area {found.area} px is below {config.min_area}"
    if found.overlap > verify.MOST_OVERLAP:
        return f"the region overlaps its copy by {found.overlap:.0%}: a pattern, moved along itself"
    return excuses.of(figure, found) or found


def _pair(figure: Figure, hypothesis: Hypothesis, found: Measured, probable: float, sure: float) -> Pair:
    grown = found.grown
    first, second = excuses.panels_of(figure, found)
    return Pair(
        rle.runs_of(grown.mask, figure.size, grown.corner),
        rle.runs_of(found.second, figure.size, found.second_corner),
        matrix=grown.matrix,
        inliers=found.inliers,
        correlation=found.detail,
        chance=probable,
        score=sure,
        original=origin.original(figure.gray, grown.mask, grown.corner, grown.matrix),
        found_by=hypothesis.found_by,
        between_panels=first != second,
    )
