"""The rim of a round thing (a dish, a well, a field of view, a section) lies on itself however it is turned or mirrored, and on the rim of
any other: what tells a copy is what lies beside it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from forgery_rcnn.matching import agreement, motions
from forgery_rcnn.matching.pairs import Figure
from forgery_rcnn.matching.regions import FLAT, Grown

BLUR, REACH = 1.5, 8  # px: sigma before gradients are taken, and how far around a region that looks
STRONG = (0.98, 0.5)  # quantile of a region's gradients, and the part of it from which a pixel is of an edge
FEWEST, POINTS, DRAWS = (
    20,
    400,
    300,
)  # of the edge that must be there, and are looked at; circles through three of them that are tried
ON = (2.0, 0.01)  # px, and part of the radius, that a point of a circle is off it at most
RADIAL = 0.9  # least cosine between its gradient and the radius
SMALLEST = 20.0  # px, radius
OF_EDGE, OF_ENERGY = (
    0.5,
    0.7,
)  # least share of the edge that is on a rim, and of the gradients' energy that is no further from it than
BESIDE = 8.0  # px
SAME_GRAIN = 0.6  # median correlation of detail beyond that: a copy
TWICE, SAME_RIM = (
    2.0,
    0.8,
)  # times the tolerance, for an arc and what it is brought onto; share of both that one circle must fit
FIELD = 80.0  # px, least radius of two fields whose rims are alike: a smaller round thing, such as a cell, may well be a copy
DEPTH = (
    12.0,
    24.0,
    0.25,
)  # px within a rim from which its blur is over; how much further is looked, at least, and as part of the radius
SECTORS = 36
CONTENT, ALIKE = (
    0.3,
    0.3,
)  # least share of what lies there that shows anything, and median correlation of form from which it is the same


@dataclass(frozen=True)
class Arc:
    """Of a circle. points: (P, 2) float64, x y on it; ways: (P, 2) float64, of length 1, where the edge rises there; centre: (2,) float64,
    x y; radius: px."""

    points: np.ndarray
    ways: np.ndarray
    centre: np.ndarray
    radius: float


def is_rim(figure: Figure, grown: Grown) -> bool:
    """Whether a region and its partner have no more in common than arcs: of one rim, or of two, within which they differ."""
    arc = _arc(figure.gray, grown)
    if arc is None:
        return False
    if _is_one_rim(arc, grown.matrix):
        return True
    if arc.radius < FIELD:
        return False
    content, alike = _within(figure, grown.matrix, arc)
    return content >= CONTENT and alike < ALIKE


def _tolerance(radius: float | np.ndarray) -> float | np.ndarray:
    return np.maximum(ON[0], ON[1] * radius)


def _arc(gray: np.ndarray, grown: Grown) -> Arc | None:
    """(H, W) float32 and a region -> the arc that is all that it shows and shares; None where it shows or shares more."""
    places, gradients, crest = _gradients(gray, grown)
    strength = np.linalg.norm(gradients, axis=1)
    quantile, part = STRONG
    edge = np.flatnonzero(crest & (strength >= part * np.quantile(strength, quantile)))
    if len(edge) < FEWEST:
        return None
    edge = edge[:: max(1, -(-len(edge) // POINTS))]
    arc = _fitted(places[edge], gradients[edge] / np.maximum(strength[edge], 1e-6)[:, None], max(gray.shape))
    if arc is None:
        return None
    far = np.abs(np.linalg.norm(places - arc.centre, axis=1) - arc.radius)
    energy = strength**2
    if energy[far <= BESIDE].sum() < OF_ENERGY * energy.sum():
        return None
    seen, mask = grown.agreement, grown.mask
    beside = (far > BESIDE) & (seen.contrast[mask] >= FLAT)
    if beside.any() and np.median(seen.detail[mask][beside]) >= SAME_GRAIN:
        return None
    return arc


def _is_one_rim(arc: Arc, matrix: np.ndarray) -> bool:
    """Whether a motion brings an arc onto the circle that it is of: one circle fits both."""
    points = np.vstack([arc.points, motions.moved(matrix, arc.points)])
    ways = np.vstack([arc.ways, arc.ways @ np.linalg.inv(matrix[:, :2])])
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    # Of points on a circle x^2 + y^2 is linear in x, y and 1.
    offset = points.mean(axis=0)
    design = np.column_stack([2 * (points - offset), np.ones(len(points))])
    (x, y, rest), *_ = np.linalg.lstsq(design, ((points - offset) ** 2).sum(axis=1), rcond=None)
    centre, radius = offset + [x, y], np.sqrt(max(rest + x * x + y * y, 0.0))
    return bool(_on(points, ways, centre[None], np.array([radius]), TWICE).mean() >= SAME_RIM)


def _gradients(gray: np.ndarray, grown: Grown) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> (N, 2) float64 x y of a region's pixels, (N, 2) float32 gradients there, and (N,) bool, where no neighbour across the edge has
    a steeper one."""
    (left, top), (height, width) = grown.corner, grown.mask.shape
    y, x = max(top - REACH, 0), max(left - REACH, 0)
    window = cv2.GaussianBlur(gray[y : top + height + REACH, x : left + width + REACH], (0, 0), BLUR)
    slopes = np.stack([cv2.Sobel(window, cv2.CV_32F, *way) for way in ((1, 0), (0, 1))], axis=-1)
    strength = np.linalg.norm(slopes, axis=2)
    rows, columns = np.nonzero(grown.mask)
    at = rows + top - y, columns + left - x
    across = np.round(slopes[at] / np.maximum(strength[at], 1e-6)[:, None]).astype(int)
    high, wide = np.array(strength.shape) - 1
    beside = [
        strength[np.clip(at[0] + way * across[:, 1], 0, high), np.clip(at[1] + way * across[:, 0], 0, wide)]
        for way in (-1, 1)
    ]
    crest = strength[at] >= np.maximum(*beside)
    return np.column_stack([columns + left, rows + top]).astype(float), slopes[at], crest


