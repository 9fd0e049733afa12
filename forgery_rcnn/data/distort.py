"""What augment does beside flips, turns and colours: stretched crops, elastic distortion, noise, JPEG. OpenCV on uint8 arrays.

Each takes and gives arrays and leaves its inputs as they were; all chance comes from the generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from statistics import NormalDist

import cv2
import numpy as np

from forgery_rcnn.data import images
from forgery_rcnn.data.forge import treatments

STRETCH = (0.90, 1.09)  # factors of height and width, drawn independently: Tianchi's third place
SCALE = (0.7, 1.4)  # factor of both alike, its logarithm drawn evenly
SALT_SHARE = (0.01, 0.10)  # of the forged pixels; drawn per image
NOISE_SIGMA = (3.0, 7.0)  # grey levels; drawn per image
EDGE = 1 / 8  # of a window's side: so far from its border lies the spot that it is to hold, where the image allows
QUALITY = (50, 95)  # of libjpeg; drawn per image
Spot = tuple[int, int]
COARSE = 8  # an elastic field is drawn at one point in so many pixels, for it varies over six times as many


def cut(
    pixels: np.ndarray,
    masks: np.ndarray,
    factors: Sequence[float],
    largest: tuple[int, int],
    rng: np.random.Generator,
    spot: Spot | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8, (N, H, W) bool -> the same, height and width times `factors`, then a window of at most `largest` =
    (h, w) at a random place, among those that hold the pixel `spot` = (x, y) where one is given. A side that is shorter
    stays as it is.

    The window is chosen before the image is resized, so that its own pixels are all that is.
    """
    window, size = [], []
    for side, factor, most, held in zip(pixels.shape[:2], factors, largest, (spot or (None, None))[::-1], strict=True):
        taken = min(side, max(1, round(most / factor)))
        begin = _begin(side, taken, held, rng) if taken < side else 0
        window.append(slice(begin, begin + taken))
        size.append(max(1, min(most, round(side * factor))))
    rows, columns = window
    shape = (size[0], size[1])
    kept = [images.resized_mask(mask[rows, columns], shape) for mask in masks]
    return images.resized(pixels[rows, columns], shape), np.stack(kept) if kept else np.zeros((0, *shape), bool)


def _begin(side: int, taken: int, held: int | None, rng: np.random.Generator) -> int:
    """-> where a window of `taken` pixels begins along a side: anywhere, or so that `held` is in its inner part."""
    if held is None:
        return int(rng.integers(side - taken + 1))
    margin = int(taken * EDGE)
    first, last = held - taken + 1 + margin, held - margin
    return int(np.clip(rng.integers(first, max(first, last) + 1), 0, side - taken))


def displacement(
    size: tuple[int, int], alpha: float, sigma: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(h, w) -> how far each pixel's source lies to the right of it and below it: two (h, w) float32, pixels.

    Simard et al., Best Practices for Convolutional Neural Networks, ICDAR 2003: noise, uniform in -1..1 and independent at
    each pixel, smoothed by a Gaussian of `sigma` pixels, times `alpha`. Its standard deviation is therefore
    alpha / (sigma * sqrt(12 * pi)), 0.003 pixels at alpha 1 and sigma 50. Drawn on a grid of every `COARSE`-th pixel, where
    the mean over a square of that side is as good as normal.
    """
    step = max(1, min(COARSE, int(sigma / 6)))
    rows, columns = (-(-side // step) for side in size)
    fields = []
    for _ in range(2):
        noise = rng.standard_normal((rows, columns), np.float32) * np.float32(alpha / np.sqrt(3) / step)
        smooth = cv2.GaussianBlur(noise, (0, 0), sigma / step, borderType=cv2.BORDER_REFLECT)
        grown = cv2.resize(smooth, (columns * step, rows * step), interpolation=cv2.INTER_CUBIC)
        fields.append(grown[: size[0], : size[1]])
    return fields[0], fields[1]


def elastic(
    pixels: np.ndarray, masks: np.ndarray, alpha: float, sigma: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(3, H, W) uint8, (N, H, W) bool -> the same, warped by `displacement`: bilinear, masks by their nearest pixel."""
    height, width = pixels.shape[1:]
    right, below = displacement((height, width), alpha, sigma, rng)
    x = right + np.arange(width, dtype=np.float32)
    y = below + np.arange(height, dtype=np.float32)[:, None]
    places = cv2.convertMaps(x, y, cv2.CV_16SC2)
    border = cv2.BORDER_REPLICATE  # a mirrored border would be a copy that no mask tells of
    warped = np.stack([cv2.remap(plane, *places, cv2.INTER_LINEAR, borderMode=border) for plane in pixels])
    if not len(masks):
        return warped, masks
    nearest = cv2.convertMaps(x, y, cv2.CV_16SC2, nninterpolation=True)[0]
    layers = np.ascontiguousarray(masks, bool).view(np.uint8)
    moved = [cv2.remap(layer, nearest, None, cv2.INTER_NEAREST, borderMode=border) for layer in layers]
    return warped, np.stack(moved).view(bool)


def salted(pixels: np.ndarray, masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(3, H, W) uint8, (N, H, W) bool -> a copy, a share of `SALT_SHARE` of its forged pixels black or white."""
    forged = np.flatnonzero(masks.any(axis=0))
    hit = forged[rng.random(len(forged), np.float32) < rng.uniform(*SALT_SHARE)]
    out = pixels.copy()
    out.reshape(3, -1)[:, hit] = rng.integers(0, 2, len(hit), np.uint8) * np.uint8(255)
    return out


def noisy(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(3, H, W) uint8 -> the same with normal noise, independent at each value, of a deviation drawn from `NOISE_SIGMA`.

    Sixteen random bits for each value go through a table of the normal quantiles: five times as fast as numpy's normal numbers.
    """
    levels = np.rint(_quantiles() * rng.uniform(*NOISE_SIGMA)).astype(np.int16)
    noise = levels[rng.integers(0, 2**16, pixels.size, np.uint16)]
    flat = np.ascontiguousarray(pixels).reshape(-1, pixels.shape[2])
    return cv2.add(flat, noise.reshape(flat.shape), dtype=cv2.CV_8U).reshape(pixels.shape)


def compressed(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(3, H, W) uint8 -> the same, saved as JPEG of a quality drawn from `QUALITY` and read again; its grid of blocks begins
    anywhere, as that of a saved figure does in a window of it."""
    how = {
        "shift": rng.integers(0, 8, 2).tolist(),
        "subsampling": str(rng.choice(treatments.SUBSAMPLINGS)),
        "quality": int(rng.integers(QUALITY[0], QUALITY[1] + 1)),
    }
    return treatments.jpeg(pixels.transpose(1, 2, 0), how).transpose(2, 0, 1).copy("C")


@cache
def _quantiles() -> np.ndarray:
    """(65536,) float64, the standard normal's quantiles at the middles of as many equal shares."""
    lower = np.array([NormalDist().inv_cdf((index + 0.5) / 2**16) for index in range(2**15)])
    return np.concatenate((lower, -lower[::-1]))
