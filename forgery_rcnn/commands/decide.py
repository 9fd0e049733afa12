"""Fit what an image's score says, authentic, forged or undecided, at a stated share of false alarms, and store it.

python3 edarnn.py decide --weights runs/NAME --data.root ROOT --false-alarms 0.05 --missed 0.1
python3 edarnn.py decide --weights matcher --data.root ROOT --split all --out runs/matcher/ensemble.json

Two thresholds of the image score, and Platt's sigmoid that makes it a probability, fitted to half of the validation images,
the same half as `fit` takes. encode_submission.py then writes decisions.csv, and scoring.py says how often each answer was
right; it refuses the images fitted on, and scores the other half with --split held_out.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from forgery_rcnn import decision
from forgery_rcnn.cli import described, tyro
from forgery_rcnn.config import BARE_PTH
from forgery_rcnn.data_config import Where
from forgery_rcnn.errors import require


@dataclass(frozen=True)
class Job:
    """Whose decision, on what."""

    weights: tuple[str, ...] = ()
    """A file, a run's folder, an ensemble.json, or matcher; several of these are merged. Shipped weights, the default, need
    --out."""
    false_alarms: float = 0.05
    """Call at most this share of the authentic images forged."""
    missed: float = 0.1
    """Call at most this share of the forged images authentic."""
    data: Where = field(default_factory=Where)
    split: Literal["validation", "all"] = "validation"
    """Part of the data, split as in the weights' training; all: of a root that no weights were trained on."""
    share: float = 0.5
    """Of the split's images about so many, in whole groups, are fitted on; the rest is for an honest score afterwards."""
    out: Path | None = None
    """Write an ensemble.json here; default: into the JSON of the weights, or the ensemble.json, that were named."""
    seed: int = 0
    """Of the folds of the honest estimate."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"

    def __post_init__(self) -> None:
        decision.check_shares(self.false_alarms, self.missed)
        require(0 < self.share <= 1, f"--share is {self.share}; use a share above 0, at most 1")
        require(self.seed >= 0, f"--seed is {self.seed}; use 0 or more")


def main(argv: list[str]) -> int:
    """Returns 0 when the decision is stored. Interrupted, it has changed nothing."""
    job = tyro.cli(Job, args=argv, prog="edarnn.py decide", description=described(__doc__))
    from forgery_rcnn.engine import deciding, evaluate, fitting, held_out, targets
    from forgery_rcnn.engine.distributed import device_of
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference import ensemble

    screen, device = Screen(sys.stdout), device_of(job.device)
    found = ensemble.load(job.weights, BARE_PTH)
    target = targets.check_target(found, job.out)
    there = evaluate.opened(found, job.data.root, job.data.skip_bad, job.split, screen)
    evaluate.require_unknown(job.split, found, there)
    found.to(device)
    chosen, others = held_out.of_part(there.items, there.files, job.share)
    screen.say(f"fitting a decision on {len(chosen)} images, {len(others)} of the split are held out")
    values, forged = deciding.scores(found, there, chosen, job.precision, screen)
    decided = deciding.fit(values, forged, fitting.folds(chosen, job.seed), job.false_alarms, job.missed)
    for line in deciding.lines(decided):
        screen.say(line)
    deciding.store(found, target, decided, held_out.digests([member.record for member in chosen]))
    screen.say(f"written: {target}")
    if others and job.split == "validation":
        screen.say(fitting.honest(found, target, job.data.root))
    return 0
