"""The truth for a folder of images, from masks, a solution CSV, or a whole data root."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from forgery_rcnn.data import images, masks, records
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import ANY_SIZE, Instances, Truth
from forgery_rcnn.submission import recodai

LABELS = ("forged", "authentic")
Reader = Callable[[Path, tuple[int, int]], Instances | None]


def of_folder(folder: Path, cases: Collection[str]) -> dict[str, Truth]:
    """A data root (see `of_root`), or a folder of masks: an image without one there is authentic, of unknown size.

    Raises InputError when the folder is neither, or a mask is bad.
    """
    if (folder / "train_images").is_dir() or folder.parent.name == "train_images":
        return of_root(folder, cases)
    paths = {case: masks.find(folder, case) for case in cases}
    if not any(paths.values()):
        raise InputError(
            f"{folder}: neither a data root (no train_images/) nor a mask for any case id of the submission"
        )
    return {case: _of_mask(path) if path else Truth(ANY_SIZE, None) for case, path in sorted(paths.items())}


def unanswered(folder: Path, cases: Collection[str]) -> int:
    """How many case ids of a data root or a folder of masks (see `of_folder`) are not among these."""
    if (folder / "train_images").is_dir():
        known = {record.case_id for record in records.scan(folder) if record.part == "train"}
    else:
        known = {masks.case_of(path) for path in folder.iterdir() if path.suffix.lower() in masks.SUFFIXES}
    return len(known - set(cases))


def _of_mask(path: Path) -> Truth:
    found = Instances.from_masks(masks.read(path))
    return Truth(found.size, found)


def of_root(folder: Path, cases: Collection[str]) -> dict[str, Truth]:
    """A data root, or its train_images/forged or train_images/authentic -> the truth of the images with these case ids.

    In a root an id may occur authentic and forged. The side is meant whose ids are exactly `cases`, else the only side
    that has them all. Raises InputError when that leaves a doubt, or when an id is unknown.
    """
    named = folder.name if folder.parent.name == "train_images" and folder.name in LABELS else None
    root = folder.parents[1] if named else folder
    found = records.scan(root)
    sides = {
        label: {r.case_id: r for r in found if (r.part, r.label) == ("train", label)}
        for label in LABELS
        if named in (None, label)
    }
    wanted = set(cases)
    unknown = sorted(wanted - set().union(*sides.values()))
    if unknown:
        raise InputError(f"{folder}: {len(unknown)} case ids of the submission are not there (first: {unknown[0]})")
    fitting = [side for side in sides.values() if side.keys() == wanted]
    fitting = fitting or [side for side in sides.values() if side.keys() >= wanted]
    if not fitting and not any(wanted & sides["forged"].keys() & sides["authentic"].keys()):
        fitting = [sides["forged"] | sides["authentic"]]  # a mixed folder, every id of it known on one side only
    if len(fitting) != 1:
        raise InputError(
            f"{root}: the case ids occur authentic and forged; pass --solution {root}/train_images/forged (or /authentic)"
        )
    return {case: _truth(fitting[0][case]) for case in sorted(wanted)}


def _truth(record: records.Record) -> Truth:
    size = images.header_size(record.image)
    if record.mask is None:
        return Truth(size, None)
    return Truth(size, Instances.from_masks(masks.read(record.mask, size, record.image.name)))


def reader(source: Path, files: Sequence[Path]) -> Reader:
    """A folder of masks or a solution CSV -> a function that gives the truth of one image file of size (H, W).

    None = authentic: so says the CSV, or the folder holds no mask of that stem. Raises InputError when the source knows
    none of `files`; the function raises it for a bad mask or a case without a row.
    """
    if source.is_dir():
        if not any(masks.find(source, path.stem) for path in files):
            raise InputError(
                f"--masks {source}: no mask for any of the {len(files)} images; expected e.g. {files[0].stem}.npy"
            )

        def from_folder(path: Path, size: tuple[int, int]) -> Instances | None:
            mask = masks.find(source, path.stem)
            return mask and Instances.from_masks(masks.read(mask, size, path.name))

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
