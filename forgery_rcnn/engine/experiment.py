"""A whole call of edarnn.py: the data card, then a run, its folds or the arms of an experiment, with every picture saved."""

from __future__ import annotations

import json
import os
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path

from forgery_rcnn import draw
from forgery_rcnn.config import Arm, RunConfig
from forgery_rcnn.data import card, masks, records, splits
from forgery_rcnn.data.collection import Collection
from forgery_rcnn.data.splits import Split
from forgery_rcnn.engine import distributed, runlog
from forgery_rcnn.engine.evaluate import predict_record
from forgery_rcnn.engine.loop import Trainer
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.engine.stopping import Interrupted, StopSignal, listening
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights
from forgery_rcnn.models.mask_rcnn import MaskRCNN

PICTURES = 6


def explore(data: Collection, out: Path, screen: Screen) -> None:
    """Print the data card; save it with its figures under OUT/eda."""
    found = card.measure(data.root, data.records, data.facts, data.split, data.problems, data.fingerprint)
    lines = card.lines(found)
    for line in lines:
        screen.say(line)
    folder = out / "eda"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "card.json").write_text(json.dumps(card.as_json(found), indent=1))
    shown = (data.split.few + [r for r in data.split.full if r.label == "authentic"][:3] + data.split.validation)[:18]
    pictures = [
        (r.key.removeprefix("train/"), loaded.pixels, loaded.masks) for r in shown for loaded in [records.load(r)]
    ]
    draw.save(draw.contact_sheet(pictures, f"{data.root.name}: truth outlined in green"), folder / "images.png")
    figure = draw.data_card(found.sizes, found.forged_area, found.instances_per_image, found.modes)
    draw.save(figure, folder / "distributions.png")
    screen.say(f"data card and figures: {folder}/card.txt, card.json, images.png, distributions.png")


def train(name: str, run: RunConfig, data: Collection, out: Path, screen: Screen, resume: bool) -> int:
    """Train the run, or each of its folds, or the arms of an experiment and then the winner; -> the command's exit status."""
    run = replace(run, model=weights.settled(run.model))
    if run.fold_runs:
        _require_free_split(run, data)
    with distributed.joined(run.device) as world, listening() as stop:
        gone = _unfit(data, run, screen)
        if not run.fold_runs:  # each fold has a split of its own
            data = replace(data, split=_without(data.split, gone))
        trains = _Call(data, world, screen, stop, resume)
        screen.say(
            f"recipe {name} on {world.device}, {world.size} process{'es' * (world.size > 1)}; everything goes to {out}"
        )
        try:
            if run.arms:
                _experiment(run, out, trains)
            elif run.fold_runs:
                _folds(run, out, trains, gone)
            else:
                trains(run, out)
        except Interrupted as interrupted:
            screen.say(str(interrupted))
            return interrupted.status
    return 0


def _unfit(data: Collection, run: RunConfig, screen: Screen) -> set[str]:
    """Keys of forged images none of whose instances is left at the model's size, which would train as authentic, and of those that
    have too many."""
    facts, shown = data.facts, masks.shown_to(run.model, run.data)
    if data.shown != shown:  # checked for another model, or for none
        with screen.bar("checking masks", len(data.records)) as advance:
            facts = records.check(data.records, os.cpu_count() or 1, advance, shown)
    each = list(zip(data.records, facts, strict=True))
    gone = {record.key for record, fact in each if fact.lost and not fact.kept}
    if gone:
        screen.say(f"not trained on, too small at the model's input size: {len(gone)} forged images, e.g. {min(gone)}")
    crowded = {record.key: fact.crowded for record, fact in each if fact.crowded}
    for reason in crowded.values():
        screen.say(f"not trained on: {reason}")
    return gone | crowded.keys()


def _without(old: Split, gone: Container[str]) -> Split:
    """The split without these keys in what it trains on."""
    single, few, full = ([r for r in part if r.key not in gone] for part in (old.single, old.few, old.full))
    return Split(single, few, full, old.validation)


@dataclass(frozen=True)
class _Call:
    """What every training in one call shares."""

    data: Collection
    world: distributed.World
    screen: Screen
    stop: StopSignal
    resume: bool

    def __call__(self, run: RunConfig, out: Path) -> Path:
        """Train one run in `out` and save its pictures; -> its weights."""
        trainer = Trainer(run, self.data.split, self.data.fingerprint, out)
        result = trainer.run(self.world, self.screen, self.stop, self.resume, _pictures)
        looked = f"which part fails: python3 -m debug.all --weights {out}"
        if trainer.state.model.gives == "map":
            looked = f"more pictures: python3 edarnn.py pictures --weights {out}"
        board = f"TensorBoard: {out}/tensorboard; " if run.tensorboard else ""
        self.screen.say(f"weights: {result}; log: {out}/log.jsonl; {board}figures: {out}/figures; {looked}")
        return result


