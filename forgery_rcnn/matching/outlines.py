"""One edge lies on any other of its shape: the rim of something round (a dish, a well, a field of view) on itself, however it is turned
or mirrored, the outline of a section on its other side. What tells a copy is what lies beside the edge."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from forgery_rcnn.matching import agreement, motions
from forgery_rcnn.matching.agreement import Box
from forgery_rcnn.matching.pairs import Figure
from forgery_rcnn.matching.regions import FLAT, Grown

BLUR, REACH = 1.5, 8  # px: sigma before gradients are taken, and how far around a region that looks
STRONG = (0.98, 0.5)  # quantile of a region's gradients, and the part of it from which a pixel is of an edge
FEWEST, POINTS = 20, 400  # of an edge that must be there, and that are looked at
GAP, CURVES = 5, 3  # px across which a curve is one; so many may be the edge
NEAR, BEYOND, AROUND = 8.0, 12.0, 36.0
"""px: up to which a pixel is of an edge, from which its blur is over, as far as is looked."""
BARE = {"points": 0.85, "energy": 0.7, "beyond": 0.35, "around": 0.3}
"""Share of an edge's points that its curves hold, and of the gradients' energy NEAR them, at least; share of what the region
shows that is BEYOND them, and median correlation AROUND, whether in the region or not, at most."""
DETAIL = {"round": 0.5, "uneven": 0.35}  # median correlation beside an edge, in the region, at most
DRAWS, SMALLEST, FIELD, LONG = 300, 20.0, 80.0, 0.5
"""Circles through three points that are tried; px, least radius, and that of two fields whose rims are alike, with the extent
of an arc, as part of it: smaller things, such as cells, may well be copies."""
ON, TWICE, RADIAL = (2.0, 0.01), 2.0, 0.9
"""px, and part of the radius, that a point is off its circle at most; so many times for both sides; least cosine between its way and the
radius."""
ROUND, BOTH = 0.5, 0.8
"""Share of an edge that is on one circle, and of both sides' points that one circle, or one outline, holds, at least."""
FAINTER, ONCE = 0.5, 1.5
"""Part of an edge's least strength that the rest of its outline may have; times around its frame that an outline is long, at most."""


@dataclass(frozen=True)
class Edge:
    """Of a region. places: (N, 2) int64, x y of its pixels; energy: (N,) float32, squares of their gradients; points: (P, 2) int64, x y
    along its steepest edges; ways: (P, 2) float64, of length 1, where they rise; least: float, the weakest gradient among them."""

    places: np.ndarray
    energy: np.ndarray
    points: np.ndarray
    ways: np.ndarray
    least: float


@dataclass(frozen=True)
class Circle:
    """centre: (2,) float64, x y; radius: px; on: (K,) int64, which points of an edge are on it."""

    centre: np.ndarray
    radius: float
    on: np.ndarray


def is_outline(figure: Figure, grown: Grown) -> bool:
    """Whether a region and its partner have no more in common than a bare edge, of one outline, or of two large round ones."""
    edge = _edge(figure.gray, grown)
    if edge is None:
        return False
    circle = _circle(edge, max(figure.size))
    if circle is not None and (_is_field(edge, circle) or _is_one_rim(edge, circle, grown.matrix)):
        return _is_bare(figure, edge, grown, DETAIL["round"])
    return _is_one_outline(figure.gray, edge, grown.matrix) and _is_bare(figure, edge, grown, DETAIL["uneven"])


def _is_field(edge: Edge, circle: Circle) -> bool:
    """Whether an arc is long, and of a circle as large as a field of view."""
    return circle.radius >= FIELD and np.ptp(edge.points[circle.on], axis=0).max() >= LONG * circle.radius


def _edge(gray: np.ndarray, grown: Grown) -> Edge | None:
    """(H, W) float32 and a region -> its edge; None where there is hardly any."""
    (left, top), (height, width) = grown.corner, grown.mask.shape
    strength, ways, crest = _gradients(gray, (left, top, left + width, top + height))
    own = strength[grown.mask]
    quantile, part = STRONG
    least = part * float(np.quantile(own, quantile))
    rows, columns = np.nonzero(grown.mask & crest & (strength >= least))
    if len(rows) < FEWEST:
        return None
    corner = [left, top]
    places = np.argwhere(grown.mask)[:, ::-1] + corner
    return Edge(places, own**2, np.column_stack([columns, rows]) + corner, ways[rows, columns].astype(float), least)


