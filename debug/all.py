"""Every probe on one detector -> one page that opens anywhere: which part fails, and the evidence.

python3 -m debug.all                                     the shipped weights, on the images that they were scored on, else the sample
python3 -m debug.all --weights runs/NAME --images ROOT --count 50 --out DIR
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from debug import boxes, features, gradients, masks, oracle, page, rpn, scores, stages
from debug.case import Case, Job, open_case, screen_on_stdout
from debug.page import Section
from debug.probe import Probe, write
from forgery_rcnn.cli import command, described, tyro
from forgery_rcnn.errors import InputError

PROBES: tuple[Probe, ...] = tuple(m.PROBE for m in (oracle, rpn, boxes, scores, masks, features, gradients, stages))
PAGE = "report.html"
PROBES_OF = {"proposals": ["rpn"], "boxes": ["boxes"], "scores": ["scores", "features"], "masks": ["masks"]}


def examined(case: Case, out: Path, probes: Sequence[Probe] = PROBES) -> list[Section]:
    """Look at every image once, for all probes; write each one's files under OUT/NAME; -> the page's sections.

    A probe that cannot tell says why in its section. Raises InputError where no image can be read.
    """
    kept: dict[str, list[Any]] = {probe.name: [] for probe in probes}
    for specimen in case.specimens():
        for probe in probes:
            if probe.look is not None:
                kept[probe.name].append(probe.look(specimen))
    return [_section(case, probe, kept[probe.name], out / probe.name) for probe in probes]


def _section(case: Case, probe: Probe, kept: list[Any], out: Path) -> Section:
    began = time.monotonic()
    own = dataclasses.replace(case, job=probe.job(**vars(case.job)))
    try:
        report = probe.measure(own, kept)
        files = write(probe, report, out)
        lines = probe.lines(report)
    except InputError as error:
        report, files, lines = None, [], [f"verdict: cannot be told: {error}"]
    case.screen.say(f"  {probe.name:<10} {lines[-1]}   ({time.monotonic() - began:.1f} s)")
    pictures = [path for path in files if path.suffix in (".png", ".gif")]
    return Section(probe.name, probe.question, report, lines[:-1], lines[-1].removeprefix("verdict: "), pictures)


def headline(sections: Sequence[Section]) -> list[Section]:
    """The oracle's section, and those of the probes of the parts that it blames, in the order of the pipeline."""
    by_name = {section.name: section for section in sections}
    first = by_name["oracle"]
    blamed = [] if first.report is None else first.report.blamed()
    return [first, *(by_name[name] for part in blamed for name in PROBES_OF[part])]


@command
def main(argv: list[str] | None = None) -> int:
    """Returns 0, or 1 when some images could not be read."""
    job = tyro.cli(Job, args=argv, prog="python3 -m debug.all", description=described(__doc__))
    screen, out = screen_on_stdout(), job.out or Path("out/debug/all")
    out.mkdir(parents=True, exist_ok=True)
    case = open_case(job, screen)
    sections = examined(case, out)
    path = out / PAGE
    first = headline(sections)
    path.write_text(page.html(case, sections, first), encoding="utf-8")
    screen.say(f"written: {path}, and each probe's text, numbers and pictures under {out}/")
    for section in first[1:]:
        screen.say(f"{section.name}: {section.verdict}")
    screen.say(f"verdict: {first[0].verdict}")
    return int(bool(case.problems))


if __name__ == "__main__":
    sys.exit(main())
