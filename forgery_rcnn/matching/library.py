"""An index of local features over many files: which panels of different files may show the same thing.

Features become 128 signs of projections (Charikar 2002). Two features are compared only where they agree in all of some
20 signs of one of several tables (Indyk & Motwani 1998); the number of signs follows the logarithm of the library's size, so
that buckets stay as full as they are. What agrees votes for a turn, scale and place of one panel in the other (Lowe 2004,
7.3); a feature that many panels have, as letters and gridlines are, counts less in each. Candidates are not verified here.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from forgery_rcnn.matching.keypoints import Keypoints, described, mirrored
from forgery_rcnn.matching.pairs import Figure
from forgery_rcnn.matching.signs import BITS, CHUNK, STEPS, Signs, as_levels, keys_of, same_bucket

TABLES = 16  # two features of one thing share a bucket in any of them at about one time in two
FEWEST_SIGNS, MOST_SIGNS = 12, 30  # of a bucket
DIFFERENT = 40  # signs of 128 that two features of one thing may differ in: a turn of 55 degrees at most
FAR = 0.75  # Euclidean distance of unit features from which on they show different things
TURNS, SCALES, SHIFTS = 30.0, 1.0, 0.25  # widths of a vote's cell: degrees, octaves, share of the other panel's extent
VOTES = 500  # of two panels that are compared with each other; a pattern has thousands
FEWEST = 4  # features that agree: three fix a motion
LEAST_WEIGHT = 2.0  # that they have together: two features that no other panel has, or more that several have
KEPT = 6  # candidates per panel
Found = np.ndarray
"""(M, 3) int64: number of a feature, of one of another file that looks alike, and 1 where it is its mirror image."""


@dataclass(frozen=True)
class Candidate:
    """Two panels of different files, by number, that may show the same thing.

    matrix: (2, 3) float64, first -> second, pixels of the files, rough; first_xy, second_xy: (K, 2) float32, pixels, the features
    that agree with it; weight: what they count together, each at most 1.
    """

    first: int
    second: int
    matrix: np.ndarray
    first_xy: np.ndarray
    second_xy: np.ndarray
    weight: float


def features(figure: Figure, box: np.ndarray, limit: int, max_side: int) -> Keypoints:
    """Of the panel in `box` = (4,) x0 y0 x1 y1, pixels of the figure, at most `limit`; a longer one is scaled to `max_side` first."""
    x0, y0, x1, y1 = np.asarray(box).tolist()
    gray, ignored = figure.gray[y0:y1, x0:x1], figure.ignored[y0:y1, x0:x1]
    shrunk = min(1.0, max_side / max(gray.shape))
    if shrunk < 1:
        gray = cv2.resize(gray, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA)
        ignored = cv2.resize(ignored.astype(np.uint8), gray.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    found = described(gray, ignored, limit)
    xy = (found.xy + 0.5) / shrunk - 0.5 + [x0, y0]
    return Keypoints(xy.astype(np.float32), (found.scale / shrunk).astype(np.float32), found.angle, found.descriptors)


class Library:
    """Panels of files, by number in the order of `add`."""

    def __init__(self) -> None:
        self._files: list[int] = []
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []

    def __len__(self) -> int:
        return len(self._files)

    def add(self, file: int, keypoints: Keypoints) -> int:
        """A panel of file number `file`, its features in that file's pixels -> its number."""
        poses = np.concatenate([keypoints.xy, keypoints.scale[:, None], keypoints.angle[:, None]], axis=1)
        self._parts.append((poses.astype(np.float32), as_levels(keypoints.descriptors)))
        self._files.append(file)
        return len(self._files) - 1

    @property
    def nbytes(self) -> int:
        """What the features take."""
        return sum(poses.nbytes + levels.nbytes for poses, levels in self._parts)

    def candidates(self) -> list[Candidate]:
        """-> the pairs of panels of different files worth a look, best first; at most KEPT for a panel. Deterministic."""
        if len(set(self._files)) < 2 or not sum(len(levels) for _, levels in self._parts):
            return []
        poses, levels = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
        panel = np.repeat(np.arange(len(self)), [len(levels) for _, levels in self._parts])
        found = _alike(levels, np.array(self._files)[panel])
        return _few(_voted(found, poses, panel, _weights(found, np.array(self._files)[panel])))


def _alike(levels: np.ndarray, file: np.ndarray) -> Found:
    """(N, 128) uint8 features, (N,) their files -> those of different files that look alike."""
    signs = Signs(levels)
    plain = signs.of(levels)
    turned = signs.of(levels, "mirrored")
    width = int(np.clip(round(np.log2(len(levels))), FEWEST_SIGNS, MOST_SIGNS))
    rng = np.random.default_rng(0)
    seen = np.zeros(0, np.int64)  # (first * N + second) * 2 + reflected: eight bytes each, as many tables find the same
    for _ in range(TABLES):
        chosen = rng.choice(BITS, width, replace=False)
        keys = keys_of(plain, chosen)
        order = np.argsort(keys, kind="stable")
        new = [seen]
        for reflected, codes in enumerate((plain, turned)):
            asked = keys if not reflected else keys_of(turned, chosen)
            for first, second in same_bucket(asked, keys[order], order):
                near = file[first] < file[second]
                first, second = first[near], second[near]
                near = np.bitwise_count(codes[first] ^ plain[second]).sum(axis=1) <= DIFFERENT
                new.append((first[near] * len(levels) + second[near]) * 2 + reflected)
        seen = _distinct(np.concatenate(new))
    pairs = [_near(levels, seen[at : at + CHUNK]) for at in range(0, len(seen), CHUNK)]
    return np.concatenate(pairs) if pairs else np.zeros((0, 3), np.int64)


