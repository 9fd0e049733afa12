#!/usr/bin/env python3
"""Look at the data, then train a recipe's stages.

python3 edarnn.py                                        data card of the built-in sample, then the demo recipe
python3 edarnn.py --eda-only                             the data card alone
python3 edarnn.py overfit_one --data.root ROOT --out RUN
python3 edarnn.py RECIPE --help                          every setting of a recipe
python3 edarnn.py fit --weights RUN --data.root ROOT     thresholds fitted on validation images; fit --help
python3 edarnn.py fusion --weights RUN                   a detector and the twin finder as one; fusion --help
python3 edarnn.py decide --weights RUN                   authentic, forged or undecided, at a stated rate; decide --help
python3 edarnn.py ship --weights RUN --hosts DIR         weights/pretrained_final with its model card; ship --help
python3 edarnn.py compare --out OUT                      all five systems with equal budget, in one table; compare --help
python3 edarnn.py pictures --weights RUN                 every picture of a run; pictures --help
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from forgery_rcnn.cli import command, described, tyro  # first: it says what is not installed

# isort: split
from forgery_rcnn.commands import compare, decide, fit, fusion, pictures, ship
from forgery_rcnn.config import Arm, RunConfig
from forgery_rcnn.errors import InputError
from forgery_rcnn.recipes import DEFAULT, RECIPES

COMMANDS = {
    "fit": fit.main,
    "fusion": fusion.main,
    "decide": decide.main,
    "ship": ship.main,
    "compare": compare.main,
    "pictures": pictures.main,
}
"""What is no recipe: name -> main(argv) of a file in forgery_rcnn/commands, with settings and --help of its own."""

UNTRAINED = "the twin finder learns nothing; use it with encode_submission.py --weights matcher"


@dataclass(frozen=True)
class Job(RunConfig):
    """A recipe, and what this call does with it."""

    out: Path | None = None
    """Folder that the run writes to; default runs/DATE-TIME-RECIPE."""
    resume: bool = False
    """Go on with the run in --out from its last checkpoint."""
    eda_only: bool = False
    """Stop after the data card and its figures."""
    arms: tyro.conf.Fixed[tuple[Arm, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.arch == "matcher":
            raise InputError(f"--model.arch matcher: {UNTRAINED}")

    def run(self) -> RunConfig:
        """The recipe alone."""
        return RunConfig(**{f.name: getattr(self, f.name) for f in fields(RunConfig)})


def parse(argv: Sequence[str]) -> tuple[str, Job]:
    """Command line -> recipe name and Job. Without a recipe's name first, the default recipe is meant."""
    argv = list(argv)
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        argv.insert(0, DEFAULT)
    if argv[0] == "matcher":
        raise InputError(f"matcher: {UNTRAINED}")
    if argv[0] not in RECIPES and not argv[0].startswith("-"):
        raise InputError(f"no recipe {argv[0]!r}; use one of {', '.join(RECIPES)}, or {', '.join(COMMANDS)}")
    jobs = {
        name: (
            f"stages: {', '.join(stage.name for stage in recipe.stages)}",
            Job(**{f.name: getattr(recipe, f.name) for f in fields(recipe)}),
        )
        for name, recipe in RECIPES.items()
    }
    return argv[0], tyro.extras.overridable_config_cli(
        jobs, args=argv, prog="edarnn.py", description=described(__doc__)
    )


@command
def main(argv: list[str] | None = None) -> int:
    """Returns 0 when the run is done, 128 + signal when it was asked to stop and has saved itself."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and argv[0] in COMMANDS:
        return COMMANDS[argv[0]](argv[1:])
    name, job = parse(argv)
    from forgery_rcnn.engine.runlog import Screen

    leads = os.environ.get("RANK", "0") == "0"
    screen = Screen(sys.stdout if leads else None)
    out = job.out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    if leads:
        _claim(out, job)
    from forgery_rcnn.data import collection
    from forgery_rcnn.engine import experiment
    from forgery_rcnn.engine.distributed import device_of
    from forgery_rcnn.models import weights

    device_of(job.device)  # a wrong one is told before the data are read
    data = collection.open_checked(job.data, screen.bar, job.model)
    if leads and not job.resume:
        experiment.explore(data, out, screen)
    if job.eda_only:
        return 0
    run = job.run()
    given = any(word.startswith("--inference") for word in argv)
    if not given and (known := weights.fitted(job.model)):
        screen.say(f"thresholds as fitted for {job.model.weights}, from which this run starts; fit them anew after it")
        run = replace(run, inference=known)
    return experiment.train(name, run, data, out, screen, job.resume)


def _claim(out: Path, job: Job) -> None:
    """Refuse to mix two runs in one folder, and to write where one cannot."""
    if not job.resume and not job.eda_only and any(out.rglob("log.jsonl")):
        raise InputError(f"{out}: already holds a run; add --resume to go on with it, or choose another --out")
    if job.out is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("several processes need --out RUN: each would name a folder of its own, by its clock")
    if job.resume and job.out is None:
        raise InputError("--resume needs --out RUN, the folder of the run to go on with")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--out {out}: cannot be made ({error.strerror}); choose a folder that can be written"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
