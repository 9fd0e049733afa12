"""Aaltoes 2025: inpainted images, their masks, and the originals under the same stems."""

from __future__ import annotations

from forgery_rcnn.data.layouts.folders import Folders
from forgery_rcnn.data.layouts.record import Layout

FOLDERS = Folders(images=("images",), masks=("masks",), originals=("originals",))
LAYOUT = Layout("images, masks, originals (or under train/)", FOLDERS.fits, FOLDERS.scan)
