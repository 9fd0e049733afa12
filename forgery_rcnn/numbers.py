"""More than one number: every score with a 95 % interval, beside the trivial baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from forgery_rcnn import decision, ranking, rle
from forgery_rcnn.average_precision import MOST_PIXELS, CocoImage, Table, all_pixels, average_precision, coco_image
from forgery_rcnn.bootstrap import Interval, Resampling, percentiles, wilson
from forgery_rcnn.decision import Answers, Decision
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.report import ImageRow, compared, image_row, said_of_all

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
    "image_ap": "average precision (image score)",
    "equal_error_rate": "equal error rate (image score)",
    "f1": "F1 of the calls",
    "accuracy": "accuracy of the calls",
    "balanced_accuracy": "balanced accuracy of the calls",
    "call_precision": "precision of the calls",
    "call_recall": "recall of the calls",
    "false_alarm_rate": "authentic images flagged",
    "missed_rate": "forged images passed over",
    "false_alarms_at_95_recall": "false alarms at 95 % recall",
    "recall_at_5_false_alarms": "recall at 5 % false alarms",
}
"""One forged-or-authentic decision per image."""


def _image_ap(scores: np.ndarray, forged: np.ndarray) -> float:
    """ranking.average_precision; NaN where nothing is authentic: 1.0 whatever the scores are would say nothing."""
    return math.nan if forged.all() else ranking.average_precision(scores, forged)


IMAGE_CONTRACT = "one decision per image, prob >= threshold as in the file; authentic images in; regions not looked at"
RANKED = {
    "image_auc": ranking.auc,
    "image_ap": _image_ap,
    "equal_error_rate": ranking.equal_error_rate,
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
KINDS: Mapping[str, Literal["segm", "bbox"]] = {"mask": "segm", "box": "bbox"}
Baselines = Mapping[str, Mapping[str, float]]
"""What `trivial` gives."""


@dataclass(frozen=True, eq=False)
class Scored:
    """All that is kept of a set of images.

    tables: mask and box -> COCO matches of the images they were made of, among which these have the indices `index`;
    everything: the same of calling every pixel forged. Both empty where no region is known.
    """

    rows: Sequence[ImageRow]
    tables: Mapping[str, Table] = field(default_factory=dict)
    everything: Mapping[str, Table] = field(default_factory=dict)
    index: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def only(self, chosen: Sequence[int]) -> Scored:
        """The images in these places, in this order."""
        index = self.index[np.asarray(chosen, np.int64)] if self.tables else self.index
        return replace(self, rows=[self.rows[i] for i in chosen], index=index)


def collect(answers: Iterable[tuple[str, Answer, Truth]]) -> Scored:
    """(case id, answer, truth) of every image -> all that is kept of them; heat maps and masks are let go."""
    rows, coco = [], []
    for case, answer, truth in answers:
        rows.append(image_row(case, answer, truth))
        coco.append(_coco(answer, truth))
    if not rows:
        return Scored(())
    tables, everything = (
        {kind: average_precision(images, name) for kind, name in KINDS.items()}
        for images in (coco, [all_pixels(image) for image in coco])
    )
    return Scored(rows, tables, everything, np.arange(len(rows)))


def _coco(answer: Answer, truth: Truth) -> CocoImage:
    mine, size = () if answer.instances is None else answer.instances.runs, truth.size
    if size == ANY_SIZE:  # an authentic image: whatever is predicted is wrong, wherever it lies
        counts = [min(int(runs[:, 1].sum()), MOST_PIXELS) for runs in mine]
        mine, size = tuple(np.array([[0, n]]) if n else rle.EMPTY for n in counts), (MOST_PIXELS, 1)
        return coco_image(Instances(size, mine), Instances(size), answer.scores)
    true, scores = Instances(size) if truth.instances is None else truth.instances, answer.scores
    if scores is None and not math.isnan(answer.image_score):
        scores = np.full(len(mine), answer.image_score)
    return coco_image(Instances(size, mine), true, scores, answer.boxes)


def intervals(scored: Scored, how: Resampling) -> dict[str, Interval]:
    """Every number of PIXELS (all images, and `_forged`: forged ones alone), IMAGES, and AP of masks and boxes."""
    forged = [row for row in scored.rows if row.label == "forged"]
    out = {}
    for suffix, rows in (("", scored.rows), ("_forged", forged)):
        for name in PIXELS:
            out[name + suffix] = how.mean(np.array([getattr(row, name) for row in rows], np.float64))
    out |= _decided(scored.rows, how) | _ranked(scored.rows, how)
    for kind, table in scored.tables.items():
        out |= _ap(kind, table, scored.index, how)
    return out


def _decided(rows: Sequence[ImageRow], how: Resampling) -> dict[str, Interval]:
    """Of the calls. To draw images is to draw from the four cells of the confusion matrix, so that is done at once.

    The two rates get Wilson's interval: none of 8 flagged has a bootstrap interval of no width.
    """
    called, positive = (
        np.array([getattr(row, name) == "forged" for row in rows], bool) for name in ("answer", "label")
    )
    tp, fp, fn, tn = ranking.confusion(called, positive)
    counts = np.array((tp, fp, fn, tn))
    drawn = how.rng().multinomial(len(rows), counts / max(len(rows), 1), how.count)
    rates, resampled = ranking.call_rates(counts), ranking.call_rates(drawn)
    out = {name: percentiles(float(rate), resampled[name], len(rows)) for name, rate in rates.items()}
    return out | {"false_alarm_rate": wilson(fp, fp + tn), "missed_rate": wilson(fn, fn + tp)}


def _ranked(rows: Sequence[ImageRow], how: Resampling) -> dict[str, Interval]:
    """Of the image scores, where every image has one."""
    scores = np.array([row.image_score for row in rows], np.float64)
    positive = np.array([row.label == "forged" for row in rows], bool)
    known = not np.isnan(scores).any()
    return {
        name: how.of(lambda i, measure=measure: measure(scores[i], positive[i]) if known else math.nan, len(rows))
        for name, measure in RANKED.items()
    }


def _ap(kind: str, table: Table, index: np.ndarray, how: Resampling) -> dict[str, Interval]:
    """One resample serves the three numbers of the masks, or of the boxes."""
    rng = how.rng()
    drawn = np.array([table.resampled(rng.choice(index, len(index))) for _ in range(how.count)]).reshape(-1, 3)
    found = zip(_ap_names(kind), _ap_of(table, index), drawn.T, strict=True)
    return {name: percentiles(value, column, len(index)) for name, value, column in found}


def _ap_names(kind: str) -> list[str]:
    return [f"{kind}_ap", f"{kind}_ap50", f"{kind}_ap75"]


def _ap_of(table: Table, index: np.ndarray) -> tuple[float, float, float]:
    """faster-coco-eval's own numbers, except of a part of the images, or where equal scores would make the order matter."""
    if len(set(index.tolist())) < len(table.true_counts) or table.tied():
        return table.resampled(index)
    return table.ap, table.ap50, table.ap75


