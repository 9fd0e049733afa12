"""The places of one image that debug.features compares: forged regions, authentic ones, the same in the pristine twin."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

from debug.case import Specimen
from forgery_rcnn.data import images as reader
from forgery_rcnn.data import masks, records
from forgery_rcnn.models import anatomy
from forgery_rcnn.models.contrast import controls
from forgery_rcnn.models.cues import SMALLEST, region_vectors

PIXELS = "pixels"  # the vector set that needs no model, see `colours`
CHANGED = 2.0  # grey levels, mean over a region's box, from which it differs from its pristine twin


@dataclass(frozen=True)
class Sampled:
    """Of one image: vector set -> (2 R, D) float32, forged regions first, their controls after; {} without a region.

    twins: the same with the same places of the pristine twin for controls, of the regions that differ from it.
    key: the record's; dropped: regions for which there is no authentic place of their shape; small: regions below 2 px a side.
    """

    key: str
    vectors: dict[str, np.ndarray]
    dropped: int
    small: int
    twins: dict[str, np.ndarray] = field(default_factory=dict)


def look(specimen: Specimen) -> Sampled:
    """Vectors of one image's regions and of their controls, which its key decides."""
    found = specimen.anatomy
    boxes = anatomy.true_regions(masks.components(specimen.truth.masks), found).fitted.cpu().numpy().reshape(-1, 4)
    large = (boxes[:, 2:] - boxes[:, :2] >= SMALLEST).all(axis=1)
    rng = np.random.default_rng(zlib.crc32(specimen.record.key.encode()))
    places, free = controls(boxes[large], found.fitted, rng)
    dropped, small = int((~free).sum()), int((~large).sum())
    twins = _beside_twin(specimen, boxes[large])
    if not free.any():
        return Sampled(specimen.record.key, {}, dropped, small, twins)
    both = np.concatenate([boxes[large][free], places[free]])
    pixels = colours(reader.resized(specimen.pixels, found.fitted), both)
    vectors = region_vectors(specimen.model, found, both) | {PIXELS: pixels}
    return Sampled(specimen.record.key, vectors, dropped, small, twins)


def _beside_twin(specimen: Specimen, boxes: np.ndarray) -> dict[str, np.ndarray]:
    """(R, 4) boxes of regions -> vector set -> those of the ones that differ from the pristine twin, then the twin's own;
    {} where there is no twin of the same size, or nothing differs."""
    if specimen.twin is None or not len(boxes):
        return {}
    twin, found = records.load(specimen.twin).pixels, specimen.anatomy
    if twin.shape != specimen.pixels.shape:
        return {}
    sides = [reader.resized(pixels, found.fitted) for pixels in (specimen.pixels, twin)]
    difference = np.abs(sides[0].astype(np.float32) - sides[1]).mean(axis=2)
    level = np.median(difference) + CHANGED  # a twin may have been saved in another way as a whole
    changed = boxes[[difference[y0:y1, x0:x1].mean() > level for x0, y0, x1, y1 in boxes.round().astype(int)]]
    if not len(changed):
        return {}
    pristine = anatomy.dissect(specimen.model, twin)
    vectors = [region_vectors(specimen.model, opened, changed) for opened in (found, pristine)]
    vectors = [each | {PIXELS: colours(side, changed)} for each, side in zip(vectors, sides, strict=True)]
    return {name: np.concatenate([each[name] for each in vectors]) for name in vectors[0]}


def colours(pixels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8, (R, 4) boxes inside it -> (R, 6) float32: mean and standard deviation of each channel, grey levels."""
    out = np.zeros((len(boxes), 6), np.float32)
    low, high = np.floor(boxes[:, :2] + 1e-3).astype(int), np.ceil(boxes[:, 2:] - 1e-3).astype(int)
    for row, (x0, y0), (x1, y1) in zip(out, low, high, strict=True):
        inside = pixels[y0:y1, x0:x1].reshape(-1, 3).astype(np.float32)
        row[:] = *inside.mean(axis=0), *inside.std(axis=0)
    return out
