"""What a data set holds: one record per image. Scanning opens few files; checking opens every one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from forgery_rcnn.data import content, images, layouts, masks
from forgery_rcnn.data.content import Content
from forgery_rcnn.data.layouts import pairs
from forgery_rcnn.data.layouts.folders import image_files as image_files
from forgery_rcnn.data.layouts.record import Record as Record
from forgery_rcnn.errors import InputError

WORTH_PROCESSES = 500  # fewer files are read before the processes have started


@dataclass(frozen=True)
class Loaded:
    """A record's pixels (H, W, 3) uint8 and truth (N, H, W) bool, N = 0 when authentic, in the original frame."""

    pixels: np.ndarray
    masks: np.ndarray
    mode: str
    notes: tuple[str, ...]


def scan(root: Path, layout: str = "auto", mask_folder: Path | None = None) -> list[Record]:
    """A data root in one of the LAYOUTS -> its records, sorted by label and case id, supplemental ones last.

    mask_folder: the masks of the images right in `root`, which then has no layout.
    Raises InputError: no layout fits or several do, a folder is missing or empty, a case id occurs twice.
    """
    if not root.is_dir():
        raise InputError(
            f"{root}: no such data root; pass a folder, e.g. one that holds train_images/ and train_masks/"
        )
    if mask_folder is not None:
        return pairs.scan_with(root, mask_folder)
    return layouts.named(root, layout).scan(root)


def load(record: Record) -> Loaded:
    """Read a record's image and masks. Raises InputError naming the file."""
    picture = images.read(record.image)
    size = picture.pixels.shape[:2]
    truth = np.zeros((0, *size), bool) if record.mask is None else masks.read(record.mask, size, record.image.name)
    return Loaded(picture.pixels, truth, picture.mode, picture.notes)


@dataclass(frozen=True)
class Facts:
    """What the check of one record found out. `problem` is the one-line error, or "" when the files are sound."""

    problem: str
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    notes: tuple[str, ...] = ()
    areas: tuple[int, ...] = ()
    forged_pixels: int = 0
    kept: int = 0
    lost: int = 0
    """Instances that training is shown, and that are too small, or too thin, for the model's size; 0 and 0 where none is known."""
    crowded: str = ""
    """Why training cannot be shown its instances: they are too many. No fault of the file."""
    content: Content | None = None
    """What the image shows, to find near-duplicates; None when it could not be read."""


def inspect(record: Record, how: masks.Shown | None = None) -> Facts:
    """Read everything of one record and report; never raises for a bad file. how: training is shown the truth, if it is."""
    try:
        loaded = load(record)
    except InputError as error:
        return Facts(problem=str(error))
    kept, lost, crowded = 0, 0, ""
    try:
        kept, lost = masks.counted(loaded.masks, how, record.mask) if how is not None else (0, 0)
    except InputError as error:
        crowded = str(error)
    return Facts(
        problem="",
        size=loaded.pixels.shape[:2],
        mode=loaded.mode,
        notes=loaded.notes,
        areas=tuple(int(mask.sum()) for mask in loaded.masks),
        forged_pixels=int(loaded.masks.any(axis=0).sum()),
        kept=kept,
        lost=lost,
        crowded=crowded,
        content=content.of(loaded.pixels),
    )


def check(
    records: Sequence[Record],
    workers: int,
    advance: Callable[[], None] = lambda: None,
    how: masks.Shown | None = None,
) -> list[Facts]:
    """Inspect every record, a large set in `workers` processes; `advance` is called after each."""
    one = partial(inspect, how=how)
    if workers <= 1 or len(records) < WORTH_PROCESSES:
        return list(_counted(map(one, records), advance))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(_counted(pool.map(one, records, chunksize=16), advance))


def _counted(results: Iterable[Facts], advance: Callable[[], None]) -> Iterable[Facts]:
    for result in results:
        advance()
        yield result


def sound(
    records: Sequence[Record], facts: Sequence[Facts], skip_bad: bool
) -> tuple[list[Record], list[Facts], list[str]]:
    """-> (records, facts) without the bad ones, and their problems. Raises InputError unless `skip_bad` allows them."""
    problems = [fact.problem for fact in facts if fact.problem]
    if problems and not skip_bad:
        more = f" (and {len(problems) - 1} more bad files)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}; --data.skip-bad lists and leaves out bad files")
    good = [(record, fact) for record, fact in zip(records, facts, strict=True) if not fact.problem]
    if not good:
        raise InputError(f"every file of the data set is bad; the first: {problems[0]}")
    return [record for record, _ in good], [fact for _, fact in good], problems


def fingerprint(records: Sequence[Record]) -> str:
    """16 hex digits over keys and file sizes: two runs with the same digits saw the same files."""
    digest = hashlib.sha256()
    for record in sorted(records, key=lambda r: r.key):
        mask_bytes = 0 if record.mask is None else masks.stored_bytes(record.mask)
        digest.update(f"{record.key} {record.image.stat().st_size} {mask_bytes}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]
