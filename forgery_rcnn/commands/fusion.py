"""Fit what makes a detector and the twin finder one: their regions together, scored anew by a calibrated regression.

python3 edarnn.py fusion --weights RUN                                   on half of the validation images of RUN's split
python3 edarnn.py fusion --weights RUN --data.root ROOT --split all --out runs/NAME

Written is OUT/ensemble.json, plain numbers: encode_submission.py and scoring.py take it with --weights OUT. Weighed are
the scores of both, the twin finder's evidence (chance, correlation, agreeing places, copies, panels), overlap and area,
also of pairs that are too weak for the twin finder to report alone (--matching.min-score).
A decision (authentic, forged, undecided; see decide --help) is fitted to the same images; regions are shown from the
score on from which it calls an image forged. Both know the images fitted on, which are noted: scoring.py refuses to score
them, and scores the others with --split held_out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from forgery_rcnn import decision
from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.cli import described, tyro
from forgery_rcnn.config import BARE_PTH, InferenceConfig, MatchingConfig
from forgery_rcnn.data_config import Where
from forgery_rcnn.errors import InputError, require

if TYPE_CHECKING:
    from forgery_rcnn.data.splits import Member
    from forgery_rcnn.engine.deciding import Decided
    from forgery_rcnn.engine.evaluate import Part
    from forgery_rcnn.engine.fitting import Plan
    from forgery_rcnn.engine.fusing import Fused, Seen
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference.ensemble import Ensemble

WEAK = 0.3  # least score of the twin finder's pairs: alone they would be too many false alarms, a detector may confirm them


@dataclass(frozen=True)
class Job:
    """Which detector, on what."""

    weights: tuple[str, ...] = ()
    """A file, a run's folder, a name under weights/, or an ensemble.json, of models that give instances; of several the
    mean. Default the shipped weights, else the latest run."""
    matching: MatchingConfig = field(default_factory=lambda: MatchingConfig(min_score=WEAK))
    data: Where = field(default_factory=Where)
    split: Literal["validation", "all"] = "validation"
    """Part of the data, split as in the weights' training; all: of a root that no weights were trained on."""
    share: float = 0.5
    """Of the split's images about so many, in whole groups, are fitted on; the rest is for an honest score afterwards."""
    false_alarms: float = 0.05
    """At most this share of the authentic images that are fitted on is called forged, and has regions shown."""
    missed: float = 0.1
    """The decision calls at most this share of the forged images authentic."""
    out: Path | None = None
    """Folder for ensemble.json; default runs/RUN-fusion."""
    seed: int = 0
    """Of the folds and the bootstrap."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"

    def __post_init__(self) -> None:
        decision.check_shares(self.false_alarms, self.missed)
        require(0 < self.share <= 1, f"--share is {self.share}; use a share above 0, at most 1")
        require(self.seed >= 0, f"--seed is {self.seed}; use 0 or more")


def main(argv: list[str]) -> int:
    """Returns 0 when the fusion is written. Interrupted, it has written nothing."""
    job = tyro.cli(Job, args=argv, prog="edarnn.py fusion", description=described(__doc__))
    from forgery_rcnn import tables
    from forgery_rcnn.engine import deciding, evaluate, fitting, fusing, held_out
    from forgery_rcnn.engine.distributed import device_of
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference import ensemble
    from forgery_rcnn.models import weights

    screen, device = Screen(sys.stdout), device_of(job.device)
    # Not the default of prediction, which may be a fusion itself.
    found = ensemble.load(job.weights or (str(weights.resolve(None)),), BARE_PTH)
    _check(found)
    target = (job.out or _default_out(found.path)) / ensemble.FILE
    tables.require_writable(target)
    there = evaluate.opened(found, job.data.root, job.data.skip_bad, job.split, screen)
    evaluate.require_unknown(job.split, found, there)
    found.to(device)
    chosen, others = held_out.of_part(there.items, there.files, job.share)
    screen.say(f"fitting on {len(chosen)} images, {len(others)} of the split are held out")
    images, folds = _seen(job, found, there, chosen, screen), fitting.folds(chosen, job.seed)
    fused = fusing.fit(images, folds)
    decided = _decided(job, fused, images, folds)
    config = _config(found, decided)
    reached = fitting.reached(fusing.Rescored(images, fused.scores, "of1"), config, _plan(job, chosen))
    said = ["no decision: too few images of either kind"] if decided is None else deciding.lines(decided)
    for line in [*fusing.lines(fused), *said, fitting.line(reached, config)]:
        screen.say(line)
    own = held_out.digests([member.record for member in chosen])
    told = {"fitted": fitting.reached_json(reached, {*own, *found.fitted}), "fusion": fused.fusion.as_json()}
    told |= {} if decided is None else {"decision": deciding.as_json(decided, own)}
    _write(target, job, found, config, told)
    screen.say(f"written: {target}")
    if others and job.split == "validation":
        screen.say(fitting.honest(found, target, job.data.root))
    return 0


def _check(found: Ensemble) -> None:
    """Raises InputError for weights that cannot be one side of a fusion."""
    learnt = all(member.model.learns != "nothing" for member in found.members)
    if found.gives != "instances" or not learnt or found.rule != "mean":
        raise InputError(
            f"{found.path}: a fusion is of a detector that gives instances, such as mask_rcnn, and the matcher, which joins "
            "by itself; name the weights of a Mask R-CNN, or an ensemble of such by the mean"
        )


def _default_out(path: Path) -> Path:
    from forgery_rcnn.models import weights

    name = path.parent.name if path.stem in ("model", "ensemble") else path.stem
    return weights.RUNS / f"{name}-fusion"


def _seen(job: Job, found: Ensemble, there: Part, chosen: Sequence[Member], screen: Screen) -> list[Seen]:
    """Both sources on each image."""
    from forgery_rcnn.engine import evaluate, fusing
    from forgery_rcnn.engine.precision import autocast
    from forgery_rcnn.models import matcher

    finder, out = matcher.built(job.matching), []
    with screen.bar("predicting", len(chosen)) as advance, autocast(found.device, job.precision):
        for member in chosen:
            view = evaluate.seen(member.record, there.data)
            asked = there.asked(found, member.record)
            detected = asked.merged(asked.candidates(view.pixels))
            (twins,) = finder.predict([view.pixels])
            out.append(fusing.seen(detected, twins, view.true))
            advance()
    return out


def _plan(job: Job, chosen: Sequence[Member]) -> Plan:
    from forgery_rcnn.engine import fitting
    from forgery_rcnn.engine.outcomes import Goal

    groups = np.array([member.group for member in chosen])
    return fitting.Plan(Goal("of1", job.false_alarms), (), (), Resampling(seed=job.seed), groups)


def _config(found: Ensemble, decided: Decided | None) -> InferenceConfig:
    """Regions are shown from the score on from which the decision calls an image forged: each for itself, as the finder's are
    whole instances. The detector's own thresholds are about its own scores."""
    default = InferenceConfig()
    least = default.score_threshold if decided is None else min(decided.decision.forged_from, 1.0)
    return replace(found.config, score_threshold=least, image_threshold=0.0, regions="components")


def _decided(job: Job, fused: Fused, images: Sequence[Seen], folds: Sequence[np.ndarray]) -> Decided | None:
    """On image scores by numbers that know other folds only; None where there are too few images of either kind."""
    from forgery_rcnn import decision
    from forgery_rcnn.engine import deciding

    forged = np.array([image.true is not None for image in images], bool)
    if min(forged.sum(), (~forged).sum()) < decision.FEWEST:
        return None
    values = np.array([scores.max(initial=0.0) for scores in fused.scores], np.float64)
    return deciding.fit(values, forged, folds, job.false_alarms, job.missed)


def _write(target: Path, job: Job, found: Ensemble, config: InferenceConfig, told: dict[str, Any]) -> None:
    from forgery_rcnn.inference import ensemble

    members = [(ensemble.source_of(member), member.weight) for member in found.members] + [(job.matching, 1.0)]
    ensemble.write(target, members, "fused", config, **told)
