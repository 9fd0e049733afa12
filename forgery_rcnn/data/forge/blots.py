"""Drawn Western blots and DNA gels. No two bands have the same outline, so an authentic lane never repeats another."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np

from forgery_rcnn.data.forge import captions
from forgery_rcnn.data.forge.captions import LOADING, TARGETS
from forgery_rcnn.data.forge.scene import Box

FINEST = 700  # longest side, in pixels, at which a membrane is computed; larger ones are enlarged like a scan
EVEN = 0.3  # spread of the bands' strength below which a strip is a loading control
BASES = ("3000", "2000", "1500", "1000", "750", "500", "250", "100")


def blot(size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, tuple[Box, ...]]:
    """(h, w) -> (h, w, 3) uint8 RGB, a Western blot of 1..4 strips, and the boxes of lanes in it, strip by strip."""
    h, w = size
    pixels = np.full((h, w, 3), 255, np.uint8)
    names = [str(name) for name in rng.choice(list(TARGETS), 4, replace=False)]
    loading = str(rng.choice(list(LOADING)))
    frame = captions.free(size, (*names, loading), "130 kDa", rng)
    strips = _strips(h - frame.top, w - frame.left - frame.right, rng)
    edges = _edges(w - frame.left - frame.right, rng)
    inverted = rng.random() < 0.08
    names[len(strips) - 1] = loading if len(strips) > 1 else names[0]
    lanes: list[Box] = []
    for number, (top, bottom) in enumerate(strips):
        y0, y1 = frame.top + top, frame.top + bottom
        even = 0 < number == len(strips) - 1
        grey = _film((bottom - top, int(edges[-1])), edges, 0.12 if even else 0.75, rng)
        pixels[y0:y1, frame.left : w - frame.right] = (255 - grey if inverted else grey)[..., None]
        lanes += [(frame.left + a, y0, frame.left + b, y1) for a, b in pairwise(edges)]
        captions.name(pixels, frame, (y0, y1), names[number])
    if frame.top:
        captions.head(pixels, frame, edges, tuple("−+" * 6))
    return pixels, tuple(tuple(map(int, lane)) for lane in lanes)


def gel(size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, tuple[Box, ...]]:
    """(h, w) -> (h, w, 3) uint8 RGB, a DNA gel with a ladder in its first lane, and the boxes of its lanes, left to right."""
    h, w = size
    pixels = np.full((h, w, 3), 255, np.uint8)
    frame = captions.free(size, BASES, "", rng)
    if h - frame.top < 13 * frame.em:  # a ladder's sizes would overlap
        frame = replace(frame, left=0)
    edges = _edges(w - frame.left - frame.right, rng)
    high = h - frame.top
    heights = np.linspace(0.16, 0.9, len(BASES)) ** rng.uniform(0.8, 1.0)
    pixels[frame.top :, frame.left : w - frame.right] = _agarose((high, int(edges[-1])), edges, heights, rng)[..., None]
    if frame.left:
        captions.ladder(pixels, frame, BASES, heights)
    if frame.top:
        captions.head(pixels, frame, edges, ("M", *map(str, range(1, len(edges)))))
    boxes = pairwise(edges)
    return pixels, tuple((frame.left + int(a), frame.top, frame.left + int(b), h) for a, b in boxes)


def _strips(h: int, w: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """-> first and last row of each strip of a blot of h x w px, white gutters between them."""
    count = int(np.clip(round(h / w * rng.uniform(2.2, 6.5)), 1, min(4, max(1, h // 28))))
    gutter = max(2, round(min(h, w) * rng.uniform(0.008, 0.03)))
    shares = rng.uniform(0.8, 1.25, count)
    tops = np.round(np.append(0, np.cumsum(shares / shares.sum())) * (h + gutter)).astype(int).tolist()
    return [(top, bottom - gutter) for top, bottom in pairwise(tops)]


def _edges(w: int, rng: np.random.Generator) -> np.ndarray:
    """-> (n + 1,) int borders of 3..12 lanes over w px, nearly even."""
    count = int(np.clip(w // max(16, rng.integers(w // 13 + 1, w // 4 + 2)), 3, 12))
    edges = np.linspace(0, w, count + 1)
    edges[1:-1] += rng.uniform(-0.05, 0.05, count - 1) * w / count
    return np.round(edges).astype(int)


def _cloud(size: tuple[int, int], cell: float, rng: np.random.Generator) -> np.ndarray:
    """-> (h, w) float32 smooth noise of about unit variance, features of `cell` px."""
    grid = (int(size[0] / cell) + 2, int(size[1] / cell) + 2)
    return cv2.resize(rng.standard_normal(grid, np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)


def _film(size: tuple[int, int], edges: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """-> (h, w) uint8, one strip of film: dark bands in each lane, their strength varying by `spread`."""
    scale = min(1.0, FINEST / max(size))
    small = (max(8, round(size[0] * scale)), max(8, round(size[1] * scale)))
    density = _bands(small, edges * (small[1] / size[1]), spread, rng)
    light = (
        rng.uniform(185, 242) + rng.uniform(2, 9) * _cloud(small, max(small) / 2.5, rng) + 1.5 * _cloud(small, 9, rng)
    )
    light -= rng.uniform(0, 14) * np.linspace(0, 1, small[0], dtype=np.float32)[:: rng.choice((-1, 1)), None]
    floor = rng.uniform(2, 45)
    grey = floor + (light - floor) * np.exp(-density)
    _dust(grey, rng)
    return _scanned(grey, size, rng.uniform(1.2, 4.5), rng)


def _bands(size: tuple[int, int], edges: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """-> (h, w) float32 optical density of 1..3 rows of bands; a column's band is told by its lane."""
    h, w = size
    n = len(edges) - 1
    x, y = np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32)[:, None]
    lane = np.clip(np.searchsorted(edges, x + 0.5) - 1, 0, n - 1)
    half = (np.diff(edges) / 2).astype(np.float32)[lane]
    u = (x - (edges[:-1] + edges[1:]).astype(np.float32)[lane] / 2) / half
    rows = _rows(h / w, spread, rng)
    unit = min(h, 2.2 * half.mean()) / rows**0.5
    bow = unit * (rng.uniform(-0.1, 0.2) + rng.normal(0, 0.025, n)[lane])
    bend = h * (rng.normal(0, 0.03) * (x / w - 0.5) + rng.normal(0, 0.03) * (2 * x / w - 1) ** 2)
    width, edge = (rng.uniform(0.72, 0.9) + rng.normal(0, 0.03, n))[lane], rng.uniform(3, 8)
    common = np.exp(rng.normal(0, spread, n)) * np.where(rng.random(n) < 0.2 * (spread > EVEN), 0.05, 1)
    density = np.maximum(0, rng.normal(0.02, 0.03, n))[lane] * np.exp(-((u / 0.9) ** 6)) * np.ones((h, 1), np.float32)
    levels = h * (np.arange(1, rows + 1) / (rows + 1) + rng.uniform(-0.06, 0.06, rows))
    for number, level in enumerate(levels):
        own = np.exp(rng.normal(0, 0.35 * min(spread, 1), n)) * common * (rng.uniform(0.15, 0.9) if number else 1)
        thick = (unit * rng.uniform(0.09, 0.17) * (0.75 + 0.25 * np.minimum(own, 1.6)) * rng.uniform(0.9, 1.1, n))[lane]
        middle = level + bend + bow * u**2 + rng.normal(0, 0.012 * h, n)[lane]
        rough = _cloud(size, max(3, unit / rng.uniform(2.5, 5)), rng)
        v = (y - middle) / thick + rng.uniform(0.08, 0.2) * rough + 0.05 * _cloud(size, 3, rng)
        flank = np.exp(-(np.abs((u + 0.05 * rough) / width) ** edge))
        above = np.exp(np.minimum(v, 0) / rng.uniform(2, 5)) * (v < 2)  # what lagged behind the band
        peak = np.exp(-(np.abs(v) ** rng.uniform(1.8, 2.6))) + rng.uniform(0.01, 0.08) * above
        density += (rng.uniform(1.1, 3.2) * own)[lane] * peak * flank * (1 + 0.12 * rough)
    return cv2.GaussianBlur(np.maximum(density, 0).astype(np.float32), (0, 0), max(0.6, unit / 45))


