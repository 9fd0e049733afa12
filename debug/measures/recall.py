"""The RPN over all images: recall of true regions by number kept and by size, and why the others are missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from debug.case import Case
from debug.measures.anchors import IOUS, Picture, Seen
from debug.measures.proposals import by_size, mean
from debug.measures.reach import by_chance, by_shape
from debug.probe import drawn_only
from forgery_rcnn.bootstrap import Interval, Resampling, wilson
from forgery_rcnn.models.anatomy import MATCH

STEPS = (1, 3, 10, 30, 100, 300, 1000, 3000)  # numbers of proposals
SHOWN = 4  # pictures
CAUSES = ("reach", "moved", "dropped")
BEST = ("shape", "anchor", "moved", "kept")


@dataclass(frozen=True)
class SizeRow:
    """Regions of one size: how many, the share found (IoU >= 0.5) with Wilson's interval, mean best IoU of anchors,
    moved anchors and proposals."""

    size: str
    regions: int
    found: Interval
    anchor: float
    moved: float
    kept: float


@dataclass(frozen=True)
class RpnReport:
    """Over all images. kept: proposals that the model keeps at most. tiny: regions that training leaves out, a side
    below its min_box. recall: IoU -> number kept -> share of regions; own: IoU -> the same at `kept`, Wilson's interval.
    chance: number -> share at IoU 0.5 if so many anchors were drawn at random. best: mean best IoU of anchors (anchor),
    moved anchors (moved), proposals (kept), and of the anchors' shapes laid on the region's own centre (shape).
    missed: cause -> regions without a proposal of IoU >= 0.5: reach, no anchor has it; moved, an anchor had and none has
    after it is moved; dropped, a moved anchor has it and is not kept. beyond: (n, 2) sides of those beyond reach.
    fit: of the model's config. moving: mean IoU of matching anchors before and after. levels: name -> size -> regions per level, "?" last.
    """

    images: int
    regions: int
    kept: int
    tiny: int
    recall: dict[float, dict[int, float]]
    own: dict[float, Interval]
    chance: dict[int, float]
    best: dict[str, float]
    by_size: list[SizeRow]
    auc: Interval
    moving: tuple[float, float]
    missed: dict[str, int]
    beyond: np.ndarray
    beyond_by_shape: int
    levels: dict[str, dict[str, list[int]]]
    anchor_sizes: tuple[int, ...]
    ratios: tuple[float, ...]
    fit: str
    histogram: np.ndarray
    scatter: np.ndarray = drawn_only()
    pictures: Sequence[Picture] = drawn_only()


def measure(case: Case, kept: list[Seen]) -> RpnReport:
    """-> RpnReport over all images."""
    sides = np.concatenate([seen.sides for seen in kept])
    anchor, moved, found = best = [
        np.concatenate([getattr(s, name) for s in kept]) for name in ("anchor", "moved", "kept")
    ]
    side, missed = np.sqrt(sides.prod(axis=1)), causes(anchor, moved, found)
    sized, shapes, beyond = by_size(side), cell_shapes(case), sides[missed == "reach"]
    config = case.model.config
    return RpnReport(
        images=len(kept),
        regions=len(sides),
        kept=case.model.rpn.post_nms_top_n(),
        tiny=int((sides.min(axis=1, initial=np.inf) < case.config.data.min_box).sum()),
        **_recalls(kept, case.model.rpn.post_nms_top_n()),
        best={name: mean(v) for name, v in zip(BEST, (by_shape(sides, shapes), *best), strict=True)},
        by_size=[_row(name, found[index], [v[index] for v in best]) for name, index in sized.items()],
        auc=Resampling().mean(np.array([seen.auc for seen in kept])),
        moving=tuple(mean(iou) for iou in np.concatenate([seen.matched for seen in kept], axis=1)),
        missed={cause: int((missed == cause).sum()) for cause in CAUSES},
        beyond=beyond,
        beyond_by_shape=int((by_shape(beyond, shapes) < MATCH).sum()),
        levels=_level_table(np.concatenate([s.levels for s in kept], axis=1), sized, len(config.anchor_sizes)),
        anchor_sizes=tuple(config.anchor_sizes),
        ratios=tuple(config.aspect_ratios),
        fit=config.fit,
        histogram=np.sum([seen.histogram for seen in kept], axis=0),
        scatter=np.stack([side, *best]),
        pictures=[seen.picture for seen in kept[:SHOWN]],
    )


def _recalls(kept: list[Seen], own: int) -> dict[str, Any]:
    """-> RpnReport's recall, own and chance. own: the model's own number of proposals."""
    first = dict(zip(IOUS, np.concatenate([seen.first for seen in kept], axis=1), strict=True))
    hits = np.concatenate([seen.hits for seen in kept])
    total = np.repeat([seen.anchors for seen in kept], [len(seen.hits) for seen in kept])
    numbers = [*(n for n in STEPS if n < own), own]
    return {
        "recall": {iou: {n: mean((places < n).astype(float)) for n in numbers} for iou, places in first.items()},
        "own": {iou: wilson(int((places < own).sum()), len(places)) for iou, places in first.items()},
        "chance": {n: mean(by_chance(hits, total, n)) for n in numbers},
    }


def cell_shapes(case: Case) -> np.ndarray:
    """-> (S, 2) width, height of every shape of anchor, input pixels, as rounded by torchvision."""
    cells = torch.cat(case.model.rpn.anchor_generator.cell_anchors).double().cpu().numpy()
    return cells[:, 2:] - cells[:, :2]


def causes(anchor: np.ndarray, moved: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(G,) best IoU of anchors, moved anchors, proposals -> (G,) str of CAUSES why a region has no proposal, or found.

    >>> causes(np.array([0.2, 0.6, 0.6, 0.2]), np.array([0.3, 0.4, 0.8, 0.9]), np.array([0.1, 0.1, 0.4, 0.6])).tolist()
    ['reach', 'moved', 'dropped', 'found']
    """
    return np.select([kept >= MATCH, moved >= MATCH, anchor < MATCH], ["found", "dropped", "reach"], "moved")


def _row(name: str, found: np.ndarray, best: list[np.ndarray]) -> SizeRow:
    return SizeRow(name, len(found), wilson(int((found >= MATCH).sum()), len(found)), *map(mean, best))


def _level_table(levels: np.ndarray, sized: dict[str, np.ndarray], count: int) -> dict[str, dict[str, list[int]]]:
    """(3, G) levels -> name -> size -> regions on each level, those of no level last."""
    names = ("best anchor", "best proposal", "RoIAlign")
    return {
        name: {
            size: np.bincount(np.where(row[index] < 0, count, row[index]), minlength=count + 1).tolist()
            for size, index in sized.items()
        }
        for name, row in zip(names, levels, strict=True)
    }


def strides(count: int) -> list[int]:
    """Pixels of the input per place of each level, finest first."""
    return [4 * 2**level for level in range(count)]
