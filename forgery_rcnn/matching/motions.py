"""From keypoints that resemble each other to motions: who agrees with whom about where a region went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from forgery_rcnn.matching import keypoints
from forgery_rcnn.matching.keypoints import Keypoints
from forgery_rcnn.matching.pairs import Hypothesis

NEIGHBOURS = 3  # of each keypoint; a region may have been copied more than once
ALIKE = 0.86  # least product of two RootSIFT descriptors; unrelated ones of one image have about 0.73
CROWD = 20  # neighbours of each keypoint, on average, that are looked at
PLACES = 16  # bits of a keypoint's number
BLOCK = 256  # descriptors compared at a time: their products stay in the processor's cache
RATIO = 0.90  # of the distance to the next neighbour but those; 1 would take all
SURE = 0.96  # from here on a match needs no ratio: a region copied many times has many such neighbours
APART = 12.0  # px, least distance between a region and its copy
MOST = 6000  # matches that are looked into, best first
REACH = 0.12  # of the diagonal: how far matches speak to each other
NEAREST = 32  # matches that each is compared with at most
WHOLE = 0.25  # px, how near to a motion by whole pixels, which most copies are moved by, counts as one
CLOSE = 3.0  # px, how well a match must agree with a fitted motion
LEAST = 3  # matches that make a motion: a small copy has no more
# With fewer places than this: px that each match may be off, and the difference of its own linear part.
FEW, TIGHT, STRAIGHT = 4, 1.5, 0.25
MODELS = 16  # per image
TRIES = 64  # groups of matches looked into
SCALES = (0.45, 2.2)


@dataclass(frozen=True)
class Matches:
    """M pairs of places that look alike. first, second: (M, 2) float32 x y; linear: (M, 2, 2) float64, what turning, scaling
    and mirroring the keypoints themselves tell; similarity: (M,) float32."""

    first: np.ndarray
    second: np.ndarray
    linear: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def take(self, keep: np.ndarray) -> Matches:
        """Those at these indices, or where `keep` is set."""
        return Matches(self.first[keep], self.second[keep], self.linear[keep], self.similarity[keep])


def hypotheses(points: Keypoints) -> list[Hypothesis]:
    """Keypoints of one image -> motions of it onto itself, those with most matches first; each pair of regions once."""
    found = joined(_matches(points, sign) for sign in (1, -1))
    diagonal = float(np.linalg.norm(np.ptp(points.xy, axis=0))) if len(points) else 0.0
    return models(found, REACH * max(diagonal, 1.0))


def joined(parts: Iterable[Matches]) -> Matches:
    """Matches of several searches -> all of them as one."""
    parts = list(parts)
    return Matches(*(np.concatenate([getattr(part, name) for part in parts]) for name in Matches.__dataclass_fields__))


def _matches(points: Keypoints, sign: int) -> Matches:
    """Self-matches, mirrored ones where sign is -1: both directions of each, those of the most alike descriptors."""
    own = points.descriptors
    queries = keypoints.mirrored(own) if sign < 0 else own
    rows, columns, alike = _neighbours(queries, own, points.xy)
    return matched(points, points, rows, columns, alike, sign)


def matched(a: Keypoints, b: Keypoints, rows: np.ndarray, columns: np.ndarray, alike: np.ndarray, sign: int) -> Matches:
    """Keypoints `rows` of a that look like `columns` of b -> Matches; sign -1: like their mirror images."""
    angles = np.deg2rad([a.angle[rows], b.angle[columns]]).astype(np.float64)
    start = np.pi - angles[0] if sign < 0 else angles[0]
    turn, scale = angles[1] - start, b.scale[columns].astype(np.float64) / a.scale[rows]
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    linear = np.stack([cos * sign, -sin, sin * sign, cos], axis=1).reshape(-1, 2, 2)
    good = (scale > SCALES[0]) & (scale < SCALES[1])
    return Matches(a.xy[rows], b.xy[columns], linear, alike).take(good)


def _neighbours(queries: np.ndarray, own: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> rows, columns, similarities of the few nearest descriptors of each, places nearer than APART left out."""
    r, c, s = _alike(queries, own)
    far = np.square(xy[r] - xy[c]).sum(axis=1) >= APART**2
    r, c, s = r[far].astype(np.uint64), c[far].astype(np.uint64), s[far]
    # Row, likeness downwards, column in one number: sorting such is ten times as fast as by three keys.
    less = (np.uint64(0xFFFFFFFF) - s.view(np.uint32)) << np.uint64(PLACES)
    high = np.uint64(32 + PLACES)
    keys = np.sort(np.concatenate([r << high | less | c, c << high | less | r]))
    r, c = (keys >> high).astype(np.int64), (keys & np.uint64(2**PLACES - 1)).astype(np.int64)
    s = (0xFFFFFFFF - (keys >> np.uint64(PLACES) & np.uint64(0xFFFFFFFF))).astype(np.uint32).view(np.float32)
    begin = np.searchsorted(r, np.arange(len(own) + 1))[r] if len(r) else r
    rank = np.arange(len(r)) - begin
    following = begin + NEIGHBOURS
    last = np.minimum(following, len(r) - 1)
    other = np.where((following < len(r)) & (r[last] == r), s[last], ALIKE)
    near = np.sqrt(np.maximum(1 - s, 0)) <= RATIO * np.sqrt(np.maximum(1 - other, 1e-9))
    good = (rank < NEIGHBOURS) & (near | (s >= SURE))
    return r[good], c[good], s[good]


