"""The plain script that benchmarks/matching.py compares the twin finder with: SIFT, RANSAC, local correlation.

What many would write in an afternoon, with OpenCV's defaults, and no part of the package: features matched to each other,
similarities fitted one after the other, the image warped by each, and what correlates with itself there is the copy.
"""

from __future__ import annotations

import cv2
import numpy as np

RATIO = 0.8  # Lowe 2004, section 7.1
NEAREST, APART = 6, 16  # neighbours asked for; pixels between a feature and its match at least
MODELS, INLIERS, ERROR = 5, 5, 3.0  # similarities; matches that carry one; pixels
WINDOW, CORRELATED, AREA = 11, 0.9, 100  # pixels of the local window; least correlation; least pixels of a region


def matches(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) uint8 -> (K, 2), (K, 2) float32 x y of features and of the other feature that each one looks like."""
    points, features = cv2.SIFT_create().detectAndCompute(gray, None)
    none = np.zeros((0, 2), np.float32)
    if features is None or len(points) < NEAREST + 1:
        return none, none
    at = np.float32([point.pt for point in points])
    first, second = [], []
    for near in cv2.BFMatcher(cv2.NORM_L2).knnMatch(features, features, k=NEAREST):
        others = [m for m in near if np.linalg.norm(at[m.queryIdx] - at[m.trainIdx]) > APART]
        if len(others) > 1 and others[0].distance < RATIO * others[1].distance:
            first.append(at[others[0].queryIdx])
            second.append(at[others[0].trainIdx])
    return (np.array(first), np.array(second)) if first else (none, none)


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(H, W) float32 twice -> (H, W) float32, -1..1: correlation of the two in a window around each pixel."""

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (WINDOW, WINDOW))

    middle_a, middle_b = mean(a), mean(b)
    spread = (mean(a * a) - middle_a**2) * (mean(b * b) - middle_b**2)
    return (mean(a * b) - middle_a * middle_b) / np.sqrt(np.maximum(spread, 1.0))


def region(gray: np.ndarray, matrix: np.ndarray, first: np.ndarray) -> np.ndarray:
    """-> (H, W) bool: where the image looks like itself moved by `matrix`, around the (K, 2) features in `first`."""
    size = gray.shape[::-1]
    there = cv2.warpAffine(gray, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    alike = (correlation(gray, there) > CORRELATED).astype(np.uint8)
    alike = cv2.morphologyEx(alike, cv2.MORPH_OPEN, np.ones((5, 5)))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(alike, cv2.MORPH_CLOSE, np.ones((7, 7))))
    x, y = np.round(first).astype(int).T
    count = np.bincount(labels[y, x], minlength=len(stats))
    keep = (count >= 3) & (stats[:, cv2.CC_STAT_AREA] >= AREA)
    keep[0] = False
    return keep[labels]


def find(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) bool, regions and their copies."""
    gray = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    first, second = matches(gray)
    found = np.zeros(gray.shape, bool)
    cv2.setRNGSeed(0)
    for _ in range(MODELS):
        if len(first) < INLIERS:
            break
        matrix, inlier = cv2.estimateAffinePartial2D(first, second, ransacReprojThreshold=ERROR, maxIters=2000)
        if matrix is None or inlier.sum() < INLIERS:
            break
        kept = inlier.ravel().astype(bool)
        one = region(gray.astype(np.float32), matrix, first[kept])
        moved = cv2.warpAffine(one.astype(np.uint8), matrix, gray.shape[::-1], flags=cv2.INTER_NEAREST)
        found |= one | moved.astype(bool)
        first, second = first[~kept], second[~kept]
    return found
