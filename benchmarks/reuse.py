"""Reuse between files: how the index of features grows, what it finds again, what it offers in vain.

PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE python benchmarks/reuse.py docs/results/reuse.md                      (some 2 minutes)
PYTHONPATH=. python benchmarks/reuse.py docs/results/reuse.md --hosts DIR --sizes 100 1000 10000 --cache DIR

Panels: crops of 240 to 280 px of the hosts, each at a place, size and turn of its own; a host is a file, and its crops are not held
against each other. Every twentieth panel is planted in a file of its own: another panel, treated in one of the WAYS. A larger
library holds the panels of the smaller ones. *index* is the time from features to candidates, on one core, all panels against
all others; *memory* the peak of a process of its own, less what it held before. *Planted* counts as found where it is
among the candidates, and *verified* where the candidate also passes verification. *Vain* are candidates of panels that were not
planted: each costs a verification; of a sample of them the verification's answers are counted too. Collections hold pictures of
one specimen, and one picture in several sizes: of 11 pairs of *one collection* that were verified, and looked at by eye, 10 were
the same picture or specimen. What is verified of *two collections* is a false alarm, unless both hold the picture; so their files are
named. The exponent is the slope of a line through the logarithms: 1 = as the library, 2 = as its pairs.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import cv2
import numpy as np
import tyro

from forgery_rcnn.data import sample
from forgery_rcnn.data.forge import hosts
from forgery_rcnn.matching import between, folder
from forgery_rcnn.matching.keypoints import Keypoints, described
from forgery_rcnn.matching.library import Candidate, Library
from forgery_rcnn.matching.pairs import Figure, gray_of
from forgery_rcnn.matching_config import MatchingConfig

EVERY, BACK = 20, 10  # every twentieth panel is planted: the one that came ten before it
FEATURES = 200  # of a panel
BLOCK = 24  # hosts whose panels are described, and kept, together
SIDES = (240, 280)  # px of a crop
VERIFIED = 20  # candidates of each kind, at most


def _warped(pixels: np.ndarray, turn: float, scale: float) -> np.ndarray:
    """Turned about the middle and scaled, in the same frame, mirrored beyond the border."""
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, scale)
    return cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def _jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mirrored, JPEG 85": lambda p: _jpeg(np.ascontiguousarray(p[:, ::-1]), 85),
    "turned by 90 degrees, JPEG 85": lambda p: _jpeg(np.ascontiguousarray(np.rot90(p)), 85),
    "turned by 37 degrees": lambda p: _warped(p, 37, 1.0),
    "mirrored, turned by 200 degrees": lambda p: _warped(np.ascontiguousarray(p[:, ::-1]), 200, 1.0),
    "0.7 times as large": lambda p: cv2.resize(p, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA),
    "1.4 times as large": lambda p: cv2.resize(p, None, fx=1.4, fy=1.4, interpolation=cv2.INTER_CUBIC),
    "JPEG 60": lambda p: _jpeg(p, 60),
    "brighter, more contrast": lambda p: np.clip((p.astype(np.float32) - 90) * 1.3 + 110, 0, 255).astype(np.uint8),
    "its middle half": lambda p: np.ascontiguousarray(p[p.shape[0] // 4 : -(p.shape[0] // 4)]),
}


@dataclass(frozen=True)
class Panels:
    """Panels of hosts, by number: any of them can be made again."""

    files: tuple[Path, ...]

    def source(self, number: int) -> int | None:
        """The panel that a planted one shows; None = it is not planted."""
        return number - BACK if number % EVERY == EVERY - 1 else None

    def file(self, number: int) -> int:
        """The host, or a file of its own for a planted one."""
        return len(self.files) + number if self.source(number) is not None else number % len(self.files)

    def host(self, number: int) -> Path:
        """The file that a panel shows, planted or not, in the folder of its collection."""
        origin = self.source(number)
        return self.files[(number if origin is None else origin) % len(self.files)]

    def pixels(self, number: int) -> np.ndarray:
        """(h, w, 3) uint8."""
        origin = self.source(number)
        if origin is not None:
            return list(WAYS.values())[number // EVERY % len(WAYS)](self.pixels(origin))
        rng = np.random.default_rng([number, 7])
        whole = _opened(self.files[number % len(self.files)])
        scale = max(rng.uniform(0.7, 1.3), SIDES[1] / min(whole.shape[:2]))
        side = int(rng.integers(SIDES[0], SIDES[1], endpoint=True))
        taken = min(int(side / scale), *whole.shape[:2])
        x, y = (int(rng.integers(0, length - taken + 1)) for length in (whole.shape[1], whole.shape[0]))
        crop = cv2.resize(whole[y : y + taken, x : x + taken], (side, side), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(np.rot90(crop, int(rng.integers(4))))

    def figure(self, number: int) -> Figure:
        """As the twin finder sees it."""
        pixels = self.pixels(number)
        size = pixels.shape[:2]
        return Figure(pixels, gray_of(pixels), np.zeros(size, bool), np.array([[0, 0, size[1], size[0]]]))


@lru_cache(8)
def _opened(path: Path) -> np.ndarray:
    return hosts.read(path)


def stored(cache: Path, limit: int, block: int) -> Path:
    """Where the features of a block of hosts are, for a library of `limit` panels."""
    return cache / f"{limit}-{block:03d}.npz"


def describe(panels: Panels, cache: Path, limit: int, block: int) -> tuple[int, float]:
    """The features of the panels of a block of hosts, into the cache; -> how many and seconds, 0 where they are there already."""
    path = stored(cache, limit, block)
    if path.is_file():
        return 0, 0.0
    cv2.setNumThreads(1)
    began, arrays = time.process_time(), {}
    mine = {n: (n - BACK if panels.source(n) is not None else n) % len(panels.files) for n in range(limit)}
    chosen = sorted((n for n in mine if mine[n] // BLOCK == block), key=lambda n: mine[n])
    for number in chosen:
        figure = panels.figure(number)
        found = described(figure.gray, figure.ignored, FEATURES)
        arrays |= {f"{name}{number}": value for name, value in vars(found).items()}
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        np.savez(file, **arrays)
    temporary.replace(path)
    return len(chosen), time.process_time() - began


@dataclass(frozen=True)
class Run:
    """One size of library. seconds, mebibytes: of the index; features: their bytes."""

    size: int
    features: int
    held: int
    seconds: float
    mebibytes: float
    candidates: list[Candidate]


def indexed(panels: Panels, cache: Path, limit: int, size: int) -> Run:
    """Everything against everything, in this process."""
    cv2.setNumThreads(1)
    points: dict[int, Keypoints] = {}
    for path in sorted(cache.glob(f"{limit}-*.npz")):
        with np.load(path) as arrays:
            for number in sorted(int(name.removeprefix("xy")) for name in arrays.files if name.startswith("xy")):
                if number < size:
                    points[number] = Keypoints(*(arrays[f"{name}{number}"] for name in Keypoints.__dataclass_fields__))
    library, count = Library(), sum(map(len, points.values()))
    for number in range(size):
        library.add(panels.file(number), points.pop(number))
    before, began, cpu = _peak(), time.perf_counter(), time.process_time()
    found = library.candidates()
    seconds = min(time.perf_counter() - began, time.process_time() - cpu)
    return Run(size, count, library.nbytes, seconds, _peak() - before + library.nbytes / 2**20, found)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def verified(panels: Panels, candidate: Candidate) -> bool:
    """Whether a candidate passes."""
    figures = panels.figure(candidate.first), panels.figure(candidate.second)
    canvas = between.joined(figures, np.stack([figure.panels[0] for figure in figures]))
    return bool(between.verified(canvas, candidate, MatchingConfig(), folder.VERIFIER).pairs)


def exponent(sizes: list[int], values: list[float]) -> float:
    """The slope of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-9)), 1)[0])


