"""What happens between the epochs of a stage: its records are scored, the best weights kept, a collapse is told of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from forgery_rcnn.config import RunConfig, Stage, to_dict
from forgery_rcnn.data.dataset import EpochSampler
from forgery_rcnn.data.records import Record
from forgery_rcnn.engine import checkpoints, mining, seeding, sentinel, validation
from forgery_rcnn.engine.distributed import World
from forgery_rcnn.engine.evaluate import evaluate
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Bar, Screen
from forgery_rcnn.engine.state import RunState
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from forgery_rcnn.models.segmenter import Segmenter


class Scorer:
    """Scores `records`, those that the stage that `state` is in is scored on. out: the run's folder; about: what goes
    beside its weights; advance: called after each image, may save the run and leave."""

    def __init__(
        self,
        config: RunConfig,
        records: Sequence[Record],
        state: RunState,
        out: Path,
        about: dict[str, Any],
        where: tuple[World, Screen, Callable[[Bar], None]],
    ) -> None:
        self.config, self.records, self.state, self.out, self.about = config, records, state, out, about
        self.world, self.screen, self.advance = where

    def evaluate(self, stage: Stage, loss: float) -> dict[str, Any]:
        """Score the records by a model whose training loss is `loss`; keep the weights if they are the best so far in this
        stage."""
        here = self.state.position
        model = self.world.alike(self.state.scored).eval()
        share = self.records[self.world.rank :: self.world.size]
        title = f"{stage.name} evaluation"
        with self.screen.bar(title, len(share)) as bar, autocast(self.world.device, self.config.precision):
            inference = validation.plain(self.config.inference)
            rows = evaluate(model, share, self.config.data, inference, lambda: self.advance(bar))
        rows = self.world.gathered(rows)
        found = validation.measured(rows)
        if stage.best_by == "loss":
            found["validation_loss"] = self._validation_loss(stage, model, share)
        judged = here.stage_step >= sentinel.GRACE and stage.best_by != "image_auc"  # whose regions do not count
        self._watch_for_collapse(stage, sentinel.signs(rows, found) if judged else [])
        score = validation.standing(found, stage.best_by, loss)
        scores = {name: found[name] for name in (*validation.SCORES, "validation_loss") if name in found}
        if score > here.best:
            here.best, here.stale = score, 0
            if self.world.leads:
                meta = self.about | {"stage": stage.name, "epoch": here.epoch + 1, "step": here.step}
                meta |= {"scores": scores | {"images": len(rows)}, "thresholds": to_dict(self.config.inference)}
                best = checkpoints.best_path(self.out / "checkpoints", here.stage, stage.name)
                weights.write(best, model.state_dict(), meta)
        else:
            here.stale += 1
        return scores

    def _validation_loss(self, stage: Stage, model: Segmenter, share: Sequence[Record]) -> float:
        """The mean loss of all ranks' shares of the scored records."""
        with (
            self.screen.bar(f"{stage.name} loss", len(share)) as bar,
            autocast(self.world.device, self.config.precision),
        ):
            each = validation.losses(model, share, self.config, lambda: self.advance(bar))
        keys = self.world.gathered([record.key for record in share])
        each = dict(zip(keys, self.world.gathered(each), strict=True))
        bad = [key for key, value in each.items() if not math.isfinite(value)]
        require_finite({"validation loss": sum(each.values())}, bad, self.state.position.step)
        return sum(each.values()) / len(each)

    def _watch_for_collapse(self, stage: Stage, signs: list[str]) -> None:
        """Count evaluations with a sign of collapse; say when they have become too many, and when they are over."""
        here, limit = self.state.position, self.config.collapse_after
        here.collapsed, said = sentinel.counted(here.collapsed, signs, limit)
        if said:
            self.screen.say(f"  stage {stage.name} {said}")
        if limit and here.collapsed == limit and self.world.leads and isinstance(self.state.scored, MaskRCNN):
            self.screen.say(f"  {self.cause(sentinel.LOOKED_AT)}; see `python3 -m debug.all --weights {self.out}`")

    def cause(self, count: int) -> str:
        """What the oracle's ladder says of a Mask R-CNN, on up to `count` of the records; see sentinel.cause."""
        model = self.state.scored.eval()
        with autocast(self.world.device, self.config.precision):
            try:
                return sentinel.cause(model, self.records, self.config, count)
            except InputError as error:
                return f"cannot be told: {error}"

    def stops(self, stage: Stage) -> str:
        """Why the run ends here, where it is to stop at a collapse; "" = it goes on."""
        here, limit = self.state.position, self.config.collapse_after
        if self.config.on_collapse != "stop" or not 0 < limit <= here.collapsed:
            return ""
        return (
            f"stage {stage.name} stopped in epoch {here.epoch}: collapsed for {here.collapsed} evaluations; everything is saved in "
            f"{self.out}/checkpoints; go on with --resume --on-collapse go_on"
        )

    def mine(self, stage: Stage, items: Sequence[Record], sampler: EpochSampler) -> None:
        """Look for false alarms on some of the stage's authentic `items`; the sampler favours them from now on.

        Comes before the evaluation of an epoch, as one that was interrupted there comes again: twice it changes nothing.
        """
        here = self.state.position
        numbers = mining.looked_at(items, stage.mine_images, seeding.mixed(self.config.seed, here.stage, here.epoch))
        model = self.world.alike(self.state.scored).eval()
        share = numbers[self.world.rank :: self.world.size]
        inference = validation.plain(self.config.inference)
        title = f"{stage.name} false alarms"
        with self.screen.bar(title, len(share)) as bar, autocast(self.world.device, self.config.precision):
            found = mining.alarms(model, items, share, self.config.data, inference, lambda: self.advance(bar))
        found = self.world.gathered(found)
        here.alarms = mining.renewed(here.alarms, numbers, found)
        mining.favour(sampler, here.alarms, stage.mine_factor)
        images = len({number for number, _, _ in found})
        known = len({number for number, _, _ in here.alarms})
        if numbers:
            self.screen.say(f"  false alarms on {images} of {len(numbers)} authentic training images; known of {known}")


def require_finite(values: dict[str, float], keys: Sequence[str], step: int) -> None:
    """Raises InputError, with all values, where one of them is not finite; keys: the images'; step: those done so far."""
    if all(math.isfinite(value) for value in values.values()):
        return
    listed = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    raise InputError(
        f"step {step + 1}: a loss is not finite ({listed}) on images {', '.join(keys)}; "
        "lower the stage's lr, or use --precision float32"
    )
