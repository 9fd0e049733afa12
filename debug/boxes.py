"""Does the box regressor move proposals to the true boxes? Now, after each stage, and over the epochs of training.

python3 -m debug.boxes --weights runs/NAME
python3 -m debug.boxes --weights runs/NAME --images ROOT --split validation --count 50
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torchvision.ops import box_iou

from debug.case import Case, Specimen
from debug.measures import trace
from debug.measures.proposals import nearest, number, sides
from debug.measures.regressor import Boxes, Moved, Stage, errors, stage, summarised, verdict
from debug.pictures import boxes as pictures
from debug.probe import Probe, Shown, run
from forgery_rcnn.data import images as reader
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights
from forgery_rcnn.models.anatomy import MATCH
from forgery_rcnn.models.mask_rcnn import MaskRCNN


def look(specimen: Specimen) -> Moved:
    """One image's forged proposals before and after regression, and the best proposal of each region."""
    found, true = specimen.anatomy.proposals, specimen.truth.fitted
    ious, which = nearest(found.boxes, true)
    chosen = np.flatnonzero(ious >= MATCH).tolist()
    target = true[which[chosen].tolist()]
    boxes, refined = found.boxes[chosen], found.refined[chosen]
    ideal = specimen.model.roi_heads.box_coder.encode_single(target, boxes)
    after = box_iou(refined, target).diagonal() if chosen else refined.new_zeros(0)
    best_before, best_after = _best_of_each(found.boxes, found.refined, true)
    return Moved(
        specimen.record.key,
        ious[chosen],
        _numpy(after),
        *(errors(_numpy(b), _numpy(target)) for b in (boxes, refined)),
        _numpy(found.deltas[chosen]),
        _numpy(ideal),
        sides(target),
        sides(true),
        best_before,
        best_after,
    )


