"""Masks that a COCO file tells as polygons or run lengths: kept as text, checked and drawn when they are asked for.

Everything is checked before it is decoded: on malformed run lengths the C libraries return memory they never wrote, or
never return.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import MAX_PIXELS

TOLERANCE = 1.0  # pixels that a polygon may reach over the border
MOST = 20 * MAX_PIXELS  # pixels of all instances of one image together
LONGEST = 7  # characters of one compressed run length: 35 bits


@dataclass(frozen=True)
class Drawn:
    """The instances of one image. size: (H, W) pixels; shapes: of each its annotation's id and its segmentation, JSON."""

    source: Path
    image_name: str
    size: tuple[int, int]
    shapes: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.source}: image {self.image_name}"

    def draw(self) -> np.ndarray:
        """-> (N, H, W) bool, one channel per annotation. Raises InputError naming a malformed annotation."""
        height, width = self.size
        if len(self.shapes) * height * width > MOST:
            raise InputError(f"{self}: {len(self.shapes)} instances of {height} x {width} are too many to draw; cut it")
        out = np.zeros((len(self.shapes), height, width), bool)
        for channel, (number, text) in zip(out, self.shapes, strict=True):
            try:
                channel[:] = mask_of(json.loads(text), self.size)
            except InputError as error:
                raise InputError(f"{self}: annotation {number}: {error}") from None
        return out


def mask_of(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """A COCO segmentation, as JSON gives it -> (H, W) bool. Raises InputError: neither polygons nor run lengths of `size`."""
    if isinstance(segmentation, dict):
        return rle.mask_of(_runs(segmentation, size), size)
    if not isinstance(segmentation, list) or not segmentation:
        raise InputError("no segmentation; expected a list of polygons, or run lengths {size, counts}")
    from faster_coco_eval.core import mask as coco

    height, width = size
    parts = coco.frPyObjects([_polygon(points, size) for points in segmentation], height, width)
    return coco.decode(parts).any(axis=2)


def _polygon(points: Any, size: tuple[int, int]) -> list[float]:
    if not isinstance(points, list) or not all(_is_number(value) for value in points):
        raise InputError("a polygon holds something that is no number; expected [x0, y0, x1, y1, ...]")
    if len(points) < 6 or len(points) % 2:
        raise InputError(f"a polygon of {len(points)} numbers; expected x and y of at least three points")
    for values, most in ((points[::2], size[1]), (points[1::2], size[0])):
        if min(values) < -TOLERANCE or max(values) > most + TOLERANCE:
            raise InputError(
                f"a polygon reaches {min(values):g}..{max(values):g}, outside the {size[0]} x {size[1]} image"
            )
    return [float(value) for value in points]


def _is_number(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**53
    return isinstance(value, float) and math.isfinite(value)


def _runs(segmentation: dict[str, Any], size: tuple[int, int]) -> rle.Runs:
    """{size, counts} -> Runs. COCO's counts alternate clear and set, column by column, as ours do."""
    if segmentation.get("size") != list(size):
        raise InputError(f"run lengths of size {str(segmentation.get('size'))[:40]}; the image is {list(size)}")
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = uncompressed(counts)
    pixels = size[0] * size[1]
    if not isinstance(counts, list) or not all(type(count) is int and 0 <= count <= pixels for count in counts):
        raise InputError("run lengths that are not whole numbers from 0 to the image's pixels; expected {size, counts}")
    if sum(counts) != pixels:
        raise InputError(f"run lengths of {sum(counts)} pixels; the image has {pixels}")
    lengths = np.array(counts, np.int64)
    runs = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1)[1::2]
    return rle.joined(runs[runs[:, 1] > 0])


def uncompressed(text: str) -> list[int]:
    """COCO's compressed counts -> run lengths: six bits a character, from the third on as difference to the last but one.

    >>> uncompressed("35h1")
    [3, 5, 56]
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift >= 5 * LONGEST:
            raise InputError("compressed run lengths that cannot be read; write them anew")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    if shift:
        raise InputError("compressed run lengths that end too early; write them anew")
    return counts
