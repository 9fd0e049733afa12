"""How like the two sides of a motion are, pixel against pixel, and what the region shows: what a pair is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from forgery_rcnn.matching import agreement
from forgery_rcnn.matching.agreement import Box
from forgery_rcnn.matching.pairs import Figure
from forgery_rcnn.matching.regions import FLAT, Grown

BANDS = {"fine": agreement.DETAIL, "middle": agreement.MIDDLE, "form": agreement.FORM, "coarse": (4.0, 12.0)}
LARGER = (1.2, 4.0)  # px: Gaussian sigmas, the band of structures
ROUNDING = 0.02  # levels squared, so that two equal sides have a quotient
ALIKE = 0.999  # correlations beyond it prove no more
STRONGEST = 0.1  # share of a region's pixels, those with the steepest gradients


@dataclass(frozen=True)
class Compared:
    """What tells a copy from something alike: the differences of the two sides.

    fine, middle, form: Fisher's z of the correlation over all of the region, in bands of ever larger structures; structure: log10 of
    how much stronger the difference is at the scale of structures than its grain alone explains (between a copy and its source
    stands noise, about as strong in every band; two alike objects differ in structure); excess_middle, excess_form,
    excess_coarse: log10 of how much stronger it is there than the figure's own grain, on both sides, explains; gain: |log| of the
    contrast between them; brightness: |difference| of their means in levels; tint: the same of their colours.
    """

    fine: float
    middle: float
    form: float
    structure: float
    excess_middle: float
    excess_form: float
    excess_coarse: float
    gain: float
    brightness: float
    tint: float


@dataclass(frozen=True)
class Shown:
    """What a region shows: one edge lies on any other, texture does not.

    concentrated_middle, concentrated_form: 0..1, share of the gradients' energy in the steepest tenth of the pixels; along_middle,
    along_form: 0..1, how far the gradients have one direction; filled: of its upright frame; elongated: 1 or more, longer
    axis by the shorter; flat: share of its pixels without contrast.
    """

    concentrated_middle: float
    concentrated_form: float
    along_middle: float
    along_form: float
    filled: float
    elongated: float
    flat: float


def of(figure: Figure, drawn: np.ndarray, grown: Grown) -> tuple[Compared, Shown]:
    """A figure, (H, W) bool, drawn over the picture, and a region with its motion -> how its two sides differ, what it shows."""
    height, width = grown.mask.shape
    box = (*grown.corner, grown.corner[0] + width, grown.corner[1] + height)
    first, second, inside = agreement.aligned(figure.gray, drawn, grown.matrix, box)
    mask = grown.mask & inside
    if not mask.any():
        mask = grown.mask
    return _compared(figure, grown.matrix, box, (first, second), mask), _shown(first, mask, grown)


@cache
def white(low: float, high: float) -> float:
    """Share of white noise's power in a band between two Gaussian sigmas, px."""
    impulse = np.zeros((129, 129), np.float32)
    impulse[64, 64] = 1
    return float(np.square(agreement.band(impulse, low, high)).sum())


def _compared(
    figure: Figure, matrix: np.ndarray, box: Box, sides: tuple[np.ndarray, np.ndarray], mask: np.ndarray
) -> Compared:
    """(h, w) float32 twice, the sides in the first one's frame, (h, w) bool, the region."""
    z, excess = {}, {}
    for name, (low, high) in BANDS.items():
        alike, left = _in_band(sides, mask, low, high)
        z[name] = float(np.arctanh(np.clip(alike, -ALIKE, ALIKE)))
        excess[name] = float(np.log10((left + ROUNDING) / (2 * figure.grain * white(low, high) + ROUNDING)))
    structure, grain = (_in_band(sides, mask, *band)[1] + ROUNDING for band in (LARGER, agreement.DETAIL))
    spread = [float(agreement.band(side, *LARGER)[mask].std()) + 0.1 for side in sides]
    return Compared(
        fine=z["fine"],
        middle=z["middle"],
        form=z["form"],
        structure=float(np.log10(structure / grain * white(*agreement.DETAIL) / white(*LARGER))),
        excess_middle=excess["middle"],
        excess_form=excess["form"],
        excess_coarse=excess["coarse"],
        gain=float(abs(np.log(spread[0] / spread[1]))),
        brightness=float(abs(np.median(sides[0][mask]) - np.median(sides[1][mask]))),
        tint=_tint(figure.pixels, matrix, box, mask),
    )


def _in_band(sides: tuple[np.ndarray, np.ndarray], mask: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """-> correlation of the two sides in the region, and the power of what the second does not explain of the first, levels squared."""
    a, b = (agreement.band(side, low, high)[mask] for side in sides)
    a, b = a - a.mean(), b - b.mean()
    aa, bb, ab = float((a * a).mean()), float((b * b).mean()), float((a * b).mean())
    return ab / float(np.sqrt(aa * bb + 1e-6)), max(aa - ab * ab / (bb + 1e-6), 0.0)


def _tint(pixels: np.ndarray, matrix: np.ndarray, box: Box, mask: np.ndarray) -> float:
    """-> levels, how far apart the mean colours of the two sides are, their brightness left out."""
    size = (box[2] - box[0], box[3] - box[1])
    local = agreement.from_corner(matrix, box[:2])
    other = cv2.warpAffine(pixels, local, size, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST)[mask]
    own = pixels[box[1] : box[3], box[0] : box[2]][mask]
    means = [side.mean(axis=0) - side.mean() for side in (own.astype(np.float32), other.astype(np.float32))]
    return float(np.abs(means[0] - means[1]).max())


def _shown(first: np.ndarray, mask: np.ndarray, grown: Grown) -> Shown:
    """(h, w) float32, the first side, (h, w) bool, the region."""
    middle, form = (_gradients(agreement.band(first, *BANDS[name]), mask) for name in ("middle", "form"))
    ys, xs = np.nonzero(grown.mask)
    axes = np.linalg.eigvalsh(np.cov(np.stack([xs, ys]))) if len(xs) > 2 else np.ones(2)
    return Shown(
        concentrated_middle=middle[0],
        concentrated_form=form[0],
        along_middle=middle[1],
        along_form=form[1],
        filled=float(len(ys) / ((np.ptp(ys) + 1) * (np.ptp(xs) + 1))),
        elongated=float(np.sqrt((axes[1] + 1) / (axes[0] + 1))),
        flat=float((grown.agreement.contrast[grown.mask] < FLAT).mean()),
    )


def _gradients(values: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """-> share of the gradients' energy in the STRONGEST pixels of the region, and how far they have one direction."""
    x, y = cv2.Sobel(values, cv2.CV_32F, 1, 0)[mask], cv2.Sobel(values, cv2.CV_32F, 0, 1)[mask]
    energy = np.sort(x * x + y * y)[::-1]
    total = float(energy.sum()) + 1e-6
    one_way = np.hypot(float((x * x - y * y).sum()), 2 * float((x * y).sum()))
    return float(energy[: max(1, round(STRONGEST * len(energy)))].sum()) / total, float(one_way) / total
