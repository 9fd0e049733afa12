"""What repeats within an image without forgery, though it is the same: insets, symmetric objects and power spectra, channels and
exposures of one field, what an instrument or a program draws."""

from __future__ import annotations

import cv2
import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.matching import agreement, verify
from forgery_rcnn.matching.pairs import Figure, gray_of, parts_of
from forgery_rcnn.matching.verify import Measured

CHANNELS = 12.0  # levels of tint from which two panels show different stains
EXPOSED = {"gain": 0.08, "brightness": 5.0}  # log contrast and levels from which two panels are two exposures
SAME_PLACE = 0.05  # of a panel's diagonal
OVERLAID = {
    "px": 3.0,
    "share": 0.1,
    "alike": 0.5,
}  # off the same place; of the panel; what the panels share around it, at most
UPRIGHT = 3.0  # degrees at most
STILL = 6.0  # px between two sides that meet, and that a motion made twice may move
AXIS = 0.25  # least share of a region's extent along which it meets its other side
EXACT, GRAINY = 1.0, 0.5  # Fisher's z in the finest band; levels, in the quietest quarter of a region
INSET = {"scale": 1.4, "fill": 0.9}  # least enlargement, least share of its frame that the hull fills
STEP, EVEN = 50, 30  # levels within SIDE pixels: an edge, at most; no edge
SIDE, CLEAR = 7, 5  # pixels; from an edge, where grain is looked for
DRAWN = {"edges": 0.2, "sharp": 0.95, "between": 0.05, "grain": 0.6}
"""Of a region's pixels: beside edges, and far from them; of the edges, within a pixel or two; levels, far from them."""
PAPER = {"white": 240, "share": 0.2, "levels": 6}  # of a figure with drawings, is so white and even


def of(figure: Figure, found: Measured) -> str | None:
    """-> why the two regions are no forgery though they are the same, one line; None where nothing excuses them."""
    if _is_inset(found):
        return "an upright frame that shows a part of the figure enlarged: an inset"
    first, second = panels_of(figure, found)
    if first == second and _is_symmetric(found):
        return "mirrored, or turned by half a turn, onto what it meets there: a symmetric object"
    if first != second:
        apart = _off_the_same_place(figure, (first, second), found)
        if apart < SAME_PLACE * np.hypot(*np.diff(figure.panels[first].reshape(2, 2), axis=0)[0]):
            differ = found.compared
            if differ.tint > CHANNELS:
                return "the same place of another panel in another colour: two channels of one field"
            if differ.gain > EXPOSED["gain"] or differ.brightness > EXPOSED["brightness"]:
                return "the same place of another panel, lighter or darker: two exposures of one field"
        if apart < OVERLAID["px"] and _is_overlay(figure, first, found):
            return "the same place of another panel that shows something else around it: drawn over both"
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


def _sides(found: Measured) -> tuple[tuple[np.ndarray, tuple[int, int]], ...]:
    """-> (h, w) bool and the corner x0 y0 of each region."""
    return (found.grown.mask, found.grown.corner), (found.second, found.second_corner)


def _is_inset(found: Measured) -> bool:
    """Whether the second region, the larger one, is a frame that shows the first enlarged, upright and unmirrored."""
    parts = parts_of(found.grown.matrix)
    upright = abs(parts.turn) < UPRIGHT and not parts.mirrored
    hull = cv2.convexHull(cv2.findNonZero(found.second.astype(np.uint8)))
    width, height = cv2.boundingRect(hull)[2:]
    return upright and parts.scale >= INSET["scale"] and cv2.contourArea(hull) >= INSET["fill"] * width * height


def _is_symmetric(found: Measured) -> bool:
    """Whether a mirror, or half a turn, leaves its two sides where they meet: halves of one object, or of a power spectrum. A copy
    lies elsewhere, or shares its grain, which only spectra do as well, and matrices about their diagonal."""
    parts = parts_of(found.grown.matrix)
    if not (parts.mirrored or abs(parts.turn) > 180 - UPRIGHT) or verify.return_error(found.grown) > STILL:
        return False
    meeting, extent = _meeting(found), np.ptp(np.argwhere(found.grown.mask), axis=0)
    if not len(meeting) or np.hypot(*np.ptp(meeting, axis=0)) < AXIS * np.hypot(*extent):
        return False
    upright = min(abs(parts.turn), 180 - abs(parts.turn)) < UPRIGHT
    return not (parts.mirrored and upright and _is_exact(found))


