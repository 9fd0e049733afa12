"""The walk of one image: panels and furniture -> motions from each method -> regions, measured and judged -> pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.matching import correlation, field, furniture, judge, keypoints, motions, painting, panels, reuse
from forgery_rcnn.matching.pairs import Figure, Finding, Hypothesis, Pair, Rejected, gray_of, inverse, shares
from forgery_rcnn.matching_config import MatchingConfig

KEYPOINTS = 5000
PER_KEYPOINT = 60  # px: a small image's further keypoints are noise
MOST = {"keypoints": 12, "correlation": 10, "field": 6, "panels": 12}
"""Motions of each method that are looked into, best first: the right one is hardly ever further down."""
SAME_MOTION = 6.0  # px
PART = 0.25  # of a region: what is smaller, and was moved otherwise, is another finding


def find(pixels: np.ndarray, config: MatchingConfig) -> Finding:
    """(H, W, 3) uint8 of any size -> what occurs twice in it. Deterministic."""
    figure = seen(pixels)
    return verified(figure, hypotheses(figure, config), config)


def verified(figure: Figure, proposed: Sequence[Hypothesis], config: MatchingConfig) -> Finding:
    """A figure and motions that may explain it -> those that do, each pair of regions once, best first."""
    figure, drawn = undrawn(figure)
    pairs: list[Pair] = []
    rejected: list[Rejected] = []
    for hypothesis in proposed:
        if any(_same(hypothesis, pair, figure) for pair in pairs if _settles(pair)):
            continue
        found = judge.judged(figure, drawn, hypothesis, config)
        if isinstance(found, str):
            rejected.append(Rejected(hypothesis, found))
        else:
            pairs.append(found)
    best_first = sorted(pairs, key=lambda pair: (-pair.score, -pair.correlation))
    return Finding(figure, tuple(_apart(best_first, figure.size[0])), tuple(rejected))


def _settles(pair: Pair) -> bool:
    """Whether other motions of its places need no look: none will find better regions."""
    return pair.score >= judge.SURE and pair.told_by != "grain"


def seen(pixels: np.ndarray) -> Figure:
    """(H, W, 3) uint8 -> the figure, its panels and what is no picture in it."""
    boxes = panels.split(pixels)
    return Figure(pixels, gray_of(pixels), furniture.mask(pixels, boxes), boxes)


def undrawn(figure: Figure) -> tuple[Figure, np.ndarray]:
    """-> the figure with what was drawn over its pictures and the gutters between them painted over in `gray`, and (H, W) bool,
    where that was."""
    drawn = painting.drawn(figure.gray, figure.ignored, figure.panels)
    return replace(figure, gray=painting.painted_over(figure.gray, drawn)), drawn


def _by_keypoints(figure: Figure) -> list[Hypothesis]:
    limit = min(KEYPOINTS, figure.gray.size // PER_KEYPOINT)
    return motions.hypotheses(keypoints.described(figure.gray, figure.ignored, limit))


METHODS: dict[str, Callable[[Figure], list[Hypothesis]]] = {
    "keypoints": _by_keypoints,
    "correlation": correlation.hypotheses,
    "field": field.hypotheses,
    "panels": reuse.hypotheses,
}


def hypotheses(figure: Figure, config: MatchingConfig) -> list[Hypothesis]:
    """What each method proposes, in full-size pixels."""
    small, shrink = shrunk(figure, config.max_side)
    found = [one for name in config.methods for one in METHODS[name](small)[: MOST[name]]]
    return [enlarged(one, shrink) for one in found] if shrink != 1 else found


def shrunk(figure: Figure, side: int) -> tuple[Figure, float]:
    """-> the figure with a long side of at most `side`, and the factor it was scaled by."""
    factor = side / max(figure.size)
    if factor >= 1:
        return figure, 1.0
    size = tuple(max(1, round(length * factor)) for length in figure.size[::-1])
    pixels = cv2.resize(figure.pixels, size, interpolation=cv2.INTER_AREA)
    ignored = cv2.resize(figure.ignored.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.3
    return Figure(pixels, gray_of(pixels), ignored, np.round(figure.panels * factor).astype(np.int64)), factor


def enlarged(found: Hypothesis, factor: float) -> Hypothesis:
    """A motion seen at `factor` of the full size -> at full size; centres of pixels stay at whole numbers."""
    first, second = ((points + 0.5) / factor - 0.5 for points in (found.first, found.second))
    middle = found.matrix[:, :2] @ [0.5, 0.5]
    shift = (found.matrix[:, 2] + 0.5 - middle) / factor - 0.5 + middle
    return Hypothesis(
        np.column_stack([found.matrix[:, :2], shift]),
        first.astype(np.float32),
        second.astype(np.float32),
        found.found_by,
    )


def _same(hypothesis: Hypothesis, pair: Pair, figure: Figure) -> bool:
    """Whether a motion is one that a pair has been found by, in either direction, where its seeds are."""
    for matrix, seeds, others in (
        (pair.matrix, hypothesis.first, hypothesis.second),
        (pair.matrix, hypothesis.second, hypothesis.first),
    ):
        near = np.linalg.norm(motions.moved(matrix, seeds) - others, axis=1) < SAME_MOTION
        if near.mean() > 0.5:
            x, y = np.clip(np.round(seeds[near]).astype(int), 0, np.array(figure.size)[::-1] - 1).T
            index = x * figure.size[0] + y
            at = np.searchsorted(pair.first[:, 0], index, side="right") - 1
            inside = (at >= 0) & (index < pair.first[at, 0] + pair.first[at, 1])
            if inside.mean() > 0.3:
                return True
    return False


def _apart(pairs: list[Pair], height: int) -> list[Pair]:
    """Pairs, best first, of an image of this height -> those whose two regions are not the two of a better one already, but for a
    small part of them that was moved otherwise; of those that are not sure, which no one is to be made worse by, only those of other
    regions than the sure ones."""
    kept: list[Pair] = []
    for pair in pairs:
        mine = pair.first, pair.second
        sure = [side for other in kept if other.score >= judge.SURE for side in (other.first, other.second)]
        if pair.score < judge.SURE and any(shares(a, b) for a in mine for b in sure):
            continue
        ways = (*mine, pair.matrix), (*mine[::-1], inverse(pair.matrix))
        if not any(is_told(way, other, height) for other in kept for way in ways):
            kept.append(pair)
    return kept


def is_told(pair: tuple[rle.Runs, rle.Runs, np.ndarray], better: Pair, height: int) -> bool:
    """Whether two regions, and the motion from the first to the second, are those of a better pair."""
    first, second, matrix = pair
    if not (shares(first, better.first) and shares(second, better.second)):
        return False
    if int(better.first[:, 1].sum()) > PART * int(first[:, 1].sum()):
        return True
    places = np.stack(np.divmod(better.first[:, 0] + better.first[:, 1] // 2, height), axis=1)
    off = np.linalg.norm(motions.moved(matrix, places) - motions.moved(better.matrix, places), axis=1)
    return float(np.median(off)) < motions.APART
