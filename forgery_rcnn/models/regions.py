"""From a heat map to regions: what a model that gives a map says of an image."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.instances import Instances, Prediction

MOST = 1000  # regions that are kept, the largest


def prediction(
    heatmap: np.ndarray,
    image_score: float,
    mask_threshold: float,
    close_gaps: int = 0,
    regions: Literal["components", "one"] = "components",
) -> Prediction:
    """(H, W) float32 probabilities in 0..1 -> Prediction with its regions at or above `mask_threshold`, by falling score.

    A region is a connected part (eight neighbours) of those pixels, or, with `regions` "one", all of them; near parts are
    joined first, see `closed`, and what lies between them belongs to the region. Its score is
    the mean probability over its pixels at or above the threshold, its box tight.
    """
    size = (int(heatmap.shape[0]), int(heatmap.shape[1]))
    above = (heatmap >= mask_threshold).view(np.uint8)
    found = closed(above, close_gaps)
    if not found.any():
        return Prediction(Instances(size), np.zeros((0, 4), np.float32), np.zeros(0, np.float32), heatmap, image_score)
    if regions == "one":
        score = cv2.mean(heatmap, mask=above)[0]
        x, y, w, h = cv2.boundingRect(found)
        runs, boxes, scores = (rle.runs_of(found),), [(x, y, x + w, y + h)], [score]
    else:
        runs, boxes, scores = _components(found, above, heatmap)
    order = np.argsort(-np.array(scores, np.float32), kind="stable")
    whole = Prediction(
        Instances(size, tuple(runs)),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.clip(np.array(scores, np.float32), 0, 1),
        heatmap,
        image_score,
    )
    return whole.take(order)


def closed(mask: np.ndarray, gap: int) -> np.ndarray:
    """(H, W) uint8 {0, 1} -> the same after morphological closing with a disc; nothing is added at the image's border.

    Straight parallel sides are joined that are up to `gap` pixels apart, an odd `gap` rounded up; corners, and parts thinner
    than the gap, only where they are nearer, lines of one or two pixels' width not at all.
    """
    if gap < 1:
        return mask
    radius = (gap + 1) // 2
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    padded = cv2.copyMakeBorder(mask, radius, radius, radius, radius, cv2.BORDER_CONSTANT, value=0)
    return cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)[radius:-radius, radius:-radius]


def _components(
    found: np.ndarray, above: np.ndarray, heatmap: np.ndarray
) -> tuple[list[rle.Runs], list[tuple[int, int, int, int]], list[float]]:
    """The MOST largest connected parts of `found`: runs, boxes x0 y0 x1 y1 exclusive, mean probability above the threshold."""
    labels, stats = _labelled(found)
    largest = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:MOST]
    runs, boxes, scores = [], [], []
    for label in largest.tolist():
        x, y, w, h = (int(v) for v in stats[label, :4])
        window = slice(y, y + h), slice(x, x + w)
        part = (labels[window] == label).view(np.uint8)
        told = part & above[window]
        if not told.any():  # closing can fill a hole between three regions without joining them
            continue
        runs.append(rle.runs_of(part, found.shape, (x, y)))
        boxes.append((x, y, x + w, y + h))
        scores.append(cv2.mean(heatmap[window], mask=told)[0])
    return runs, boxes, scores


def _labelled(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) uint8 -> (H, W) int32 number of each pixel's connected part, 0 = none; its cv2.CC_STAT_* by number."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # in several threads it takes 23 bytes for each pixel instead of 8, and longer
    try:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    finally:
        cv2.setNumThreads(threads)
    return labels, stats
