"""One region again out of the pieces that neighbouring tiles saw of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from forgery_rcnn import metrics, rle
from forgery_rcnn.instances import Prediction

AGREE = 0.5  # from this overlap on two tiles mean the same region
PART = 0.1  # of a region, from which on a further piece of it is no mere neighbour that a mask reaches into
SURE = 0.5  # of a piece's score, from which on another one may complete it
BORDER = 1 / 64  # of a tile's side: a box that ends so near to its border is cut off, boxes are not exact to the pixel


class Window(NamedTuple):
    """A part of an image, in its pixels; x1 y1 exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int


class Piece(NamedTuple):
    """An instance that one tile saw, in the frame of the whole image; box: (4,) x0 y0 x1 y1, pixels, exclusive."""

    window: Window
    runs: rle.Runs
    box: np.ndarray
    score: float


def placed(found: Prediction, window: Window, size: tuple[int, int]) -> list[Piece]:
    """What was predicted of the tile `window` of an image of `size` = (H, W) -> its instances in the image's frame."""
    (x, y), (height, width) = window[:2], size
    corner = np.float32([x, y, x, y])
    around = (-x, -y, width - x, height - y)
    runs = [rle.cut(mask, found.instances.size, around) for mask in found.instances.runs]
    rows = zip(runs, found.boxes, found.scores, strict=True)
    return [Piece(window, mask, box + corner, float(score)) for mask, box, score in rows]


def whole(pieces: Sequence[Piece], size: tuple[int, int]) -> list[Piece]:
    """Pieces of all tiles of an image of `size` = (H, W) -> each region once, the surest first.

    The surest piece begins a region. Where its tile's border cuts it off, those of other tiles that are linked to it and
    half as sure or surer complete it, and so on from these; a piece that ends within its tile is complete. What else is
    linked to them shows the same region and is left out: no vague candidate enlarges what a tile saw whole. No threshold
    is asked for, as it may be chosen afterwards.

    Pixels: the union of the pieces. Box: their hull. Score: the best of theirs; a tile that sees a region's last corner
    only is unsure of it, which says nothing against the tile that sees it whole. And the best instance scores as high as
    the image, which is the best tile.
    """
    near: list[set[int]] = [set() for _ in pieces]
    for i, j in _links(pieces, size):
        if _same(pieces[i], pieces[j]):
            near[i].add(j)
            near[j].add(i)
    free, regions = set(range(len(pieces))), []
    for first in sorted(free, key=lambda i: -pieces[i].score):
        if first not in free:
            continue
        region = [first]
        free.remove(first)
        for i in region:  # grows on the way
            region += (more := [j for j in sorted(near[i] & free) if _completes(pieces[j], pieces[i])])
            free.difference_update(more)
        free.difference_update(*(near[i] for i in region))
        regions.append(_union([pieces[i] for i in region]))
    return regions


def _same(a: Piece, b: Piece) -> bool:
    """Whether two pieces that agree where their tiles meet are one region: the less sure one completes the other, or
    lies in it by AGREE or more of all its pixels, and not only of those that both tiles see."""
    less, more = (a, b) if a.score < b.score else (b, a)
    return _completes(less, more) or (metrics.common_pixels(less.runs, more.runs) >= AGREE * int(less.runs[:, 1].sum()))


def _completes(other: Piece, piece: Piece) -> bool:
    """Whether a piece's tile cuts off its box on a side where the other's tile goes on, and the other is sure enough."""
    window, beyond, (x0, y0, x1, y1) = piece.window, other.window, piece.box.tolist()
    margin = max(1, BORDER * max(window.x1 - window.x0, window.y1 - window.y0))
    cut_off = (
        (beyond.x0 < window.x0 and x0 < window.x0 + margin)
        or (beyond.y0 < window.y0 and y0 < window.y0 + margin)
        or (beyond.x1 > window.x1 and x1 > window.x1 - margin)
        or (beyond.y1 > window.y1 and y1 > window.y1 - margin)
    )
    return cut_off and other.score >= SURE * piece.score


def _union(pieces: Sequence[Piece]) -> Piece:
    boxes = np.stack([piece.box for piece in pieces])
    hull = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    runs = rle.joined(np.concatenate([piece.runs for piece in pieces]))
    return Piece(pieces[0].window, runs, hull, max(piece.score for piece in pieces))


