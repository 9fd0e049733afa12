"""Aaltoes 2025: CSV `ImageId,EncodedPixels`, one mask per image as row-major runs, an empty field where nothing is forged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from forgery_rcnn import rle, tables
from forgery_rcnn.errors import InputError, Problem
from forgery_rcnn.instances import ANY_SIZE, Answer, Truth
from forgery_rcnn.submission import cases, one_mask
from forgery_rcnn.submission.cases import Read

COLUMNS = ("ImageId", "EncodedPixels")
_UNTURNED = replace(rle.AALTOES, order="F")  # the same numbers, checked but not put in a place


def write(path: Path, answers: Iterable[tuple[str, Answer]]) -> None:
    """(case id, answer) -> the CSV, rows in the given order; all regions of an image in one mask.

    Raises InputError when the file cannot be written.
    """
    tables.write(path, COLUMNS, ((case, _cell(answer)) for case, answer in answers))


def _cell(answer: Answer) -> str:
    return rle.encode(one_mask.union(answer), answer.size, rle.AALTOES)


def read(path: Path, truths: Mapping[str, Truth]) -> Iterator[Read]:
    """The CSV -> one answer per image, with one region or authentic, and a Problem for all that is wrong.

    Raises InputError: not a CSV, a column missing, no row.
    """
    for found in cases.complete(tables.read(path, COLUMNS), "ImageId", truths):
        if isinstance(found, Problem):
            yield found
            continue
        line, case, cells = found
        try:
            answer = _answer(cells["EncodedPixels"], truths[case].size)
        except InputError as error:
            yield Problem(str(error), case, line)
        else:
            yield case, answer


def _answer(text: str, size: tuple[int, int]) -> Answer:
    if size != ANY_SIZE:
        return one_mask.answer_of(rle.decode(text, size, rle.AALTOES), size)
    # Which pixel of which row a number means depends on the width: how many there are counts, none of them can be drawn.
    count = int(rle.decode(text, size, _UNTURNED)[:, 1].sum())
    last = np.array([[math.prod(size) - count, count]])
    return one_mask.answer_of(last if count else rle.EMPTY, size)
