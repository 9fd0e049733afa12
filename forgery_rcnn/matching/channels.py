"""What two panels of one field differ in by colour: a stain that one channel shows and another does not, or marks drawn over the picture.

A mark has one lightness, which JPEG keeps at full size though it halves the colours, and an outline that is sharp in a pixel or two;
a stain varies within and fades out.
"""

from __future__ import annotations

import cv2
import numpy as np

from forgery_rcnn.matching.pairs import gray_of

ACROSS = 5  # px, of which tint is the mean
STRONG = (0.9, 0.5)  # quantile of a component's differences, and the part of it from which a pixel is of its core
EVEN, SHARE_EVEN = 12.0, 0.5  # levels off the mark's lightness, and share of its core that is not further off
NEAR, FAR, SHARP = 2, 6, 0.8  # px out from a core, and the least quotient of what differs there from its colour
CONTRAST = 50.0  # levels between a mark and its ground, at least
LARGEST_MARK = 0.06  # of what both panels show
HIDDEN, SHARE_HIDDEN = 24.0, 0.02  # levels, and share of the pixels, that a merge may be darker than its channel
LEAST = 9  # px; a smaller component is noise


def stained(own: np.ndarray, other: np.ndarray, seen: np.ndarray, levels: float) -> float:
    """2 x (h, w, 3) uint8, laid on each other, and (h, w) bool, where both show the field -> 0..1, the share of it where they differ
    in colour by more than so many levels, marks aside."""
    tint = np.abs(cv2.blur((_colour(own) - _colour(other)) * seen[..., None], (ACROSS, ACROSS))).max(axis=2) > levels
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(tint.astype(np.uint8), connectivity=8)
    shown, stained = int(seen.sum()), 0
    for number, (x, y, width, height, area) in enumerate(boxes[1:count].tolist(), 1):
        window = np.s_[max(y - FAR, 0) : y + height + FAR, max(x - FAR, 0) : x + width + FAR]
        if area >= LEAST and not _is_mark(own[window], other[window], labels[window] == number, LARGEST_MARK * shown):
            stained += area
    return stained / max(shown, 1)


def shows_all(own: np.ndarray, other: np.ndarray, seen: np.ndarray) -> bool:
    """The same of two panels -> whether nothing that one of them shows is missing in the other, in whichever colour: a merge."""
    first, second = (cv2.blur(side.max(axis=2).astype(np.float32), (ACROSS, ACROSS))[seen] for side in (own, other))
    return any(
        (channel > merge + HIDDEN).mean() <= SHARE_HIDDEN for channel, merge in ((first, second), (second, first))
    )


def _colour(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 -> (h, w, 3) float32, without lightness."""
    values = np.float32(pixels)
    return values - values.mean(axis=2, keepdims=True)


def _is_mark(own: np.ndarray, other: np.ndarray, tinted: np.ndarray, largest: float) -> bool:
    """2 x (h, w, 3) uint8 and (h, w) bool, one component of what differs -> whether it is drawn over one of them."""
    apart = cv2.absdiff(own, other).max(axis=2)
    quantile, part = STRONG
    core = tinted & (apart >= part * np.quantile(apart[tinted], quantile))
    if core.sum() > largest:
        return False
    near, far = (_grown(core, reach) & ~_grown(core, reach - 1) for reach in (NEAR, FAR))
    if not (near.any() and far.any()):
        return False
    return any(_is_drawn(side, core, near, far) for side in (own, other))


def _is_drawn(side: np.ndarray, core: np.ndarray, near: np.ndarray, far: np.ndarray) -> bool:
    """(h, w, 3) uint8, (h, w) bool and two rings around it -> whether the core has one lightness and ends at once."""
    lightness = gray_of(side)[core]
    off = np.abs(side - np.median(side[core], axis=0)).max(axis=2)
    ends = off[near].mean() >= max(CONTRAST, SHARP * off[far].mean())
    return bool(ends and (np.abs(lightness - np.median(lightness)) <= EVEN).mean() >= SHARE_EVEN)


def _grown(mask: np.ndarray, reach: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
