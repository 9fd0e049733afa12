"""Large images: cut into overlapping tiles, each predicted alone, and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from forgery_rcnn.config import Tiling
from forgery_rcnn.inference import seams
from forgery_rcnn.inference.seams import Window
from forgery_rcnn.instances import Instances, Prediction

FLOOR = 0.01  # weight of a tile's outermost pixels, beside 1 in its middle
Span = tuple[int, int]
Told = Iterable[tuple[Window, Prediction]]


def tiles(size: tuple[int, int], tiling: Tiling) -> list[Window]:
    """(H, W) -> the tiles that cover it, row by row; one, the whole image, where it is not cut.

    Squares of the largest side that fits into the image's shorter one; a narrower image is cut across its length only,
    into tiles of the smallest side. They follow each other in steps that leave `overlap` or more in common, and the last
    ends at the border. With a grid they begin at its multiples, and the last may be smaller by less than one of them.

    >>> [tuple(tile) for tile in tiles((100, 230), Tiling("auto", sides=(128,)))]
    [(0, 0, 128, 100), (96, 0, 224, 100), (102, 0, 230, 100)]
    """
    fitting = [side for side in tiling.sides if side <= min(size)]
    side = max(fitting) if fitting else min(tiling.sides)
    if tiling.mode == "off" or max(size) <= side:
        return [Window(0, 0, size[1], size[0])]
    rows, columns = (_spans(length, min(side, length), tiling) for length in size)
    return [Window(x0, y0, x1, y1) for y0, y1 in rows for x0, x1 in columns]


def _spans(length: int, side: int, tiling: Tiling) -> list[Span]:
    """-> [start, end) of the tiles along one axis, the last ends at `length`."""
    step = max(1, int(side * (1 - tiling.overlap)) // tiling.grid) * tiling.grid
    last = -(-(length - side) // tiling.grid) * tiling.grid
    return [(start, start + side) for start in range(0, last, step)] + [(last, length)]


def tiled(
    predict: Callable[[np.ndarray], Prediction],
    pixels: np.ndarray,
    tiling: Tiling,
    gives: Literal["instances", "map"],
) -> Prediction:
    """(H, W, 3) uint8 -> what is predicted of its tiles, one after the other, in the frame of the whole image.

    map: heat maps are blended, no instances (pipeline.finished makes them). instances: those that a seam cut in pieces
    are one again (see seams), the heat map holds the largest value. The image score is the largest of a tile's: an image
    is forged where a part of it is. An image of one tile is predicted as it is.
    """
    windows = tiles(pixels.shape[:2], tiling)
    if len(windows) == 1:
        return predict(pixels)
    told = _each(predict, pixels, windows)
    return blended(told, windows) if gives == "map" else joined(told, pixels.shape[:2])


def _each(predict: Callable[[np.ndarray], Prediction], pixels: np.ndarray, windows: Sequence[Window]) -> Told:
    for window in windows:
        yield window, predict(np.ascontiguousarray(pixels[window.y0 : window.y1, window.x0 : window.x1]))


def blended(told: Told, windows: Sequence[Window]) -> Prediction:
    """What was predicted of each of the tiles of a grid -> their weighted mean at each pixel, and the largest image score.

    A tile's weights are the product of those along its rows and its columns. So is their sum over the grid: divided
    along each axis beforehand, they add up to 1 without a second array of the image's size.
    """
    down = shares({(window.y0, window.y1) for window in windows})
    across = shares({(window.x0, window.x1) for window in windows})
    heatmap = np.zeros((max(end for _, end in down), max(end for _, end in across)), np.float32)
    score = 0.0
    for window, found in told:
        weights = np.outer(down[window.y0, window.y1], across[window.x0, window.x1])
        heatmap[window.y0 : window.y1, window.x0 : window.x1] += weights * found.heatmap
        score = max(score, found.image_score)
    np.minimum(heatmap, 1, out=heatmap)
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    return Prediction(Instances(heatmap.shape), *none, heatmap, score)


def shares(spans: Iterable[Span]) -> dict[Span, np.ndarray]:
    """[start, end) that cover an axis from 0 on -> weights (end - start,) float32 of each; they add up to 1 at each pixel.

    A raised cosine: a tile knows least at its border, where the surroundings are missing.
    """
    raw = {}
    total = np.zeros(max(end for _, end in spans))
    for start, end in sorted(spans):
        middle = np.sin(np.pi * (np.arange(end - start) + 0.5) / (end - start)) ** 2
        raw[start, end] = FLOOR + (1 - FLOOR) * middle
        total[start:end] += raw[start, end]
    return {span: (weights / total[slice(*span)]).astype(np.float32) for span, weights in raw.items()}


def joined(told: Told, size: tuple[int, int]) -> Prediction:
    """What was predicted of each tile of an image of `size` = (H, W) -> one Prediction, instances whole across seams."""
    heatmap, score, pieces = np.zeros(size, np.float32), 0.0, []
    for window, found in told:
        part = heatmap[window.y0 : window.y1, window.x0 : window.x1]
        np.maximum(part, found.heatmap, out=part)
        score = max(score, found.image_score)
        pieces.append(seams.placed(found, window, size))
    whole = seams.whole([piece for tile in pieces for piece in tile], size)
    return Prediction(
        Instances(size, tuple(piece.runs for piece in whole)),
        np.array([piece.box for piece in whole], np.float32).reshape(-1, 4),
        np.array([piece.score for piece in whole], np.float32),
        heatmap,
        score,
    )
