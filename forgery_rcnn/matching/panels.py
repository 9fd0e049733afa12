"""Splits a compound figure into its panels: along gutters, thin lines and straight full-length seams.

A gutter is a run of rows or columns of one flat colour with a picture's straight edge at it. The edge is what tells it from
the dark between cells, or the white between bands: those also give uniform rows, but nothing ends there all along a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from forgery_rcnn.errors import require
from forgery_rcnn.matching.pairs import gray_of

Box = tuple[int, int, int, int]
PAPER_SHARE = 0.97  # of a gutter's row; the rest is for a letter, an arrow or a line that crosses it
EDGE_SHARE = (
    0.35  # of the row where a picture must end, on one side of a gutter: the last row of panels may be half full
)
THIN = 3  # pixels: up to here a gutter is a line, which must have pictures at both sides
THIN_EDGE = 0.6  # of such a line, on both sides
LEAST_SIDE, LEAST_SHARE = 12, 0.002  # a panel's shorter side in pixels, and its part of the figure
LETTERED = 0.85  # of the rows beside such a line is paper: letters, and it need not be a line
ROUGH, ROUGH_SHARE = 1.5, 0.03  # grey levels between neighbours; a picture has that at so many places, a bar has not
BORDERED = 0.5  # of a box's outline is not paper: a picture; text and charts have less
LEAST_DRAWING, DRAWING_SHARE = 64, 0.02  # the same limits for what is no picture, or every caption were a panel
LOOSE = 14.0  # grey levels that paper may be off its level at most
DEEPEST = 8  # cuts within cuts
SEAM_LEVELS = 10.0  # grey levels from one side of a seam to the other
SEAM_SHARE = 0.5  # of a seam's length has a jump that is steep against both sides
SEAM_PIECES, PIECE_SHARE = 8, 0.15  # a seam runs all along: so many pieces of it have at least this share each
MOST_SEAMS = 6  # half as clear as the best one; more are a grain or a pattern
SEAM_MARGIN = 32  # pixels: no panel is narrower


class Paper(NamedTuple):
    """A flat colour that gutters may have. level: grey, 0..255; off: levels from which a pixel differs; mask: its pixels,
    (H, W) uint8, 1 where it is."""

    level: float
    off: float
    mask: np.ndarray


class Run(NamedTuple):
    """Rows or columns start..stop (exclusive) of one paper; edges: share of the row where a picture ends, before and after it."""

    start: int
    stop: int
    edges: tuple[float, float]


def split(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (P, 4) int64 x0 y0 x1 y1, pixels, x1 y1 exclusive, row by row; the whole image where nothing parts it.

    Raises InputError: not an image of at least one pixel.
    """
    require(
        pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0,
        f"pixels: {pixels.shape}; pass an RGB image, (H, W, 3) uint8",
    )
    height, width = pixels.shape[:2]
    gray = gray_of(pixels)
    papers = _papers(gray)
    whole = (0, 0, width, height)
    leaves = _cut(gray, papers, frozenset(), whole, 0)
    kept = [box for box in leaves if len(leaves) == 1 or _is_panel(gray, papers, box)]
    parted = [part for box in kept or [whole] for part in _at_seams(gray, box, 0)]
    return np.array(sorted(parted, key=lambda box: (box[1], box[0])), np.int64).reshape(-1, 4)


def _papers(gray: np.ndarray) -> list[Paper]:
    """(H, W) float32 -> white, black and the two commonest flat levels between them."""
    levels = gray.astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    flat = cv2.subtract(cv2.dilate(levels, square), cv2.erode(levels, square)) <= 3
    counts = np.bincount(levels[flat], minlength=256).astype(np.float64)
    found = [255, 0]
    for _ in range(2):
        around = np.convolve(counts, np.ones(5), mode="same")
        for taken in found:
            around[max(0, taken - 12) : taken + 13] = 0
        best = int(np.argmax(around))
        if around[best] >= 0.005 * gray.size:  # less is no gutter
            found.append(best)
    papers = [_paper(gray, levels, flat, level) for level in found]
    # Beside letters, JPEG leaves white uneven that is flat elsewhere.
    return [*papers, *(_spread(gray, paper.level, LOOSE) for paper in papers if paper.off < LOOSE)]