def _gradients(gray: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H, W) float32, x0 y0 x1 y1 -> (h, w) float32 strength, (h, w, 2) float32 direction, and (h, w) bool, where no neighbour that way has
    a stronger one."""
    x0, y0, x1, y1 = box
    left, top = max(x0 - REACH, 0), max(y0 - REACH, 0)
    window = cv2.GaussianBlur(gray[top : y1 + REACH, left : x1 + REACH], (0, 0), BLUR)
    slopes = np.stack([cv2.Sobel(window, cv2.CV_32F, *way) for way in ((1, 0), (0, 1))], axis=-1)
    strength = np.linalg.norm(slopes, axis=2)
    ways = slopes / np.maximum(strength, 1e-6)[..., None]
    right, down = np.moveaxis(np.round(ways).astype(int), -1, 0)
    rows, columns = np.indices(strength.shape)
    padded = np.pad(strength, 1)
    beside = [padded[rows + 1 + way * down, columns + 1 + way * right] for way in (-1, 1)]
    inner = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    return strength[inner], ways[inner], (strength >= np.maximum(*beside))[inner]


def _circle(edge: Edge, largest: float) -> Circle | None:
    """-> the circle that most of an edge is on; None where too little is on any."""
    some = np.arange(0, len(edge.points), max(1, -(-len(edge.points) // POINTS)))
    points = edge.points[some].astype(float)
    first, second, third = points[np.random.default_rng(0).integers(len(points), size=(3, DRAWS))]
    # The middle is as far from one as from the others: two linear equations for each draw.
    sides = 2 * np.stack([second - first, third - first], axis=1)
    squares = [(corner**2 - first**2).sum(axis=1) for corner in (second, third)]
    flat = np.abs(np.linalg.det(sides)) < 1e-6
    sides[flat] = np.eye(2)
    centres = np.linalg.solve(sides, np.stack(squares, axis=1)[..., None])[..., 0]
    radii = np.linalg.norm(first - centres, axis=1)
    on = _on(points, edge.ways[some], centres, radii)
    on[flat | (radii < SMALLEST) | (radii > largest)] = False
    best = int(np.argmax(on.sum(axis=1)))
    return Circle(centres[best], float(radii[best]), some[on[best]]) if on[best].mean() >= ROUND else None


def _is_one_rim(edge: Edge, circle: Circle, matrix: np.ndarray) -> bool:
    """Whether a motion brings an arc onto the circle that it is of: one circle fits both."""
    points, ways = edge.points[circle.on].astype(float), edge.ways[circle.on]
    points = np.vstack([points, motions.moved(matrix, points)])
    ways = np.vstack([ways, ways @ np.linalg.inv(matrix[:, :2])])
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    # Kasa 1976: of points on a circle x^2 + y^2 is linear in x, y and 1.
    local = points - circle.centre
    design = np.column_stack([2 * local, np.ones(len(points))])
    (x, y, rest), *_ = np.linalg.lstsq(design, (local**2).sum(axis=1), rcond=None)
    radius = np.sqrt(max(rest + x * x + y * y, 0.0))
    return bool(_on(local, ways, np.array([[x, y]]), np.array([radius]), TWICE).mean() >= BOTH)


def _on(points: np.ndarray, ways: np.ndarray, centres: np.ndarray, radii: np.ndarray, off: float = 1.0) -> np.ndarray:
    """(N, 2) x y, (N, 2) directions, (C, 2) x y and (C,) px -> (C, N) bool, which are on which circle, and go along its radius; off: times
    the tolerance."""
    away = points[None] - centres[:, None]
    far = np.linalg.norm(away, axis=2)
    near = np.abs(far - radii[:, None]) <= off * np.maximum(ON[0], ON[1] * radii)[:, None]
    return near & (np.abs((away * ways[None]).sum(axis=2)) >= RADIAL * far)


def _is_one_outline(gray: np.ndarray, edge: Edge, matrix: np.ndarray) -> bool:
    """Whether an edge and what it is brought onto are of one curve, that goes round once; texture is one too, that fills its frame."""
    both = np.vstack([edge.points, np.round(motions.moved(matrix, edge.points.astype(float))).astype(int)])
    both = np.clip(both, 0, np.array(gray.shape[::-1]) - 1)
    low, high = both.min(axis=0), both.max(axis=0) + 1
    strength, _, crest = _gradients(gray, (*low.tolist(), *high.tolist()))
    drawn = (crest & (strength >= FAINTER * edge.least)).astype(np.uint8)
    joined = _joined(drawn)
    x, y = (both - low).T
    labels = joined[y, x]
    one = int(np.argmax(np.bincount(labels[labels > 0], minlength=2)))
    if drawn[joined == one].sum() > ONCE * 2 * (high - low).sum():
        return False
    return all((side == one).mean() >= BOTH for side in np.split(labels, 2))


def _joined(drawn: np.ndarray) -> np.ndarray:
    """(h, w) uint8 -> (h, w) int32, numbers of its curves from 1 on."""
    return cv2.connectedComponents(cv2.dilate(drawn, np.ones((GAP, GAP), np.uint8)))[1]


def _is_bare(figure: Figure, edge: Edge, grown: Grown, most: float) -> bool:
    """Whether an edge is a few curves, which the region hugs, beside which detail correlates by so much at most, and beyond which its sides
    have nothing in common."""
    low = np.maximum(edge.places.min(axis=0) - int(AROUND), 0)
    high = np.minimum(edge.places.max(axis=0) + int(AROUND) + 1, figure.size[::-1])
    drawn = np.zeros((high - low)[::-1], np.uint8)
    x, y = (edge.points - low).T
    drawn[y, x] = 1
    labels = _joined(drawn)[y, x]
    own = np.isin(labels, np.argsort(np.bincount(labels))[-CURVES:])
    drawn[y[~own], x[~own]] = 0
    distance = cv2.distanceTransform(1 - drawn, cv2.DIST_L2, 5)
    columns, rows = (edge.places - low).T
    far = distance[rows, columns]
    if own.mean() < BARE["points"] or edge.energy[far <= NEAR].sum() < BARE["energy"] * edge.energy.sum():
        return False
    here = grown.agreement
    shown = here.contrast[grown.mask] >= FLAT
    detail = here.detail[grown.mask][shown & (far > NEAR)]
    if not len(detail) or np.median(detail) > most or (far[shown] > BEYOND).mean() > BARE["beyond"]:
        return False
    seen = agreement.compared(figure.gray, figure.ignored, grown.matrix, (*low.tolist(), *high.tolist()))
    around = (distance >= BEYOND) & (distance <= AROUND) & seen.inside & (seen.contrast >= FLAT)
    return bool(around.any() and np.median(seen.middle[around]) <= BARE["around"])
