"""The one image reader, used by training, prediction and reports alike, and the one way to resize.

How each kind of file is read: 16-bit grey -> 8 bit by /257 (16-bit colour: its high byte); float 0..1 -> x255;
palette, bilevel, CMYK and others through Pillow's RGB; alpha over white; the first frame of several; EXIF orientation
is noted and not applied, so that pixels and masks keep the file's own grid. Truncated, empty and damaged files are
refused. Decoded with Pillow: torchvision's decoders crash the process on damaged files, OpenCV rotates and accepts
truncated ones.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.errors import InputError, printable
from forgery_rcnn.instances import MAX_PIXELS

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif")
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")  # told by content; Pillow's EPS reader would start a program
# What Pillow's plugins raise on damaged files.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error, zlib.error, MemoryError)
# What odd pixels can make of arithmetic, or an image too large of memory: one file's trouble must not be the others'.
FAULTS = (cv2.error, ArithmeticError, ValueError, LookupError, MemoryError, RuntimeError, np.linalg.LinAlgError)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced PNG: first column and row, step across and down."""
_ORIENTATION, _PHOTOMETRIC = 0x0112, 0x0106  # EXIF and TIFF tags


@dataclass(frozen=True)
class Picture:
    """pixels: (H, W, 3) uint8 RGB, C-contiguous, in the file's own grid; mode: Pillow's name; notes: what was decided."""

    pixels: np.ndarray
    mode: str
    notes: tuple[str, ...] = ()

    @property
    def unseen(self) -> tuple[str, ...]:
        """Those notes that tell what of the file is not seen; the others are everyday."""
        return tuple(note for note in self.notes if note.startswith(("first of ", "levels up to ")))


def read(
    path: Path, alpha: Literal["over_white", "ignored"] = "over_white", levels: Literal["full", "seen"] = "full"
) -> Picture:
    """Read an image file. Raises InputError (one line: file, what was found, fix) for anything that is not a whole image.

    levels = "seen" spreads the grey levels that a 16-bit or float image uses over 0..255, as a viewer does.
    """
    with _opened(path) as image:
        _load_whole(path, image)
        return _picture(path, image, alpha, levels)


def fault(path: Path, error: Exception) -> str:
    """One of FAULTS, met in a file's pixels, in a line."""
    return printable(
        f"{path}: could not be examined ({type(error).__name__}: {error}); save it anew, smaller if it is large", 300
    )


