"""Copies that no pixel of was changed, turned by quarters or mirrored too: equal small blocks found by sorting their hashes."""

from __future__ import annotations

import numpy as np

from forgery_rcnn.matching.pairs import Figure, Hypothesis

SIDE = 8  # of a block, pixels; smaller ones repeat by chance where there are few grey levels
MOST_ALIKE = 4  # blocks; what occurs more often is a pattern or a flat background
FEWEST = 24  # blocks that share a motion; a region of 13 x 13 pixels has 36
CLOSEST = 8  # pixels; equal blocks nearer than that are a smooth edge or a pattern
MANY, THINNED = 150_000, 4  # of more blocks, one of so many goes on, chosen by its hash: equal ones stay together
SAMPLED = 12_000  # pairs of blocks whose symmetry is looked at
MOTIONS = 8  # reported at most
SEEDS = 200
SQUARE = tuple(
    np.array(linear, np.int64)
    for linear in (
        ((1, 0), (0, 1)),
        ((-1, 0), (0, 1)),
        ((1, 0), (0, -1)),
        ((-1, 0), (0, -1)),
        ((0, 1), (1, 0)),
        ((0, -1), (-1, 0)),
        ((0, 1), (-1, 0)),
        ((0, -1), (1, 0)),
    )
)
"""The symmetries of the square, on column vectors x y; each undone by itself but the last two, which undo each other."""


