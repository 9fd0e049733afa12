"""Look for regions that occur twice, in each image of a folder and between its images, and write down the evidence.

python3 -m forgery_rcnn.matching DIR                          # every image in DIR and below; into out/matching
python3 -m forgery_rcnn.matching DIR --out OUT --workers 4
python3 -m forgery_rcnn.matching DIR --between off            # each image by itself
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from forgery_rcnn.cli import command, described, tyro  # first: it says what is not installed

# isort: split
import cv2
import numpy as np
import scipy

from forgery_rcnn import draw, draw_links, tables
from forgery_rcnn.data import images
from forgery_rcnn.engine import runlog, stopping
from forgery_rcnn.errors import InputError, printable
from forgery_rcnn.matching import evidence, finder, folder, page
from forgery_rcnn.matching.evidence import Evidence, Link
from forgery_rcnn.matching.examined import Examined
from forgery_rcnn.matching.folder import Task
from forgery_rcnn.matching_config import MatchingConfig


@dataclass(frozen=True)
class Job:
    """Where to look, and where to write."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of images; those in folders below it are looked at too."""
    out: Path = Path("out/matching")
    """Folder for index.html, which is to be opened first, pairs.csv, pairs.json and pictures/. kept/ in it is what a second run
    need not look at again."""
    between: Literal["on", "off"] = "on"
    """Whether images are held against each other too."""
    pictures: int = 500
    """Draw at most so many."""
    workers: int = os.cpu_count() or 1
    """Processes."""
    matching: MatchingConfig = field(default_factory=MatchingConfig)

    def __post_init__(self) -> None:
        for name, least in (("pictures", 0), ("workers", 1)):
            if getattr(self, name) < least:
                raise InputError(f"--{name} is {getattr(self, name)}; use {least} or more")
        if self.out.resolve() == self.folder.resolve():
            raise InputError(f"--out {self.out} is the folder of images itself; name another folder")
        pictures, own = (self.out / folder.PICTURES).resolve(), self.folder.resolve()
        if pictures == own or pictures in own.parents:
            raise InputError(f"--out {self.out}: its pictures would be drawn among the images; name another folder")

    def task(self, files: int) -> Task:
        """The same for a folder of so many files."""
        return Task(self.folder, self.out / "kept", self.matching, folder.per_panel(files))


@command
def main(argv: list[str] | None = None) -> int:
    """Returns 0, or 1 when some images could not be read: they are named, here and in the report."""
    job = tyro.cli(Job, args=argv, prog="python3 -m forgery_rcnn.matching", description=described(__doc__))
    screen, there = runlog.Screen(sys.stdout), folder.listed(job.folder, job.out)
    files = there.images
    tables.require_writable(job.out / "index.html")
    screen.say(f"{len(files)} images of {job.folder}")
    if there.left_out:
        screen.say(f"note: {there.left_out}")
    settings = asdict(job.matching) | {"between": job.between}
    found = Evidence(
        job.folder.resolve().name,
        (),
        (),
        tuple(there.refused),
        len(files),
        settings,
        _versions(),
        left_out=there.left_out,
    )
    with stopping.listening() as stop:
        found = _looked(job, files, found, stop, screen)
        if not found.files and found.refused:
            for line in found.refused:
                screen.say(f"error: {line}")
            raise InputError(
                f"none of the {len(files)} images could be read; the first: {found.refused[len(there.refused)]}"
            )
        if job.between == "off":
            found = replace(found, unheld="images were not held against each other (--between off)")
        elif stop:
            found = replace(found, unheld="images were not held against each other: stopped before")
        else:
            found = _held_together(job, found, stop, screen)
        found = _drawn(job, found, stop, screen)
    _written(job, found)
    for line in found.refused:
        screen.say(f"error: {line}")
    screen.say(f"written: {job.out / 'index.html'} (open it first), pairs.csv, pairs.json")
    screen.say(f"verdict: {found.verdict()}")
    if stop:
        screen.say("interrupted; the same command goes on from here")
        return 128 + stop.number
    return 1 if found.refused else 0


def _versions() -> dict[str, str]:
    numbers = {"Python": platform.python_version(), "numpy": np.__version__, "OpenCV": cv2.__version__}
    return {"forgery_rcnn": runlog.commit()} | numbers | {"scipy": scipy.__version__}


