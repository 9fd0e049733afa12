"""Local features that survive turning, scaling and re-encoding, and who resembles whom among them.

SIFT (Lowe 2004) with a low contrast threshold, as RootSIFT (Arandjelovic & Zisserman 2012). A mirrored copy is looked for by
mirroring descriptors, not images: it costs no second detection.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SMALL, SMALLER = 640, 320  # px: images with a shorter long side are enlarged: their few keypoints would be too coarse
MOST = 800_000  # pixels: larger images are made smaller; SIFT's time goes with them and fine keypoints are plenty
CONTRAST = 0.01  # SIFT's own default is 0.04: dim nuclei and noise have keypoints of less
EDGE, SIGMA = 12.0, 1.6
# This share of the keypoints is spread over so many cells per side; the rest are the strongest of all, as a copy that
# landed in a rich cell would lose there what its original keeps.
CELLS, SPREAD = 12, 0.25
SPARE = 1.25  # times the limit are described, the strongest, for some to be spread
DIM = 160.0  # levels: images that span fewer are stretched to it
NOISY, SOFTENED = 2.5, 0.7  # levels of noise from which it has more keypoints than the picture; px, blurred by before
CELL_ANGLES, GRID = 8, 4  # of a SIFT descriptor: 4 x 4 cells of 8 directions


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
    seen, zoom = _clear(gray)
    if min(seen.shape) < 8 or limit < 1:
        return _none()
    # Where what is ignored has taken up most of the strongest, all are described.
    for most in (int(SPARE * limit) + 1, 0):
        sift = cv2.SIFT_create(most, 3, CONTRAST, EDGE, SIGMA, cv2.CV_32F, True)  # else places are a quarter pixel off
        points, raw = sift.detectAndCompute(seen, None)
        if not points:
            return _none()
        at = (np.float32([point.pt for point in points]) + 0.5) / zoom - 0.5
        column, row = np.clip(np.round(at).astype(int), 0, [gray.shape[1] - 1, gray.shape[0] - 1]).T
        good = np.flatnonzero(~ignored[row, column])
        if len(good) >= limit or len(points) < most:
            break
    kept = good[_chosen(at[good], np.float32([points[i].response for i in good]), gray.shape, limit)]
    if not kept.size:
        return _none()
    raw = raw[kept]
    return Keypoints(
        at[kept],
        np.float32([points[i].size for i in kept]) / zoom,
        np.float32([points[i].angle for i in kept]),
        np.sqrt(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-9)),
    )


def _none() -> Keypoints:
    return Keypoints(np.zeros((0, 2), np.float32), *np.zeros((2, 0), np.float32), np.zeros((0, 128), np.float32))


def _clear(gray: np.ndarray) -> tuple[np.ndarray, float]:
    """(H, W) float32 -> (H', W') uint8 that SIFT sees more in: dim ones stretched, noisy ones blurred, small ones enlarged, large
    ones made smaller; and its pixels per pixel."""
    low, high = np.quantile(gray[::4, ::4], [0.001, 0.999])
    zoom = (
        3.0 if max(gray.shape) <= SMALLER else 2.0 if max(gray.shape) < SMALL else min(1.0, (MOST / gray.size) ** 0.5)
    )
    seen = cv2.GaussianBlur(gray, (0, 0), SOFTENED) if noise(gray) > NOISY else gray
    if high - low < DIM:
        seen = (seen - low) * (DIM / max(high - low, 8.0))
    seen = np.clip(np.round(seen), 0, 255).astype(np.uint8)
    how = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA
    return (seen if zoom == 1 else cv2.resize(seen, None, fx=zoom, fy=zoom, interpolation=how)), zoom


def noise(gray: np.ndarray, within: np.ndarray | None = None) -> float:
    """(H, W) float32 -> levels, standard deviation of white noise in most of it, or of the pixels that are set in (H, W) bool; a filter of
    Immerkaer (1996), and the median as in Donoho (1994), which the picture's own edges do not raise."""
    if min(gray.shape) < 3:
        return 0.0
    kernel = np.float32([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    rough = np.abs(cv2.filter2D(gray, cv2.CV_32F, kernel))
    return float(np.median(rough[1:-1:3, 1:-1:3] if within is None else rough[within])) / (6 * 0.6745)


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
