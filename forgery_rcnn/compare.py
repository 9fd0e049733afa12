"""Two submissions on the same images: how far apart they are, how sure that is, and which images moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgery_rcnn.bootstrap import TIE, Paired, Resampling
from forgery_rcnn.errors import printable
from forgery_rcnn.report import BUDGET, ImageRow

MOST = 10  # images listed and drawn
FEWEST = 10  # images that differ: an interval from fewer would claim too much


@dataclass(frozen=True)
class Comparison:
    """a, b: rows of the same images in the same order; paired: of oF1, a - b; moved: indices, largest difference first."""

    a: tuple[ImageRow, ...]
    b: tuple[ImageRow, ...]
    paired: Paired
    moved: tuple[int, ...]


def compare(a: Sequence[ImageRow], b: Sequence[ImageRow], how: Resampling) -> Comparison:
    """Rows of two submissions -> their comparison on the images that both have rows for."""
    other = {row.case_id: row for row in b}
    first = tuple(row for row in a if row.case_id in other)
    second = tuple(other[row.case_id] for row in first)
    scores = [np.array([row.of1 for row in rows]) for rows in (first, second)]
    gaps = np.abs(scores[0] - scores[1])
    moved = [int(i) for i in np.argsort(-gaps, kind="stable") if gaps[i] > TIE][:MOST]
    return Comparison(first, second, how.paired(*scores), tuple(moved))


def lines(found: Comparison, names: tuple[str, str]) -> list[str]:
    """A comparison -> the table that is printed, ending with a verdict."""
    means = [float(np.mean([row.of1 for row in rows])) for rows in (found.a, found.b)]
    result, gap = found.paired, found.paired.difference
    table = [f"{len(found.a)} images, mean oF1 of A {means[0]:.4f} ({names[0]}), of B {means[1]:.4f} ({names[1]})"]
    table.append(f"A - B {gap}; A higher on {result.wins} images, B on {result.losses}, equal on {result.ties}")
    table.append(f"sign test: p = {result.p:.4g}")
    table.append("error budget            lost by A   lost by B")
    for name in BUDGET:
        shares = [float(np.mean([getattr(row, name) for row in rows])) for rows in (found.a, found.b)]
        table.append(f"  {name.replace('_', ' '):<20}{shares[0]:>11.4f}{shares[1]:>12.4f}")
    if found.moved:
        table.append(f"the {len(found.moved)} images that moved most     oF1 of A    of B       A - B")
    for i in found.moved:
        a, b = found.a[i], found.b[i]
        table.append(f"  {printable(a.case_id, 34):<34}{a.of1:>8.4f}{b.of1:>8.4f}{a.of1 - b.of1:>+12.4f}")
    return [*table, f"verdict: {verdict(found)}"]


def verdict(found: Comparison) -> str:
    """One plain sentence; a difference counts when its 95 % interval leaves out 0."""
    gap = found.paired.difference
    if not found.paired.wins and not found.paired.losses:
        return "the two score the same on every image"
    if abs(gap.value) <= TIE:
        return "the two have the same mean, by different images"
    if found.paired.wins + found.paired.losses < FEWEST:
        return (
            f"only {found.paired.wins + found.paired.losses} images differ, fewer than {FEWEST}: no difference is shown"
        )
    better = "A" if gap.value > 0 else "B"
    if gap.low > 0 or gap.high < 0:
        return f"{better} is better by {abs(gap.value):.4f}; the 95 % interval leaves out 0"
    doubt = "there is no 95 % interval" if np.isnan(gap.low) else "the 95 % interval holds 0"
    return f"{better} scores {abs(gap.value):.4f} higher, but {doubt}: no difference is shown"