def hypotheses(figure: Figure) -> list[Hypothesis]:
    """-> motions with whole-number offsets that carry many blocks of 8 x 8 pixels onto equal ones, most blocks first."""
    if min(figure.size) < 2 * SIDE:
        return []
    values = mixed(figure.pixels)
    wanted = _wanted(figure)
    share = THINNED if np.count_nonzero(wanted) > MANY else 1
    first, second = _equal(hashes(values), wanted, share)
    return _voted(values, first, second, FEWEST // share) if len(first) >= FEWEST // share else []


def mixed(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) uint64, colours spread over all bits, so that sums of few do not meet by chance."""
    red, green, blue = (pixels[..., c].astype(np.uint64) for c in range(3))
    mixed = (red << np.uint64(16) | green << np.uint64(8) | blue) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    return mixed


def _wanted(figure: Figure) -> np.ndarray:
    """-> (H - 7, W - 7) bool: blocks, by their top left pixel, that are neither ignored nor made of equal rows or columns."""
    gray = figure.pixels[..., 1]
    across, down = np.diff(gray, axis=1) != 0, np.diff(gray, axis=0) != 0
    rows, columns = _windowed(across.astype(np.uint8), SIDE, SIDE - 1), _windowed(down.astype(np.uint8), SIDE - 1, SIDE)
    # A straight edge repeats along itself: some change is wanted along both sides, in an eighth of the places.
    wanted = (rows >= SIDE) & (columns >= SIDE)
    if figure.ignored.any():
        wanted &= _windowed(figure.ignored.astype(np.uint8), SIDE, SIDE) == 0
    return wanted


def _windowed(values: np.ndarray, high: int, wide: int) -> np.ndarray:
    """(H, W) -> (H - high + 1, W - wide + 1), sums over windows."""
    down = sum(values[i : values.shape[0] - high + 1 + i] for i in range(high))
    return sum(down[:, i : values.shape[1] - wide + 1 + i] for i in range(wide))  # type: ignore[call-overload, return-value]


def hashes(values: np.ndarray) -> np.ndarray:
    """(H, W) uint64 as `mixed` gives them -> (H - 7, W - 7) uint64, of blocks by their top left pixel; the same for a block, turned by
    quarters or mirrored."""
    # The weights are the same along both axes and read backwards, so that turned and mirrored blocks have the same hash.
    weights = [np.uint64(w) for w in (0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3)]
    h, w = values.shape
    ends = [(i, SIDE - 1 - i) for i in range(SIDE // 2)]
    down = _summed(
        [(values[a : h - 7 + a] + values[b : h - 7 + b]) * k for (a, b), k in zip(ends, weights, strict=True)]
    )
    return _summed(
        [(down[:, a : w - 7 + a] + down[:, b : w - 7 + b]) * k for (a, b), k in zip(ends, weights, strict=True)]
    )


def _equal(found: np.ndarray, wanted: np.ndarray, share: int) -> tuple[np.ndarray, np.ndarray]:
    """`hashes`, (H - 7, W - 7) bool, one of how many -> two (K, 2) int64 x y, corners of blocks equal up to a symmetry."""
    places = np.flatnonzero(wanted & ((found >> np.uint64(40)) % np.uint64(share) == 0))
    bits = np.uint64(int(found.size).bit_length())
    keys = np.sort((found.ravel()[places] >> bits << bits) | places.astype(np.uint64))
    classes, index = keys >> bits, (keys & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    starts = np.flatnonzero(np.append(True, classes[1:] != classes[:-1])) if len(classes) else np.zeros(0, np.int64)
    counts = np.diff(np.append(starts, len(classes)))
    pairs = [
        np.stack([starts[counts == n] + i, starts[counts == n] + j])
        for n in range(2, MOST_ALIKE + 1)
        for i in range(n)
        for j in range(i + 1, n)
    ]
    chosen = index[np.concatenate(pairs, axis=1)]
    first, second = (np.stack([side % wanted.shape[1], side // wanted.shape[1]], 1) for side in chosen)
    apart = np.abs(second - first).max(1) >= CLOSEST
    return first[apart], second[apart]


def _summed(terms: list[np.ndarray]) -> np.ndarray:
    """Sum of (H, W) uint64, modulo 2 ** 64."""
    total = terms[0]
    for term in terms[1:]:
        total += term
    return total


def _voted(values: np.ndarray, first: np.ndarray, second: np.ndarray, fewest: int) -> list[Hypothesis]:
    """-> motions by the number of pairs of blocks, (K, 2) x y of their corners, that each explains exactly, if not too few."""
    step = max(1, -(-len(first) // SAMPLED))
    first, second = first[::step], second[::step]
    blocks = np.lib.stride_tricks.sliding_window_view(values, (SIDE, SIDE))
    one, other = blocks[first[:, 1], first[:, 0]], blocks[second[:, 1], second[:, 0]]
    votes: list[tuple[int, int, np.ndarray, np.ndarray]] = []
    for number, linear in enumerate(SQUARE):
        same = np.flatnonzero((_moved(one, linear) == other).all((1, 2)))
        # Twice the offset of the centres, which lie at halves.
        shift = (2 * second[same] + SIDE - 1) - (2 * first[same] + SIDE - 1) @ linear.T
        offsets, member, counts = np.unique(shift, axis=0, return_inverse=True, return_counts=True)
        for which in np.argsort(-counts, kind="stable")[:MOTIONS]:
            if counts[which] * step >= fewest and counts[which] >= 6:
                votes.append((int(counts[which]), number, offsets[which], same[member.ravel() == which]))
    votes.sort(key=lambda vote: -vote[0])
    return [_hypothesis(SQUARE[n], offset / 2, first[who]) for _, n, offset, who in votes[:MOTIONS]]


def _moved(blocks: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """(K, 8, 8) -> (K, 8, 8), as they look after the motion with this linear part."""
    moved = blocks.transpose(0, 2, 1) if linear[0, 0] == 0 else blocks
    across, down = linear.sum(1)  # of each row one entry is not zero: whether x and y of the result run backwards
    return moved[:, ::down, ::across]


def _hypothesis(linear: np.ndarray, offset: np.ndarray, first: np.ndarray) -> Hypothesis:
    """Linear part, offset, (K, 2) x y of the first blocks' corners -> the motion, its seeds at the blocks' centres."""
    matrix = np.column_stack([linear, offset]).astype(np.float64)
    step = max(1, -(-len(first) // SEEDS))
    middle = (SIDE - 1) / 2
    seeds = first[::step] + middle
    return Hypothesis(matrix, np.float32(seeds), np.float32(seeds @ matrix[:, :2].T + matrix[:, 2]), "correlation")
