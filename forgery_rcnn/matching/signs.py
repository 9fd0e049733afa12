"""Features as bytes and as signs of projections, and the buckets of those that have some signs in common."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forgery_rcnn.matching.keypoints import mirrored

BITS = 128  # signs of a feature
STEPS = 512.0  # per unit of a feature's element, which is at most 0.45: kept as bytes
SAMPLE = 20_000  # features that the directions of projection are fitted to
CROWDED = 48  # features; a bucket with more is a common word and says nothing
CHUNK = 1 << 16  # features that are looked up at a time


def as_levels(descriptors: np.ndarray) -> np.ndarray:
    """(N, 128) float32 RootSIFT -> (N, 128) uint8, in STEPS."""
    return np.minimum(np.rint(descriptors * STEPS), 255).astype(np.uint8)


class Signs:
    """Projections fitted to some features: centred, each direction of the features' spread alike, turned at random."""

    def __init__(self, levels: np.ndarray) -> None:
        some = levels[:: -(-len(levels) // SAMPLE)].astype(np.float32) / STEPS
        self.centre = some.mean(axis=0)
        spread, axes = np.linalg.eigh(np.cov((some - self.centre).T) if len(some) > 1 else np.eye(some.shape[1]))
        # Between none and full whitening: the weakest directions hold mostly noise.
        weights = np.sqrt(np.maximum(spread, 0)) ** -0.5 if spread.min() > 1e-6 else np.ones(len(spread))
        turn, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((len(spread), BITS)))
        self.projection = ((axes * weights) @ turn).astype(np.float32)

    def of(self, levels: np.ndarray, how: str = "plain") -> np.ndarray:
        """(N, 128) uint8 -> (N, 2) uint64, 128 signs of each feature, or of its mirror image."""
        out = np.empty((len(levels), BITS // 64), np.uint64)
        for at in range(0, len(levels), CHUNK):
            part = levels[at : at + CHUNK]
            part = (mirrored(part) if how == "mirrored" else part).astype(np.float32) / STEPS - self.centre
            out[at : at + CHUNK] = np.packbits(part @ self.projection > 0, axis=1).view(np.uint64)
        return out


def keys_of(codes: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(N, 2) uint64 signs, numbers of some of them -> (N,) uint32."""
    keys = np.zeros(len(codes), np.uint32)
    for bit in chosen.tolist():
        word, place = divmod(bit, 64)
        keys = (keys << np.uint32(1)) | ((codes[:, word] >> np.uint64(place)) & np.uint64(1)).astype(np.uint32)
    return keys


def same_bucket(asked: np.ndarray, keys: np.ndarray, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Keys asked for, the library's in ascending order, whose those are -> (asking, answering) feature numbers, in parts."""
    queue = np.argsort(asked, kind="stable")  # neighbours ask for neighbours: the memory's caches like it
    for at in range(0, len(queue), CHUNK):
        asking = queue[at : at + CHUNK]
        low, high = (np.searchsorted(keys, asked[asking], side) for side in ("left", "right"))
        counts = np.where(high - low > CROWDED, 0, high - low)
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        yield np.repeat(asking, counts), order[np.repeat(low, counts) + place]