def _rows(aspect: float, spread: float, rng: np.random.Generator) -> int:
    """-> rows of bands: one of a loading control, more of a target, most on an uncropped membrane."""
    if spread < EVEN:
        return 1
    return int(rng.choice((1, 2, 3), p=(0.7, 0.23, 0.07))) if aspect < 0.9 else int(rng.integers(2, 6))


def _agarose(size: tuple[int, int], edges: np.ndarray, heights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """-> (h, w) uint8, a gel under UV light: ladder in the first lane, products at a common height in the others."""
    scale = min(1.0, FINEST / max(size))
    h, w = max(8, round(size[0] * scale)), max(8, round(size[1] * scale))
    borders = edges * (w / size[1])
    light = rng.uniform(14, 48) + rng.uniform(2, 8) * _cloud((h, w), max(h, w) / 2.5, rng) + _cloud((h, w), 10, rng)
    glow = np.zeros((h, w), np.float32)
    products = rng.uniform(0.3, 0.85, rng.integers(1, 4))
    present = rng.random((len(borders), len(products))) < rng.uniform(0.55, 1)
    smile, dimer = rng.normal(0, 0.012) * h, rng.random() < 0.4
    for lane, (a, b) in enumerate(pairwise(borders)):
        shift = smile * (2 * lane / len(borders) - 1) ** 2
        box, low = (a, b), rng.uniform(0.5, 1.1)
        if lane == 0:
            weights = np.where(np.arange(len(heights)) % 4 == 3, 200, 110) * low
            spots = [(level * h, weight) for level, weight in zip(heights, weights, strict=True)]
        else:
            spots = [
                (p * h + shift, rng.uniform(60, 260)) for p, here in zip(products, present[lane], strict=True) if here
            ]
            spots += [(0.95 * h + shift, rng.uniform(12, 45))] if dimer else []
        for level, weight in spots:
            _spot(glow, box, level, weight, rng)
        _well(glow, box, rng)
    return _scanned(light + np.minimum(glow, 235), size, rng.uniform(1.5, 5), rng)


def _spot(glow: np.ndarray, box: tuple[float, float], level: float, weight: float, rng: np.random.Generator) -> None:
    """Adds one bright band, in place, to the (h, w) float32 glow between the columns of `box`."""
    wide = box[1] - box[0]
    thick = max(1.1, rng.uniform(0.035, 0.06) * min(wide, glow.shape[0] / 8) * (0.7 + weight / 300))
    x0, x1 = round(box[0]), round(box[1])
    y0, y1 = max(0, int(level - 6 * thick - 4)), min(glow.shape[0], int(level + 4 * thick + 5))
    if y1 - y0 < 2 or x1 - x0 < 2:
        return
    u = np.linspace(-1, 1, x1 - x0, dtype=np.float32)
    rough = _cloud((y1 - y0, x1 - x0), max(2.5, wide / 7), rng)
    middle = level + thick * (rng.uniform(-0.9, 0.1) * u**2 + rng.normal(0, 0.2) * u)
    v = (np.arange(y0, y1, dtype=np.float32)[:, None] - middle) / thick + 0.14 * rough
    peak = np.exp(-(np.abs(v) ** 2.2)) + rng.uniform(0.02, 0.12) * np.exp(np.minimum(v, 0) / 2) * (v < 1)
    flank = np.exp(-(np.abs((u + 0.04 * rough) / rng.uniform(0.7, 0.8)) ** rng.uniform(6, 12)))
    glow[y0:y1, x0:x1] += weight * peak * flank * (1 + 0.08 * rough)


def _well(glow: np.ndarray, box: tuple[float, float], rng: np.random.Generator) -> None:
    """Draws, in place, the well a lane was loaded into and the smear below it."""
    h = glow.shape[0]
    inset = 0.16 * (box[1] - box[0])
    x0, x1 = round(box[0] + inset), round(box[1] - inset)
    y0, y1 = round(0.035 * h), max(round(0.035 * h) + 2, round(0.06 * h))
    glow[y0:y1, x0:x1] += rng.uniform(-10, 4)
    glow[y1 : y1 + max(1, h // 200), x0:x1] += rng.uniform(6, 40)
    fall = np.exp(-np.linspace(0, rng.uniform(2, 7), h - y1, dtype=np.float32))[:, None]
    side = np.exp(-(np.linspace(-1.25, 1.25, x1 - x0, dtype=np.float32) ** 6))
    glow[y1:, x0:x1] += rng.uniform(2, 26) * fall * side


def _dust(grey: np.ndarray, rng: np.random.Generator) -> None:
    """Draws specks and, rarely, a scratch on the (h, w) float32 grey, in place."""
    h, w = grey.shape
    for _ in range(rng.poisson(h * w / 15000)):
        spot = rng.integers(0, w), rng.integers(0, h)
        level = float(rng.choice((rng.uniform(20, 120), 250)))
        cv2.circle(grey, tuple(map(int, spot)), int(rng.integers(0, 2)), level, -1, cv2.LINE_AA)
    if rng.random() < 0.06:
        ends = rng.integers(0, (w, h), (2, 2)).tolist()
        shade = float(grey.mean() + rng.uniform(8, 25))
        cv2.line(grey, ends[0], ends[1], shade, 1, cv2.LINE_AA)


def _scanned(grey: np.ndarray, size: tuple[int, int], noise: float, rng: np.random.Generator) -> np.ndarray:
    """(h, w) float -> (*size) uint8 with grain of `noise` grey levels, correlated as a scanner's."""
    grain = rng.standard_normal(grey.shape, np.float32)
    soft = cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.6, 1.1))
    full = (grey + noise * (0.4 * grain + 1.4 * soft)).astype(np.float32)
    if full.shape != size:
        full = cv2.resize(full, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.rint(np.clip(full, 0, 255)).astype(np.uint8)
