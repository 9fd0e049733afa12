"""What a data set holds: one record per image. Scanning opens no file; checking opens every one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np

from forgery_rcnn.data import content, images, masks
from forgery_rcnn.data.content import Content
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import boxes_of

Label = Literal["authentic", "forged"]
WORTH_PROCESSES = 500  # fewer files are read before the processes have started


@dataclass(frozen=True)
class Record:
    """One image: its case id, label, files, and the folder it came from.

    hosts: ids of the untampered images it was made of, where the data set tells them: whoever shares one is kept on one
    side of a split.
    """

    case_id: str
    label: Label
    image: Path
    mask: Path | None = None
    part: Literal["train", "supplemental"] = "train"
    hosts: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Unique in a data set: an id occurs once as authentic and once as forged."""
        return f"{self.part}/{self.label}/{self.case_id}"


@dataclass(frozen=True)
class Loaded:
    """A record's pixels (H, W, 3) uint8 and truth (N, H, W) bool, N = 0 when authentic, in the original frame."""

    pixels: np.ndarray
    masks: np.ndarray
    mode: str
    notes: tuple[str, ...]


def image_files(folder: Path) -> list[Path]:
    """The image files right in `folder`, sorted by name. Raises InputError: no folder, no image, one stem twice."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in images.EXTENSIONS and not p.name.startswith("."))
    if not files:
        raise InputError(f"{folder}: no image in it; expected files ending in {', '.join(images.EXTENSIONS)}")
    seen: dict[str, Path] = {}
    for path in files:
        if path.stem in seen:
            raise InputError(f"{folder}: case id {path.stem!r} twice ({seen[path.stem].name}, {path.name}); rename one")
        seen[path.stem] = path
    return files


def scan(root: Path) -> list[Record]:
    """A root in the competition's layout -> records sorted by part, label, case id.

    Raises InputError naming the missing folder, an empty one, or a case id met twice.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such data root; pass a folder that holds train_images/ and train_masks/")
    forged = root / "train_images" / "forged"
    if not forged.is_dir():
        raise InputError(
            f"{root}: no folder train_images/forged in it; expected train_images/authentic, train_images/forged and train_masks"
        )
    found = _records(forged, "forged", root / "train_masks", "train")
    authentic = root / "train_images" / "authentic"
    if authentic.is_dir():  # a root of forged images alone will do for overfitting
        found = _records(authentic, "authentic", None, "train") + found
    supplemental = root / "supplemental_images"
    if supplemental.is_dir() and any(supplemental.iterdir()):
        found += _records(supplemental, "forged", root / "supplemental_masks", "supplemental")
    return found


def _records(
    folder: Path, label: Label, mask_folder: Path | None, part: Literal["train", "supplemental"]
) -> list[Record]:
    if mask_folder is not None and not mask_folder.is_dir():
        raise InputError(f"{mask_folder}: no such folder; the masks of {folder} belong there, one STEM.npy per image")
    return [
        Record(
            path.stem,
            label,
            path,
            mask_folder and (masks.find(mask_folder, path.stem) or mask_folder / f"{path.stem}.npy"),
            part,
        )
        for path in image_files(folder)
    ]


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
    sides: tuple[tuple[int, int], ...] = ()
    """(height, width) of each instance's box, pixels."""
    content: Content | None = None
    """What the image shows, to find near-duplicates; None when it could not be read."""


def inspect(record: Record) -> Facts:
    """Read everything of one record and report; never raises for a bad file."""
    try:
        loaded = load(record)
    except InputError as error:
        return Facts(problem=str(error))
    boxes = boxes_of(loaded.masks)
    return Facts(
        problem="",
        size=loaded.pixels.shape[:2],
        mode=loaded.mode,
        notes=loaded.notes,
        areas=tuple(int(mask.sum()) for mask in loaded.masks),
        forged_pixels=int(loaded.masks.any(axis=0).sum()),
        sides=tuple((int(y1 - y0), int(x1 - x0)) for x0, y0, x1, y1 in boxes),
        content=content.of(loaded.pixels),
    )


def check(records: Sequence[Record], workers: int, advance: Callable[[], None] = lambda: None) -> list[Facts]:
    """Inspect every record, a large set in `workers` processes; `advance` is called after each."""
    if workers <= 1 or len(records) < WORTH_PROCESSES:
        return list(_counted(map(inspect, records), advance))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(_counted(pool.map(inspect, records, chunksize=16), advance))


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
        mask_bytes = record.mask.stat().st_size if record.mask is not None and record.mask.is_file() else 0
        digest.update(f"{record.key} {record.image.stat().st_size} {mask_bytes}\n".encode())
    return digest.hexdigest()[:16]
