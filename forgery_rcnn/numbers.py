"""More than one number: every score with a 95 % interval, on all images and on each stratum, beside the trivial baselines."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forgery_rcnn import ranking
from forgery_rcnn.average_precision import CocoImage, average_precision, coco_image
from forgery_rcnn.bootstrap import Interval, Resampling, bounds
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.report import ImageRow, image_row, said_of_all

PIXELS = {
    "of1": "oF1",
    "dice": "Dice (pixel F1)",
    "iou": "IoU",
    "recall": "recall",
    "precision": "precision",
    "mcc": "MCC",
    "pixel_auc": "AUC of the heat map",
}
"""Means over images of a row's score."""
IMAGES = {
    "image_auc": "AUC of the image score",
    "f1": "F1 of the calls",
    "balanced_accuracy": "balanced accuracy of the calls",
    "false_alarm_rate": "authentic images flagged",
    "missed_rate": "forged images passed over",
    "false_alarms_at_95_recall": "false alarms at 95 % recall",
    "recall_at_5_false_alarms": "recall at 5 % false alarms",
}
"""One forged-or-authentic decision per image."""
IMAGE_CONTRACT = "one decision per image, prob >= threshold as in the file; authentic images in; regions not looked at"
RANKED = {
    "image_auc": ranking.auc,
    "false_alarms_at_95_recall": ranking.false_alarm_rate_at,
    "recall_at_5_false_alarms": ranking.recall_at,
}
AP = {
    "mask_ap": "mask AP 0.50:0.95",
    "mask_ap50": "mask AP 0.50",
    "mask_ap75": "mask AP 0.75",
    "box_ap": "box AP 0.50:0.95",
    "box_ap50": "box AP 0.50",
    "box_ap75": "box AP 0.75",
}


@dataclass(frozen=True)
class Scored:
    """All that was found out of a set of images; `coco` is empty, or has one entry per row."""

    rows: Sequence[ImageRow]
    coco: Sequence[CocoImage] = ()

    def only(self, index: Sequence[int]) -> Scored:
        """The images with these indices."""
        return Scored([self.rows[i] for i in index], [self.coco[i] for i in index] if self.coco else ())


def collect(answers: Iterable[tuple[str, Answer, Truth]]) -> Scored:
    """(case id, answer, truth) of every image -> all that is kept of them; heat maps and masks are let go."""
    rows, coco = [], []
    for case, answer, truth in answers:
        rows.append(image_row(case, answer, truth))
        coco.append(_coco(answer, truth))
    return Scored(rows, coco)


def _coco(answer: Answer, truth: Truth) -> CocoImage:
    mine, size = () if answer.instances is None else answer.instances.runs, truth.size
    if size == ANY_SIZE:  # an authentic image: whatever is predicted is wrong, wherever it lies
        size = (max([1, *(int(runs[-1].sum()) for runs in mine if len(runs))]), 1)
        return coco_image(Instances(size, mine), Instances(size), answer.scores)
    true = Instances(size) if truth.instances is None else truth.instances
    return coco_image(Instances(size, mine), true, answer.scores, answer.boxes)


def intervals(scored: Scored, how: Resampling) -> dict[str, Interval]:
    """Every number of PIXELS (all images, and `_forged`: forged ones alone), IMAGES, and AP of masks and boxes."""
    forged = [row for row in scored.rows if row.label == "forged"]
    out = {}
    for suffix, rows in (("", scored.rows), ("_forged", forged)):
        for name in PIXELS:
            out[name + suffix] = how.mean(np.array([getattr(row, name) for row in rows], np.float64))
    out |= _decided(scored.rows, how) | _ranked(scored.rows, how)
    for kind in ("mask", "box") if scored.coco else ():
        out |= _ap(scored.coco, kind, how)
    return out


