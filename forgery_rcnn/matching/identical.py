"""Copies that no pixel of was changed: more equal pixels, in a place with grain, than chance makes anywhere.

Two places that merely look alike differ in their grain. A copy that was moved by whole pixels, mirrored or turned by quarters, and
saved without loss since, does not: so it is told at a size at which correlations, which need some neighbourhood, tell nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np

from forgery_rcnn.matching import agreement, field_exact, keypoints, motions, regions
from forgery_rcnn.matching.agreement import Box
from forgery_rcnn.matching.compression import BLOCK
from forgery_rcnn.matching.pairs import Figure, Hypothesis
from forgery_rcnn.matching.regions import Grown

PLACES = 30.0  # nats, the logarithm of how many pairs of places a figure of a megapixel has under the eight symmetries
NATS = 500.0  # least evidence: neighbours are not independent, and smooth dark ground has 360 by chance
ENTROPY = 1.2  # nats a pixel at least: ramps, ground of few levels and what is drawn have less
VARIED = (7, 2)  # px across, and the levels there at least: flat ground is the same everywhere
SEEDS, NEAR = 0.2, 2  # share of the seeds that have to lie on equal pixels; px that a proposed motion may be off
PAPER = (240, 0.4)  # level; share of the region's frame from which it holds letters, or a drawing
GRAIN = 0.5  # levels of noise in what is mirrored or turned, where rounding makes 0.3: what is smooth and symmetric is equal without a copy
PROBES, AROUND = 25, 1000  # blocks of a region that are looked for, and how far, px


@dataclass(frozen=True)
class Same:
    """A region whose pixels are those of its copy. chance: 0..1, that two places of a figure are so by themselves."""

    grown: Grown
    chance: float


def found(figure: Figure, drawn: np.ndarray, hypothesis: Hypothesis) -> Same | None:
    """A figure, (H, W) bool, drawn over the picture, a motion -> the region of the pixels that are where it takes them, in all three
    channels; None where it is not by whole pixels, or something else than a copy may have made them equal."""
    seeds = hypothesis.first
    matrix = agreement.exact(hypothesis.matrix, seeds.mean(axis=0, dtype=np.float64))
    matrix = None if matrix is None else _settled(figure.pixels, matrix, seeds)
    if matrix is None or (figure.one_grid and _keeps_blocks(matrix)) or min(figure.size) < field_exact.SIDE:
        return None
    wider = regions.around(seeds, figure.size, regions.MARGIN)
    for _ in range(2 * regions.ATTEMPTS):  # looking costs little here
        box = wider
        equal = _equal(figure, drawn, matrix, box) & _varied(figure.gray, box)
        solid = regions.morphed(equal, cv2.MORPH_OPEN, regions.SMOOTHED)
        mask = regions.seeded(solid, seeds - box[:2])
        if mask is None:
            return None
        wider = regions.wider(mask, box, figure.size)
        if wider == box:
            break
    nats = evidence(figure.pixels, (solid > 0) & mask, box)
    if nats < NATS or _is_on_paper(figure.gray, mask, box) or _is_pattern(figure.pixels, mask, box):
        return None
    x0, y0, x1, y1 = box
    if not np.array_equal(matrix[:, :2], np.eye(2)) and keypoints.noise(figure.gray[y0:y1, x0:x1], mask) < GRAIN:
        return None
    grown = Grown(matrix, mask, agreement.compared(figure.gray, drawn, matrix, box))
    return Same(grown, float(np.exp(PLACES - nats)))


def evidence(pixels: np.ndarray, equal: np.ndarray, box: Box) -> float:
    """(H, W, 3) uint8, (h, w) bool in the frame x0 y0 x1 y1 -> nats: how many pixels are equal, times how unforeseen each is beside its
    neighbour (Renyi's entropy of order two of their differences, along the axis where it is less); 0 where that is below ENTROPY."""
    x0, y0, x1, y1 = box
    levels = pixels[y0:y1, x0:x1].sum(axis=2, dtype=np.int16)
    least = np.inf
    for axis in (0, 1):
        both = np.delete(equal, 0, axis) & np.delete(equal, -1, axis)
        steps = np.diff(levels, axis=axis)[both]
        if not steps.size:
            return 0.0
        share = np.unique(steps, return_counts=True)[1] / steps.size
        least = min(least, float(-np.log(np.square(share).sum())))
    return least * float(equal.sum()) if least >= ENTROPY else 0.0


def _settled(pixels: np.ndarray, matrix: np.ndarray, seeds: np.ndarray) -> np.ndarray | None:
    """-> the motion, up to NEAR px beside, under which most of the seeds' pixels are equal; None where too few are. What was proposed in a
    figure made smaller is known to a pixel or two."""
    height, width = pixels.shape[:2]
    first = np.round(seeds).astype(int)
    around = sorted(product(range(-NEAR, NEAR + 1), repeat=2), key=lambda step: np.hypot(*step))
    shares = []
    for step in around:
        second = np.round(motions.moved(matrix, first)).astype(int) + step
        at = np.concatenate([first, second], axis=1)
        x, y, u, v = at[((at >= 0) & (at < [width, height] * 2)).all(axis=1)].T
        shares.append(float((pixels[y, x] == pixels[v, u]).all(axis=1).sum()) / len(seeds))
    best = int(np.argmax(shares))
    return matrix + np.column_stack([np.zeros((2, 2)), around[best]]) if shares[best] >= SEEDS else None


def _keeps_blocks(matrix: np.ndarray) -> bool:
    """Whether a motion takes JPEG's blocks to blocks: what is alike, as letters are, is equal there once it was compressed."""
    corner = matrix @ [-0.5, -0.5, 1.0] + 0.5
    return bool((corner % BLOCK == 0).all())


def _equal(figure: Figure, drawn: np.ndarray, matrix: np.ndarray, box: Box) -> np.ndarray:
    """-> (h, w) bool, in the frame: the pixel and the one that the motion takes it to are the same, and nothing is drawn on either."""
    x0, y0, x1, y1 = box
    clear = agreement.brought((~drawn).astype(np.uint8), matrix, box) > 0
    same = (figure.pixels[y0:y1, x0:x1] == agreement.brought(figure.pixels, matrix, box)).all(axis=2)
    return same & clear & ~drawn[y0:y1, x0:x1]


def _varied(gray: np.ndarray, box: Box) -> np.ndarray:
    """-> (h, w) bool, in the frame: the levels around differ."""
    x0, y0, x1, y1 = box
    side, least = VARIED
    around = np.ones((side, side), np.uint8)
    return cv2.dilate(gray[y0:y1, x0:x1], around) - cv2.erode(gray[y0:y1, x0:x1], around) >= least


def _is_on_paper(gray: np.ndarray, mask: np.ndarray, box: Box) -> bool:
    """(H, W) float32, the region, (h, w) bool, in its window -> whether much of the region's frame is paper."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    frame = gray[box[1] + top :, box[0] + left :][:height, :width]
    level, share = PAPER
    return bool((frame >= level).mean() >= share)


def _is_pattern(pixels: np.ndarray, mask: np.ndarray, box: Box) -> bool:
    """Whether most blocks of a region stand in more places around than a source and some copies would."""
    left, top = (max(0, side - AROUND) for side in box[:2])
    found = field_exact.hashes(field_exact.mixed(pixels[top : box[3] + AROUND, left : box[2] + AROUND]))
    inside = cv2.erode(mask.astype(np.uint8), np.ones((field_exact.SIDE,) * 2, np.uint8), anchor=(0, 0))
    rows, columns = np.argwhere(inside)[:: max(1, int(inside.sum()) // PROBES)].T + [[box[1] - top], [box[0] - left]]
    known = (rows < found.shape[0]) & (columns < found.shape[1])
    places = [np.count_nonzero(found == one) for one in found[rows[known], columns[known]]]
    return bool(places) and float(np.median(places)) > field_exact.MOST_ALIKE
