"""The home competition's layout; a manifest.csv beside it may tell the host of each case."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from forgery_rcnn import tables
from forgery_rcnn.data import masks
from forgery_rcnn.data.layouts.folders import child, image_files
from forgery_rcnn.data.layouts.record import Label, Layout, Record
from forgery_rcnn.errors import InputError

MANIFEST = ("case_id", "hosts")  # the columns that are read; hosts are parted by ;


def _fits(root: Path) -> bool:
    return _below(root, "train_images").is_dir()


def _below(root: Path, *names: str) -> Path:
    """The folder of these names, whatever their case; as they are written here where it is missing."""
    for name in names:
        root = child(root, (name,)) or root / name
    return root


def _scan(root: Path) -> list[Record]:
    """Records sorted by part, label, case id. Raises InputError naming a missing folder, an empty one, an id met twice."""
    forged = _below(root, "train_images", "forged")
    if not forged.is_dir():
        raise InputError(
            f"{root}: no folder train_images/forged in it; expected train_images/authentic, train_images/forged and train_masks"
        )
    hosts = _hosts(root / "manifest.csv")
    found = _records(forged, "forged", _below(root, "train_masks"), "train", hosts)
    authentic = _below(root, "train_images", "authentic")
    if authentic.is_dir():  # a root of forged images alone will do for overfitting
        found = _records(authentic, "authentic", None, "train", hosts) + found
    supplemental = _below(root, "supplemental_images")
    if supplemental.is_dir() and any(not path.name.startswith(".") for path in supplemental.iterdir()):
        found += _records(supplemental, "forged", _below(root, "supplemental_masks"), "supplemental", hosts)
    return found


def _hosts(manifest: Path) -> dict[str, tuple[str, ...]]:
    """Case id -> its hosts; none where there is no manifest, or one that tells of other things."""
    if not manifest.is_file():
        return {}
    with open(manifest, encoding="utf-8-sig", errors="replace") as file:
        if not set(MANIFEST) <= {cell.strip('"') for cell in file.readline().strip().split(",")}:
            return {}
    found: dict[str, tuple[str, ...]] = {}
    for row in tables.read(manifest, MANIFEST):
        if row.fault:
            raise InputError(f"{manifest}: row {row.line}: {row.fault}")
        own = (host.strip() for host in row.cells["hosts"].split(";"))
        found[row.cells["case_id"]] = tuple(sorted({*found.get(row.cells["case_id"], ()), *filter(None, own)}))
    return found


def _records(
    folder: Path,
    label: Label,
    mask_folder: Path | None,
    part: Literal["train", "supplemental"],
    hosts: dict[str, tuple[str, ...]],
) -> list[Record]:
    if mask_folder is None:
        return [Record(p.stem, label, p, None, part, hosts.get(p.stem, ())) for p in image_files(folder)]
    if not mask_folder.is_dir():
        raise InputError(f"{mask_folder}: no such folder; the masks of {folder} belong there, one STEM.npy per image")
    there = masks.listed(mask_folder)
    return [
        Record(
            path.stem,
            label,
            path,
            masks.of_stem(there, path.stem) or mask_folder / f"{path.stem}.npy",
            part,
            hosts.get(path.stem, ()),
        )
        for path in image_files(folder)
    ]


LAYOUT = Layout("train_images/forged, train_images/authentic, train_masks", _fits, _scan, rank=0)
