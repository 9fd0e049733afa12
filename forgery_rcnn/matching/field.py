"""Copies in smooth regions, turned, scaled or mirrored: a dense field of nearest neighbours, and where it moves as one piece."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from forgery_rcnn.matching import field_moments, field_refine, field_search
from forgery_rcnn.matching.field_search import Matches
from forgery_rcnn.matching.pairs import Figure, Hypothesis, inverse

PIXELS = 180_000  # of the field, at most
AGREE = 1.5  # pixels of the field: neighbours foretell each other's twins so well
NEIGHBOURS = 3  # of eight that must
FEWEST = 4  # anchors of one piece
INLIER = 2.0  # pixels of the field, from the motion of the piece
SAME = 6.0  # pixels of the field: two motions that close over a piece are one
COMPARED = 16  # places of a piece, to tell whether two motions are one
UNLIKE = 0.6  # correlation of grey levels at the field's scale; a judgement: the verifier asks for more
REFINED = 12  # pieces at most
MOTIONS = 6  # reported at most
SEEDS = 200


def hypotheses(figure: Figure) -> list[Hypothesis]:
    """-> motions of regions that look alike pixel for pixel at a coarse scale, largest and most alike first."""
    height, width = figure.size
    shrink = min(1.0, float(np.sqrt(PIXELS / (height * width))))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    if min(size) < 4 * field_moments.RADIUS:
        return []
    gray = figure.gray if shrink == 1 else cv2.resize(figure.gray, size, interpolation=cv2.INTER_AREA)
    ignored = cv2.resize(np.float32(figure.ignored), size, interpolation=cv2.INTER_AREA)
    around = (field_moments.RADIUS, field_moments.RADIUS)
    usable = cv2.blur(ignored, around, borderType=cv2.BORDER_CONSTANT) < 0.05
    field = field_moments.moments(gray)
    matches = field_search.search(field, usable)
    scales = np.array([level.scale for level in field.levels], np.float32)
    energy = field.energy[matches.row]
    likeness = np.where(matches.used, 1 - matches.cost / np.maximum(energy, 1e-6), 0)
    found = [_fitted(matches, piece, likeness) for piece in _pieces(matches, scales)]
    planes = field_refine.slopes(gray)
    exact = [_exact(motion, planes) for motion in _distinct([f for f in found if f])]
    zoom = np.array([width / size[0], height / size[1]])
    return [_full(motion, zoom) for motion in sorted(exact, key=lambda m: -m[0])[:MOTIONS] if motion[0] > 0]


def _pieces(matches: Matches, scales: np.ndarray) -> list[np.ndarray]:
    """-> (K,) flat indices of anchors whose neighbours move with them, one array per connected piece, largest first."""
    gh, gw = matches.cost.shape
    linear, places = np.moveaxis(matches.linear(scales), (2, 3), (0, 1)), np.moveaxis(matches.place, 2, 0)
    reach = AGREE * scales[matches.level]
    valid = np.isfinite(matches.cost)
    number = np.arange(gh * gw).reshape(gh, gw)
    support = np.zeros((gh, gw), np.int64)
    links = []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = np.s_[: gh - dy, max(0, -dx) : gw - max(0, dx)]
        b = np.s_[dy:, max(0, dx) : gw - max(0, -dx)]
        agree = valid[a] & valid[b] & (matches.mirrored[a] == matches.mirrored[b])
        gap = np.float32([dx, dy]) * matches.step
        for one, other, sign in ((a, b, 1), (b, a, -1)):
            for place, (across, down) in zip(places, linear, strict=True):
                foretold = place[one] + sign * (across[one] * gap[0] + down[one] * gap[1])
                agree &= np.abs(foretold - place[other]) < reach[one]
        support[a] += agree
        support[b] += agree
        links.append((number[a][agree], number[b][agree]))
    kept = (support >= NEIGHBOURS).ravel()
    one, other = (np.concatenate(side) for side in zip(*links, strict=True))
    both = kept[one] | kept[other]
    graph = coo_array((np.ones(int(both.sum())), (one[both], other[both])), shape=(gh * gw, gh * gw))
    labels = connected_components(graph, directed=False)[1]
    counts = np.bincount(labels)
    wanted = [label for label in np.argsort(-counts, kind="stable")[: 4 * REFINED] if counts[label] >= FEWEST]
    return [np.flatnonzero(labels == label) for label in wanted]


Motion = tuple[float, np.ndarray, np.ndarray, np.ndarray]


def _fitted(matches: Matches, piece: np.ndarray, likeness: np.ndarray) -> Motion | None:
    """-> score, (2, 3) motion, (K, 2) places that follow it and their twins, in the field; None where no motion fits."""
    gw = matches.cost.shape[1]
    first = np.stack([piece % gw, piece // gw], 1) * float(matches.step)
    second = matches.place.reshape(-1, 2)[piece].astype(np.float64)
    cv2.setRNGSeed(0)
    matrix, inliers = cv2.estimateAffine2D(
        first, second, method=cv2.RANSAC, ransacReprojThreshold=INLIER, maxIters=300, confidence=0.99
    )
    if matrix is None:
        return None
    inlying = inliers.ravel() > 0
    stretch = np.linalg.svd(matrix[:, :2], compute_uv=False)
    if inlying.sum() < FEWEST or stretch[0] > 1.7 or stretch[1] < 0.6 or stretch[0] > 1.3 * stretch[1]:
        return None
    score = float(np.clip(likeness.ravel()[piece[inlying]], 0, 1).sum())
    return score, matrix, first[inlying], second[inlying]


def _distinct(motions: list[Motion]) -> list[Motion]:
    """-> best first, without those that say what a better one says, of the same places or the other way round."""
    kept: list[Motion] = []
    for motion in sorted(motions, key=lambda m: -m[0]):
        step = 1 + len(motion[2]) // COMPARED
        first, second = motion[2][::step], motion[3][::step]
        same = any(
            min(_apart(matrix, first, second), _apart(inverse(matrix), first, second)) < SAME for _, matrix, *_ in kept
        )
        if not same:
            kept.append(motion)
        if len(kept) == REFINED:
            break
    return kept


def _apart(matrix: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """-> mean distance, along the axes, between where the motion takes the first places and the second ones."""
    return float(np.abs(first @ matrix[:, :2].T + matrix[:, 2] - second).mean())


def _exact(motion: Motion, planes: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Motion:
    """-> the motion as the field's grey levels have it; the score counts how well these agree."""
    score, matrix, first, _ = motion
    matrix, correlation = field_refine.refined(planes, matrix, first, field_moments.RADIUS // 2)
    return (score * correlation if correlation > UNLIKE else 0.0), matrix, first, first @ matrix[:, :2].T + matrix[:, 2]


def _full(motion: Motion, zoom: np.ndarray) -> Hypothesis:
    """A motion and places in the field, `zoom` = x y pixels of the image per pixel of the field -> in the image."""
    _, matrix, first, second = motion
    out = np.array([[zoom[0], 0, zoom[0] / 2 - 0.5], [0, zoom[1], zoom[1] / 2 - 0.5], [0, 0, 1]])
    whole = out @ np.vstack([matrix, [0, 0, 1]]) @ np.linalg.inv(out)
    step = max(1, -(-len(first) // SEEDS))
    first, second = (np.float32((side[::step] + 0.5) * zoom - 0.5) for side in (first, second))
    return Hypothesis(whole[:2], first, second, "field")
