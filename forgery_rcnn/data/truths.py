"""The truth for a folder of images, from masks, a solution CSV, or a whole data root."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from forgery_rcnn.data import images, layouts, masks, records
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import ANY_SIZE, Instances, Truth
from forgery_rcnn.submission import recodai

LABELS = ("forged", "authentic")
Reader = Callable[[Path, tuple[int, int]], Instances | None]


def of_folder(folder: Path, cases: Collection[str]) -> dict[str, Truth]:
    """A data root or a folder of its images (see `of_root`), or a folder of masks: an image with a black one there is
    authentic, and one without, of unknown size.

    Raises InputError when the folder is neither, or a mask is bad.
    """
    found = _named(folder, cases)
    if found:
        return _of_records(folder, found, cases)
    there = masks.listed(folder) if folder.is_dir() else {}
    paths = {case: masks.of_stem(there, case) for case in cases}
    if not any(paths.values()):
        raise InputError(
            f"{folder}: neither a data root (no train_images/) nor a mask for any case id of the submission"
        )
    return {case: _of_mask(path) if path else Truth(ANY_SIZE, None) for case, path in sorted(paths.items())}


def unanswered(folder: Path, cases: Collection[str]) -> int:
    """How many case ids of a data root or a folder of masks (see `of_folder`) are not among these."""
    found = _named(folder, cases)
    known = {name for name, _ in found} if found else {masks.case_of(path) for path in masks.listed(folder).values()}
    return len(known - set(cases))


def _named(folder: Path, cases: Collection[str]) -> list[tuple[str, records.Record]]:
    """The records of a data root or of one folder of its images, with the names that `cases` are; [] = it is neither.

    An answer's id is the case id, or, where layouts make that of folder and stem, the image's stem.
    """
    if layouts.fitting(folder):
        found = [record for record in records.scan(folder) if record.part == "train"]
        stems = Counter((record.label, record.image.stem) for record in found)
        short = {stem for (_, stem), count in stems.items() if count == 1}
        by_stem = not set(cases) <= {record.case_id for record in found} and set(cases) <= short
        return [(record.image.stem if by_stem else record.case_id, record) for record in found]
    here = folder.absolute()
    for root in here.parents[:2]:
        if len(layouts.fitting(root)) == 1:
            return [(record.image.stem, record) for record in records.scan(root) if record.image.parent == here]
    return []


def _of_mask(path: Path) -> Truth:
    found = Instances.from_masks(masks.read(path, black="authentic"))
    return Truth(found.size, found if len(found) else None)


def of_root(folder: Path, cases: Collection[str]) -> dict[str, Truth]:
    """A data root in any layout, or a folder of its images, e.g. train_images/forged -> the truth of these case ids.

    In a root an id may occur authentic and forged. The side is meant whose ids are exactly `cases`, else the only side
    that has them all. Raises InputError when that leaves a doubt, or when an id is unknown.
    """
    found = _named(folder, cases)
    if not found:
        raise InputError(f"{folder}: neither a data root nor a folder of its images; see the README, The real data")
    return _of_records(folder, found, cases)


def _of_records(folder: Path, found: Sequence[tuple[str, records.Record]], cases: Collection[str]) -> dict[str, Truth]:
    sides = {label: {name: r for name, r in found if r.label == label} for label in LABELS}
    sides = {label: side for label, side in sides.items() if side}
    wanted = set(cases)
    unknown = sorted(wanted.difference(*sides.values()))
    if unknown:
        raise InputError(f"{folder}: {len(unknown)} case ids of the submission are not there (first: {unknown[0]})")
    fitting = [side for side in sides.values() if side.keys() == wanted]
    fitting = fitting or [side for side in sides.values() if side.keys() >= wanted]
    if not fitting and not any(wanted & sides["forged"].keys() & sides["authentic"].keys()):
        fitting = [sides["forged"] | sides["authentic"]]  # a mixed folder, every id of it known on one side only
    if len(fitting) != 1:
        forged, authentic = (next(iter(sides[label].values())).image.parent for label in LABELS)
        raise InputError(
            f"{folder}: the case ids occur authentic and forged; pass --solution {forged} (or {authentic})"
        )
    return {case: _truth(fitting[0][case]) for case in sorted(wanted)}


def _truth(record: records.Record) -> Truth:
    size = images.header_size(record.image)
    if record.mask is None:
        return Truth(size, None)
    return Truth(size, Instances.from_masks(masks.read(record.mask, size, record.image.name)))


def reader(source: Path, files: Sequence[Path]) -> Reader:
    """A folder of masks or a solution CSV -> a function that gives the truth of one image file of size (H, W).

    None = authentic: so says the CSV, or the folder holds no mask of that stem, or a black one. Raises InputError when the source knows
    none of `files`; the function raises it for a bad mask or a case without a row.
    """
    if source.is_dir():
        there = masks.listed(source)
        if not any(masks.of_stem(there, path.stem) for path in files):
            raise InputError(
                f"--masks {source}: no mask for any of the {len(files)} images; expected e.g. {files[0].stem}.npy"
            )

        def from_folder(path: Path, size: tuple[int, int]) -> Instances | None:
            mask = masks.of_stem(there, path.stem)
            if mask is None:
                return None
            found = Instances.from_masks(masks.read(mask, size, path.name, black="authentic"))
            return found if len(found) else None

        return from_folder
    truths = recodai.read_solution(source)
    lacking = [path.stem for path in files if path.stem not in truths]
    if lacking:
        raise InputError(f"--masks {source}: no row for {len(lacking)} of {len(files)} images (first: {lacking[0]})")

    def from_csv(path: Path, size: tuple[int, int]) -> Instances | None:
        truth = truths[path.stem]
        if truth.instances is not None and truth.size != size:
            raise InputError(
                f"{source}: case {path.stem}: shape is {truth.size} but image {path.name} is {size[0]} x {size[1]}"
            )
        return truth.instances

    return from_csv


def image_of(source: Path | None, case: str, truth: Instances | None) -> Path | None:
    """The image of a case in a folder of images or a data root (on the side of its truth); None where there is none.

    An id comes from a submission: one that leads out of the folder has no image.
    """
    if source is None or not source.is_dir() or "\\" in case or "\0" in case:
        return None
    if ".." in PurePosixPath(case).parts or PurePosixPath(case).is_absolute() or PureWindowsPath(case).drive:
        return None
    label = "authentic" if truth is None else "forged"
    for folder in (source / "train_images" / label, source / "test_images", source):
        for suffix in images.EXTENSIONS:
            if os.path.isfile(folder / f"{case}{suffix}"):  # Path.is_file raises where the name is too long
                return folder / f"{case}{suffix}"
    return None
