"""The places of one image that debug.features compares: forged regions, authentic ones, the same in the pristine twin."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from debug.case import Specimen
from forgery_rcnn.data import images as reader
from forgery_rcnn.data import records
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import anatomy, cues
from forgery_rcnn.models.cues import region_vectors

PIXELS = "pixels"  # the vector set that needs no model, see `colours`

Vectors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Sampled:
    """Of one image: vector set -> (F + K, D) float32, its `forged` = F regions first, their controls after; {} without a
    region to compare.

    twins: the same regions (2 R, D), all that differ from the pristine twin, and the same places of the twin after.
    key: the record's; alone: 1 for a forged image without a twin of its size. Regions left out: dropped leave no authentic place of
    their shape, small are below 2 px a side, untouched are as in the twin.
    """

    key: str
    vectors: Vectors
    forged: int
    dropped: int
    small: int
    untouched: int
    alone: int
    twins: Vectors = field(default_factory=dict)


def look(specimen: Specimen) -> Sampled:
    """Vectors of one image's regions and of their controls, which its key decides."""
    found, twin = specimen.anatomy, _twin(specimen)
    pixels = reader.resized(specimen.pixels, found.fitted)
    other = None if twin is None else reader.resized(twin, found.fitted)
    key = specimen.record.key
    where = cues.places(key, specimen.truth.masks, pixels, other)
    vectors = _vectors(specimen, found, pixels, where.both) if len(where.free) else {}
    twins = {}
    if twin is not None and len(where.forged):
        pristine = anatomy.dissect(specimen.model, twin)
        sides = ((found, pixels), (pristine, other))
        ours, theirs = (_vectors(specimen, opened, side, where.forged) for opened, side in sides)
        twins = {name: np.concatenate([ours[name], theirs[name]]) for name in ours}
    alone = int(twin is None and len(specimen.truth) > 0)
    free, dropped = len(where.free), len(where.forged) - len(where.free)
    return Sampled(key, vectors, free, dropped, where.small, where.untouched, alone, twins)


def _twin(specimen: Specimen) -> np.ndarray | None:
    """(H, W, 3) uint8 of the pristine twin; None where there is none of the same size that can be read."""
    if specimen.twin is None:
        return None
    try:
        twin = records.load(specimen.twin).pixels
    except InputError:
        return None
    return twin if twin.shape == specimen.pixels.shape else None


def _vectors(specimen: Specimen, opened: anatomy.Anatomy, pixels: np.ndarray, boxes: np.ndarray) -> Vectors:
    """An image dissected, the same fitted, (R, 4) boxes in that frame -> vector set -> (R, D) float32."""
    return region_vectors(specimen.model, opened, boxes) | {PIXELS: colours(pixels, boxes)}


def colours(pixels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8, (R, 4) boxes inside it -> (R, 6) float32: mean and standard deviation of each channel, grey levels."""
    out = np.zeros((len(boxes), 6), np.float32)
    low, high = np.floor(boxes[:, :2] + 1e-3).astype(int), np.ceil(boxes[:, 2:] - 1e-3).astype(int)
    for row, (x0, y0), (x1, y1) in zip(out, low, high, strict=True):
        inside = pixels[y0:y1, x0:x1].reshape(-1, 3).astype(np.float32)
        row[:] = *inside.mean(axis=0), *inside.std(axis=0)
    return out
