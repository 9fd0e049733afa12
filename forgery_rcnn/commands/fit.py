"""Fit thresholds, the mixture of several weights and the refinement to half of the validation images, and store them.

python3 edarnn.py fit --weights runs/NAME --share 1                      on all of the built-in sample
python3 edarnn.py fit --weights runs/NAME --data.root ROOT --metric of1 --false-alarms 0.05
python3 edarnn.py fit --weights runs/A runs/B --rule weighted --out runs/AB/ensemble.json

The images fitted on are noted beside the thresholds: scoring.py refuses to score them, and scores the other half with
--split held_out. The tensors of the weights are not touched. Where the honest estimate, each image with thresholds fitted
on others, falls below the start, the thresholds of the start stay. Not fitted: the mask threshold of a model that gives
instances, which predicts by it, and the thresholds by which the members of a vote vote.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.cli import described, tyro
from forgery_rcnn.config import BARE_PTH, InferenceConfig, from_dict
from forgery_rcnn.data_config import Where
from forgery_rcnn.errors import InputError, require

if TYPE_CHECKING:
    from forgery_rcnn.data.splits import Member
    from forgery_rcnn.engine.evaluate import Part
    from forgery_rcnn.engine.fitting import Fitted, Plan
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.engine.thresholds import Setting
    from forgery_rcnn.inference.ensemble import Ensemble


@dataclass(frozen=True)
class Job:
    """Whose thresholds, for which score, on what."""

    weights: tuple[str, ...] = ()
    """A file, a run's folder, an ensemble.json; several of these are merged. Shipped weights, the default, need --out."""
    metric: Literal["of1", "dice", "iou", "f1", "balanced_accuracy"] = "of1"
    """What is to be as high as possible; f1 and balanced_accuracy are of the call image score >= image_threshold alone."""
    false_alarms: float | None = None
    """Flag at most this share of the authentic images that are fitted on."""
    data: Where = field(default_factory=Where)
    split: Literal["validation", "all"] = "validation"
    """Part of the data, split as in the weights' training; all: of a root that no weights were trained on."""
    share: float = 0.5
    """Of the split's images about so many, in whole groups, are fitted on; the rest is for an honest score afterwards."""
    rule: Literal["mean", "vote", "weighted"] | None = None
    """How several weights are merged; weighted: the mean, with fitted weights. Default as stored, else mean. Folds, of which
    each image is asked of one, know the mean alone."""
    refine: tuple[Literal["crf", "guided", "smoother"], ...] = ("crf", "guided", "smoother")
    """Ways of refinement that are compared with none; one is switched on only where its gain's interval lies above 0.
    Without a name the stored way stays."""
    out: Path | None = None
    """Write an ensemble.json here; default: into the JSON of the weights, or the ensemble.json, that were named."""
    resamples: int = 1000
    """Of the bootstrap."""
    seed: int = 0
    """Of the bootstrap, and of the folds of the honest estimate."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"

    def __post_init__(self) -> None:
        from forgery_rcnn.engine.outcomes import Goal

        Goal(self.metric, self.false_alarms)
        require(0 < self.share <= 1, f"--share is {self.share}; use a share above 0, at most 1")
        require(self.seed >= 0, f"--seed is {self.seed}; use 0 or more")
        require(100 <= self.resamples <= 100_000, f"--resamples is {self.resamples}; use 100 to 100000")


def main(argv: list[str]) -> int:
    """Returns 0 when thresholds are fitted and stored. Interrupted, it has changed nothing."""
    job = tyro.cli(Job, args=argv, prog="edarnn.py fit", description=described(__doc__))
    from forgery_rcnn.engine import evaluate, fitting, held_out, targets
    from forgery_rcnn.engine.distributed import device_of
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference import ensemble

    screen, device = Screen(sys.stdout), device_of(job.device)
    found = ensemble.load(job.weights, BARE_PTH, "mean" if job.rule == "weighted" else job.rule)
    if job.rule == "weighted" and len(found.members) == 1:
        raise InputError(f"--rule weighted is about several weights; name more than {found.path}")
    target = targets.check_target(found, job.out)
    there = evaluate.opened(found, job.data.root, job.data.skip_bad, job.split, screen)
    _check(job, found, there)
    if there.voices:
        screen.say("note: thresholds are fitted to what single folds say, and will be used on the mean of them all")
    found.to(device)
    chosen, others = held_out.of_part(there.items, there.files, job.share)
    screen.say(f"fitting {job.metric} on {len(chosen)} images, {len(others)} of the split are held out")
    digests = held_out.digests([member.record for member in chosen])
    fitted = _fitted(job, found, there, chosen, digests, screen)
    for line in fitting.lines(fitted, found.config):
        screen.say(line)
    fitting.store(found, target, fitted, digests)
    screen.say(f"written: {target}")
    if targets.decides_no_more(found, target):
        screen.say("note: it holds no decision any more, as its scores may be others now; run `edarnn.py decide` anew")
    if others and job.split == "validation":
        screen.say(fitting.honest(found, target, job.data.root))
    return 0


def _check(job: Job, found: Ensemble, there: Part) -> None:
    """Raises InputError where thresholds fitted this way would be about something else than what they are used on."""
    from forgery_rcnn.engine import evaluate

    rule = job.rule or found.rule
    if there.voices and rule != "mean":
        raise InputError(
            f"--rule {rule} cannot be fitted to folds, of which each image is asked of one; use --rule mean"
        )
    evaluate.require_unknown(job.split, found, there)


def _fitted(
    job: Job, found: Ensemble, there: Part, chosen: list[Member], digests: Sequence[str], screen: Screen
) -> Fitted:
    """Predict the chosen images once, and search."""
    from forgery_rcnn.engine import fitting, thresholds
    from forgery_rcnn.engine.kept import Kept
    from forgery_rcnn.engine.precision import autocast

    plan = _plan(job, found, chosen)
    start = thresholds.Setting(_shares([member.weight for member in found.members]), found.config)
    if not found.fitted.isdisjoint(digests):
        start = _unfitted(job, found, plan)
        screen.say(
            "note: thresholds were fitted on some of these images before; the search starts from those of training"
        )
    if found.rule == "vote" and any(not member.fitted.isdisjoint(digests) for member in found.members):
        screen.say(
            "note: the members vote by thresholds of their own that know some of these images: every score flatters"
        )
    with tempfile.TemporaryDirectory(prefix="fit-") as folder:
        kept = Kept(Path(folder), found, there, job.metric, screen.bar)
        with screen.bar("predicting", len(chosen)) as advance, autocast(found.device, job.precision):
            for member in chosen:
                kept.add(member.record)
                advance()
        return fitting.fit(kept, start, fitting.folds(chosen, job.seed), plan)


def _plan(job: Job, found: Ensemble, chosen: list[Member]) -> Plan:
    from forgery_rcnn.engine import fitting, thresholds
    from forgery_rcnn.engine.outcomes import Goal

    along = thresholds.axes(found.gives, job.metric, found.rule if len(found.members) > 1 else "mean")
    if job.rule == "weighted":
        kinds = {member.model.gives for member in found.members}
        along = thresholds.shares(len(found.members), "alike" if len(kinds) == 1 else "mixed") + along
    methods = job.refine if found.gives == "map" else ()
    groups = np.array([member.group for member in chosen])
    return fitting.Plan(Goal(job.metric, job.false_alarms), along, methods, Resampling(job.resamples, job.seed), groups)


def _unfitted(job: Job, found: Ensemble, plan: Plan) -> Setting:
    """What was stored before anything was fitted, as far as it is searched: what the first member's training was set to."""
    from forgery_rcnn.engine import thresholds
    from forgery_rcnn.inference.members import of_votes

    trained = from_dict(InferenceConfig, found.members[0].meta.get("config", {}).get("inference", {}))
    if found.rule == "vote" and len(found.members) > 1:
        trained = of_votes(trained)
    names = {"image_threshold", *(axis.name for axis in plan.axes)} & vars(trained).keys()
    config = replace(found.config, **{name: getattr(trained, name) for name in names})
    if plan.methods:
        config = replace(config, refine=replace(config.refine, method=trained.refine.method))
    weights = [1.0 if job.rule == "weighted" else member.weight for member in found.members]
    return thresholds.Setting(_shares(weights), config)


def _shares(weights: Sequence[float]) -> tuple[float, ...]:
    """-> the same, adding up to 1."""
    return tuple((np.array(weights) / np.sum(weights)).tolist())