def _looked(job: Job, files: list[Path], found: Evidence, stop: stopping.StopSignal, screen: runlog.Screen) -> Evidence:
    """Each file by itself."""
    told: list[Examined] = []
    links: list[Link] = []
    refused = list(found.refused)
    with screen.bar("looking at images", len(files)) as advance:
        for outcome in folder.looked_at(job.task(len(files)), files, job.workers):
            advance()
            if isinstance(outcome, str):
                refused.append(outcome)
            else:
                mine = [Link(len(links) + n, outcome, outcome, pair) for n, pair in enumerate(outcome.pairs, 1)]
                told, links = [*told, outcome], [*links, *mine]
                screen.say(_line(outcome.name, mine))
            if stop:
                break
    unseen = len(files) - len(told) - len(refused) + len(found.refused)
    return replace(found, files=tuple(told), links=tuple(links), refused=tuple(refused), unseen=unseen)


def _line(name: str, links: Sequence[Link]) -> str:
    """What is printed per image, or per two."""
    if not links:
        return f"{printable(name)}: nothing found"
    more = f" (and {len(links) - 1} more)" if len(links) > 1 else ""
    return f"{printable(name)}: pair {links[0].number}: {evidence.phrase(links[0])}{more}"


def _held_together(job: Job, found: Evidence, stop: stopping.StopSignal, screen: runlog.Screen) -> Evidence:
    """The files against each other."""
    sides, panels = folder.candidates(found.files)
    screen.say(
        f"panels held against each other: {panels}, of {len(found.files)} images; pairs of them to verify: {len(sides)}"
    )
    links, refused, verified, excused = list(found.links), list(found.refused), 0, dict(found.excused)
    with screen.bar("verifying pairs of panels", len(sides)) as advance:
        for each, held in zip(sides, folder.verified(job.task(len(found.files)), sides, panels), strict=True):
            advance()
            verified += 1
            if isinstance(held, str):
                refused.append(held)
                continue
            names = each.files[0].name, each.files[1].name
            if held.excused:
                excused[names] = tuple(dict.fromkeys((*excused.get(names, ()), *held.excused)))
            new = [pair for pair in held.pairs if not any(_as(Link(0, *each.files, pair), other) for other in links)]
            mine = [Link(len(links) + n, *each.files, pair) for n, pair in enumerate(new, 1)]
            links.extend(mine)
            if mine:
                screen.say(_line(" and ".join(file.name for file in each.files), mine))
            if stop:
                break
    left = f"stopped after {verified} of {len(sides)} pairs of panels" if verified < len(sides) else ""
    found = replace(found, links=tuple(links), refused=tuple(refused), unheld=left)
    return replace(found, excused={names: line for names, line in excused.items() if names not in found.between()})


def _as(link: Link, other: Link) -> bool:
    """Whether two links say the same: two candidates may end at one motion."""
    if (link.a.name, link.b.name) != (other.a.name, other.b.name):
        return False
    return finder.is_told((link.pair.first, link.pair.second, link.pair.matrix), other.pair, link.a.size[0])


def _drawn(job: Job, found: Evidence, stop: stopping.StopSignal, screen: runlog.Screen) -> Evidence:
    """A picture for each flagged image, and for each two that share a region; the most telling pairs are numbered first."""
    groups = [(name, name) for name in dict.fromkeys(link.a.name for link in found.links if link.a.name == link.b.name)]
    groups += list(found.between())
    paths = {}
    with screen.bar("drawing", min(len(groups), job.pictures)) as advance:
        for place, names in enumerate(groups[: job.pictures], 1):
            if stop:
                break
            links = found.within(names[0]) if names[0] == names[1] else found.between()[names]
            path = job.out / folder.PICTURES / draw.file_name(place, "+".join(dict.fromkeys(names)))
            draw.save(_picture(job, links), path)
            paths |= {link.number: path.relative_to(job.out).as_posix() for link in links}
            advance()
    return replace(found, links=tuple(replace(link, picture=paths.get(link.number, "")) for link in found.links))


def _picture(job: Job, links: Sequence[Link]) -> draw_links.Figure:
    a, b = links[0].a, links[0].b
    arrows: dict[str, Literal["first", "second", "none"]] = {"first": "second", "second": "first"}
    ties = [
        draw_links.Tie(
            link.number, link.pair.first, link.pair.second, link.pair.matrix, evidence.phrase(link),
            arrows.get(link.pair.original, "none"),
        )
        for link in links
    ]  # fmt: skip
    pixels = images.read(job.folder / a.name).pixels
    if a.name == b.name:
        return draw_links.within(pixels, ties, a.name)
    other = images.read(job.folder / b.name).pixels
    return draw_links.between(pixels, other, ties, (a.name, b.name), f"{a.name} and {b.name}")


def _written(job: Job, found: Evidence) -> None:
    """Each file whole or not at all."""
    said = {"pairs.csv": evidence.to_csv, folder.REPORT: evidence.to_json, "index.html": page.to_html}
    for name, text in said.items():
        tables.save(job.out / name, text(found))


if __name__ == "__main__":
    sys.exit(main())