def _fitted(points: np.ndarray, ways: np.ndarray, largest: float) -> Arc | None:
    """(N, 2) x y of an edge and (N, 2) where it rises -> those on the circle that most are on; None where too few are on any."""
    rng = np.random.default_rng(0)
    first, second, third = points[rng.integers(len(points), size=(3, DRAWS))]
    # The middle is as far from one as from the others: two linear equations for each draw.
    sides = 2 * np.stack([second - first, third - first], axis=1)
    squares = [(corner**2 - first**2).sum(axis=1) for corner in (second, third)]
    flat = np.abs(np.linalg.det(sides)) < 1e-6
    sides[flat] = np.eye(2)
    centres = np.linalg.solve(sides, np.stack(squares, axis=1)[..., None])[..., 0]
    radii = np.linalg.norm(first - centres, axis=1)
    on = _on(points, ways, centres, radii)
    on[flat | (radii < SMALLEST) | (radii > largest)] = False
    best = int(np.argmax(on.sum(axis=1)))
    if on[best].mean() < OF_EDGE:
        return None
    return Arc(points[on[best]], ways[on[best]], centres[best], float(radii[best]))


def _on(points: np.ndarray, ways: np.ndarray, centres: np.ndarray, radii: np.ndarray, off: float = 1.0) -> np.ndarray:
    """(N, 2) x y, (N, 2) directions, (C, 2) x y and (C,) px -> (C, N) bool, which are on which circle, and go along its radius; off: times
    the tolerance."""
    away = points[None] - centres[:, None]
    far = np.linalg.norm(away, axis=2)
    near = np.abs(far - radii[:, None]) <= off * np.maximum(ON[0], ON[1] * radii)[:, None]
    return near & (np.abs((away * ways[None]).sum(axis=2)) >= RADIAL * far)


def _within(figure: Figure, matrix: np.ndarray, arc: Arc) -> tuple[float, float]:
    """-> of what lies on the inner side of an arc: the share that shows anything, and the median correlation of its form."""
    start, least, part = DEPTH
    depth = start + max(least, part * arc.radius)
    edges = np.vstack([arc.points, arc.centre + (arc.points - arc.centre) * (1 - depth / arc.radius)])
    x0, y0 = np.maximum(np.floor(edges.min(axis=0)).astype(int), 0).tolist()
    x1, y1 = np.minimum(np.ceil(edges.max(axis=0)).astype(int) + 1, figure.size[::-1]).tolist()
    seen = agreement.compared(figure.gray, figure.ignored, matrix, (x0, y0, x1, y1))
    away = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), axis=-1) - arc.centre
    far = np.linalg.norm(away, axis=2)
    turned = np.zeros(SECTORS, bool)
    turned[_sector(arc.points - arc.centre)] = True
    place = (far <= arc.radius - start) & (far >= arc.radius - depth) & turned[_sector(away)] & seen.inside
    shown = place & (seen.contrast >= FLAT)
    if not shown.any():
        return 0.0, 0.0
    return float(shown.sum() / place.sum()), float(np.median(seen.form[shown]))


def _sector(away: np.ndarray) -> np.ndarray:
    """(..., 2) x y from the middle -> (...) int64, which of the SECTORS."""
    turn = np.arctan2(away[..., 1], away[..., 0]) / (2 * np.pi)
    return np.floor(turn * SECTORS).astype(np.int64) % SECTORS
