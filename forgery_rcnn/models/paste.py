"""From the mask head's small grids to regions of the original image, at the cost of the boxes, not of the image."""

from __future__ import annotations

import cv2
import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.instances import Instances, Prediction


def paste(
    boxes: np.ndarray,
    mask_boxes: np.ndarray,
    grids: np.ndarray,
    scores: np.ndarray,
    size: tuple[int, int],
    mask_threshold: float,
) -> Prediction:
    """(N, 4) boxes and (N, M, M) mask probabilities, float32 -> Prediction in an image of `size` = (H, W).

    Each grid is stretched over its mask box (bilinear between the centres of its cells) and cut at `mask_threshold`;
    the heat map holds the largest score x mask probability at each pixel.
    """
    heatmap = np.zeros(size, np.float32)
    runs = []
    for box, grid, score in zip(mask_boxes, grids, scores, strict=True):
        (x0, y0), crop = _stretch(box, grid, size)
        runs.append(rle.runs_of(crop >= mask_threshold, size, (x0, y0)))
        window = heatmap[y0 : y0 + crop.shape[0], x0 : x0 + crop.shape[1]]
        np.maximum(window, crop * score, out=window)
    best = float(scores.max()) if len(scores) else 0.0
    return Prediction(Instances(size, tuple(runs)), boxes, scores, heatmap, best)


def _stretch(box: np.ndarray, grid: np.ndarray, size: tuple[int, int]) -> tuple[tuple[int, int], np.ndarray]:
    """One grid -> its top left pixel (x0, y0) and the (h, w) float32 probabilities inside box and image."""
    x0, y0 = (int(np.clip(np.floor(v), 0, limit - 1)) for v, limit in zip(box[:2], size[::-1], strict=True))
    x1, y1 = (int(np.clip(np.ceil(v), 1, limit)) for v, limit in zip(box[2:], size[::-1], strict=True))
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    cells = grid.shape[0]
    step_x, step_y = cells / max(box[2] - box[0], 1e-3), cells / max(box[3] - box[1], 1e-3)
    # pixel centre (x + .5) -> cell coordinate whose integers are cell centres
    inverse = np.array(
        [[step_x, 0, (x0 + 0.5 - box[0]) * step_x - 0.5], [0, step_y, (y0 + 0.5 - box[1]) * step_y - 0.5]], np.float64
    )
    crop = cv2.warpAffine(
        np.ascontiguousarray(grid, np.float32),
        inverse,
        (x1 - x0, y1 - y0),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return (x0, y0), crop
