#!/usr/bin/env python3
"""The twin finder: how exact, how often wrong on untouched images, how fast; beside a plain script in the same run.

PYTHONPATH=. python benchmarks/matching.py docs/results/matching.md --hosts DIR --noso DIR --corpus data/corpus
PYTHONPATH=. python benchmarks/matching.py --quick --sets planted clean --hosts DIR --show out/pictures --per-case out/cases.csv

Every image goes through both finders in turns, one thread each; times are the processor's. *F1*: of pixels, regions and
copies of all pairs together against truth, 0 where nothing was found, the mean over images. *found*: images with a pair
that meets the truth (F1 of 0.1 and more). *false alarms*: images without twins in which a pair was reported. Intervals:
Wilson, 95 %. *likeness*: how well a region's detail correlates with its copy's where the motion is known. *plain*: SIFT with
OpenCV's defaults, ratio test, RANSAC, local correlation (benchmarks/plain_matcher.py).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import contextlib
import csv
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import matching_cases
import matching_fates
import matching_pictures
import matching_tables
import numpy as np
import plain_matcher
from matching_cases import Case, Scene

from forgery_rcnn import rle
from forgery_rcnn.cli import command
from forgery_rcnn.errors import require
from forgery_rcnn.matching import finder
from forgery_rcnn.matching.pairs import Finding
from forgery_rcnn.matching_config import METHODS, MatchingConfig

SETS = ("noso", "planted", "corpus", "clean")
COUNTS = {
    "quick": {"noso": 6, "planted": 30, "corpus": 20, "clean": 4},
    "full": {"noso": 18, "planted": 60, "corpus": 50, "clean": 8},
}
"""Images of each set; of clean: of each folder of hosts."""
POOR = 0.5  # F1 below which a picture is saved


ABOUT = ("kind", "operation", "transform", "treatment", "texture", "hosts", "area")
Way = Callable[[np.ndarray], Finding | np.ndarray]


@dataclass(frozen=True)
class Row:
    """One image through one finder. why: of a known motion, whether it was proposed and what became of it."""

    finder: str
    part: str
    name: str
    kind: str
    operation: str
    transform: str
    treatment: str
    texture: str
    hosts: str
    area: str
    twins: str
    f1: float
    precision: float
    recall: float
    flagged: int
    pairs: int
    score: float
    found_by: str
    seconds: float
    megapixels: float
    likeness: str
    why: str


def mask_of(finding: Finding) -> np.ndarray:
    """-> (H, W) bool: both regions of all pairs."""
    sides = [side for pair in finding.pairs for side in (pair.first, pair.second)]
    return rle.mask_of(rle.joined(np.concatenate(sides)) if sides else rle.EMPTY, finding.figure.size)


def counted(found: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """-> F1, precision, recall of pixels; 0 where undefined."""
    hits, both = np.count_nonzero(found & truth), np.count_nonzero(found) + np.count_nonzero(truth)
    return (
        2 * hits / max(both, 1),
        hits / max(np.count_nonzero(found), 1),
        hits / max(np.count_nonzero(truth), 1),
    )


def looked_at(case: Case, scene: Scene, ways: Mapping[str, Way]) -> dict[str, tuple[Row, Finding | None]]:
    """One image through each finder."""
    about = {name: case.about.get(name, "") for name in ABOUT}
    about["area"] = about["area"] or (matching_cases.area_of(scene.truth) if scene.truth.any() else "")
    about |= {"twins": "yes" if scene.truth.any() else "no", "likeness": matching_fates.likeness_of(scene)}
    rows: dict[str, tuple[Row, Finding | None]] = {}
    for name, way in ways.items():
        began = time.process_time()  # of one thread: others on the machine do not count
        answer = way(scene.pixels)
        spent = time.process_time() - began
        finding = answer if isinstance(answer, Finding) else None
        found = answer if isinstance(answer, np.ndarray) else mask_of(answer)
        f1, precision, recall = (round(value, 4) for value in counted(found, scene.truth))
        pairs = finding.pairs if finding else ()
        rows[name] = Row(
            **{"finder": name, "part": case.part, "name": case.name}, **about, f1=f1, precision=precision, recall=recall,
            flagged=int(found.any()), pairs=len(pairs), score=round(max((float(p.score) for p in pairs), default=0.0), 4),
            found_by="+".join(sorted({p.found_by for p in pairs})), seconds=round(spent, 3), megapixels=round(found.size / 1e6, 4),
            why="; ".join(sorted({matching_fates.became(m, scene.truth, finding) for m in scene.motions})) if finding else "",
        ), finding  # fmt: skip
    return rows


def cases_of(args: argparse.Namespace) -> tuple[list[Case], list[str]]:
    """-> all images to look at, and a line for each set that is left out."""
    count = {name: max(1, round(args.times * n)) for name, n in COUNTS["quick" if args.quick else "full"].items()}
    makers = {
        "noso": (args.noso, lambda: matching_cases.noso(args.noso, count["noso"])),
        "planted": (args.hosts, lambda: matching_cases.planted(args.hosts, count["planted"], args.seed)),
        "corpus": (args.corpus, lambda: matching_cases.corpus(args.corpus, count["corpus"], args.seed)),
        "clean": (args.hosts, lambda: matching_cases.clean(args.hosts, count["clean"], args.seed)),
    }
    cases, left_out = [], []
    for name in SETS:
        folder, maker = makers[name]
        if name not in args.sets:
            continue
        if folder is None:
            left_out.append(
                f"{name}: left out, no folder given (--{'hosts' if name in ('planted', 'clean') else name})"
            )
        else:
            cases += maker()
    if args.only:
        cases = [case for case in cases if any(word in f"{case.part}-{case.name}" for word in args.only)]
    return cases, left_out


def measured(cases: Sequence[Case], args: argparse.Namespace) -> list[Row]:
    """Every image through the finders; pictures of the poor ones, and the rows as they come, where asked for."""
    config = MatchingConfig(methods=tuple(args.methods))
    ways: dict[str, Way] = {"ours": lambda pixels: finder.find(pixels, config)}
    if not args.alone:
        ways["plain"] = plain_matcher.find
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        writer = None
        if args.per_case:
            args.per_case.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(args.per_case.open("w", encoding="utf-8", newline="", buffering=1))
            writer = csv.DictWriter(file, [*Row.__dataclass_fields__])
            writer.writeheader()
        for number, case in enumerate(cases, 1):
            scene = case.scene()
            if scene is None:
                continue
            done = looked_at(case, scene, ways)
            rows += [row for row, _ in done.values()]
            if writer:
                writer.writerows(asdict(row) for row, _ in done.values())
            if args.show:
                shown(args.show, scene, *done["ours"], args.only)
            if number % 20 == 0:
                print(f"{number} of {len(cases)}", file=sys.stderr)
    return rows


def shown(folder: Path, scene: Scene, row: Row, finding: Finding | None, only: Sequence[str] | None) -> None:
    """A picture, of an image that was missed, found poorly or in vain, or asked for by name."""
    poor = row.f1 < POOR if scene.truth.any() else bool(row.flagged)
    if finding is None or not (poor or only):
        return
    verdict = "good" if not poor else "missed" if not row.flagged else "poor" if scene.truth.any() else "alarm"
    about = ", ".join(f"{name} {value}" for name in (*ABOUT, "likeness") if (value := getattr(row, name)))
    title = f"{row.part} {row.name}: {about}; F1 {row.f1} P {row.precision} R {row.recall} {row.seconds} s; motion: {row.why}"
    matching_pictures.save(folder, f"{verdict}-{row.part}-{row.name}", scene, finding, title)


def parsed(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path, nargs="?", help="write the tables here")
    parser.add_argument("--quick", action="store_true", help="a sample of each set")
    parser.add_argument("--times", type=float, default=1.0, help="so many times the images")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--hosts", type=Path, help="folder of untouched pictures, a folder for each set of them")
    parser.add_argument("--noso", type=Path, help="folder of the NoSo database")
    parser.add_argument("--corpus", type=Path, help="folder of made figures, as `make corpus` writes it")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--alone", action="store_true", help="without the plain script")
    parser.add_argument("--only", nargs="+", help="images whose set and name hold one of these words")
    parser.add_argument("--show", type=Path, help="folder for pictures of misses and false alarms")
    parser.add_argument("--per-case", type=Path, help="CSV with a line per image")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    for name in ("hosts", "noso", "corpus"):
        folder = getattr(args, name)
        require(
            folder is None or folder.is_dir(), f"{folder}: no such folder; leave --{name} out, or pass the right one"
        )
    return args


@command
def main(argv: list[str] | None = None) -> int:
    args = parsed(argv)
    cv2.setNumThreads(1)
    cases, left_out = cases_of(args)
    rows = measured(cases, args)
    text = matching_tables.page(rows, left_out, __doc__ or "")
    print(text)
    if args.page:
        args.page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