def _decided(rows: Sequence[ImageRow], how: Resampling) -> dict[str, Interval]:
    """Of the calls. To draw images is to draw from the four cells of the confusion matrix, so that is done at once."""
    called, positive = (
        np.array([getattr(row, name) == "forged" for row in rows], bool) for name in ("answer", "label")
    )
    counts = np.array(ranking.confusion(called, positive))
    drawn = how.rng().multinomial(len(rows), counts / max(len(rows), 1), how.count)
    return _bounded(ranking.call_rates(counts), ranking.call_rates(drawn), len(rows))


def _ranked(rows: Sequence[ImageRow], how: Resampling) -> dict[str, Interval]:
    """Of the image scores, where every image has one."""
    scores = np.array([row.image_score for row in rows], np.float64)
    positive = np.array([row.label == "forged" for row in rows], bool)
    known = not np.isnan(scores).any()
    return {
        name: how.of(lambda i, measure=measure: measure(scores[i], positive[i]) if known else math.nan, len(rows))
        for name, measure in RANKED.items()
    }


def _ap(coco: Sequence[CocoImage], kind: str, how: Resampling) -> dict[str, Interval]:
    """One resample serves the three numbers of the masks, or of the boxes."""
    table, rng = average_precision(coco, "segm" if kind == "mask" else "bbox"), how.rng()
    drawn = np.array([table.resampled(rng.integers(0, len(coco), len(coco))) for _ in range(how.count)]).reshape(-1, 3)
    names = [f"{kind}_ap", f"{kind}_ap50", f"{kind}_ap75"]
    values = dict(zip(names, (table.ap, table.ap50, table.ap75), strict=True))
    return _bounded(values, dict(zip(names, drawn.T, strict=True)), len(coco))


def _bounded(values: Mapping[str, float], drawn: Mapping[str, np.ndarray], count: int) -> dict[str, Interval]:
    few = count < 2
    return {
        name: Interval(float(value), *((math.nan, math.nan) if few else bounds(drawn[name])), count)
        for name, value in values.items()
    }


def strata(rows: Sequence[ImageRow]) -> dict[str, dict[str, list[int]]]:
    """-> what is told apart -> stratum -> indices of its images; strata without an image are left out."""
    told: Mapping[str, Callable[[ImageRow], str]] = {
        "forged area": _area,
        "true instances": lambda row: "3 or more" if row.true_instances > 2 else str(row.true_instances),
        "longer side": _side,
        "kind": lambda row: row.kind or ("authentic" if row.label == "authentic" else "unknown"),
    }
    out: dict[str, dict[str, list[int]]] = {}
    for title, name_of in told.items():
        groups: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(name_of(row), []).append(index)
        out[title] = dict(sorted(groups.items(), key=lambda group: _first_number(group[0])))
    if not any(row.kind for row in rows):
        del out["kind"]
    return out


def _area(row: ImageRow) -> str:
    """The forged share of the image; the borders are near the quartiles of the competition's training set."""
    if row.label == "authentic":
        return "authentic"
    share = 100 * row.true_pixels / (row.height * row.width)
    return next(
        (f"{low} to {high} %" for low, high in ((0, 0.5), (0.5, 2), (2, 7), (7, 15)) if share < high), "15 % and more"
    )


def _side(row: ImageRow) -> str:
    side = max(row.height, row.width)
    if not side:
        return "unknown"
    borders = ((0, 256), (256, 512), (512, 1024), (1024, 2048))
    return next((f"{low} to {high - 1} px" for low, high in borders if side < high), "2048 px and more")


def _first_number(name: str) -> tuple[float, str]:
    """Sorts `2 to 7 %` before `15 % and more`, and words before both."""
    head = re.match(r"\d+(\.\d+)?(?= |$)", name, re.ASCII)
    return (float(head[0]) if head else -1.0), name


def trivial(rows: Sequence[ImageRow]) -> dict[str, dict[str, float]]:
    """-> what every image is said to be (authentic, forged) -> the numbers of that answer; NaN where there is none."""
    out: dict[str, dict[str, float]] = {}
    for answer in ("authentic", "forged"):
        alike = said_of_all(rows, answer)
        numbers = {
            name: float(np.mean([getattr(row, name) for row in alike])) if alike else math.nan for name in PIXELS
        }
        both = len({row.label for row in rows}) == 2
        numbers |= {"pixel_auc": 0.5, **dict.fromkeys(RANKED, math.nan), "image_auc": 0.5 if both else math.nan}
        numbers |= {name: value.value for name, value in _decided(alike, Resampling(0)).items()}
        out[answer] = numbers
    return out


