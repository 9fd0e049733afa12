"""Whether a motion really carries a copy: its region is grown, measured and judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgery_rcnn.matching import regions
from forgery_rcnn.matching.pairs import Hypothesis, inverse, parts_of
from forgery_rcnn.matching.regions import Grown

MOST_OVERLAP = 0.3  # of the smaller side; beyond it the motion shifts a pattern along itself
LEAST_DETAIL = 0.45  # mean local correlation of the detail; alike things have 0 to 0.5


@dataclass(frozen=True)
class Measured:
    """A grown region and its partner, with what speaks for a copy.

    grown: the first region; second, second_corner: (h, w) bool and x0 y0; form, middle, detail: -1..1, mean local correlation in
    the region; grain: the same of the detail where there is little form: alike objects agree at their edges, copies everywhere;
    energy: levels, mean standard deviation of its detail; inliers: seeds inside; area: pixels of the first region.
    """

    grown: Grown
    second: np.ndarray
    second_corner: tuple[int, int]
    form: float
    middle: float
    detail: float
    grain: float
    energy: float
    inliers: int
    area: int
    overlap: float


def measured(gray: np.ndarray, drawn: np.ndarray, hypothesis: Hypothesis) -> Measured | str:
    """(H, W) float32, (H, W) bool, drawn over the picture, a motion -> what it carries, or why it carries nothing: one line."""
    matrix, seeds = hypothesis.matrix, hypothesis.first
    if parts_of(matrix).scale < 0.999:  # the larger region is brought onto the smaller one
        matrix, seeds = inverse(matrix), hypothesis.second
    grown = regions.grown(gray, drawn, matrix, seeds)
    if grown is None:
        return "the regions do not agree"
    second, corner = regions.partner(grown, gray.shape)
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
        float(seen.form[mask].mean()),
        float(seen.middle[mask].mean()),
        float(seen.detail[mask].mean()),
        float(seen.detail[mask & (seen.contrast <= np.median(seen.contrast[mask]))].mean()),
        float(seen.energy[mask].mean()),
        int(mask[y[inside], x[inside]].sum()),
        area,
        _overlap(grown, second, corner),
    )


def _overlap(grown: Grown, second: np.ndarray, corner: tuple[int, int]) -> float:
    """Share of the smaller region that lies in the other one too."""
    ys, xs = np.nonzero(second)
    x, y = xs + corner[0] - grown.corner[0], ys + corner[1] - grown.corner[1]
    inside = (x >= 0) & (y >= 0) & (x < grown.mask.shape[1]) & (y < grown.mask.shape[0])
    return float(grown.mask[y[inside], x[inside]].sum() / max(1, min(len(ys), int(grown.mask.sum()))))
