"""Per-image rows -> what they say together: mean oF1 beside its trivial baselines, where the rest went, and a verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any, Literal

import numpy as np

from forgery_rcnn import metrics, ranking, rle, tables
from forgery_rcnn.instances import ANY_SIZE, Answer, Truth

CONTRACT = (
    "oF1 = official one-to-one match of instances, mean over all images; Dice, recall, precision = pixels of the union "
    "of instances, mean over images, 1 where both masks are empty; authentic images in, no pixel left out at borders"
)
BUDGET = {
    "false_alarm": "false alarm: authentic, called forged",
    "called_authentic": "called authentic: forged, passed over",
    "missed": "missed instances",
    "excess": "excess instances",
    "mask_quality": "mask quality of the matched instances",
}
"""The shares of 1 - oF1 (see metrics.ErrorBudget), and what they are called."""


@dataclass(frozen=True)
class ImageRow:
    """One image: what either side said, pixel counts of the unions of instances, and scores.

    Scores are in 0..1 (mcc in -1..1), NaN where unknown: `image_score` and `pixel_auc` need more than masks, `height`
    and `width` are 0 where nothing gave them. `all_forged`: oF1 of calling every pixel forged. The last five are the
    shares of 1 - of1.
    """

    case_id: str
    label: Literal["forged", "authentic"]
    answer: Literal["forged", "authentic"]
    kind: str
    height: int
    width: int
    true_instances: int
    predicted_instances: int
    true_pixels: int
    predicted_pixels: int
    common_pixels: int
    of1: float
    dice: float
    iou: float
    recall: float
    precision: float
    mcc: float
    pixel_auc: float
    image_score: float
    all_forged: float
    false_alarm: float
    called_authentic: float
    missed: float
    excess: float
    mask_quality: float


def image_row(case_id: str, answer: Answer, truth: Truth) -> ImageRow:
    """Score one image. The pixel scores are of the unions of instances, 1 where both are empty."""
    predicted, true = answer.instances, truth.instances
    mine, theirs = (rle.EMPTY if side is None else side.union() for side in (predicted, true))
    of1, budget = metrics.score_and_budget(predicted, true)
    known = truth.size if truth.size != ANY_SIZE else answer.size
    counts = (metrics.common_pixels(mine, theirs), int(mine[:, 1].sum()), int(theirs[:, 1].sum()))
    return ImageRow(
        case_id=case_id,
        label="authentic" if true is None else "forged",
        answer="authentic" if predicted is None else "forged",
        kind=truth.kind,
        height=0 if known == ANY_SIZE else known[0],
        width=0 if known == ANY_SIZE else known[1],
        true_instances=0 if true is None else len(true),
        predicted_instances=0 if predicted is None else len(predicted),
        true_pixels=counts[2],
        predicted_pixels=counts[1],
        common_pixels=counts[0],
        of1=of1,
        **_pixel_scores(*counts, known[0] * known[1]),
        pixel_auc=_pixel_auc(answer.heatmap, theirs),
        image_score=answer.image_score,
        all_forged=metrics.all_forged(true),
        **asdict(budget),
    )


def _pixel_scores(common: int, predicted: int, true: int, pixels: int) -> dict[str, float]:
    precision, recall = metrics.precision_recall(common, predicted, true)
    return {
        "dice": metrics.dice(common, predicted, true),
        "iou": metrics.iou(common, predicted, true),
        "recall": recall,
        "precision": precision,
        "mcc": ranking.mcc(common, predicted - common, true - common, pixels - predicted - true + common),
    }


def _pixel_auc(heatmap: np.ndarray | None, truth: rle.Runs) -> float:
    """ROC AUC of the pixels of one heat map; NaN without one, or where the truth holds one class only."""
    if heatmap is None or not len(truth) or truth[0, 1] == heatmap.size:
        return math.nan
    return ranking.auc(heatmap.ravel(), rle.mask_of(truth, heatmap.shape).ravel())


def said_of_all(rows: Sequence[ImageRow], answer: Literal["forged", "authentic"]) -> list[ImageRow]:
    """The rows of a trivial baseline on the same images: every image authentic, or every pixel forged."""
    out = []
    for row in rows:
        height, width = (row.height, row.width) if row.height else ANY_SIZE
        pixels = height * width if answer == "forged" else 0
        counts = (row.true_pixels if answer == "forged" else 0, pixels, row.true_pixels)
        of1 = row.all_forged if answer == "forged" else float(row.label == "authentic")
        out.append(
            replace(
                row,
                answer=answer,
                predicted_instances=int(answer == "forged"),
                predicted_pixels=pixels,
                common_pixels=counts[0],
                of1=of1,
                **_pixel_scores(*counts, height * width),
                pixel_auc=0.5,
                image_score=math.nan,
                **_shares_of_all(row, answer),
            )
        )
    return out


def _shares_of_all(row: ImageRow, answer: Literal["forged", "authentic"]) -> dict[str, float]:
    shares = dict.fromkeys(BUDGET, 0.0)
    if row.label != answer:
        shares["false_alarm" if answer == "forged" else "called_authentic"] = 1.0
    elif answer == "forged" and not row.true_instances:
        shares["excess"] = 1.0
    elif answer == "forged":
        found = int(row.all_forged > 0)
        shares["missed"] = (row.true_instances - found) / row.true_instances
        shares["mask_quality"] = found / row.true_instances - row.all_forged
    return shares


def without_regions(row: ImageRow) -> ImageRow:
    """The row of an answer that only says whether: NaN for all scores of regions."""
    unknown = ("of1", "dice", "iou", "recall", "precision", "mcc", "pixel_auc", *BUDGET)
    return replace(row, **dict.fromkeys(unknown, math.nan))


def summary(rows: Sequence[ImageRow]) -> dict[str, Any]:
    """-> means and the population std of oF1, over all images and over forged ones; rates; error budget; trivial baselines."""
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
    flagged = [row.answer == "forged" for row in authentic]
    out["false_alarm_rate"] = float(np.mean(flagged)) if flagged else None
    out["missed_rate"] = float(np.mean([row.answer == "authentic" for row in forged])) if forged else None
    out["baseline_all_authentic"] = len(authentic) / len(rows) if rows else None
    out["baseline_all_forged"] = mean("all_forged", rows)
    out["error_budget"] = {name: mean(name, rows) for name in BUDGET}
    return out


def lines(found: dict[str, Any]) -> list[str]:
    """A summary -> the whole of it as printed where nothing but the rows is known."""
    return [*head(found), *rates(found), *budget(found), f"contract: {CONTRACT}", f"verdict: {verdict(found)}"]


def head(found: dict[str, Any]) -> list[str]:
    """Score and trivial baselines."""
    return [
        f"images {found['images']} (forged {found['forged']}, authentic {found['authentic']})",
        f"MEAN oF1 {_number(found, 'of1_mean')} ± {_number(found, 'of1_std')}",
        f"  baseline: everything authentic {_number(found, 'baseline_all_authentic')}",
        f"  baseline: everything forged    {_number(found, 'baseline_all_forged')}",
    ]


def rates(found: dict[str, Any]) -> list[str]:
    """Pixel scores on all and on forged images, and the wrong calls."""
    overlaps = ("Dice", "recall", "precision")
    everywhere = "   ".join(f"{name} {_number(found, f'{name.lower()}_mean')}" for name in overlaps)
    forged = "   ".join(f"{name} {_number(found, f'{name.lower()}_mean_forged')}" for name in ("oF1", *overlaps))
    flagged, missed = (_number(found, name) for name in ("false_alarm_rate", "missed_rate"))
    return [
        everywhere,
        f"on forged images alone: {forged}",
        f"authentic images flagged {flagged}   forged images passed over {missed}",
    ]


def budget(found: dict[str, Any]) -> list[str]:
    """Where 1 - oF1 went: a table whose lines add up to it."""
    if not found["images"]:
        return []
    lost = 1 - found["of1_mean"]
    table = [f"error budget: 1 - oF1 = {lost:.4f}, lost to"]
    for name, title in BUDGET.items():
        share = found["error_budget"][name]
        table.append(f"  {title:<40}{share:.4f}{f'  {share / lost:6.1%}' if lost > 1e-12 else ''}")
    return table


def _number(found: dict[str, Any], name: str) -> str:
    return "n/a" if found[name] is None else f"{found[name]:.4f}"


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
    return compared(found["of1_mean"] - best, name)


def compared(gap: float, baseline: str) -> str:
    """How far a number is from that of a trivial answer, in words.

    >>> compared(-0.25, "every image forged")
    '0.2500 BELOW calling every image forged'
    """
    if abs(gap) < 1e-9:
        return f"no better and no worse than calling {baseline}"
    return f"{abs(gap):.4f} {'above' if gap > 0 else 'BELOW'} calling {baseline}"


def to_csv(rows: Sequence[ImageRow]) -> str:
    """One line per image, with a header."""
    return tables.text(ImageRow.__dataclass_fields__, (asdict(row).values() for row in rows))


def to_json(found: dict[str, Any], rows: Sequence[ImageRow]) -> str:
    """The keys of `found` at the top level, then `rows`; NaN becomes null."""
    return json.dumps(_plain({**found, "rows": [asdict(row) for row in rows]}), indent=1, allow_nan=False)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        value = asdict(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
