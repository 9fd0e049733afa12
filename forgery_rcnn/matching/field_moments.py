"""What an image shows around each pixel, told by Zernike moments: turning it shifts their phases, mirroring negates them.

Zernike, Physica 1 (1934); as features of a dense field in Cozzolino, Poggi & Verdoliva, Efficient Dense-Field Copy-Move
Forgery Detection, IEEE TIFS 10 (2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import factorial

import cv2
import numpy as np

ORDERS = ((2, 0), (4, 0), (1, 1), (3, 1), (5, 1), (2, 2), (4, 2), (3, 3), (5, 3), (4, 4), (5, 5))
"""n and m of the moments used. The mean (0, 0) is left out of the comparison of shapes."""
RADIUS = 5  # pixels of the field: smaller ones tell less, larger ones need larger copies
SCALES = (1.0, 1.3)  # of the second place against the first; moments bear with 15 % either way
ANGLES = 24  # tried; the peak between them is found by a parabola
MEAN = 0.25  # weight of the difference of the means: pasted regions are often made lighter or darker
TURNS = np.arange(ANGLES) * (2 * np.pi / ANGLES)


@dataclass(frozen=True)
class Level:
    """The field made smaller by `scale`: its rows in Moments begin at `start`; size (H, W)."""

    scale: float
    start: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Moments:
    """values: (N, 2 * M) float32, real then imaginary parts, by level, row and column, in grey levels; energy, mean: (N,)
    float32, sum of their squares and the disc's mean; still: (N, M + 1) float32, what neither turning nor mirroring changes, in grey
    levels; levels: by scale, the field itself first.
    """

    values: np.ndarray
    energy: np.ndarray
    mean: np.ndarray
    still: np.ndarray
    levels: tuple[Level, ...]


def moments(gray: np.ndarray) -> Moments:
    """(H, W) float32, the field's pixels -> the moments of the disc around each, in the field and in it made smaller."""
    levels, fields, start = [], [], 0
    for scale in SCALES:
        shape = max(1, round(gray.shape[1] / scale)), max(1, round(gray.shape[0] / scale))
        fields.append(gray if scale == 1 else cv2.resize(gray, shape, interpolation=cv2.INTER_AREA))
        levels.append(Level(scale, start, shape[::-1]))
        start += fields[-1].size
    planes = np.empty((2 * len(ORDERS) + 1, start), np.float32)  # filled one by one, and turned when they are looked up
    for plane, kernel in zip(planes, _kernels(RADIUS), strict=True):
        for level, small in zip(levels, fields, strict=True):
            part = plane[level.start : level.start + small.size].reshape(small.shape)
            cv2.filter2D(small, cv2.CV_32F, kernel, dst=part, borderType=cv2.BORDER_REFLECT)
    mean, parts = planes[0], planes[1:]
    energy = np.einsum("ji,ji->i", parts, parts)
    return Moments(cv2.transpose(parts), energy, mean, _still(parts, mean), tuple(levels))


def _still(parts: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(2 * M, N), (N,) -> (N, M + 1), lengths of the moments, signed where m is 0, and the weighted mean."""
    count = len(ORDERS)
    lengths = np.empty((count + 1, len(mean)), np.float32)
    for length, real, imaginary, (_, m) in zip(lengths, parts, parts[count:], ORDERS, strict=False):
        if m:
            np.multiply(real, real, out=length)
            length += imaginary * imaginary
            np.sqrt(length, out=length)
        else:
            length[:] = real
    lengths[count] = np.sqrt(MEAN) * mean
    return cv2.transpose(lengths)


@cache
def _kernels(radius: float) -> tuple[np.ndarray, ...]:
    """-> mean, real parts, imaginary parts (zero where m is 0) as (K, K) float32 correlation kernels."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] / radius
    rho, theta = np.hypot(x, y), np.arctan2(y, x)
    disc = np.clip((1 - rho) * radius + 0.5, 0, 1)
    disc /= disc.sum()
    real, imaginary = [], []
    for n, m in ORDERS:
        radial = sum(
            (-1) ** k
            * factorial(n - k)
            / (factorial(k) * factorial((n + m) // 2 - k) * factorial((n - m) // 2 - k))
            * np.minimum(rho, 1) ** (n - 2 * k)
            for k in range((n - m) // 2 + 1)
        )
        # Normalised so that squares add up to the variance of the disc's pixels.
        radial = radial * np.sqrt((n + 1) * (2 if m else 1))
        for parts, wave in ((real, np.cos(m * theta)), (imaginary, -np.sin(m * theta))):
            kernel = radial * wave
            parts.append(np.float32((kernel - (kernel * disc).sum()) * disc))
    return (np.float32(disc), *real, *imaginary)


@cache
def _trial() -> np.ndarray:
    """-> (4 * M, 2 * ANGLES) float32: products of parts (re re, im im, im re, re im) -> likeness by angle, mirrored last."""
    m = np.array([order[1] for order in ORDERS])[:, None]
    cos, sin = np.cos(m * TURNS), np.sin(m * TURNS)
    plain = np.concatenate([cos, cos, sin, -sin])
    mirrored = np.concatenate([cos, -cos, -sin, -sin])
    return np.float32(np.concatenate([plain, mirrored], 1))


def compared(field: Moments, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two (K,) int rows of `field` -> (K,) float32 squared distance in grey levels at the best angle, that angle in radians
    (x towards y), and (K,) bool whether mirrored. A mirrored place has y negated first, then it is turned.
    """
    count = len(ORDERS)
    one, other = field.values.take(first, 0), field.values.take(second, 0)
    a, b, c, d = one[:, :count], one[:, count:], other[:, :count], other[:, count:]
    likeness = np.concatenate([a * c, b * d, b * c, a * d], 1) @ _trial()
    best = likeness.argmax(1)
    rows = np.arange(len(best))
    mirrored, step = best >= ANGLES, best % ANGLES
    base = best - step
    peak = likeness[rows, best]
    left, right = likeness[rows, base + (step - 1) % ANGLES], likeness[rows, base + (step + 1) % ANGLES]
    bend = np.maximum(2 * peak - left - right, 1e-6)
    aside = np.clip((right - left) / (2 * bend), -0.5, 0.5)
    peak = peak + (right - left) * aside / 4
    distance = field.energy[first] + field.energy[second] - 2 * peak
    distance += MEAN * (field.mean[first] - field.mean[second]) ** 2
    return distance, np.float32((step + aside) * (2 * np.pi / ANGLES)), mirrored
