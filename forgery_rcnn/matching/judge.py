"""Which motions carry a copy: measured, held against chance, and judged by boosted trees over some twenty numbers.

`benchmarks/judge.py` fits them on copies planted in clean pictures, on made figures, on what the same motions find in untouched
ones, and on lookalikes; judge.json holds what it fitted.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.matching import chance, origin, verify
from forgery_rcnn.matching.pairs import Figure, Hypothesis, Pair, parts_of
from forgery_rcnn.matching.verify import Measured
from forgery_rcnn.matching_config import MatchingConfig

FITTED = Path(__file__).with_name("judge.json")
LEAST_CHANCE = 1e-20  # what an exponential tail says beyond this is no measurement
LARGE, MANY = 10_000, 50  # px and places beyond which more of them prove no more: alike objects have them too
CHANNELS = 12.0  # levels of tint from which two panels show different stains
EXPOSED = {"gain": 0.08, "brightness": 5.0}  # log contrast and levels from which two panels are two exposures
SAME_PLACE = 0.05  # of a panel's diagonal
UPRIGHT = 3.0  # degrees at most
STILL = 6.0  # px between two sides that meet, and that a motion made twice may move
AXIS = 0.25  # least share of a region's extent along which it meets its other side
EXACT, GRAINY = 1.0, 0.5  # Fisher's z in the finest band; levels, in the quietest quarter of a region
INSET = {"scale": 1.4, "fill": 0.9}  # least enlargement, least share of its frame that the hull fills
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
    found = tested(figure, drawn, hypothesis, config)
    if isinstance(found, str):
        return found
    # The best that chance could make of it: the costly count of places is for those that it could help.
    if score(found, chance.PERFECT) < config.min_score:
        return f"alike, but not the same: detail correlates by {found.detail:.2f}"
    fit = chance.of(figure.gray, found.grown)
    if fit.probable > config.max_chance:
        return f"chance {fit.probable:.2g}: other places fit as well"
    sure = score(found, fit)
    if sure < config.min_score:
        return f"score {sure:.2f} is below {config.min_score}"
    return _pair(figure, hypothesis, found, fit.probable, sure)


def tested(figure: Figure, drawn: np.ndarray, hypothesis: Hypothesis, config: MatchingConfig) -> Measured | str:
    """A motion -> its regions, measured, where nothing but their likeness is left to judge; else why it is no copy: one line."""
    found = verify.measured(figure, drawn, hypothesis)
    if isinstance(found, str):
        return found
    if found.area < config.min_area:
        return f"area {found.area} px is below {config.min_area}"
    if found.overlap > verify.MOST_OVERLAP:
        return f"the region overlaps its copy by {found.overlap:.0%}: a pattern, moved along itself"
    if _is_inset(found):
        return "an upright frame that shows a part of the figure enlarged: an inset"
    first, second = _panels(figure, found)
    if first == second and _is_symmetric(found):
        return "mirrored, or turned by half a turn, onto what it meets there: a symmetric object"
    if first != second and _same_place(figure, (first, second), found):
        differ = found.compared
        if differ.tint > CHANNELS:
            return "the same place of another panel in another colour: two channels of one field"
        if differ.gain > EXPOSED["gain"] or differ.brightness > EXPOSED["brightness"]:
            return "the same place of another panel, lighter or darker: two exposures of one field"
    return found


def _is_inset(found: Measured) -> bool:
    """Whether the second region, the larger one, is a frame that shows the first enlarged, upright and unmirrored."""
    parts = parts_of(found.grown.matrix)
    upright = abs(parts.turn) < UPRIGHT and not parts.mirrored
    hull = cv2.convexHull(cv2.findNonZero(found.second.astype(np.uint8)))
    width, height = cv2.boundingRect(hull)[2:]
    return upright and parts.scale >= INSET["scale"] and cv2.contourArea(hull) >= INSET["fill"] * width * height


def _is_symmetric(found: Measured) -> bool:
    """Whether a mirror, or half a turn, leaves its two sides where they meet: halves of one object, or of a power spectrum. A copy
    lies elsewhere, or shares its grain, which only spectra do as well, and matrices about their diagonal."""
    parts = parts_of(found.grown.matrix)
    if not (parts.mirrored or abs(parts.turn) > 180 - UPRIGHT) or verify.return_error(found.grown) > STILL:
        return False
    meeting, extent = _meeting(found), np.ptp(np.argwhere(found.grown.mask), axis=0)
    if not len(meeting) or np.hypot(*np.ptp(meeting, axis=0)) < AXIS * np.hypot(*extent):
        return False
    upright = min(abs(parts.turn), 180 - abs(parts.turn)) < UPRIGHT
    return not (parts.mirrored and upright and _is_exact(found))


def _meeting(found: Measured) -> np.ndarray:
    """-> (K, 2) x y, pixels of the second region within STILL / 2 of the first."""
    reach = int(STILL / 2)
    near = cv2.dilate(np.pad(found.grown.mask, reach).astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8))
    at = np.argwhere(found.second)[:, ::-1] + np.array(found.second_corner) - np.array(found.grown.corner) + reach
    at = at[((at >= 0) & (at < near.shape[::-1])).all(axis=1)]
    return at[near[at[:, 1], at[:, 0]] > 0]


def _is_exact(found: Measured) -> bool:
    """Whether the two sides have grain, and the same: where there is none all is the same."""
    seen = found.grown.agreement
    return found.compared.fine >= EXACT and bool(np.quantile(seen.energy[found.grown.mask], 0.25) >= GRAINY)


def _pair(figure: Figure, hypothesis: Hypothesis, found: Measured, probable: float, sure: float) -> Pair:
    grown = found.grown
    first, second = _panels(figure, found)
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


def _panels(figure: Figure, found: Measured) -> tuple[int, int]:
    """-> the panels that hold most of the first and of the second region."""
    sides = (found.grown.mask, found.grown.corner), (found.second, found.second_corner)
    numbers = []
    for mask, (left, top) in sides:
        boxes = np.clip(figure.panels - [left, top] * 2, 0, [*mask.shape[::-1]] * 2)
        numbers.append(int(np.argmax([mask[y0:y1, x0:x1].sum() for x0, y0, x1, y1 in boxes.tolist()])))
    return numbers[0], numbers[1]


def _same_place(figure: Figure, panels: tuple[int, int], found: Measured) -> bool:
    """Whether the motion only carries one panel onto the other, as a whole and upright."""
    (x0, y0, x1, y1), other = figure.panels[list(panels)].tolist()
    parts = parts_of(found.grown.matrix)
    shift = found.grown.matrix @ [x0, y0, 1] - other[:2]
    upright = abs(parts.turn) < UPRIGHT and abs(parts.scale - 1) < 0.05 and not parts.mirrored
    return upright and bool(np.linalg.norm(shift) < SAME_PLACE * np.hypot(x1 - x0, y1 - y0))
