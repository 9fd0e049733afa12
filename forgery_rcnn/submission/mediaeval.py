"""MediaEval 2025 Synthetic Images. Task A: is it forged, one CSV in a zip. Task B: where, one .npz map per image in a zip."""

from __future__ import annotations

import contextlib
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forgery_rcnn import rle, tables
from forgery_rcnn.errors import InputError, Problem
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.submission import archives, cases, heatmaps
from forgery_rcnn.submission.cases import Read

THRESHOLDS_A = ("threshold",)
THRESHOLDS_B = ("threshold", "loc_threshold")
SCORES = "scores.csv"
_COLUMNS = ("image_id", "prob", "label")


@dataclass(frozen=True)
class _Score:
    """One row: prob 0..1 that the image is forged, label 0 or 1, and the row's thresholds, 0..1."""

    prob: float
    label: int
    thresholds: tuple[float, ...]


_Judged = tuple[str, _Score] | Problem


def write_a(path: Path, answers: Iterable[tuple[str, Answer]], threshold: float) -> None:
    """(case id, answer with image score) -> TEAM_constrained.zip or TEAM_open.zip, with a CSV of the same name in it.

    Raises InputError: another file name, a threshold or an image score outside 0..1, cannot be written.
    """
    _check_name(path, ("constrained", "open"))
    archives.write(path, [(f"{path.stem}.csv", table_a(answers, threshold))])


def table_a(answers: Iterable[tuple[str, Answer]], threshold: float) -> bytes:
    """The CSV in that zip. Raises InputError: a threshold or an image score outside 0..1."""
    thresholds = (_checked("threshold", threshold),)
    scores = []
    for case, answer in answers:
        with _named(case):
            scores.append((case, _scored(answer, thresholds)))
    return _csv(THRESHOLDS_A, scores)


def read_a(path: Path, truths: Mapping[str, Truth]) -> Iterator[Read]:
    """The zip, or the CSV from it, told by content, -> one answer per image (no format field says where), and Problems.

    Raises InputError: not a readable file, not exactly one CSV in the zip, a column missing, no row.
    """
    rows = _rows_in_zip(path) if archives.is_zip(path) else tables.read(path, (*_COLUMNS, *THRESHOLDS_A))
    for found in _scores(rows, truths, THRESHOLDS_A):
        if isinstance(found, Problem):
            yield found
        else:
            case, score = found
            yield case, _labelled(truths[case].size, score)


def expressed_a(answer: Answer, threshold: float) -> Answer:
    """What is left of an answer in task A's file. Raises InputError like `write_a`."""
    return _labelled(answer.size, _scored(answer, (_checked("threshold", threshold),)))


def write_b(path: Path, answers: Iterable[tuple[str, Answer]], threshold: float, loc_threshold: float) -> None:
    """(case id, answer with image score) -> TEAM_localization_masks.zip, one image at a time, scores.csv last.

    The map of an image is its heat map, else its regions as 0 and 1; all zero where its score says clean.
    Raises InputError: another file name, a number outside 0..1, an unfit heat map or case id, cannot be written.
    """
    _check_name(path, ("localization_masks",))
    thresholds = (_checked("threshold", threshold), _checked("loc_threshold", loc_threshold))
    archives.write(path, _members(answers, thresholds))


def read_b(path: Path, truths: Mapping[str, Truth]) -> Iterator[Read]:
    """The zip -> one answer per image: heat map (H, W) float32 and, where its label is 1, the region at loc_threshold.

    Raises InputError: not a safe zip, a column of scores.csv missing, no row in it. All else is a Problem.
    """
    with archives.opened(path) as archive:
        judged = list(_scores_in(archive, path, truths))
        scores = dict(found for found in judged if not isinstance(found, Problem))
        yield from (found for found in judged if isinstance(found, Problem))
        maps = [name for name in archive.names if name.endswith(".npz") and "/" not in name]
        for name in sorted({*archive.names} - {*maps, SCORES}):
            yield Problem(f"unknown file {rle.shortened(name, 120)}; put ID.npz and {SCORES} at the zip's top only")
        for found in cases.matched(((None, name.removesuffix(".npz"), name) for name in maps), truths):
            if isinstance(found, Problem):
                yield found
                continue
            _, case, name = found
            try:
                values = heatmaps.read(archive, name, truths[case].size)
            except InputError as error:
                yield Problem(str(error).removeprefix(f"{path}: "), case)
            else:
                if case in scores:  # else its row, or the whole table, is a problem already
                    yield case, _localised(values, scores[case])


def expressed_b(answer: Answer, threshold: float, loc_threshold: float) -> Answer:
    """What is left of an answer in task B's file. Raises InputError like `write_b`."""
    score = _scored(answer, (_checked("threshold", threshold), _checked("loc_threshold", loc_threshold)))
    return _localised(heatmaps.of(answer, score.label).astype(np.float32), score)


