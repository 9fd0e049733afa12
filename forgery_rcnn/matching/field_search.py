"""For each anchor, a grid of places of the field, the place elsewhere that looks most like it, turned or mirrored as it may be.

Candidates come from sorted lists of what turning does not change; good ones are handed on to neighbouring anchors, moved
along as their own turn and scale say (Barnes et al., PatchMatch, 2009, with the first-order step of Cozzolino et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgery_rcnn.matching.field_moments import RADIUS, Moments, compared

APART = 2 * RADIUS  # pixels of the field, at least, between a place and its twin
FAINTEST = 0.5  # grey levels squared, energy of moments: below, noise alone is compared
ANCHORS = 14_000  # at most, about
TABLES = 3  # sorted lists
BINS = 5  # of each of the three directions that a list is sorted by first
NUMBER = 22  # bits of a place's number; the field has fewer
REACH = (1, 2, 4, 8, 16, 32, 64)  # places looked at in a list, before and after
STEPS = (1, 2, 4, 1, 2)  # anchors, how far matches are handed on, in turn
HANDED_ON = 0.5  # of the energies: worse matches are not


@dataclass
class Matches:
    """By anchor, (GH, GW): place x y (GH, GW, 2) float32 of the twin in pixels of the field, level of its scale, turn in radians, mirrored,
    cost in grey levels squared (inf: none); row: of the anchor's own moments; used: anchors that take part; step: pixels between them.
    """

    place: np.ndarray
    level: np.ndarray
    turn: np.ndarray
    mirrored: np.ndarray
    cost: np.ndarray
    row: np.ndarray
    used: np.ndarray
    step: int

    def linear(self, scales: np.ndarray) -> np.ndarray:
        """-> (GH, GW, 2, 2) float32, the motions' linear parts."""
        size = scales[self.level]
        cos, sin = size * np.cos(self.turn), size * np.sin(self.turn)
        sign = np.where(self.mirrored, -1, 1)
        return np.stack([np.stack([cos, -sin * sign], -1), np.stack([sin, cos * sign], -1)], -2).astype(np.float32)


def search(field: Moments, usable: np.ndarray) -> Matches:
    """Moments, (H, W) bool: places that may take part -> the best match of each anchor."""
    usable = usable & (field.energy[: usable.size].reshape(usable.shape) > FAINTEST)
    step = int(np.clip(np.ceil(np.sqrt(usable.sum() / ANCHORS)), 2, 4))
    matches = _nothing(usable, step)
    if matches.used.sum() > 1:
        _seeded(field, usable, matches)
        for reach in STEPS:
            for dy, dx in ((0, reach), (reach, 0), (0, -reach), (-reach, 0)):
                _handed_on(field, usable, matches, dy, dx)
    return matches


def _nothing(usable: np.ndarray, step: int) -> Matches:
    h, w = usable.shape
    rows = np.arange(h * w).reshape(h, w)[::step, ::step]
    shape = rows.shape
    empty = np.zeros(shape, np.float32)
    return Matches(
        np.zeros((*shape, 2), np.float32),
        np.zeros(shape, np.int64),
        empty.copy(),
        np.zeros(shape, bool),
        np.full(shape, np.inf, np.float32),
        rows,
        usable[::step, ::step].copy(),
        step,
    )


