"""Tianchi "Forgeries and Forensics": every image has a mask, an all-black one when it is authentic."""

from __future__ import annotations

from forgery_rcnn.data.layouts.folders import Folders
from forgery_rcnn.data.layouts.record import Layout

FOLDERS = Folders(images=("img",), masks=("mask",), under=("", "train", "data/train"))
LAYOUT = Layout("img, mask (or under train/ or data/train/)", FOLDERS.fits, FOLDERS.scan)
