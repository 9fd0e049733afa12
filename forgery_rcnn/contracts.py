"""Published ways to score, by name, so that a paper's number can be computed anew and nobody compares two different ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from forgery_rcnn import metrics
from forgery_rcnn.bootstrap import Interval, Resampling
from forgery_rcnn.errors import InputError
from forgery_rcnn.report import ImageRow, compared, said_of_all


@dataclass(frozen=True)
class Contract:
    """What a number is: `measure` of one image (in words, and as a function of its row), over which images."""

    measure: str
    regions: Literal["instances", "union of instances"]
    images: Literal["all", "forged"]
    score: Callable[[ImageRow], float]

    def line(self, threshold: str) -> str:
        """The contract in one line; `threshold` says how the masks were made binary."""
        out = "in" if self.images == "all" else "out"
        return f"{self.measure}; {self.regions}, {threshold}; authentic images {out}; no pixel left out at borders"

    def over(self, rows: Sequence[ImageRow]) -> list[ImageRow]:
        """The images that count."""
        return [row for row in rows if self.images == "all" or row.label == "forged"]


def _union_by_count(row: ImageRow) -> float:
    if row.label == "authentic" or row.answer == "authentic":
        return float(row.label == row.answer)
    return row.dice * row.true_instances / max(row.predicted_instances, row.true_instances, 1)


def _better_of_inverted(row: ImageRow) -> float:
    pixels = row.height * row.width
    turned = (row.true_pixels - row.common_pixels, pixels - row.predicted_pixels, row.true_pixels)
    return max(row.dice, metrics.dice(*turned))


ANSWERS: tuple[Literal["authentic", "forged"], ...] = ("authentic", "forged")
CONTRACTS = {
    "recodai": Contract(
        "oF1 of Recod.ai/LUC: best one-to-one match of instances, sum of pixel F1 / larger count",
        "instances",
        "all",
        lambda row: row.of1,
    ),
    "recodai_forged": Contract("oF1 of Recod.ai/LUC", "instances", "forged", lambda row: row.of1),
    "union_by_count": Contract(
        "pixel F1 of one union x true count / larger count, no match (the 0.414 of the first Mask R-CNN project)",
        "union of instances",
        "all",
        _union_by_count,
    ),
    "pixel_f1": Contract(
        "pixel F1 (= Dice), 1 where both masks are empty", "union of instances", "all", lambda row: row.dice
    ),
    "pixel_f1_forged": Contract("pixel F1 (= Dice)", "union of instances", "forged", lambda row: row.dice),
    "pixel_f1_or_inverted": Contract(
        "the better of the pixel F1 of the mask and of the inverted mask",
        "union of instances",
        "forged",
        _better_of_inverted,
    ),
    "f1_plus_iou": Contract(
        "pixel F1 + IoU, 0..2 (Tianchi Forgeries and Forensics, track 2), 1 + 1 where both masks are empty",
        "union of instances",
        "all",
        lambda row: row.dice + row.iou,
    ),
}


def named(name: str) -> Contract:
    """The contract of this name. Raises InputError that lists the right ones."""
    if name not in CONTRACTS:
        raise InputError(f"no contract {name!r}; there are: {', '.join(CONTRACTS)}")
    return CONTRACTS[name]


@dataclass(frozen=True)
class Judged:
    """A contract's number beside what the same contract gives to saying the same of every image.

    gap: paired difference to the better of the two baselines, which is `best`.
    """

    name: str
    line: str
    value: Interval
    baselines: dict[str, float]
    best: str
    gap: Interval


def judge(name: str, rows: Sequence[ImageRow], threshold: str, how: Resampling) -> Judged:
    """Rows -> the number of the contract `name`, its baselines, and how far it is from the better one."""
    contract = named(name)
    mine = np.array([contract.score(row) for row in contract.over(rows)])
    alike = {
        answer: np.array([contract.score(row) for row in contract.over(said_of_all(rows, answer))])
        for answer in ANSWERS
    }
    means = {answer: float(values.mean()) if len(values) else math.nan for answer, values in alike.items()}
    best = max(ANSWERS, key=lambda answer: means[answer])
    return Judged(name, contract.line(threshold), how.mean(mine), means, best, how.mean(mine - alike[best]))


def lines(judged: Judged) -> list[str]:
    """The contract's number, the trivial baselines under it, its line and a verdict."""
    table = [f"{judged.name}: {judged.value} over {judged.value.count} images"]
    for answer, alike in judged.baselines.items():
        table.append(f"  baseline: everything {answer:<10}{'n/a' if math.isnan(alike) else f'{alike:.4f}'}")
    return [*table, f"contract: {judged.line}", f"verdict: {verdict(judged)}"]


def verdict(judged: Judged) -> str:
    """One plain sentence: is the number better than saying the same of every image, and is that sure?"""
    gap = judged.gap
    if math.isnan(gap.value):
        return "no image was scored"
    said = compared(gap.value, f"everything {judged.best}")
    if abs(gap.value) < 1e-9:
        return said
    if math.isnan(gap.low):
        return f"{said}; there is no 95 % interval"
    return f"{said}, but the 95 % interval of the difference holds 0" if gap.low <= 0 <= gap.high else said
