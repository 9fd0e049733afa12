"""Recod.ai/LUC: `case_id,annotation`, and the solution's `case_id,annotation,shape`. The word "authentic" is spelled here only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from forgery_rcnn import rle, tables
from forgery_rcnn.errors import FileProblems, InputError, Problem
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.submission.cases import Read, complete

AUTHENTIC = "authentic"
COLUMNS = ("case_id", "annotation")
SOLUTION_COLUMNS = ("case_id", "annotation", "shape")
KIND = "kind"  # a column of the solution that may be there: how the image was forged
_WRITE = f"write {AUTHENTIC}, or run lists like {rle.RECODAI.example} with ';' between"


def annotation_of(instances: Instances | None) -> str:
    """Instances -> the cell's text: `authentic`, or run lists joined by ';'. No instance at all is authentic too."""
    if instances is None or not len(instances):
        return AUTHENTIC
    return ";".join(rle.encode(runs, instances.size, rle.RECODAI) for runs in instances.runs)


def parse(annotation: str, size: tuple[int, int]) -> Instances | None:
    """The inverse of `annotation_of`. Raises InputError saying what is wrong with the cell, and the fix."""
    if annotation == AUTHENTIC:
        return None
    quick = _quick(annotation, size)
    if quick is not None:
        return Instances(size, quick)
    if annotation.strip().lower() == AUTHENTIC:
        raise InputError(
            f"{rle.shortened(annotation)}: the scorer knows only {AUTHENTIC!r}, in lower case without blanks"
        )
    if annotation.strip().lower() in ("", "-", "nan", "none", "null"):
        raise InputError(f"{rle.shortened(annotation)} is no answer; {_WRITE}")
    if annotation.startswith("[") and "]" not in annotation:
        raise InputError(
            f"{rle.shortened(annotation)} has no closing ]; put double quotes around a cell that holds commas"
        )
    parts = annotation.split(";")
    if not parts[-1].strip():
        raise InputError("the cell ends with ';'; take it away")
    found = []
    for number, part in enumerate(parts, start=1):
        try:
            found.append(rle.decode(part, size, rle.RECODAI))
        except InputError as error:
            raise InputError(f"instance {number} of {len(parts)}: {error}" if len(parts) > 1 else str(error)) from None
    return Instances(size, tuple(found))


def _quick(annotation: str, size: tuple[int, int]) -> tuple[rle.Runs, ...] | None:
    """All masks of a well-formed cell in one pass over its numbers; None where anything at all is out of the ordinary.

    The number 0, which a good cell never holds, is put in to mark where a mask ends.
    """
    parts = annotation.encode("ascii", "replace").split(b";")
    body = b", 0, ".join([part[1:-1] for part in parts])
    if not all(part.startswith(b"[") and part.endswith(b"]") for part in parts) or not _listed(body, len(parts) - 1):
        return None
    values = np.fromstring(body, np.int64, sep=",")
    ends = np.flatnonzero(values == 0)
    ends -= np.arange(len(ends))  # of the masks, among the numbers that remain
    numbers = values[values != 0] if len(ends) else values
    if len(numbers) % 2 or (ends & 1).any() or numbers.max() >= rle.RECODAI.limit:
        return None
    runs, bounds = numbers.reshape(-1, 2), ends // 2
    runs[:, 0] -= 1
    stops = runs[:, 0] + runs[:, 1]
    gap = runs[1:, 0] - stops[:-1]
    gap[bounds - 1] = 1
    if (len(gap) and gap.min() <= 0) or stops.max() > size[0] * size[1]:
        return None
    return tuple(runs[a:b] for a, b in pairwise((0, *bounds.tolist(), len(runs))))


def _listed(body: bytes, zeros: int) -> bool:
    """Whether `body` is numbers with `, ` between, exactly `zeros` of which begin with 0."""
    commas = body.translate(None, b"0123456789")
    count = len(commas) // 2
    if commas != b", " * count:
        return False
    letters = np.frombuffer(b"," + body + b",", np.uint8)
    sign = letters < ord("0")
    pairs = np.count_nonzero((letters[:-1] == ord(",")) & (letters[1:] == ord(" ")))
    begin = sign[:-1] & ~sign[1:]
    return (
        pairs == count  # so every blank follows a comma
        and np.count_nonzero(begin) == count + 1  # and no number is missing
        and np.count_nonzero(begin & (letters[1:] == ord("0"))) == zeros
    )


def write(path: Path, answers: Iterable[tuple[str, Answer]]) -> None:
    """(case id, answer) pairs -> the submission `case_id,annotation`, in their order."""
    tables.write(path, COLUMNS, ((case, annotation_of(answer.instances)) for case, answer in answers))


def write_solution(path: Path, truths: Mapping[str, Truth]) -> None:
    """Case id -> truth, as `case_id,annotation,shape` with shape a JSON list [H, W]; `kind` too where one is known."""
    kinds = any(truth.kind for truth in truths.values())
    rows = (
        (case, annotation_of(truth.instances), json.dumps(list(truth.size)), *([truth.kind] if kinds else []))
        for case, truth in truths.items()
    )
    tables.write(path, (*SOLUTION_COLUMNS, *([KIND] if kinds else [])), rows)


def read(path: Path, truths: Mapping[str, Truth]) -> Iterator[Read]:
    """A submission -> (case id, answer) of every row that can be read, and a Problem for all that is wrong."""
    for found in complete(tables.read(path, COLUMNS), "case_id", truths):
        if isinstance(found, Problem):
            yield found
            continue
        line, case, cells = found
        try:
            size = truths[case].size
            yield case, Answer(size, parse(cells["annotation"], size))
        except InputError as error:
            yield Problem(str(error), case, line)


def read_solution(path: Path) -> dict[str, Truth]:
    """A solution CSV -> case id -> Truth. Raises FileProblems naming all that is wrong, by row and case id."""
    out: dict[str, Truth] = {}
    problems = []
    for row in tables.read(path, SOLUTION_COLUMNS, (KIND,)):
        case = row.cells["case_id"]
        try:
            if row.fault:
                raise InputError(row.fault)
            if not case:
                raise InputError("no case id; write the image's file name without extension")
            if case in out:
                raise InputError("this case id occurs twice; keep one row")
            out[case] = _truth(row.cells)
        except InputError as error:
            problems.append(Problem(str(error), case, row.line))
    if problems:
        raise FileProblems(path, problems)
    return out


def _truth(cells: Mapping[str, str]) -> Truth:
    authentic = cells["annotation"] == AUTHENTIC
    size = ANY_SIZE if authentic and cells["shape"] in ("", AUTHENTIC) else _shape(cells["shape"])
    return Truth(size, parse(cells["annotation"], size), cells.get(KIND, ""))


def _shape(text: str) -> tuple[int, int]:
    try:
        height, width = json.loads(text)
        if not all(type(side) is int and side >= 1 for side in (height, width)):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise InputError(f"shape {rle.shortened(text)} is not [H, W]; write e.g. [512, 640]") from None
    if height * width >= rle.RECODAI.limit:
        raise InputError(f"shape {rle.shortened(text)} has 2^31 pixels or more, too many for 32-bit run lengths")
    return height, width