def trivial(scored: Scored) -> dict[str, dict[str, float]]:
    """-> what every image is said to be (authentic, forged) -> the numbers of that answer; NaN where there is none.

    Every image has the same score then: any threshold flags all images or none.
    """
    rows, out = scored.rows, {}
    both = len({row.label for row in rows}) == 2
    share = sum(row.label == "forged" for row in rows) / max(len(rows), 1)
    same_score = {
        "image_auc": 0.5,
        "image_ap": share,
        "equal_error_rate": 0.5,
        "false_alarms_at_95_recall": 1.0,
        "recall_at_5_false_alarms": 0.0,
    }
    for answer in ("authentic", "forged"):
        alike = said_of_all(rows, answer)
        numbers = {
            name: float(np.mean([getattr(row, name) for row in alike])) if alike else math.nan for name in PIXELS
        }
        numbers |= {name: value if both else math.nan for name, value in same_score.items()}
        numbers |= {name: value.value for name, value in _decided(alike, Resampling(0)).items()}
        for kind, table in scored.everything.items():
            found = table.resampled(scored.index)
            found = found if answer == "forged" else tuple(0.0 * value for value in found)
            numbers |= dict(zip(_ap_names(kind), found, strict=True))
        out[answer] = numbers
    return out


def decided(rows: Sequence[ImageRow], rule: Decision | None) -> dict[str, Answers]:
    """-> {"decision": how often each answer by the image score was right}; {} without a rule."""
    if rule is None:
        return {}
    scores, forged = (
        np.array([row.image_score for row in rows]),
        np.array([row.label == "forged" for row in rows], bool),
    )
    return {"decision": decision.of_scores(rule, scores, forged)}


def decision_lines(rows: Sequence[ImageRow], rule: Decision | None) -> list[str]:
    """The same as a table; [] without a rule."""
    return [] if rule is None else decision.lines(rule, decided(rows, rule)["decision"], decision.meant(rule))


def lines(found: Mapping[str, Interval], baselines: Baselines, tied: Literal["tied", "ranked"]) -> list[str]:
    """`intervals` beside `trivial` -> a table; what is not known is left out. `tied`: instances have equal scores."""
    table = [f"{'':<92}everything called"]
    table.append(f"{'pixels, mean over images':<36}{'all images':<26}{'forged images':<26} authentic    forged")
    for name, title in _known(PIXELS, found):
        table.append(f"  {title:<34}{found[name]!s:<26}{found[name + '_forged']!s:<26}{_beside(baselines, name)}")
    table.append("images, forged or authentic")
    table += [f"  {title:<34}{found[name]!s:<52}{_beside(baselines, name)}" for name, title in _known(IMAGES, found)]
    known = _known(AP, found)
    if known:
        table.append(f"instances, COCO AP{' (equal scores are one operating point)' if tied == 'tied' else ''}")
        table += [f"  {title:<34}{found[name]!s:<52}{_beside(baselines, name)}" for name, title in known]
    return table


def _known(names: Mapping[str, str], found: Mapping[str, Interval]) -> list[tuple[str, str]]:
    return [(name, title) for name, title in names.items() if name in found and not math.isnan(found[name].value)]


def _beside(baselines: Baselines, name: str) -> str:
    """Two cells: what calling everything authentic, and everything forged, gives."""
    values = (baselines[answer][name] for answer in ("authentic", "forged"))
    return "".join("       n/a" if math.isnan(value) else f"{value:>10.4f}" for value in values)


def image_lines(rows: Sequence[ImageRow], found: Mapping[str, Interval], baselines: Baselines) -> list[str]:
    """The report on answers that only say whether an image is forged, ending with a verdict beside the trivial baseline."""
    forged = sum(row.label == "forged" for row in rows)
    table = [f"images {len(rows)} (forged {forged}, authentic {len(rows) - forged})"]
    table.append(f"{'':<60} everything called authentic    forged")
    table += [f"  {title:<34}{found[name]!s:<43}{_beside(baselines, name)}" for name, title in _known(IMAGES, found)]
    table.append(f"contract: {IMAGE_CONTRACT}")
    gap = found["f1"].value - baselines["forged"]["f1"]
    if math.isnan(gap):
        return [*table, "verdict: no image is forged, and none was called so: there is no F1"]
    said = compared(gap, "every image forged")
    return [*table, f"verdict: {said if abs(gap) < 1e-9 else f'F1 is {said}'}"]