def header_size(path: Path) -> tuple[int, int]:
    """(H, W) in pixels from the file's header alone. Raises InputError like `read`."""
    with _opened(path) as image:
        return image.height, image.width


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file as Pillow opens it; whatever Pillow raises then or later becomes an InputError."""
    if not path.is_file():
        raise InputError(f"{path}: no such image file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); fetch it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decompression bombs are judged below, odd metadata does not matter
            with Image.open(path, formats=FORMATS) as image:
                yield image
    except UnidentifiedImageError:
        raise InputError(f"{path}: not an image that can be read; save it as PNG, JPEG or 8/16-bit TIFF") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: more than {MAX_PIXELS:,} pixels; cut it into smaller files") from None
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); change its permissions") from None
    except DAMAGED as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: damaged or truncated image ({reason}); fetch it again") from None


def _load_whole(path: Path, image: Image.Image) -> None:
    """Decode; a PNG whose last row may be missing is counted too, which takes nearly half as long again."""
    try:
        image.load()
    except OSError:
        if image.format == "PNG":
            _check_png_rows(path)  # says how much of it is there
        raise
    # Rows are decoded from the top into an image of zeros: where the last one holds anything, none is missing.
    last = image.crop((0, image.height - 1, image.width, image.height))
    if image.format == "PNG" and (image.info.get("interlace") or last.getbbox(alpha_only=False) is None):
        _check_png_rows(path)


def _check_png_rows(path: Path) -> None:
    """Pillow leaves zeros for the missing rows of a PNG whose compressed stream ends early but well formed; count bytes."""
    data = path.read_bytes()
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    depth, colour, interlaced = data[24], data[25], data[28]
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(-((x0 - width) // dx), -((y0 - height) // dy)) for x0, y0, dx, dy in passes]
    expected = sum(h * (1 + (w * bits + 7) // 8) for w, h in sizes if w > 0)
    inflate, found, at = zlib.decompressobj(), 0, 8
    while at + 8 <= len(data) and found < expected:  # bounded: a small file may hold a very long stream
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"IDAT":
            found += len(inflate.decompress(data[at + 8 : at + 8 + length], expected - found))
        elif kind == b"IEND":
            break
        at += length + 12
    if found < expected:
        raise InputError(
            f"{path}: truncated image: {found:,} of {expected:,} bytes of pixels are there; fetch it again"
        )


def _picture(
    path: Path, image: Image.Image, alpha: Literal["over_white", "ignored"], levels: Literal["full", "seen"]
) -> Picture:
    notes = []
    mode = image.mode
    if getattr(image, "n_frames", 1) > 1:
        notes.append(f"first of {image.n_frames} frames")
    try:
        if image.getexif().get(_ORIENTATION, 1) != 1:
            notes.append("EXIF orientation not applied")
    except DAMAGED:
        notes.append("EXIF unreadable")
    if mode.startswith(("I;16", "I", "F")):
        values = np.asarray(image)
        if mode.startswith("I;16") and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
            values = 65535 - values  # a TIFF whose white is zero: Pillow turns it round for 8 bits only
        grey, decided = _eight_bit(path, values) if levels == "full" else _seen(values)
        notes += decided
        pixels = np.repeat(grey[:, :, None], 3, axis=2)
    elif alpha == "over_white" and ("transparency" in image.info or image.has_transparency_data):
        notes.append("alpha over white")
        layer = image.convert("RGBA")
        pixels = np.asarray(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"))
    elif mode == "L":
        pixels = np.repeat(np.asarray(image)[:, :, None], 3, axis=2)  # Pillow's own RGB takes four bytes a pixel
    else:
        if mode != "RGB":
            notes.append(f"{mode} converted to RGB")
        pixels = np.asarray(image if mode == "RGB" else image.convert("RGB"))
    if pixels.shape != (image.height, image.width, 3):
        raise InputError(
            f"{path}: decoded to {pixels.shape}, its header says {image.height} x {image.width}; save it anew"
        )
    if not pixels.flags.writeable or not pixels.flags.c_contiguous:  # Pillow's own arrays are read-only
        pixels = np.array(pixels, np.uint8, order="C")
    return Picture(pixels, mode, tuple(notes))


def _eight_bit(path: Path, values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(H, W) 16-bit, 32-bit or float grey -> (H, W) uint8 and the notes that say how."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 255:
            raise InputError(f"{path}: float pixels outside 0..255 or not finite; save it as an 8- or 16-bit image")
        scale = 255.0 if values.max() <= 1 else 1.0
        return np.rint(values * scale).astype(np.uint8), [f"float x{scale:g}"]
    if values.min() < 0 or values.max() > 65535:
        raise InputError(
            f"{path}: pixel values {values.min()}..{values.max()}, expected 0..65535; save it as 16-bit grey"
        )
    notes, top = ["16 bit / 257"], int(values.max())
    if values.min() < top < 65536 // 16:
        used = 2 ** top.bit_length() - 1  # in whole bits: a data card has a line for each different note
        notes.append(f"levels up to {used} of 65535: seen nearly black; spread them before saving")
    return np.rint(values / 257.0).astype(np.uint8), notes


def _seen(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(H, W) grey of any range -> (H, W) uint8 from its 0.1 to its 99.9 percentile, and the note that says so."""
    finite = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    low, high = np.percentile(finite, (0.1, 99.9))
    return np.clip((finite - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8), ["levels spread"]


def fitted_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """(H, W) -> the (h, w) with the same aspect whose longer side is `long_side`; neither falls below 1 pixel."""
    scale = long_side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def model_size(size: tuple[int, int], model: ModelConfig) -> tuple[int, int]:
    """(H, W) of an image -> (h, w) at which this model sees it: fitted to its input size, or as it is."""
    return fitted_size(size, model.scaled_to) if model.scaled_to else size


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) or (H, W) uint8 -> the same at `size` = (h, w): area average when shrinking, cubic when growing."""
    if pixels.shape[:2] == size:
        return pixels
    shrinks = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def resized_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool or {0, 1} -> (h, w) bool: a pixel is set where at least half of it was."""
    if mask.shape == size:
        return mask.astype(bool)
    full = mask.astype(np.uint8) * np.uint8(255)
    shrinks = size[0] * size[1] < mask.shape[0] * mask.shape[1]
    return cv2.resize(full, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR) >= 128


def jpeg_tables(path: Path) -> tuple[tuple[int, ...], ...]:
    """The quantization tables of a JPEG file, 64 numbers each; () for another kind of file. Raises InputError like `read`."""
    with _opened(path) as image:
        return tuple(tuple(table) for table in getattr(image, "quantization", {}).values())
