"""Local features that survive turning, scaling and re-encoding, and who resembles whom among them.

SIFT (Lowe 2004) with a low contrast threshold, as RootSIFT (Arandjelovic & Zisserman 2012). A mirrored copy is looked for by
mirroring descriptors, not images: it costs no second detection.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SMALL = 640  # px: images with a shorter long side are doubled first; their few keypoints would be too coarse
CONTRAST = 0.01  # SIFT's own default is 0.04: dim nuclei and noise have keypoints of less
EDGE = 12.0
CELLS = 12  # keypoints are spread over so many cells per side: one rich corner must not take all
CELL_SIZE, CELL_ANGLES, GRID = 16, 8, 4  # of a SIFT descriptor: 4 x 4 cells of 8 directions


@dataclass(frozen=True)
class Keypoints:
    """K features. xy: (K, 2) float32, pixels; scale: (K,) float32, diameter in pixels; angle: (K,) float32, degrees clockwise as
    seen; descriptors: (K, 128) float32, RootSIFT, of length 1."""

    xy: np.ndarray
    scale: np.ndarray
    angle: np.ndarray
    descriptors: np.ndarray

    def __len__(self) -> int:
        return len(self.xy)

    def take(self, keep: np.ndarray) -> Keypoints:
        """Those at these indices, or where `keep` is set."""
        return Keypoints(self.xy[keep], self.scale[keep], self.angle[keep], self.descriptors[keep])


def described(gray: np.ndarray, ignored: np.ndarray, limit: int) -> Keypoints:
    """(H, W) float32 in 0..255, (H, W) bool -> at most `limit` keypoints outside of `ignored`, the strongest of each cell of the
    image; none for an image without detail."""
    doubled = 2.0 if max(gray.shape) < SMALL else 1.0
    seen = np.clip(np.round(gray), 0, 255).astype(np.uint8)
    if doubled > 1:
        seen = cv2.resize(seen, None, fx=doubled, fy=doubled, interpolation=cv2.INTER_CUBIC)
    sift = cv2.SIFT_create(0, 3, CONTRAST, EDGE)
    found = sift.detect(seen, None) if min(seen.shape) >= 8 else ()
    if not found:
        return Keypoints(np.zeros((0, 2), np.float32), *np.zeros((2, 0), np.float32), np.zeros((0, 128), np.float32))
    at = (np.float32([point.pt for point in found]) + 0.5) / doubled - 0.5
    column, row = np.clip(np.round(at).astype(int), 0, [gray.shape[1] - 1, gray.shape[0] - 1]).T
    response = np.float32([point.response for point in found])
    good = np.flatnonzero(~ignored[row, column])
    kept = good[_spread(at[good], response[good], gray.shape, limit)]
    if not kept.size:
        return Keypoints(np.zeros((0, 2), np.float32), *np.zeros((2, 0), np.float32), np.zeros((0, 128), np.float32))
    points, raw = sift.compute(seen, [found[i] for i in kept])
    at = (np.float32([point.pt for point in points]) + 0.5) / doubled - 0.5
    scale, angle = np.float32([point.size for point in points]) / doubled, np.float32([point.angle for point in points])
    return Keypoints(at, scale, angle, np.sqrt(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-9)))


def _spread(at: np.ndarray, response: np.ndarray, shape: tuple[int, ...], limit: int) -> np.ndarray:
    """(K, 2) x y and (K,) strengths -> indices of at most `limit`, ascending: cell by cell in turn, the strongest first."""
    if len(at) <= limit:
        return np.arange(len(at))
    x, y = np.clip((at / [shape[1], shape[0]] * CELLS).astype(int), 0, CELLS - 1).T
    order = np.lexsort((-response, y * CELLS + x))
    cell = (y * CELLS + x)[order]
    rank = np.arange(len(at)) - np.searchsorted(cell, cell)  # 0 = the strongest of its cell
    turn = np.lexsort((-response[order], rank))
    return np.sort(order[turn[:limit]])


def mirrored(descriptors: np.ndarray) -> np.ndarray:
    """(K, 128) -> (K, 128), what the same features look like in the mirrored image: rows of cells and directions reversed."""
    cells = descriptors.reshape(-1, GRID, GRID, CELL_ANGLES)
    return np.ascontiguousarray(cells[:, ::-1, :, -np.arange(CELL_ANGLES) % CELL_ANGLES]).reshape(-1, 128)
