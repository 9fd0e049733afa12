"""The eight symmetries of the square: an image is predicted from several sides, and what was found is turned back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.inference import merging
from forgery_rcnn.inference_config import VIEW_SETS
from forgery_rcnn.instances import Instances, Prediction

Turn = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class View:
    """Both take an array (H, W) or (H, W, C) of any kind and give its pixels in another order: a view, not a copy."""

    apply: Turn
    invert: Turn


SYMMETRIES: dict[str, View] = {
    "identity": View(lambda a: a, lambda a: a),
    "flip_horizontal": View(lambda a: a[:, ::-1], lambda a: a[:, ::-1]),
    "flip_vertical": View(lambda a: a[::-1], lambda a: a[::-1]),
    "rot90": View(lambda a: np.rot90(a, 1), lambda a: np.rot90(a, -1)),
    "rot180": View(lambda a: np.rot90(a, 2), lambda a: np.rot90(a, -2)),
    "rot270": View(lambda a: np.rot90(a, 3), lambda a: np.rot90(a, -3)),
    "transpose": View(lambda a: a.swapaxes(0, 1), lambda a: a.swapaxes(0, 1)),
    "transverse": View(lambda a: a[::-1, ::-1].swapaxes(0, 1), lambda a: a.swapaxes(0, 1)[::-1, ::-1]),
}


def named(names: Sequence[str]) -> tuple[str, ...]:
    """Names of views and of sets of views -> the views' names, each once, in the order given.

    >>> named(("flip_vertical", "five"))
    ('flip_vertical', 'identity', 'flip_horizontal', 'rot90', 'rot270')
    """
    return tuple(dict.fromkeys(view for name in names for view in VIEW_SETS.get(name, (name,))))


def viewed(
    predict: Callable[[np.ndarray], Prediction],
    pixels: np.ndarray,
    names: Sequence[str],
    gives: Literal["instances", "map"],
) -> Prediction:
    """(H, W, 3) uint8 -> the mean of what is predicted of each of these views, in the frame of `pixels`.

    One view after the other: on a CPU that is faster than a batch of them, and it holds one of them in memory.
    """
    views = named(names)
    if views == ("identity",):
        return predict(pixels)
    return merging.mean(_each(predict, pixels, views, gives), [1.0] * len(views), gives)


def _each(
    predict: Callable[[np.ndarray], Prediction], pixels: np.ndarray, views: Sequence[str], gives: str
) -> Iterator[Prediction]:
    for view in map(SYMMETRIES.__getitem__, views):
        # A copy even where nothing moved: torch refuses the negative strides of a flipped image of one column.
        found = predict(view.apply(pixels).copy(order="C"))
        # Of a map the regions are made once all views are merged.
        yield turned_back(found.take(()) if gives == "map" else found, view)


def turned_back(found: Prediction, view: View) -> Prediction:
    """What was predicted of `view.apply(pixels)`, in its frame -> the same in the frame of `pixels`, exact to the pixel."""
    size, heatmap = found.instances.size, view.invert(found.heatmap).copy(order="C")
    tight = found.instances.boxes()
    corners = boxes_back(tight, view, size)[:, :2]
    runs = []
    for mask, (x0, y0, x1, y1), (x, y) in zip(found.instances.runs, tight.tolist(), corners.tolist(), strict=True):
        crop = rle.mask_of(rle.cut(mask, size, (x0, y0, x1, y1)), (y1 - y0, x1 - x0))
        runs.append(rle.runs_of(view.invert(crop), heatmap.shape, (x, y)) if len(mask) else rle.EMPTY)
    boxes = boxes_back(found.boxes, view, size)
    return Prediction(Instances(heatmap.shape, tuple(runs)), boxes, found.scores, heatmap, found.image_score)


def boxes_back(boxes: np.ndarray, view: View, size: tuple[int, int]) -> np.ndarray:
    """(N, 4) x0 y0 x1 y1, exclusive, in a view of `size` = (h, w) -> the same boxes in the image that it is a view of."""
    (origin, right), _ = view.invert(np.array([[0, 1], [2, 3]]))  # which corners of the view lie at the image's top
    x, y = boxes[:, 0::2], boxes[:, 1::2]
    if origin & 1:
        x = size[1] - x[:, ::-1]
    if origin & 2:
        y = size[0] - y[:, ::-1]
    if (origin ^ right) == 2:  # the image's upper edge is a vertical one of the view
        x, y = y, x
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)
