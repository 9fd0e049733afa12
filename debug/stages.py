"""After each stage of a run: what overfit, what moved, and does each head do what the stage is for?

python3 -m debug.stages --weights runs/NAME
python3 -m debug.stages --weights runs/NAME --count 40
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from debug.case import Case
from debug.measures import aims, heads
from debug.measures.aims import AIMS
from debug.measures.course import Course, course
from debug.measures.heads import Heads
from debug.measures.parts import changed, frozen_tensors, grouped, parts_of, relative_change
from debug.measures.stages import After, Moved, StagesReport
from debug.pictures.stages import figures
from debug.probe import Probe, run
from forgery_rcnn.config import InferenceConfig, RunConfig, Stage, from_dict
from forgery_rcnn.data import splits
from forgery_rcnn.data.records import Record
from forgery_rcnn.engine import checkpoints
from forgery_rcnn.engine.state import RunState
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights


def measure(case: Case, kept: list[Any]) -> StagesReport:
    """Every stage of the case's run -> StagesReport. Raises InputError without a run, its images, or any best weights."""
    if case.run is None:
        raise InputError(
            f"{case.path}: not in the folder of a run; pass --weights RUN, the folder with log.jsonl and checkpoints/"
        )
    if case.split is None:
        raise InputError(
            f"{case.run}: these are not the images of its training, or they have changed since; pass their root as --images"
        )
    reached, missing, start = [], [], None
    for index, stage in enumerate(case.config.stages):
        path = checkpoints.best_path(case.run / "checkpoints", index, stage.name)
        if not path.is_file():
            missing.append(stage.name)
            continue
        case.screen.say(f"stage {stage.name}: its best weights")
        before, why = (
            _initial(case.config) if index == 0 else (start, "" if start else "the stage before left no weights")
        )
        reached.append(_after(case, stage, path, before, why))
        start = weights.read(path)[0]
    if not reached:
        raise InputError(
            f"{case.run}/checkpoints: no best-*.safetensors; of an experiment pass RUN/arms/NAME or RUN/winner"
        )
    return StagesReport(reached, missing, case.log)


def _initial(config: RunConfig) -> tuple[Mapping[str, Tensor] | None, str]:
    """The weights that a run of this configuration begins with, drawn again from its seed, or None and why not."""
    try:
        with torch.random.fork_rng(devices=[]):
            return RunState(replace(config, ema_decay=0.0), torch.device("cpu")).model.state_dict(), ""
    except InputError as error:
        return None, f"its start cannot be had: {error}"


