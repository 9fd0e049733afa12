"""What repeats within an image without forgery, though it is the same: insets, symmetric objects and power spectra, channels and
exposures of one field, what an instrument or a program draws."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import cv2
import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.matching import agreement, channels, furniture, motions, verify
from forgery_rcnn.matching.pairs import Figure, Finding, gray_of, parts_of
from forgery_rcnn.matching.regions import FLAT
from forgery_rcnn.matching.verify import Corner, Measured

CHANNELS = 12.0  # levels of tint from which two panels show different stains
STRIP = {"parts": 6, "beside": 3, "long": 2.5, "px": 32, "off": 0.02, "rim": 0.03}
"""Parts of a strip at most, and across the way that a motion leads; times a part's width that it is long, at most, and its pixels, at
least; of the strip's length, what gutters may put a shift off; of a part, what is left out at either end."""
BLACK = 20.0  # levels, of ground that shows nothing
STAINED = 0.003  # least share of a panel: a merge is one of its channels wherever the others are dark
EXPOSED = {"gain": 0.08, "brightness": 5.0}  # log contrast and levels from which two panels are two exposures
SAME_PLACE = 0.05  # of a panel's diagonal
OVERLAID = {"px": 3.0, "share": 0.1, "alike": 0.5, "margin": 4}
"""Pixels off the same place; of the panel; what the panels share around it, at most; pixels around it that do not count."""
OUTLINED = {"share": (0.01, 0.5), "one": 0.3}
"""Of what two panels show beside text and bars: what differs, and how much of that has one colour, at least."""
UPRIGHT = 3.0  # degrees at most
SAME_SIZE = 0.05  # off a scale of 1
RETURN = 6.0  # px that a motion made twice may move
MEET = 3  # px between two sides that meet
AXIS = 0.25  # least share of a region's extent along which it meets its other side
ONTO_ITSELF = 0.02  # of a panel's diagonal: between a corner that the motion brings and the one that is there
PEAK = 0.99  # share of a spectrum that is no lighter than its middle
EXACT, GRAINY = 1.0, 0.5  # Fisher's z in the finest band; levels in the quietest quarter of what shows anything
INSET = {"scale": 1.4, "fill": 0.9}  # least enlargement, least share of its frame that the hull fills
SIDE = 7  # px, across what is looked at for an edge
EDGE, NO_EDGE, SHARP = 50, 30, 0.75  # levels there at least, at most; share of them within 3 pixels
CLEAR = 5  # px from an edge, where grain is looked for
DRAWN = {"edges": 0.2, "sharp": 0.95, "between": 0.05, "grain": 0.6}
"""Of a region's pixels: beside edges, and far from them; of the edges, sharp ones; levels, far from them."""
PAPER = {"white": 240, "even": 6, "share": 0.2, "around": 0.5}
"""Levels, and levels within 5 pixels; least share, of a region's frame widened by so much of its sides, and of 20 px at least."""


INSET_LINE = "an upright frame that shows a part of the figure enlarged: an inset"
CHANNELS_LINE = "the same place of another panel in another colour: two channels of one field"
EXPOSURES_LINE = "the same place of another panel, lighter or darker: two exposures of one field"
MERGE_LINE = (
    "a shift by whole parts of a strip, one of which shows all of the other and more hues: a channel and its merge"
)
OUTLINED_LINE = "the same place of another panel, with something drawn into one of them: one field, outlined"
FIELDS = (INSET_LINE, CHANNELS_LINE, EXPOSURES_LINE, MERGE_LINE, OUTLINED_LINE)
"""Of one field, shown twice on purpose: a reader may want to know."""
KNOWN = 50  # places that agree with a motion, from which it is worth telling that it was excused


def told(found: Finding) -> tuple[str, ...]:
    """-> which of FIELDS excused motions of many places in a figure."""
    many = {one.reason for one in found.rejected if len(one.hypothesis.first) >= KNOWN}
    return tuple(line for line in FIELDS if line in many)


def of(figure: Figure, found: Measured) -> str | None:
    """-> why the two regions are no forgery though they are the same, one line; None where nothing excuses them."""
    if _is_inset(found):
        return INSET_LINE
    first, second = panels_of(figure, found)
    if first == second and _is_symmetric(figure, first, found):
        return "mirrored, or turned by half a turn, onto what it meets there: a symmetric object"
    apart = _off_the_same_place(figure, (first, second), found) if first != second else np.inf
    differ = found.compared
    if apart < SAME_PLACE * _diagonal(figure, first):
        if differ.tint > CHANNELS or _are_stained(figure, (first, second), found):
            return CHANNELS_LINE
        if differ.gain > EXPOSED["gain"] or differ.brightness > EXPOSED["brightness"]:
            return EXPOSURES_LINE
    elif _is_beside_its_merge(figure, (first, second), found):
        return MERGE_LINE
    if apart < OVERLAID["px"] and _is_overlay(figure, first, found):
        return "the same place of another panel that shows something else around it: drawn over both"
    if apart < OVERLAID["px"] and _is_annotated(figure, (first, second), found.grown.matrix):
        return OUTLINED_LINE
    if all(_is_graphic(figure, side) for side in _sides(found)):
        return "sharp edges on paper and no grain between them: drawn, and drawn again"
    return None


