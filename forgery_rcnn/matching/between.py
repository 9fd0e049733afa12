"""Does a panel of one file show what a panel of another shows? Both side by side are one figure, and verified as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.matching import excuses, keypoints, motions
from forgery_rcnn.matching.library import Candidate, features
from forgery_rcnn.matching.pairs import Figure, Finding, Hypothesis, Original, Pair, inverse
from forgery_rcnn.matching_config import MatchingConfig

GAP = 16  # px between the two, ignored: no region may grow from one into the other
FEATURES = 1500  # of a panel, when it is looked at closely; the library has fewer
ALIKE = 0.86  # least product of two RootSIFT features, as within an image
RATIO = 0.9  # of the distance to the second nearest
# Dirt on a lens or a sensor is at the same place in all of a camera's images: where a region stays in its place of the frame, so
# large a share of the panel must agree, not some specks.
STILL, SOLID = 0.02, 0.1  # shares: of the panel's sides that the region is off, of its area
OTHER: dict[Original, Original] = {"first": "second", "second": "first", "undecided": "undecided"}

Verifier = Callable[[Figure, Sequence[Hypothesis], MatchingConfig], Finding]
"""A figure and motions that may explain it -> what holds."""


@dataclass(frozen=True)
class Canvas:
    """Two panels side by side. figure: both; at: (2, 2) int64, what is added to x y of either file to get x y here; boxes: (2, 4)
    int64 x0 y0 x1 y1, where they lie here; sizes: (H, W) of the two files."""

    figure: Figure
    at: np.ndarray
    boxes: np.ndarray
    sizes: tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Held:
    """What two panels share, and why what else is alike in them is no pair, see excuses.FIELDS."""

    pairs: list[Pair]
    excused: tuple[str, ...]


def joined(figures: tuple[Figure, Figure], boxes: np.ndarray) -> Canvas:
    """Two files' figures, (2, 4) int64 x0 y0 x1 y1 a panel of each, pixels of its file -> the two panels as one figure."""
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    starts = np.array([[0, 0], [widths[0] + GAP, 0]])
    placed = np.concatenate([starts, starts + np.stack([widths, heights], axis=1)], axis=1)
    size = int(heights.max()), int(widths.sum()) + GAP
    pixels, gray, ignored = np.full((*size, 3), 255, np.uint8), np.full(size, 255, np.float32), np.ones(size, bool)
    for figure, (x0, y0, x1, y1), (u0, v0, u1, v1) in zip(figures, boxes.tolist(), placed.tolist(), strict=True):
        pixels[v0:v1, u0:u1] = figure.pixels[y0:y1, x0:x1]
        gray[v0:v1, u0:u1] = figure.gray[y0:y1, x0:x1]
        ignored[v0:v1, u0:u1] = figure.ignored[y0:y1, x0:x1]
    sizes = figures[0].size, figures[1].size
    return Canvas(Figure(pixels, gray, ignored, placed, one_grid=False), starts - boxes[:, :2], placed, sizes)


def hypotheses(canvas: Canvas, candidate: Candidate, max_side: int) -> list[Hypothesis]:
    """-> motions from the first panel to the second, those with most matches first; the candidate's own last."""
    points = [features(canvas.figure, box, FEATURES, max_side) for box in canvas.boxes]
    parts = [_matched(points[0], points[1], sign) for sign in (1, -1)]
    both = motions.joined(parts)
    found = motions.models(both, motions.REACH * float(np.hypot(*canvas.figure.size)))
    rough = to_canvas(canvas, candidate.matrix)
    places = [
        (xy + at).astype(np.float32)
        for xy, at in zip((candidate.first_xy, candidate.second_xy), canvas.at, strict=True)
    ]
    return [*found, Hypothesis(rough, *places, "keypoints")]


def _matched(first: keypoints.Keypoints, second: keypoints.Keypoints, sign: int) -> motions.Matches:
    """Each feature's nearest one of the other panel, unless the next is about as near; mirrored ones where sign is -1."""
    if not len(first) or len(second) < 2:
        none = np.zeros(0, np.int64)
        return motions.matched(first, second, none, none, np.zeros(0, np.float32), sign)
    own = keypoints.mirrored(first.descriptors) if sign < 0 else first.descriptors
    alike = own @ second.descriptors.T
    rows, columns = np.arange(len(own)), alike.argmax(axis=1)
    best = alike[rows, columns]
    alike[rows, columns] = -1
    apart = [np.sqrt(np.maximum(1 - product, 1e-9)) for product in (best, alike.max(axis=1))]
    good = (best > ALIKE) & (apart[0] < RATIO * apart[1])
    return motions.matched(first, second, rows[good], columns[good], best[good], sign)


