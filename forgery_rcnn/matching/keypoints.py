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
CELLS, SPREAD = (
    12,
    0.25,
)  # this share of the keypoints is spread over so many cells per side; the rest are the strongest of all, as
# a copy that landed in a rich cell would lose there what its original keeps
DIM = 160.0  # levels: images that span fewer are stretched to it
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
    """(H, W) float32 in 0..255, (H, W) bool -> at most `limit` keypoints outside of `ignored`, most of them the
    strongest; none for an image without detail."""
    doubled = 2.0 if max(gray.shape) < SMALL else 1.0
    low, high = np.quantile(gray[::4, ::4], [0.001, 0.999])
    stretched = (gray - low) * (DIM / max(high - low, 8.0)) if high - low < DIM else gray
    seen = np.clip(np.round(stretched), 0, 255).astype(np.uint8)
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
    kept = good[_chosen(at[good], response[good], gray.shape, limit)]
    if not kept.size:
        return Keypoints(np.zeros((0, 2), np.float32), *np.zeros((2, 0), np.float32), np.zeros((0, 128), np.float32))
    points, raw = sift.compute(seen, [found[i] for i in kept])
    at = (np.float32([point.pt for point in points]) + 0.5) / doubled - 0.5
    scale, angle = np.float32([point.size for point in points]) / doubled, np.float32([point.angle for point in points])
    return Keypoints(at, scale, angle, np.sqrt(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-9)))


def _chosen(at: np.ndarray, response: np.ndarray, shape: tuple[int, ...], limit: int) -> np.ndarray:
    """(K, 2) x y and (K,) strengths -> indices of at most `limit`, ascending: the strongest, and some from each cell."""
    if len(at) <= limit:
        return np.arange(len(at))
    best = np.argsort(-response, kind="stable")
    strongest, rest = np.split(best, [limit - int(SPREAD * limit)])
    x, y = np.clip((at[rest] / [shape[1], shape[0]] * CELLS).astype(int), 0, CELLS - 1).T
    order = np.argsort(y * CELLS + x, kind="stable")
    cell = (y * CELLS + x)[order]
    rank = np.arange(len(rest)) - np.searchsorted(cell, cell)  # 0 = the strongest of its cell
    turn = order[np.argsort(rank, kind="stable")]
    return np.sort(np.concatenate([strongest, rest[turn[: limit - len(strongest)]]]))


def mirrored(descriptors: np.ndarray) -> np.ndarray:
    """(K, 128) -> (K, 128), what the same features look like in the mirrored image: rows of cells and directions reversed."""
    cells = descriptors.reshape(-1, GRID, GRID, CELL_ANGLES)
    return np.ascontiguousarray(cells[:, ::-1, :, -np.arange(CELL_ANGLES) % CELL_ANGLES]).reshape(-1, 128)
