"""Whether a motion really carries a copy: its region is grown, measured and judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from forgery_rcnn.matching import agreement, motions, regions
from forgery_rcnn.matching.pairs import Figure, Hypothesis, inverse, parts_of
from forgery_rcnn.matching.regions import Grown

MOST_OVERLAP = 0.3  # of the smaller side; beyond it the motion shifts a pattern along itself
ITS_OWN_INVERSE = 3.0  # px
LARGER = (1.2, 4.0)  # px: Gaussian sigmas, the band of structures
WHITE = 0.0505  # power of white noise in LARGER over that in DETAIL
ROUNDING = 0.02  # levels squared, so that two equal sides have a quotient


@dataclass(frozen=True)
class Measured:
    """A grown region and its partner, with what speaks for a copy.

    grown: the first region; second, second_corner: (h, w) bool and x0 y0; form, middle, detail: -1..1, mean local correlation in
    the region; compared: how the two sides differ; energy: levels, mean standard deviation of its detail; inliers: seeds
    inside; area: pixels of the first region; overlap: 0..1, share of the smaller region that lies in the other one too.
    """

    grown: Grown
    second: np.ndarray
    second_corner: tuple[int, int]
    form: float
    middle: float
    detail: float
    compared: Compared
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
    if grown is None:
        return "the regions do not agree"
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
        float(seen.form[mask].mean()),
        float(seen.middle[mask].mean()),
        float(seen.detail[mask].mean()),
        compared(figure, drawn, grown),
        float(seen.energy[mask].mean()),
        int(mask[y[inside], x[inside]].sum()),
        area,
        _overlap(grown, second, corner),
    )


def _one_side(grown: Grown, seeds: np.ndarray) -> Grown:
    """A mirror, or half a turn, carries the copy back onto the region: both may grow as one. -> the side with more of the seeds."""
    ys, xs = np.nonzero(grown.mask)
    at = np.stack([xs, ys], axis=1) + grown.corner
    there = motions.moved(grown.matrix, at)
    if np.linalg.norm(motions.moved(grown.matrix, there) - at, axis=1).max(initial=0) > ITS_OWN_INVERSE:
        return grown
    way = np.median(motions.moved(grown.matrix, seeds) - seeds, axis=0)
    side = (there - at) @ way > 0
    mask = np.zeros_like(grown.mask)
    mask[ys[side], xs[side]] = True
    return replace(grown, mask=mask) if mask.any() else grown


@dataclass(frozen=True)
class Compared:
    """What tells a copy from something alike, pixel against pixel. structure: log10 of how much stronger the difference of the
    two sides is at the scale of structures than its grain alone explains (between a copy and its source stands noise, about as
    strong in every band; two alike objects differ in structure); gain: |log| of the contrast between them; brightness: |difference|
    of their means in levels; tint: the same of their colours."""

    structure: float
    gain: float
    brightness: float
    tint: float


def compared(figure: Figure, drawn: np.ndarray, grown: Grown) -> Compared:
    """A figure, (H, W) bool, drawn over the picture, and a region with its motion -> how the two sides differ."""
    height, width = grown.mask.shape
    box = (*grown.corner, grown.corner[0] + width, grown.corner[1] + height)
    first, second, inside = agreement.aligned(figure.gray, drawn, grown.matrix, box)
    mask, left = grown.mask & inside, []
    for low, high in (agreement.DETAIL, LARGER):
        a, b = (agreement.band(side, low, high)[mask] for side in (first, second))
        left.append(float(np.square(a - (a @ b) / (b @ b + 1e-6) * b).mean()))
    return Compared(
        structure=float(np.log10((left[1] + ROUNDING) / (left[0] + ROUNDING) / WHITE)),
        gain=float(abs(np.log((a.std() + 0.1) / (b.std() + 0.1)))),
        brightness=float(abs(np.median(first[mask]) - np.median(second[mask]))),
        tint=_tint(figure.pixels, grown.matrix, box, mask),
    )


def _tint(pixels: np.ndarray, matrix: np.ndarray, box: agreement.Box, mask: np.ndarray) -> float:
    """-> levels, how far apart the mean colours of the two sides are, their brightness left out."""
    size = (box[2] - box[0], box[3] - box[1])
    local = agreement.from_corner(matrix, box[:2])
    other = cv2.warpAffine(pixels, local, size, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST)[mask]
    own = pixels[box[1] : box[3], box[0] : box[2]][mask]
    means = [side.mean(axis=0) - side.mean() for side in (own.astype(np.float32), other.astype(np.float32))]
    return float(np.abs(means[0] - means[1]).max())


def _overlap(grown: Grown, second: np.ndarray, corner: tuple[int, int]) -> float:
    """Share of the smaller region that lies in the other one too."""
    ys, xs = np.nonzero(second)
    x, y = xs + corner[0] - grown.corner[0], ys + corner[1] - grown.corner[1]
    inside = (x >= 0) & (y >= 0) & (x < grown.mask.shape[1]) & (y < grown.mask.shape[0])
    return float(grown.mask[y[inside], x[inside]].sum() / max(1, min(len(ys), int(grown.mask.sum()))))
