"""Which pixels took part in a motion: grown from where it was found, as far as the image agrees with itself."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from forgery_rcnn.matching import agreement
from forgery_rcnn.matching.agreement import Agreement, Box
from forgery_rcnn.matching.pairs import inverse

MARGIN = 40  # px around the seeds that are looked at first; where a region reaches the rim, more
CORE = 128  # px, Chebyshev: seeds so near to their middle are looked at first
PROMISING = {
    "form": 0.55,
    "middle": 0.3,
    "detail": 0.05,
}  # least correlation at the best seeds for a region to be grown
ALIKE = {"form": (0.1, 0.3), "middle": (0.2, 0.5)}  # bounds of the least local correlation inside a region
FLAT = 1.2  # levels: below this contrast there is nothing to correlate; such pixels join where they fill holes
BLURS = (3, 7)  # px, sides of the Gaussian under which a motion is adjusted: sharp, and for weak or noisy detail
SMOOTHED = 5  # px, diameter of what is rubbed off a region's rim and of gaps that are closed
PIECE = 0.2  # of the largest piece: smaller ones are no part of a region
RIM = 3  # px, diameter: the outermost pixels of a region agree less than half, as their neighbourhoods lie half outside
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
    seeds = seeds[((seeds >= 0) & (seeds <= np.array(gray.shape)[::-1] - 1)).all(axis=1)]
    if not len(seeds):
        return None
    centre = seeds[np.argmin(np.abs(seeds - np.median(seeds, axis=0)).max(axis=1))]
    core = seeds[np.abs(seeds - centre).max(axis=1) <= CORE]
    matrix = _from_seeds(gray, ignored, matrix, core)
    box = around(core, gray.shape, MARGIN)
    for attempt in range(ATTEMPTS):
        found = _region(gray, ignored, matrix, box, seeds)
        if found is None or (attempt == 0 and not _promising(found, core)):
            return None
        adjusted = _best(gray, ignored, found.matrix, found.mask, found.corner) if attempt < 2 else found.matrix
        moved = not np.array_equal(adjusted, matrix)
        matrix, larger = adjusted, wider(found.mask, box, gray.shape)
        if larger == box and not moved:
            return found
        box = larger
    return _region(gray, ignored, matrix, box, seeds)


def _promising(found: Grown, seeds: np.ndarray) -> bool:
    """Whether a third of the seeds are places where the image agrees with itself to the pixel."""
    shape = np.array(found.mask.shape)[::-1]
    x, y = np.clip(np.round(seeds - found.corner).astype(int), 0, shape - 1).T
    seen = found.agreement
    best = {name: np.quantile(getattr(seen, name)[y, x], 0.7) for name in PROMISING}
    return all(best[name] >= least for name, least in PROMISING.items())


def around(seeds: np.ndarray, shape: tuple[int, ...], margin: float) -> Box:
    """(K, 2) x y -> the frame of all, `margin` px wider to each side, as far as an image of shape (H, W) goes; not empty."""
    low, high = np.floor(seeds.min(axis=0) - margin), np.ceil(seeds.max(axis=0) + margin + 1)
    (x0, y0), (x1, y1) = np.maximum(low, 0).astype(int), np.minimum(high, [shape[1], shape[0]]).astype(int)
    return int(x0), int(y0), max(int(x1), int(x0) + 1), max(int(y1), int(y0) + 1)


def wider(mask: np.ndarray, box: Box, shape: tuple[int, ...]) -> Box:
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


def _from_seeds(gray: np.ndarray, ignored: np.ndarray, matrix: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """The motion, adjusted to the neighbourhoods of the seeds."""
    box = around(seeds, gray.shape, 14)
    mask = np.zeros((box[3] - box[1], box[2] - box[0]), np.uint8)
    for x, y in np.round(seeds - box[:2]).astype(int).tolist():
        cv2.circle(mask, (x, y), 10, 1, -1)
    return _best(gray, ignored, matrix, mask > 0, box[:2], tuple(itertools.product((-1, 0, 1), repeat=2)))


def _best(
    gray: np.ndarray,
    ignored: np.ndarray,
    matrix: np.ndarray,
    mask: np.ndarray,
    corner: tuple[int, int],
    around: tuple[tuple[int, int], ...] = ((0, 0),),
) -> np.ndarray:
    """Of the motion as it is, adjusted to (h, w) bool `mask`, and the nearest ones by whole pixels, the one whose detail
    agrees best there; around: whole pixels to try beside the nearest."""
    height, width = mask.shape
    box = (*corner, corner[0] + width, corner[1] + height)
    centre = np.array(corner) + np.argwhere(mask).mean(axis=0)[::-1]
    tried = [matrix, *(agreement.refined(gray, matrix, mask, corner, blur) for blur in BLURS)]
    whole = agreement.exact(tried[-1], centre)
    if whole is not None:
        tried += [whole + [[0, 0, x], [0, 0, y]] for x, y in around]
    own = agreement.band(gray[box[1] : box[3], box[0] : box[2]], *agreement.MIDDLE)
    power = agreement.local(own * own) + agreement.FLOOR["middle"]
    at = np.flatnonzero(mask)

    def detail(motion: np.ndarray) -> float:
        _, second, inside = agreement.aligned(gray, ignored, motion, box)
        other = agreement.band(second, *agreement.MIDDLE)
        both = agreement.local(own * other).ravel()[at]
        others = agreement.local(other * other).ravel()[at] + agreement.FLOOR["middle"]
        alike = both / np.sqrt(power.ravel()[at] * others)
        # The median of places: of one correlation over all, an edge beside the copy would decide.
        return float(np.median(np.where(inside.ravel()[at], alike, 0)))

    different = {motion.tobytes(): motion for motion in reversed(tried)}
    return max(different.values(), key=detail)


def _region(gray: np.ndarray, ignored: np.ndarray, matrix: np.ndarray, box: Box, seeds: np.ndarray) -> Grown | None:
    """What agrees around the seeds, cleaned."""
    seen = agreement.compared(gray, ignored, matrix, box)
    least = _least(seen, seeds - box[:2])
    alike = (seen.form > least["form"]) & (seen.middle > least["middle"]) & seen.inside
    neutral = (seen.contrast < FLAT) & seen.inside
    bridged = morphed(alike, cv2.MORPH_CLOSE, BRIDGE) & (alike | neutral)
    rubbed = morphed(morphed(bridged, cv2.MORPH_CLOSE, SMOOTHED), cv2.MORPH_OPEN, SMOOTHED)
    pieces = seeded(rubbed, seeds - box[:2])
    if pieces is None:
        return None
    mask = (morphed(pieces, cv2.MORPH_DILATE, RIM) > 0) & seen.inside
    return Grown(matrix, mask, seen) if mask.any() else None


def seeded(found: np.ndarray, seeds: np.ndarray) -> np.ndarray | None:
    """(h, w) uint8, not 0 where the sides agree, (K, 2) x y in this window -> (h, w) bool, its pieces near a seed, holes filled; None where
    there is none."""
    _, labels = cv2.connectedComponents(found, connectivity=4, ltype=cv2.CV_32S)
    at = np.clip(np.round(seeds).astype(int), 0, np.array(found.shape)[::-1] - 1)
    near = cv2.dilate(labels.astype(np.float32), np.ones((SEED, SEED), np.uint8)).astype(int)
    areas = np.bincount(labels.ravel())
    kept = [int(label) for label in np.unique(near[at[:, 1], at[:, 0]]) if label]
    # Noise agrees in specks, a copy in pieces.
    kept = [label for label in kept if areas[label] >= PIECE * max(areas[other] for other in kept)]
    if not kept:
        return None
    outlines, _ = cv2.findContours(np.isin(labels, kept).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(labels.shape, np.uint8), outlines, -1, 1, cv2.FILLED) > 0


def _least(seen: Agreement, seeds: np.ndarray) -> dict[str, float]:
    """-> the correlations from which a pixel counts as alike: half of what the better seeds have, so that noise, which lowers it
    everywhere, does not make a region smaller, and a sharp copy is not grown into its surroundings."""
    x, y = np.clip(np.round(seeds).astype(int), 0, np.array(seen.form.shape)[::-1] - 1).T
    typical = {name: float(np.quantile(getattr(seen, name)[y, x], 0.7)) for name in ALIKE}
    return {name: float(np.clip(0.55 * typical[name], low, high)) for name, (low, high) in ALIKE.items()}


def morphed(mask: np.ndarray, how: int, diameter: int) -> np.ndarray:
    """(h, w) bool or uint8, one of OpenCV's MORPH_*, px -> (h, w) uint8, by a disc."""
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
    mask = cv2.warpAffine(found.mask.astype(np.float32), local, size, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)
    return mask > 0.5, (int(low[0]), int(low[1]))
