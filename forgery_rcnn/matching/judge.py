"""How sure a measured pair is: a logistic model of a few numbers, fitted on made copies and on untouched pictures."""

from __future__ import annotations

import numpy as np

from forgery_rcnn.matching.verify import Measured

WEIGHTS = {
    "one": -9.0,
    "detail": 13.0,
    "middle": 0.0,
    "log_area": 0.6,
    "log_chance": -0.12,
    "log_inliers": 0.4,
}
"""Of each feature; see `features`."""
LEAST_CHANCE = 1e-20  # what an exponential tail says beyond this is no measurement


def features(found: Measured, chance: float) -> dict[str, float]:
    """A pair and its chance -> the numbers that it is judged by."""
    return {
        "one": 1.0,
        "detail": found.detail,
        "middle": found.middle,
        "log_area": float(np.log10(found.area / 1000)),
        "log_chance": float(np.log10(max(chance, LEAST_CHANCE))),
        "log_inliers": float(np.log10(found.inliers + 1)),
    }


def score(found: Measured, chance: float) -> float:
    """-> 0..1."""
    total = sum(WEIGHTS[name] * value for name, value in features(found, chance).items())
    return float(1 / (1 + np.exp(-np.clip(total, -50, 50))))
