"""What a set of boxes can reach: overlap with a true region by shape alone, by chance, and as far as training pulls."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def by_shape(sides: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """(G, 2) and (S, 2) width, height in pixels -> (G,) the largest IoU with any of the shapes laid on the same centre.

    >>> by_shape(np.array([[10.0, 10.0], [40.0, 10.0]]), np.array([[10.0, 10.0], [20.0, 20.0]])).tolist()
    [1.0, 0.3333333333333333]
    """
    common = np.minimum(sides[:, None], shapes[None]).prod(axis=2)
    union = sides.prod(axis=1)[:, None] + shapes.prod(axis=1)[None] - common
    return (common / union).max(axis=1)


def by_chance(hits: np.ndarray, total: np.ndarray, drawn: int) -> np.ndarray:
    """(G,) how many of (G,) `total` boxes would do for each region -> (G,) probability that one of `drawn` random ones does.

    Drawn without putting back (hypergeometric).

    >>> by_chance(np.array([0, 1, 3]), np.array([4, 4, 4]), 2).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.array([_one_of(int(h), int(n), min(drawn, int(n))) for h, n in zip(hits, total, strict=True)])


def _one_of(hits: int, total: int, drawn: int) -> float:
    if total - hits < drawn:
        return 1.0
    # log of C(total - hits, drawn) / C(total, drawn)
    of_none = (
        math.lgamma(total - hits + 1)
        - math.lgamma(total - hits - drawn + 1)
        - math.lgamma(total + 1)
        + math.lgamma(total - drawn + 1)
    )
    return round(1 - math.exp(of_none), 9)


def needed(sides: np.ndarray, have: Sequence[float], ratios: Sequence[float]) -> tuple[list[int], list[float]]:
    """(G, 2) width, height of regions out of reach, the anchors' sizes and ratios (height / width) that exist ->
    sizes and ratios to add, powers of two: those that such regions have and no anchor is within a factor 1.42 of.

    >>> needed(np.array([[4.0, 4.0], [120.0, 15.0]]), (16, 32), (0.5, 1.0, 2.0))
    ([4], [0.125])
    """
    side, ratio = np.sqrt(sides.prod(axis=1)), sides[:, 1] / sides[:, 0]
    size_gaps = {2 ** max(round(x), 0) for x in np.log2(side) if _far(x, have)}
    ratio_gaps = {2.0 ** round(x) for x in np.log2(ratio) if _far(x, ratios)}
    return sorted(size_gaps), sorted(ratio_gaps)


def _far(exponent: float, existing: Sequence[float]) -> bool:
    """Whether 2^exponent is further than a factor 1.42 (a bit over the root of 2) from all that exist."""
    return min(abs(exponent - math.log2(value)) for value in existing) > math.log2(1.42)
