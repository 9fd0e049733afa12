"""Which of two regions was there first. Two traces tell: the seam around the copy, and the softness of what was resampled."""

from __future__ import annotations

import cv2
import numpy as np

from forgery_rcnn.matching import agreement
from forgery_rcnn.matching.pairs import Original

STEP = 3  # px between the points of an outline that are looked at
SEAM = 4  # px: an outline is known so well; the seam is looked for that far to both sides
PIECES = 12  # an outline is cut into so many; what they agree on is no accident
LEAST_POINTS = 36
DECIDED = 3.0  # standard errors
SOFTER = (
    0.85  # a region with this share of the noise around it was resampled; half of it survives bilinear interpolation
)


def original(gray: np.ndarray, mask: np.ndarray, corner: tuple[int, int], matrix: np.ndarray) -> Original:
    """(H, W) float32, (h, w) bool at x0 y0, motion first -> second -> the side that shows no trace of having been pasted.

    The seam: what lies inside is the same on both sides, so whatever steps across the outline are steeper on one side are
    the paste's. Resampling: only where the motion turns or scales by other than whole pixels.
    """
    evidence = seam(gray, mask, corner, matrix)
    if not _whole(matrix):
        evidence = evidence + softness(gray, mask, corner, matrix)
    if evidence > DECIDED:
        return "first"
    return "second" if evidence < -DECIDED else "undecided"


def _whole(matrix: np.ndarray) -> bool:
    """Whether the motion takes whole pixels to whole pixels."""
    return bool(np.allclose(matrix, np.round(matrix), atol=1e-6))


def seam(gray: np.ndarray, mask: np.ndarray, corner: tuple[int, int], matrix: np.ndarray) -> float:
    """-> by how many standard errors the steps across the second outline are the steeper ones; 0 where that cannot be said."""
    points, normals = _outline(mask, corner)
    if len(points) < LEAST_POINTS:
        return 0.0
    # A pixel of the first side is `scale` of the second: its steps are as long there.
    sides = (points, normals), (points @ matrix[:, :2].T + matrix[:, 2], normals @ matrix[:, :2].T)
    steps = [_steps(gray, at, across) for at, across in sides]
    known = np.isfinite(steps[0]) & np.isfinite(steps[1])
    if known.sum() < LEAST_POINTS:
        return 0.0
    steeper = np.log((steps[1][known] + 2) / (steps[0][known] + 2))
    pieces = np.array([piece.mean() for piece in np.array_split(steeper, PIECES)])
    return float(pieces.mean() / (pieces.std(ddof=1) / np.sqrt(PIECES) + 0.01))


def _outline(mask: np.ndarray, corner: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """-> (K, 2) x y on the longest outline, every STEP pixels, and (K, 2) unit normals."""
    padded = np.pad(mask.astype(np.uint8), 1)
    outlines, _ = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return np.zeros((0, 2)), np.zeros((0, 2))
    outline = max(outlines, key=len)[:, 0].astype(np.float64) - 1 + corner
    tangent = np.roll(outline, -4, axis=0) - np.roll(outline, 4, axis=0)
    length = np.linalg.norm(tangent, axis=1, keepdims=True)
    normals = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) / np.maximum(length, 1e-6)
    kept = np.flatnonzero(length[:, 0] > 1)[::STEP]
    return outline[kept], normals[kept]


def _steps(gray: np.ndarray, at: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(K, 2) points and normals -> (K,) levels, the steepest step within SEAM of each; NaN where that leaves the image."""
    offsets = np.arange(-SEAM, SEAM + 1)
    places = at[:, None] + across[:, None] * offsets[None, :, None]
    height, width = gray.shape
    outside = (places < 1).any(axis=2) | (places[..., 0] > width - 2) | (places[..., 1] > height - 2)
    # Of the image only what is looked at: OpenCV maps no more than 32,767 pixels a side.
    low = np.clip(np.floor(places.min(axis=(0, 1))).astype(int) - 1, 0, [width - 1, height - 1])
    high = np.clip(np.ceil(places.max(axis=(0, 1))).astype(int) + 2, low + 1, [width, height])
    x, y = (places - low).astype(np.float32).transpose(2, 0, 1)
    cut = np.ascontiguousarray(gray[low[1] : high[1], low[0] : high[0]])
    profile = cv2.remap(cut, np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.INTER_LINEAR)
    # Of the outline's own neighbours too, so that a step has to be long along the outline to count.
    profile = cv2.blur(profile, (1, 3))
    steps = np.abs(np.diff(profile, axis=1)).max(axis=1)
    return np.where(outside.any(axis=1), np.nan, steps)


def softness(gray: np.ndarray, mask: np.ndarray, corner: tuple[int, int], matrix: np.ndarray) -> float:
    """-> above 0 where the second region is softer than what lies around it and the first is not, below 0 the other way."""
    height, width = mask.shape
    first = np.zeros(gray.shape, bool)
    first[corner[1] : corner[1] + height, corner[0] : corner[0] + width] = mask
    second = cv2.warpAffine(first.astype(np.uint8), matrix, gray.shape[::-1], flags=cv2.INTER_NEAREST) > 0
    noise = np.abs(agreement.band(gray, *agreement.DETAIL))
    logs = [np.log(max(_ratio(noise, side, first | second), 1e-3)) for side in (first, second)]
    if min(logs) > np.log(SOFTER):
        return 0.0
    return float(np.clip((logs[0] - logs[1]) / -np.log(SOFTER) * DECIDED / 2, -2 * DECIDED, 2 * DECIDED))


def _ratio(noise: np.ndarray, side: np.ndarray, taken: np.ndarray) -> float:
    """Noise in a region over that in the ring around it, each by its quiet fifth: texture must not count."""
    ring = cv2.dilate(side.astype(np.uint8), np.ones((31, 31), np.uint8)).astype(bool) & ~taken
    core = cv2.erode(side.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    if ring.sum() < 200 or core.sum() < 200:
        return 1.0
    local = cv2.blur(noise, (7, 7))
    return float((np.quantile(local[core], 0.2) + 0.05) / (np.quantile(local[ring], 0.2) + 0.05))