def panels_of(figure: Figure, found: Measured) -> tuple[int, int]:
    """-> the panels that hold most of the first and of the second region."""
    numbers = []
    for mask, (left, top) in _sides(found):
        boxes = np.clip(figure.panels - [left, top] * 2, 0, [*mask.shape[::-1]] * 2)
        numbers.append(int(np.argmax([mask[y0:y1, x0:x1].sum() for x0, y0, x1, y1 in boxes.tolist()])))
    return numbers[0], numbers[1]


Side = tuple[np.ndarray, Corner]
"""A region, (h, w) bool, and its corner x0 y0."""


def _sides(found: Measured) -> tuple[Side, Side]:
    """-> both regions."""
    return (found.grown.mask, found.grown.corner), (found.second, found.second_corner)


def _is_inset(found: Measured) -> bool:
    """Whether the second region, the larger one, is a frame that shows the first enlarged, upright and unmirrored."""
    parts = parts_of(found.grown.matrix)
    upright = abs(parts.turn) < UPRIGHT and not parts.mirrored
    hull = cv2.convexHull(cv2.findNonZero(found.second.astype(np.uint8)))
    width, height = cv2.boundingRect(hull)[2:]
    return upright and parts.scale >= INSET["scale"] and cv2.contourArea(hull) >= INSET["fill"] * width * height


def _is_symmetric(figure: Figure, panel: int, found: Measured) -> bool:
    """Whether a mirror, or half a turn, leaves its two sides where they meet: halves of one object, whose grain is not the same. Where it
    is, it was pasted; but not in power spectra and symmetric matrices."""
    parts = parts_of(found.grown.matrix)
    if not (parts.mirrored or abs(parts.turn) > 180 - UPRIGHT) or verify.return_error(found.grown) > RETURN:
        return False
    meeting, extent = _meeting(found), np.ptp(np.argwhere(found.grown.mask), axis=0)
    if not len(meeting) or np.hypot(*np.ptp(meeting, axis=0)) < AXIS * np.hypot(*extent):
        return False
    if not _is_exact(found):
        return True
    if parts.mirrored:
        about_diagonal = min(abs(parts.turn), 180 - abs(parts.turn)) >= UPRIGHT
        return about_diagonal and _is_onto_itself(figure, panel, found)
    return _is_onto_itself(figure, panel, found) or _is_about_a_peak(figure, found)


def _meeting(found: Measured) -> np.ndarray:
    """-> (K, 2) x y, pixels of the second region within MEET of the first."""
    (left, top), around = found.grown.corner, np.ones((2 * MEET + 1,) * 2, np.uint8)
    near = cv2.dilate(np.pad(found.grown.mask, MEET).astype(np.uint8), around) > 0
    return verify.shared(near, (left - MEET, top - MEET), found.second, found.second_corner)


def _is_exact(found: Measured) -> bool:
    """Whether the sides have the same grain wherever they show anything: where none is all is the same, as on saturated ground."""
    seen, mask = found.grown.agreement, found.grown.mask
    shown = seen.energy[mask & (seen.contrast >= FLAT)]
    return found.compared.fine >= EXACT and len(shown) > 0 and bool(np.quantile(shown, 0.25) >= GRAINY)


def _is_onto_itself(figure: Figure, panel: int, found: Measured) -> bool:
    """Whether the motion carries the panel onto itself: a power spectrum, half a turn about its middle; a matrix, about its diagonal."""
    x0, y0, x1, y1 = figure.panels[panel].tolist()
    corners = np.array([[x0, y0], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1]], float)
    off = np.linalg.norm(motions.moved(found.grown.matrix, corners)[:, None] - corners, axis=2).min(axis=1)
    return bool(off.max() <= ONTO_ITSELF * _diagonal(figure, panel))


def _diagonal(figure: Figure, panel: int) -> float:
    """-> px."""
    x0, y0, x1, y1 = figure.panels[panel].tolist()
    return float(np.hypot(x1 - x0, y1 - y0))


