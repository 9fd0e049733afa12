"""What lies where in a data root: the files of each case, and what belongs to none. Opens no file."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from forgery_rcnn import tables
from forgery_rcnn.data import images, masks
from forgery_rcnn.data.doctor.findings import Finding
from forgery_rcnn.errors import InputError

Part = Literal["train", "supplemental", "test"]
Label = Literal["authentic", "forged", "unlabelled"]
IMAGES: dict[Path, tuple[Part, Label]] = {
    Path("train_images/authentic"): ("train", "authentic"),
    Path("train_images/forged"): ("train", "forged"),
    Path("supplemental_images"): ("supplemental", "forged"),
    Path("test_images"): ("test", "unlabelled"),
}
MASKS: dict[Path, Part] = {Path("train_masks"): "train", Path("supplemental_masks"): "supplemental"}
NEEDED = (Path("train_images/authentic"), Path("train_images/forged"), Path("train_masks"))
ABOVE = Path("train_images")
MANIFEST = "manifest.csv"
KNOWN_FILES = (".csv", ".json", ".md", ".txt")  # beside the folders: solutions, cards, licences


@dataclass
class Case:
    """All files of one case id in one part, relative to the root; of several masks the one that is read comes first.

    operations, hosts: how it was forged and of what pictures, where a manifest tells.
    """

    part: Part
    case_id: str
    images: dict[Label, list[Path]] = field(default_factory=lambda: {"authentic": [], "forged": [], "unlabelled": []})
    masks: list[Path] = field(default_factory=list)
    operations: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    def files(self) -> list[Path]:
        """Every file, images first."""
        return [path for paths in self.images.values() for path in paths] + self.masks


@dataclass(frozen=True)
class Layout:
    """cases: in order of part and id; others: files that belong to none; findings: about folders and stray files."""

    cases: list[Case]
    others: list[Path]
    findings: list[Finding]

    def image_count(self) -> int:
        """Image files, readable or not."""
        return sum(len(paths) for case in self.cases for paths in case.images.values())


def walk(root: Path) -> Layout:
    """A data root -> its layout. Hidden files are passed over. Raises InputError: no folder, or no data root at all."""
    if not root.is_dir():
        raise InputError(f"{root}: no such data root; pass a folder that holds train_images/ and train_masks/")
    if not any((root / folder).is_dir() for folder in (*IMAGES, *MASKS, ABOVE)):
        raise InputError(
            f"{root}: none of train_images, train_masks, supplemental_images and test_images in it; pass a data root"
        )
    cases: dict[tuple[Part, str], Case] = {}
    found: list[Finding] = []
    others: list[Path] = []
    listed: dict[Path, list[Path]] = defaultdict(list)
    for path in _files(root, Path("."), found):
        listed[path.parent].append(path)
    for folder in sorted(listed, key=lambda folder: (folder in MASKS, folder)):  # masks last: they look for their image
        for path in listed[folder]:
            _place(path, cases, others, found)
    found += [
        Finding("missing_folder", (folder,), "no such folder" if not (root / folder).is_dir() else "no file in it")
        for folder in NEEDED
        if not listed.get(folder)
    ]
    told = _told(root)
    for case in cases.values():
        case.masks.sort(key=_rank)
        case.operations, case.hosts = told.get(case.case_id, (frozenset(), frozenset()))
    ordered = [cases[key] for key in sorted(cases)]
    return Layout(ordered, others, found)


def _told(root: Path) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Case id -> operations and hosts, by the manifest of a made data set; nothing where there is none that can be read."""
    found: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    with contextlib.suppress(InputError):
        for row in tables.read(root / MANIFEST, ("case_id", "operation"), ("hosts",)):
            operations, hosts = found.get(row.cells["case_id"], (frozenset(), frozenset()))
            named = filter(None, row.cells.get("hosts", "").split(";"))
            found[row.cells["case_id"]] = operations | {row.cells["operation"]}, hosts.union(named)
    return found


def _files(root: Path, folder: Path, found: list[Finding]) -> Iterator[Path]:
    """Every file below, relative to the root, sorted. Folders outside the layout are noted once; links to folders are not entered."""
    try:
        names = sorted(name for name in os.listdir(root / folder) if not name.startswith("."))
    except OSError as error:
        found.append(Finding("missing_folder", (folder,), f"cannot be listed ({error.strerror or error})"))
        return
    for name in names:
        path = folder / name
        if not (root / path).is_dir():
            yield path
        elif path in (*IMAGES, *MASKS, ABOVE):
            yield from _files(root, path, found)
        else:
            inside = folder in (*IMAGES, *MASKS, ABOVE, Path("."))
            if inside:
                found.append(Finding("unknown_folder", (path,), "no part of the layout"))
            if not (root / path).is_symlink():
                yield from _files(root, path, found)


def _place(path: Path, cases: dict[tuple[Part, str], Case], others: list[Path], found: list[Finding]) -> None:
    """File it under its case, or among the others."""
    folder = path.parent
    if folder in IMAGES and path.suffix.lower() in images.EXTENSIONS:
        part, label = IMAGES[folder]
        cases.setdefault((part, path.stem), Case(part, path.stem)).images[label].append(path)
    elif folder in MASKS and path.suffix.lower() in masks.SUFFIXES:
        part = MASKS[folder]
        case_id = path.stem if (part, path.stem) in cases else masks.case_of(path)
        cases.setdefault((part, case_id), Case(part, case_id)).masks.append(path)
    else:
        others.append(path)
        if folder in IMAGES and path.suffix.lower() == ".npy":
            found.append(Finding("array_among_images", (path,), "an array where images are read"))
        elif folder in IMAGES or folder in MASKS or folder == ABOVE:
            found.append(Finding("stray_file", (path,), f"a file that is not read here ({path.suffix or 'no suffix'})"))
        elif folder == Path(".") and path.suffix.lower() not in KNOWN_FILES:
            found.append(Finding("stray_file", (path,), "no part of the layout"))


def _rank(path: Path) -> tuple[int, int]:
    """The order in which masks.of_stem looks."""
    ending = next(i for i in reversed(range(len(masks.ENDINGS))) if path.stem.endswith(masks.ENDINGS[i]))
    return ending, masks.SUFFIXES.index(path.suffix.lower())
