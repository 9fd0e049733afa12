"""Per-image rows -> a summary beside the trivial baselines; as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from forgery_rcnn import metrics, rle
from forgery_rcnn.instances import Instances

CONTRACT = (
    "contract: oF1 = official one-to-one instance match, mean over all images; Dice, recall, precision = pixels of the union "
    "of instances, mean over all images, 1 where both masks are empty; authentic images in, borders in"
)


@dataclass(frozen=True)
class ImageRow:
    """Scores of one image, all in 0..1, and what either side said. `all_forged`: oF1 of calling every pixel forged."""

    case_id: str
    label: str
    of1: float
    dice: float
    recall: float
    precision: float
    true_instances: int
    predicted_instances: int
    image_score: float
    all_forged: float


def image_row(
    case_id: str,
    predicted: Instances | None,
    true: Instances | None,
    size: tuple[int, int],
    image_score: float = math.nan,
) -> ImageRow:
    """Score one image of `size` = (H, W); None = authentic. `image_score`: the detector's own, where there is one."""
    everything = Instances(size, (np.array([[0, size[0] * size[1]]], np.int64),))
    mine, truth = (rle.EMPTY if side is None else side.union() for side in (predicted, true))
    precision, recall = metrics.precision_recall(mine, truth)
    return ImageRow(
        case_id=case_id,
        label="authentic" if true is None else "forged",
        of1=metrics.image_score(predicted, true),
        dice=metrics.dice(mine, truth),
        recall=recall,
        precision=precision,
        true_instances=0 if true is None else len(true),
        predicted_instances=0 if predicted is None else len(predicted),
        image_score=image_score,
        all_forged=metrics.image_score(everything, true),
    )


def summary(rows: Sequence[ImageRow]) -> dict[str, Any]:
    """-> means and the population std of oF1, over all images and over forged ones; rates; trivial baselines."""
    forged = [row for row in rows if row.label == "forged"]
    authentic = [row for row in rows if row.label == "authentic"]

    def mean(name: str, of: Sequence[ImageRow]) -> float | None:
        return float(np.mean([getattr(row, name) for row in of])) if of else None

    out: dict[str, Any] = {"images": len(rows), "forged": len(forged), "authentic": len(authentic)}
    out["of1_mean"] = mean("of1", rows)
    out["of1_std"] = float(np.std([row.of1 for row in rows])) if rows else None
    for name in ("dice", "recall", "precision"):
        out[f"{name}_mean"] = mean(name, rows)
    for name in ("of1", "dice", "recall", "precision"):
        out[f"{name}_mean_forged"] = mean(name, forged)
    flagged = [row.predicted_instances > 0 for row in authentic]
    out["false_alarm_rate"] = float(np.mean(flagged)) if flagged else None
    out["missed_rate"] = float(np.mean([row.predicted_instances == 0 for row in forged])) if forged else None
    out["baseline_all_authentic"] = len(authentic) / len(rows) if rows else None
    out["baseline_all_forged"] = mean("all_forged", rows)
    return out


def lines(found: dict[str, Any]) -> list[str]:
    """A summary -> the report that is printed."""

    def number(name: str) -> str:
        return "n/a" if found[name] is None else f"{found[name]:.4f}"

    table = [
        f"images {found['images']} (forged {found['forged']}, authentic {found['authentic']})",
        f"MEAN oF1 {number('of1_mean')} ± {number('of1_std')}",
        f"  baseline: everything authentic {number('baseline_all_authentic')}",
        f"  baseline: everything forged    {number('baseline_all_forged')}",
        f"Dice {number('dice_mean')}   recall {number('recall_mean')}   precision {number('precision_mean')}",
        f"on forged images alone: oF1 {number('of1_mean_forged')}   Dice {number('dice_mean_forged')}   "
        f"recall {number('recall_mean_forged')}   precision {number('precision_mean_forged')}",
        f"authentic images flagged {number('false_alarm_rate')}   forged images passed over {number('missed_rate')}",
        CONTRACT,
    ]
    return [*table, f"verdict: {verdict(found)}"]


def verdict(found: dict[str, Any]) -> str:
    """One plain sentence: is the score better than saying the same of every image?"""
    if not found["images"]:
        return "no image was scored"
    name, best = max(
        (
            ("everything authentic", found["baseline_all_authentic"]),
            ("everything forged", found["baseline_all_forged"]),
        ),
        key=lambda pair: pair[1],
    )
    gap = found["of1_mean"] - best
    if abs(gap) < 1e-9:
        return f"no better and no worse than calling {name}"
    return f"{abs(gap):.4f} {'above' if gap > 0 else 'BELOW'} calling {name}"


def to_csv(rows: Sequence[ImageRow]) -> str:
    """One line per image, with a header."""
    text = io.StringIO()
    names = list(ImageRow.__dataclass_fields__)
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def to_json(found: dict[str, Any], rows: Sequence[ImageRow]) -> str:
    """The summary's keys at the top level, then `rows`; NaN becomes null."""
    per_image = [
        {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(row).items()} for row in rows
    ]
    return json.dumps({**found, "contract": CONTRACT, "rows": per_image}, indent=1, allow_nan=False)
