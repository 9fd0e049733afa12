"""What repeats in a figure without forgery: text, arrows, bars, frames and gutters, charts, and areas without any detail.

What was drawn over a picture has one pure colour, the width of a stroke and an outline that is sharp in a pixel or two;
what the microscope saw, saturated or not, fades at its outline.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import cv2
import numpy as np

from forgery_rcnn.errors import require
from forgery_rcnn.matching.pairs import gray_of

FLAT_SIDE, FLAT_LEVELS = (
    7,
    2.0,
)  # a window of so many pixels across with so few grey levels is flat: rounding gives one or two
PURE_GREY, PURE_COLOUR = (
    28,
    64,
)  # levels off black and white, off red, green and so on, which JPEG stores at half the size
SAME, OWN, CORE = 6, 12, 24  # levels off a stroke's colour: nothing but JPEG, its own still, softened
UNEVEN = 8.5  # levels in the mean that its pixels are off
LEAST_MOST_INK, MOST_INK = 6000, 0.006  # pixels, share of the figure: one stroke is not larger
LEAST_INK = 5  # pixels of a stroke or a letter
THICKEST, HEAD = (
    0.02,
    0.035,
)  # of the root of the figure's area: strokes and bars are not thicker, arrows' heads in pure colours
LEAST_THICK, LEAST_HEAD = 9, 14  # pixels
NEAR, FAR = 2, 6  # pixels out from a stroke: its edge must be over at the first, its ground begin before the second
CONTRAST = 50  # levels between ink and ground; less is no reading matter
SHARPEST = 180  # levels that no stain rises within NEAR pixels
TINTED = 100  # levels between the channels of what is coloured
RAGGED = 10.0  # levels in the mean that JPEG, which stores colours at half the size, may have put the pixels of such a stroke off
WIDE_SIDE, WIDE_LEVELS = 15, 1.0  # the same for what is masked: JPEG makes single blocks of a smooth ground flat
MOST_TEXT = 0.2  # of a panel; line art and masks of cells have more, all over
LABEL = 0.92  # of a panel is ink or flat: its name, a scale, a page of text
LINE = 3  # pixels from outline to middle: a stroke of five pixels
GROWN = 2  # pixels around ink that it has softened

BLANK, EDGE = 6, 60  # levels within 5 x 5 pixels: at most for a chart's ground, at least for a line's edge
PAPER, BLANK_SHARE = 190, 0.4  # a chart's ground is as light, and so much of it; on dark ground lie cells
SOFT_SHARE = 0.02  # of a chart at most is neither, far from lines
SOFT_REACH = 8  # pixels around a line that JPEG makes uneven: a block
AXIS_SHARE = 0.4  # of a chart's width or height is the least length of an axis
DARK = 140.0  # an axis is darker


class Strokes(NamedTuple):
    """What is thin and stands out from its ground in one figure, N components.

    at, number: (K,) their pixels, counted row by row, and the component of each, 1..N; the rest (N + 1,) float64, of 0 unused.
    area: pixels; own: share of them within OWN levels of the component's colour; same: within SAME, as a share of those within
    CORE; deviation: mean levels of those; thick: pixels from its outline to its middle at most; near, far: mean levels between
    the colour and what lies NEAR and FAR pixels outside; tint: levels between the colour's channels, 0 for grey.
    """

    at: np.ndarray
    number: np.ndarray
    area: np.ndarray
    own: np.ndarray
    same: np.ndarray
    deviation: np.ndarray
    thick: np.ndarray
    near: np.ndarray
    far: np.ndarray
    tint: np.ndarray


def mask(pixels: np.ndarray, panels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8, (P, 4) int64 x0 y0 x1 y1 -> (H, W) bool, what repeats legitimately. Raises InputError: no image."""
    require(
        pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0,
        f"pixels: {pixels.shape}; pass an RGB image, (H, W, 3) uint8",
    )
    gray, drawn = gray_of(pixels), ink(pixels)
    nothing = blank(gray)
    furnished = drawn.copy()  # around the panels too: what was cut off a picture may still be one
    for x0, y0, x1, y1 in panels.tolist():
        window = slice(y0, y1), slice(x0, x1)
        furnished[window] = is_chart(gray[window]) or _readable(drawn[window], nothing[window], gray[window])
    return furnished | nothing


def blank(gray: np.ndarray) -> np.ndarray:
    """(H, W) float32 in 0..255 -> (H, W) bool, where nothing shows: empty ground."""
    return _uniform(gray, WIDE_SIDE, WIDE_LEVELS)


