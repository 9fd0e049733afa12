"""How a stage went, from the lines of log.jsonl."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FALLS = 0.05  # share by which the mean loss of the last quarter must be below that of the quarter before
DROPS = 0.02  # oF1 that the last evaluation must be below the best one


@dataclass(frozen=True)
class Course:
    """epochs, steps of the stage. losses: name -> first, last, lowest epoch mean; "loss" is their sum. best, last: oF1, NaN
    where the kept epoch's was not logged; best_epoch: the kept one, from 1, 0 = not logged; baseline: oF1 of calling everything authentic.
    falling: the training loss still fell at the end; behind: it fell after the best score, and the score went down."""

    epochs: int
    losses: dict[str, tuple[float, float, float]]
    best: float
    last: float
    best_epoch: int
    baseline: float
    falling: bool
    behind: bool


def course(epochs: Sequence[Mapping[str, Any]], kept: int) -> Course | None:
    """The lines of one stage in their order, the epoch whose weights were kept -> Course; None of no line."""
    if not epochs:
        return None
    names = [name for name in epochs[-1] if name == "loss" or name.startswith("loss_")]
    losses = {}
    for name in names:
        values = [epoch[name] for epoch in epochs if name in epoch]
        losses[name] = values[0], values[-1], min(values)
    scored = [epoch for epoch in epochs if "of1_mean" in epoch]
    best = next((epoch for epoch in scored if epoch["epoch"] == kept), None)
    total = np.array([epoch["loss"] for epoch in epochs])
    if best is None:
        return Course(len(epochs), losses, math.nan, math.nan, 0, math.nan, falling(total), False)
    dropped = best["of1_mean"] - scored[-1]["of1_mean"] > DROPS
    return Course(
        len(epochs),
        losses,
        best["of1_mean"],
        scored[-1]["of1_mean"],
        best["epoch"],
        best["baseline_all_authentic"],
        falling(total),
        bool(dropped and scored[-1]["loss"] < best["loss"]),
    )


def falling(losses: np.ndarray) -> bool:
    """(E,) mean loss of each epoch -> whether the last quarter lies clearly below the quarter before it.

    >>> falling(np.array([8.0, 4, 2, 1])), falling(np.array([8.0, 1, 1, 1]))
    (True, False)
    """
    quarter = len(losses) // 4
    if not quarter:
        return False
    return bool(losses[-quarter:].mean() < (1 - FALLS) * losses[-2 * quarter : -quarter].mean())
