"""What a healthy and a broken detector look like, probe by probe: the pictures of docs/probes.md.

python3 -m debug.gallery --weights runs/twelve --sick runs/sick --out docs/probes
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from debug import boxes, features, gradients, masks, oracle, rpn, scores, spoil, stages
from debug.case import Case, Job, open_case, screen_on_stdout
from debug.probe import Probe, save
from forgery_rcnn.cli import command, described, tyro

PAIRS: tuple[tuple[Probe, str, tuple[str, ...]], ...] = (
    (oracle.PROBE, "scores", ("ladder",)),
    (rpn.PROBE, "proposals", ("recall", "proposals")),
    (boxes.PROBE, "boxes", ("boxes",)),
    (scores.PROBE, "scores", ("scores",)),
    (masks.PROBE, "masks", ("dice", "regions")),
    (features.PROBE, "encoder", ("features",)),
    (gradients.PROBE, "units", ("gradients", "dead_units")),
)
"""Each probe, the part that is broken for its bad pictures, and which of its pictures."""
OF_RUNS: tuple[tuple[Probe, tuple[str, ...]], ...] = (
    (boxes.PROBE, ("filmstrip",)),
    (stages.PROBE, ("curves", "heads")),
)
"""Probes of a run's epochs, and which of their pictures."""


@dataclass(frozen=True)
class GalleryJob(Job):
    """A healthy run, a sick one, and where the pictures go."""

    sick: str | None = None
    """A run that did not learn, for the bad picture of debug.stages; none = no pictures of runs."""


@command
def main(argv: list[str] | None = None) -> int:
    """Write OUT/PROBE-good-PICTURE.png and -bad-, and OUT/verdicts.md; returns 0."""
    job = tyro.cli(GalleryJob, args=argv, prog="python3 -m debug.gallery", description=described(__doc__))
    screen, out = screen_on_stdout(), job.out or Path("out/debug/gallery")
    case = open_case(job, screen)
    rows = []
    for probe, part, names in PAIRS:
        sick = replace(case, model=copy.deepcopy(case.model))
        spoil.BREAKS[part](sick.model)
        pair = (_shown(probe, c, out / f"{probe.name}-{mark}", names) for c, mark in ((case, "good"), (sick, "bad")))
        rows.append((probe, spoil.WORDS[part], *pair))
    if job.sick is not None:
        sick = open_case(replace(job, weights=job.sick), screen)
        for probe, names in OF_RUNS:
            both = ((case, "good"), (sick, "bad"))
            pair = (_shown(probe, c, out / f"{probe.name}-run-{mark}", names) for c, mark in both)
            rows.append((probe, "a run that did not learn", *pair))
    lines = ["| probe | detector | verdict |", "|---|---|---|"]
    for probe, broken, good, bad in rows:
        lines += [f"| {probe.name} | healthy | {good} |", f"| | {broken} | {bad} |"]
    (out / "verdicts.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    screen.say(f"written: {out}/*.png, {out / 'verdicts.md'}")
    return 0


def _shown(probe: Probe, case: Case, stem: Path, names: tuple[str, ...]) -> str:
    """Run one probe, save these of its pictures as STEM-NAME.png; -> its verdict."""
    own = replace(case, job=probe.job(**_fields(case, probe)))
    kept = [probe.look(specimen) for specimen in case.specimens()] if probe.look else []
    report = probe.measure(own, kept)
    pictures = probe.figures(report)
    for name in (name for name in names if name in pictures):  # too few images: no picture
        path = save(pictures[name], stem.with_name(f"{stem.name}-{name}"))
        with Image.open(path) as picture:
            smaller = picture.convert("RGB").quantize(128)  # a third of the bytes
        smaller.save(path, optimize=True)
    return probe.lines(report)[-1].removeprefix("verdict: ")


def _fields(case: Case, probe: Probe) -> dict[str, Any]:
    """The job's settings that the probe has too."""
    return {name: value for name, value in vars(case.job).items() if name in probe.job.__dataclass_fields__}


if __name__ == "__main__":
    sys.exit(main())
