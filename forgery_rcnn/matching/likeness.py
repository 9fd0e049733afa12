"""How like the two sides of a motion are, pixel against pixel, and what the region shows: what a pair is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from forgery_rcnn.matching import agreement
from forgery_rcnn.matching.agreement import Agreement, Box
from forgery_rcnn.matching.pairs import Figure
from forgery_rcnn.matching.regions import FLAT, Grown

BANDS = {
    "fine": agreement.DETAIL,
    "middle": agreement.MIDDLE,
    "larger": (1.2, 4.0),
    "form": agreement.FORM,
    "coarse": (4.0, 12.0),
}  # px: Gaussian sigmas
ROUNDING = 0.02  # levels squared, so that two equal sides have a quotient
ALLOWED = 0.03  # of the power in a band: what resampling and JPEG leave between a copy and its source (a judgement)
ALIKE = 0.999  # correlations beyond it prove no more
STRONGEST = 0.1  # share of a region's pixels, those with the steepest gradients

Bands = dict[str, tuple[np.ndarray, np.ndarray]]  # (h, w) float32 of both sides, the second brought onto the first


@dataclass(frozen=True)
class Compared:
    """What tells a copy from something alike: the differences of the two sides. All but the last three are medians over the places
    of the region: of one number over all, the few pixels of its rim that belong to the surroundings would decide.

    fine, middle, form: Fisher's z of the local correlation, in bands of ever larger structures; structure: log10 of how much
    stronger the difference is at the scale of structures than its grain alone explains (between a copy and its source stands noise,
    about as strong in every band; two alike objects differ in structure); excess_middle, excess_form, excess_coarse: log10 of
    how much stronger it is there than the figure's own grain, on both sides, and resampling explain; gain: |log| of the contrast between
    them, by what both show; brightness: |difference| of their means in levels; tint: the same of their colours.
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
    along_form: 0..1, how far the gradients have one direction; flat: share of its pixels without contrast. Its outline is not
    among them: that of planted copies is the planter's.
    """

    concentrated_middle: float
    concentrated_form: float
    along_middle: float
    along_form: float
    flat: float


def of(figure: Figure, drawn: np.ndarray, grown: Grown) -> tuple[Compared, Shown]:
    """A figure, (H, W) bool, drawn over the picture, and a region with its motion -> how its two sides differ, what it shows."""
    height, width = grown.mask.shape
    box = (*grown.corner, grown.corner[0] + width, grown.corner[1] + height)
    first, second, inside = agreement.aligned(figure.gray, drawn, grown.matrix, box)
    mask = grown.mask & inside
    if not mask.any():
        mask = grown.mask
    bands = {name: (agreement.band(first, *at), agreement.band(second, *at)) for name, at in BANDS.items()}
    apart = float(abs(np.median(first[mask]) - np.median(second[mask])))
    tint = _tint(figure.pixels, grown.matrix, box, mask)
    return _compared(figure.grain, grown.agreement, bands, mask, (apart, tint)), _shown(bands, mask, grown)


@cache
def white(low: float, high: float) -> float:
    """Share of white noise's power in a band between two Gaussian sigmas, px."""
    impulse = np.zeros((129, 129), np.float32)
    impulse[64, 64] = 1
    return float(np.square(agreement.band(impulse, low, high)).sum())


def _compared(grain: float, seen: Agreement, bands: Bands, mask: np.ndarray, light: tuple[float, float]) -> Compared:
    """The figure's grain, the local correlations, the sides in each band, (h, w) bool, the region; brightness and tint."""
    z = [np.arctanh(np.clip(np.median(m[mask]), -ALIKE, ALIKE)) for m in (seen.detail, seen.middle, seen.form)]
    left = {name: _left(sides, mask) for name, sides in bands.items()}
    excess = []
    for name in ("middle", "form", "coarse"):
        rest, power = left[name]
        allowed = 2 * grain * white(*BANDS[name]) + ALLOWED * power + ROUNDING
        excess.append(float(np.log10((rest + ROUNDING) / allowed)))
    larger, fine = (left[name][0] + ROUNDING for name in ("larger", "fine"))
    return Compared(
        *(float(value) for value in z),
        float(np.log10(larger / fine * white(*BANDS["fine"]) / white(*BANDS["larger"]))),
        *excess,
        abs(_gain(bands["larger"], mask)),
        *light,
    )


def _left(sides: tuple[np.ndarray, np.ndarray], mask: np.ndarray) -> tuple[float, float]:
    """-> power, in levels squared, of what the second side does not explain of the first in a band, and of all, where typical."""
    a, b = sides
    explained = float((a[mask] * b[mask]).sum() / (float(np.square(b[mask]).sum()) + 1e-6))
    powers = (agreement.local(np.square(values))[mask] for values in (a - explained * b, a))
    left, power = (float(np.median(values)) for values in powers)
    return left, power


def _gain(sides: tuple[np.ndarray, np.ndarray], mask: np.ndarray) -> float:
    """-> log of the contrast between the sides, the median over what both show: an arrow over one of them is not counted."""
    first, second = (agreement.local(np.square(values))[mask] + ROUNDING for values in sides)
    gain, weight = np.log(first / second) / 2, np.minimum(first, second)
    order = np.argsort(gain)
    total = np.cumsum(weight[order])
    return float(gain[order][np.searchsorted(total, total[-1] / 2)])


def _tint(pixels: np.ndarray, matrix: np.ndarray, box: Box, mask: np.ndarray) -> float:
    """-> levels, how far apart the mean colours of the two sides are, their brightness left out."""
    other = agreement.brought(pixels, matrix, box)[mask]
    own = pixels[box[1] : box[3], box[0] : box[2]][mask]
    means = [side.mean(axis=0) - side.mean() for side in (own.astype(np.float32), other.astype(np.float32))]
    return float(np.abs(means[0] - means[1]).max())


def _shown(bands: Bands, mask: np.ndarray, grown: Grown) -> Shown:
    """The sides in each band, (h, w) bool, the region."""
    middle, form = (_gradients(bands[name][0], mask) for name in ("middle", "form"))
    return Shown(
        concentrated_middle=middle[0],
        concentrated_form=form[0],
        along_middle=middle[1],
        along_form=form[1],
        flat=float((grown.agreement.contrast[grown.mask] < FLAT).mean()),
    )


def _gradients(values: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """-> share of the gradients' energy in the STRONGEST pixels of the region, and how far they have one direction."""
    x, y = cv2.Sobel(values, cv2.CV_32F, 1, 0)[mask], cv2.Sobel(values, cv2.CV_32F, 0, 1)[mask]
    energy = np.sort(x * x + y * y)[::-1]
    total = float(energy.sum()) + 1e-6
    one_way = np.hypot(float((x * x - y * y).sum()), 2 * float((x * y).sum()))
    return float(energy[: max(1, round(STRONGEST * len(energy)))].sum()) / total, float(one_way) / total
