"""The training loop: stages one after the other, each from where the one before left off.

Nothing that happens here depends on what happened before it, but through the tensors and counters of a checkpoint:
samplers, augmentation and the model's own sampling are seeded by position (seeding.py), the learning rate is a function
of the step. So an interrupted run that is resumed has the same losses as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from forgery_rcnn import report
from forgery_rcnn.config import RunConfig, Stage, to_dict
from forgery_rcnn.data.dataset import Batch, EpochSampler, ForgeryDataset, make_loader
from forgery_rcnn.data.splits import Split
from forgery_rcnn.engine import checkpoints, freezing, optimisers, seeding
from forgery_rcnn.engine.distributed import World
from forgery_rcnn.engine.evaluate import evaluate
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Bar, RunLog, Screen, commit
from forgery_rcnn.engine.stopping import Interrupted, StopSignal
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.models.segmenter import Segmenter

SCORES = (
    "of1_mean",
    "dice_mean",
    "of1_mean_forged",
    "recall_mean",
    "precision_mean",
    "false_alarm_rate",
    "baseline_all_authentic",
)


@dataclass
class Position:
    """Where the run is, and what of the present epoch and stage is already summed up. Saved with every checkpoint."""

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    """Batches done in this epoch."""
    step: int = 0
    """Optimiser steps since the run began."""
    stage_step: int = 0
    lines: int = 0
    """Lines of log.jsonl."""
    sums: dict[str, float] = field(default_factory=dict)
    """This epoch's losses so far, summed over batches."""
    best: list[float] = field(default_factory=list)
    """oF1, then Dice, of the best evaluation in this stage; empty before the first."""
    stale: int = 0
    """Evaluations since the best."""


class _Losses(nn.Module):
    """A segmenter's losses as a forward pass, which is what DistributedDataParallel can wrap."""

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        return self.model.losses(images, targets)