def lines(found: Mapping[str, Interval], scored: Scored) -> list[str]:
    """`intervals` -> a table beside the trivial baselines; what is not known is left out."""
    said = trivial(scored.rows)

    def baselines(name: str) -> str:
        return "".join("       n/a" if math.isnan(said[a][name]) else f"{said[a][name]:>10.4f}" for a in said)

    table = [
        f"{'':<92}everything called",
        f"{'pixels, mean over images':<36}{'all images':<26}{'forged images':<26} authentic    forged",
    ]
    for name, title in _known(PIXELS, found):
        table.append(f"  {title:<34}{found[name]!s:<26}{found[name + '_forged']!s:<26}{baselines(name)}")
    table.append("images, forged or authentic")
    table += [f"  {title:<34}{found[name]!s:<52}{baselines(name)}" for name, title in _known(IMAGES, found)]
    if scored.coco:
        scores = np.concatenate([image.scores for image in scored.coco])
        alike = len(scores) > 1 and (scores == scores[0]).all()
        table.append(f"instances, COCO AP{' (no instance is ranked above another)' if alike else ''}")
        table += [f"  {title:<34}{found[name]}" for name, title in AP.items()]
    return table


def _known(names: Mapping[str, str], found: Mapping[str, Interval]) -> list[tuple[str, str]]:
    return [(name, title) for name, title in names.items() if not math.isnan(found[name].value)]


def image_lines(found: Mapping[str, Interval], rows: Sequence[ImageRow]) -> list[str]:
    """The report on answers that only say whether an image is forged, ending with a verdict beside the trivial baseline."""
    forged = sum(row.label == "forged" for row in rows)
    alike = trivial(rows)["forged"]["f1"]
    table = [f"images {len(rows)} (forged {forged}, authentic {len(rows) - forged})"]
    table += [f"  {title:<34}{found[name]}" for name, title in _known(IMAGES, found)]
    table.append(f"  baseline: every image called forged: F1 {alike:.4f}")
    table.append(f"contract: {IMAGE_CONTRACT}")
    gap = found["f1"].value - alike
    if math.isnan(gap):
        return [*table, "verdict: no image is forged, and none was called so: there is no F1"]
    if abs(gap) < 1e-9:
        return [*table, "verdict: no better and no worse than calling every image forged"]
    return [*table, f"verdict: F1 is {abs(gap):.4f} {'above' if gap > 0 else 'BELOW'} calling every image forged"]


def stratum_lines(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """What `by_stratum` gives -> one table per kind of stratum, each line beside its trivial baselines."""
    table = []
    for title, groups in found.items():
        table.append(f"by {title:<17} images  oF1 [95 % interval]        all authentic  all forged    Dice     IoU")
        for name, numbers in groups.items():
            score = numbers["numbers"]
            table.append(
                f"  {name:<18}{numbers['images']:>7}  {score['of1']!s:<26}{numbers['baseline_all_authentic']:>14.4f}"
                f"{numbers['baseline_all_forged']:>12.4f}{score['dice'].value:>8.4f}{score['iou'].value:>8.4f}"
            )
    return table


def by_stratum(scored: Scored, how: Resampling) -> dict[str, dict[str, dict[str, Any]]]:
    """-> what is told apart -> stratum -> its images, trivial baselines and all its numbers with intervals."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for title, groups in strata(scored.rows).items():
        for name, index in groups.items():
            part = scored.only(index)
            out.setdefault(title, {})[name] = {
                "images": len(index),
                "baseline_all_authentic": float(np.mean([row.label == "authentic" for row in part.rows])),
                "baseline_all_forged": float(np.mean([row.all_forged for row in part.rows])),
                "numbers": intervals(part, how),
            }
    return out