def _is_about_a_peak(figure: Figure, found: Measured) -> bool:
    """Whether the point that half a turn leaves in place is the lightest of all: the middle of a power spectrum, wherever that stands."""
    linear, shift = found.grown.matrix[:, :2], found.grown.matrix[:, 2]
    x, y = np.round(np.linalg.solve(np.eye(2) - linear, shift)).astype(int)
    middle = figure.gray[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    (left, top), mask = found.grown.corner, found.grown.mask
    region = figure.gray[top : top + mask.shape[0], left : left + mask.shape[1]][mask]
    return middle.size > 0 and bool(middle.max() >= np.quantile(region, PEAK))


def _off_the_same_place(figure: Figure, panels: tuple[int, int], found: Measured) -> float:
    """-> px between the middle of the second region and the same place of its panel as that of the first; without end unless the motion
    keeps the panel upright and of one size."""
    if not _is_upright(found):
        return np.inf
    corner, other = figure.panels[list(panels), :2].astype(float)
    middle = np.argwhere(found.grown.mask)[:, ::-1].mean(axis=0) + found.grown.corner
    return float(np.linalg.norm(motions.moved(found.grown.matrix, middle[None])[0] - (middle - corner + other)))


def _are_stained(figure: Figure, panels: tuple[int, int], found: Measured) -> bool:
    """Whether two panels, one brought onto the other, differ by a stain anywhere, not only in the region; not where they are one
    recording with something put in its place."""
    sides = _brought(figure, figure.panels[list(panels)], found.grown.matrix)
    if not channels.are_stained(*sides, CHANNELS, STAINED):
        return False
    return not (_is_exact(found) and channels.is_replaced(*sides))


Part = tuple[slice, slice]
"""Rows and columns of a strip."""


def _is_beside_its_merge(figure: Figure, panels: tuple[int, int], found: Measured) -> bool:
    """Whether a motion leads by whole parts of what holds both panels, black beside black or without any gutters, and one of the parts is
    a channel and what is moved there a merge that holds it, or the other way round."""
    boxes = figure.panels[list(panels)]
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    parts = _strip(high - low, low, found)
    if not parts or np.ptp(figure.pixels[low[1] : high[1] : 4, low[0] : high[0] : 4], axis=2).max() <= CHANNELS:
        return False
    *sides, seen = _brought(figure, np.tile([*low, *high], (2, 1)), found.grown.matrix)
    return any(channels.is_merge(*(side[part] for side in sides), seen[part]) for part in parts)


def _strip(size: np.ndarray, corner: np.ndarray, found: Measured) -> list[Part]:
    """Width and height, and x0 y0 -> the parts of a row, a column or a grid of equal ones that a motion by whole parts leads from."""
    middle = np.argwhere(found.grown.mask)[:, ::-1].mean(axis=0) + found.grown.corner
    shift = motions.moved(found.grown.matrix, middle[None])[0] - middle
    if not _is_upright(found) or (np.abs(shift) <= STRIP["off"] * size).all():
        return []
    rows, columns = (_parts(size[axis], middle[axis] - corner[axis], shift[axis]) for axis in (1, 0))
    return [part for part in product(rows, columns) if _is_panel(part)]


def _parts(length: int, at: float, shift: float) -> Iterator[slice]:
    """Pixels along one axis: of a strip, where in it, and how far it is moved -> the part around that place, for every number of equal
    parts of which it is moved by whole ones."""
    still = abs(shift) <= STRIP["off"] * length
    for count in range(1, STRIP["beside" if still else "parts"] + 1):
        part = length / count
        off = abs(abs(shift) - round(abs(shift) / part) * part)
        if part >= STRIP["px"] and off <= STRIP["off"] * length and abs(shift) < length and 0 <= at < length:
            start = at // part * part
            yield slice(round(start + STRIP["rim"] * part), round(start + (1 - STRIP["rim"]) * part))


def _is_panel(part: Part) -> bool:
    """Whether a part of a grid has the shape of a panel."""
    sides = [side.stop - side.start for side in part]
    return max(sides) <= STRIP["long"] * min(sides)


def _is_upright(found: Measured) -> bool:
    """Whether the motion keeps what it moves upright, unmirrored and of one size."""
    parts = parts_of(found.grown.matrix)
    return abs(parts.turn) < UPRIGHT and abs(parts.scale - 1) < SAME_SIZE and not parts.mirrored


def _is_annotated(figure: Figure, panels: tuple[int, int], matrix: np.ndarray) -> bool:
    """Whether two panels, one brought onto the other, are equal but for lines or areas of one colour."""
    *sides, seen = _brought(figure, figure.panels[list(panels)], matrix)
    differ = (sides[0] != sides[1]).any(axis=2) & seen
    low, high = OUTLINED["share"]
    if not low * seen.sum() <= differ.sum() <= high * seen.sum() or not differ.any():
        return False
    counts = [np.unique(side[differ], axis=0, return_counts=True)[1] for side in sides]
    return bool(max(count.max() for count in counts) >= OUTLINED["one"] * differ.sum())


def _brought(figure: Figure, boxes: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A figure, (2, 4) int64 x0 y0 x1 y1, and the motion from the first to the second -> (h, w, 3) uint8 of the first, what the motion
    brings there, to the nearest pixel, and (h, w) bool, where that is the second's, and nothing is drawn over either; empty black,
    where a stain may be all that shows, counts."""
    (x0, y0, x1, y1), (u0, v0, u1, v1) = boxes.tolist()
    drawn = figure.ignored & ~((figure.gray <= BLACK) & furniture.blank(figure.gray))
    shown = np.zeros(figure.size, np.uint8)
    shown[v0:v1, u0:u1] = ~drawn[v0:v1, u0:u1]
    other, known = (agreement.brought(values, matrix, (x0, y0, x1, y1)) for values in (figure.pixels, shown))
    return figure.pixels[y0:y1, x0:x1], other, (known > 0) & ~drawn[y0:y1, x0:x1]


def _is_overlay(figure: Figure, panel: int, found: Measured) -> bool:
    """Whether a small region with sharp edges is all that two panels share: a logo, a colour bar of the instrument."""
    x0, y0, x1, y1 = figure.panels[panel].tolist()
    small = found.area <= OVERLAID["share"] * (x1 - x0) * (y1 - y0)
    if not (small and all(_is_sharp(*_cut(figure, side)[:2]) for side in _sides(found))):
        return False
    everywhere = np.zeros(figure.size, bool)  # what is flat on one side alone differs
    *sides, rest = agreement.aligned(figure.gray, everywhere, found.grown.matrix, (x0, y0, x1, y1))
    region = rle.mask_of(rle.runs_of(found.grown.mask, figure.size, found.grown.corner), figure.size)[y0:y1, x0:x1]
    rest &= cv2.dilate(region.astype(np.uint8), np.ones((2 * OVERLAID["margin"] + 1,) * 2, np.uint8)) == 0
    a, b = (agreement.band(side, *agreement.FORM)[rest] for side in sides)
    return float((a * b).sum()) < OVERLAID["alike"] * float((a * a + b * b).sum()) / 2


def _is_graphic(figure: Figure, side: Side) -> bool:
    """Whether a region was drawn by a program: what an instrument shows has soft edges, or grain, or no paper around it."""
    gray, region, frame = _cut(figure, side)
    if not _is_sharp(gray, region):
        return False
    between = (region > 0) & (
        cv2.dilate(furniture.spread(gray, SIDE), np.ones((2 * CLEAR + 1,) * 2, np.uint8)) < NO_EDGE
    )
    detail = agreement.band(gray, *agreement.DETAIL)
    grain = np.sqrt(agreement.local(detail * detail))[between]
    if between.sum() < DRAWN["between"] * region.sum() or np.median(grain) > DRAWN["grain"]:
        return False
    around = max(20, round(PAPER["around"] * max(frame[2] - frame[0], frame[3] - frame[1])))
    gray = _widened(figure, frame, around)[1]
    return bool(((gray >= PAPER["white"]) & (furniture.spread(gray, 5) <= PAPER["even"])).mean() >= PAPER["share"])


def _is_sharp(gray: np.ndarray, region: np.ndarray) -> bool:
    """(h, w) float32, (h, w) uint8 -> whether there are edges, and all rise within a pixel or two."""
    wide, thin = furniture.spread(gray, SIDE), cv2.dilate(furniture.spread(gray, 3), np.ones((5, 5), np.uint8))
    edges = (wide >= EDGE) & (cv2.dilate(region, np.ones((SIDE, SIDE), np.uint8)) > 0)
    return bool(edges.sum() >= DRAWN["edges"] * region.sum() and (thin >= SHARP * wide)[edges].mean() >= DRAWN["sharp"])


def _cut(figure: Figure, side: Side) -> tuple[np.ndarray, np.ndarray, agreement.Box]:
    """-> (h, w) float32, the levels of a region and SIDE pixels around it, (h, w) uint8, the region, and its frame in the image."""
    mask, (left, top) = side
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    x0, y0 = left + x, top + y
    frame = (x0, y0, x0 + width, y0 + height)
    region = np.pad(mask[y : y + height, x : x + width], SIDE).astype(np.uint8)
    (left, top), gray = _widened(figure, frame, SIDE)
    return gray, region[top - y0 + SIDE :, left - x0 + SIDE :][: gray.shape[0], : gray.shape[1]], frame


def _widened(figure: Figure, frame: agreement.Box, by: int) -> tuple[tuple[int, int], np.ndarray]:
    """-> the corner x0 y0 and the (h, w) float32 levels of a frame widened to each side, as far as the image goes; nothing painted over."""
    x0, y0 = max(frame[0] - by, 0), max(frame[1] - by, 0)
    return (x0, y0), gray_of(figure.pixels[y0 : frame[3] + by, x0 : frame[2] + by])
