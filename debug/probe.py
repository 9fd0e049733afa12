"""What a probe is, and how one is run: look at each image, measure, print, draw, write."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from debug.case import Case, Job, Specimen, open_case, screen_on_stdout
from forgery_rcnn import draw
from forgery_rcnn.cli import command, described, tyro


@dataclass(frozen=True)
class Animation:
    """Frames (h, w, 3) uint8, shown for so many milliseconds each, again and again."""

    frames: list[np.ndarray]
    milliseconds: int


Shown = Figure | Animation


@dataclass(frozen=True)
class Probe:
    """One question about a detector.

    look: one opened image -> what the probe keeps of it, small: images are looked at one at a time; None = the probe
    looks at no image. measure: the case and what was kept -> a report, a dataclass. lines: a report -> what is printed,
    the last line "verdict: ...". figures: a report -> pictures by name.
    Fields of a report with metadata {"json": False} are left out of report.json.
    """

    name: str
    question: str
    measure: Callable[[Case, list[Any]], Any]
    lines: Callable[[Any], list[str]]
    figures: Callable[[Any], Mapping[str, Shown]]
    look: Callable[[Specimen], Any] | None = None
    job: type[Job] = Job

    def out(self, job: Job) -> Path:
        """The folder that it writes to."""
        return job.out or Path("out/debug") / self.name


def drawn_only(default: Any = dataclasses.MISSING) -> Any:
    """A field of a report that is for its pictures: report.json leaves it out."""
    return dataclasses.field(default=default, metadata={"json": False})


def run(probe: Probe, doc: str | None, argv: list[str] | None = None) -> int:
    """The whole command of one probe; -> 0, or 1 when some images could not be read. Errors are one line, status 2."""

    @command
    def main(argv: list[str] | None) -> int:
        job = tyro.cli(probe.job, args=argv, prog=f"python3 -m debug.{probe.name}", description=described(doc))
        screen = screen_on_stdout()
        probe.out(job).mkdir(parents=True, exist_ok=True)  # now, not after all images have been looked at
        case = open_case(job, screen)
        kept = [probe.look(specimen) for specimen in case.specimens()] if probe.look else []
        report = probe.measure(case, kept)
        for path in write(probe, report, probe.out(job)):
            screen.say(f"written: {path}")
        for line in probe.lines(report):
            screen.say(line)
        return int(bool(case.problems))

    return main(argv)


def write(probe: Probe, report: Any, out: Path) -> list[Path]:
    """Write OUT/report.txt, report.json and the pictures; -> all paths."""
    out.mkdir(parents=True, exist_ok=True)
    text, numbers = out / "report.txt", out / "report.json"
    text.write_text("\n".join(probe.lines(report)) + "\n", encoding="utf-8")
    numbers.write_text(json.dumps(plain(report), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return [text, numbers, *(save(shown, out / name) for name, shown in probe.figures(report).items())]


def save(shown: Shown, stem: Path) -> Path:
    """Write a figure as STEM.png, an animation as STEM.gif; -> the path."""
    if isinstance(shown, Figure):
        return draw.save(shown, stem.with_name(f"{stem.name}.png"), dpi=100)
    path = stem.with_name(f"{stem.name}.gif")
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = (Image.fromarray(frame).quantize(128) for frame in shown.frames)
    first.save(path, save_all=True, append_images=rest, duration=shown.milliseconds, loop=0)
    return path


def plain(value: Any) -> Any:
    """A report -> JSON values: numbers that are not finite become null, tuples as keys are joined by +."""
    if dataclasses.is_dataclass(value):
        fields = (f for f in dataclasses.fields(value) if f.metadata.get("json", True))
        return {f.name: plain(getattr(value, f.name)) for f in fields}
    if isinstance(value, Mapping):
        return {"+".join(map(str, k)) if isinstance(k, tuple) else str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)