@dataclass(frozen=True)
class Judged:
    """The candidates of a run, told apart; vain: of hosts of one collection, of two."""

    planted: dict[tuple[int, int], Candidate]
    vain: tuple[list[Candidate], list[Candidate]]
    truth: list[tuple[int, int]]


def judged(panels: Panels, run: Run) -> Judged:
    """Which candidates are planted."""
    truth = [(origin, n) for n in range(run.size) if (origin := panels.source(n)) is not None]
    # The host of a planted panel has more crops, which may hold parts of it.
    own = {(panels.file(origin), number) for origin, number in truth}
    by_pair = {(c.first, c.second): c for c in run.candidates}
    vain = [
        c for ends, c in by_pair.items()
        if ends not in set(truth) and not {(panels.file(c.first), c.second), (panels.file(c.second), c.first)} & own
    ]  # fmt: skip
    beside = [panels.host(c.first).parent == panels.host(c.second).parent for c in vain]
    parted = tuple([c for c, one in zip(vain, beside, strict=True) if one is same] for same in (True, False))
    return Judged({ends: by_pair[ends] for ends in truth if ends in by_pair}, (parted[0], parted[1]), truth)


def some(items: list[Candidate]) -> list[Candidate]:
    """At most VERIFIED of them, evenly."""
    return items[:: max(1, -(-len(items) // VERIFIED))]


def lines(panels: Panels, runs: list[Run], rate: str) -> list[str]:
    """The report."""
    judgements = [judged(panels, run) for run in runs]
    table = []
    for run, found in zip(runs, judgements, strict=True):
        kinds = [some(list(found.planted.values())), *map(some, found.vain)]
        passed = [f"{sum(verified(panels, c) for c in kind)} of {len(kind)}" for kind in kinds]
        one, two = map(len, found.vain)
        table.append(
            f"| {run.size:,} | {run.features:,} | {run.seconds:.2f} | {run.mebibytes:.0f} | {len(found.planted)} of {len(found.truth)} "
            f"| {passed[0]} | {one} | {passed[1]} | {two} | {passed[2]} |"
        )
    sizes = [run.size for run in runs]
    slopes = [exponent(sizes, [getattr(run, name) for run in runs]) for name in ("seconds", "mebibytes")]
    last = judgements[-1]
    apart = Counter(
        " and ".join(sorted("/".join(panels.host(n).parts[-2:]) for n in (c.first, c.second))) for c in last.vain[1]
    )
    told = ", ".join(f"{files} ({count})" for files, count in apart.most_common()) or "none"
    ways = list(WAYS)
    counts = {way: [0, 0] for way in ways}
    for ends in last.truth:
        way = ways[ends[1] // EVERY % len(ways)]
        counts[way][1] += 1
        counts[way][0] += ends in last.planted
    return [
        "| panels | features | index, s | memory, MiB | planted found | verified | vain, of one collection | verified "
        "| vain, of two | verified |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *table,
        "",
        f"Growth from {sizes[0]:,} to {sizes[-1]:,} panels: time with exponent **{slopes[0]:.2f}**, memory {slopes[1]:.2f}. {rate}",
        "",
        f"Files of two collections among the candidates of {runs[-1].size:,} panels: {told}.",
        "",
        f"Planted, of {runs[-1].size:,} panels, by what was done to them:",
        "",
        "| way | found |",
        "|---|---:|",
        *(f"| {way} | {found} of {count} |" for way, (found, count) in counts.items()),
        "",
    ]


def main(
    report: Annotated[Path, tyro.conf.Positional],
    hosts_folder: Annotated[Path | None, tyro.conf.arg(name="hosts")] = None,
    sizes: tuple[int, ...] = (100, 300, 900),
    cache: Path | None = None,
    workers: int = 2,
) -> None:
    """Measure, and write the report. hosts: default the pictures of the built-in sample; cache: keeps features for another run."""
    panels = Panels(tuple(hosts.files_of(hosts_folder or sample.host_folder())))
    with TemporaryDirectory() as scratch:
        place = cache or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        limit, context = max(sizes), get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            spent = list(pool.map(partial(describe, panels, place, limit), range(-(-len(panels.files) // BLOCK))))
        with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
            runs = list(pool.map(partial(indexed, panels, place, limit), sorted(sizes)))
    each = 1000 * sum(seconds for _, seconds in spent) / max(1, sum(number for number, _ in spent))
    rate = f"Describing a panel took {each:.0f} ms, decoding and cropping included." if each else ""
    text = ["# Reuse between files", "", *(__doc__ or "").split("\n\n", 2)[2].strip().splitlines(), ""]
    text += [f"{len(panels.files)} hosts, {FEATURES} features of a panel at most.", "", *lines(panels, runs, rate)]
    report.write_text("\n".join(text), encoding="utf-8")
    print(report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
