"""A folder of images: each looked at by itself, in several processes, then all held against each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from forgery_rcnn import tables
from forgery_rcnn.data import images, worker
from forgery_rcnn.data.layouts import folders
from forgery_rcnn.errors import InputError, printable
from forgery_rcnn.matching import between, examined, finder
from forgery_rcnn.matching.between import Held
from forgery_rcnn.matching.examined import Examined
from forgery_rcnn.matching.library import Candidate, Library
from forgery_rcnn.matching.pairs import Figure
from forgery_rcnn.matching_config import MatchingConfig

FEATURES, FEWEST, MOST = 600_000, 150, 800  # in the library at most, and of a panel
VERIFIER: between.Verifier = finder.verified
PICTURES, REPORT = "pictures", "pairs.json"  # of a report, in its folder
DECODED = 4  # files that are held in memory at once


@dataclass(frozen=True)
class Task:
    """Where the images are, where to keep what a second run need not look at again, and how to look."""

    folder: Path
    kept: Path
    config: MatchingConfig
    per_panel: int
    """Features of a panel."""

    def name(self, path: Path) -> str:
        """What a file is called in the report."""
        return path.relative_to(self.folder).as_posix()


def per_panel(files: int) -> int:
    """Features of a panel for a library of so many files: the more, the smaller the shared part may be."""
    return int(np.clip(FEATURES // files, FEWEST, MOST))


@dataclass(frozen=True)
class Listing:
    """What lies below a folder. images: sorted; refused: a line for each place that could not be looked into; left_out: what is said
    of figures in other formats, "" = there are none."""

    images: list[Path]
    refused: list[str]
    left_out: str


def listed(folder: Path, out: Path) -> Listing:
    """Everything below `folder` but what is hidden, and the pictures that a run drew, into `out` or elsewhere. Raises InputError: no
    folder, no image."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of images")
    found, others, refused = [], [], []

    def closed(error: OSError) -> None:
        refused.append(_line(error.filename, f"cannot be read ({error.strerror}); change its permissions"))

    for place, below, names in os.walk(folder, onerror=closed):
        here = Path(place)
        below[:] = [one for one in below if not one.startswith(".") and not _is_drawn(here / one, out)]
        refused += [
            _line(here / one, "a link to a folder, not followed; look at that folder")
            for one in below
            if (here / one).is_symlink()
        ]
        for path in (here / name for name in names if not name.startswith(".")):
            if path.suffix.lower() not in images.EXTENSIONS:
                others.append(path)
            elif path.is_file():
                found.append(path)
            else:
                refused.append(_line(path, "a link that leads to no file" if path.is_symlink() else "no regular file"))
    if not found:
        raise InputError(
            refused[0]
            if refused
            else f"{folder}: no image in it; expected files ending in {', '.join(images.EXTENSIONS)}"
        )
    return Listing(sorted(found), refused, folders.left_out(others))


def _line(place: Path | str, fault: str) -> str:
    return printable(f"{place}: {fault}", 500)


def _is_drawn(folder: Path, out: Path) -> bool:
    """Whether a folder holds pictures that a run drew: of a report, or overlays of a submission."""
    report = folder.name == PICTURES and (folder.parent / REPORT).is_file()
    return report or (folder / folders.DRAWN).is_file() or folder.resolve() == (out / PICTURES).resolve()


def looked_at(task: Task, files: Sequence[Path], workers: int) -> Iterator[Examined | str]:
    """Of each file in its order what it told, or in a line why it could not be read. Raises InputError: a process was killed."""
    work = partial(_one, task)
    if workers == 1 or len(files) < 2:
        yield from map(work, files)
        return
    pool = ProcessPoolExecutor(min(workers, len(files)), mp_context=get_context("spawn"), initializer=worker.begin)
    try:
        yield from pool.map(work, files)
    except BrokenProcessPool:
        raise InputError(
            "a process was killed, for want of memory perhaps; use --workers 1, what is done is kept"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _one(task: Task, path: Path) -> Examined | str:
    """Look at a file -> what it told, or why it did not, in a line."""
    try:
        tables.checked(task.name(path))
        return examined.examined(path, task.name(path), (task.config, task.per_panel), task.kept, finder.find)
    except InputError as error:
        return printable(str(error), 500)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    except images.FAULTS as error:
        return images.fault(path, error)


@dataclass(frozen=True)
class Sides:
    """Two panels that may show the same thing, each as its file and its number there, from 0."""

    files: tuple[Examined, Examined]
    panels: tuple[int, int]
    candidate: Candidate


def candidates(files: Sequence[Examined]) -> tuple[list[Sides], int]:
    """-> panels of different files that are worth a closer look, those of one file together; and of how many panels."""
    shelf, owners = Library(), []
    for number, file in enumerate(files):
        for panel, points in enumerate(file.keypoints):
            shelf.add(number, points)
            owners.append((file, panel))
    found = [
        Sides((owners[c.first][0], owners[c.second][0]), (owners[c.first][1], owners[c.second][1]), c)
        for c in sorted(shelf.candidates(), key=lambda c: (c.first, c.second))
    ]
    return found, len(shelf)


def verified(task: Task, sides: Sequence[Sides], panels: int) -> Iterator[Held | str]:
    """-> of each two panels what they share, see between.verified, or why they could not be compared: one line; panels: that
    each was held against."""
    files = {file.name: file for each in sides for file in each.files}

    @lru_cache(DECODED)
    def opened(name: str) -> Figure:
        return files[name].figure(images.read(task.folder / name).pixels)

    for each in sides:
        yield _verified(each, task.config, opened, panels)


def _verified(sides: Sides, config: MatchingConfig, opened: Callable[[str], Figure], panels: int) -> Held | str:
    boxes = np.stack([file.panels[panel] for file, panel in zip(sides.files, sides.panels, strict=True)])
    try:
        canvas = between.joined((opened(sides.files[0].name), opened(sides.files[1].name)), boxes)
        return between.verified(canvas, sides.candidate, config, VERIFIER, panels)
    except (
        InputError,
        OSError,
        *images.FAULTS,
    ) as error:  # taken away since it was read, or too large to lie beside the other
        names = " and ".join(file.name for file in sides.files)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return f"{names}: could not be compared ({reason}); compare smaller copies of them"
