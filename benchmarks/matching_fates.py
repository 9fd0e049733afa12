"""What became of the true motion of a planted or made copy on its way through the finder."""

from __future__ import annotations

import cv2
import numpy as np
import planting
from matching_cases import Scene

from forgery_rcnn.matching.pairs import Finding

NEAR = 4.0  # pixels: motions that differ by no more across the region are the same


def agrees(matrix: np.ndarray, motion: np.ndarray, ends: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether a motion does the same, in the mean, to (K, 2) points of a region, or its inverse to those of the copy."""
    for way, points in zip((motion, cv2.invertAffineTransform(motion)), ends, strict=True):
        moved = [points @ m[:, :2].T + m[:, 2] for m in (np.asarray(matrix), way)]
        if float(np.linalg.norm(moved[0] - moved[1], axis=1).mean()) <= NEAR:
            return True
    return False


def became(motion: np.ndarray, truth: np.ndarray, finding: Finding) -> str:
    """What became of one true motion: reported, dropped and why, or never proposed."""
    y, x = np.nonzero(truth)
    points = np.stack([x, y], axis=1).astype(float)
    moved = points @ motion[:, :2].T + motion[:, 2]
    there = np.round(moved).astype(int)
    inside = ((there >= 0) & (there < np.array(truth.shape[::-1]))).all(axis=1)
    inside[inside] = truth[there[inside, 1], there[inside, 0]]  # of the copy, most points leave the truth
    ends = (points[inside], moved[inside]) if inside.any() else (points, moved)
    if any(agrees(pair.matrix, motion, ends) for pair in finding.pairs):
        return "reported"
    for one in finding.rejected:
        if agrees(one.hypothesis.matrix, motion, ends):
            return f"{one.hypothesis.found_by} dropped: {one.reason}"
    return "never proposed"


def likeness_of(scene: Scene) -> str:
    """How much a finder that knew the motion would have to go by; "" where none is known."""
    alike = [planting.likeness(scene.pixels, scene.truth, motion) for motion in scene.motions]
    if not alike:
        return ""
    return ">= 0.6" if max(alike) >= 0.6 else "0.3 to 0.6" if max(alike) >= 0.3 else "< 0.3"