def _paper(gray: np.ndarray, levels: np.ndarray, flat: np.ndarray, level: int) -> Paper:
    """What belongs to a level: more where JPEG or a scan made it uneven."""
    near = levels[flat & (cv2.absdiff(levels, np.full_like(levels, level)) <= 10)]
    middle, noise = (float(near.mean()), float(near.std())) if near.size else (float(level), 0.0)
    off = float(np.clip(4 * noise + 2, 3, LOOSE))
    return _spread(gray, middle, off)


def _spread(gray: np.ndarray, level: float, off: float) -> Paper:
    return Paper(level, off, cv2.min(cv2.inRange(gray, level - off, level + off), 1))


def _cut(gray: np.ndarray, papers: Sequence[Paper], page: frozenset[float], box: Box, depth: int) -> list[Box]:
    """-> the box's parts between gutters, cut again and again; itself where there is none. page: levels of gutters around it."""
    if depth == DEEPEST or min(box[2] - box[0], box[3] - box[1]) < LEAST_SIDE:
        return [box]
    options = [(paper, axis, _gutters(gray, paper, box, axis, page)) for paper in papers for axis in (0, 1)]
    paper, axis, runs = max(options, key=lambda option: sum(sum(run.edges) for run in option[2]))
    if not runs:
        return [box]
    first, last = (box[1], box[3]) if axis == 0 else (box[0], box[2])
    bounds = [first, *(bound for run in runs for bound in run[:2]), last]
    parts = [(low, high) for low, high in zip(bounds[::2], bounds[1::2], strict=True) if high > low]
    boxes = [(box[0], a, box[2], b) if axis == 0 else (a, box[1], b, box[3]) for a, b in parts]
    leaves = [leaf for part in boxes for leaf in _cut(gray, papers, page | {paper.level}, part, depth + 1)]
    # A chart falls apart at its bars: what holds no picture stays whole.
    around = [other for other in papers if other.level in page | {paper.level}]
    return leaves if any(_is_picture(gray, around, leaf) for leaf in leaves) else [box]


def _gutters(gray: np.ndarray, paper: Paper, box: Box, axis: int, page: frozenset[float]) -> list[Run]:
    """-> the runs of rows (axis 0) or columns (1) of paper in a box that part pictures from each other or from the border."""
    x0, y0, x1, y1 = box
    first, last = (y0, y1) if axis == 0 else (x0, x1)
    window = gray[y0:y1, x0:x1] if axis == 0 else gray[y0:y1, x0:x1].T
    shares = cv2.reduce(paper.mask[y0:y1, x0:x1], 1 - axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() / window.shape[1]
    empty = shares >= PAPER_SHARE
    steps = np.flatnonzero(np.diff(np.concatenate([[0], empty.view(np.uint8), [0]]).astype(np.int8)))
    found = []
    for start, stop in zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True):
        edges = _edge(window, paper, start - 1, -1), _edge(window, paper, stop, 1)
        run = Run(start, stop, edges)
        if stop - start < last - first and _parts(run, shares, not page or paper.level in page):
            found.append(Run(start + first, stop + first, edges))
    return found


def _parts(run: Run, shares: np.ndarray, own: bool) -> bool:
    """Whether a run is a gutter. shares: of paper in all rows; own: the paper is that of the gutters around, if there are."""
    at_border = run.start == 0 or run.stop == len(shares)
    if not own:  # inside a picture, or black lines between pictures that stand on a white page
        return not at_border and min(run.edges) >= EDGE_SHARE
    if run.stop - run.start > THIN or at_border:
        return max(run.edges) >= EDGE_SHARE
    before, after = shares[max(0, run.start - 5) : run.start].mean(), shares[run.stop : run.stop + 5].mean()
    letters = (run.edges[0] >= THIN_EDGE and after >= LETTERED) or (run.edges[1] >= THIN_EDGE and before >= LETTERED)
    return min(run.edges) >= THIN_EDGE or letters


def _edge(window: np.ndarray, paper: Paper, at: int, step: int) -> float:
    """(h, w) float32 -> share of row `at`, and of those behind it, that leaves the paper at once, as a picture's edge does.

    Grey that ends at a white page is no paper but a picture's ground, a blot's for example.
    """
    behind = [at + step * n for n in range(7)]
    if not 0 <= behind[-1] < window.shape[0]:
        return 0.0
    off = np.abs(window[behind] - paper.level)
    near, far = off[0:3].max(axis=0), off[3:7].mean(axis=0)
    # What fades into the paper, as cells and bands do, has not come far within three pixels.
    ends = (near > 1.5 * paper.off) & (far > 1.5 * paper.off) & (near >= 0.4 * far)
    if LOOSE < paper.level < 255 - 2 * LOOSE:
        ends &= window[behind[3:7]].min(axis=0) < 255 - LOOSE
    return float(np.mean(ends))


