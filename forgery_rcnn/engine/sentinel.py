"""Has training collapsed? Signs of it in an evaluation, and what the probes say of the cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from forgery_rcnn.config import RunConfig
from forgery_rcnn.data import masks, records, splits
from forgery_rcnn.engine.evaluate import seen
from forgery_rcnn.inference import oracle
from forgery_rcnn.models.anatomy import MATCH, best_overlap, dissect, true_regions
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from forgery_rcnn.report import ImageRow

LOOKED_AT = 8  # images that the probes are given
GRACE = 100
"""Steps of a stage before signs count: overfit_few, from random weights, flags nothing for 70 and ends at 0.97."""
LEAST = 4  # images whose answers can be the same by more than accident
SAME = 1e-9  # two scores that differ by less are the same


def signs(rows: Sequence[ImageRow], found: dict[str, Any]) -> list[str]:
    """The rows of an evaluation and their report.summary -> what of it looks like a collapse, in words; [] = nothing."""
    out = []
    forged, flagged = sum(row.label == "forged" for row in rows), sum(row.answer == "forged" for row in rows)
    if not forged:
        return []
    if not flagged:
        out.append("no detection passes the threshold on any image")
    elif flagged == len(rows) > forged:
        out.append("every image is called forged")
    elif len(rows) >= LEAST and len({_answered(row) for row in rows}) == 1:
        out.append("every image gets the same answer")
    for name, said in (("baseline_all_authentic", "authentic"), ("baseline_all_forged", "forged")):
        if found[name] and abs(found["of1_mean"] - found[name]) < SAME:
            out.append(f"oF1 {found['of1_mean']:.4f} is that of calling every image {said}")
    return out


def _answered(row: ImageRow) -> tuple[int, float]:
    """An answer without the image's size: how many instances, which hundredths of the image they cover."""
    return row.predicted_instances, round(row.predicted_pixels / max(1, row.height * row.width), 2)


def counted(before: int, signs: Sequence[str], limit: int) -> tuple[int, str]:
    """Evaluations in a row with a sign of collapse so far, the signs of one more -> their number now, and what is to be said:
    "" but where they reach the `limit`, 0 = never, or end after that."""
    now = before + 1 if signs else 0
    if limit and now == limit:
        return now, f"has collapsed: for {limit} evaluation{'s' * (limit > 1)} {' and '.join(signs)}"
    over = limit and before >= limit and not now
    return now, "has recovered: images get different answers again" if over else ""


def cause(model: MaskRCNN, items: Sequence[records.Record], config: RunConfig, count: int = LOOKED_AT) -> str:
    """The likely cause in words, by the oracle's ladder and what goes with it, on up to `count` of the images that a
    stage is scored on; the model in eval mode."""
    inference, shown = config.inference, masks.shown_to(config.model, config.data)
    climbed, recall, best = [], [], []
    for record in splits.balanced(items, count):
        view = seen(record, config.data)
        anatomy = dissect(model, view.pixels, inference.mask_threshold)
        truth = true_regions(view.targets(shown), anatomy)
        climbed.append(oracle.climb(model, anatomy, truth, view.true, inference))
        recall += (best_overlap(truth.fitted, anatomy.proposals.boxes) >= MATCH).tolist()
        near = anatomy.proposals.scores[best_overlap(anatomy.proposals.boxes, truth.fitted) >= MATCH]
        best += [float(near.max())] if len(near) else []
    part = oracle.ladder(climbed).failing()
    said = [f"likely cause: {oracle.NAMES[part]}" if part else "the oracle's ladder blames no part"]
    if recall:
        said.append(f"proposals reach {np.mean(recall):.0%} of {len(recall)} regions at IoU {MATCH}")
    if best:
        said.append(
            f"their best score in an image is {np.median(best):.2f} (median), the threshold {inference.score_threshold}"
        )
    return "; ".join(said)
