"""Does the box classifier tell forged proposals from authentic ones, and are its scores probabilities?

python3 -m debug.scores --weights runs/NAME
python3 -m debug.scores --weights runs/NAME --images ROOT --split validation --count 50
python3 -m debug.scores --weights runs/NAME --split validation --save runs/NAME/calibrated.safetensors
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from debug.case import Case, Job, Specimen
from debug.measures.classifier import FAR, Ranked, Region, Scores, Seen, summarised, thresholds, verdict
from debug.measures.proposals import highest, nearest, number, sides
from debug.pictures import scores as pictures
from debug.probe import Probe, run
from forgery_rcnn import calibration
from forgery_rcnn.calibration import scores_of
from forgery_rcnn.config import to_dict
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights
from forgery_rcnn.models.anatomy import MATCH, box_branch

TOP = 10  # proposals of each image in the table
SHOWN = 3  # images whose table is printed
SCORE_THRESHOLDS = ("score_threshold", "image_threshold")  # an image's score is that of its best detection


@dataclass(frozen=True)
class ScoresJob(Job):
    """What to look at, and where to write."""

    save: Path | None = None
    """Write the weights with the fitted temperature in the classifier's last layer (.safetensors)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.save is not None and self.save.suffix != ".safetensors":
            raise InputError(f"--save {self.save}: name a .safetensors file")


def look(specimen: Specimen) -> Seen:
    """Margins of one image's proposals with their IoU, its regions, its best scored proposals."""
    found, truth = specimen.anatomy.proposals, specimen.truth
    ious, which = nearest(found.boxes, truth.fitted)
    margins = (found.logits[:, 1] - found.logits[:, 0]).double().cpu().numpy()
    scores = scores_of(margins)
    given = box_branch(specimen.model, specimen.anatomy.levels, truth.fitted, specimen.anatomy.fitted)
    regions = []
    for region, (side, score) in enumerate(zip(sides(truth.fitted), given.scores.tolist(), strict=True)):
        own = (ious >= MATCH) & (which == region)
        regions.append(Region(float(side), int(own.sum()), highest(scores[own]), score))
    return Seen(specimen.record.key, specimen.record.label, margins, ious, regions, _top(specimen, scores, ious))


def _top(specimen: Specimen, scores: np.ndarray, ious: np.ndarray) -> list[Ranked]:
    """The TOP best scored proposals of the image."""
    best = np.argsort(-scores, kind="stable")[:TOP]
    refined = specimen.anatomy.proposals.refined[best.tolist()]
    after, _ = nearest(refined, specimen.truth.fitted)
    out = []
    for rank, (index, box, iou) in enumerate(zip(best, refined.tolist(), after, strict=True), 1):
        label = "forged" if ious[index] >= MATCH else "near" if ious[index] >= FAR else "authentic"
        width, height = box[2] - box[0], box[3] - box[1]
        out.append(Ranked(rank, float(scores[index]), float(ious[index]), float(iou), label, width, height))
    return out


def measure(case: Case, kept: list[Seen]) -> Scores:
    """-> Scores over all images; writes the calibrated weights where the job asks for them."""
    found = summarised(
        kept, case.inference.score_threshold, case.model.config.box_score_min, case.inference.image_threshold
    )
    path = case.job.save if isinstance(case.job, ScoresJob) else None
    if path is None:
        return found
    temperature = found.calibration.temperature
    if np.isnan(temperature) or calibration.ran_away(temperature):
        raise InputError(
            f"--save {path}: no temperature to save: these {found.forged} forged proposals of {found.proposals} give "
            f"{number(temperature, 2)}; look at more images, such as --split validation"
        )
    save(case, temperature, [seen.key for seen in kept], path)
    return replace(found, saved=str(path))


def save(case: Case, temperature: float, keys: list[str], path: Path) -> None:
    """Write the weights with the classifier's logits divided by the temperature, and in their JSON what it was fitted on.

    Every stored threshold of a score, the decision and the model's least score move along, so that the same detections
    are made and called. What was measured of heat maps, which do not keep their order, is left out.
    Raises InputError for the file that the weights came from.
    """
    if path.resolve() == case.path.resolve():
        raise InputError(f"--save {path}: that is the file that was loaded; name another")
    meta = weights.read(case.path)[1] if case.path.suffix == ".safetensors" else {"config": to_dict(case.config)}
    tensors = case.model.state_dict()
    for name in ("weight", "bias"):
        key = f"roi_heads.box_predictor.cls_score.{name}"
        tensors[key] = tensors[key] / temperature
    moved = {name: calibration.scaled(getattr(case.inference, name), temperature) for name in SCORE_THRESHOLDS}
    meta["thresholds"] = to_dict(replace(case.inference, **moved))
    if told := meta.get("decision"):
        moved = {name: calibration.scaled(told[name], temperature) for name in ("authentic_below", "forged_from")}
        meta["decision"] = {**told, **moved, "slope": told["slope"] * temperature}
    least = calibration.scaled(case.model.config.box_score_min, temperature)
    model = {**meta["config"]["model"], "box_score_min": least}
    meta["config"] = {**meta["config"], "model": model}
    meta["temperature"] = temperature * meta.get("temperature", 1.0)  # calibrated twice: the two multiply
    meta["calibrated_on"] = {"images": keys, "count": len(keys)}
    meta.pop("measured", None)
    weights.write(path, tensors, meta)