def _is_panel(gray: np.ndarray, papers: Sequence[Paper], box: Box) -> bool:
    """Whether a part of the figure is a panel rather than a letter or a heading."""
    side, share = min(box[2] - box[0], box[3] - box[1]), (box[2] - box[0]) * (box[3] - box[1]) / gray.size
    return _is_picture(gray, papers, box) or (side >= LEAST_DRAWING and share >= DRAWING_SHARE)


def _is_picture(gray: np.ndarray, papers: Sequence[Paper], box: Box) -> bool:
    """Whether a part of the figure is a picture: large, other than paper at its outline, and not all flat."""
    x0, y0, x1, y1 = box
    side, share = min(x1 - x0, y1 - y0), (x1 - x0) * (y1 - y0) / gray.size
    if side < LEAST_SIDE or share < LEAST_SHARE:
        return False
    lines = ((x0, y0, x1, y0 + 2), (x0, y1 - 2, x1, y1), (x0, y0, x0 + 2, y1), (x1 - 2, y0, x1, y1))
    blank = max(np.mean([_share(paper, line) for line in lines]) for paper in papers)
    rough = np.abs(np.diff(gray[y0:y1:2, x0:x1], axis=1)) > ROUGH
    return 1 - blank >= BORDERED and float(rough.mean()) >= ROUGH_SHARE


def _share(paper: Paper, box: Box) -> float:
    """-> how much of a box is this paper."""
    x0, y0, x1, y1 = box
    return cv2.countNonZero(paper.mask[y0:y1, x0:x1]) / ((x1 - x0) * (y1 - y0))


def _at_seams(gray: np.ndarray, box: Box, depth: int) -> list[Box]:
    """-> the parts of a box that touch without a gutter; itself where no straight jump runs from border to border."""
    x0, y0, x1, y1 = box
    window = gray[y0:y1, x0:x1]
    found = [(*_seam(turned), axis) for axis, turned in enumerate((window.T, window))]
    share, at, axis = max(found)
    if share < SEAM_SHARE or depth == DEEPEST:
        return [box]
    parts = (
        [(x0, y0, x1, y0 + at), (x0, y0 + at, x1, y1)] if axis == 0 else [(x0, y0, x0 + at, y1), (x0 + at, y0, x1, y1)]
    )
    return [leaf for part in parts for leaf in _at_seams(gray, part, depth + 1)]


def _seam(window: np.ndarray) -> tuple[float, int]:
    """(h, w) float32 -> share of the column's length where the steepest seam jumps, and the column it begins; (0, 0) for none."""
    h, w = window.shape
    if w < 2 * SEAM_MARGIN or h < SEAM_MARGIN:
        return 0.0, 0
    parts = np.array_split(window, SEAM_PIECES)
    counts = [cv2.reduce(_steep(part), 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0] for part in parts]
    pieces = np.array([count / len(part) for count, part in zip(counts, parts, strict=True)], np.float32)
    whole = np.float32(sum(counts) / h)
    share = np.where(pieces.min(axis=0) >= PIECE_SHARE, whole, 0)
    share[: SEAM_MARGIN - 4] = share[w - SEAM_MARGIN - 4 :] = 0
    best = int(np.argmax(share))
    rivals = np.flatnonzero(whole >= share[best] / 2)
    # A picture enlarged without smoothing has one at every pixel it was made of.
    return (0.0, 0) if np.count_nonzero(np.diff(rivals) > 2) >= MOST_SEAMS else (float(share[best]), best + 4)


def _steep(window: np.ndarray) -> np.ndarray:
    """(h, w) float32 -> (h, w - 8) uint8, 1 where a jump from the fourth pixel to the sixth is steep against both sides."""
    window = np.ascontiguousarray(window)
    # Two pixels across the seam, as JPEG and resizing soften it; beside it two of the same distance.
    jump = cv2.absdiff(window[:, 2:], window[:, :-2])
    beside = cv2.max(jump[:, :-6], jump[:, 6:])
    return (jump[:, 3:-3] > np.maximum(SEAM_LEVELS, 2 * beside)).view(np.uint8)