def _best_of_each(boxes: torch.Tensor, refined: torch.Tensor, true: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(P, 4), the same refined, (G, 4) -> (G,) IoU of each region's best proposal, (G,) of the same one refined."""
    if not len(true) or not len(boxes):
        return np.zeros(len(true)), np.zeros(len(true))
    before, best = box_iou(boxes, true).max(dim=0)
    return _numpy(before), _numpy(box_iou(refined[best], true).diagonal())


def _numpy(values: torch.Tensor) -> np.ndarray:
    return values.double().cpu().numpy()


def measure(case: Case, kept: list[Moved]) -> Boxes:
    """-> Boxes over all images; of a run also by stage and, where it watched an image, by epoch."""
    moments = [] if case.run is None else trace.read(case.run / trace.NAME)
    return summarised(kept, _by_stage(case, {m.key for m in kept}), moments, _pictures(case, moments))


def _by_stage(case: Case, keys: set[str]) -> list[Stage]:
    """The same look at the same images with the best weights of each stage of the run, if it has several."""
    paths = [] if case.run is None else sorted((case.run / "checkpoints").glob("best-*-*.safetensors"), key=_order)
    out = []
    for path in paths if len(paths) > 1 else []:
        try:
            model = weights.load(str(path), case.model.config).model
        except InputError as error:
            case.screen.say(f"note: {error} (left out)")
            continue
        if isinstance(model, MaskRCNN):
            items = [record for record in case.items if record.key in keys]
            then = replace(case, model=model.to(case.model.device), path=path, items=items, problems=[])
            out.append(stage(path.stem.split("-", 2)[2], [look(specimen) for specimen in then.specimens()]))
    return out


def _order(path: Path) -> int:
    """best-2-few.safetensors -> 2."""
    number_of = path.stem.split("-", 2)[1]
    return int(number_of) if number_of.isdigit() else 0


def _pictures(case: Case, moments: Sequence[trace.Moment]) -> Mapping[tuple[str, tuple[int, int]], np.ndarray]:
    """(record key, size) -> the watched image at that size; those whose images are not at hand are left out."""
    known = {} if case.split is None else {record.key: record for record in case.split.named("all")}
    out = {}
    for key, size in dict.fromkeys((moment.case, moment.size) for moment in moments):
        if key not in known:
            case.screen.say(f"note: the watched image {key} is not at hand: its boxes are drawn without it")
            continue
        try:
            out[key, size] = reader.resized(case.opened(known[key]).pixels, size)
        except InputError as error:
            case.screen.say(f"note: {error} (drawn without it)")
    return out


def lines(found: Boxes) -> list[str]:
    """IoU before and after, errors along the four axes, by size, by stage, by epoch, the verdict."""
    out = [
        f"{found.images} images, {found.regions} regions, {found.proposals} forged proposals (IoU >= {MATCH:g}); mean IoU",
        f"  of these proposals      {found.before}",
        f"  refined                 {found.after}",
        f"  gain                    {found.gain}; better: {number(100 * found.improved, 0)} %",
        f"  best proposal of each region {number(found.best_before)} -> {number(found.best_after)}",
        "errors, box minus truth: median before (quartiles apart), after, share of the needed move that is made",
    ]
    for name, axis in found.axes.items():
        out.append(
            f"  {name}  {number(axis.before):>6} ({number(axis.before_spread)})  {axis.after} "
            f"({number(axis.after_spread)})  {number(axis.step, 2)}"
        )
    if found.sizes:
        out.append("regions by side at the model's input: number, forged proposals, mean IoU before -> after")
    for size in found.sizes:
        ious = f"{number(size.before)} -> {number(size.after)}"
        out.append(f"  {size.name:<16} {size.regions:>4} {size.proposals:>5}  {ious}")
    return [*out, *_stage_lines(found), *_epoch_lines(found), f"verdict: {verdict(found)}"]


def _stage_lines(found: Boxes) -> list[str]:
    if not found.stages:
        return ["by stage: n/a, the weights are of no run with the best weights of several stages"]
    out = ["best weights of each stage, the same images: forged proposals, mean IoU before -> after, share better"]
    for row in found.stages:
        ious = f"{number(row.before)} -> {number(row.after)}"
        out.append(f"  {row.name:<16} {row.proposals:>5}  {ious}  {number(100 * row.improved, 0)} %")
    return out


def _epoch_lines(found: Boxes) -> list[str]:
    """First, best and last epoch of each watched image: stages may have their own."""
    if not found.epochs:
        return [f"by epoch: n/a, there is no {trace.NAME} beside the weights"]
    out = []
    for case in dict.fromkeys(moment.case for moment in found.epochs):
        own = [moment for moment in found.epochs if moment.case == case]
        best = max(own, key=lambda m: np.nan_to_num(m.mean("refined_iou")))
        out.append(f"{len(own)} epochs of {case}: mean IoU of the nearest proposals before -> after, score")
        for name, m in (("first", own[0]), ("best", best), ("last", own[-1])):
            ious = f"{number(m.mean('proposal_iou'))} -> {number(m.mean('refined_iou'))}"
            out.append(f"  {name:<5} {m.stage}, epoch {m.epoch}: {ious}, {number(m.mean('score'))}")
    return out


def figures(found: Boxes) -> dict[str, Shown]:
    """boxes: IoU, errors, deltas, sizes; of a run also stages, and film, filmstrip, epochs of its watched image."""
    out: dict[str, Shown] = {"boxes": pictures.overview(found)}
    if found.stages:
        out["stages"] = pictures.stages(found)
    if found.epochs:
        out["film"] = trace.film(found.epochs, found.pictures)
        out["filmstrip"] = trace.strip(found.epochs, found.pictures)
        out["epochs"] = trace.curve(found.epochs)
    return out


PROBE = Probe("boxes", "Does the box regressor move proposals to the true boxes?", measure, lines, figures, look)

if __name__ == "__main__":
    sys.exit(run(PROBE, __doc__))
