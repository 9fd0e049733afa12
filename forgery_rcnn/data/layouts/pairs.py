"""Any folder of images with a folder of masks beside it; an image without a mask, or with a black one, is authentic."""

from __future__ import annotations

from pathlib import Path

from forgery_rcnn.data.layouts.folders import Folders, image_files, paired
from forgery_rcnn.data.layouts.record import Layout, Record, in_order
from forgery_rcnn.errors import InputError

FOLDERS = Folders(
    images=("images", "image", "imgs", "img"),
    masks=("masks", "mask", "gt", "groundtruth"),
    unmasked="authentic",
)
LAYOUT = Layout(
    "images (image, imgs, img), masks (mask, gt, groundtruth), or under train/", FOLDERS.fits, FOLDERS.scan, rank=2
)


def scan_with(root: Path, mask_folder: Path) -> list[Record]:
    """The images right in `root`, their masks in a folder of any name. Raises InputError like every scan."""
    if not mask_folder.is_dir():
        raise InputError(f"--data.masks {mask_folder}: no such folder")
    if mask_folder.resolve() == root.resolve():
        raise InputError(f"--data.masks {mask_folder}: the folder of the images itself; put the masks into another")
    return in_order(paired(image_files(root), mask_folder, "authentic"), root)
