"""A repaired copy of a data root: what is certain is mended, what is not is left out, and every step is listed."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from forgery_rcnn import tables
from forgery_rcnn.data.doctor import cases, examine
from forgery_rcnn.data.doctor.examine import Examination
from forgery_rcnn.data.doctor.findings import LEAKS, Finding
from forgery_rcnn.data.doctor.layout import IMAGES, MASKS, Case
from forgery_rcnn.errors import InputError, printable

TABLE = "repairs.csv"
FORGED = Path("train_images/forged")


def check_target(root: Path, out: Path, flag: str) -> None:
    """Raises InputError when `out` lies inside `root` or the other way round: the original is never touched."""
    inner, outer = out.resolve(), root.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise InputError(f"{flag} {out}: lies inside {root}, or holds it; name a folder elsewhere")


def check_empty(out: Path, flag: str) -> None:
    """Raises InputError when `out` is a file or holds anything."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{flag} {out}: is there already and not empty; name a new folder")


def repair(found: Examination, out: Path, workers: int, advance: Callable[[], None] = lambda: None) -> int:
    """Write the repaired copy to the new or empty folder `out`, with repairs.csv; -> the number of its rows.

    Raises InputError where `out` cannot be used. Hidden files, and folders that are links, are not copied.
    """
    check_target(found.root, out, "--fix")
    check_empty(out, "--fix")
    about = defaultdict(list)
    for finding in found.findings:
        about[finding.files[0]].append(finding)
    for folder in (*IMAGES, *MASKS):
        if (found.root / folder).is_dir():
            (out / folder).mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, str]] = []
    for path in found.layout.others:
        wanted = all(finding.remedy != "left out" for finding in about[path])
        copied = wanted and (found.root / path).is_file() and os.access(found.root / path, os.R_OK)
        if copied:
            _copy(found.root / path, out / path)
        rows += _rows(path, about[path], "copied" if copied else "left out")
    files = {path for case in found.layout.cases for path in case.files()}.union(found.layout.others)
    for path in sorted(about.keys() - files):  # folders
        rows += _rows(path, about[path], "kept")
    work = [(case, [f for path in case.files() for f in about[path]]) for case in found.layout.cases]
    for of_case in examine.over(partial(_one, found.root, out), work, workers):
        rows += of_case
        advance()
    tables.write(out / TABLE, ("file", "finding", "done"), rows)
    return len(rows)


def _one(root: Path, out: Path, work: tuple[Case, list[Finding]]) -> list[tuple[str, str, str]]:
    """Write one case's files, none of a case that leaks a test image; -> the rows of the table."""
    case, found = work
    about = {path: [f for f in found if f.files[0] == path] for path in case.files()}
    lost = {path for path in about if any(finding.remedy == "left out" for finding in about[path])}
    leaks = any(finding.check in LEAKS for finding in found)
    partners = (set(about) if leaks else _partners(case, lost)) - lost
    kept = [path for path in about if path not in lost | partners]
    rewritten = cases.study(root, case).rewritten if any(about[path] for path in kept) else {}
    rows = [row for path in sorted(lost) for row in _rows(path, about[path], "left out")]
    rows += [(_shown(path), "", "left out with its partner") for path in sorted(partners)]
    for path in kept:
        moved = any(finding.remedy == "moved" for finding in about[path])
        target = FORGED / path.name if moved else path
        if path in rewritten:
            target = target.with_name(f"{case.case_id}{'.npy' if path in case.masks else '.png'}")
            _write(out / target, rewritten[path])
        else:
            _copy(root / path, out / target)
        done = "rewritten" if path in rewritten else "copied"
        rows += _rows(path, about[path], f"{done} as {_shown(target)}" if target != path else done)
    return rows


def _partners(case: Case, lost: set[Path]) -> set[Path]:
    """What is worth nothing without the files left out: a forged image without its mask, a mask without its image."""
    marked = case.images["forged"] or case.images["authentic"]
    if case.masks[:1] and case.masks[0] in lost:
        return set(marked)
    if case.masks and all(path in lost for path in marked):
        return set(case.masks)
    return set()


def _rows(path: Path, found: list[Finding], done: str) -> list[tuple[str, str, str]]:
    return [(_shown(path), f"{finding.check}: {printable(finding.found)}", done) for finding in found]


def _shown(path: Path) -> str:
    return printable(path.as_posix(), 1000)


def _copy(source: Path, target: Path) -> None:
    """Byte for byte, without the permissions and dates."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write(target: Path, array: np.ndarray) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".npy":
        np.save(target, array)
    else:
        Image.fromarray(array).save(target)
