"""Overlap: two panels that claim to show two fields are cut from one, and share a part of it."""

from __future__ import annotations

import numpy as np

from forgery_rcnn.data.forge import regions
from forgery_rcnn.data.forge.operations.panel_reuse import repaint, untouched
from forgery_rcnn.data.forge.regions import rectangle
from forgery_rcnn.data.forge.work import VISIBLE, Step, Work


def overlap(work: Work, area: float, rng: np.random.Generator) -> Step | None:
    """Two panels repainted from one field; the shared part of each is marked."""
    order = rng.permutation(untouched(work)).tolist()
    pairs = [(first, second) for first in order for second in order if first != second]
    for first, second in pairs[:6]:
        step = _overlapping(work, first, second, area, rng)
        if step:
            return step
    return None


def _overlapping(work: Work, first: int, second: int, area: float, rng: np.random.Generator) -> Step | None:
    one, other = (work.scene.panels[number - 1].box for number in (first, second))
    sizes = [(box[3] - box[1], box[2] - box[0]) for box in (one, other)]
    shared = _shared(sizes, area / 2, rng)
    if shared is None:
        return None
    (h, w), (height, width) = sizes
    down, across = h - shared[0], w - shared[1]  # the second field begins here in the first's frame
    host = work.views.pool.named(work.scene.panels[first - 1].host)
    field = work.views.of(host, (down + height, across + width))
    if field is None:
        return None
    gain = float(rng.choice((1.0, rng.uniform(0.85, 1.18))))
    picture = np.clip(field[down:, across:] * gain, 0, 255).astype(np.uint8)
    x0, y0, x1, y1 = other
    if not regions.shows(picture[: shared[0], : shared[1]], np.ones(shared, bool)):
        return None
    if np.abs(picture.astype(np.int16) - work.after[y0:y1, x0:x1]).mean() < VISIBLE:
        return None
    for canvas in (work.before, work.after):
        repaint(work, canvas, one, field[:h, :w])
    repaint(work, work.after, other, picture)
    source = rectangle(one[2] - shared[1], one[3] - shared[0], one[2], one[3])
    target = rectangle(x0, y0, x0 + shared[1], y0 + shared[0])
    matrix = np.array([[1.0, 0, target.x - source.x], [0, 1.0, target.y - source.y]])
    # The second panel changes whole, its new field being another, but only the shared part is seen twice.
    return Step("overlap", {"gain": round(gain, 3)}, (source, target), source, (target,), (matrix,))


def _shared(sizes: list[tuple[int, int]], wanted: float, rng: np.random.Generator) -> tuple[int, int] | None:
    """Height and width of the shared part of two panels of these sizes, about `wanted` pixels; None if that cannot be."""
    largest = min(s[0] for s in sizes), min(s[1] for s in sizes)
    share = wanted / (largest[0] * largest[1])
    if not 0.05 < share < 0.9:
        return None
    ratio = rng.uniform(max(share, 0.2), min(1.0, share / 0.2))  # of the height; the width's follows
    shared = round(largest[0] * ratio), round(largest[1] * share / ratio)
    return shared if min(shared) >= 12 else None
