"""MediaEval 2025 Synthetic Images: the TGIF training folders, and the validation list taskB_val.csv."""

from __future__ import annotations

import re
from pathlib import Path

from forgery_rcnn import tables
from forgery_rcnn.data import masks
from forgery_rcnn.data.layouts.folders import child, id_of, image_files, inside
from forgery_rcnn.data.layouts.record import Layout, Record, in_order
from forgery_rcnn.errors import InputError

FAKES = ("ps-sp", "sd2-sp", "sd2-fr", "sdxl-fr")
NAME = re.compile(r"(?P<mask>(?P<original>.+?)_mask_(?:bbox|segm))(?![^\W_])")
LIST = "taskB_val.csv"


def _folders(root: Path) -> list[Path]:
    return [folder for name in FAKES if (folder := child(root, (name,)))]


def _fits_tgif(root: Path) -> bool:
    return bool(child(root, ("orig",)) and child(root, ("masks",)) and _folders(root))


def _scan_tgif(root: Path) -> list[Record]:
    """A stem may occur under several generators, so a fake's case id begins with its folder's name; its host is the
    original. Raises InputError for a fake whose name tells no mask."""
    originals, mask_folder = child(root, ("orig",)), child(root, ("masks",))
    assert originals and mask_folder
    there = masks.listed(mask_folder)
    found = [Record(path.stem, "authentic", path, hosts=(path.stem,)) for path in image_files(originals)]
    for folder in _folders(root):
        for path in image_files(folder):
            name = NAME.match(path.stem)
            if not name:
                raise InputError(
                    f"{path}: its name tells no mask; expected ID_mask_bbox.png_... or ID_mask_segm.png_..."
                )
            mask = there.get(name["mask"]) or mask_folder / f"{name['mask']}.png"
            found.append(Record(f"{folder.name}__{path.stem}", "forged", path, mask, hosts=(name["original"],)))
    return in_order(found, root)


def _fits_list(root: Path) -> bool:
    return (root / LIST).is_file()


def _scan_list(root: Path) -> list[Record]:
    """An image without a mask is authentic; its host is the image it was made of, or itself."""
    found = []
    for row in tables.read(root / LIST, ("img_path", "mask_path", "src_path")):
        where = f"{root / LIST}: row {row.line}"
        if row.fault:
            raise InputError(f"{where}: {row.fault}")
        name, mask_name, source = (row.cells[column].strip() for column in ("img_path", "mask_path", "src_path"))
        image = inside(root, name, where)
        mask = inside(root, mask_name, where) if mask_name else None
        host = id_of(inside(Path(), source or name, where).as_posix())
        found.append(Record(id_of(name), "forged" if mask else "authentic", image, mask, hosts=(host,)))
    return in_order(found, root / LIST)


TGIF = Layout(f"orig, masks, and of {', '.join(FAKES)} what there is", _fits_tgif, _scan_tgif)
VALIDATION = Layout(f"{LIST}, coco, raise", _fits_list, _scan_list)
