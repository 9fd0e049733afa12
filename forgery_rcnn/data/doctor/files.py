"""One image file: its pixels, and what its form hides: orientation, depth, transparency."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from forgery_rcnn.data import images
from forgery_rcnn.data.doctor.findings import Finding
from forgery_rcnn.errors import InputError

PLAIN = ("L", "LA", "La", "RGB", "RGBA", "RGBa", "RGBX")
OPAQUE = 128  # alpha below this shows the background
SEEN_THROUGH = 0.10  # share of an image that may be transparent, as a thin border is
DIFFERING = 0.01  # share of transparent pixels in which twins may differ
UNDER_MASK = 0.01  # share of a mask that may be transparent
BORDER = 8  # pixels along the edge where thin transparent borders lie
BLOBS = 0.05  # most of a mask's pixels do not lie at a border between black and white
ORIENTATION = 0x0112  # the EXIF tag
# EXIF orientation -> the turn that shows the picture upright.
TURNS = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@dataclass(frozen=True)
class Shot:
    """A readable image. pixels: (H, W, 3) uint8 RGB in the file's grid; clear: (H, W) bool, where it is transparent.

    orientation: of EXIF, 1 = none; alpha: whether it has any; findings: those that need no other file.
    """

    path: Path
    pixels: np.ndarray
    clear: np.ndarray | None
    orientation: int
    findings: tuple[Finding, ...]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


def read(root: Path, path: Path) -> Shot | Finding:
    """An image file, or why it cannot be read; never raises for a bad file."""
    try:
        picture = images.read(root / path)
        with warnings.catch_warnings(action="ignore"), Image.open(root / path, formats=images.FORMATS) as image:
            deep = image.mode.startswith(("I", "F")) or any("16" in _raw_mode(tile) for tile in image.tile)
            orientation = image.getexif().get(ORIENTATION, 1)  # loads a PNG, after which the tiles are gone
            clear = None
            if image.has_transparency_data:
                clear = np.asarray(image.convert("RGBA").getchannel("A")) < OPAQUE
    except InputError as error:
        return Finding("unreadable", (path,), reason(error, root / path))
    except OSError as error:
        return Finding("unreadable", (path,), f"cannot be opened ({error.strerror or error})")
    found = []
    if deep:
        found.append(Finding("bit_depth", (path,), f"{picture.mode}: 16 bits or more a channel"))
    elif picture.mode not in PLAIN:
        found.append(Finding("colour_mode", (path,), f"stored as {picture.mode}"))
    if clear is not None and clear.mean() > SEEN_THROUGH:
        found.append(Finding("transparency", (path,), f"{clear.mean():.0%} of the image is transparent"))
    if _like_a_mask(picture.pixels):
        found.append(Finding("mask_among_images", (path,), "only black and white, in blobs"))
    return Shot(path, picture.pixels, clear, orientation if orientation in TURNS else 1, tuple(found))


def _raw_mode(tile: Any) -> str:
    """How Pillow will unpack the file, e.g. RGB;16B: 16-bit colour becomes RGB, so the mode does not tell."""
    arguments = tile[3]
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def reason(error: InputError, path: Path) -> str:
    """An InputError's message without the path before it: reports name files relative to their root."""
    return str(error).removeprefix(f"{path}: ").replace(str(path), path.name)


def _like_a_mask(pixels: np.ndarray) -> bool:
    grey = pixels[..., 0]
    if not ((pixels == 0) | (pixels == 255)).all() or not (pixels == grey[..., None]).all():
        return False
    borders = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return 0 < np.count_nonzero(borders) < BLOBS * grey.size * 2


def hidden_under(shot: Shot, masks: np.ndarray) -> list[Finding]:
    """(N, H, W) bool masks of the image -> a finding where it is transparent under them."""
    if shot.clear is None or shot.clear.mean() > SEEN_THROUGH:
        return []
    union = masks.any(axis=0)
    share = np.count_nonzero(_inner(shot) & union[BORDER:-BORDER, BORDER:-BORDER]) / max(1, np.count_nonzero(union))
    text = f"{share:.0%} of the marked region is transparent"
    return [Finding("transparency", (shot.path,), text)] if share > UNDER_MASK else []


def unlike(first: Shot, second: Shot) -> list[Finding]:
    """Twins of one size -> a finding each where their transparency differs, unless one is found transparent anyway."""
    share = np.count_nonzero(_inner(first) != _inner(second)) / (first.size[0] * first.size[1])
    if share <= DIFFERING or any(s.clear is not None and s.clear.mean() > SEEN_THROUGH for s in (first, second)):
        return []
    text = f"its twin is transparent elsewhere ({share:.1%} of the image)"
    return [Finding("transparency", (shot.path,), text) for shot in (first, second)]


def _inner(shot: Shot) -> np.ndarray:
    """Where an image is transparent, (h, w) bool without its border."""
    clear = np.zeros(shot.size, bool) if shot.clear is None else shot.clear
    return clear[BORDER:-BORDER, BORDER:-BORDER]
