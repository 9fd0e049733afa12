"""Predictions <-> competition files. The word "authentic" in a file is spelled here only."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forgery_rcnn import rle
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Instances

AUTHENTIC = "authentic"
ANY_SIZE = (2**26, 2**26)  # stands in where a solution gives no shape: of an authentic image it does not matter


@dataclass(frozen=True)
class Truth:
    """What is true of one image: its (H, W), and its instances; None = authentic."""

    size: tuple[int, int]
    instances: Instances | None


def annotation_of(instances: Instances | None) -> str:
    """Instances -> the cell's text: `authentic`, or run lists joined by ';'. No instance at all is authentic too."""
    if instances is None or not len(instances):
        return AUTHENTIC
    return ";".join(rle.encode(runs, rle.RECODAI) for runs in instances.runs)


def parse(annotation: str, size: tuple[int, int]) -> Instances | None:
    """The inverse of `annotation_of`. Raises InputError saying what is wrong with the cell."""
    if annotation == AUTHENTIC:
        return None
    if annotation.strip().lower() == AUTHENTIC:
        raise InputError(f"{annotation!r}: the scorer knows only {AUTHENTIC!r}, in lower case without blanks")
    return Instances(size, tuple(rle.decode(part, size, rle.RECODAI) for part in annotation.split(";")))


def write(path: Path, answers: Mapping[str, Instances | None]) -> None:
    """Case id -> answer, as the Recod.ai CSV `case_id,annotation`, in the mapping's order."""
    _write_rows(path, ("case_id", "annotation"), [(case, annotation_of(found)) for case, found in answers.items()])


def write_solution(path: Path, truths: Mapping[str, Truth]) -> None:
    """Case id -> truth, as `case_id,annotation,shape` with shape a JSON list [H, W]."""
    rows = [(case, annotation_of(truth.instances), json.dumps(list(truth.size))) for case, truth in truths.items()]
    _write_rows(path, ("case_id", "annotation", "shape"), rows)


def read(path: Path) -> dict[str, str]:
    """A submission CSV -> case id -> annotation text, unparsed. Raises InputError for a missing column or a double id."""
    return {case: cells["annotation"] for case, cells in _read_rows(path, ("case_id", "annotation")).items()}


def read_solution(path: Path) -> dict[str, Truth]:
    """A solution CSV -> case id -> Truth. Raises InputError naming file, case id and what is wrong."""
    out = {}
    for case, cells in _read_rows(path, ("case_id", "annotation", "shape")).items():
        authentic = cells["annotation"] == AUTHENTIC
        try:
            size = ANY_SIZE if authentic and cells["shape"] in ("", AUTHENTIC) else _shape(cells["shape"])
            out[case] = Truth(size, parse(cells["annotation"], size))
        except InputError as error:
            raise InputError(f"{path}: case {case}: {error}") from None
    return out


def answers(path: Path, truths: Mapping[str, Truth]) -> dict[str, Instances | None]:
    """A submission CSV -> its answers, by case id, in the order of `truths`.

    Raises InputError naming ids that are missing or unknown, or the case whose annotation cannot be read.
    """
    cells = read(path)
    for kind, cases in (("missing", truths.keys() - cells.keys()), ("unknown", cells.keys() - truths.keys())):
        if cases:
            some = ", ".join(sorted(cases)[:5])
            raise InputError(
                f"{path}: {len(cases)} case ids are {kind} ({some}{', …' if len(cases) > 5 else ''}); one row per image is needed"
            )
    out = {}
    for case, truth in truths.items():
        try:
            out[case] = parse(cells[case], truth.size)
        except InputError as error:
            raise InputError(f"{path}: case {case}: {error}") from None
    return out


def _shape(text: str) -> tuple[int, int]:
    try:
        height, width = json.loads(text)
        if not all(type(side) is int and 1 <= side <= ANY_SIZE[0] for side in (height, width)):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise InputError(f"shape {rle.shortened(text)} is not [H, W]; write e.g. [512, 640]") from None
    return height, width


def _write_rows(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def _read_rows(path: Path, columns: tuple[str, ...]) -> dict[str, dict[str, str]]:
    csv.field_size_limit(2**31 - 1)  # a large mask's cell is far longer than the default 128 KiB
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
            if lacking:
                raise InputError(f"{path}: no column {', '.join(lacking)}; expected {','.join(columns)}")
            out: dict[str, dict[str, str]] = {}
            for number, row in enumerate(reader, start=2):
                case = row["case_id"]
                if case in out:
                    raise InputError(f"{path}: row {number}: case id {case!r} occurs twice; keep one")
                if any(row[name] is None for name in columns):
                    raise InputError(f"{path}: row {number}: case {case}: too few cells; expected {','.join(columns)}")
                out[case] = {name: row[name] for name in columns}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV file ({getattr(error, 'strerror', None) or error})") from None
    if not out:
        raise InputError(f"{path}: no rows in it; expected one per image")
    return out
