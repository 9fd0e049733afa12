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
from typing import Literal

import numpy as np
import torch
from torchvision.ops import boxes as box_ops

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
class Climbed:
    """One image: set of parts given -> its oF1; whether it is forged; how many of its true boxes box NMS would drop."""

    scores: dict[tuple[str, ...], float]
    forged: bool
    merged: int = 0


@dataclass(frozen=True)
class Ladder:
    """rungs: set of parts given -> (N,) float64 oF1 of each image. gains: part -> rise of the mean oF1 when it alone is
    given; shares: part -> its Shapley value, which add up to all given minus none given; both with their interval over
    images. behind: part -> by how much its share is below the largest one. forged: images that are; merged: true boxes that box
    NMS drops; regions: of the settings that the answers were made with."""

    rungs: dict[tuple[str, ...], np.ndarray]
    gains: dict[str, Interval]
    shares: dict[str, Interval]
    behind: dict[str, Interval]
    forged: int
    merged: int
    regions: Literal["components", "one"] = "components"

    def mean(self, rung: tuple[str, ...]) -> float:
        """Mean oF1 with the truth given for these parts, named in the order of PARTS."""
        return float(self.rungs[rung].mean())

    def gap(self) -> float:
        """Mean oF1 with the truth for every part, less the model's own."""
        return self.mean(PARTS) - self.mean(())

    def failing(self) -> str | None:
        """The part that costs most; None where no image is forged, the model is good, or mending all gains next to nothing
        because settings keep the score down."""
        worst = max(PARTS, key=lambda part: self.shares[part].value)
        real = self.mean(PARTS) >= FINE or self.gap() > 1 - FINE
        return worst if self.shares[worst].value > 0 and self.mean(()) < FINE and self.forged and real else None

    def alone(self) -> bool:
        """Whether the part that costs most brings half of its share or more when it alone is given."""
        worst = max(PARTS, key=lambda part: self.shares[part].value)
        return self.gains[worst].value >= self.shares[worst].value / 2

    def blamed(self) -> list[str]:
        """The parts that cost a tenth of the gap or more, in the order of the pipeline; [] where none fails.

        Where the one that costs most is enough `alone`, those that are surely behind it are not blamed.
        """
        worst = self.failing()
        if worst is None:
            return []
        alone = self.alone()
        return [
            part
            for part in PARTS
            if part == worst
            or (self.shares[part].value >= self.gap() / 10 and not (alone and self.behind[part].low > 0))
        ]


def climb(
    model: MaskRCNN, anatomy: Anatomy, truth: TrueRegions, true: Instances | None, config: InferenceConfig
) -> Climbed:
    """One dissected image -> its oF1 on every rung. truth: the regions that the model was trained for; true: the
    instances that the score counts, None = authentic (both the same, unless it was trained on components)."""
    scores = {}
    for rung in RUNGS:
        given = substituted(model, anatomy, truth, rung, config.mask_threshold)
        found = pipeline.selected(given, config).instances
        scores[rung] = metrics.image_score(found if len(found) else None, true)
    apart = box_ops.nms(truth.fitted, torch.ones_like(truth.fitted[:, 0]), model.config.box_nms)
    return Climbed(scores, true is not None, len(truth) - len(apart))


def ladder(climbed: Sequence[Climbed], regions: Literal["components", "one"] = "components") -> Ladder:
    """What `climb` found on each image, at least one -> Ladder. regions: as in the config given to `climb`."""
    rungs = {rung: np.array([image.scores[rung] for image in climbed]) for rung in RUNGS}
    how, shares = Resampling(), {part: _share(rungs, part) for part in PARTS}
    largest = max(shares.values(), key=np.mean)
    return Ladder(
        rungs,
        {part: how.mean(rungs[(part,)] - rungs[()]) for part in PARTS},
        {part: how.mean(share) for part, share in shares.items()},
        {part: how.mean(largest - share) for part, share in shares.items()},
        sum(image.forged for image in climbed),
        sum(image.merged for image in climbed),
        regions,
    )


def _share(rungs: dict[tuple[str, ...], np.ndarray], part: str) -> np.ndarray:
    """(N,) Shapley value of the part on each image: over the sets without it, weighted by how many orders pass each."""
    total, n = np.zeros(len(rungs[()])), len(PARTS)
    for without in (rung for rung in RUNGS if part not in rung):
        with_it = tuple(p for p in PARTS if p in without or p == part)
        weight = math.factorial(len(without)) * math.factorial(n - len(without) - 1) / math.factorial(n)
        total += weight * (rungs[with_it] - rungs[without])
    return total


def verdict(found: Ladder) -> str:
    """One line: which part fails, and by how much; or which fail together, and with which to begin; what settings cost."""
    now, best = found.mean(()), found.mean(PARTS)
    if not found.forged:
        return f"n/a: no image is forged; oF1 {now:.4f}, the share of them that is not flagged"
    worst, blamed = found.failing(), found.blamed()
    if worst is None and now < FINE and best < FINE:
        return (
            f"no part is the first to blame: even with the truth for every part oF1 is {best:.4f} (now {now:.4f}); look at the "
            f"settings: {_settings(found)}"
        )
    if worst is None:
        return f"no part fails: oF1 {now:.4f}, with the truth for every part {best:.4f}"
    gap = f"of the {found.gap():.4f} between oF1 {now:.4f} and the truth for every part"
    cap = f"; settings cap the score at {best:.4f} whatever is mended: {_settings(found)}" if best < FINE else ""
    listed = ", ".join(f"{NAMES[part]} {found.shares[part]}" for part in blamed if part != worst)
    if found.alone():
        rivals = f"; these images do not place surely behind it: {listed}" if listed else ""
        alone = f"its truth alone gives {found.mean((worst,)):.4f}"
        return f"{NAMES[worst]} fails most: it costs {found.shares[worst]} {gap}; {alone}{rivals}{cap}"
    listed = ", ".join(f"{NAMES[part]} {found.shares[part]}" for part in blamed)
    begin = f"begin with {NAMES[blamed[0]]}: the others are fed by it"
    return f"several parts fail together: they cost {listed} {gap}; {begin}{cap}"


def _settings(found: Ladder) -> str:
    """The settings that can keep down a score that has the truth for every part."""
    one = "--inference.regions one, which makes one instance of several" if found.regions == "one" else ""
    boxes = (
        f"box NMS drops {found.merged} of the true boxes, which overlap by more than model.box_nms"
        if found.merged
        else ""
    )
    others = "regions smaller than min_area or the model's input can show, more than max_instances, thresholds"
    return "; ".join(filter(None, [boxes, one, f"else {others}" if boxes or one else others]))
