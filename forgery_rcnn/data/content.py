"""What an image shows, short enough to compare thousands: which images of a data set are the same picture again?

Candidates come from the perceptual hash (imagehash.phash, 64 bits) in all eight orientations; a candidate counts only
when its thumbnail agrees tile by tile, because dark fields, and figures of one layout, share a hash without sharing
their content.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 64  # of a thumbnail, pixels
TILES = 4  # a thumbnail is compared in TILES x TILES tiles
BITS = 14  # candidates differ in at most this many of 64 bits
AGREES = 0.9  # least median correlation of the tiles
MOST_TILTED, MOST_SHIFTED = 0.2, 8.0  # what a registration may change: scale and turn; pixels of the thumbnail
FLAT = 3.0  # a tile whose grey levels deviate less than this shows nothing
WHITE = 235  # background of figures
LEAST = 32  # pixels of a tile that are not background, for it to count
BLOCK = (128, 4096)  # rows and columns of hashes compared at once: what a core's cache holds


@dataclass(frozen=True)
class Content:
    """thumbnail: SIDE * SIDE bytes of grey, the image squeezed to a square; hashes: its pHash in eight orientations."""

    thumbnail: bytes
    hashes: tuple[int, ...]


def of(pixels: np.ndarray) -> Content:
    """(H, W, 3) uint8 -> Content."""
    import imagehash
    from PIL import Image

    small = cv2.cvtColor(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    hashes = (int(str(imagehash.phash(Image.fromarray(view))), 16) for view in _orientations(small))
    return Content(small.tobytes(), tuple(hashes))


def _orientations(square: np.ndarray) -> list[np.ndarray]:
    """The eight flips and quarter turns, the identity first."""
    return [np.ascontiguousarray(np.rot90(flip, turns)) for flip in (square, square[:, ::-1]) for turns in range(4)]


def same_picture(first: Content, second: Content) -> bool:
    """Whether two images show the same, up to flips, quarter turns, scale, brightness, compression, small crops and tilts."""
    one, other = (np.frombuffer(content.thumbnail, np.uint8).reshape(SIDE, SIDE) for content in (first, second))
    likely = [(first.hashes[0] ^ own).bit_count() <= BITS for own in second.hashes]
    views = [view for view, near in zip(_orientations(other), likely, strict=True) if near]
    if any(_agreement(one, view) >= AGREES for view in views):
        return True
    registered = filter(None, (_registered(one, view) for view in views))
    return any(_agreement(*pair) >= AGREES for pair in registered)


def _registered(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Both thumbnails, the second moved onto the first by the affine motion that correlates best (Evangelidis, Psarakis 2008).

    None where there is none, or where it is no small crop, shift or tilt. Both are white where the second has no pixels.
    """
    smooth = [cv2.GaussianBlur(each, (0, 0), 1.0) for each in (one, other)]
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    try:
        _, motion = cv2.findTransformECC(*smooth, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, stop, None, 1)
    except cv2.error:  # it did not converge
        return None
    if np.abs(motion[:, :2] - np.eye(2)).max() > MOST_TILTED or np.abs(motion[:, 2]).max() > MOST_SHIFTED:
        return None
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(other, motion, (SIDE, SIDE), flags=how, borderMode=cv2.BORDER_REPLICATE)
    there = cv2.warpAffine(np.ones_like(other), motion, (SIDE, SIDE), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return tuple(np.where(there > 0, each, 255).astype(np.uint8) for each in (one, moved))


def _agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Median correlation of the tiles that show something in either; of flat images, whether they are equally bright.

    What is white in both, with its rim, is left out: gutters and margins are alike in all figures of one layout.
    """
    white = cv2.dilate((np.minimum(one, other) >= WHITE).astype(np.uint8), np.ones((3, 3), np.uint8))
    kept = _tiles(1 - white)
    enough = kept.sum(axis=1) >= LEAST
    kept, tiles = kept[enough], np.stack([_tiles(one), _tiles(other)])[:, enough]
    number = kept.sum(axis=1)
    centred = (tiles - (tiles * kept).sum(axis=2, keepdims=True) / number[:, None]) * kept
    deviation = np.sqrt((centred**2).sum(axis=2) / number)
    shows = (deviation >= FLAT).any(axis=0)
    if np.count_nonzero(shows) < 2:
        return float(np.abs(one.astype(int) - other).max() < FLAT)
    correlation = (centred[0] * centred[1]).sum(axis=1) / number / np.maximum(deviation.prod(axis=0), 1e-6)
    return float(np.median(correlation[shows]))


def _tiles(square: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) -> (TILES * TILES, pixels of a tile) float32."""
    side = SIDE // TILES
    cut = square.astype(np.float32).reshape(TILES, side, TILES, side).swapaxes(1, 2)
    return cut.reshape(TILES * TILES, side * side)


def near_duplicates(contents: Sequence[Content], labels: Sequence[Hashable] | None = None) -> list[tuple[int, int]]:
    """-> pairs (i, j), i < j, sorted, that link all images that show the same; those of one label are not compared.

    Every hash meets every other: seconds for 30,000 images, four times that for twice as many. Candidates cost up to 3 ms
    each; of many that show the same, each is compared until it is linked.
    """
    links, found = _Links(len(contents)), []
    for i, j in _candidates(contents):
        compared = (labels is None or labels[i] != labels[j]) and links.top(i) != links.top(j)
        if compared and same_picture(contents[i], contents[j]):
            links.add(i, j)
            found.append((i, j))
    return found


def _candidates(contents: Sequence[Content]) -> list[tuple[int, int]]:
    """Pairs i < j, sorted, whose hashes differ in at most BITS bits in one of the orientations of the second."""
    turned = np.array([content.hashes for content in contents], np.uint64).T.copy()
    pairs = []
    for top in range(0, len(contents), BLOCK[0]):
        rows = turned[0, top : top + BLOCK[0], None]
        for left in range(top, len(contents), BLOCK[1]):
            columns = turned[:, left : left + BLOCK[1]]
            differ = np.full((len(rows), columns.shape[1]), 64, np.uint8)
            for orientation in columns:
                np.minimum(differ, np.bitwise_count(rows ^ orientation), out=differ)
            pairs += [(top + int(i), left + int(j)) for i, j in np.argwhere(differ <= BITS) if top + i < left + j]
    return sorted(pairs)


def joined(count: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """Things 0..count-1 and pairs of them that belong together -> the group of each, named by its first member.

    >>> joined(5, [(3, 1), (4, 3)])
    [0, 1, 2, 1, 1]
    """
    found = _Links(count)
    for one, other in links:
        found.add(one, other)
    return [found.top(node) for node in range(count)]


class _Links:
    """Union and find: things 0..count-1, linked one pair after another."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def top(self, node: int) -> int:
        """The first member of what this is linked to."""
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def add(self, one: int, other: int) -> None:
        """Link two."""
        low, high = sorted((self.top(one), self.top(other)))
        self._parent[high] = low


def sharing(labels: Sequence[Iterable[Hashable]]) -> list[tuple[int, int]]:
    """The labels of each thing -> pairs that link all things with a label in common.

    >>> sharing([["a"], ["b"], ["a", "b"]])
    [(0, 2), (1, 2)]
    """
    first: dict[Hashable, int] = {}
    return [
        (first[label], number)
        for number, own in enumerate(labels)
        for label in own
        if first.setdefault(label, number) != number
    ]
