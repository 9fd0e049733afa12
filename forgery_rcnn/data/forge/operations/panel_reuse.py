"""Whole-panel reuse: one panel stands for two, as it is, turned, mirrored or with other levels."""

from __future__ import annotations

import numpy as np

from forgery_rcnn.data import images
from forgery_rcnn.data.forge import regions
from forgery_rcnn.data.forge.regions import CLOSE_ENOUGH, rectangle
from forgery_rcnn.data.forge.scene import Box
from forgery_rcnn.data.forge.work import VISIBLE, Step, Work

TURNS = {"same": (1, 1), "mirrored": (-1, 1), "upside down": (1, -1), "half turn": (-1, -1)}
"""Factors of the x and y axes."""


def untouched(work: Work) -> list[int]:
    """Numbers of the image panels in which nothing has been forged and that repeat no other."""
    return [
        number
        for number, panel in enumerate(work.scene.panels, 1)
        if panel.kind == "image" and panel.host and _whole(work, number, panel.box)
    ]


def _whole(work: Work, number: int, box: Box) -> bool:
    x0, y0, x1, y1 = box
    room = work.scene.room[y0:y1, x0:x1] == number
    return bool(room.any()) and np.array_equal(room, work.free[y0:y1, x0:x1] == number)


def repaint(work: Work, canvas: np.ndarray, box: Box, pixels: np.ndarray) -> None:
    """Put (h, w, 3) uint8 under a panel's letters and bars, which stay."""
    x0, y0, x1, y1 = box
    covered = work.scene.ink[y0:y1, x0:x1]
    canvas[y0:y1, x0:x1][~covered] = pixels[~covered]


def panel_reuse(work: Work, area: float, rng: np.random.Generator) -> Step | None:
    """One panel's picture painted over another's; both panels are marked whole."""
    order = rng.permutation(untouched(work)).tolist()
    for first in order:
        for second in order:
            step = first != second and _reused(work, first, second, area, rng)
            if step:
                return step
    return None


def _reused(work: Work, first: int, second: int, area: float, rng: np.random.Generator) -> Step | None:
    one, other = (work.scene.panels[number - 1].box for number in (first, second))
    source, target = rectangle(*one), rectangle(*other)
    (h, w), (height, width) = source.mask.shape, target.mask.shape
    if not CLOSE_ENOUGH[0] * area < source.area + target.area < CLOSE_ENOUGH[1] * area:
        return None
    if abs(np.log(h * width / (w * height))) > 0.35 or not 0.5 < height / h < 2:
        return None
    turn = str(rng.choice(list(TURNS)))
    gain = float(rng.choice((1.0, rng.uniform(0.92, 1.08))))
    picture = source.window(work.scene.bare)[:: TURNS[turn][1], :: TURNS[turn][0]]
    picture = np.clip(images.resized(np.ascontiguousarray(picture), (height, width)) * gain, 0, 255).astype(np.uint8)
    if not regions.shows(picture, target.mask):
        return None
    if np.abs(picture.astype(np.int16) - target.window(work.after)).mean() < VISIBLE:
        return None
    repaint(work, work.after, other, picture)
    scale = np.diag([TURNS[turn][0] * width / w, TURNS[turn][1] * height / h])
    centres = [np.array([box[0] + box[2] - 1, box[1] + box[3] - 1]) / 2 for box in (one, other)]
    matrix = np.column_stack([scale, centres[1] - scale @ centres[0]])
    return Step("panel_reuse", {"turn": turn, "gain": round(gain, 3)}, (source, target), source, (target,), (matrix,))