def _offered(field: Moments, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> rows (K,) of every second place of every level that may take part, their x y (K, 2) in the field, their levels (K,)."""
    rows, places, numbers = [], [], []
    for number, level in enumerate(field.levels):
        h, w = level.size
        y, x = (axis.ravel() for axis in np.mgrid[0:h:2, 0:w:2])
        own = level.start + y * w + x
        xy = (np.stack([x, y], 1) + 0.5) * level.scale - 0.5
        at = np.minimum(np.round(xy).astype(int), [usable.shape[1] - 1, usable.shape[0] - 1])
        kept = usable[at[:, 1], at[:, 0]] & (field.energy[own] > FAINTEST)
        rows.append(own[kept])
        places.append(np.float32(xy[kept]))
        numbers.append(np.full(int(kept.sum()), number))
    return np.concatenate(rows), np.concatenate(places), np.concatenate(numbers)


def _seeded(field: Moments, usable: np.ndarray, matches: Matches) -> None:
    """Fills `matches` with the best candidates of sorted lists."""
    rows, places, levels = _offered(field, usable)
    where = np.flatnonzero(matches.used)
    anchors = matches.row.reshape(-1)[where]
    own = np.stack([anchors % usable.shape[1], anchors // usable.shape[1]], 1).astype(np.float32)
    theirs, mine = field.still.take(rows, 0), field.still.take(anchors, 0)
    rng = np.random.default_rng(0)
    for _ in range(TABLES):
        turned = np.linalg.qr(rng.standard_normal((theirs.shape[1], theirs.shape[1])))[0][:, :4].astype(np.float32)
        order, middle = _sorted(theirs @ turned, mine @ turned)
        best, chosen = _nearest(theirs.take(order, 0), places.take(order, 0), mine, own, middle)
        some = np.flatnonzero(np.isfinite(best))
        taken = order[chosen[some]]
        _kept(field, matches, where[some], rows[taken], places[taken], levels[taken])


def _nearest(
    theirs: np.ndarray, places: np.ndarray, mine: np.ndarray, own: np.ndarray, middle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(K, M) a sorted list and (K, 2) x y, (L, M) anchors, (L, 2), and where they fit in -> the least squared distance of each to
    those in REACH that lie APART, inf where none does, and the number in the list of that one, both (L,)."""
    line = np.argsort(middle)  # neighbours in the list one after the other: fewer cache misses
    mine, own, middle = mine[line], own[line], middle[line]
    best, chosen = np.full(len(line), np.inf, np.float32), np.zeros(len(line), np.int64)
    for ahead in (*REACH, *(-reach for reach in REACH)):
        offered = np.clip(middle + ahead, 0, len(theirs) - 1)
        gap = theirs.take(offered, 0)
        gap -= mine
        cost = np.einsum("ij,ij->i", gap, gap)
        better = np.flatnonzero((_apart(places.take(offered, 0).T, own.T) >= APART) & (cost < best))
        best[better], chosen[better] = cost[better], offered[better]
    back = np.empty_like(line)
    back[line] = np.arange(len(line))
    return best[back], chosen[back]


def _sorted(theirs: np.ndarray, mine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, 4), (L, 4) projections -> order (K,) of the first by bins and within them by the last, where the others fit in (L,)."""
    codes = [np.zeros(len(side), np.float32) for side in (theirs, mine)]
    for axis in range(3):
        edges = np.quantile(theirs[::7, axis], np.linspace(0, 1, BINS + 1)[1:-1])
        codes = [c * BINS + _bins(v[:, axis], edges) for c, v in zip(codes, (theirs, mine), strict=True)]
    low, high = float(theirs[:, 3].min()), float(theirs[:, 3].max())
    span = (high - low) * 1.001 + 1e-6
    # Bin, place in the bin and number in one: such are sorted many times as fast. Floats from 0 on sort as their bits do.
    keys = [
        c.astype(np.uint64) << np.uint64(32 + NUMBER)
        | np.clip((v[:, 3] - low) / span, 0, 0.999).view(np.uint32).astype(np.uint64) << np.uint64(NUMBER)
        for c, v in zip(codes, (theirs, mine), strict=True)
    ]
    found = np.sort(keys[0] | np.arange(len(theirs), dtype=np.uint64))
    return (found & np.uint64(2**NUMBER - 1)).astype(np.int64), np.searchsorted(found, keys[1])


def _bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(K,), (E,) ascending -> (K,) float32, how many edges lie below each; for few edges faster than a search."""
    above = np.zeros(len(values), np.float32)
    for edge in np.float32(edges):
        above += values > edge
    return above


def _kept(
    field: Moments, matches: Matches, at: np.ndarray, rows: np.ndarray, places: np.ndarray, levels: np.ndarray
) -> None:
    """Puts candidates into `matches` where they are better than what is there; at: (K,), numbers of the anchors."""
    cost, own = matches.cost.reshape(-1), matches.row.reshape(-1)[at]
    # The distance of what no turn changes is at most the distance at the best turn.
    gap = field.still.take(own, 0)
    gap -= field.still.take(rows, 0)
    hopeful = np.flatnonzero(np.einsum("ij,ij->i", gap, gap) < cost[at])
    distance, turn, mirrored = compared(field, own[hopeful], rows[hopeful])
    better = distance < cost[at[hopeful]]
    chosen = hopeful[better]
    spot = at[chosen]
    cost[spot], matches.turn.reshape(-1)[spot] = distance[better], turn[better]
    matches.mirrored.reshape(-1)[spot], matches.level.reshape(-1)[spot] = mirrored[better], levels[chosen]
    matches.place.reshape(-1, 2)[spot] = places[chosen]


def _handed_on(field: Moments, usable: np.ndarray, matches: Matches, dy: int, dx: int) -> None:
    """Each anchor tries what the anchor dy, dx before it found, moved along."""
    gh, gw = matches.cost.shape
    if abs(dy) >= gh or abs(dx) >= gw:
        return
    to = np.s_[max(0, dy) : gh + min(0, dy), max(0, dx) : gw + min(0, dx)]
    frm = np.s_[max(0, -dy) : gh + min(0, -dy), max(0, -dx) : gw + min(0, -dx)]
    number = np.arange(gh * gw).reshape(gh, gw)[to]
    target = number[(matches.cost[frm] < HANDED_ON * field.energy[matches.row[frm]]) & matches.used[to]]
    source = target - (dy * gw + dx)
    scales = np.array([level.scale for level in field.levels], np.float32)
    level, turn, mirrored = (side.reshape(-1)[source] for side in (matches.level, matches.turn, matches.mirrored))
    across = dx * matches.step
    down = np.where(mirrored, -dy, dy) * matches.step
    cos, sin = scales[level] * np.cos(turn), scales[level] * np.sin(turn)
    x, y = matches.place.reshape(-1, 2)[source].T
    _tried(field, usable, matches, target, (x + (cos * across - sin * down), y + (sin * across + cos * down)), level)


def _tried(
    field: Moments,
    usable: np.ndarray,
    matches: Matches,
    at: np.ndarray,
    wanted: tuple[np.ndarray, np.ndarray],
    levels: np.ndarray,
) -> None:
    """Compares anchors, (K,) numbers, with the places of `levels` nearest to the `wanted` x and y, (K,) each."""
    heights, widths, starts, scales = (
        np.array(column)
        for column in zip(*((*level.size, level.start, level.scale) for level in field.levels), strict=True)
    )
    scale = scales[levels]
    x, y = (np.round((side + 0.5) / scale - 0.5).astype(np.int64) for side in wanted)
    inside = (x >= 0) & (y >= 0) & (x < widths[levels]) & (y < heights[levels])
    places = np.float32((x + 0.5) * scale - 0.5), np.float32((y + 0.5) * scale - 0.5)
    row, column = np.divmod(at, matches.cost.shape[1])
    far = _apart(places, (column * matches.step, row * matches.step)) >= APART
    known = matches.place.reshape(-1, 2)[at].T
    new = (_apart(places, known) > 0.4) | (levels != matches.level.reshape(-1)[at])
    tried = np.flatnonzero(inside & far & new)
    places = np.stack([places[0][tried], places[1][tried]], 1)
    column, line = np.round(places).astype(int).T
    seen = usable[np.minimum(line, usable.shape[0] - 1), np.minimum(column, usable.shape[1] - 1)]
    tried, places = tried[seen], places[seen]
    level = levels[tried]
    _kept(field, matches, at[tried], starts[level] + y[tried] * widths[level] + x[tried], places, level)


def _apart(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """x and y, (K,) each, of two rows of places -> (K,), how far apart they are along the one axis or the other."""
    return np.maximum(np.abs(one[0] - other[0]), np.abs(one[1] - other[1]))
