"""Whether a motion really carries a copy: its region is grown, measured and judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from forgery_rcnn.matching import likeness, motions, regions
from forgery_rcnn.matching.likeness import Compared, Shown
from forgery_rcnn.matching.pairs import Figure, Hypothesis, inverse, parts_of
from forgery_rcnn.matching.regions import Grown

MOST_OVERLAP = 0.3  # of the smaller side; beyond it the motion shifts a pattern along itself
ITS_OWN_INVERSE = 3.0  # px

Corner = tuple[int, int]
"""x0 y0 of a window in the image."""


@dataclass(frozen=True)
class Measured:
    """A grown region and its partner, with what speaks for a copy.

    grown: the first region; second, second_corner: (h, w) bool and x0 y0; detail: -1..1, mean local correlation of detail in the
    region; compared: how the two sides differ; shown: what the first shows; energy: levels, mean standard deviation of its
    detail; inliers: seeds inside; area: pixels of the first region; overlap: 0..1, share of the smaller region that lies
    in the other one too.
    """

    grown: Grown
    second: np.ndarray
    second_corner: tuple[int, int]
    detail: float
    compared: Compared
    shown: Shown
    energy: float
    inliers: int
    area: int
    overlap: float


def measured(figure: Figure, drawn: np.ndarray, hypothesis: Hypothesis) -> Measured | str:
    """A figure, (H, W) bool, drawn over the picture, a motion -> what it carries, or why it carries nothing: one line."""
    matrix, seeds = hypothesis.matrix, hypothesis.first
    if parts_of(matrix).scale < 0.999:  # the larger region is brought onto the smaller one
        matrix, seeds = inverse(matrix), hypothesis.second
    grown = regions.grown(figure.gray, drawn, matrix, seeds)
    return "the regions do not agree" if grown is None else told(figure, drawn, grown, seeds)


def told(figure: Figure, drawn: np.ndarray, grown: Grown, seeds: np.ndarray) -> Measured | str:
    """A region, and (K, 2) x y of the first side that its motion was estimated from -> what speaks for a copy, or why there is none."""
    grown = _one_side(grown, seeds)
    second, corner = regions.partner(grown, figure.size)
    area = int(grown.mask.sum())
    if not second.any():
        return "the regions do not agree"
    seen, mask = grown.agreement, grown.mask
    x, y = np.round(seeds - grown.corner).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    return Measured(
        grown,
        second,
        corner,
        float(seen.detail[mask].mean()),
        *likeness.of(figure, drawn, grown),
        float(seen.energy[mask].mean()),
        int(mask[y[inside], x[inside]].sum()),
        area,
        _overlap(grown, second, corner),
    )


def return_error(grown: Grown) -> float:
    """-> px that the motion, made twice, moves any pixel of the region: little for a mirror and for half a turn."""
    at = np.argwhere(grown.mask)[:, ::-1] + grown.corner
    twice = motions.moved(grown.matrix, motions.moved(grown.matrix, at))
    return float(np.linalg.norm(twice - at, axis=1).max(initial=0))


def _one_side(grown: Grown, seeds: np.ndarray) -> Grown:
    """A mirror, or half a turn, carries the copy back onto the region: both may grow as one. -> the side with more of the seeds."""
    if return_error(grown) > ITS_OWN_INVERSE:
        return grown
    at = np.argwhere(grown.mask)[:, ::-1] + grown.corner
    way = np.median(motions.moved(grown.matrix, seeds) - seeds, axis=0)
    x, y = at[(motions.moved(grown.matrix, at) - at) @ way > 0].T - np.array(grown.corner)[:, None]
    mask = np.zeros_like(grown.mask)
    mask[y, x] = True
    return replace(grown, mask=mask) if mask.any() else grown


def shared(first: np.ndarray, first_corner: Corner, second: np.ndarray, second_corner: Corner) -> np.ndarray:
    """Two regions, (h, w) bool at x0 y0 -> (K, 2) int64 x y, the image's pixels in both."""
    at = np.argwhere(second)[:, ::-1] + np.array(second_corner) - np.array(first_corner)
    at = at[((at >= 0) & (at < first.shape[::-1])).all(axis=1)]
    return at[first[at[:, 1], at[:, 0]]] + np.array(first_corner)


def _overlap(grown: Grown, second: np.ndarray, corner: Corner) -> float:
    """Share of the smaller region that lies in the other one too."""
    both = len(shared(grown.mask, grown.corner, second, corner))
    return float(both / max(1, min(int(second.sum()), int(grown.mask.sum()))))
