"""Things drawn into a picture that are no forgery: many of a kind, with a grain of their own, seen through one lens.

A detector that has met few kinds of objects takes each that is grainier or smoother than what it lies on for pasted in. Cells,
colonies, beads, droplets and spots are that by nature; what tells them is that they come in numbers, and that one blur and one
noise lie over all.
"""

from __future__ import annotations

import cv2
import numpy as np

MOST = 40
RADIUS = (4.0, 40.0)  # px; drawn per picture, its logarithm evenly
SPACING = (2.2, 4.0)  # radii from one to the next, in rows
SCATTER = 0.5  # share of pictures in which they lie anywhere
UNEVEN = (0.0, 0.25)  # of the radius: how far an outline leaves the circle, in waves of 2 to 5 around it
LEVELS = (5.0, 60.0)  # lighter or darker than what they lie on, grey levels
TINT = 8.0  # levels, deviation of each colour, where there are colours
GRAIN = (0.0, 25.0)  # levels
GRAIN_SIZE = (0.5, 2.0)  # px, Gaussian sigma
EDGE = (0.6, 2.0)  # px, sigma: how soft their outlines are
OPACITY = (0.4, 1.0)
LENS, SENSOR = (0.3, 0.8), (0.5, 3.0)  # px, sigma; levels: over the whole picture, in half of them each
AWAY = 6  # px from anything forged, at least


def drawn(planes: np.ndarray, masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(3, H, W) uint8, (N, H, W) bool, forged -> (3, H, W) uint8 with objects where nothing is forged, in rows or anywhere."""
    height, width = planes.shape[1:]
    radius = float(np.exp(rng.uniform(*np.log(RADIUS))))
    cover = _cover((height, width), _clear(masks, radius), _places((height, width), radius, rng), radius, rng)
    soft = cv2.GaussianBlur(cover, (0, 0), rng.uniform(*EDGE)) * np.float32(rng.uniform(*OPACITY))
    pixels = cv2.merge([plane.astype(np.float32) for plane in planes])
    light = cv2.blur(pixels, (2 * round(radius) + 1,) * 2)
    grey = bool((planes == planes[:1]).all())
    tone = rng.choice((-1, 1)) * rng.uniform(*LEVELS) + rng.normal(0, TINT, 3) * (not grey)
    fine = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), rng.uniform(*GRAIN_SIZE))
    grain = fine / max(float(fine.std()), 1e-3) * np.float32(rng.uniform(*GRAIN))
    pixels += soft[..., None] * (light + tone.astype(np.float32) + grain[..., None] - pixels)
    if rng.random() < 0.5:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(*LENS))
    if rng.random() < 0.5:
        noise = rng.standard_normal((height, width, 1 if grey else 3), np.float32)
        pixels += noise * np.float32(rng.uniform(*SENSOR))
    return np.stack(cv2.split(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)))


def _clear(masks: np.ndarray, radius: float) -> np.ndarray:
    """-> (H, W) uint8, 1 where the middle of an object may be."""
    forged = masks.any(axis=0).astype(np.uint8)
    reach = round(radius * (1 + UNEVEN[1])) + AWAY
    return cv2.dilate(forged, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)) ^ 1


def _places(size: tuple[int, int], radius: float, rng: np.random.Generator) -> np.ndarray:
    """-> (K, 2) float64 y x, at most MOST: in rows, turned by any angle, or scattered."""
    if rng.random() < SCATTER:
        return rng.uniform(0, size, (rng.integers(2, MOST + 1), 2))
    step, angle = radius * rng.uniform(*SPACING), rng.uniform(0, np.pi / 2)
    reach = int(np.hypot(*size) / step / 2) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] * step
    turned = np.stack([y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)], axis=-1)
    places = turned.reshape(-1, 2) + np.array(size) / 2 + rng.normal(0, 0.05 * step, (y.size, 2))
    inside = places[((places >= 0) & (places < size)).all(axis=1)]
    return rng.permutation(inside)[:MOST]


def _cover(
    size: tuple[int, int], clear: np.ndarray, places: np.ndarray, radius: float, rng: np.random.Generator
) -> np.ndarray:
    """-> (H, W) float32, 1 inside the objects."""
    cover = np.zeros(size, np.uint8)
    around, waves = np.linspace(0, 2 * np.pi, 48, endpoint=False), np.arange(2, 6)
    uneven, spread = rng.uniform(*UNEVEN), rng.uniform(0, 0.2)
    for y, x in places:
        if not clear[int(y), int(x)]:
            continue
        swing = np.cos(waves[:, None] * around + rng.uniform(0, 2 * np.pi, (4, 1))).mean(axis=0)
        reach = radius * np.clip(rng.normal(1, spread), 0.6, 1) * (1 + uneven * swing)
        outline = np.stack([x + reach * np.cos(around), y + reach * np.sin(around)], axis=1)
        cv2.fillPoly(cover, [np.round(outline * 16).astype(np.int32)], 1, shift=4)
    return cover.astype(np.float32)
