"""How often a random pair does as well: the first region is laid on every other place around the second, turned and scaled alike."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import fft

from forgery_rcnn.matching import agreement
from forgery_rcnn.matching.pairs import parts_of
from forgery_rcnn.matching.regions import Grown

AROUND = 300  # px of the first region's frame that it is moved to each side
BAND = (0.0, 2.2)  # px: grain and fine structure; broad shadows fit everywhere
LEAST_PLACES, HALVINGS = (
    200,
    2,
)  # fewer say nothing; then the middle of the region is laid around, and the middle of that
NEEDLE = 5  # px around a peak that count as the same place
COPIES = 4  # places that may fit as well: a region may have been copied more than once; a pattern fits at more
FILTERED = 20  # px, at least what the blurs of BAND and of local contrast reach
FLOOR = 0.5  # levels squared, added to the local variance: rounding is not raised to structure
AS_WELL = 0.95  # of the correlation at the place itself: fits as well
GRAIN = 6.0  # px: places nearer together than an area of this are one, for fine detail
TAIL = 0.01  # share of places, the best ones, that tell how fast the fit falls off


@dataclass(frozen=True)
class Fit:
    """A region among the places around its copy. probable: 0..1, how probable it is that any of them fits as well by chance;
    here, best, typical: -1..1, correlation at the place itself, at the best of the others, at the best hundredth of them."""

    probable: float
    here: float
    best: float
    typical: float


PERFECT = Fit(0.0, 1.0, 0.0, 0.0)
"""No region fits better."""


def of(gray: np.ndarray, found: Grown) -> Fit:
    """(H, W) float32, a region and its motion -> how it fits, beside the places around.

    The correlations at the other places, as Fisher's z, are taken to fall off exponentially beyond their upper TAIL; the
    chance is that of the number of places at which the region is another. 1 where more than COPIES fit as well.
    """
    mask, corner = found.mask, found.corner
    for _ in range(HALVINGS + 1):
        here, others = placed(gray, found.matrix, mask, corner)
        if len(others) >= LEAST_PLACES:
            best, typical = float(others.max()), float(np.quantile(others, 1 - TAIL))
            return Fit(1.0 if best >= AS_WELL * here else of_places(here, others), here, best, typical)
        mask, corner = _middle(mask, corner)  # what fills a panel fits nowhere else in it; its middle may
    return Fit(1.0, here, 1.0, 1.0)


def _middle(mask: np.ndarray, corner: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """A region, (h, w) bool at x0 y0 -> the middle of it, half as wide and high."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    (top, bottom), (left, right) = ((int(at[0]), int(at[-1]) + 1) for at in (rows, columns))
    y, x = (bottom - top) // 4, (right - left) // 4
    inner = mask[top + y : bottom - y, left + x : right - x]
    return (inner, (corner[0] + left + x, corner[1] + top + y)) if inner.any() else (mask, corner)


def of_places(score: float, others: np.ndarray) -> float:
    """Correlation at the place itself, (P,) at all others -> 0..1."""
    z = np.arctanh(np.clip(others, -0.999, 0.999))
    at = np.arctanh(np.clip(score, -0.999, 0.999))
    start = float(np.quantile(z, 1 - TAIL))
    beyond = z[z > start] - start
    fall = float(max(beyond.mean() if len(beyond) else 0.0, 1e-3))
    places = len(others) / GRAIN
    return float(min(1.0, places * TAIL * np.exp(-max(at - start, 0.0) / fall)))


def placed(
    gray: np.ndarray, matrix: np.ndarray, region: np.ndarray, corner: tuple[int, int]
) -> tuple[float, np.ndarray]:
    """(H, W) float32, motion first -> second, (h, w) bool at x0 y0, the first region -> correlation of the region's fine structure
    with the place that the motion takes it to, and (P,) with all places around but those near to it, near to the region itself,
    and near to the COPIES best."""
    x0, y0 = corner
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    mask = region[top : rows[-1] + 1, left : columns[-1] + 1]
    box = (x0 + left, y0 + top, x0 + left + mask.shape[1], y0 + top + mask.shape[0])
    wide = (box[0] - AROUND, box[1] - AROUND, box[2] + AROUND, box[3] + AROUND)
    scene, known = brought(gray, matrix, wide)
    first = _banded(gray, box)
    field = correlations(evened(scene), known, first, mask)
    score = float(field[AROUND, AROUND])
    itself = _itself(matrix, box, wide)
    _blot(field, AROUND, AROUND)
    if itself is not None:
        _blot(field, *itself, max(NEEDLE, 12))
    for _ in range(COPIES):
        best = int(np.argmax(field))
        if field.flat[best] < 0.7 * score:
            break
        _blot(field, *np.unravel_index(best, field.shape))
    return score, field[field > -1]


