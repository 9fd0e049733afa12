"""One mask file: read it although it is wrong, say what is wrong, and mend what is certain."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from forgery_rcnn.data import images, masks
from forgery_rcnn.data.doctor.files import reason
from forgery_rcnn.data.doctor.findings import Finding
from forgery_rcnn.errors import InputError

PICTURE = 0.5  # a mask image with more pixels than this neither black nor white is a picture


@dataclass
class Reading:
    """A mask as it was meant. masks: (N, H, W) bool, None where nobody can tell; mended: it is not what the file holds."""

    path: Path
    masks: np.ndarray | None = None
    findings: list[Finding] = field(default_factory=list)
    mended: bool = False

    def note(self, check: str, found: str, sound: np.ndarray | None) -> None:
        """Add a finding; `sound` is what the mask should be, None = that is not certain, and the file is left out."""
        self.findings.append(Finding(check, (self.path,), found, "left out" if sound is None else ""))
        self.masks, self.mended = sound, sound is not None


def read(root: Path, path: Path) -> Reading:
    """Read a mask file of any size; never raises for a bad file."""
    reading = Reading(path)
    try:
        if path.suffix.lower() == ".npy":
            _read_array(root / path, reading)
        else:
            _read_image(root / path, reading)
    except InputError as error:
        reading.note("unreadable", reason(error, root / path), None)
    except (OSError, ValueError, MemoryError) as error:
        reading.note(
            "unreadable", f"cannot be opened ({str(error).splitlines()[0] if str(error) else 'damaged'})", None
        )
    return reading


def _read_array(path: Path, reading: Reading) -> None:
    try:
        values = np.array(np.lib.format.open_memmap(path, mode="r"))
    except Exception:  # whatever NumPy raises on a damaged header: the reader of masks knows them all, and says why
        masks.read(path)
        raise
    if values.ndim not in (2, 3) or values.size == 0 or values.dtype.kind not in "buif":
        reading.note("unreadable", f"array of shape {values.shape} and dtype {values.dtype}; expected (N, H, W)", None)
        return
    binary = values.dtype.kind in "bui" and values.min() >= 0 and values.max() <= 1
    kinds = np.array([0, 1]) if binary else np.unique(values)  # sorting takes seconds, and nearly all are binary
    stack = values if values.ndim == 3 else values[None]
    if kinds.dtype.kind == "f" and not np.isfinite(kinds).all():
        reading.note("non_binary_mask", "values that are no numbers", None)
        return
    reading.masks = stack > 0
    if not np.isin(kinds, (0, 1)).all():
        shown = ", ".join(f"{value:g}" for value in kinds[:6]) + (", …" if len(kinds) > 6 else "")
        certain = kinds[0] >= 0 and np.count_nonzero(kinds) == 1
        reading.note("non_binary_mask", f"values {shown}", stack > 0 if certain else None)
    elif values.dtype.kind in "bf":
        reading.note("mask_dtype", f"dtype {values.dtype}", stack > 0)
    if values.ndim == 2 and reading.masks is not None:
        reading.note("flat_mask", f"shape {values.shape}", reading.masks)


def _read_image(path: Path, reading: Reading) -> None:
    """By the rule of masks.read: light is white, dark is black, anything between is neither."""
    pixels = images.read(path, alpha="ignored").pixels
    light = (pixels >= masks.LIGHT).all(axis=2)
    between = np.mean(~light & ~(pixels <= 255 - masks.LIGHT).all(axis=2))
    if between > PICTURE:
        reading.note("picture_among_masks", f"{between:.0%} of its pixels are neither black nor white", None)
    elif between > 0:
        reading.note("coloured_mask", f"{between:.2%} of its pixels are neither black nor white", None)
    elif not light.any() and pixels.any():
        found = np.unique(pixels)
        sound = (pixels > 0).any(axis=2)[None] if len(found) == 2 and found[0] == 0 else None
        reading.note("non_binary_mask", f"values 0..{pixels.max()}, all of them dark", sound)
    else:
        reading.masks = light[None]


def check_content(reading: Reading) -> None:
    """Whether a mask of the right size marks something, and not everything."""
    if reading.masks is None:
        return
    filled = reading.masks.any(axis=(1, 2))
    if not filled.any():
        reading.note("empty_mask", "all zero", None)
    elif reading.masks.all(axis=(1, 2)).any():
        reading.note("full_mask", "every pixel is set", None)
    elif not filled.all():
        text = f"channel {int(np.argmin(filled))} of {len(filled)} is all zero"
        reading.note("empty_channel", text, reading.masks[filled])
    if reading.masks is not None:
        _check_repeats(reading, reading.masks)


def _check_repeats(reading: Reading, channels: np.ndarray) -> None:
    """Every channel marks another region."""
    keys = [np.packbits(channel).tobytes() for channel in channels]
    first = [keys.index(key) for key in keys]
    copies = [i for i, other in enumerate(first) if other != i]
    if copies:
        text = f"channel {copies[0]} of {len(keys)} is channel {first[copies[0]]} again"
        reading.note("repeated_channel", text, np.delete(channels, copies, axis=0))


def maybe_inverted(mask: np.ndarray) -> bool:
    """(H, W) bool -> whether it covers over half of the image, up to all four borders."""
    borders = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return bool(mask.mean() > 0.5 and all(border.any() for border in borders))