def _distinct(values: np.ndarray) -> np.ndarray:
    """(N,) int64 -> each once, ascending. numpy's own hashes them, which takes ten times as long for so many."""
    values.sort()
    return values[np.diff(values, prepend=-1) > 0]


def _near(levels: np.ndarray, seen: np.ndarray) -> Found:
    """Some features of `seen`, see `_alike` -> those that are not FAR from each other."""
    ends, reflected = np.divmod(seen, 2)
    first, second = np.divmod(ends, len(levels))
    one = levels[first]
    one[reflected > 0] = mirrored(one[reflected > 0])
    apart = one.astype(np.int16) - levels[second]
    distance = np.sqrt(np.einsum("ij,ij->i", apart, apart, dtype=np.float32)) / STEPS
    return np.stack([first, second, reflected], axis=1)[distance < FAR]


def _weights(found: Found, file: np.ndarray) -> np.ndarray:
    """-> (M,) float, 1 where either feature is found in one other file only, less where it is in more."""
    shares, files = np.ones(len(found)), int(file.max()) + 1
    for mine, other in ((0, 1), (1, 0)):
        pairs = _distinct(found[:, mine] * files + file[found[:, other]])
        feature, counts = np.unique(pairs // files, return_counts=True)
        shares *= counts[np.searchsorted(feature, found[:, mine])]
    return shares**-0.5


def _voted(found: Found, poses: np.ndarray, panel: np.ndarray, weights: np.ndarray) -> list[Candidate]:
    """Features that look alike -> per two panels, and mirror image or not, the motion that most of them agree on."""
    if not len(found):
        return []
    group = (panel[found[:, 0]] * (panel[-1] + 1) + panel[found[:, 1]]) * 2 + found[:, 2]
    _, where, counts = np.unique(group, return_inverse=True, return_counts=True)
    many = counts[where] >= FEWEST
    found, weights, group = found[many], weights[many], group[many]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    candidates = []
    for members in np.split(order, starts[1:]) if len(order) else []:
        best = _agreed(found[members], poses, weights[members])
        if best is not None:
            ends = panel[found[members[0], 0]], panel[found[members[0], 1]]
            candidates.append(Candidate(int(ends[0]), int(ends[1]), *best))
    return candidates


def _agreed(
    found: Found, poses: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float] | None:
    """The features of two panels -> (matrix, places in the first, in the second, weight) of the fullest cell, or None."""
    if weights.sum() < LEAST_WEIGHT:
        return None
    heaviest = np.sort(np.argsort(-weights, kind="stable")[:VOTES])
    found, weights = found[heaviest], weights[heaviest]
    first, second = poses[found[:, 0]].astype(np.float64), poses[found[:, 1]].astype(np.float64)
    flip = -1.0 if found[0, 2] else 1.0
    angle = first[:, 3] if flip > 0 else 180 - first[:, 3]
    turn, octaves = (second[:, 3] - angle) % 360, np.log2(second[:, 2] / first[:, 2])
    grown = np.exp(1j * np.radians(turn)) * 2**octaves
    source = flip * first[:, 0] + 1j * first[:, 1]
    middle = source.mean()
    shift = (second[:, 0] + 1j * second[:, 1]) - grown * (source - middle)  # where the middle comes to lie
    extent = max(np.ptp(second[:, 0]), np.ptp(second[:, 1]), 32.0) * SHIFTS
    space = np.stack([turn / TURNS, octaves / SCALES, shift.real / extent, shift.imag / extent], axis=1)
    chosen = _fullest(space, weights, found)
    if chosen is None:
        return None
    a, b = source[chosen], second[chosen, 0] + 1j * second[chosen, 1]
    centred = a - a.mean()
    factor = np.vdot(centred, b - b.mean()) / max(np.vdot(centred, centred).real, 1e-9)  # least squares
    offset = b.mean() - factor * a.mean()
    matrix = np.array([[flip * factor.real, -factor.imag, offset.real], [flip * factor.imag, factor.real, offset.imag]])
    places = first[chosen, :2].astype(np.float32), second[chosen, :2].astype(np.float32)
    return matrix, *places, float(weights[chosen].sum())


def _fullest(space: np.ndarray, weights: np.ndarray, found: Found) -> np.ndarray | None:
    """(M, 4) places in units of a cell, the first around a circle -> numbers of those in the cell that weighs most, or None.

    A cell is centred on each of them in turn; each feature counts once. None: too few, or too light.
    """
    apart = np.abs(space[:, None, :] - space[None, :, :])
    apart[..., 0] = np.minimum(apart[..., 0], 360 / TURNS - apart[..., 0])
    inside = (apart <= 0.5).all(axis=2)
    order = np.argsort(-(inside @ weights), kind="stable")
    members = np.flatnonzero(inside[order[0]])
    members = members[np.unique(found[members, 0], return_index=True)[1]]
    members = members[np.unique(found[members, 1], return_index=True)[1]]
    return members if len(members) >= FEWEST and weights[members].sum() >= LEAST_WEIGHT else None


def _few(candidates: list[Candidate]) -> list[Candidate]:
    """The best, as long as neither panel has had its share."""
    had: dict[int, int] = {}
    kept = []
    for candidate in sorted(candidates, key=lambda c: (-c.weight, c.first, c.second)):
        ends = candidate.first, candidate.second
        if all(had.get(end, 0) < KEPT for end in ends):
            kept.append(candidate)
            for end in ends:
                had[end] = had.get(end, 0) + 1
    return kept
