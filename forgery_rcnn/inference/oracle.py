"""What each part of the detector costs: the score with the truth in the place of each part, and of every set of parts.

A part's share is its Shapley value over the sets: the mean rise that its truth brings, over all orders in which the four
could be mended. Shares add up to what all four bring, and two parts that fail together share the blame. After the idea
of TIDE (Bolya et al., ECCV 2020): mend one kind of error, see how much the score rises.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from forgery_rcnn import metrics
from forgery_rcnn.bootstrap import Interval, Resampling
from forgery_rcnn.config import InferenceConfig
from forgery_rcnn.inference import pipeline
from forgery_rcnn.instances import Instances
from forgery_rcnn.models.anatomy import PARTS, Anatomy, TrueRegions, substituted
from forgery_rcnn.models.mask_rcnn import MaskRCNN

RUNGS: tuple[tuple[str, ...], ...] = tuple(
    rung for count in range(len(PARTS) + 1) for rung in combinations(PARTS, count)
)
"""Every set of parts that the truth can be given for, () first, all four last."""
NAMES = {
    "proposals": "the RPN (proposals)",
    "boxes": "the box regressor",
    "scores": "the classifier (scores)",
    "masks": "the mask head",
}
FINE = 0.95  # mean oF1 from which no part is blamed


@dataclass(frozen=True)
class Ladder:
    """rungs: set of parts given -> (N,) float64 oF1 of each image. gains: part -> rise of the mean oF1 when it alone is
    given, with its interval over images. shares: part -> its Shapley value; they add up to all given minus none given."""

    rungs: dict[tuple[str, ...], np.ndarray]
    gains: dict[str, Interval]
    shares: dict[str, float]

    def mean(self, rung: tuple[str, ...]) -> float:
        """Mean oF1 with the truth given for these parts, named in the order of PARTS."""
        return float(self.rungs[rung].mean())

    def failing(self) -> str | None:
        """The part that costs most; None where nothing is left to gain or the model is good as it is."""
        worst = max(self.shares, key=lambda part: self.shares[part])
        return worst if self.shares[worst] > 0 and self.mean(()) < FINE else None


def climb(
    model: MaskRCNN, anatomy: Anatomy, truth: TrueRegions, true: Instances | None, config: InferenceConfig
) -> dict[tuple[str, ...], float]:
    """One dissected image -> its oF1 on every rung. truth: the regions that the model was trained for; true: the
    instances that the score counts, None = authentic (both the same, unless it was trained on components)."""
    scores = {}
    for rung in RUNGS:
        given = substituted(model, anatomy, truth, rung, config.mask_threshold)
        found = pipeline.selected(given, config).instances
        scores[rung] = metrics.image_score(found if len(found) else None, true)
    return scores


def ladder(climbed: Sequence[dict[tuple[str, ...], float]]) -> Ladder:
    """What `climb` found on each image, at least one -> Ladder."""
    rungs = {rung: np.array([scores[rung] for scores in climbed]) for rung in RUNGS}
    gains = {part: Resampling().mean(rungs[(part,)] - rungs[()]) for part in PARTS}
    return Ladder(rungs, gains, {part: _share(rungs, part) for part in PARTS})


def _share(rungs: dict[tuple[str, ...], np.ndarray], part: str) -> float:
    """Shapley value of the part: over the sets without it, weighted by how many orders pass through each."""
    total, n = 0.0, len(PARTS)
    for without in (rung for rung in RUNGS if part not in rung):
        with_it = tuple(p for p in PARTS if p in without or p == part)
        weight = math.factorial(len(without)) * math.factorial(n - len(without) - 1) / math.factorial(n)
        total += weight * float((rungs[with_it] - rungs[without]).mean())
    return total


def together(found: Ladder) -> list[str]:
    """The parts that cost a tenth of the whole gap or more, the one that costs most first."""
    gap = found.mean(PARTS) - found.mean(())
    return sorted((p for p in PARTS if found.shares[p] >= gap / 10), key=lambda p: -found.shares[p])


def verdict(found: Ladder) -> str:
    """One line: which part fails, and by how much; or which fail together, where none alone brings half of its share."""
    now, best = found.mean(()), found.mean(PARTS)
    part = found.failing()
    if part is None:
        return f"no part fails: oF1 {now:.4f}, with the truth for every part {best:.4f}"
    gap = f"of the {best - now:.4f} between oF1 {now:.4f} and the truth for every part"
    least = (
        ""
        if best > FINE
        else f"; even with all four true it is {best:.4f}: thresholds, or more instances than may be told"
    )
    alone = f"its truth alone gives {found.mean((part,)):.4f}"
    failing = together(found)
    if found.gains[part].value >= found.shares[part] / 2 or len(failing) == 1:
        sure = "" if not found.gains[part].low <= 0 else ", which these images do not make sure"
        return f"{NAMES[part]} fails most: it costs {found.shares[part]:.4f} {gap}; {alone}{sure}{least}"
    listed = ", ".join(f"{NAMES[p]} {found.shares[p]:.4f}" for p in failing)
    return f"several parts fail together, {NAMES[part]} most: they cost {listed} {gap}; {alone}{least}"
