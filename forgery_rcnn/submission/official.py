"""What the official Recod.ai/LUC scorer accepts, exactly: the strict mode.

It matches rows by the index of the tables it is given (their position, when they come from files), reads a cell as JSON
into 32-bit integers, fills pixels as Python slices do, and fails the whole submission on the first cell that it cannot
read. So it clips what ends past the image, drops what is empty, takes negative numbers as counted from the end, cuts
fractions off, and reads true as 1 and "2" as 2. A missing cell is NaN and a blank line no row, as pandas reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from forgery_rcnn import metrics, rle, tables
from forgery_rcnn.errors import InputError, Problem
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.submission.recodai import AUTHENTIC, COLUMNS

# What pandas.read_csv takes for a missing value, unless told otherwise.
MISSING = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA")
    + ("NULL", "NaN", "None", "n/a", "nan", "null")
)


class Rejected(Exception):
    """The official scorer ends with an error here. The message is one line: its own words, or what it stumbles over."""


def decode(text: str, size: tuple[int, int]) -> rle.Runs:
    """One run list -> Runs, as the official `rle_decode` fills them. Raises Rejected where it raises anything."""
    try:
        numbers = np.asarray(json.loads(text), np.int32)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Rejected(f"{rle.shortened(text)} cannot be read ({type(error).__name__})") from None
    if numbers.ndim != 1:
        raise Rejected(f"{rle.shortened(text)} is not a flat list of numbers")
    if (np.diff(numbers[0::2].astype(np.int64)) < 0).any():
        raise Rejected("Submitted values must be in ascending order.")
    if len(numbers) % 2:
        raise Rejected("One or more rows has an odd number of values.")
    starts = numbers[0::2] - np.int32(1)  # 32 bits throughout, with their wrap-around
    ends = starts + numbers[1::2]
    if (ends[:-1] > starts[1:]).any():
        raise Rejected("Pixels must not be overlapping.")
    pixels = size[0] * size[1]
    low, high = (
        np.clip(np.where(at < 0, at + pixels, at), 0, pixels) for at in (starts.astype(np.int64), ends.astype(np.int64))
    )
    return rle.joined(np.stack([low, high - low], axis=1)[high > low])


def answer(annotation: str | None, truth: Truth) -> Instances | None:
    """A cell (None = NaN) beside its truth -> what is scored. Raises Rejected.

    Of an authentic image nothing but `authentic` is looked at: any other cell scores 0, read or not.
    """
    if annotation == AUTHENTIC:
        return None
    if truth.instances is None:
        return Instances(truth.size)
    if annotation is None:
        raise Rejected("no annotation (AttributeError: 'float' object has no attribute 'split')")
    return Instances(truth.size, tuple(decode(part, truth.size) for part in annotation.split(";")))


def aligned(annotations: Sequence[str | None], index: Sequence[object], count: int) -> list[str | None]:
    """Cells under the labels `index`, put in the places 0..count-1 as pandas does; a place without one is NaN (None).

    Raises Rejected when a label occurs twice, unless the labels are 0..count-1 in order.
    """
    if len(set(index)) < len(index):
        raise Rejected("cannot reindex on an axis with duplicate labels")
    cells = dict(zip(index, annotations, strict=True))
    return [cells.get(place) for place in range(count)]


def read(path: Path, truths: Mapping[str, Truth]) -> list[tuple[str, Answer]]:
    """A submission file, row n for the n-th image of the solution. Raises InputError: where and why the scorer would fail."""
    rows = [
        row for row in tables.read(path, COLUMNS, unquoted=str) if "".join(row.cells.values()).strip() or not row.fault
    ]
    for row in rows:
        if row.fault == tables.TOO_MANY:  # pandas cannot read the file
            raise InputError(
                f"{path}: {Problem(f'the official scorer fails: {row.fault}', row.cells['case_id'], row.line)}"
            )
    cells = [None if row.cells["annotation"] in MISSING else row.cells["annotation"] for row in rows]
    out = []
    for place, ((case, truth), cell) in enumerate(
        zip(truths.items(), aligned(cells, range(len(cells)), len(truths)), strict=True)
    ):
        try:
            out.append((case, Answer(truth.size, answer(cell, truth))))
        except Rejected as error:
            line = rows[place].line if place < len(rows) else None
            raise InputError(f"{path}: {Problem(f'the official scorer fails: {error}', case, line)}") from None
    return out


def score(annotations: Sequence[str | None], truths: Sequence[Truth], index: Sequence[object] | None = None) -> float:
    """Cells (None = NaN) and truths in table order -> the official mean oF1; `index`: the submission's labels, default 0..n-1.

    Raises Rejected where the official scorer raises anything.
    """
    cells = aligned(annotations, range(len(annotations)) if index is None else index, len(truths))
    pairs = [(answer(cell, truth), truth.instances) for cell, truth in zip(cells, truths, strict=True)]
    return float(np.mean([metrics.image_score(mine, true) for mine, true in pairs]))