def _check_name(path: Path, runs: tuple[str, ...]) -> None:
    if not re.fullmatch(rf".+_({'|'.join(runs)})\.zip", path.name):
        raise InputError(f"{path}: wrong file name; call it {' or '.join(f'TEAM_{run}.zip' for run in runs)}")


def _checked(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise InputError(f"{name} is {value}; give a number in 0..1")
    return float(value)


@contextlib.contextmanager
def _named(case: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"case {case}: {error}") from None


def _scored(answer: Answer, thresholds: tuple[float, ...]) -> _Score:
    if math.isnan(answer.image_score):
        raise InputError("no image score; this format needs image scores, give one in 0..1")
    prob = _checked("image score", answer.image_score)
    return _Score(prob, int(prob >= thresholds[0]), thresholds)


def _csv(thresholds: tuple[str, ...], scores: Iterable[tuple[str, _Score]]) -> bytes:
    rows = ((case, score.prob, score.label, *score.thresholds) for case, score in scores)
    return tables.text((*_COLUMNS, *thresholds), rows).encode()


def _members(answers: Iterable[tuple[str, Answer]], thresholds: tuple[float, ...]) -> Iterator[tuple[str, bytes]]:
    scores = []
    for case, answer in answers:
        name = archives.file_name(case, ".npz")
        with _named(case):
            score = _scored(answer, thresholds)
            values = heatmaps.of(answer, score.label)
        yield name, heatmaps.packed(name, values)
        scores.append((case, score))
    yield SCORES, _csv(THRESHOLDS_B, scores)


def _rows_in_zip(path: Path) -> Iterator[tables.Row]:
    with archives.opened(path) as archive:
        names = [name for name in archive.names if name.lower().endswith(".csv")]
        if len(names) != 1:
            raise InputError(f"{path}: {len(names)} .csv files in it; pack exactly one")
        yield from _rows_of(archive, path, names[0], THRESHOLDS_A)


def _rows_of(archive: archives.Archive, path: Path, name: str, thresholds: tuple[str, ...]) -> Iterator[tables.Row]:
    lines = io.TextIOWrapper(io.BytesIO(archive.read(name)), encoding="utf-8-sig", newline="")
    return tables.parse(lines, f"{path}: {name}", (*_COLUMNS, *thresholds))


def _scores_in(archive: archives.Archive, path: Path, truths: Mapping[str, Truth]) -> Iterator[_Judged]:
    if SCORES in archive.names:
        yield from _scores(_rows_of(archive, path, SCORES, THRESHOLDS_B), truths, THRESHOLDS_B)
    else:
        yield Problem(f"no {SCORES} at the top of the zip; add {','.join((*_COLUMNS, *THRESHOLDS_B))}")


def _scores(rows: Iterable[tables.Row], truths: Mapping[str, Truth], thresholds: tuple[str, ...]) -> Iterator[_Judged]:
    """Every row judged: by itself, and its thresholds against those of the first good row."""
    first: _Score | None = None
    for found in cases.complete(rows, "image_id", truths):
        if isinstance(found, Problem):
            yield found
            continue
        line, case, cells = found
        try:
            score = _score(cells, thresholds)
            first = first or score
            for name, value, agreed in zip(thresholds, score.thresholds, first.thresholds, strict=True):
                if value != agreed:
                    raise InputError(f"{name} is {value}, in rows before it {agreed}; use one for all images")
        except InputError as error:
            yield Problem(str(error), case, line)
        else:
            yield case, score


def _score(cells: dict[str, str], thresholds: tuple[str, ...]) -> _Score:
    prob, *limits = (_fraction(name, cells[name]) for name in ("prob", *thresholds))
    if cells["label"].strip() not in ("0", "1"):
        raise InputError(f"label is {rle.shortened(cells['label'])}; write 0 or 1")
    label = int(cells["label"])
    if label != (prob >= limits[0]):
        raise InputError(f"label is {label}, but prob is {prob} and threshold {limits[0]}; label is prob >= threshold")
    return _Score(prob, label, tuple(limits))


def _fraction(name: str, text: str) -> float:
    try:
        value = float(text) if re.fullmatch(r"[\s0-9.eE+-]+", text, re.ASCII) else math.nan  # float() takes 1_0 too
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise InputError(f"{name} is {rle.shortened(text)}; write a number in 0..1")
    return value


def _labelled(size: tuple[int, int], score: _Score) -> Answer:
    return Answer(size, Instances(size) if score.label else None, score.prob)


def _localised(values: np.ndarray, score: _Score) -> Answer:
    size = (values.shape[0], values.shape[1])
    runs = rle.runs_of(values >= score.thresholds[1]) if score.label else rle.EMPTY
    instances = Instances(size, (runs,) if len(runs) else ()) if score.label else None
    return Answer(size, instances, score.prob, heatmap=values)
