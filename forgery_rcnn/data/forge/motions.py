"""How a region gets to its target: turned, scaled, mirrored, shifted, every pixel where the matrix says."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from forgery_rcnn.data.forge.regions import Region


def linear(source: Region, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float | bool]]:
    """-> (2, 2) float64, the linear part of a motion, and its parameters: nothing, mirror, quarter turns, or any turn and scale.

    A rectangle is not turned: nobody would believe one that stands askew.
    """
    kind = str(rng.choice(("shift", "mirror", "quarter", "any"), p=(0.4, 0.12, 0.13, 0.35)))
    if source.mask.all() and kind in ("quarter", "any"):
        kind = "shift"
    turn = (
        0.0
        if kind in ("shift", "mirror")
        else float(rng.integers(1, 4)) * 90
        if kind == "quarter"
        else rng.uniform(-180, 180)
    )
    scale = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4)))) if kind == "any" and rng.random() < 0.6 else 1.0
    mirrored = kind == "mirror" or (kind != "shift" and rng.random() < 0.25)
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    matrix = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    matrix[np.abs(matrix) < 1e-12] = 0  # a quarter turn lands on whole pixels
    return matrix, {"turn_degrees": round(turn, 2), "scale": round(scale, 4), "mirrored": bool(mirrored)}


class Motion(NamedTuple):
    """matrix (2, 3): source pixel x y 1 -> target pixel x y, centres of pixels at whole numbers; region: the target."""

    matrix: np.ndarray
    region: Region


def motion(source: Region, matrix: np.ndarray) -> Motion:
    """Source region and (2, 2) linear part -> the region turned and scaled about its centre, at the place of its source."""
    height, width = source.mask.shape
    if np.array_equal(matrix, np.eye(2)):
        return Motion(np.column_stack([matrix, np.zeros(2)]), source)
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]) @ matrix.T
    low = np.floor(corners.min(axis=0) + 1e-6)
    size = np.ceil(corners.max(axis=0) - 1e-6) - low + 1
    local = np.column_stack([matrix, -low])
    turned = cv2.warpAffine(source.mask.astype(np.float32), local, tuple(size.astype(int).tolist())) > 0.5
    origin = np.array([source.x, source.y])
    corner = np.round(origin + (np.array([width, height]) - size) / 2).astype(int)
    return Motion(
        np.column_stack([matrix, corner - low - matrix @ origin]), Region(int(corner[1]), int(corner[0]), turned)
    )


def shifted(moving: Motion, y: int, x: int) -> Motion:
    """The same motion with its target's rectangle at (y, x)."""
    matrix = moving.matrix.copy()
    matrix[:, 2] += [x - moving.region.x, y - moving.region.y]
    return Motion(matrix, moving.region._replace(y=y, x=x))


def content(canvas: np.ndarray, moving: Motion) -> np.ndarray:
    """(H, W, 3) uint8 -> (h, w, 3) uint8, what the motion brings into the target's rectangle."""
    matrix = moving.matrix - [[0, 0, moving.region.x], [0, 0, moving.region.y]]
    height, width = moving.region.mask.shape
    exact = np.array_equal(np.abs(matrix[:, :2]).sum(axis=0), [1, 1]) and set(np.abs(matrix[:, :2]).ravel()) == {
        0.0,
        1.0,
    }
    how = cv2.INTER_NEAREST if exact else cv2.INTER_LINEAR
    return cv2.warpAffine(canvas, matrix, (width, height), flags=how, borderMode=cv2.BORDER_REFLECT)