def _blot(field: np.ndarray, y: int, x: int, reach: int = NEEDLE) -> None:
    field[max(int(y) - reach, 0) : int(y) + reach + 1, max(int(x) - reach, 0) : int(x) + reach + 1] = -2


def _itself(matrix: np.ndarray, box: agreement.Box, wide: agreement.Box) -> tuple[int, int] | None:
    """-> row and column of the place where the region lies on itself, where the motion only shifts it and it is in reach."""
    if np.abs(matrix[:, :2] - np.eye(2)).max() > 0.05:
        return None
    y, x = (AROUND - round(float(shift)) for shift in (matrix[1, 2], matrix[0, 2]))
    inside = 0 <= y < wide[3] - wide[1] - (box[3] - box[1]) + 1 and 0 <= x < wide[2] - wide[0] - (box[2] - box[0]) + 1
    return (y, x) if inside else None


def _banded(gray: np.ndarray, box: agreement.Box) -> np.ndarray:
    """-> (h, w) float32, what lies in a box of the image, evened; only that and what its filters reach is filtered."""
    (left, top), (right, bottom) = np.maximum(np.array(box[:2]) - FILTERED, 0), np.array(box[2:]) + FILTERED
    band = evened(gray[top:bottom, left:right])
    return band[box[1] - top : box[3] - top, box[0] - left : box[2] - left]


def brought(gray: np.ndarray, matrix: np.ndarray, box: agreement.Box) -> tuple[np.ndarray, np.ndarray]:
    """The image, moved so that the second region lies on the first: (h, w) float32 and (h, w) bool, where it is in the image."""
    size = (box[2] - box[0], box[3] - box[1])
    local = agreement.from_corner(matrix, box[:2])
    scale = parts_of(matrix).scale
    source = cv2.GaussianBlur(gray, (0, 0), 0.5 * np.sqrt(scale**2 - 1)) if scale > agreement.SHARPER else gray
    scene = cv2.warpAffine(
        source, local, size, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    corners = cv2.warpAffine(np.ones(gray.shape, np.uint8), local, size, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST)
    return scene, corners > 0


def evened(gray: np.ndarray) -> np.ndarray:
    """(h, w) float32 -> (h, w) float32, its BAND with the same contrast everywhere. An outline would outweigh all grain beside it, and
    fit wherever the region is moved along it, or onto the next band of a blot; the grain fits at the copy alone."""
    band = agreement.band(gray, *BAND)
    return band / np.sqrt(agreement.local(band * band) + FLOOR)


def correlations(scene: np.ndarray, known: np.ndarray, first: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) float32 scene, (H, W) bool, (h, w) float32 region, (h, w) bool -> (H - h + 1, W - w + 1) float32: normalised
    correlation of the region's pixels with each place of it; -2 where a tenth of it or more is not in the image."""
    shape = tuple(fft.next_fast_len(side, real=True) for side in scene.shape)
    values = np.where(mask, first, 0).astype(np.float32)
    scene = np.where(known, scene, 0).astype(np.float32)

    def turned(kernel: np.ndarray) -> np.ndarray:
        return np.conj(fft.rfft2(kernel, shape))

    def across(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        field = fft.irfft2(fft.rfft2(image, shape) * kernel, shape)
        return field[: scene.shape[0] - mask.shape[0] + 1, : scene.shape[1] - mask.shape[1] + 1]

    weight = turned(mask.astype(np.float32))
    energy, count = across(scene * scene, weight), across(known.astype(np.float32), weight)
    own = float((values * values).sum())
    # Rounding leaves some energy in places that have none.
    least = 1e-4 * own + 0.05 * mask.sum()
    field = across(scene, turned(values)) / np.sqrt(np.maximum(own, least) * np.maximum(energy, least))
    return np.where(count > 0.9 * mask.sum(), field, -2).astype(np.float32)
