"""Find everything that is wrong with a data root, and write a repaired copy of it.

python3 -m forgery_rcnn.data.doctor ROOT                  report.html and report.json in out/doctor
python3 -m forgery_rcnn.data.doctor ROOT --out DIR
python3 -m forgery_rcnn.data.doctor ROOT --fix NEW        a repaired copy; the original is never touched

Exit status: 0 = no error and no warning, 1 = at least one, 2 = the root cannot be read.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from forgery_rcnn.cli import command, described, tyro  # first: it says what is not installed

# isort: split
from forgery_rcnn.data.doctor import examine, layout, page, repair
from forgery_rcnn.data.doctor.examine import Examination
from forgery_rcnn.data.doctor.findings import CHECKS
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import InputError, printable

NAMED = 3  # files of a check on the terminal


@dataclass(frozen=True)
class Job:
    """A root to look at, and where to write."""

    root: Annotated[Path, tyro.conf.Positional]
    """Data root in the competition's layout."""
    out: Path = Path("out/doctor")
    """Folder for report.html and report.json."""
    fix: Path | None = None
    """Write a repaired copy of the whole root to this new folder."""
    workers: int = min(8, os.cpu_count() or 1)
    """Processes that read files."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"--workers {self.workers}: must be 1 or more")


@command
def main(argv: list[str] | None = None) -> int:
    """Returns 0 when nothing is wrong, 1 when something is."""
    job = tyro.cli(Job, args=argv, prog="python3 -m forgery_rcnn.data.doctor", description=described(__doc__))
    screen = Screen(sys.stdout)
    total = len(layout.walk(job.root).cases)
    repair.check_target(job.root, job.out / "report.html", "--out")
    if job.fix is not None:
        repair.check_target(job.root, job.fix, "--fix")
        repair.check_empty(job.fix, "--fix")
    with screen.bar("looking at cases", total) as advance:
        found = examine.examine(job.root, job.workers, advance)
    for name, text in (("report.json", page.to_json(found)), ("report.html", page.to_html(found))):
        job.out.mkdir(parents=True, exist_ok=True)
        (job.out / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    print("\n".join(lines(found)))
    if job.fix is not None:
        with screen.bar("writing the copy", total) as advance:
            steps = repair.repair(found, job.fix, job.workers, advance)
        print(f"repaired copy: {job.fix} ({steps} lines in {repair.TABLE})")
    print(f"written: {job.out / 'report.html'}, {job.out / 'report.json'}")
    print(f"verdict: {found.verdict()}")
    counts = found.counts()
    return int(counts["errors"] + counts["warnings"] > 0)


def lines(found: Examination) -> list[str]:
    """What was counted, then one line for each check that found something, with its first files."""
    counts = found.counts()
    out = [f"images {counts['images']} ({counts['readable_images']} readable), masks {counts['masks']}"]
    for name, number in counts["checks"].items():
        first = [printable(f.files[0].as_posix(), 80) for f in found.findings if f.check == name][:NAMED]
        more = ", …" if number > NAMED else ""
        out.append(f"  {CHECKS[name].severity:7} {number:5}  {CHECKS[name].title}: {', '.join(first)}{more}")
    return out


if __name__ == "__main__":
    sys.exit(main())