def lines(found: Scores) -> list[str]:
    """Counts, how well scores separate, thresholds, calibration, sizes, the best scored of some images, the verdict."""
    authentic = found.proposals - found.forged - found.near
    out = [
        f"{found.images} images, {found.proposals} proposals: {found.forged} forged (IoU >= {MATCH:g}), "
        f"{found.near} near ({FAR:g} to {MATCH:g}), {authentic} authentic",
        f"  AUC of the scores, forged against all others   {found.auc}",
        f"  AUC, forged against authentic                  {found.auc_far}",
        f"  average precision                              {number(found.average_precision, 4)}",
        f"  best forged score above an image's best authentic, share of pairs of images  {found.order}",
        f"  authentic images with a proposal at or above {thresholds(found)}: "
        f"{found.false_alarms} of {found.authentic_images}",
        f"  F1 over proposals: {number(found.used.f1)} at {found.used.threshold:g} (used), {number(found.best_cut.f1)} at "
        f"{found.best_cut.threshold if found.forged else 'n/a'} (best), {number(found.held_out_f1)} with the best of the other "
        "half of the images",
    ]
    return [*out, *_calibration_lines(found), *_size_lines(found), *_top_lines(found), f"verdict: {verdict(found)}"]


def _calibration_lines(found: Scores) -> list[str]:
    c = found.calibration
    said = (
        f"  of the {c.proposals} proposals above the model's least score {found.score_min:g}, which can become detections:\n"
        f"    calibration error {number(c.error, 4)}, chance alone makes up to {number(c.chance, 4)}"
    )
    if np.isnan(c.temperature):
        return [f"{said}; temperature n/a: it takes forged and authentic proposals among them"]
    edge = " (at the end of what is looked at: it says nothing)" if calibration.ran_away(c.temperature) else ""
    if np.isnan(c.held_out_error):
        honest = "; held out n/a: each half of the images needs forged proposals"
    else:
        honest = f"; held out {c.held_out_error:.4f}, log loss {c.held_out_loss:.4f}"
    out = [
        f"{said}, log loss {c.loss:.4f}",
        f"    with temperature {c.temperature:.3f}{edge} {c.fitted_error:.4f}, {c.fitted_loss:.4f}{honest}",
    ]
    return out + ([f"  temperature saved in {found.saved}"] if found.saved else [])


def _size_lines(found: Scores) -> list[str]:
    out = [
        "regions by side at the model's input: number, with a forged proposal, mean best score, score of the true box"
    ]
    for size in found.sizes:
        out.append(
            f"  {size.name:<16} {size.regions:>4} {size.reached:>4}  {number(size.best):>5}  {number(size.true_box):>5}"
        )
    return out if found.sizes else []


def _top_lines(found: Scores) -> list[str]:
    """The best scored proposals of some images: one authentic, the others forged, those whose order is worst."""
    ordered = sorted(found.best, key=lambda b: np.nan_to_num(b.forged) - np.nan_to_num(b.authentic))
    forged, authentic = ([b for b in ordered if b.label == label] for label in ("forged", "authentic"))
    worst = [*forged[: SHOWN - bool(authentic)], *authentic][:SHOWN]
    out = []
    for image in worst:
        if rows := found.top[image.key]:
            out.append(
                f"best scored proposals of {image.key}: rank, score, IoU, IoU refined, label, width x height (px)"
            )
        for row in rows:
            out.append(
                f"  {row.rank:>2}  {row.score:.4f}  {row.iou:.2f}  {row.refined_iou:.2f}  {row.label:<9} "
                f"{row.width:.0f} x {row.height:.0f}"
            )
    return out


def figures(found: Scores) -> dict[str, Figure]:
    """scores: histograms, best scores of images, calibration, thresholds; sizes: best score of regions by side."""
    return {"scores": pictures.overview(found), "sizes": pictures.sizes(found)}


PROBE = Probe(
    "scores", "Does the classifier tell forged from authentic proposals?", measure, lines, figures, look, ScoresJob
)

if __name__ == "__main__":
    sys.exit(run(PROBE, __doc__))
