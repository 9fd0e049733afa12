"""The training loop: stages one after the other, each from the best weights of the one before.

Nothing that happens here depends on what happened before it, but through the tensors and counters of a checkpoint:
samplers, augmentation and the model's own sampling are seeded by position (seeding.py), the learning rate is a function
of the step. So an interrupted run that is resumed has the same losses as one that was not.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import __version__ as torch_version
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from forgery_rcnn.config import RunConfig, Stage, to_dict
from forgery_rcnn.data import splits
from forgery_rcnn.data.dataset import Batch, EpochSampler, ForgeryDataset, Item, make_loader
from forgery_rcnn.data.records import Record
from forgery_rcnn.data.splits import Split
from forgery_rcnn.engine import checkpoints, features, forward, freezing, mining, optimisers, seeding, summaries
from forgery_rcnn.engine.distributed import World
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Bar, RunLog, Screen, commit, epoch_line
from forgery_rcnn.engine.scorer import Scorer, require_finite
from forgery_rcnn.engine.state import RunState
from forgery_rcnn.engine.stopping import Interrupted, StopSignal
from forgery_rcnn.engine.watch import Watch
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights, whole
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from forgery_rcnn.models.segmenter import Segmenter

AfterStage = Callable[["Trainer", int], None]


class Trainer:
    """One run on one split, writing to one folder. `fingerprint` is the data set's."""

    def __init__(self, config: RunConfig, split: Split, fingerprint: str, out: Path) -> None:
        self.config, self.split, self.out = config, split, out
        self.folder = out / "checkpoints"
        self.about = {"config": to_dict(config), "commit": commit(), "data": fingerprint, "torch": str(torch_version)}
        self.about["before"] = weights.before(config.model)

    def run(self, world: World, screen: Screen, stop: StopSignal, resume: bool, after_stage: AfterStage) -> Path:
        """Train what is left of every stage; -> the file with the resulting weights. Raises Interrupted when asked to stop.

        `after_stage(trainer, index)` is called on rank 0 at the end of each stage, its best weights in the model.
        """
        self.world, self.screen, self.stop = world, screen, stop
        self.about["world"] = world.size
        self.state = RunState(self.config, world.device)
        self._check_stages()
        if resume:
            self._resume()
        if world.leads:
            self.out.mkdir(parents=True, exist_ok=True)
            whole.write_json(self.out / "config.json", to_dict(self.config))
            whole.write_json(self.out / "split.json", self.split.keys())
        self.saved_at = time.monotonic()
        here = self.state.position
        self.log = RunLog(self.out, here.lines, here.step, self.config.tensorboard) if world.leads else None
        while (index := self.state.position.stage) < len(self.config.stages):
            self._stage(self.config.stages[index])
            if world.leads:
                after_stage(self, index)
        result = self.out / "model.safetensors"
        if self.log is not None:
            last = len(self.config.stages) - 1
            weights.publish(checkpoints.best_path(self.folder, last, self.config.stages[last].name), result)
            self.log.close()
        world.wait()
        return result

    def scored_records(self, stage: Stage) -> list[Record]:
        """What a stage is scored on, of these as many as it says."""
        scored = self.split.named(self.split.scored_on(stage.subset))
        return splits.balanced(scored, stage.evaluate_images) if stage.evaluate_images else scored

    def _check_stages(self) -> None:
        """A misspelt part or an empty subset fails now, not hours later."""
        for stage in self.config.stages:
            freezing.apply(self.state.model, (*stage.trainable, *stage.alternate_with), stage.frozen)
            if not self.split.named(stage.subset):
                larger = "name a forged image with larger regions, --data.single CASE, or show them larger: --model.image-size"
                fix = f"; {larger}" * (stage.subset == "single")
                raise InputError(f"stage {stage.name!r}: subset {stage.subset!r} holds no image{fix}")

    # ---- checkpoints ------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        if self.world.leads:
            for folder in (self.folder, self.out):
                whole.sweep(folder)
        found = checkpoints.newest(self.folder)
        if found is None:
            self.screen.say(f"no checkpoint in {self.folder}: starting from the beginning")
            return
        tensors, meta, path, passed = found
        for line in passed:
            self.screen.say(line)
        checkpoints.require_same_run(meta, self.about, path)
        checkpoints.require_same_split(self.out / "split.json", self.split.keys())
        self.about["before"] = meta.get("before", [])  # the file it started from may be another one by now
        self.state.restore(tensors, meta, path)
        here = self.state.position
        here.sums = meta["sums"][self.world.rank] if "sums" in meta else here.sums
        self.screen.say(f"resuming from {path}: stage {here.stage + 1}, epoch {here.epoch + 1}, batch {here.batch + 1}")

    def _save(self) -> None:
        sums = self.world.gathered([self.state.position.sums])
        if self.world.leads:
            # A run that is interrupted before its first evaluation predicts too, by its own settings.
            meta = {"thresholds": to_dict(self.config.inference), "sums": sums} | self.about | self.state.values()
            checkpoints.save_last(self.folder, self.state.position.step, self.state.tensors(), meta)
        self.world.wait()
        self.saved_at = time.monotonic()

    def _pause_if_asked(self) -> None:
        """Save when it is time; save and leave when a signal has come."""
        asked = self.world.any(bool(self.stop))
        due = self.world.any(self.world.leads and time.monotonic() - self.saved_at >= self.config.save_every)
        if asked or due:
            self._save()
        if asked:
            # another rank may have been the one that got the signal
            raise Interrupted(self.folder, self.stop.number or signal.SIGTERM)

    # ---- training ---------------------------------------------------------------------------------------------

    def _stage(self, stage: Stage) -> None:
        state, items = self.state, self.split.named(stage.subset)
        index = state.position.stage
        moving = set(freezing.apply(state.model, (*stage.trainable, *stage.alternate_with), stage.frozen))
        parameters = [p for name, p in state.model.named_parameters() if name in moving]
        state.use(optimisers.make(stage, parameters))
        seed = seeding.mixed(self.config.seed, index)
        sampler = EpochSampler(len(items), stage.batch_size, seed, self.world.rank, self.world.size, stage.repeats)
        mining.favour(sampler, state.position.alarms, stage.mine_factor)  # those of a resumed stage
        dataset = ForgeryDataset(items, self.config.data, self.config.model, stage.augment)
        once = summaries.suffice(state.model, moving, stage)
        self.losses_of = forward.SummaryLosses if once else self._losses_of(stage, moving)
        where = (self.world, self.screen, self._advance)
        self.scorer = Scorer(self.config, self.scored_records(stage), state, self.out, self.about, where)
        watched = self.world.leads and self.config.watch and isinstance(state.model, MaskRCNN)
        self.watch = Watch(self.scored_records(stage), self.split, stage, self.config) if watched else None
        if stage.subset == "full" and not self.split.validation:
            self.screen.say("  note: no image is left for validation; the stage is scored on its own training images")
        self.screen.say(
            f"stage {index + 1}/{len(self.config.stages)} {stage.name}: {len(items)} images, {stage.epochs} epochs of "
            f"{len(sampler)} steps, {sum(p.numel() for p in parameters) / 1e6:.1f} M parameters move"
        )
        loader = self._vectors(stage, dataset, sampler) if once else make_loader(dataset, sampler)
        while state.position.epoch < stage.epochs:
            self._epoch(stage, sampler, loader)
            if stops := self.scorer.stops(stage):
                self._save()
                raise InputError(stops)
            if stage.patience and state.position.stale >= stage.patience:
                self.screen.say(
                    f"  no better score in {state.position.stale} evaluations: stage {stage.name} stops early"
                )
                break
        self.world.wait()  # the best weights are on disk
        state.next_stage(checkpoints.best_path(self.folder, index, stage.name))
        self._save()

    def _losses_of(self, stage: Stage, moving: set[str]) -> Callable[[Segmenter], nn.Module]:
        """What turns the model into a forward pass; features are kept where they stay the same, for the stage."""
        kept = features.Kept(self.config.data.cache_mb * 2**20)
        return (
            partial(features.Losses, kept)
            if not stage.augment and features.suffice(self.state.model, moving)
            else forward.ImageLosses
        )

    def _vectors(self, stage: Stage, dataset: ForgeryDataset, sampler: EpochSampler) -> summaries.Vectors:
        """Every image's summary, on every rank; like a step, each batch is followed by a look at whether to stop."""
        with self.screen.bar(f"{stage.name} vectors", -(-len(dataset) // sampler.batch_size)) as bar:

            def advance() -> None:
                bar()
                self._pause_if_asked()

            found = summaries.computed(self.state.model, dataset, sampler, self.config.precision, advance)
        self.screen.say(f"  stage {stage.name}: {len(dataset)} vectors computed once")
        return found

    def _epoch(self, stage: Stage, sampler: EpochSampler, loader: DataLoader[Item] | summaries.Vectors) -> None:
        here = self.state.position
        swapped = stage.alternate_every and here.epoch // stage.alternate_every % 2 == 1
        freezing.apply(self.state.model, stage.alternate_with if swapped else stage.trainable, stage.frozen)
        freezing.set_modes(self.state.model)
        forward: nn.Module = self.losses_of(self.state.model)
        if self.world.size > 1:  # wrapped anew: it takes note of what is frozen
            forward = DistributedDataParallel(forward, find_unused_parameters=True)
        sampler.set(here.epoch, here.batch)
        began, seen = time.monotonic(), 0
        with self.screen.bar(f"{stage.name} epoch {here.epoch + 1}/{stage.epochs}", len(sampler), here.batch) as bar:
            for batch in loader:
                loss = self._step(stage, forward, batch, len(sampler))
                seen += len(batch[0]) * self.world.size
                bar(f"loss {loss:.3f}  {seen / (time.monotonic() - began):.1f} images/s")
                self._pause_if_asked()
        values = self._epoch_values(stage, len(sampler), seen / (time.monotonic() - began) if seen else None)
        if mining.due(stage, here.epoch):
            self.scorer.mine(stage, self.split.named(stage.subset), sampler)
        if self.watch is not None:
            values |= self._look(self.watch, values)
        if here.epoch + 1 == stage.epochs or (here.epoch + 1) % stage.evaluate_every == 0:
            values |= self.scorer.evaluate(stage, values["loss"])
        if self.log is not None:
            self.log.epoch(values)
        if "of1_mean" in values or stage.evaluate_every == 1:
            self.screen.say(epoch_line(values, stage.epochs, stage.best_by))
        here.epoch, here.batch, here.sums, here.lines = here.epoch + 1, 0, {}, here.lines + 1

    def _step(self, stage: Stage, forward: nn.Module, batch: Batch, steps_per_epoch: int) -> float:
        """One optimiser step; -> its summed loss. Raises InputError when a loss or the gradient is not finite."""
        state, here = self.state, self.state.position
        images, targets, keys = batch
        for group in state.optimiser.param_groups:
            group["lr"] = optimisers.learning_rate(stage, here.stage_step, steps_per_epoch)
        seeding.seed_step(self.config.seed, here.stage, here.stage_step, self.world.rank)
        with autocast(self.world.device, self.config.precision):
            losses = forward(images, targets)
        values = {name: float(value.detach()) for name, value in losses.items()}
        require_finite(values, keys, here.step)
        state.optimiser.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        norm = nn.utils.clip_grad_norm_([p for p in state.model.parameters() if p.requires_grad], stage.clip_norm)
        require_finite(values | {"gradient norm": float(norm)}, keys, here.step)
        state.optimiser.step()
        if state.average is not None:
            state.average.update_parameters(state.model)
        for name, value in values.items():
            here.sums[name] = here.sums.get(name, 0.0) + value
        here.batch, here.step, here.stage_step = here.batch + 1, here.step + 1, here.stage_step + 1
        return sum(values.values())

    def _look(self, watch: Watch, values: dict[str, Any]) -> dict[str, float]:
        """Write down the watched image's boxes; -> {"separability": ...} where it is due and can be told."""
        model = self.state.scored.eval()
        with autocast(self.world.device, self.config.precision):
            if self.log is not None:
                about = {name: values[name] for name in ("stage", "epoch", "step")}
                self.log.boxes(about | watch.boxes(model))
            return watch.separability(model, self.state.position.epoch)

    def _advance(self, bar: Bar) -> None:
        bar()
        if self.stop and self.world.size == 1:  # several ranks agree at the next step instead
            self._save()
            raise Interrupted(self.folder, self.stop.number)

    def _epoch_values(self, stage: Stage, steps: int, rate: float | None) -> dict[str, Any]:
        """What is logged of an epoch; `rate`: images per second, None where it was resumed after its last step."""
        here = self.state.position
        sums = self.world.gathered([here.sums])  # the log holds the mean over all ranks
        means = {name: sum(other[name] for other in sums) / steps / self.world.size for name in here.sums}
        about = {"stage": stage.name, "epoch": here.epoch + 1, "step": here.step}
        about["lr"] = optimisers.learning_rate(stage, here.stage_step - 1, steps)
        about["images_per_s"] = None if rate is None else round(rate, 3)
        return about | {"loss": sum(means.values())} | means