def _after(case: Case, stage: Stage, path: Path, start: Mapping[str, Tensor] | None, why: str) -> After:
    restored = weights.load(str(path), case.config.model)
    moved = _moved(restored, stage, start, why)
    went = course([line for line in case.log if line["stage"] == stage.name], restored.meta.get("epoch", 0))
    inference = from_dict(InferenceConfig, restored.meta.get("thresholds", {}))
    mine = replace(case, model=restored.model.to(case.model.device), inference=inference)
    # The images that open_case chooses for the stage, so that a number here is the number of the other probes.
    own, unseen, train = case.split.named(stage.subset), case.split.validation, None
    if stage.subset == "full" and unseen:
        scored = _heads(mine, splits.balanced(unseen, case.job.count))
        train = _heads(mine, splits.balanced(own, -(-case.job.count // 2)))
    else:
        scored = _heads(mine, splits.balanced(own, case.job.count))
    marked = aims.marks(stage, scored)
    return After(stage, went, moved, scored, train, marked, aims.diagnosis(stage, marked, scored, train, went))


def _heads(case: Case, items: Sequence[Record]) -> Heads:
    return heads.together([heads.heads_of(specimen) for specimen in replace(case, items=list(items)).specimens()])


def _moved(restored: weights.Restored, stage: Stage, start: Mapping[str, Tensor] | None, why: str) -> Moved:
    model = restored.model
    still = frozen_tensors(model, (*stage.trainable, *stage.alternate_with), stage.frozen)
    if start is None:
        return Moved({}, why, len(still), [])
    best = model.state_dict()
    parts = grouped(parts_of(name for name, _ in model.named_parameters()))
    moves = {part: relative_change(start, best, names) for part, names in parts.items()}
    return Moved(moves, "", len(still), changed(start, best, still))


# ---- printed ----------------------------------------------------------------------------------------------------


def lines(found: StagesReport) -> list[str]:
    """Per stage: its course, its heads against their aims, what moved, the diagnosis; then the verdict."""
    out = []
    for after in found.stages:
        out += [f"stage {after.stage.name} ({after.stage.subset}), {_images(after)}", *_course(after.course)]
        for name, mark in after.marks.items():
            on_training = f"   training {_number(getattr(after.train, name).value)}" if after.train else ""
            sign = ">" if name == "of1" and after.stage.subset == "full" else ">="
            value = f"{mark.found} ({aims.sampled(name, mark)})" if mark.judged != "n/a" else "n/a"
            out.append(
                f"  {mark.judged:<9}{AIMS[name].head}: {AIMS[name].said} {value}, aim {sign} {mark.aim:.3f}{on_training}"
            )
        out += [*_movement(after.moved), f"  diagnosis: {after.diagnosis}"]
    out += [f"stage {name}: no best weights yet" for name in found.missing]
    return [*out, f"verdict: {verdict(found)}"]


def _number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.3f}"


def _images(after: After) -> str:
    of = f"{after.scored.images} image{'s' * (after.scored.images != 1)}, {after.scored.forged} forged"
    train = f"; training: {after.train.images}, {after.train.forged} forged" if after.train else ""
    return f"{'validation: ' if after.train else ''}{of}{train}"


def _course(went: Course | None) -> list[str]:
    if went is None:
        return ["  no line of it in log.jsonl"]
    out = [
        f"  {went.epochs} epochs; oF1 best {_number(went.best)} (epoch {went.best_epoch or 'n/a'}), last {_number(went.last)}"
    ]
    out[0] += f", all authentic {_number(went.baseline)}"
    losses = ", ".join(
        f"{name.removeprefix('loss_')} {first:.3f} -> {last:.3f} (lowest {least:.3f})"
        for name, (first, last, least) in went.losses.items()
    )
    return [*out, f"  {losses}"]


def _movement(moved: Moved) -> list[str]:
    if moved.why:
        return [f"  moved: n/a, {moved.why}"]
    changes = ", ".join(f"{part} {_number(change)}" for part, change in moved.parts.items())
    held = f"  frozen: {moved.frozen} tensors, {len(moved.drifted)} of them changed"
    return [f"  moved, |best - start| / |start|: {changes}", held]


def verdict(found: StagesReport) -> str:
    """One line: a frozen part that moved, else the first stage and head that fails, else that none does."""
    for after in found.stages:
        if drifted := after.moved.drifted:
            return (
                f"stage {after.stage.name} moved {len(drifted)} of {after.moved.frozen} tensors that it freezes, e.g. {drifted[0]}: "
                "python3 -m debug.gradients shows whether this engine does so"
            )
    failed = [aims.failing(after.marks) is not None for after in found.stages]
    if any(failed):
        first = failed.index(True)
        before = ", ".join(_reached(after) for after in found.stages[:first])
        return found.stages[first].diagnosis + (f"; before it {before}" if before else "")
    rest = f"; no weights yet of {', '.join(found.missing)}" if found.missing else ""
    doubts = [f"{a.stage.name} {aims.phrases(names, a.marks)}" for a in found.stages if (names := aims.unsure(a.marks))]
    all_ = "no stage clearly misses its aim" if doubts else "every stage meets its aim"
    doubt = f"; not sure: {', '.join(doubts)}" if doubts else ""
    return f"{all_}: {', '.join(_reached(after) for after in found.stages)}{doubt}{rest}"


def _reached(after: After) -> str:
    return f"{after.stage.name} oF1 {after.scored.of1.value:.2f} (aim {after.marks['of1'].aim:.2f})"


PROBE = Probe("stages", "After each stage: what overfit, what moved, which head fails?", measure, lines, figures)

if __name__ == "__main__":
    sys.exit(run(PROBE, __doc__))
