"""Divides a page into panels: grids, rows of different panel counts, or columns of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from forgery_rcnn.data.forge.scene import Box

SMALLEST = 96  # least side of a panel, in pixels
MOST = 9  # panels


@dataclass(frozen=True)
class Page:
    """rows: boxes of panels, row by row (of a page in columns: column by column); even: every row has the same columns."""

    rows: tuple[tuple[Box, ...], ...]
    even: bool

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All panels' boxes, row by row."""
        return tuple(box for row in self.rows for box in row)


@dataclass(frozen=True)
class Spaces:
    """In pixels. gutter: between panels and around them; band: over each panel; top, left: once, for headings."""

    gutter: int
    band: int = 0
    top: int = 0
    left: int = 0


def divide(size: tuple[int, int], spaces: Spaces, rng: np.random.Generator) -> Page | None:
    """(H, W) -> a page of 2..9 panels of at least 96 x 96 px, or None where two do not fit."""
    kind = rng.choice(("grid", "rows", "columns"), p=(0.45, 0.33, 0.22))
    if kind != "grid":  # nothing to head
        spaces = replace(spaces, top=0, left=0)
    height, width = size[0] - spaces.top - 2 * spaces.gutter, size[1] - spaces.left - 2 * spaces.gutter
    if min(height - spaces.band, width) < SMALLEST:
        return None
    shape = _shape((height, width), spaces, rng)
    if shape is None:
        return None
    rows, columns = shape
    counts = [columns] * rows
    if kind == "columns":
        counts = _varied([rows] * columns, _most(height, SMALLEST + spaces.band, spaces.gutter), rng)
        cells = _cells((width, height), counts, (SMALLEST, SMALLEST + spaces.band), spaces.gutter, rng)
        cells = [[(y, x, y1, x1) for x, y, x1, y1 in row] for row in cells]
    else:
        if kind == "rows":
            counts = _varied(counts, _most(width, SMALLEST, spaces.gutter), rng)
        cells = _cells((height, width), counts, (SMALLEST + spaces.band, SMALLEST), spaces.gutter, rng)
    x, y = spaces.left + spaces.gutter, spaces.top + spaces.gutter
    moved = tuple(tuple((a + x, b + y + spaces.band, c + x, d + y) for a, b, c, d in row) for row in cells)
    return Page(moved, kind == "grid")


def _most(side: int, least: int, gutter: int) -> int:
    """-> how many panels of at least `least` px fit side by side."""
    return (side + gutter) // (least + gutter)


def _shape(size: tuple[int, int], spaces: Spaces, rng: np.random.Generator) -> tuple[int, int] | None:
    """-> rows and columns whose panels fit, those with nearly square panels more often."""
    most = _most(size[0], SMALLEST + spaces.band, spaces.gutter), _most(size[1], SMALLEST, spaces.gutter)
    options = [(r, c) for r in range(1, most[0] + 1) for c in range(1, most[1] + 1) if 2 <= r * c <= MOST]
    if not options:
        return None
    aspects = np.array([size[1] / c / (size[0] / r) for r, c in options])
    weights = np.exp(-1.8 * np.abs(np.log(aspects / 1.1)))
    return options[rng.choice(len(options), p=weights / weights.sum())]


def _varied(counts: list[int], most: int, rng: np.random.Generator) -> list[int]:
    """-> panels per row, some one fewer or more, of 2..9 in all."""
    varied = np.clip(np.array(counts) + rng.integers(-1, 2, len(counts)), 1, max(1, most))
    return varied.tolist() if 2 <= varied.sum() <= MOST else counts


def _cells(
    size: tuple[int, int], counts: list[int], least: tuple[int, int], gutter: int, rng: np.random.Generator
) -> list[list[Box]]:
    """-> boxes in (h, w), rows of `counts` panels; equal columns where rows are alike, uneven ones otherwise."""
    unequal = len(set(counts)) > 1
    tops = _spread(size[0], len(counts), least[0], gutter, 0.3 if unequal else 0.0, rng)
    cells = []
    for (y0, y1), count in zip(tops, counts, strict=True):
        spread = 0.3 if unequal and rng.random() < 0.5 else 0.0
        cells.append([(x0, y0, x1, y1) for x0, x1 in _spread(size[1], count, least[1], gutter, spread, rng)])
    return cells


def _spread(
    side: int, count: int, least: int, gutter: int, spread: float, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """-> first and last pixel of `count` intervals of at least `least` px over `side`, a gutter between them."""
    weights = rng.uniform(1 - spread, 1 + spread, count)
    spare = side - gutter * (count - 1) - least * count
    sizes = least + (spare * weights / weights.sum()).astype(int)
    starts = np.cumsum([0, *(sizes[:-1] + gutter)])
    return [(int(a), int(a + b)) for a, b in zip(starts, sizes, strict=True)]
