"""The pristine images that figures are made of: found, judged, grouped by what they show, dealt into pools."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from forgery_rcnn.data import content, images
from forgery_rcnn.data.content import Content
from forgery_rcnn.errors import InputError

SMALLEST_SIDE = 96  # a smaller picture shows too little
FEWEST_LEVELS = 24  # grey levels; fewer is a drawing, a label image or an empty field
FLATTEST = 8.0  # grey levels of standard deviation
DARK = 96  # 8-bit pictures whose brightest thousandth stays below this are shown with spread levels
MOST_POOLS, PER_POOL = 20, 3  # pools, and pictures that differ in each
STAMP = ".forge.json"  # of a made set
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}

Tables = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Host:
    """One usable picture. id: its path below the folder, without ; ; tables: its JPEG quantization tables, () if it is no JPEG.

    group: hosts with the same number show the same; -1 until `pools` has compared them.
    """

    id: str
    path: Path
    size: tuple[int, int]
    shows: Content
    tables: Tables = ()
    group: int = -1

    @property
    def family(self) -> str:
        """The folder it lies in: pictures of one kind."""
        return Path(self.id).parent.as_posix()


def read(path: Path) -> np.ndarray:
    """-> (H, W, 3) uint8 RGB as an author would show it: dark and 16-bit pictures with their levels spread."""
    return _shown(images.read(path, levels="seen").pixels)


def _shown(pixels: np.ndarray) -> np.ndarray:
    bright = float(np.percentile(pixels[::4, ::4], 99.9))
    if bright >= DARK:
        return pixels
    gain = 235 / max(bright, 1.0)
    grain = np.random.default_rng(0).uniform(-0.5, 0.5, pixels.shape[:2])  # hides the steps between levels
    return np.clip((pixels + grain[..., None]) * gain, 0, 255).astype(np.uint8)


def files_of(folder: Path) -> list[Path]:
    """Every image file below `folder`, sorted; not of sets that were made here. Raises InputError: no folder, no image."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of pristine images")
    made = {stamp.parent for stamp in folder.rglob(STAMP)}
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in images.EXTENSIONS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not made.intersection(path.parents)
    )
    if not files:
        raise InputError(f"{folder}: no image in it; expected files ending in {', '.join(images.EXTENSIONS)}")
    return files


def scan(
    folder: Path, files: Sequence[Path], workers: int, advance: Callable[[], None] = lambda: None
) -> tuple[list[Host], list[str]]:
    """The image files below `folder` -> usable hosts, and one line for each file that is left out.

    Raises InputError when none can be used.
    """
    found, refused = [], []
    judge = functools.partial(_judged, folder=folder)
    with contextlib.ExitStack() as stack:
        if workers > 1:
            processes = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
        for judged in processes.map(judge, files, chunksize=8) if workers > 1 else map(judge, files):
            advance()
            (found if isinstance(judged, Host) else refused).append(judged)
    if not found:
        raise InputError(f"{folder}: none of its {len(files)} images can be used; the first: {refused[0]}")
    return found, refused


def _judged(path: Path, folder: Path) -> Host | str:
    """A host, or why the file is none."""
    try:
        stored = images.read(path, levels="seen").pixels
    except InputError as error:
        return str(error)
    levels = np.count_nonzero(np.bincount(stored[..., 1].ravel(), minlength=256) > stored.size / 60_000)
    pixels = _shown(stored)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if min(grey.shape) < SMALLEST_SIDE:
        return f"{path}: {grey.shape[0]} x {grey.shape[1]} px is too small for a host, {SMALLEST_SIDE} is the least"
    if levels < FEWEST_LEVELS or grey.std() < FLATTEST:
        return f"{path}: {levels} grey levels, deviation {grey.std():.1f}: a drawing, a label image or an empty field"
    name = path.relative_to(folder).as_posix().replace(";", "_")  # which parts hosts in the manifest
    return Host(name, path, grey.shape, content.of(pixels), images.jpeg_tables(path))


def pools(hosts: Sequence[Host], least: int = PER_POOL) -> list[tuple[Host, ...]]:
    """Hosts -> pools of at least `least` pictures; those that show the same are in one, and every family is spread over all.

    A figure draws all it shows from one pool, so that a split by pool shares no picture.
    """
    groups = content.joined(len(hosts), content.near_duplicates([host.shows for host in hosts]))
    grouped = [replace(host, group=group) for host, group in zip(hosts, groups, strict=True)]
    order = (
        np.random.default_rng(0).permutation(len(hosts)).tolist()
    )  # the same for all seeds: sets of two can be mixed
    ranked = sorted((grouped[i] for i in order), key=lambda host: hosts[host.group].family)
    dealt = {group: number for number, group in enumerate(dict.fromkeys(host.group for host in ranked))}
    count = max(1, min(MOST_POOLS, len(dealt) // least))
    return [tuple(host for host in grouped if dealt[host.group] % count == pool) for pool in range(count)]


def parts(count: int) -> dict[str, list[int]]:
    """How many pools there are -> the numbers of those that train, validation and test may show; few pools only train.

    >>> parts(5), parts(2)
    ({'train': [0, 1, 2], 'validation': [3], 'test': [4]}, {'train': [0, 1]})
    """
    if count < len(SHARES):
        return {"train": list(range(count))}
    test, validation = (max(1, round(SHARES[name] * count)) for name in ("test", "validation"))
    numbers = list(range(count))
    return {
        "train": numbers[: count - validation - test],
        "validation": numbers[count - validation - test : count - test],
        "test": numbers[count - test :],
    }
