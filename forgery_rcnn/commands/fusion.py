"""Fit what makes a detector and the twin finder one: their regions together, scored anew by a calibrated regression.

python3 edarnn.py fusion --weights RUN                                   on half of the validation images of RUN's split
python3 edarnn.py fusion --weights RUN --data.root ROOT --split all --out runs/NAME

Written is OUT/ensemble.json, plain numbers: encode_submission.py and scoring.py take it with --weights OUT. Weighed are
the scores of both, the twin finder's evidence (chance, correlation, agreeing places, copies, panels), overlap and area,
also of pairs that are too weak for the twin finder to report alone (--matching.min-score).
A decision (authentic, forged, undecided; see decide --help) is fitted to the same images.
Regression and thresholds know the images fitted on, which are noted: scoring.py refuses to score them, and scores the
others with --split held_out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.cli import described, tyro
from forgery_rcnn.commands.fit import Where
from forgery_rcnn.config import BARE_PTH, InferenceConfig, MatchingConfig
from forgery_rcnn.errors import InputError, require

if TYPE_CHECKING:
    from forgery_rcnn.data.splits import Member
    from forgery_rcnn.engine.deciding import Decided
    from forgery_rcnn.engine.evaluate import Part
    from forgery_rcnn.engine.fitting import Fitted
    from forgery_rcnn.engine.fusing import Fused, Seen
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference.ensemble import Ensemble

FALSE_ALARMS = 0.05  # of the decision, where nothing is asked
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
    false_alarms: float | None = None
    """Choose thresholds that flag at most this share of the authentic images that are fitted on. The decision calls at most
    this share of them forged, 0.05 where none is asked."""
    missed: float = 0.1
    """The decision calls at most this share of the forged images authentic."""
    out: Path | None = None
    """Folder for ensemble.json; default runs/RUN-fusion."""
    seed: int = 0
    """Of the folds and the bootstrap."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"

    def __post_init__(self) -> None:
        from forgery_rcnn.engine.outcomes import Goal

        Goal("of1", self.false_alarms)
        require(0 <= self.missed < 1, f"--missed is {self.missed}; use a share from 0 to below 1, e.g. 0.1")
        require(0 < self.share <= 1, f"--share is {self.share}; use a share above 0, at most 1")


def main(argv: list[str]) -> int:
    """Returns 0 when the fusion is written. Interrupted, it has written nothing."""
    job = tyro.cli(Job, args=argv, prog="edarnn.py fusion", description=described(__doc__))
    from forgery_rcnn.engine import deciding, evaluate, fitting, fusing, held_out
    from forgery_rcnn.engine.distributed import device_of
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference import ensemble
    from forgery_rcnn.models import weights

    screen = Screen(sys.stdout)
    # Not the default of prediction, which may be a fusion itself.
    found = ensemble.load(job.weights or (str(weights.resolve(None)),), BARE_PTH)
    _check(found)
    target = (job.out or _default_out(found.path)) / ensemble.FILE
    there = evaluate.opened(found, job.data.root, job.data.skip_bad, job.split, screen)
    evaluate.require_unknown(job.split, found, there)
    found.to(device_of(job.device))
    chosen, others = held_out.of_part(there.items, there.files, job.share)
    screen.say(f"fitting on {len(chosen)} images, {len(others)} of the split are held out")
    images, folds = _seen(job, found, there, chosen, screen), fitting.folds(chosen, job.seed)
    fused = fusing.fit(images, folds)
    fitted = _thresholds(job, found, fused, images, folds, chosen)
    decided = _decided(job, fused, images, folds)
    said = ["no decision: too few images of either kind"] if decided is None else deciding.lines(decided)
    for line in [*fusing.lines(fused), *fitting.lines(fitted, _start(found)), *said]:
        screen.say(line)
    _write(target, job, found, fused, (fitted, decided), held_out.digests([member.record for member in chosen]))
    screen.say(f"written: {target}")
    if others and job.split == "validation":
        root = f" --data.root {job.data.root}" if job.data.root else ""
        screen.say(f"an honest score: python3 scoring.py --weights {target.parent}{root} --split {held_out.PART}")
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


def _start(found: Ensemble) -> InferenceConfig:
    """Thresholds before any are fitted: a score is a probability, so half. The detector's own are about its own scores."""
    default = InferenceConfig()
    return replace(found.config, score_threshold=default.score_threshold, image_threshold=default.image_threshold)


def _thresholds(
    job: Job,
    found: Ensemble,
    fused: Fused,
    images: Sequence[Seen],
    folds: Sequence[np.ndarray],
    chosen: Sequence[Member],
) -> Fitted:
    """Fitted to scores by numbers that know other folds only: on its own images the regression flatters."""
    from forgery_rcnn.engine import fitting, fusing, thresholds
    from forgery_rcnn.engine.outcomes import Goal

    table = fusing.Rescored(images, fused.scores, "of1")
    groups = np.array([member.group for member in chosen])
    along = thresholds.axes("instances", "of1", "mean")
    plan = fitting.Plan(Goal("of1", job.false_alarms), along, (), Resampling(seed=job.seed), groups)
    return fitting.fit(table, thresholds.Setting((1.0,), _start(found)), folds, plan)


def _decided(job: Job, fused: Fused, images: Sequence[Seen], folds: Sequence[np.ndarray]) -> Decided | None:
    """On image scores by numbers that know other folds only; None where there are too few images of either kind."""
    from forgery_rcnn import decision
    from forgery_rcnn.engine import deciding

    forged = np.array([image.true is not None for image in images], bool)
    if min(forged.sum(), (~forged).sum()) < decision.FEWEST:
        return None
    values = np.array([scores.max(initial=0.0) for scores in fused.scores], np.float64)
    return deciding.fit(
        values, forged, folds, FALSE_ALARMS if job.false_alarms is None else job.false_alarms, job.missed
    )


def _write(
    target: Path,
    job: Job,
    found: Ensemble,
    fused: Fused,
    fitted: tuple[Fitted, Decided | None],
    digests: Sequence[str],
) -> None:
    from forgery_rcnn.engine import deciding, fitting
    from forgery_rcnn.inference import ensemble

    thresholds, decided = fitted
    members = [(ensemble.source_of(member), member.weight) for member in found.members] + [(job.matching, 1.0)]
    told = {"fitted": fitting.as_json(thresholds, sorted({*digests, *found.fitted})), "fusion": fused.fusion.as_json()}
    if decided is not None:
        told["decision"] = deciding.as_json(decided, digests)
    target.parent.mkdir(parents=True, exist_ok=True)
    ensemble.write(target, members, "fused", thresholds.setting.config, **told)
