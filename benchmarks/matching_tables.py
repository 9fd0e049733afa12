"""The page of benchmarks/matching.py: rows of images -> Markdown."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from forgery_rcnn.bootstrap import wilson

MET = 0.1  # F1 from which on a pair is said to meet the truth
GOOD = 0.8  # F1 that is asked of planted copies
TITLES = {"noso": "NoSo", "planted": "Planted copies", "corpus": "Made figures", "clean": "Untouched pictures"}
SPLITS = {
    "noso": (),
    "planted": ("transform", "treatment", "texture", "likeness", "hosts", "area"),
    "corpus": ("operation", "transform", "likeness", "area"),
    "clean": ("hosts",),
}


def rate(hits: int, count: int) -> str:
    """-> "3 of 40: 7.5 % [2.6, 19.9]"; "" of none."""
    if not count:
        return ""
    found = wilson(hits, count)
    return f"{hits} of {count}: {100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def cells(rows: Sequence[Any]) -> str:
    """Rows of one finder -> F1 | F1 >= 0.8 | found | precision | recall | false alarms."""
    twins, clear = [r for r in rows if r.twins == "yes"], [r for r in rows if r.twins == "no"]
    alarms = rate(sum(r.flagged for r in clear), len(clear))
    if not twins:
        return f"|  |  |  |  |  | {alarms}"
    met = [r for r in twins if r.f1 >= MET]
    means = [f"{np.mean([getattr(r, name) for r in met]):.2f}" if met else "" for name in ("precision", "recall")]
    good = f"{100 * np.mean([r.f1 >= GOOD for r in twins]):.0f} %"
    return f"| {np.mean([r.f1 for r in twins]):.3f} | {good} | {len(met)} of {len(twins)} | {means[0]} | {means[1]} | {alarms}"


def table(groups: Iterable[tuple[str, Sequence[Any]]]) -> list[str]:
    """(name, rows of all finders) -> a Markdown table."""
    lines = [
        "| images | finder | F1 | F1 >= 0.8 | found | precision, where found | recall, where found | false alarms |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for name, rows in groups:
        for finder in dict.fromkeys(r.finder for r in rows):
            lines.append(f"| {name} | {finder} {cells([r for r in rows if r.finder == finder])} |")
    return lines


def split(rows: Sequence[Any], by: str) -> list[tuple[str, list[Any]]]:
    """-> (value, its rows), in the order of the values."""
    values = sorted({getattr(r, by) for r in rows} - {""})
    return [(f"{by}: {value}", [r for r in rows if getattr(r, by) == value]) for value in values]


def speed(rows: Sequence[Any]) -> list[str]:
    """Seconds per megapixel of each finder, and how the two compare on the same images."""
    lines = [
        "| set | finder | s per image, median | s per megapixel, median | worst s per megapixel | total s |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for part in (*dict.fromkeys(r.part for r in rows), "all"):
        some = [r for r in rows if part in (r.part, "all")]
        for finder in dict.fromkeys(r.finder for r in some):
            own = [r for r in some if r.finder == finder]
            each = np.array([r.seconds / r.megapixels for r in own])
            large = each[[r.megapixels >= 0.25 for r in own]]
            worst = f"{large.max():.2f}" if large.size else ""
            lines.append(
                f"| {part} | {finder} | {np.median([r.seconds for r in own]):.2f} | {np.median(each):.2f} | {worst} | "
                f"{sum(r.seconds for r in own):.0f} |"
            )
    ratios = _ratios(rows)
    if ratios.size:
        low, middle, high = np.quantile(ratios, (0.1, 0.5, 0.9))
        lines.append("")
        lines.append(
            f"plain's time over ours, image by image: median {middle:.2f}, a tenth below {low:.2f}, a tenth above {high:.2f}."
        )
        lines[-1] += " *Worst*: of images of a quarter megapixel and more."
    return lines


def _ratios(rows: Sequence[Any]) -> np.ndarray:
    times = {(r.finder, r.part, r.name): r.seconds for r in rows}
    return np.array([
        times["plain", part, name] / max(spent, 1e-3)
        for (finder, part, name), spent in times.items()
        if finder == "ours" and ("plain", part, name) in times
    ])  # fmt: skip


def fates(rows: Sequence[Any]) -> list[str]:
    """What became of known motions whose image was not found well."""
    poor = [r for r in rows if r.finder == "ours" and r.why and r.f1 < 0.5]
    if not poor:
        return []
    count = Counter((r.part, r.why.split(":")[0] if "dropped" in r.why else r.why) for r in poor)
    lines = ["| set | known motions of images below 0.5 | images |", "|---|---|---:|"]
    return lines + [f"| {part} | {why} | {n} |" for (part, why), n in count.most_common()]


def page(rows: Sequence[Any], left_out: Sequence[str], about: str) -> str:
    """-> the whole page."""
    parts = ["# Twin finder", about.split("\n\n")[2].strip() if about.count("\n\n") >= 2 else about]
    parts.append(f"{platform.machine()}, Python {platform.python_version()}, OpenCV {cv2.__version__}, one thread.")
    parts += [f"{line}." for line in left_out]
    for part in dict.fromkeys(r.part for r in rows):
        own = [r for r in rows if r.part == part]
        groups = [("all", own), *(group for by in SPLITS[part] for group in split(own, by))]
        parts += [f"## {TITLES[part]}", "\n".join(table(groups))]
    for title, lines in (("Speed", speed(rows) if rows else []), ("What became of the true motion", fates(rows))):
        if lines:
            parts += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"
