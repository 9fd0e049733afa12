"""Numbers per true region of several images: means whose sample is the images, and the axes that show them by size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from forgery_rcnn.bootstrap import Interval, Resampling


def over_images(values: np.ndarray, images: np.ndarray) -> Interval:
    """(N,) one value per region, (N,) int64 its image's number -> mean over regions, interval over images.

    The regions of an image are drawn together: they are not independent. Interval.count is the number of images.

    >>> print(over_images(np.array([1.0, 1.0, 0.25]), np.array([3, 3, 3])))
    0.7500 [n/a, n/a]
    """
    if not len(values):
        return Interval(math.nan, math.nan, math.nan, 0)
    _, place = np.unique(images, return_inverse=True)
    sums, counts = np.bincount(place, weights=values), np.bincount(place)
    return Resampling().of(lambda drawn: float(sums[drawn].sum() / counts[drawn].sum()), len(sums))


def size_ticks(ax: Axes, labels: Sequence[str], counts: Sequence[int], of: str) -> None:
    """Ticks of one size each, with the number of its regions; of: what was measured, e.g. box."""
    names = [label.replace(" px", "").replace(" and more", "+") for label in labels]
    ax.set_xticks(range(len(labels)), [f"{name}\nn={n}" for name, n in zip(names, counts, strict=True)], fontsize=7)
    ax.set_xlabel(f"side of a square of the area of the region's {of} (input px)")


def errors(rates: Sequence[Interval]) -> np.ndarray:
    """Intervals -> (2, n) distances to their bounds, as matplotlib's error bars take them; 0 where there is no bound."""
    below = [[i.value - i.low for i in rates], [i.high - i.value for i in rates]]
    return np.maximum(np.nan_to_num(np.array(below, float)), 0)
