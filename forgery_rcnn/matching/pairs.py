"""What the twin finder works with and answers: a figure, motions that may explain it, pairs of regions that are one.

A motion is a (2, 3) float64 matrix that takes x y 1 of the first region's pixels to x y of the second's, centres of
pixels at whole numbers, as in the manifest of made forgeries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.instances import Instances

FoundBy = Literal["keypoints", "field", "correlation", "panels"]
ToldBy = Literal["pixels", "grain", "likeness"]
GRAIN = (0.8, 2.5)  # px, Gaussian sigmas: what is finer is taken for grain; the neighbourhood that its power is of
GRAIN_SHARE = 0.628  # of white noise's power is left above the first of them
Original = Literal["first", "second", "undecided"]


@dataclass(frozen=True)
class Figure:
    """One image as the twin finder sees it.

    pixels: (H, W, 3) uint8; gray: (H, W) float32 in 0..255; ignored: (H, W) bool, text and furniture (letters, arrows, scale
    bars, axes, frames, gutters), which repeat legitimately or is flat; panels: (P, 4) int64 x0 y0
    x1 y1, pixels, x1 y1 exclusive, apart from each other; at least one; one_grid: all of it was compressed together, if ever.
    """

    pixels: np.ndarray
    gray: np.ndarray
    ignored: np.ndarray
    panels: np.ndarray
    one_grid: bool = True

    @property
    def size(self) -> tuple[int, int]:
        """(H, W), pixels."""
        return int(self.gray.shape[0]), int(self.gray.shape[1])

    @cached_property
    def grain(self) -> float:
        """Levels squared: variance of the white noise that the quietest twentieth of the figure may have at most."""
        detail = self.gray - cv2.GaussianBlur(self.gray, (0, 0), GRAIN[0])
        power = cv2.GaussianBlur(detail * detail, (0, 0), GRAIN[1])[~self.ignored]
        if not power.size:
            return 0.0
        return float(np.quantile(power[:: max(1, power.size // 200_000)], 0.05)) / GRAIN_SHARE


def gray_of(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) float32 in 0..255, luma of ITU-R BT.601."""
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY).astype(np.float32)


@dataclass(frozen=True)
class Hypothesis:
    """A motion that may carry a region onto another one; not verified.

    matrix: (2, 3) float64, first -> second; first, second: (K, 2) float32 x y, pixels, places that it was estimated from, K >= 1.
    """

    matrix: np.ndarray
    first: np.ndarray
    second: np.ndarray
    found_by: FoundBy


@dataclass(frozen=True)
class Parts:
    """A motion in words: turn in degrees (-180..180, anticlockwise as seen, y down), scale (1 = same size), whether mirrored."""

    turn: float
    scale: float
    mirrored: bool


def parts_of(matrix: np.ndarray) -> Parts:
    """(2, 3) -> its turn, scale and mirror; where mirrored, left and right are exchanged first, then it is turned.

    >>> parts_of(np.array([[0.0, 2.0, 5.0], [-2.0, 0.0, 7.0]]))
    Parts(turn=90.0, scale=2.0, mirrored=False)
    >>> parts_of(np.array([[-1.0, 0.0, 99.0], [0.0, 1.0, 0.0]]))
    Parts(turn=0.0, scale=1.0, mirrored=True)
    """
    linear = np.asarray(matrix, np.float64)[:, :2]
    determinant = float(np.linalg.det(linear))
    upright = linear @ np.diag([-1.0, 1.0]) if determinant < 0 else linear
    turn = np.degrees(np.arctan2(upright[0, 1] - upright[1, 0], upright[0, 0] + upright[1, 1]))
    return Parts(float(turn) + 0.0, float(np.sqrt(abs(determinant))), determinant < 0)


def inverse(matrix: np.ndarray) -> np.ndarray:
    """(2, 3) -> (2, 3), second -> first."""
    return cv2.invertAffineTransform(np.asarray(matrix, np.float64))


@dataclass(frozen=True)
class Pair:
    """Two regions of one image, one of them a copy of the other.

    first, second: Runs of the regions (column-major, see rle); matrix: (2, 3) float64, first -> second; inliers: places that agree
    with the motion; correlation: -1..1, normalised cross-correlation of the regions' detail; chance: 0..1, how often a
    random pair of regions of this size and look does as well, over all places looked at; score: 0..1, how sure; original: which side was
    there first, where traces tell; between_panels: whether the regions lie in different panels; told_by: what shows that they
    are one: pixels, equal in all channels; likeness, weighed by trees; or, where that was not enough, their grain, which is the same.
    """

    first: rle.Runs
    second: rle.Runs
    matrix: np.ndarray
    inliers: int
    correlation: float
    chance: float
    score: float
    original: Original
    found_by: FoundBy
    between_panels: bool
    told_by: ToldBy = "likeness"


@dataclass(frozen=True)
class Rejected:
    """A motion that was looked into and dropped, and why: one line."""

    hypothesis: Hypothesis
    reason: str


@dataclass(frozen=True)
class Finding:
    """All that was found in one image of `size` = (H, W): pairs, best first; what was dropped; the figure it was found in."""

    figure: Figure
    pairs: tuple[Pair, ...]
    rejected: tuple[Rejected, ...] = ()

    def groups(self) -> list[list[int]]:
        """-> pairs, by number, that share a region: a source and all its copies. Best group first."""
        covered = [rle.joined(np.concatenate([pair.first, pair.second])) for pair in self.pairs]
        groups: list[list[int]] = []
        for number, runs in enumerate(covered):
            touching = [g for g in groups if any(shares(runs, covered[other]) for other in g)]
            merged = sorted([number, *(other for g in touching for other in g)])
            groups = [g for g in groups if g not in touching] + [merged]
        return sorted(groups)

    def instances(self) -> tuple[Instances, np.ndarray]:
        """-> a source and its copies as one instance each (the convention of Recod.ai/LUC), and their scores (N,) float32."""
        groups = self.groups()
        runs = [
            rle.joined(np.concatenate([side for n in g for side in (self.pairs[n].first, self.pairs[n].second)]))
            for g in groups
        ]
        scores = [max(self.pairs[n].score for n in g) for g in groups]
        return Instances(self.figure.size, tuple(runs)), np.float32(scores)


SHARED = 0.25  # of the smaller region: from here on two pairs are about the same region


def shares(a: rle.Runs, b: rle.Runs) -> bool:
    """Whether two regions of one image have a quarter of the smaller one in common."""
    areas = int(a[:, 1].sum()), int(b[:, 1].sum())
    together = int(rle.joined(np.concatenate([a, b]))[:, 1].sum())
    return sum(areas) - together >= SHARED * min(areas)
