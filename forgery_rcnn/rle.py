"""Run-length codes. Inside the package a mask is `Runs`; a file's dialect is data, not branches.

Runs: (R, 2) int64, one row per run, [start, length], 0-based, in column-major pixel order (index = x * H + y),
ascending, lengths > 0, never touching. Column-major because the home competition's code is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forgery_rcnn.errors import InputError

Runs = np.ndarray
EMPTY: Runs = np.zeros((0, 2), np.int64)


def runs_of(mask: np.ndarray, size: tuple[int, int] | None = None, corner: tuple[int, int] = (0, 0)) -> Runs:
    """(h, w) bool or number (nonzero = set) -> Runs in an image of `size` = (H, W), default the mask's own.

    With `size`, `mask` is a crop whose top left pixel lies at `corner` = (x0, y0): cost follows the crop, not the image.

    >>> runs_of(np.array([[1, 0], [1, 1]])).tolist()
    [[0, 2], [3, 1]]
    """
    height = mask.shape[0] if size is None else size[0]
    columns = np.flatnonzero(mask.any(axis=0))
    if columns.size == 0:
        return EMPTY
    x_first = int(columns[0])
    crop = mask[:, x_first : int(columns[-1]) + 1]
    padded = np.zeros((crop.shape[1], crop.shape[0] + 1), np.int8)  # one clear pixel ends every column
    padded[:, :-1] = (crop != 0).T
    edges = np.flatnonzero(np.diff(padded.ravel(), prepend=np.int8(0)))
    starts, ends = edges[::2], edges[1::2]
    column, row = np.divmod(starts, crop.shape[0] + 1)
    x0, y0 = corner
    return joined(np.stack([(column + x_first + x0) * height + row + y0, ends - starts], axis=1))


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


@dataclass(frozen=True)
class RleDialect:
    """How a competition writes one mask's runs as text. `order` F = column-major, C = row-major; starts are 1-based."""

    name: str
    order: str
    dump: Callable[[list[int]], str]
    load: Callable[[str], object]


RECODAI = RleDialect("Recod.ai/LUC", order="F", dump=json.dumps, load=json.loads)


def encode(runs: Runs, dialect: RleDialect) -> str:
    """Runs -> the dialect's text.

    >>> encode(runs_of(np.array([[1, 0], [1, 1]])), RECODAI)
    '[1, 2, 4, 1]'
    """
    return dialect.dump((runs + [1, 0]).ravel().tolist())


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
        raise InputError(f"run length {int(runs[:, 1].min())} found; every length must be at least 1")
    if runs[:, 0].min() < 0:
        raise InputError(f"run start {int(runs[:, 0].min()) + 1} found; starts count from 1")
    behind = np.flatnonzero(runs[1:, 0] < runs[:-1].sum(axis=1))
    if behind.size:
        first = int(behind[0])
        kind = "not ascending" if runs[first + 1, 0] < runs[first, 0] else "overlapping"
        raise InputError(f"runs are {kind} at start {int(runs[first + 1, 0]) + 1}; sort them and keep them apart")
    end = int(runs[-1].sum())
    if end > pixels:
        raise InputError(f"a run ends at pixel {end}, past the last pixel {pixels} of a {size[0]} x {size[1]} image")
    return joined(runs)


def _numbers(text: str, dialect: RleDialect) -> list[int]:
    try:
        values = dialect.load(text)
    except (ValueError, RecursionError):
        raise InputError(f"{shortened(text)} is not a run list; write e.g. [1, 2, 4, 1]") from None
    if not isinstance(values, list):
        raise InputError(f"{shortened(text)} is not a run list; write e.g. [1, 2, 4, 1]")
    for value in values:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or abs(value) >= 2**53 or not math.isfinite(value):
            raise InputError(f"run list holds {shortened(str(value))}; use whole numbers below 2^53 only")
    return values


def shortened(text: str, limit: int = 40) -> str:
    """A quoted text for a one-line message, cut to `limit` characters."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