def _links(pieces: Sequence[Piece], size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """-> pairs of pieces of different tiles that agree where these meet."""
    by_tile: dict[Window, list[int]] = {}
    for i, piece in enumerate(pieces):
        by_tile.setdefault(piece.window, []).append(i)
    for a, b in combinations(by_tile, 2):
        compared = meeting(a, b)
        if compared is None:
            continue
        sides = []
        for tile, window in zip((a, b), compared, strict=True):
            cuts = {
                i: rle.cut(pieces[i].runs, size, window) for i in by_tile[tile] if _reaches(pieces[i], window, size)
            }
            sides.append({i: runs for i, runs in cuts.items() if len(runs)})
        scores = [np.array([pieces[i].score for i in side]) for side in sides]
        numbers = [list(side) for side in sides]
        for i, j in agreeing([list(side.values()) for side in sides], scores):
            yield numbers[0][i], numbers[1][j]


def _reaches(piece: Piece, window: Window, size: tuple[int, int]) -> bool:
    """Whether the piece has columns in the window: most have none, and are not looked at more closely."""
    return len(piece.runs) > 0 and bool(
        piece.runs[0, 0] < window.x1 * size[0] and piece.runs[-1].sum() > window.x0 * size[0]
    )


def meeting(a: Window, b: Window) -> tuple[Window, Window] | None:
    """Where what two tiles saw can be compared, a window for each: what they have in common, or, where they only touch,
    the lines of pixels on both sides of the seam; None = nowhere."""
    x0, y0, x1, y1 = max(a.x0, b.x0), max(a.y0, b.y0), min(a.x1, b.x1), min(a.y1, b.y1)
    if x0 < x1 and y0 < y1:
        return Window(x0, y0, x1, y1), Window(x0, y0, x1, y1)
    if x0 == x1 and y0 < y1:
        lines, a_first = (Window(x0 - 1, y0, x0, y1), Window(x0, y0, x0 + 1, y1)), a.x1 == x0
    elif y0 == y1 and x0 < x1:
        lines, a_first = (Window(x0, y0 - 1, x1, y0), Window(x0, y0, x1, y0 + 1)), a.y1 == y0
    else:
        return None
    return lines if a_first else lines[::-1]


def agreeing(sides: Sequence[Sequence[rle.Runs]], scores: Sequence[np.ndarray]) -> Iterator[tuple[int, int]]:
    """P and G pieces of two tiles, none empty, cut to where these meet -> pairs (i, j) that are one region there.

    Where both tiles look they should see the same: an IoU of AGREE or more, one to one, the most alike first. A piece
    left over belongs to one on the other side that it lies in, by AGREE or more of its pixels, and that is as sure or
    surer: a tile sees little of what its border cuts off, and takes the arms of a horseshoe for two regions. Where the
    larger one is less sure they stay apart: a vague instance that covers half of a tile would swallow all others. And
    where it has its partner already the piece must be a good part of it (PART), else it is a neighbour.
    """
    common = metrics.intersections(*sides)
    areas = [np.array([runs[:, 1].sum() for runs in side], np.int64) for side in sides]
    rows, columns = areas[0][:, None], areas[1][None, :]
    overlap = common / (rows + columns - common)
    taken: tuple[set[int], set[int]] = set(), set()
    for at in np.argsort(-overlap, axis=None, kind="stable")[: np.count_nonzero(overlap >= AGREE)]:
        i, j = (int(v) for v in np.unravel_index(at, overlap.shape))
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            yield i, j
    first, second = scores[0][:, None], scores[1][None, :]
    in_second = (common >= AGREE * rows) & (first <= second)
    in_first = (common >= AGREE * columns) & (second <= first)
    for i, j in np.argwhere(in_second | in_first).tolist():
        of_second = in_second[i, j] and (j not in taken[1] or common[i, j] >= PART * columns[0, j])
        of_first = in_first[i, j] and (i not in taken[0] or common[i, j] >= PART * rows[i, 0])
        if (i not in taken[0] and of_second) or (j not in taken[1] and of_first):
            yield i, j
