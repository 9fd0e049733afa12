"""MediaEval 2025 Synthetic Images. Task A: is it forged, one CSV in a zip. Task B: where, one .npz map per image in a zip."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np

from forgery_rcnn import rle, tables
from forgery_rcnn.errors import InputError, Problem
from forgery_rcnn.instances import ANY_SIZE, MAX_PIXELS, Answer, Instances, Truth
from forgery_rcnn.submission import archives, cases
from forgery_rcnn.submission.cases import Read

THRESHOLDS_A = ("threshold",)
THRESHOLDS_B = ("threshold", "loc_threshold")
SCORES = "scores.csv"
NPZ = archives.Limits(members=16, member_bytes=512 * 2**20, total_bytes=512 * 2**20)  # one array is asked for
_COLUMNS = ("image_id", "prob", "label")
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGED = (ValueError, KeyError, SyntaxError, TypeError, OverflowError, TokenError, RecursionError, MemoryError)


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
    thresholds = (_checked("threshold", threshold),)
    scores = ((case, _scored(case, answer, thresholds)) for case, answer in answers)
    archives.write(path, [(f"{path.stem}.csv", _csv(THRESHOLDS_A, scores))])


def read_a(path: Path, truths: Mapping[str, Truth]) -> Iterator[Read]:
    """The zip, or the CSV from it, -> one answer per image (no format field says where), and Problems.

    Raises InputError: not a readable file, not exactly one CSV in the zip, a column missing, no row.
    """
    rows = tables.read(path, (*_COLUMNS, *THRESHOLDS_A)) if path.suffix.lower() == ".csv" else _rows_in_zip(path)
    for found in _scores(rows, truths, THRESHOLDS_A):
        if isinstance(found, Problem):
            yield found
        else:
            case, score = found
            size = truths[case].size
            yield case, Answer(size, Instances(size) if score.label else None, score.prob)


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
                values = _map_in(archive.read(name), name, truths[case].size)
            except InputError as error:
                yield Problem(str(error).removeprefix(f"{path}: "), case)
            else:
                if case in scores:  # else its row, or the whole table, is a problem already
                    yield case, _localised(values, scores[case])


def _check_name(path: Path, runs: tuple[str, ...]) -> None:
    if not re.fullmatch(rf".+_({'|'.join(runs)})\.zip", path.name):
        raise InputError(f"{path}: wrong file name; call it {' or '.join(f'TEAM_{run}.zip' for run in runs)}")


def _checked(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise InputError(f"{name} is {value}; give a number in 0..1")
    return float(value)


def _scored(case: str, answer: Answer, thresholds: tuple[float, ...]) -> _Score:
    if math.isnan(answer.image_score):
        raise InputError(f"case {case}: no image score; this format needs image scores, give one in 0..1")
    prob = _checked(f"case {case}: image score", answer.image_score)
    return _Score(prob, int(prob >= thresholds[0]), thresholds)


def _csv(thresholds: tuple[str, ...], scores: Iterable[tuple[str, _Score]]) -> bytes:
    rows = ((case, score.prob, score.label, *score.thresholds) for case, score in scores)
    return tables.text((*_COLUMNS, *thresholds), rows).encode()


def _members(answers: Iterable[tuple[str, Answer]], thresholds: tuple[float, ...]) -> Iterator[tuple[str, bytes]]:
    scores = []
    for case, answer in answers:
        name, score = archives.file_name(case, ".npz"), _scored(case, answer, thresholds)
        array = io.BytesIO()
        np.lib.format.write_array(array, _map_of(case, answer, score.label), allow_pickle=False)
        yield name, archives.packed(name, [("mask.npy", array.getvalue())])
        scores.append((case, score))
    yield SCORES, _csv(THRESHOLDS_B, scores)


def _map_of(case: str, answer: Answer, label: int) -> np.ndarray:
    """-> (H, W) float16 in 0..1, probability that a pixel is forged."""
    if math.prod(answer.size) > MAX_PIXELS:
        raise InputError(f"case {case}: image size unknown or above {MAX_PIXELS:,} pixels; give the image's own size")
    if not label or (answer.heatmap is None and answer.instances is None):
        return np.zeros(answer.size, np.float16)
    if answer.heatmap is None:
        return rle.mask_of(answer.instances.union(), answer.size).astype(np.float16)
    if answer.heatmap.shape != answer.size:
        raise InputError(f"case {case}: heat map is {answer.heatmap.shape}, its image {answer.size}; resize the map")
    if not np.isfinite(answer.heatmap).all():
        raise InputError(f"case {case}: heat map holds NaN or infinite values; give probabilities in 0..1")
    return np.clip(answer.heatmap, 0, 1).astype(np.float16)


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


def _map_in(data: bytes, name: str, size: tuple[int, int]) -> np.ndarray:
    """The bytes of an .npz -> (H, W) float32 in 0..1, of `size` unless that is unknown. Nothing is ever unpickled."""
    inner = archives.unpacked(data, name, NPZ)
    if len(inner.names) != 1:
        raise InputError(f"{name} holds {len(inner.names)} arrays; save exactly one")
    content = io.BytesIO(inner.read(inner.names[0]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 2's headers and old names of types
            shape, fortran, dtype = _HEADERS[np.lib.format.read_magic(content)](content)
    except _DAMAGED:
        raise InputError(f"{name}: not an array in it, or damaged; save it with np.savez_compressed") from None
    if dtype.kind != "f" or dtype.itemsize != 2:
        raise InputError(f"{name} is {dtype.name}, save it as float16")
    if len(shape) != 2 or not all(1 <= side <= MAX_PIXELS for side in shape) or size not in (ANY_SIZE, shape):
        found = shape if len(shape) < 5 and all(abs(side) <= 2**32 for side in shape) else "out of all bounds"
        raise InputError(f"{name}: shape is {found}; save it as {'(H, W) of the image' if size == ANY_SIZE else size}")
    pixels = content.getbuffer()[content.tell() :]
    if len(pixels) != 2 * math.prod(shape):
        raise InputError(f"{name}: {len(pixels):,} bytes of pixels for shape {shape}, damaged; save it anew")
    values = np.frombuffer(pixels, dtype).reshape(shape, order="F" if fortran else "C").astype(np.float32, order="C")
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise InputError(f"{name}: map holds values outside 0..1 or NaN; save probabilities in 0..1")
    return values


def _localised(values: np.ndarray, score: _Score) -> Answer:
    size = (values.shape[0], values.shape[1])
    runs = rle.runs_of(values >= score.thresholds[1]) if score.label else rle.EMPTY
    instances = Instances(size, (runs,) if len(runs) else ()) if score.label else None
    return Answer(size, instances, score.prob, heatmap=values)
