"""Make forged figures, with masks, manifest and pristine twins, from a folder of pristine images.

python3 -m forgery_rcnn.data.forge --hosts DIR --out ROOT --count 3000 --seed 0
python3 -m forgery_rcnn.data.forge                            # from the pictures of the built-in sample, into data/corpus
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from forgery_rcnn.cli import command, described, tyro  # first: it says what is not installed

# isort: split
from forgery_rcnn.data import sample
from forgery_rcnn.data.forge import corpus, hosts
from forgery_rcnn.data.forge.plans import WEIGHTS, Recipe
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import InputError


@dataclass(frozen=True)
class Job:
    """What is to be made, and from what."""

    hosts: Path | None = None
    """Folder of pristine images, searched with all below it; none = the training pictures of the built-in sample."""
    out: Path = Path("data/corpus")
    """The data set's folder. Where it holds a part of the same set, only the rest is made."""
    count: int = 3000
    """Figures, of which a tenth each is for validation and test."""
    seed: int = 0
    workers: int = os.cpu_count() or 1
    """Processes."""
    compound: float = 0.4
    """Share of compound figures."""
    authentic: float = 0.1
    """Share of figures in which nothing is forged."""
    operations: tuple[str, ...] = tuple(WEIGHTS)
    """What may be done to a figure."""

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("workers", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"--{name} is {getattr(self, name)}; use {least} or more")
        if self.hosts is not None and self.out.resolve().is_relative_to(self.hosts.resolve()):
            raise InputError(
                f"--out {self.out} lies in --hosts {self.hosts}: figures would become hosts; name another folder"
            )

    def recipe(self) -> Recipe:
        """The settings that decide what a figure looks like."""
        return Recipe(self.compound, self.authentic, self.operations)


@command
def main(argv: list[str] | None = None) -> int:
    """Make a data set."""
    job = tyro.cli(Job, args=argv, prog="python3 -m forgery_rcnn.data.forge", description=described(__doc__))
    recipe = job.recipe()
    screen = Screen(sys.stdout)
    folder = job.hosts or sample.host_folder()
    files = hosts.files_of(folder)
    with screen.bar("reading hosts", len(files)) as advance:
        found, refused = hosts.scan(folder, files, job.workers, advance)
    for line in refused:
        screen.say(f"left out: {line}")
    pools = hosts.pools(found)
    screen.say(f"{len(found)} hosts in {len(pools)} pools that share no picture; {len(refused)} files left out")
    with screen.bar("making figures", job.count) as advance:
        cases = corpus.build(corpus.Corpus(job.out, pools, job.count, job.seed, recipe), job.workers, advance)
    for line in told(cases):
        screen.say(line)
    screen.say(f"written: {job.out} (train_images/, train_masks/, test_images/, {corpus.MANIFEST}, {corpus.SPLITS})")
    return 0


def told(cases: list[corpus.Case]) -> list[str]:
    """Counts, as they are printed."""
    parts = Counter(f"{case.part} {case.rows[0]['label']}" for case in cases)
    operations = Counter(row["operation"] for case in cases for row in case.rows if row["operation"] != "none")
    return [
        "figures    " + ", ".join(f"{name} {count}" for name, count in sorted(parts.items())),
        "instances  " + ", ".join(f"{name} {count}" for name, count in operations.most_common()),
    ]


if __name__ == "__main__":
    sys.exit(main())