def _alike(queries: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> rows, columns, similarities of the most alike pairs, each once, row < column: mirroring both of a pair changes nothing."""
    least = ALIKE
    if len(own) > 2 * BLOCK:
        # Dense texture and noise have millions of pairs above ALIKE: some CROWD of each row go on.
        step = max(2, len(own) // (2 * BLOCK))
        sample = queries[::step] @ own[step // 2 :: step].T
        least = max(ALIKE, float(np.quantile(sample, 1 - CROWD / len(own))))
    rows, columns, alike = [np.zeros(0, int)], [np.zeros(0, int)], [np.zeros(0, np.float32)]
    room = np.empty(BLOCK * len(own), np.float32)
    for begin in range(0, len(own), BLOCK):
        some, others = queries[begin : begin + BLOCK], own[begin:]
        block = np.dot(some, others.T, out=room[: len(some) * len(others)].reshape(len(some), -1)).ravel()
        at = np.flatnonzero(block > least)
        r, c = np.divmod(at, len(others))
        once = c > r
        rows.append(r[once] + begin)
        columns.append(c[once] + begin)
        alike.append(block[at[once]])
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(alike)


def models(matches: Matches, reach: float) -> list[Hypothesis]:
    """Matches -> motions that at least LEAST of them agree on; the matches of one are taken away before the next is looked for."""
    if len(matches) > MOST:
        matches = matches.take(np.sort(np.argsort(-matches.similarity, kind="stable")[:MOST]))
    if len(matches) < LEAST:
        return []
    friends, begin = _agreeing(matches, reach)
    free, found = np.ones(len(matches), bool), []
    counts = np.diff(begin)
    tries = 0
    while len(found) < MODELS and tries < TRIES:
        start = int(np.argmax(np.where(free, counts, 0)))
        if not free[start] or counts[start] < LEAST - 1:
            break
        members = friends[begin[start] : begin[start + 1]]
        members = members[free[members]]
        if len(members) < counts[start]:  # some were taken since it was counted
            counts[start] = len(members)
            continue
        tries += 1
        matrix, inliers = _grown(matches, np.append(members, start), free)
        free[start] = False
        if matrix is None:
            continue
        matrix = _whole(matrix, matches.first[inliers], matches.second[inliers])
        found.append(Hypothesis(matrix, matches.first[inliers], matches.second[inliers], "keypoints"))
        free[inliers] = False
        free[_explained(matches, found[-1])] = False
    return sorted(found, key=lambda motion: -len(motion.first))


def _agreeing(matches: Matches, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """-> (A,) for each match, one after the other, the others within `reach` that lie where its own turn and scale would take
    them, and (M + 1,) where those of each begin."""
    near = cKDTree(matches.first).query(matches.first, min(NEAREST, len(matches)), distance_upper_bound=reach)[1]
    i, j = np.repeat(np.arange(len(matches)), near.shape[1]), near.ravel()
    i, j = i[j < len(matches)], j[j < len(matches)]
    for part in np.ascontiguousarray(matches.linear.reshape(-1, 4).T):  # most differ in one of the four already
        same = np.abs(part[i] - part[j]) < 0.4
        i, j = i[same], j[same]
    step = (matches.first[j] - matches.first[i]).astype(np.float64)
    predicted = matches.second[i] + np.einsum("nab,nb->na", matches.linear[i], step)
    # A keypoint's own turn is known to some degrees: the tolerance grows with the distance.
    length = np.linalg.norm(step, axis=1)
    good = np.linalg.norm(predicted - matches.second[j], axis=1) < CLOSE + 0.15 * length
    good &= length > 2  # SIFT has several keypoints at one place
    return j[good], np.searchsorted(i[good], np.arange(len(matches) + 1))


def _grown(matches: Matches, members: np.ndarray, free: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Members that roughly agree -> the motion of most of them, and all free matches that it explains."""
    matrix = fitted(matches.first[members], matches.second[members], matches.linear[members])
    inliers = members
    for _ in range(4):
        if matrix is None:
            return None, inliers
        error = np.linalg.norm(moved(matrix, matches.first) - matches.second, axis=1)
        inliers = np.flatnonzero(free & (error < CLOSE))
        inliers = inliers[np.abs(matches.linear[inliers] - matrix[:, :2]).max(axis=(1, 2)) < 0.5]
        if len(inliers) < LEAST or places(matches.first[inliers]) < LEAST:
            return None, inliers
        matrix = fitted(matches.first[inliers], matches.second[inliers], matches.linear[inliers])
    if matrix is not None and places(matches.first[inliers]) < FEW:
        error = np.linalg.norm(moved(matrix, matches.first[inliers]) - matches.second[inliers], axis=1)
        if error.max() > TIGHT or np.abs(matches.linear[inliers] - matrix[:, :2]).max() > STRAIGHT:
            return None, inliers
    return matrix, inliers


def fitted(first: np.ndarray, second: np.ndarray, linear: np.ndarray) -> np.ndarray | None:
    """(K, 2), (K, 2), (K, 2, 2) -> (2, 3) motion: affine by MAGSAC (Barath et al. 2020) where there are places enough, else a
    similarity; None where they do not agree on one with a scale of SCALES."""
    flip = np.array([np.sign(np.median(np.linalg.det(linear))), 1.0])
    start = first * flip
    cv2.setRNGSeed(0)
    if places(first) >= 8:
        matrix, _ = cv2.estimateAffine2D(start, second, method=cv2.USAC_MAGSAC, ransacReprojThreshold=CLOSE)
    else:
        matrix, _ = cv2.estimateAffinePartial2D(start, second, method=cv2.RANSAC, ransacReprojThreshold=CLOSE)
    if matrix is None or not np.isfinite(matrix).all():
        return None
    sizes = np.linalg.svd(matrix[:, :2], compute_uv=False)
    if np.linalg.det(matrix[:, :2]) <= 0 or sizes[0] > SCALES[1] or sizes[1] < SCALES[0] or sizes[0] > 1.6 * sizes[1]:
        return None
    return matrix * [*flip, 1.0]


def _whole(matrix: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """-> the motion by whole pixels, plain, mirrored or turned by quarters, that it is but for the error of keypoints, or itself."""
    linear = np.round(matrix[:, :2])
    if np.abs(linear @ linear.T - np.eye(2)).max() > 0:
        return matrix
    exact = np.column_stack([linear, np.round(np.median(second - first @ linear.T, axis=0))])
    return exact if np.abs(moved(exact, first) - moved(matrix, first)).max() < WHOLE else matrix


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(2, 3), (K, 2) x y -> (K, 2) float64, where the motion takes them."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def places(points: np.ndarray) -> int:
    """(K, 2) -> how many places that are: SIFT may have several keypoints on one."""
    x, y = np.round(points / 2).astype(np.float64).T
    return len(np.unique(x * 2**20 + y))  # of one number each: NumPy's search for equal rows takes ten times as long


def _explained(matches: Matches, found: Hypothesis) -> np.ndarray:
    """-> (M,) bool, matches that the motion explains in the other direction, second to first."""
    back = cv2.invertAffineTransform(found.matrix)
    return np.linalg.norm(moved(back, matches.first) - matches.second, axis=1) < CLOSE