def _pictures(trainer: Trainer, index: int) -> None:
    """The run's curves so far, and overlays of some images that the stage was scored on, most of them forged."""
    config, stage = trainer.config, trainer.config.stages[index]
    draw.save(draw.curves(runlog.read_log(trainer.out / "log.jsonl")), trainer.out / "figures" / "curves.png")
    folder = trainer.out / "figures" / f"{index + 1}-{stage.name}"
    scored = trainer.scored_records(stage)
    forged, authentic = ([r for r in scored if r.label == label] for label in ("forged", "authentic"))
    chosen = forged[: PICTURES - 1] + authentic[:1]
    model = trainer.state.model.eval()
    with autocast(trainer.world.device, config.precision):
        for place, record in enumerate(chosen, 1):
            view, found = predict_record(model, record, config.data, config.inference)
            figure = draw.overlay(view.loaded.pixels, view.loaded.masks, found, record.key)
            draw.save(figure, folder / f"{record.label}-{draw.file_name(place, record.case_id)}")
    if config.probe_stages and isinstance(model, MaskRCNN):
        trainer.screen.say(f"  verdict on stage {stage.name}: {trainer.scorer.cause(config.probe_stages)}")
    trainer.screen.say(f"  {len(chosen)} overlays of stage {stage.name}: {folder}/")


def _require_free_split(run: RunConfig, data: Collection) -> None:
    """Raise InputError where the data set says itself who validates: then there is nothing to take turns at."""
    own = data.root / "splits.csv"
    if own.is_file():
        raise InputError(
            f"{own}: says who validates, so there are no folds to train ({', '.join(map(str, run.fold_runs))}); train once, "
            "with --fold-runs and no number after it, or take the file out of the data set"
        )


def _folds(run: RunConfig, out: Path, trains: _Call, gone: Container[str]) -> None:
    """Every fold in OUT/fold-K, an ordinary run on its own split, then OUT/ensemble.json with the mean of them all.

    A resumed call finds the finished ones at their end and goes on with the one that was interrupted.
    """
    from forgery_rcnn.inference import ensemble

    data, results = trains.data, []
    ones = [replace(run, data=replace(run.data, fold=fold), fold_runs=()) for fold in run.fold_runs]
    # Before any is trained: a fold that cannot validate is told now, not days later.
    each = [splits.split(data.records, data.facts, one.data) for one in ones]
    for number, (fold, one, split) in enumerate(zip(run.fold_runs, ones, each, strict=True), 1):
        data = replace(data, split=_without(split, gone))
        trains.screen.say(
            f"fold {fold}, number {number} of {len(run.fold_runs)}: {len(data.split.full)} images train, "
            f"{len(data.split.validation)} validate"
        )
        results.append(replace(trains, data=data)(one, out / f"fold-{fold}"))
    if not trains.world.leads:
        return
    for fold, result in zip(run.fold_runs, results, strict=True):
        scores = weights.read(result)[1]["scores"]
        trains.screen.say(f"  fold {fold}  oF1 {scores['of1_mean']:.4f}  Dice {scores['dice_mean']:.4f}")
    path = out / ensemble.FILE
    if not ensemble.is_of(path, results):
        ensemble.write(path, [(result, 1.0) for result in results], "mean")
    trains.screen.say(f"the mean of {len(results)} folds: {path}")


def _experiment(run: RunConfig, out: Path, trains: _Call) -> None:
    """Every arm with all stages but the last, then the last stage from the weights of the arm with the best oF1."""
    scores = {}
    for arm in run.arms:
        result = trains(_of_arm(run, arm), out / "arms" / arm.name)
        scores[arm.name] = weights.read(result)[1]["scores"]
    winner = max(run.arms, key=lambda arm: (scores[arm.name]["of1_mean"], scores[arm.name]["dice_mean"]))
    if trains.world.leads:
        for name, found in scores.items():
            trains.screen.say(
                f"  {name:<16} oF1 {found['of1_mean']:.4f}  Dice {found['dice_mean']:.4f}  recall {found['recall_mean']:.4f}"
            )
        draw.save(draw.arms(scores, winner.name), out / "figures" / "arms.png")
        (out / "arms.json").write_text(json.dumps({"winner": winner.name, "scores": scores}, indent=1))
        oracle = " (an oracle: the true boxes are painted in)" if winner.cue == "painted_boxes" else ""
        trains.screen.say(f"verdict: {winner.name} wins{oracle}; see {out}/figures/arms.png; its training goes on")
    last = replace(_of_arm(run, winner), stages=run.stages[-1:])
    source = str(out / "arms" / winner.name / "model.safetensors")
    trains(replace(last, model=replace(last.model, weights=source)), out / "winner")


def _of_arm(run: RunConfig, arm: Arm) -> RunConfig:
    stages = tuple(replace(stage, frozen=(*stage.frozen, *arm.frozen)) for stage in run.stages[:-1])
    return replace(run, stages=stages, data=replace(run.data, cue=arm.cue), arms=())
