"""Which pixels took part in a motion: grown from where it was found, as far as the image agrees with itself."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from forgery_rcnn.matching import agreement
from forgery_rcnn.matching.agreement import Agreement, Box
from forgery_rcnn.matching.pairs import inverse

MARGIN = 40  # px around the seeds that are looked at first; where a region reaches the rim, more
CORE = 128  # px, Chebyshev: seeds so near to their middle are looked at first
PROMISING = {"middle": 0.4, "detail": 0.2}  # least median at the seeds for a region to be grown
ALIKE = {"form": 0.55, "middle": 0.45}  # least local correlation inside a region
FLAT = 1.2  # levels: below this contrast there is nothing to correlate; such pixels join where they fill holes
SMOOTHED = 5  # px, diameter of what is rubbed off a region's rim and of gaps that are closed
BRIDGE = 21  # px, diameter of gaps without detail between parts of a region that are bridged
SEED = 7  # px: a region counts where a seed lies so near
ATTEMPTS = 4


@dataclass(frozen=True)
class Grown:
    """The first region of a motion. mask: (h, w) bool at `corner` = (x0, y0); matrix: the motion, adjusted to it; agreement:
    of the same window."""

    matrix: np.ndarray
    mask: np.ndarray
    agreement: Agreement

    @property
    def corner(self) -> tuple[int, int]:
        return self.agreement.corner


def grown(gray: np.ndarray, ignored: np.ndarray, matrix: np.ndarray, seeds: np.ndarray) -> Grown | None:
    """(H, W) float32, (H, W) bool, motion first -> second of scale 0.9 or more, (K, 2) x y seeds in the first region -> the
    region, or None where nothing agrees."""
    centre = seeds[np.argmin(np.abs(seeds - np.median(seeds, axis=0)).max(axis=1))]
    core = seeds[np.abs(seeds - centre).max(axis=1) <= CORE]
    matrix = _from_seeds(gray, matrix, core)
    box = _around(core, gray.shape, MARGIN)
    for attempt in range(ATTEMPTS):
        found = _region(gray, ignored, matrix, box, seeds)
        if found is None or (attempt == 0 and not _promising(found, core)):
            return None
        adjusted = _best(gray, ignored, found) if attempt < 2 else found.matrix
        moved = not np.array_equal(adjusted, matrix)
        matrix, wider = adjusted, _wider(found.mask, box, gray.shape)
        if wider == box and not moved:
            return found
        box = wider
    return _region(gray, ignored, matrix, box, seeds)


def _promising(found: Grown, seeds: np.ndarray) -> bool:
    """Whether half of the seeds are places where the image agrees with itself to the pixel."""
    shape = np.array(found.mask.shape)[::-1]
    x, y = np.clip(np.round(seeds - found.corner).astype(int), 0, shape - 1).T
    seen = found.agreement
    return bool(np.median(seen.middle[y, x]) >= PROMISING["middle"] and np.median(seen.detail[y, x]) >= PROMISING["detail"])


def _around(seeds: np.ndarray, shape: tuple[int, ...], margin: float) -> Box:
    low, high = np.floor(seeds.min(axis=0) - margin), np.ceil(seeds.max(axis=0) + margin + 1)
    (x0, y0), (x1, y1) = np.maximum(low, 0).astype(int), np.minimum(high, [shape[1], shape[0]]).astype(int)
    return int(x0), int(y0), max(int(x1), int(x0) + 1), max(int(y1), int(y0) + 1)


def _wider(mask: np.ndarray, box: Box, shape: tuple[int, ...]) -> Box:
    """The box, wider on each side that the mask comes close to."""
    x0, y0, x1, y1 = box
    step = max(MARGIN, (x1 - x0) // 2, (y1 - y0) // 2)
    rows, columns = mask.any(axis=1), mask.any(axis=0)
    near = 8
    return (
        max(x0 - step, 0) if columns[:near].any() else x0,
        max(y0 - step, 0) if rows[:near].any() else y0,
        min(x1 + step, shape[1]) if columns[-near:].any() else x1,
        min(y1 + step, shape[0]) if rows[-near:].any() else y1,
    )


def _from_seeds(gray: np.ndarray, matrix: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """The motion, adjusted to the neighbourhoods of the seeds."""
    box = _around(seeds, gray.shape, 14)
    mask = np.zeros((box[3] - box[1], box[2] - box[0]), np.uint8)
    for x, y in np.round(seeds - box[:2]).astype(int).tolist():
        cv2.circle(mask, (x, y), 10, 1, -1)
    return agreement.refined(gray, matrix, mask > 0, box[:2])


def _best(gray: np.ndarray, ignored: np.ndarray, found: Grown) -> np.ndarray:
    """Of the motion adjusted to its whole region, and the nearest one by whole pixels, the one whose detail agrees best."""
    height, width = found.mask.shape
    box = (*found.corner, found.corner[0] + width, found.corner[1] + height)
    centre = np.array(found.corner) + np.argwhere(found.mask).mean(axis=0)[::-1]
    tried = [found.matrix, agreement.refined(gray, found.matrix, found.mask, found.corner)]
    whole = agreement.exact(tried[1], centre)
    tried += [] if whole is None else [whole]

    def detail(matrix: np.ndarray) -> float:
        first, second, inside = agreement.aligned(gray, ignored, matrix, box)
        a, b = (agreement.band(side, *agreement.MIDDLE)[found.mask & inside] for side in (first, second))
        return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))

    return max(reversed(tried), key=detail)


def _region(gray: np.ndarray, ignored: np.ndarray, matrix: np.ndarray, box: Box, seeds: np.ndarray) -> Grown | None:
    """What agrees around the seeds, cleaned."""
    seen = agreement.compared(gray, ignored, matrix, box)
    alike = (seen.form > ALIKE["form"]) & (seen.middle > ALIKE["middle"]) & seen.inside
    neutral = (seen.contrast < FLAT) & seen.inside
    bridged = _morphed(alike, cv2.MORPH_CLOSE, BRIDGE) & (alike | neutral)
    rubbed = _morphed(_morphed(bridged, cv2.MORPH_CLOSE, SMOOTHED), cv2.MORPH_OPEN, SMOOTHED)
    labels, _ = ndimage.label(rubbed)
    at = np.clip(np.round(seeds - box[:2]).astype(int), 0, np.array(rubbed.shape)[::-1] - 1)
    near = cv2.dilate(labels.astype(np.float32), np.ones((SEED, SEED), np.uint8)).astype(int)
    hit, counts = np.unique(near[at[:, 1], at[:, 0]], return_counts=True)
    kept = [int(label) for label, count in zip(hit, counts, strict=True) if label]
    if not kept:
        return None
    mask = ndimage.binary_fill_holes(np.isin(labels, kept)) & seen.inside
    return Grown(matrix, mask, seen)


def _morphed(mask: np.ndarray, how: int, diameter: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    return cv2.morphologyEx(mask.astype(np.uint8), how, disc)


def partner(found: Grown, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, int]]:
    """-> the second region: (h, w) bool and its corner (x0, y0)."""
    height, width = found.mask.shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) + found.corner
    corners = corners @ found.matrix[:, :2].T + found.matrix[:, 2]
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, [shape[1] - 1, shape[0] - 1])
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2, low + 1, [shape[1], shape[0]])
    local = inverse(found.matrix)
    local[:, 2] += local[:, :2] @ low - found.corner
    size = (high - low).tolist()
    mask = cv2.warpAffine(
        found.mask.astype(np.float32), local, size, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    )
    return mask > 0.5, (int(low[0]), int(low[1]))
