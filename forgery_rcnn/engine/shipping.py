"""Weights made small and measured: whether float16 changes anything, what they reach, and how fast."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from forgery_rcnn import metrics, numbers, strata
from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.data.records import Record
from forgery_rcnn.decision import of_scores
from forgery_rcnn.engine import evaluate, fitting
from forgery_rcnn.engine.evaluate import Part
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import require
from forgery_rcnn.inference.ensemble import Ensemble
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.model_card import Measured
from forgery_rcnn.numbers import Scored

LEAST_IOU, MOST_OF1 = 0.99, 0.005  # as benchmarks/predict.py asks of other ways to compute the same
LARGEST = 60_000_000  # bytes of one file: what a repository carries without large-file storage


@dataclass(frozen=True)
class Agreement:
    """Two versions of the same weights. iou: of all that either marks, mean over the `marked` images where one marks anything,
    worst: of one image, both NaN where there is none; of1: mean of either."""

    images: int
    marked: int
    iou: float
    worst: float
    of1: tuple[float, float]

    @property
    def fine(self) -> bool:
        """Whether nobody would notice; where nothing is marked, that cannot be seen."""
        return self.iou >= LEAST_IOU and abs(self.of1[1] - self.of1[0]) <= MOST_OF1

    def __str__(self) -> str:
        if not self.marked:
            return f"neither marks anything in {self.images} images, so what it costs cannot be seen"
        gap = self.of1[1] - self.of1[0]
        return (
            f"mask IoU {self.iou:.4f} (worst {self.worst:.4f}) on {self.marked} of {self.images} images where either marks "
            f"anything, oF1 {self.of1[0]:.4f} -> {self.of1[1]:.4f} ({gap:+.4f}); asked: IoU {LEAST_IOU}, oF1 within {MOST_OF1}"
        )


def agreement(one: Ensemble, other: Ensemble, there: Part, items: Sequence[Record], screen: Screen) -> Agreement:
    """Predict some records of a part by both, in float32: bf16's own rounding is coarser than what is looked for (mask IoU 0.992
    between bf16 and float32 of the same weights, on nine images)."""
    overlaps, scores = [], []
    with screen.bar("comparing", len(items)) as advance, autocast(one.device, "float32"):
        for record in items:
            view = evaluate.seen(record, there.data)
            found = [there.asked(each, record).predict(view.pixels).instances for each in (one, other)]
            scores.append([metrics.image_score(each if len(each) else None, view.true) for each in found])
            overlaps += [_overlap(*found)] if len(found[0]) + len(found[1]) else []
            advance()
    first, second = np.mean(scores, axis=0).tolist()
    iou, worst = (float(np.mean(overlaps)), min(overlaps)) if overlaps else (math.nan, math.nan)
    return Agreement(len(items), len(overlaps), iou, worst, (first, second))


def _overlap(one: Instances, other: Instances) -> float:
    """IoU of all that is marked."""
    a, b = one.union(), other.union()
    return metrics.iou(metrics.common_pixels(a, b), int(a[:, 1].sum()), int(b[:, 1].sum()))


def scored(
    found: Ensemble, there: Part, items: Sequence[Record], precision: str, screen: Screen
) -> tuple[Scored, float]:
    """-> all that is kept of these records' answers, and the median seconds that one took."""
    spent: list[float] = []

    def timed() -> Iterator[tuple[str, Answer, Truth]]:
        answers = evaluate.predicted(found, there, items, precision, screen)
        for _ in items:
            began = time.perf_counter()
            answer = next(answers)
            spent.append(time.perf_counter() - began)
            yield answer
        next(answers, None)  # closes the bar

    return numbers.collect(timed()), float(np.median(spent))


def measured(found: Ensemble, told: Scored, seconds: float, where: str) -> Measured:
    """What the card says of them."""
    how, rule = Resampling(), found.decision
    scores = np.array([row.image_score for row in told.rows])
    forged = np.array([row.label == "forged" for row in told.rows], bool)
    return Measured(
        where,
        len(told.rows),
        numbers.intervals(told, how),
        numbers.trivial(told),
        strata.by_stratum(told, how),
        seconds,
        f"{platform.machine()}, {os.cpu_count()} cores, {found.device.type}",
        None if rule is None else (rule, of_scores(rule, scores, forged)),
    )


def as_json(found: Measured) -> dict[str, Any]:
    """What is stored of it beside the weights: all but the strata."""

    told = {name: asdict(value) for name, value in found.numbers.items()}
    out = {"where": found.where, "images": found.images, "numbers": told}
    out |= {"baselines": {name: dict(values) for name, values in found.baselines.items()}}
    if found.decided is not None:
        out["decision"] = asdict(found.decided[1])
    return fitting.plain(out | {"seconds": found.seconds, "machine": found.machine})


def recorded(fused: Scored, detector: Scored) -> dict[str, Any]:
    """Both on the same images -> what shipped.preferred decides by, with the interval of the difference.

    Raises InputError where the images are not the same.
    """
    keys = [[row.case_id for row in side.rows] for side in (fused, detector)]
    require(keys[0] == keys[1] and bool(keys[0]), "the fusion and its detector were scored on different images")
    values = [np.array([row.of1 for row in side.rows]) for side in (fused, detector)]
    gap = Resampling().paired(*values)
    told = {
        "images": len(keys[0]),
        "fused": {"of1": float(values[0].mean())},
        "detector": {"of1": float(values[1].mean())},
    }
    sure = not math.isnan(gap.difference.low)
    return told | {"difference": [gap.difference.value, *((gap.difference.low, gap.difference.high) if sure else ())]}
