"""Hard authentic twins: a field shown again at another exposure, in another channel, merged, or enlarged.

Journals are full of them, and none is a forgery: compose() leaves no room in the panels they touch.
"""

from __future__ import annotations

import cv2
import numpy as np

from forgery_rcnn.data.forge import furniture
from forgery_rcnn.data.forge.furniture import Colour
from forgery_rcnn.data.forge.scene import Box

TINTS = ((0.1, 1.0, 0.15), (1.0, 0.1, 1.0), (0.15, 0.3, 1.0), (1.0, 0.12, 0.1), (0.1, 0.95, 1.0))
COLOURS: tuple[Colour, ...] = ((255, 255, 255), (255, 255, 0), (230, 20, 20), (0, 150, 255), (0, 0, 0))


def exposure(panel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8 RGB -> the same field taken again: other gamma and gain, new noise, moved by under 1.5 px."""
    light = _moved(panel, rng).astype(np.float32) / 255
    light = rng.uniform(0.6, 1.5) * light ** rng.uniform(0.65, 1.5)
    grain = rng.standard_normal(panel.shape[:2], np.float32)[..., None]
    return _eight_bit(light + rng.uniform(0.004, 0.025) * grain)


def channels(panel: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """(h, w, 3) uint8 RGB -> count >= 2 panels of its field: pseudo-coloured channels, and for count >= 3 their merge last."""
    tints = rng.permutation(len(TINTS))[: max(2, count - 1)]
    first = tuple(tinted(exposure(panel, rng), number, rng) for number in tints)
    return first if count == 2 else (*first, merged(first))


def tinted(panel: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8 RGB -> one dark-field channel of it in TINTS[number]; parts of the field hold less of the stain."""
    grey = cv2.cvtColor(panel, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    if grey.mean() > 0.5:  # stains shine on black
        grey = 1 - grey
    h, w = grey.shape
    stain = cv2.resize(rng.uniform(0.25, 1.3, (6, 7)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    low = float(np.percentile(grey[::4, ::4], 20))
    shine = np.clip((grey - low) / max(0.05, float(grey.max()) - low), 0, 1) * np.clip(stain, 0, 2)
    return _eight_bit(1.2 * shine[..., None] * np.array(TINTS[number], np.float32))


def merged(panels: tuple[np.ndarray, ...]) -> np.ndarray:
    """Channels, each (h, w, 3) uint8 RGB -> their sum, (h, w, 3) uint8."""
    total = panels[0]
    for panel in panels[1:]:
        total = cv2.add(total, panel)
    return total


def inset(panel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8 RGB -> the panel with a framed detail of it enlarged in the upper right or lower left corner."""
    h, w = panel.shape[:2]
    side = round(rng.uniform(0.3, 0.46) * min(h, w))
    target = (w - side, 0, w, side) if rng.random() < 0.5 else (0, h - side, side, h)
    origin = _origin(panel, (side, side), target, rng)
    out, colour, line = panel.copy(), visible(panel, rng), max(1, round(min(h, w) / 160))
    x0, y0, x1, y1 = target
    out[y0:y1, x0:x1] = _enlarged(panel, origin, (side, side))
    _outline(out, target, line, 0, colour)
    _outline(out, origin, line, int(rng.choice((0, 3 * line))), colour)
    return out


def zoom(
    panel: np.ndarray, target: Box, colour: Colour, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, Box]:
    """(h, w, 3) uint8 RGB -> the panel with a frame and lines to the target beside it, the detail enlarged, the frame's box.

    All boxes are in the panel's pixels; the target lies outside of it and gives the size of the enlargement.
    """
    h, w = panel.shape[:2]
    size = target[3] - target[1], target[2] - target[0]
    origin = _origin(panel, size, (0, 0, 0, 0), rng)
    out, line = panel.copy(), max(1, round(min(h, w) / 160))
    _outline(out, origin, line, int(rng.choice((0, 3 * line))), colour)
    connect(out, origin, target, colour)
    large = _enlarged(panel, origin, size)
    _outline(large, (0, 0, size[1], size[0]), line, 0, colour)
    return out, large, origin


def visible(panel: np.ndarray, rng: np.random.Generator) -> Colour:
    """(h, w, 3) uint8 RGB -> a colour for frames: no black on a dark panel, neither white nor yellow on a bright one."""
    fitting = COLOURS[:-1] if cv2.mean(panel)[1] < 120 else COLOURS[2:]
    return fitting[rng.integers(len(fitting))]


def connect(canvas: np.ndarray, origin: Box, target: Box, colour: Colour) -> None:
    """Draw, in place, the two lines on canvas (H, W, 3) from a frame to its enlargement at the right of it."""
    line = max(1, round((target[2] - target[0]) / 200))
    for start, end in (
        ((origin[2], origin[1]), (target[0], target[1])),
        ((origin[2], origin[3]), (target[0], target[3])),
    ):
        cv2.line(canvas, start, (end[0] - 1, end[1] - 1), colour, line, cv2.LINE_AA)


def _origin(panel: np.ndarray, shape: tuple[int, int], taken: Box, rng: np.random.Generator) -> Box:
    """-> the liveliest of a few boxes in the panel with the aspect of `shape`, 2..5 times smaller, apart from `taken`."""
    height, width = panel.shape[:2]
    factor = max(rng.uniform(2, 4.5), 1.6 * shape[0] / height, 1.6 * shape[1] / width)
    h, w = max(8, round(shape[0] / factor)), max(8, round(shape[1] / factor))
    corners = rng.integers(2, (width - w - 2, height - h - 2), (16, 2)).tolist()
    clear = [(x, y) for x, y in corners if x >= taken[2] or x + w <= taken[0] or y >= taken[3] or y + h <= taken[1]]
    x, y = max(clear or corners, key=lambda corner: panel[corner[1] :, corner[0] :, 1][:h:2, :w:2].std())
    return x, y, x + w, y + h


def _enlarged(panel: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    x0, y0, x1, y1 = box
    return cv2.resize(panel[y0:y1, x0:x1], size[::-1], interpolation=cv2.INTER_CUBIC)


def _outline(pixels: np.ndarray, box: Box, line: int, dash: int, colour: Colour) -> None:
    x0, y0, x1, y1 = box
    alpha = furniture.frame((y1 - y0, x1 - x0), line, dash)
    furniture.stamp(pixels, np.zeros(pixels.shape[:2], np.uint8), alpha, (x0, y0), colour)


def _moved(panel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """-> the panel shifted by a fraction of a pixel, its border repeated."""
    dx, dy = rng.uniform(-1.5, 1.5, 2)
    motion = np.array([[1, 0, dx], [0, 1, dy]])
    size = panel.shape[1::-1]
    return cv2.warpAffine(panel, motion, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _eight_bit(light: np.ndarray) -> np.ndarray:
    """Float, 1 = white -> uint8."""
    return np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8)
