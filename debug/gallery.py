"""What a healthy and a broken detector look like, probe by probe: the pictures of docs/probes.md.

python3 -m debug.gallery --weights runs/overfit_few --sick runs/sick --out docs/probes
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from debug import boxes, features, gradients, masks, oracle, rpn, scores, spoil, stages
from debug.case import Case, Job, open_case, screen_on_stdout
from debug.probe import Probe, Shown, save
from forgery_rcnn.cli import command, described, tyro

PAIRS: tuple[tuple[Probe, str], ...] = (
    (oracle.PROBE, "scores"),
    (rpn.PROBE, "proposals"),
    (boxes.PROBE, "boxes"),
    (scores.PROBE, "scores"),
    (masks.PROBE, "masks"),
    (features.PROBE, "encoder"),
    (gradients.PROBE, "units"),
)
"""Each probe, and the part that is broken for its bad picture; stages compares two runs."""


@dataclass(frozen=True)
class GalleryJob(Job):
    """A healthy run, a sick one, and where the pictures go."""

    sick: str | None = None
    """A run that did not learn, for the bad picture of debug.stages; none = no picture of stages."""


@command
def main(argv: list[str] | None = None) -> int:
    """Write OUT/PROBE-FIGURE-good.png and -bad.png, and OUT/verdicts.md; returns 0."""
    job = tyro.cli(GalleryJob, args=argv, prog="python3 -m debug.gallery", description=described(__doc__))
    screen, out = screen_on_stdout(), job.out or Path("out/debug/gallery")
    case = open_case(job, screen)
    rows = []
    for probe, part in PAIRS:
        sick = replace(case, model=copy.deepcopy(case.model))
        spoil.BREAKS[part](sick.model)
        rows.append(
            (probe, spoil.WORDS[part], *(_shown(probe, c, out, mark) for c, mark in ((case, "good"), (sick, "bad"))))
        )
    if job.sick is not None:
        sick = open_case(replace(job, weights=job.sick), screen)
        found = (_shown(stages.PROBE, c, out, mark) for c, mark in ((case, "good"), (sick, "bad")))
        rows.append((stages.PROBE, "a run that did not learn", *found))
    lines = ["| probe | detector | verdict |", "|---|---|---|"]
    for probe, broken, good, bad in rows:
        lines += [f"| {probe.name} | healthy | {good} |", f"| | {broken} | {bad} |"]
    (out / "verdicts.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    screen.say(f"written: {out}/*.png, {out / 'verdicts.md'}")
    return 0


def _shown(probe: Probe, case: Case, out: Path, mark: str) -> str:
    """Run one probe, save its pictures with `mark` in their names; -> its verdict."""
    own = replace(case, job=probe.job(**_fields(case, probe)))
    kept = [probe.look(specimen) for specimen in case.specimens()] if probe.look else []
    report = probe.measure(own, kept)
    pictures: Mapping[str, Shown] = probe.figures(report)
    for name, shown in pictures.items():
        path = save(shown, out / f"{probe.name}-{name}-{mark}")
        if path.suffix == ".png":
            Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)  # a third of the bytes
    return probe.lines(report)[-1].removeprefix("verdict: ")


def _fields(case: Case, probe: Probe) -> dict[str, Any]:
    """The job's settings that the probe has too."""
    return {name: value for name, value in vars(case.job).items() if name in probe.job.__dataclass_fields__}


if __name__ == "__main__":
    sys.exit(main())
