"""What each figure is to be, so that many of them have the real data's sizes, instance counts and forged areas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from forgery_rcnn.errors import InputError

SMALLEST = 98  # least pixels of a mask, as in the real data
# Forged share of an image, quantiles of the Recod.ai/LUC training set; the ends are those of a long tail.
AREAS = {0.0: 0.0004, 0.1: 0.0026, 0.25: 0.0056, 0.5: 0.0235, 0.75: 0.073, 0.9: 0.127, 0.99: 0.336, 1.0: 0.42}
INSTANCES = {1: 1869, 2: 701, 3: 174, 4: 5, 5: 2}  # images with so many, in the same set
SIDES = (64, 3888)  # least and greatest side there
MEDIAN_SIDE, SPREAD = 800, 0.55  # long side: pixels, and deviation of its logarithm
ASPECT = 4 / 3
MODES = {"RGB": 0.7, "RGBA": 0.15, "L": 0.15}
WEIGHTS = {
    "copy_move": 0.42,
    "between_panels": 0.14,
    "splice": 0.1,
    "removal": 0.08,
    "retouch": 0.06,
    "lanes": 0.1,
    "overlap": 0.05,
    "panel_reuse": 0.05,
}
"""How often each operation is tried first; one that does not suit the figure makes way for the next."""
LARGEST = {"removal": 0.03, "retouch": 0.03}  # share of the figure; larger ones are seen at a glance

Mode = Literal["RGB", "RGBA", "L"]


@dataclass(frozen=True)
class Plan:
    """One figure. size = (H, W) pixels; area: share of it to be marked, 0 = nothing is forged; instances: how many steps."""

    case: int
    seed: int
    size: tuple[int, int]
    layout: Literal["single", "compound"]
    mode: Mode
    area: float
    instances: int


@dataclass(frozen=True)
class Recipe:
    """What a whole set is to be like. compound, authentic: shares of the figures."""

    compound: float = 0.4
    authentic: float = 0.1
    operations: tuple[str, ...] = tuple(WEIGHTS)

    def __post_init__(self) -> None:
        for name in ("compound", "authentic"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; use a share in 0..1")
        unknown = [name for name in self.operations if name not in WEIGHTS]
        if unknown or not self.operations:
            found = f"holds {unknown[0]!r}" if unknown else "is empty"
            raise InputError(f"operations {found}; name at least one of {', '.join(WEIGHTS)}")


def plan(case: int, seed: int, recipe: Recipe) -> Plan:
    """Case number and the set's seed -> its Plan, always the same, whatever the other cases are."""
    rng = np.random.default_rng([seed, case])
    instances = int(rng.choice(list(INSTANCES), p=np.array(list(INSTANCES.values())) / sum(INSTANCES.values())))
    area = float(np.exp(np.interp(rng.random(), list(AREAS), np.log(list(AREAS.values())))))
    size = drawn_size(rng)
    forged = rng.random() >= recipe.authentic
    compound = rng.random() < recipe.compound and min(size) >= 2 * 96
    return Plan(
        case=case,
        seed=seed,
        size=size,
        layout="compound" if compound else "single",
        mode=str(rng.choice(list(MODES), p=list(MODES.values()))),
        area=max(area, 1.3 * SMALLEST * instances / (size[0] * size[1])) if forged else 0.0,
        instances=instances if forged else 0,
    )


def drawn_size(rng: np.random.Generator) -> tuple[int, int]:
    """-> (H, W), pixels."""
    long = MEDIAN_SIDE * np.exp(SPREAD * rng.standard_normal())
    aspect = max(1.0, ASPECT * np.exp(0.25 * rng.standard_normal()))
    sides = np.clip(np.round([long / aspect, long]), *SIDES).astype(int).tolist()
    return (sides[0], sides[1]) if rng.random() < 0.72 else (sides[1], sides[0])