def _readable(drawn: np.ndarray, nothing: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """(h, w) bool, a panel's ink, and where nothing shows, (h, w) float32 in 0..255 -> the ink; none where it were so much that the
    picture is of that kind, and all of the panel where there is nothing but ink: a label, a page."""
    if drawn.any() and np.count_nonzero(drawn | flat(gray)) >= LABEL * drawn.size:
        return np.ones_like(drawn)
    return drawn & (np.count_nonzero(drawn & ~nothing) <= MOST_TEXT * drawn.size)


def flat(gray: np.ndarray) -> np.ndarray:
    """(H, W) float32 in 0..255 -> (H, W) bool, where nothing but rounding shows: saturated or uniform."""
    return _uniform(gray, FLAT_SIDE, FLAT_LEVELS)


def _uniform(gray: np.ndarray, side: int, levels: float) -> np.ndarray:
    """-> (H, W) bool, what lies in a window of side x side pixels with so few levels."""
    even = (spread(gray, side) <= levels).astype(np.uint8)
    return cv2.dilate(even, np.ones((side, side), np.uint8)).astype(bool)


def spread(gray: np.ndarray, side: int) -> np.ndarray:
    """(H, W) float32 -> (H, W) float32, levels between the lightest and the darkest of the side x side pixels around each."""
    window = np.ones((side, side), np.uint8)
    return cv2.dilate(gray, window) - cv2.erode(gray, window)


def ink(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) bool, strokes drawn over the picture and the pixels that they softened."""
    drawn = np.zeros(pixels.shape[:2], np.uint8)
    root = (pixels.shape[0] * pixels.shape[1]) ** 0.5
    planes = cv2.split(pixels)
    if np.array_equal(planes[0], planes[1]) and np.array_equal(planes[0], planes[2]):  # grey: a third of the work
        planes = planes[:1]
    for positive in (planes, [cv2.bitwise_not(plane) for plane in planes]):
        strokes = _rise(positive, max(LEAST_THICK, round(THICKEST * root)))
        heads = _rise(positive, max(LEAST_HEAD, round(HEAD * root)))
        pure = (heads >= CONTRAST) & _pure(positive)
        for rise, candidates, judge in ((strokes, strokes >= CONTRAST, _is_drawn), (heads, pure, _is_pure_ink)):
            if not candidates.any():
                continue
            found = _strokes(positive, rise, candidates)
            kept = judge(found, drawn.size)
            kept[0] = False
            drawn.ravel()[found.at[kept[found.number]]] = 1
    return cv2.dilate(drawn, np.ones((2 * GROWN + 1,) * 2, np.uint8)).astype(bool)


Planes = Sequence[np.ndarray]
"""The channels of an image, one or three, (H, W) uint8 each: OpenCV parts and joins them slowly."""


def _rise(planes: Planes, thickest: int) -> np.ndarray:
    """-> (H, W) uint8, levels above what is left of it where nothing thinner stands, in the channel with most."""
    block = np.ones((thickest, thickest), np.uint8)
    return reduce(cv2.max, (cv2.subtract(plane, cv2.morphologyEx(plane, cv2.MORPH_OPEN, block)) for plane in planes))


def _pure(planes: Planes) -> np.ndarray:
    """-> (H, W) bool, black, white, and the six colours at full saturation."""
    lowest, highest = reduce(cv2.min, planes), reduce(cv2.max, planes)
    grey = (lowest >= 255 - PURE_GREY) | (highest <= PURE_GREY)
    if len(planes) == 1:
        return grey
    off = reduce(cv2.max, (cv2.min(plane, cv2.bitwise_not(plane)) for plane in planes))
    return grey | ((off <= PURE_COLOUR) & (highest >= 128) & (lowest < 128))


def _is_drawn(found: Strokes, size: int) -> np.ndarray:
    """-> (N + 1,) bool: of one colour all over, whichever it is, and with an outline that is sharp; what is coloured may be thick, and
    uneven by JPEG, where it is sharper than any stain: an arrow."""
    most = max(LEAST_MOST_INK, MOST_INK * size)
    fit = (found.area >= LEAST_INK) & (found.area <= most) & (found.own >= 0.3)
    line = (
        _is_line(found) & (found.deviation <= UNEVEN) & (found.near >= 2 * CONTRAST) & (found.near >= 0.9 * found.far)
    )
    arrow = (found.tint >= TINTED) & (found.deviation <= RAGGED)
    arrow &= (found.near >= SHARPEST) & (found.near >= 0.93 * found.far)
    return fit & (line | arrow)


def _is_pure_ink(found: Strokes, size: int) -> np.ndarray:
    """-> (N + 1,) bool: the same for what has a pure colour, of which less is asked."""
    most = max(LEAST_MOST_INK, MOST_INK * size)
    fit = (found.area >= LEAST_INK) & (found.area <= most) & (found.own >= 0.1) & (found.same >= 0.3)
    fit &= _is_line(found)
    # A letter may stand half on a cell, whose own edge is near: then nothing but its purity tells.
    purest = (found.own >= 0.55) & (found.same >= 0.8) & (found.near >= 0.6 * found.far)
    return fit & (found.near >= CONTRAST) & (purest | (found.near >= 0.85 * found.far))


def _is_line(found: Strokes) -> np.ndarray:
    """-> (N + 1,) bool: thin, or of one colour so wholly that it is an arrow's head rather than a blot's band or a bright cell."""
    return (found.thick <= LINE) | ((found.own >= 0.6) & (found.same >= 0.75))


def _strokes(planes: Planes, rise: np.ndarray, candidates: np.ndarray) -> Strokes:
    """(H, W) uint8 levels above the ground, (H, W) bool -> the candidates' components, measured."""
    count, labels = cv2.connectedComponents(candidates.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    at = np.flatnonzero(labels)
    number = labels.ravel()[at]
    fit = np.bincount(number, minlength=count) >= LEAST_INK
    fit[0] = False
    labels.ravel()[at] = number = np.where(fit, np.cumsum(fit), 0).astype(np.int32)[number]
    count, at, number = int(fit.sum()) + 1, at[number > 0], number[number > 0].astype(np.intp)
    colours, up = [plane.ravel()[at].astype(np.float64) for plane in planes], rise.ravel()[at]
    area = np.maximum(np.bincount(number, minlength=count), 1)
    peak = np.zeros(count, up.dtype)  # of the values' own type: NumPy's `at` is ten times as fast there
    np.maximum.at(peak, number, up)
    colour = _means(colours, number, count, up >= 0.85 * peak[number])
    core = _off(colours, colour, number) <= CORE
    some = np.bincount(number, core, count) > 0
    colour = [np.where(some, *both) for both in zip(_means(colours, number, count, core), colour, strict=True)]
    off = _off(colours, colour, number)
    same, own, core = (np.bincount(number, off <= levels, count) for levels in (SAME, OWN, CORE))
    deviation = np.bincount(number, np.where(off <= CORE, off, 0), count) / np.maximum(core, 1)
    near, far = _contrasts(planes, labels, colour)
    thick = np.zeros(count, np.float32)
    np.maximum.at(thick, number, cv2.distanceTransform((labels > 0).view(np.uint8), cv2.DIST_C, 3).ravel()[at])
    tint = reduce(np.maximum, colour) - reduce(np.minimum, colour)
    return Strokes(at, number, area, own / area, same / np.maximum(core, 1), deviation, thick, near, far, tint)


def _off(colours: Planes, colour: Planes, number: np.ndarray) -> np.ndarray:
    """K pixels, by channel, N + 1 colours, (K,) which -> (K,) levels that they are off, in the channel that is off most."""
    return reduce(np.maximum, (np.abs(own - of[number]) for own, of in zip(colours, colour, strict=True)))


def _means(colours: Planes, number: np.ndarray, count: int, chosen: np.ndarray) -> list[np.ndarray]:
    """K pixels, by channel, (K,) labels below count, (K,) bool -> (count,) means of the chosen, by channel."""
    number = number[chosen]
    among = np.maximum(np.bincount(number, minlength=count), 1)
    return [np.bincount(number, own[chosen], count) / among for own in colours]


def _contrasts(planes: Planes, labels: np.ndarray, colour: Planes) -> list[np.ndarray]:
    """-> 2 x (N + 1,) float64, mean levels between strokes and what lies NEAR and FAR pixels out from them."""
    # Labels that fit into 16 bits grow twice as fast.
    count = len(colour[0])
    found, reached = [], labels.astype(np.uint16 if count < 65536 else np.float32)
    for reach, ring in ((NEAR - 1, False), (1, True), (FAR - NEAR - 1, False), (1, True)):
        grown = cv2.dilate(reached, np.ones((2 * reach + 1,) * 2, np.uint8))
        if ring:
            at = np.flatnonzero((reached == 0) & (grown > 0))
            number = grown.ravel()[at].astype(np.intp)
            off = _off([plane.ravel()[at] for plane in planes], colour, number)
            found.append(np.bincount(number, off, count) / np.maximum(np.bincount(number, minlength=count), 1))
        reached = grown
    return found


def is_chart(gray: np.ndarray) -> bool:
    """(h, w) float32, a panel -> whether it is drawn: flat ground, sharp lines, an axis, and nothing that fades."""
    if min(gray.shape) < 2 * SOFT_REACH:
        return False
    within = spread(gray, 5)
    edges = (within >= EDGE).astype(np.uint8)
    beside = cv2.dilate(edges, np.ones((2 * SOFT_REACH + 1,) * 2, np.uint8))
    blank = within <= BLANK
    paper = blank & (gray >= PAPER)
    soft = ~blank & (beside == 0)
    return bool(paper.mean() >= BLANK_SHARE and soft.mean() <= SOFT_SHARE and _has_axis(gray))


def _has_axis(gray: np.ndarray) -> bool:
    """Whether a thin, straight, dark line runs along much of it."""
    dark = (gray < DARK).astype(np.uint8)
    for length, turned in ((gray.shape[1], dark), (gray.shape[0], dark.T)):
        line = np.ones((1, max(3, round(AXIS_SHARE * length))), np.uint8)
        long = cv2.morphologyEx(np.ascontiguousarray(turned), cv2.MORPH_OPEN, line)
        thick = cv2.morphologyEx(long, cv2.MORPH_OPEN, np.ones((LEAST_THICK, 1), np.uint8))
        if (long > thick).any():
            return True
    return False
