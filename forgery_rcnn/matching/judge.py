"""Which motions carry a copy: measured, held against chance, and judged by a logistic model of a few numbers.

`benchmarks/judge.py` fits the model on copies planted in clean pictures, on made figures, and on what the same motions find
in untouched ones.
"""

from __future__ import annotations

import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.matching import chance, origin, verify
from forgery_rcnn.matching.pairs import Figure, Hypothesis, Pair, parts_of
from forgery_rcnn.matching.verify import Measured
from forgery_rcnn.matching_config import MatchingConfig

WEIGHTS = {
    "one": -13.25,
    "detail": 2.862,
    "log_area": 2.125,
    "log_chance": -0.0994,
    "log_inliers": 2.666,
    "log_energy": -0.2895,
    "structure": 0.264,
}
"""Of each feature; see `features`. Fitted: docs/results/judge.md."""
LEAST_CHANCE = 1e-20  # what an exponential tail says beyond this is no measurement
LARGE, MANY = 10_000, 50  # px and places beyond which more of them prove no more: alike objects have them too
LEAST_SCORE = 0.5
CAUTION = 0.4  # taken off each logit: on hosts that were not fitted on, more untouched ones had a pair than on those that were
CHANNELS = 12.0  # levels of tint from which two panels show different stains
EXPOSED = {"gain": 0.08, "brightness": 5.0}  # log contrast and levels from which two panels are two exposures
SAME_PLACE = 0.05  # of a panel's diagonal


def features(found: Measured, probable: float) -> dict[str, float]:
    """A pair and its chance -> the numbers that it is judged by."""
    return {
        "one": 1.0,
        "detail": found.detail,
        "log_area": float(np.log10(np.clip(found.area, 100, LARGE))),
        "log_chance": float(np.log10(max(probable, LEAST_CHANCE))),
        "log_inliers": float(np.log10(min(found.inliers, MANY) + 1)),
        "log_energy": float(np.log10(found.energy + 0.1)),
        "structure": found.compared.structure,
    }


def score(found: Measured, probable: float) -> float:
    """-> 0..1, how sure a pair is; from LEAST_SCORE on it is reported."""
    total = sum(WEIGHTS[name] * value for name, value in features(found, probable).items()) - CAUTION
    return float(1 / (1 + np.exp(-np.clip(total, -50, 50))))


def judged(figure: Figure, drawn: np.ndarray, hypothesis: Hypothesis, config: MatchingConfig) -> Pair | str:
    """A figure, (H, W) bool, drawn over the picture, and a motion -> the pair, or why it is none: one line."""
    found = tested(figure, drawn, hypothesis, config)
    if isinstance(found, str):
        return found
    # The best that chance could make of it: the costly count of places is for those that it could help.
    if score(found, LEAST_CHANCE) < LEAST_SCORE:
        return f"alike, but not the same: detail correlates by {found.detail:.2f}"
    probable = chance.of(figure.gray, found.grown)
    if probable > config.max_chance:
        return f"chance {probable:.2g}: other places fit as well"
    sure = score(found, probable)
    if sure < LEAST_SCORE:
        return f"score {sure:.2f} is below {LEAST_SCORE}"
    return _pair(figure, hypothesis, found, probable, sure)


def tested(figure: Figure, drawn: np.ndarray, hypothesis: Hypothesis, config: MatchingConfig) -> Measured | str:
    """A motion -> its regions, measured, where nothing but their likeness is left to judge; else why it is no copy: one line."""
    found = verify.measured(figure, drawn, hypothesis)
    if isinstance(found, str):
        return found
    if found.area < config.min_area:
        return f"area {found.area} px is below {config.min_area}"
    if found.overlap > verify.MOST_OVERLAP:
        return f"the region overlaps its copy by {found.overlap:.0%}: a pattern, moved along itself"
    if found.detail < least_detail(found.energy):
        return f"alike, but not the same: detail of {found.energy:.1f} levels correlates by {found.detail:.2f} only"
    first, second = _panels(figure, found)
    if first != second and _same_place(figure, (first, second), found):
        differ = found.compared
        if differ.tint > CHANNELS:
            return "the same place of another panel in another colour: two channels of one field"
        if differ.gain > EXPOSED["gain"] or differ.brightness > EXPOSED["brightness"]:
            return "the same place of another panel, lighter or darker: two exposures of one field"
    return found


def least_detail(energy: float) -> float:
    """Levels, how strong the detail is -> the correlation that it has at least between copies: faint detail drowns in what noise and
    JPEG did afterwards, strong detail does not."""
    return float(np.clip(0.4 + 0.3 * np.log10(energy + 0.1), 0.0, 0.8))


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
    upright = abs(parts.turn) < 3 and abs(parts.scale - 1) < 0.05 and not parts.mirrored
    return upright and bool(np.linalg.norm(shift) < SAME_PLACE * np.hypot(x1 - x0, y1 - y0))
