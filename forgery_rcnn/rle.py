"""Run-length codes. Inside the package a mask is `Runs`; a file's dialect is data, not branches.

Runs: (R, 2) int64, one row per run, [start, length], 0-based, in column-major pixel order (index = x * H + y),
ascending, lengths > 0, never touching. Column-major because the home competition's code is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from forgery_rcnn.errors import InputError

Runs = np.ndarray
EMPTY: Runs = np.zeros((0, 2), np.int64)
BLOCK = 2**24  # pixels that `turned` draws at a time


def runs_of(mask: np.ndarray, size: tuple[int, int] | None = None, corner: tuple[int, int] = (0, 0)) -> Runs:
    """(h, w) bool or number (nonzero = set) -> Runs in an image of `size` = (H, W), default the mask's own.

    With `size`, `mask` is a crop whose top left pixel lies at `corner` = (x0, y0). Beyond one pass that looks for empty
    rows and columns the cost follows the regions, not the image: every band of rows that holds something is done alone.

    >>> runs_of(np.array([[1, 0], [1, 1]])).tolist()
    [[0, 2], [3, 1]]
    """
    height = mask.shape[0] if size is None else size[0]
    x0, y0 = corner
    filled = np.concatenate([[False], mask.any(axis=1), [False]])
    edges = np.flatnonzero(filled[1:] != filled[:-1])
    bands = []
    for top, bottom in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        columns = np.flatnonzero(mask[top:bottom].any(axis=0))
        left, right = int(columns[0]), int(columns[-1]) + 1
        starts = _column_runs(mask[top:bottom, left:right] != 0)
        starts[:, 0] += (starts[:, 2] + left + x0) * height + top + y0
        bands.append(starts[:, :2])
    return joined(np.concatenate(bands)) if bands else EMPTY


def _column_runs(crop: np.ndarray) -> np.ndarray:
    """(h, w) bool -> (R, 3) int64 [first row, length, column] of the runs down each column, column after column."""
    height, width = crop.shape
    turns = np.empty((height + 1, width), bool)  # whether the pixel differs from the one above it; outside is clear
    turns[0], turns[-1] = crop[0], crop[-1]
    np.not_equal(crop[1:], crop[:-1], out=turns[1:-1])
    if 8 * np.count_nonzero(turns) > turns.size:  # noise: transposing costs less than sorting
        order = np.flatnonzero(turns.T)
    else:
        row, column = np.divmod(np.flatnonzero(turns), width)
        order = np.sort(column * (height + 1) + row)
    column, row = np.divmod(order, height + 1)
    return np.stack([row[::2], row[1::2] - row[::2], column[::2]], axis=1)


def joined(runs: Runs) -> Runs:
    """(R, 2) runs in any order, overlapping or touching -> Runs of their union."""
    if len(runs) < 2:
        return runs.astype(np.int64, copy=False)
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    reach = np.maximum.accumulate(runs.sum(axis=1))
    first = np.concatenate([[True], runs[1:, 0] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    starts = runs[first, 0]
    return np.stack([starts, reach[last] - starts], axis=1)


def mask_of(runs: Runs, size: tuple[int, int]) -> np.ndarray:
    """Runs -> (H, W) bool, C-contiguous."""
    height, width = size
    flat = np.zeros(height * width + 1, np.int8)
    flat[runs[:, 0]] = 1
    flat[runs.sum(axis=1)] -= 1
    return np.ascontiguousarray(np.cumsum(flat[:-1], dtype=np.int8).reshape(width, height).T.astype(bool))


def turned(runs: Runs, size: tuple[int, int]) -> Runs:
    """Column-major Runs of an image of `size` = (H, W) -> the row-major ones of the same pixels (index = y * W + x).

    They are the Runs of the transposed image, so `turned(turned(runs, (H, W)), (W, H))` gives back `runs`.
    Whole columns are done together, about BLOCK pixels; where nothing is set costs nothing.
    """
    if not len(runs):
        return EMPTY
    height, width = size
    step = max(1, BLOCK // height) * height
    starts, ends = runs[:, 0], runs.sum(axis=1)
    parts, at = [], 0
    while at < ends[-1]:
        first = int(np.searchsorted(ends, at, side="right"))
        at = max(at, int(starts[first]) // step * step)  # over the blocks that hold nothing
        last = int(np.searchsorted(starts, at + step))
        low, high = np.maximum(starts[first:last], at), np.minimum(ends[first:last], at + step)
        x0, x1 = int(low[0]) // height, (int(high[-1]) - 1) // height + 1
        block = mask_of(np.stack([low - x0 * height, high - low], axis=1), (height, x1 - x0))
        parts.append(runs_of(block.T, (width, height), (0, x0)))
        at += step
    return joined(np.concatenate(parts)) if len(parts) > 1 else parts[0]


def cut(runs: Runs, size: tuple[int, int], window: tuple[int, int, int, int]) -> Runs:
    """Runs in an image of `size` = (H, W) -> those of the pixels in `window` = (x0, y0, x1, y1), in the window's own frame.

    The window may reach beyond the image: with (-x, -y, W' - x, H' - y) a crop's runs are placed in its image of (H', W').
    """
    (x0, y0, x1, y1), height = window, size[0]
    starts, ends = runs[:, 0], runs.sum(axis=1)
    first = starts // height
    columns = (ends - 1) // height - first + 1  # a run goes on at the top of the next column
    run = np.repeat(np.arange(len(runs)), columns)
    column = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(columns) - columns, columns)
    top = np.maximum(starts[run] - column * height, max(0, y0))
    bottom = np.minimum(ends[run] - column * height, min(height, y1))
    inside = (top < bottom) & (column >= x0) & (column < x1)
    return joined(np.stack([(column - x0) * (y1 - y0) + top - y0, bottom - top], axis=1)[inside])


@dataclass(frozen=True)
class RleDialect:
    """How a competition writes one mask's runs as text, starts counted from 1.

    order: F = column-major, C = row-major; limit: every number is below it, as in the official scorer; show: one value
    of what `load` gives, as it stands in the file.
    """

    name: str
    order: Literal["F", "C"]
    dump: Callable[[list[int]], str]
    load: Callable[[str], object]
    show: Callable[[object], str]
    limit: int
    example: str


RECODAI = RleDialect(
    "Recod.ai/LUC",
    order="F",
    dump=json.dumps,
    load=json.loads,
    show=json.dumps,
    limit=2**31,
    example="[1, 2, 4, 1]",
)
AALTOES = RleDialect(
    "Aaltoes 2025",
    order="C",
    dump=lambda values: " ".join(map(str, values)),
    load=lambda text: [int(word) if word.isascii() and word.isdecimal() else word for word in text.split()],
    show=str,
    limit=2**53,
    example="1 2 4 1",
)


def encode(runs: Runs, size: tuple[int, int], dialect: RleDialect) -> str:
    """Runs of an image of `size` = (H, W) -> the dialect's text.

    >>> runs = runs_of(np.array([[1, 0], [1, 1]]))
    >>> encode(runs, (2, 2), RECODAI), encode(runs, (2, 2), AALTOES)
    ('[1, 2, 4, 1]', '1 1 3 2')
    """
    ordered = turned(runs, size) if dialect.order == "C" else runs
    return dialect.dump((ordered + [1, 0]).ravel().tolist())


def decode(text: str, size: tuple[int, int], dialect: RleDialect) -> Runs:
    """The dialect's text -> Runs in an image of `size` = (H, W).

    Raises InputError saying what is wrong: not a list of whole numbers, odd count, descending or overlapping runs,
    a length below 1, a run past the image's last pixel. Touching runs are allowed and joined.
    """
    pairs = _numbers(text, dialect)
    pixels = size[0] * size[1]
    if len(pairs) % 2:
        raise InputError(f"run list has an odd count of numbers ({len(pairs)}); write start, length, start, length")
    if not pairs:
        return EMPTY
    runs = np.array(pairs, np.int64).reshape(-1, 2) - [1, 0]
    if runs[:, 1].min() < 1:
        raise InputError(f"run length {int(runs[:, 1].min())} found; take the run out, every length must be at least 1")
    if runs[:, 0].min() < 0:
        raise InputError(f"run start {int(runs[:, 0].min()) + 1} found; starts count from 1, add 1 to all")
    behind = np.flatnonzero(runs[1:, 0] < runs[:-1].sum(axis=1))
    if behind.size:
        first = int(behind[0])
        kind = "not ascending" if runs[first + 1, 0] < runs[first, 0] else "overlapping"
        raise InputError(f"runs are {kind} at start {int(runs[first + 1, 0]) + 1}; sort them and keep them apart")
    end = int(runs[-1].sum())
    if end > pixels:
        raise InputError(
            f"a run ends at pixel {end}, past the last pixel {pixels} of a {size[0]} x {size[1]} image; cut it there"
        )
    found = joined(runs)
    return turned(found, size[::-1]) if dialect.order == "C" else found


def _numbers(text: str, dialect: RleDialect) -> list[int]:
    try:
        values = dialect.load(text)
    except (ValueError, RecursionError):
        raise InputError(f"{shortened(text)} is not a run list; write e.g. {dialect.example}") from None
    if not isinstance(values, list):
        raise InputError(f"{shortened(text)} is not a run list; write e.g. {dialect.example}")
    for value in values:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or abs(value) >= dialect.limit:
            numbers = f"whole numbers from 1 to 2^{dialect.limit.bit_length() - 1} - 1"
            raise InputError(f"run list holds {shortened(dialect.show(value))}; use {numbers}, e.g. {dialect.example}")
    return values


def shortened(text: str, limit: int = 40) -> str:
    """A quoted text for a one-line message, cut to `limit` characters."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
