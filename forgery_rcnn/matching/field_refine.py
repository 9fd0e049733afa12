"""A motion made exact to a fraction of a pixel of the field: Gauss-Newton on grey levels (Lucas & Kanade 1981), gain and offset free."""

from __future__ import annotations

import cv2
import numpy as np

MOST = 1500  # pixels compared
ROUNDS = 5
FARTHEST = 4.0  # pixels of the field: a motion that is moved farther was another one


def slopes(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H, W) float32 -> itself, lightly smoothed, and its slopes along x and y, all (H, W) float32."""
    smooth = cv2.GaussianBlur(gray, (0, 0), 1.0)
    return smooth, cv2.Scharr(smooth, cv2.CV_32F, 1, 0) / 32, cv2.Scharr(smooth, cv2.CV_32F, 0, 1) / 32


def refined(
    planes: tuple[np.ndarray, np.ndarray, np.ndarray], matrix: np.ndarray, places: np.ndarray, reach: int
) -> tuple[np.ndarray, float]:
    """`slopes`, (2, 3) motion, (K, 2) x y places that follow it -> the motion as the pixels within `reach` of the places have it, and
    the correlation -1..1 of these with what they are carried to.
    """
    smooth = planes[0]
    points = _points(places, reach, smooth.shape)
    centre = points.mean(0)
    given = smooth[points[:, 1].astype(int), points[:, 0].astype(int)].astype(np.float64)
    best, correlation = matrix, _likeness(given, _at(smooth, matrix, points))
    current = matrix
    span = max(1.0, float(np.ptp(points, axis=0).max()))
    spread = np.column_stack([(points - centre) / span, np.ones(len(points))])
    for _ in range(ROUNDS):
        found, gx, gy = (_at(plane, current, points) for plane in planes)
        design = np.column_stack([gx[:, None] * spread, gy[:, None] * spread, -given, -np.ones(len(given))])
        residual = found - given
        weight = 1 / (1 + (residual / (2 * np.median(np.abs(residual)) + 0.5)) ** 2)
        weighted = (design * weight[:, None]).T
        normal = weighted @ design
        normal[np.diag_indices(8)] += 1e-5 * np.diag(normal) + 1e-9
        step = -np.linalg.solve(normal, weighted @ residual)[:6].reshape(2, 3)
        # From coordinates about the centre to the field's own.
        current = current + np.column_stack([step[:, :2] / span, step[:, 2] - step[:, :2] @ centre / span])
        if np.abs(points @ (current - matrix)[:, :2].T + (current - matrix)[:, 2]).max() > FARTHEST:
            break
        now = _likeness(given, _at(smooth, current, points))
        if now > correlation:
            best, correlation = current, now
    return best, correlation


def _points(places: np.ndarray, reach: int, size: tuple[int, ...]) -> np.ndarray:
    """(K, 2) x y -> (N, 2) float64 x y of pixels within `reach` of them, evenly thinned to about MOST."""
    low = np.maximum(places.min(0).astype(int) - reach, 0)
    high = np.minimum(places.max(0).astype(int) + reach + 1, [size[1], size[0]])
    mask = np.zeros((high - low)[::-1], np.uint8)
    at = np.round(places).astype(int) - low
    mask[at[:, 1], at[:, 0]] = 1
    mask = cv2.dilate(mask, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    step = max(1, int(np.ceil(np.sqrt(mask.sum() / MOST))))
    return np.argwhere(mask[::step, ::step])[:, ::-1] * float(step) + low


def _at(plane: np.ndarray, matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """-> (N,) float64, the plane where the motion takes the points."""
    moved = np.float32(points @ matrix[:, :2].T + matrix[:, 2])
    values = cv2.remap(plane, moved[:, None, 0], moved[:, None, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.ravel().astype(np.float64)


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """-> normalised correlation."""
    a, b = one - one.mean(), other - other.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-9))