def _meeting(found: Measured) -> np.ndarray:
    """-> (K, 2) x y, pixels of the second region within STILL / 2 of the first."""
    reach = int(STILL / 2)
    near = cv2.dilate(np.pad(found.grown.mask, reach).astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8))
    at = np.argwhere(found.second)[:, ::-1] + np.array(found.second_corner) - np.array(found.grown.corner) + reach
    at = at[((at >= 0) & (at < near.shape[::-1])).all(axis=1)]
    return at[near[at[:, 1], at[:, 0]] > 0]


def _is_exact(found: Measured) -> bool:
    """Whether the two sides have grain, and the same: where there is none all is the same."""
    seen = found.grown.agreement
    return found.compared.fine >= EXACT and bool(np.quantile(seen.energy[found.grown.mask], 0.25) >= GRAINY)


def _off_the_same_place(figure: Figure, panels: tuple[int, int], found: Measured) -> float:
    """-> px between where the motion takes the corner of one panel and that of the other; without end unless it keeps the panel upright
    and of one size."""
    (x0, y0), other = figure.panels[list(panels), :2].astype(float).tolist()
    parts = parts_of(found.grown.matrix)
    upright = abs(parts.turn) < UPRIGHT and abs(parts.scale - 1) < 0.05 and not parts.mirrored
    return float(np.linalg.norm(found.grown.matrix @ [x0, y0, 1] - other)) if upright else np.inf


def _is_overlay(figure: Figure, panel: int, found: Measured) -> bool:
    """Whether a small region is all that two panels share: a logo, a colour bar of the instrument."""
    x0, y0, x1, y1 = figure.panels[panel].tolist()
    if found.area > OVERLAID["share"] * (x1 - x0) * (y1 - y0):
        return False
    everywhere = np.zeros(figure.size, bool)  # what is flat on one side alone differs
    *sides, rest = agreement.aligned(figure.gray, everywhere, found.grown.matrix, (x0, y0, x1, y1))
    region = rle.mask_of(rle.runs_of(found.grown.mask, figure.size, found.grown.corner), figure.size)[y0:y1, x0:x1]
    rest &= cv2.dilate(region.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    a, b = (agreement.band(side, *agreement.FORM)[rest] for side in sides)
    return float((a * b).sum()) < OVERLAID["alike"] * float((a * a + b * b).sum()) / 2


def _is_graphic(figure: Figure, side: tuple[np.ndarray, tuple[int, int]]) -> bool:
    """Whether a region, (h, w) bool at x0 y0, was drawn by a program: what an instrument shows has soft edges, or grain, or no paper."""
    mask, (left, top) = side
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (
        slice(max(top + rows[0] - SIDE, 0), top + rows[-1] + SIDE),
        slice(max(left + columns[0] - SIDE, 0), left + columns[-1] + SIDE),
    )
    region = rle.mask_of(rle.runs_of(mask, figure.size, (left, top)), figure.size)[box].astype(np.uint8)
    gray = gray_of(figure.pixels[box])
    wide, thin = _spread(gray, SIDE), cv2.dilate(_spread(gray, 3), np.ones((CLEAR, CLEAR), np.uint8))
    edges = (wide >= STEP) & (cv2.dilate(region, np.ones((SIDE, SIDE), np.uint8)) > 0)
    if edges.sum() < DRAWN["edges"] * region.sum() or (thin[edges] >= 0.75 * wide[edges]).mean() < DRAWN["sharp"]:
        return False
    detail = agreement.band(gray, *agreement.DETAIL)
    between = (region > 0) & (cv2.dilate(wide, np.ones((2 * CLEAR + 1,) * 2, np.uint8)) < EVEN)
    if (
        between.sum() < DRAWN["between"] * region.sum()
        or np.median(np.sqrt(agreement.local(detail * detail))[between]) > DRAWN["grain"]
    ):
        return False
    return bool(
        ((figure.gray >= PAPER["white"]) & (_spread(figure.gray, 5) <= PAPER["levels"])).mean() >= PAPER["share"]
    )


def _spread(gray: np.ndarray, side: int) -> np.ndarray:
    """(h, w) float32 -> (h, w) float32, levels between the lightest and the darkest of side x side pixels."""
    window = np.ones((side, side), np.uint8)
    return cv2.dilate(gray, window) - cv2.erode(gray, window)
