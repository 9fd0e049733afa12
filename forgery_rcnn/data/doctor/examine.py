"""The whole root: every case looked at, in several processes, then all images against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from forgery_rcnn.data.doctor import cases, layout, repeats
from forgery_rcnn.data.doctor.cases import Seen
from forgery_rcnn.data.doctor.checks import SEVERITIES
from forgery_rcnn.data.doctor.findings import Finding, in_order
from forgery_rcnn.data.doctor.layout import Case, Layout
from forgery_rcnn.errors import printable

WORTH_PROCESSES = 200  # fewer cases are read before the processes have started
AT_ONCE = 16  # cases handed to a process at a time
Item, Result = TypeVar("Item"), TypeVar("Result")


@dataclass(frozen=True)
class Examination:
    """What was found in a root. alpha: images with transparency that does not matter are counted, not found fault with."""

    root: Path
    layout: Layout
    findings: list[Finding]
    images: int
    readable: int
    alpha: int

    def counts(self) -> dict[str, Any]:
        """Numbers of files and findings, as in the JSON report."""
        by_severity = Counter(finding.severity for finding in self.findings)
        return {
            "images": self.images,
            "readable_images": self.readable,
            "images_with_alpha": self.alpha,
            "masks": sum(len(case.masks) for case in self.layout.cases),
            "cases": len(self.layout.cases),
            **{f"{severity}s": by_severity[severity] for severity in SEVERITIES},
            "checks": dict(Counter(finding.check for finding in self.findings)),
        }

    def verdict(self) -> str:
        """One line: sound or not, and where to begin."""
        counts = self.counts()
        said = ", ".join(f"{counts[f'{s}s']} {s}{'s' * (counts[f'{s}s'] != 1)}" for s in SEVERITIES)
        said += f" in {self.images} images"
        if not counts["errors"] and not counts["warnings"]:
            return f"sound: {said}"
        first = self.findings[0]
        return f"not sound: {said}; begin with {printable(first.files[0].as_posix())} ({first.check})"


def examine(root: Path, workers: int, advance: Callable[[], None] = lambda: None) -> Examination:
    """Look at everything; `advance` is called after each case. Raises InputError when `root` is no data root."""
    found = layout.walk(root)
    findings, seen = list(found.findings), []
    for of_case, images in over(partial(_one, root), found.cases, workers):
        findings += of_case
        seen += images
        advance()
    keys = {path: (case.part, case.case_id) for case in found.cases for path in case.files()}
    hosts = {(case.part, case.case_id): case.hosts for case in found.cases}
    findings += repeats.find(seen, keys, hosts)
    alpha = sum(image.alpha for image in seen)
    return Examination(root, found, in_order(findings), found.image_count(), len(seen), alpha)


def _one(root: Path, case: Case) -> tuple[list[Finding], list[Seen]]:
    """One case, without its pixels: those stay in the process that read them."""
    result = cases.study(root, case)
    return result.findings, result.seen


def over(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """function of every item, in order; of many items in `workers` processes."""
    if workers <= 1 or len(items) < WORTH_PROCESSES:
        yield from map(function, items)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(function, items, chunksize=AT_ONCE)
