"""Bringing a heat map in line with the edges of its image."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from forgery_rcnn.config import Refine

STRIP = 4_000_000  # pixels filtered at a time: OpenCV's filters need up to 100 bytes for each
WIDEST = 64.0  # pixels; a filter that reaches further works on a smaller copy
ATTENUATION, PASSES = 0.25, 3  # of the fast global smoother: OpenCV's defaults
Filter = Callable[[np.ndarray, np.ndarray, float, float], np.ndarray]


def refined(heatmap: np.ndarray, pixels: np.ndarray, config: Refine) -> np.ndarray:
    """(H, W) float32 in 0..1, (H, W, 3) uint8 -> (H, W) float32 in 0..1; with method none the heat map itself."""
    if config.method == "none":
        return heatmap
    scale = spatial(heatmap.shape, config)
    if config.method in ("crf", "pydensecrf2"):
        from forgery_rcnn.inference import crf

        solve = crf.by_mean_field if config.method == "crf" else crf.by_pydensecrf
        found = solve(heatmap, pixels, replace(config, spatial=scale))
    else:
        found = _shrunk(heatmap, pixels, scale, config.colour, FILTERS[config.method])
    return np.clip(found, 0, 1, out=found)


def spatial(size: tuple[int, int], config: Refine) -> float:
    """(height, width) -> the spatial standard deviation in pixels of an image of this size.

    >>> spatial((512, 1024), Refine(spatial=10, spatial_at=256)), spatial((512, 1024), Refine(spatial=7.5))
    (40.0, 7.5)
    """
    return config.spatial * max(size) / config.spatial_at if config.spatial_at else config.spatial


def guided(heatmap: np.ndarray, pixels: np.ndarray, spatial: float, colour: float) -> np.ndarray:
    """Guided filter (He et al., TPAMI 2013): radius = spatial, at least 1; eps = colour^2, as the guide is in levels."""
    return cv2.ximgproc.guidedFilter(pixels, heatmap, max(1, round(spatial)), colour**2)


def smoother(heatmap: np.ndarray, pixels: np.ndarray, spatial: float, colour: float) -> np.ndarray:
    """Fast global smoother (Min et al., TIP 2014), with the lambda that blurs a flat image by `spatial`; sigma = colour.

    A pass solves (1 + lambda L) u = f, whose kernel has the variance 2 lambda, and lambda is 1/4 of the last one in each
    of the three passes: 2 (1 + 1/4 + 1/16) lambda together.
    """
    share = 2 * sum(ATTENUATION**k for k in range(PASSES))
    strength = spatial**2 / share
    return cv2.ximgproc.fastGlobalSmootherFilter(
        pixels, heatmap, strength, colour, lambda_attenuation=ATTENUATION, num_iter=PASSES
    )


FILTERS: dict[str, Filter] = {"guided": guided, "smoother": smoother}


def _shrunk(heatmap: np.ndarray, pixels: np.ndarray, spatial: float, colour: float, filter_: Filter) -> np.ndarray:
    """Filter; what reaches further than WIDEST on a copy that is so much smaller, of which the change is carried back."""
    heatmap, pixels = np.ascontiguousarray(heatmap, np.float32), np.ascontiguousarray(pixels)
    if spatial <= WIDEST:
        return _by_strips(heatmap, pixels, spatial, colour, filter_)
    height, width = heatmap.shape
    size = (max(1, round(width * WIDEST / spatial)), max(1, round(height * WIDEST / spatial)))
    small, few = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (heatmap, pixels))
    change = _by_strips(small, few, WIDEST, colour, filter_) - small
    return heatmap + cv2.resize(change, (width, height), interpolation=cv2.INTER_LINEAR)


def _by_strips(heatmap: np.ndarray, pixels: np.ndarray, spatial: float, colour: float, filter_: Filter) -> np.ndarray:
    """Filter strips of rows, with 5 deviations above and below that are not kept: memory is bounded."""
    height, width = heatmap.shape
    rows, around = max(1, STRIP // width), math.ceil(5 * spatial)
    if height <= rows:
        return filter_(heatmap, pixels, spatial, colour)
    found = np.empty_like(heatmap)
    for top in range(0, height, rows):
        first, last = max(0, top - around), min(height, top + rows + around)
        strip = filter_(heatmap[first:last], pixels[first:last], spatial, colour)
        found[top : top + rows] = strip[top - first : top - first + rows]
    return found
