"""Copies planted in a picture, to measure a finder by: irregular regions, moved, and the whole treated afterwards.

Written apart from forgery_rcnn.data.forge on purpose: a finder that suits only the forgeries of its own maker is caught here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

Texture = Literal["rich", "smooth"]
TRANSFORMS = ("shift", "turn", "scale", "mirror", "all")
TREATMENTS = ("none", "jpeg 95", "jpeg 85", "jpeg 70", "noise 3", "noise 6")
GAP = 3  # pixels at least between a region and its copy
TRIES = 250  # places looked at before the region is made smaller
SHRINK = 0.8  # of the region's area, where no place was found
SMALLEST = 100  # pixels of a region; below it nothing is planted
LEAST_DETAIL = 2.0  # grey levels, deviation in the region: a region of one colour is no one's to find
CLIPPED, MOST_CLIPPED = (4, 251), 0.2  # grey levels that count as black or white; share of a region that may be


@dataclass(frozen=True)
class Planted:
    """(H, W, 3) uint8 pixels; (H, W) bool first, the region, and second, its copy; matrix (2, 3) float64, first -> second."""

    pixels: np.ndarray
    first: np.ndarray
    second: np.ndarray
    matrix: np.ndarray

    @property
    def union(self) -> np.ndarray:
        """(H, W) bool."""
        return self.first | self.second


def blob(area: float, rng: np.random.Generator) -> np.ndarray:
    """-> (72, 2) float64 x y of an irregular outline around 0 0 that encloses `area` pixels."""
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = np.ones_like(angle)
    for wave in range(2, 7):
        radius += rng.uniform(0, 0.5) / wave * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    outline = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.maximum(radius, 0.3)[:, None]
    stretch, turn = rng.uniform(1, 1.6), rng.uniform(0, np.pi)
    outline = outline * [np.sqrt(stretch), 1 / np.sqrt(stretch)]
    outline = outline @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    x, y = outline.T
    enclosed = 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    return outline * np.sqrt(area / enclosed)


def linear(transform: str, rng: np.random.Generator) -> np.ndarray:
    """A name of TRANSFORMS -> (2, 2) float64."""
    turn = rng.choice([-1, 1]) * rng.uniform(5, 180) if transform in ("turn", "all") else 0.0
    scale = np.exp(rng.uniform(np.log(0.7), np.log(1.4))) if transform in ("scale", "all") else 1.0
    mirrored = transform == "mirror" or (transform == "all" and rng.random() < 0.3)
    c, s = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    return np.array([[c, s], [-s, c]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])


def drawn(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(K, 2) x y -> (H, W) bool, filled."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return mask.astype(bool)


def within(outline: np.ndarray, size: tuple[int, int]) -> bool:
    return bool((outline >= 1).all() and (outline < np.array(size[::-1]) - 2).all())


def detail_of(gray: np.ndarray, mask: np.ndarray) -> float:
    """Deviation of the grey levels in a region after a blur that takes off noise; 0 where too much is black or white."""
    values = gray[mask]
    if np.mean((values <= CLIPPED[0]) | (values >= CLIPPED[1])) > MOST_CLIPPED:
        return 0.0
    return float(values.std())


def places(
    gray: np.ndarray, area: float, motion: np.ndarray, texture: Texture, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """-> an outline and its middle's new place: the richest or the smoothest of those looked at; None where none fits.

    Rich is judged by corners, smooth by their lack: those are what finders live on.
    """
    size = gray.shape
    corners = cv2.GaussianBlur(cv2.cornerMinEigenVal(gray, 3), (0, 0), 3)
    soft = cv2.GaussianBlur(gray, (0, 0), 1.5)
    found = []
    for _ in range(TRIES):
        shape = blob(area, rng)
        at, to = (rng.uniform(0, 1, 2) * size[::-1] for _ in range(2))
        first, second = shape + at, shape @ motion.T + to
        if not (within(first, size) and within(second, size)):
            continue
        mask, copy = drawn(first, size), drawn(second, size)
        apart = cv2.dilate(mask.astype(np.uint8), np.ones((2 * GAP + 1, 2 * GAP + 1)))
        if (apart.astype(bool) & copy).any() or detail_of(soft, mask) < LEAST_DETAIL:
            continue
        found.append((float(np.median(corners[mask])), len(found), first, at, to))
        if len(found) == 12:
            break
    if not found:
        return None
    best = max(found)[2:] if texture == "rich" else min(found)[2:]
    return best[0], best[2] - motion @ best[1]


def likeness(pixels: np.ndarray, truth: np.ndarray, matrix: np.ndarray) -> float:
    """(H, W, 3) uint8, (H, W) bool regions and copies -> -1..1: how well a region's detail correlates with its copy's.

    What a finder that knows the motion would measure: where it is low, the treatment has left nothing to find.
    """
    gray = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY).astype(np.float32)
    back = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    there = cv2.warpAffine(truth.astype(np.float32), matrix, gray.shape[::-1], flags=back) > 0.5
    region = truth & there
    if not region.any():
        return 0.0
    broad = float(np.clip(np.sqrt(region.sum()) / 4, 3, 20))
    detail = [
        image - cv2.GaussianBlur(image, (0, 0), broad)
        for image in (gray, cv2.warpAffine(gray, matrix, gray.shape[::-1], flags=back))
    ]
    values = np.stack([cv2.GaussianBlur(image, (0, 0), 0.8)[region] for image in detail])
    return float(np.corrcoef(values)[0, 1]) if (values.std(axis=1) > 0).all() else 0.0


def saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> the same shape, as JPEG, colours at half the size."""
    code = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1])