def to_canvas(canvas: Canvas, matrix: np.ndarray) -> np.ndarray:
    """(2, 3) from file to file -> the same on the canvas."""
    moved = np.array(matrix, np.float64)
    moved[:, 2] += canvas.at[1] - moved[:, :2] @ canvas.at[0]
    return moved


def from_canvas(canvas: Canvas, matrix: np.ndarray) -> np.ndarray:
    """The inverse of `to_canvas`."""
    moved = np.array(matrix, np.float64)
    moved[:, 2] += moved[:, :2] @ canvas.at[0] - canvas.at[1]
    return moved


def verified(
    canvas: Canvas, candidate: Candidate, config: MatchingConfig, verifier: Verifier, looked_at: int = 1
) -> Held:
    """-> the pairs that hold, best first: `first` in the first file's pixels, `second` in the second's, as the matrix is; and what
    excused others.

    looked_at: panels that each one was held against; what chance does among them all is what counts.
    """
    finding = verifier(canvas.figure, hypotheses(canvas, candidate, config.max_side), config)
    pairs = [_in_files(canvas, pair) for pair in finding.pairs if not _specks(canvas, pair)]
    counted = [replace(pair, chance=min(1.0, pair.chance * looked_at)) for pair in pairs if pair is not None]
    return Held([pair for pair in counted if pair.chance <= config.max_chance], excuses.told(finding))


def _in_files(canvas: Canvas, pair: Pair) -> Pair | None:
    """A pair on the canvas -> in the two files, or None where it lies within one of them: their own searches tell of that."""
    sides = [_side(canvas, runs) for runs in (pair.first, pair.second)]
    if sides[0] == sides[1]:
        return None
    if sides[0] == 1:
        matrix, original = inverse(pair.matrix), OTHER[pair.original]
        pair = replace(pair, first=pair.second, second=pair.first, matrix=matrix, original=original)
    first, second = (_cut(canvas, runs, side) for side, runs in enumerate((pair.first, pair.second)))
    return replace(pair, first=first, second=second, matrix=from_canvas(canvas, pair.matrix), between_panels=True)


def _specks(canvas: Canvas, pair: Pair) -> bool:
    """Whether a pair is small, and its regions have the same place in their panels, mirrored or turned as these may be."""
    start = _side(canvas, pair.first)
    mine, other = canvas.boxes[[start, 1 - start]].astype(np.float64)
    sides = mine[2:] - mine[:2], other[2:] - other[:2]
    if int(pair.first[:, 1].sum()) >= SOLID * min(sides[0].prod(), sides[1].prod()):
        return False
    x, y = np.divmod(pair.first[:, 0] + pair.first[:, 1] // 2, canvas.figure.size[0])
    places = np.stack([x, y], axis=1)
    moved = (motions.moved(pair.matrix, places) - other[:2] + 0.5) / sides[1] - 0.5
    centred = (places - mine[:2] + 0.5) / sides[0] - 0.5
    turns = [np.array([[a, 0], [0, b]])[:, order] for a in (1, -1) for b in (1, -1) for order in ([0, 1], [1, 0])]
    return min(float(np.linalg.norm(centred @ turn.T - moved, axis=1).mean()) for turn in turns) <= STILL


def _side(canvas: Canvas, runs: rle.Runs) -> int:
    """In which of the two a region lies."""
    columns = runs[:, 0] // canvas.figure.size[0]
    return int(np.median(columns) >= canvas.boxes[1, 0])


def _cut(canvas: Canvas, runs: rle.Runs, side: int) -> rle.Runs:
    """A region on the canvas -> in the pixels of the file on that side."""
    x0, y0, x1, y1 = canvas.boxes[side].tolist()
    inside = rle.cut(runs, canvas.figure.size, (x0, y0, x1, y1))
    (u, v), (height, width) = (canvas.boxes[side, :2] - canvas.at[side]).tolist(), canvas.sizes[side]
    return rle.cut(inside, (y1 - y0, x1 - x0), (-u, -v, width - u, height - v))
