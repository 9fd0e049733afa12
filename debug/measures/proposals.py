"""Proposals against the truth, and regions by size: what the probes of the box head share."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from torch import Tensor
from torchvision.ops import box_iou

BORDERS = (16, 32, 64, 128)  # px of the model's input: powers of two, as the pyramid's levels are told apart


def nearest(boxes: Tensor, true: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(R, 4) boxes, (G, 4) true ones -> (R,) float64 IoU with the true one nearest to each, (R,) int64 its number.

    0 and -1 where there is none.
    """
    if not len(true):
        return np.zeros(len(boxes)), np.full(len(boxes), -1)
    overlap, which = box_iou(boxes, true).max(dim=1)
    return overlap.double().cpu().numpy(), which.cpu().numpy()


def sides(boxes: Tensor) -> np.ndarray:
    """(R, 4) boxes -> (R,) float64 side of the square of the same area, px of the model's input."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1).sqrt().double().cpu().numpy()


def by_size(found: np.ndarray) -> dict[str, np.ndarray]:
    """(R,) sides, px -> name of a size -> indices of those regions, smallest first; sizes without a region are left out.

    >>> {name: those.tolist() for name, those in by_size(np.array([15.9, 200.0, 16.0, 31.0])).items()}
    {'under 16 px': [0], '16 to 31 px': [2, 3], '128 px and more': [1]}
    """
    names = [
        f"under {BORDERS[0]} px",
        *(f"{low} to {high - 1} px" for low, high in pairwise(BORDERS)),
        f"{BORDERS[-1]} px and more",
    ]
    which = np.digitize(found, BORDERS)
    return {name: np.flatnonzero(which == place) for place, name in enumerate(names) if (which == place).any()}


def highest(values: np.ndarray) -> float:
    """(N,) -> the largest, NaN for N = 0."""
    return float(values.max()) if len(values) else float("nan")


def mean(values: np.ndarray) -> float:
    """(N,) -> the mean of those that are not NaN; NaN where there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def number(value: float, digits: int = 3) -> str:
    """A number as printed, n/a for NaN."""
    return "n/a" if np.isnan(value) else f"{value:.{digits}f}"