def cut_out(pixels: np.ndarray, off: np.ndarray, ground: int, soft: float, ring: float) -> np.ndarray:
    """(H, W, 3) and (H, W), px beyond an outline -> (H, W, 3), only what lies within; soft, ring: px, how the outline fades, and how wide
    the dark ring along it is, 0 for none."""
    shown = 1 / (1 + np.exp(np.clip(off / soft, -50, 50)))[..., None]
    out = pixels * shown + ground * (1 - shown)
    if not ring:
        return out
    dark = 0.6 * np.exp(-((off / ring) ** 2))[..., None]
    return out * (1 - dark) + 90 * dark


def treated(pixels: np.ndarray, treatment: str, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 RGB and a name of TREATMENTS -> the same shape."""
    kind, _, value = treatment.partition(" ")
    if kind == "jpeg":
        return saved(pixels, int(value))
    if kind == "noise":
        noisy = pixels + rng.normal(0, float(value), (*pixels.shape[:2], 1)).astype(np.float32)
        return np.clip(np.round(noisy), 0, 255).astype(np.uint8)
    return pixels


def plant(
    pixels: np.ndarray, transform: str, treatment: str, texture: Texture, share: float, rng: np.random.Generator
) -> Planted | None:
    """(H, W, 3) uint8, `share` of the image to be region and copy together -> Planted; None where no place is found."""
    gray = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY).astype(np.float32)
    size, motion = gray.shape, linear(transform, rng)
    area, place = gray.size * share / (1 + abs(float(np.linalg.det(motion)))), None
    while place is None and area >= SMALLEST:
        place = places(gray, area, motion, texture, rng)
        area *= SHRINK
    if place is None:
        return None
    outline, offset = place
    if transform == "shift":
        offset = np.round(offset)
    matrix = np.column_stack([motion, offset])
    first = drawn(outline, size)
    alpha = cv2.warpAffine(first.astype(np.float32), matrix, size[::-1], flags=cv2.INTER_LINEAR)
    second = alpha > 0.5
    feather = rng.choice([0.0, 0.7, 1.0])  # some 0, 1 and 2 pixels of soft edge
    alpha = cv2.GaussianBlur(second.astype(np.float32), (0, 0), feather) if feather else second.astype(np.float32)
    gain = rng.uniform(0.93, 1.07) if rng.random() < 0.3 else 1.0
    moved = np.clip(gain * cv2.warpAffine(pixels.astype(np.float32), matrix, size[::-1], flags=cv2.INTER_CUBIC), 0, 255)
    blended = pixels + alpha[..., None] * (moved - pixels)
    forged = np.clip(np.round(blended), 0, 255).astype(np.uint8)
    return Planted(treated(forged, treatment, rng), first, second, matrix)


def lookalike(pixels: np.ndarray, texture: Texture, share: float, rng: np.random.Generator) -> np.ndarray | None:
    """(H, W, 3) uint8 -> the same with a region standing beside a second one of its kind that is no copy, None where no place is found.

    As of two prints of one label: the same form, bent by about a pixel, in other light, with grain of its own.
    """
    gray = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY).astype(np.float32)
    size = gray.shape
    place = places(gray, gray.size * share / 2, np.eye(2), texture, rng)
    if place is None:
        return None
    outline, offset = place
    matrix = np.column_stack([np.eye(2), np.round(offset)])
    soft = cv2.bilateralFilter(pixels, 5, 30, 2).astype(np.float32)
    grain = float(np.median(np.abs(gray - cv2.cvtColor(soft.astype(np.uint8), cv2.COLOR_RGB2GRAY))) / 0.67 + 0.5)
    bend = [cv2.GaussianBlur(rng.normal(size=size).astype(np.float32), (0, 0), 12) for _ in "xy"]
    y, x = np.indices(size, np.float32)
    moved = cv2.warpAffine(soft, matrix, size[::-1], flags=cv2.INTER_LINEAR)
    x, y = (at + shift / shift.std() * rng.uniform(0.4, 1.2) for at, shift in zip((x, y), bend, strict=True))
    moved = cv2.remap(moved, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR) * rng.uniform(0.95, 1.05)
    moved += cv2.GaussianBlur(rng.normal(0, 1, size).astype(np.float32), (0, 0), 0.5)[..., None] * grain * 1.6
    second = cv2.warpAffine(drawn(outline, size).astype(np.float32), matrix, size[::-1])
    alpha = cv2.GaussianBlur(second, (0, 0), 0.7)[..., None]
    return np.clip(np.round(pixels + alpha * (moved - pixels)), 0, 255).astype(np.uint8)
