"""Tianchi "Forgeries and Forensics" track 2: one 8-bit grey PNG mask per image in `prediction_result/images/`."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from forgery_rcnn import rle, tables
from forgery_rcnn.errors import InputError, Problem
from forgery_rcnn.instances import ANY_SIZE, MAX_PIXELS, Answer, Truth
from forgery_rcnn.submission import archives, cases, one_mask
from forgery_rcnn.submission.cases import Read

FOLDER = "prediction_result/images/"
CUT = 127  # a grey mask is forged above it: the third-place team's rule (127.5)
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write(path: Path, answers: Iterable[tuple[str, Answer]]) -> None:
    """(case id, answer) -> masks of 0 and 255 in a zip where `path` ends in .zip, else in files under the folder `path`.

    Raises InputError: a case id twice or that cannot be a file name, an image of unknown size, cannot be written.
    """
    if path.suffix.lower() == ".zip":
        archives.write(path, _members(answers))
        return
    for name, data in _members(answers):
        with tables.replacing(path / name) as temporary:
            temporary.write_bytes(data)


def read(path: Path, truths: Mapping[str, Truth]) -> Iterator[Read]:
    """The zip, the folder, its `prediction_result` or that one's `images` -> one answer per image, and Problems.

    A mask is one region, or authentic where no pixel is set; one with other values than 0 and 255 is cut at 127.5 and
    also kept as heat map, (H, W) float32. Raises InputError: no such file or folder, no PNG in it, not a safe zip.
    """
    if path.is_dir():
        folder, names = _listed(path)
        yield from _answers(path, names, lambda name: folder / name, truths)
        return
    with archives.opened(path) as archive, TemporaryDirectory() as scratch:

        def placed(name: str) -> Path:
            copy = Path(scratch) / "mask.png"  # never the member's own name
            copy.write_bytes(archive.read(FOLDER + name))
            return copy

        inside = [name.removeprefix(FOLDER) for name in archive.names if name.startswith(FOLDER)]
        for name in archive.names:
            if not name.startswith(FOLDER):
                yield Problem(f"unknown file {rle.shortened(name, 120)}; put only ID.png into {FOLDER}")
        yield from _answers(path, inside, placed, truths)


def brightest(answer: Answer) -> float:
    """An answer as `read` gives it -> the largest value of its mask, 0..1."""
    return float(answer.instances is not None) if answer.heatmap is None else float(answer.heatmap.max())


def _listed(path: Path) -> tuple[Path, list[str]]:
    """-> the first of the three folders that holds a PNG, and the names in it."""
    for folder in (path / FOLDER, path / "images", path):
        try:
            names = sorted(inner.name for inner in folder.iterdir()) if folder.is_dir() else []
        except OSError as error:
            raise InputError(f"{folder}: cannot be read ({error.strerror or error}); make it readable") from None
        if any(name.lower().endswith(".png") for name in names):
            return folder, [name for name in names if name != ".DS_Store"]
    raise InputError(f"{path}: no PNG masks in it, in images/ or in {FOLDER}; put one ID.png per image there")


def _members(answers: Iterable[tuple[str, Answer]]) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    for case, answer in answers:
        name = archives.file_name(case, ".png")
        if case in seen:
            raise InputError(f"case {case} has two answers; give one")
        if math.prod(answer.size) > MAX_PIXELS:
            raise InputError(
                f"case {case}: image size unknown or above {MAX_PIXELS:,} pixels; give the image's own size"
            )
        seen.add(case)
        file = io.BytesIO()
        mask = Image.fromarray(rle.mask_of(one_mask.union(answer), answer.size).astype(np.uint8) * np.uint8(255))
        mask.save(file, "PNG", compress_level=6)
        yield FOLDER + name, file.getvalue()


def _answers(
    path: Path, names: Iterable[str], placed: Callable[[str], Path], truths: Mapping[str, Truth]
) -> Iterator[Read]:
    """File names, and what puts one of them into a file to be read, -> answers and Problems."""
    masks = []
    for name in names:
        if name.lower().endswith(".png") and "/" not in name:
            masks.append(name)
        else:
            yield Problem(f"unknown file {rle.shortened(name, 120)}; put only ID.png into {FOLDER}")
    for found in cases.matched(((None, name[: -len(".png")], name) for name in masks), truths):
        if isinstance(found, Problem):
            yield found
            continue
        _, case, name = found
        try:
            answer = _answer(placed(name), truths[case].size)
        except InputError as error:
            yield Problem(str(error).removeprefix(f"{path}: "), case)
        else:
            yield case, answer


def _answer(file: Path, size: tuple[int, int]) -> Answer:
    values = _grey(file, size)
    runs = rle.runs_of(values > CUT)
    soft = bool(((values != 0) & (values != 255)).any())
    heatmap = np.divide(values, np.float32(255), dtype=np.float32) if soft else None
    return one_mask.answer_of(runs, (values.shape[0], values.shape[1]), heatmap)


def _grey(file: Path, size: tuple[int, int]) -> np.ndarray:
    """PNG -> (H, W) uint8, of `size` unless that is unknown. Raises InputError that does not name the file."""
    from forgery_rcnn.data import images  # brings OpenCV, which the other formats do without

    try:
        found = images.header_size(file)
        if size not in (ANY_SIZE, found):
            raise InputError(f"mask is {found[0]} x {found[1]}, its image {size[0]} x {size[1]}; save it at that size")
        pixels = images.read(file, alpha="ignored").pixels
    except InputError as error:
        raise InputError(str(error).removeprefix(f"{file}: ")) from None
    with open(file, "rb") as content:
        if content.read(len(_SIGNATURE)) != _SIGNATURE:
            raise InputError("the mask is no PNG, only called so; save it as PNG")
    grey = pixels[:, :, 0].copy()  # a view would keep all three channels
    if any((pixels[:, :, channel] != grey).any() for channel in (1, 2)):
        raise InputError("the mask is in colour; save it as 8-bit grey, 0 and 255")
    return grey
