"""Whether two sides carry the same grain: the noise of one exposure is found nowhere else, nor a few pixels beside its place.

Cameras are told by their sensors' noise in this way, by a correlation that has a peak and nothing around it (Lukas, Fridrich &
Goljan, Digital Camera Identification from Sensor Noise, IEEE TIFS 1, 2006). Tiles, windows and lanes that are alike correlate too,
but by their outlines, beside the place as well as at it; so only calm pixels count, where hardly more than noise is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from forgery_rcnn.matching import agreement, chance
from forgery_rcnn.matching.agreement import Box
from forgery_rcnn.matching.pairs import Figure
from forgery_rcnn.matching.regions import Grown

CALM = (0.7, 4.0)  # levels, deviation of detail around a pixel from which it shows grain, and up to which hardly more
REACH, NEAR = 8, 3  # px: how far beside the sides are laid on each other; up to where that is still the peak
FILTERED = 24  # px that the filters reach
SAME = {"pixels": 500, "correlation": 0.15, "height": 20.0}
OTHER = {"pixels": 1000, "correlation": 0.1, "height": 2.0}
"""Bounds from which on it is the same, and below which, for so many pixels or more, it is not; docs/lab.md, "The same grain"."""


@dataclass(frozen=True)
class Peak:
    """Two sides, laid on each other and beside. pixels: how many of both were held together; correlation: -1..1, of their detail;
    height: by how many deviations of the correlations beside it exceeds the best of those."""

    pixels: int
    correlation: float
    height: float


NOTHING = Peak(0, 0.0, 0.0)


@dataclass(frozen=True)
class Grain:
    """Two sides of a motion. clean: where they show grain and hardly more; calm: also where they show faint outlines, which two
    alike objects have in common to some degree, and a copy and its source wholly."""

    clean: Peak
    calm: Peak

    @property
    def same(self) -> bool:
        """One was copied from the other."""
        return (
            self.clean.pixels >= SAME["pixels"]
            and self.clean.correlation >= SAME["correlation"]
            and self.clean.height >= SAME["height"]
        )

    @property
    def other(self) -> bool:
        """There is enough to see, and each side has its own."""
        return (
            self.calm.pixels >= OTHER["pixels"]
            and self.calm.correlation < OTHER["correlation"]
            and self.calm.height < OTHER["height"]
        )


def of(figure: Figure, drawn: np.ndarray, found: Grown) -> Grain:
    """A figure, (H, W) bool, drawn over the picture, and a region with its motion -> its grain, held against its copy's."""
    left, top, width, height = cv2.boundingRect(found.mask.astype(np.uint8))
    x0, y0 = found.corner[0] + left, found.corner[1] + top
    box = (x0, y0, x0 + width, y0 + height)
    wide = (x0 - REACH, y0 - REACH, box[2] + REACH, box[3] + REACH)
    first, *here = _detail(*_around(figure.gray, drawn, box))
    second, *there = _detail(*_brought(figure.gray, drawn, found.matrix, wide))
    mask = found.mask[top : top + height, left : left + width]
    clean, calm = (_peak(first, mask & a, second, b) for a, b in zip(here, there, strict=True))
    return Grain(clean, calm)


def _peak(first: np.ndarray, shown: np.ndarray, second: np.ndarray, there: np.ndarray) -> Peak:
    """(h, w) float32 and bool, where they count, and the same of the other side, REACH px larger to each side."""
    shown = shown & there[REACH:-REACH, REACH:-REACH]
    if not shown.any():
        return NOTHING
    field = chance.correlations(np.where(there, second, 0), np.ones(there.shape, bool), first, shown)
    y, x = np.abs(np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1])
    here, beside = float(field[REACH, REACH]), field[np.maximum(y, x) > NEAR]
    return Peak(int(shown.sum()), here, float((here - beside.max()) / max(beside.std(), 1e-3)))


def _around(gray: np.ndarray, drawn: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """-> (h, w) float32 and (h, w) bool, clear of what is drawn: the box and FILTERED px around it; beyond the image the border's."""
    x0, y0, x1, y1 = _wider(box)
    height, width = gray.shape
    top, left = max(y0, 0), max(x0, 0)
    rim = (top - y0, max(y1 - height, 0), left - x0, max(x1 - width, 0))
    clear = (~drawn[top:y1, left:x1]).astype(np.uint8)
    near = cv2.copyMakeBorder(gray[top:y1, left:x1], *rim, cv2.BORDER_REPLICATE)
    return near, cv2.copyMakeBorder(clear, *rim, cv2.BORDER_CONSTANT, value=0) > 0


def _brought(gray: np.ndarray, drawn: np.ndarray, matrix: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """The same of what the motion brings there."""
    scene, _ = chance.brought(gray, matrix, _wider(box))
    return scene, agreement.brought((~drawn).astype(np.uint8), matrix, _wider(box)) > 0


def _wider(box: Box) -> Box:
    x0, y0, x1, y1 = box
    return x0 - FILTERED, y0 - FILTERED, x1 + FILTERED, y1 + FILTERED


def _detail(gray: np.ndarray, clear: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(h + 2 FILTERED, w + 2 FILTERED) -> (h, w) float32, detail with the same contrast everywhere, (h, w) bool, where it is clean, and
    where it is calm."""
    detail, form = (agreement.band(gray, *at) for at in (agreement.DETAIL, agreement.FORM))
    power, outlines = (agreement.local(band * band) for band in (detail, form))
    least, most = CALM
    calm = clear & (power >= least**2) & (power < most**2)
    inner = np.s_[FILTERED:-FILTERED, FILTERED:-FILTERED]
    return (detail / np.sqrt(np.maximum(power, least**2)))[inner], (calm & (outlines < power))[inner], calm[inner]
