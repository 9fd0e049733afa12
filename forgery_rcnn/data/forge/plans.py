"""What each figure is to be, so that many of them have the real data's sizes, instance counts and forged areas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    "copy_move": 0.5,
    "between_panels": 0.12,
    "splice": 0.1,
    "removal": 0.08,
    "retouch": 0.06,
    "lanes": 0.3,
    "overlap": 0.05,
    "panel_reuse": 0.08,
}
"""How often each operation is planned, among those that suit the figure."""
LARGEST = {"removal": 0.03, "retouch": 0.03, "splice": 0.06}  # share of the figure; larger ones are seen at a glance
SMALLEST_SHARE = {"overlap": 0.01, "panel_reuse": 0.03}  # panels are not smaller
DRAWN = {"blot": 0.08, "gel": 0.04}  # shares of the figures that are not compound
SUITABLE = {
    "view": ("copy_move", "splice", "removal", "retouch"),
    "blot": ("copy_move", "removal", "retouch", "lanes"),
    "gel": ("copy_move", "removal", "retouch", "lanes"),
    "compound": tuple(WEIGHTS),
}
"""What can be done to a figure of each layout: one view of a host, one blot or gel, or several panels."""
LEAST_COMPOUND = 192  # px of the shorter side

Layout = Literal["view", "blot", "gel", "compound"]
Mode = Literal["RGB", "RGBA", "L"]


@dataclass(frozen=True)
class Plan:
    """One figure. size = (H, W) pixels; area: share of it to be marked; operations: one per instance, none = authentic.

    allowed: what may be done instead where a planned operation finds no place.
    """

    case: int
    seed: int
    size: tuple[int, int]
    layout: Layout
    mode: Mode
    area: float
    operations: tuple[str, ...]
    allowed: tuple[str, ...] = tuple(WEIGHTS)

    def feasible(self) -> Plan:
        """The same, its area raised where it would be less than the smallest masks."""
        least = 1.3 * SMALLEST * len(self.operations) / (self.size[0] * self.size[1])
        return replace(self, area=max(self.area, least))


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
    size, mode = drawn_size(rng), str(rng.choice(list(MODES), p=list(MODES.values())))
    instances = int(rng.choice(list(INSTANCES), p=np.array(list(INSTANCES.values())) / sum(INSTANCES.values())))
    area, forged = area_at(rng.random()), rng.random() >= recipe.authentic
    layout = drawn_layout(size, recipe.compound, rng)
    operations = drawn_operations(layout, area, instances, recipe.operations, rng) if forged else ()
    return Plan(case, seed, size, layout, mode, area, operations, recipe.operations).feasible()


def area_at(share: float) -> float:
    """The forged share of an image that a `share` (0..1) of the real ones stay below."""
    return float(np.exp(np.interp(share, list(AREAS), np.log(list(AREAS.values())))))


def drawn_size(rng: np.random.Generator) -> tuple[int, int]:
    """-> (H, W), pixels."""
    long = MEDIAN_SIDE * np.exp(SPREAD * rng.standard_normal())
    aspect = max(1.0, ASPECT * np.exp(0.25 * rng.standard_normal()))
    sides = np.clip(np.round([long / aspect, long]), *SIDES).astype(int).tolist()
    return (sides[0], sides[1]) if rng.random() < 0.72 else (sides[1], sides[0])


def drawn_layout(size: tuple[int, int], compound: float, rng: np.random.Generator) -> Layout:
    """-> compound in that share of the figures that are large enough, else a view, a blot or a gel."""
    if rng.random() < compound and min(size) >= LEAST_COMPOUND:
        return "compound"
    drawn = rng.random()
    return "blot" if drawn < DRAWN["blot"] else "gel" if drawn < sum(DRAWN.values()) else "view"


def drawn_operations(
    layout: Layout, area: float, instances: int, allowed: Sequence[str], rng: np.random.Generator
) -> tuple[str, ...]:
    """-> one operation per instance, of those allowed that suit the layout and the area; none where no one does."""
    names = fitting(layout, area / instances, allowed)
    return tuple(map(str, rng.choice(names, instances, p=_chances(names)))) if names else ()


def in_random_order(plan: Plan, rng: np.random.Generator) -> tuple[str, ...]:
    """-> the allowed operations that suit a plan's layout and area, by chance and weight."""
    names = fitting(plan.layout, plan.area / len(plan.operations), plan.allowed)
    return tuple(map(str, rng.choice(names, len(names), replace=False, p=_chances(names))))


def fitting(layout: Layout, area: float, allowed: Sequence[str]) -> list[str]:
    """-> the operations, among those allowed, that suit the layout and, if any does, this share of the figure."""
    names = [name for name in SUITABLE[layout] if name in allowed]
    return [n for n in names if SMALLEST_SHARE.get(n, 0) <= area <= LARGEST.get(n, 1)] or names


def _chances(names: Sequence[str]) -> np.ndarray:
    weights = np.array([WEIGHTS[name] for name in names])
    return weights / weights.sum()