class Trainer:
    """One run: its model, its position, and the folder it writes to."""

    def __init__(
        self, config: RunConfig, split: Split, out: Path, world: World, screen: Screen, stop: StopSignal, data: str
    ) -> None:
        """`data` is the data set's fingerprint. Builds the model from the seed and gives it its starting weights."""
        self.config, self.split, self.out, self.world, self.screen, self.stop = config, split, out, world, screen, stop
        self.folder = out / "checkpoints"
        self.provenance = {"config": to_dict(config), "commit": commit(), "data": data, "torch": str(torch.__version__)}
        torch.manual_seed(seeding.mixed(config.seed))
        self.model = zoo.build(config.model)
        weights.start(self.model)
        for stage in config.stages:  # a misspelt part fails now, not hours later
            freezing.apply(self.model, (*stage.trainable, *stage.alternate_with), stage.frozen)
            if not split.named(stage.subset):
                raise InputError(f"stage {stage.name!r}: subset {stage.subset!r} holds no image")
        self.model.to(world.device)
        self.average: AveragedModel | None = None
        self._restart_average()
        self.optimiser: torch.optim.Optimizer | None = None
        self.log: RunLog | None = None
        self.position = Position()
        self._optimiser_tensors: dict[str, Tensor] = {}
        self._saved_at = time.monotonic()

    # ---- checkpoints ------------------------------------------------------------------------------------------

    def resume(self) -> bool:
        """Take up the newest whole checkpoint; False when there is none. Raises InputError if it is of another run."""
        found = checkpoints.newest(self.folder)
        if found is None:
            return False
        tensors, meta, path, passed = found
        for line in passed:
            self.screen.say(line)
        self._check_same_run(meta, path)
        weights.fit(self.model, {n[6:]: t for n, t in tensors.items() if n.startswith("model/")}, path, drop=())
        self._restart_average()
        if self.average is not None:
            self.average.module.load_state_dict({n[4:]: t for n, t in tensors.items() if n.startswith("ema/")})
            self.average.n_averaged.fill_(meta["averaged"])
        self._optimiser_tensors = tensors
        self.position = Position(**meta["position"])
        self.screen.say(
            f"resuming from {path} (stage {self.position.stage + 1}, epoch {self.position.epoch + 1}, batch {self.position.batch})"
        )
        return True

    def _check_same_run(self, meta: dict[str, Any], path: Path) -> None:
        if meta["data"] != self.provenance["data"]:
            raise InputError(
                f"{path}: was trained on other data than {self.config.data.root or 'the sample'} holds now; use another --out"
            )
        if meta["world"] != self.world.size:
            raise InputError(
                f"{path}: was trained by {meta['world']} processes, this is {self.world.size}; start as many to resume"
            )
        mine, theirs = self.provenance["config"], meta["config"]
        other = [
            name
            for name in mine
            if name not in ("device", "save_every", "tensorboard") and mine[name] != theirs.get(name)
        ]
        if other:
            raise InputError(
                f"{path}: was made with other settings ({', '.join(other)}); resume with the same, or use another --out"
            )

    def save(self) -> None:
        """Write a checkpoint from which `resume` goes on exactly."""
        if self.world.leads:
            tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
            if self.average is not None:
                tensors |= {f"ema/{name}": tensor for name, tensor in self.average.module.state_dict().items()}
            tensors |= checkpoints.packed_optimiser(self.model, self.optimiser) if self.optimiser else {}
            averaged = int(self.average.n_averaged) if self.average is not None else 0
            meta = self.provenance | {"position": asdict(self.position), "world": self.world.size, "averaged": averaged}
            checkpoints.save_last(self.folder, self.position.step, tensors, meta)
        self.world.wait()
        self._saved_at = time.monotonic()

    def _best_path(self, index: int) -> Path:
        return self.folder / f"best-{index + 1}-{self.config.stages[index].name}.safetensors"

    def _save_weights(self, path: Path, scores: dict[str, Any]) -> None:
        stage = self.config.stages[self.position.stage]
        meta = self.provenance | {
            "stage": stage.name,
            "epoch": self.position.epoch + 1,
            "step": self.position.step,
            "scores": scores,
        }
        weights.write(path, self.scored.state_dict(), meta | {"thresholds": to_dict(self.config.inference)})

    # ---- the run ----------------------------------------------------------------------------------------------

    def run(self) -> Path:
        """Train what is left of every stage; -> the file with the run's resulting weights."""
        self.log = (
            RunLog(self.out, self.position.lines, self.position.step, self.config.tensorboard)
            if self.world.leads
            else None
        )
        while self.position.stage < len(self.config.stages):
            self._stage(self.config.stages[self.position.stage])
        result = self.out / "model.safetensors"
        if self.world.leads:
            tensors, meta = weights.read(self._best_path(len(self.config.stages) - 1))
            weights.write(result, tensors, meta)
            self.log.close()
        self.world.wait()
        return result

    @property
    def scored(self) -> Segmenter:
        """The model that is evaluated and kept: the running average where there is one."""
        return self.average.module if self.average is not None else self.model

    def _restart_average(self) -> None:
        if self.config.ema_decay:
            self.average = AveragedModel(
                self.model, multi_avg_fn=get_ema_multi_avg_fn(self.config.ema_decay), use_buffers=True
            )
            self.average.eval()

    def _stage(self, stage: Stage) -> None:
        here = self.position
        items = self.split.named(stage.subset)
        moving = freezing.apply(self.model, (*stage.trainable, *stage.alternate_with), stage.frozen)
        self.optimiser = optimisers.make(stage, [p for n, p in self.model.named_parameters() if n in set(moving)])
        checkpoints.unpack_optimiser(self.model, self.optimiser, self._optimiser_tensors)
        self._optimiser_tensors = {}
        dataset = ForgeryDataset(items, self.config.data, self.config.model.image_size)
        sampler = EpochSampler(
            len(items), stage.batch_size, seeding.mixed(self.config.seed, here.stage), self.world.rank, self.world.size
        )
        loader = make_loader(dataset, sampler)
        self.screen.say(
            f"stage {here.stage + 1}/{len(self.config.stages)} {stage.name}: {len(items)} images, {stage.epochs} epochs of {len(sampler)} "
            f"steps, {sum(p.numel() for p in self.model.parameters() if p.requires_grad) / 1e6:.1f} M parameters move"
        )
        while here.epoch < stage.epochs:
            self._epoch(stage, sampler, loader)
            if stage.patience and here.stale >= stage.patience:
                self.screen.say(f"  no better score in {here.stale} evaluations: stage {stage.name} stops early")
                break
        self._end_stage()

    def _end_stage(self) -> None:
        """The next stage starts from this one's best weights."""
        here = self.position
        self.world.wait()  # the best weights are on disk
        path = self._best_path(here.stage)
        weights.fit(self.model, weights.read(path)[0], path, drop=())
        self._restart_average()
        self.optimiser = None
        self.position = Position(stage=here.stage + 1, step=here.step, lines=here.lines)
        self.save()

    def _epoch(self, stage: Stage, sampler: EpochSampler, loader: Any) -> None:
        here = self.position
        second = stage.alternate_every and here.epoch // stage.alternate_every % 2 == 1
        freezing.apply(self.model, stage.alternate_with if second else stage.trainable, stage.frozen)
        freezing.set_modes(self.model)
        forward: nn.Module = _Losses(self.model)
        if self.world.size > 1:
            forward = DistributedDataParallel(forward, find_unused_parameters=True)
        sampler.set(here.epoch, here.batch)
        began, seen = time.monotonic(), 0
        with self.screen.bar(f"{stage.name} epoch {here.epoch + 1}/{stage.epochs}", len(sampler), here.batch) as bar:
            for batch in loader:
                loss = self._step(stage, forward, batch, len(sampler))
                seen += len(batch[0]) * self.world.size
                bar(f"loss {loss:.3f}  {seen / (time.monotonic() - began):.1f} images/s")
                self._pause_if_asked()
        values = self._epoch_values(stage, len(sampler), seen, time.monotonic() - began)
        last = here.epoch + 1 == stage.epochs
        if last or (here.epoch + 1) % stage.evaluate_every == 0:
            values |= self._evaluate(stage)
        if self.log is not None:
            self.log.epoch(values)
        self._say_epoch(stage, values)
        here.epoch, here.batch, here.sums, here.lines = here.epoch + 1, 0, {}, here.lines + 1

    def _step(self, stage: Stage, forward: nn.Module, batch: Batch, steps_per_epoch: int) -> float:
        """One optimiser step; -> its summed loss. Raises InputError when a loss or the gradient is not finite."""
        here = self.position
        images, targets, keys = batch
        for group in self.optimiser.param_groups:
            group["lr"] = optimisers.learning_rate(stage, here.stage_step, steps_per_epoch)
        seeding.seed_step(self.config.seed, here.stage, here.stage_step, self.world.rank)
        with autocast(self.world.device, self.config.precision):
            losses = forward(images, targets)
        total = sum(losses.values())
        values = {name: float(value.detach()) for name, value in losses.items()}
        self._require_finite(values, keys)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], stage.clip_norm)
        self._require_finite(values | {"gradient norm": float(norm)}, keys)
        self.optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        for name, value in values.items():
            here.sums[name] = here.sums.get(name, 0.0) + value
        here.batch, here.step, here.stage_step = here.batch + 1, here.step + 1, here.stage_step + 1
        return sum(values.values())

    def _require_finite(self, values: dict[str, float], keys: Sequence[str]) -> None:
        if all(math.isfinite(value) for value in values.values()):
            return
        listed = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        raise InputError(
            f"step {self.position.step + 1}: a loss is not finite ({listed}) on images {', '.join(keys)}; "
            "lower the stage's lr, or use --precision float32"
        )

    def _pause_if_asked(self) -> None:
        """Save when it is time; save and leave when a signal has come."""
        asked = self.world.any(bool(self.stop))
        due = self.world.any(self.world.leads and time.monotonic() - self._saved_at >= self.config.save_every)
        if asked or due:
            self.save()
        if asked:
            raise Interrupted(self.folder, self.stop.number)

    # ---- evaluation -------------------------------------------------------------------------------------------

    def _evaluate(self, stage: Stage) -> dict[str, Any]:
        """Score the stage's own images (single, few) or the validation split (full); keep the weights if best so far."""
        here = self.position
        items = self.split.named(stage.subset)
        if stage.subset == "full":
            items = self.split.validation or items
        model = self.scored.eval()
        share = items[self.world.rank :: self.world.size]
        with (
            self.screen.bar(f"{stage.name} evaluation", len(share)) as bar,
            autocast(self.world.device, self.config.precision),
        ):
            rows = evaluate(model, share, self.config.data, self.config.inference, lambda: self._advance(bar))
        found = report.summary(self.world.gathered(rows))
        score = [found["of1_mean"], found["dice_mean"]]
        if score > here.best:
            here.best, here.stale = score, 0
            if self.world.leads:
                self._save_weights(self._best_path(here.stage), {name: found[name] for name in (*SCORES, "images")})
        else:
            here.stale += 1
        return {name: found[name] for name in SCORES}

    def _advance(self, bar: Bar) -> None:
        bar()
        if self.stop and self.world.size == 1:  # several ranks agree at the next step instead
            self.save()
            raise Interrupted(self.folder, self.stop.number)

    def _epoch_values(self, stage: Stage, steps: int, seen: int, seconds: float) -> dict[str, Any]:
        here = self.position
        means = {name: value / steps for name, value in here.sums.items()}
        return {
            "stage": stage.name,
            "epoch": here.epoch + 1,
            "step": here.step,
            "lr": self.optimiser.param_groups[0]["lr"],
            "loss": sum(means.values()),
            **means,
            "images_per_s": round(seen / seconds, 3) if seconds and seen else 0.0,
        }

    def _say_epoch(self, stage: Stage, values: dict[str, Any]) -> None:
        scores = ""
        if "of1_mean" in values:
            scores = f"   oF1 {values['of1_mean']:.4f} (all authentic {values['baseline_all_authentic']:.4f})  Dice {values['dice_mean']:.4f}"
        if scores or stage.evaluate_every == 1:
            self.screen.say(
                f"  epoch {values['epoch']:>3}/{stage.epochs}  loss {values['loss']:.4f}  lr {values['lr']:.1e}  "
                f"{values['images_per_s']:.1f} images/s{scores}"
            )
