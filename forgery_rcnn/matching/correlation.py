"""Shifted copies of noise, flat background and weak texture: blocks of high-passed detail correlated with the whole image.

A copy gives a peak one or two pixels wide at its offset, whatever the region shows; objects that merely look alike give
broad ones. Copies without loss, turned by quarters and mirrored too, are found by hashing (field_exact).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from scipy import fft

from forgery_rcnn.matching import field_exact
from forgery_rcnn.matching.pairs import Figure, Hypothesis

DETAIL = 2.0  # pixels: what is left of the image after subtracting a Gaussian of this width
AROUND = 8.0  # pixels: detail is divided by its own strength within a Gaussian of this width
FAINT = 0.05  # grey levels squared, added to that strength: nothing at all stays nothing
CLIP = 3.0  # times the local strength
WHITENED = 0.5  # exponent: 1 gives all frequencies one strength, and JPEG's rounding too much of it
BLOCKS = 36  # about so many cover the image
WHOLE = 500_000  # pixels: of larger images the blocks are larger and fewer, so that time grows with the area alone
SMALLEST = 96  # pixels, side of a block
LATTICE = 8  # JPEG's: offsets by its multiples agree more often by chance and are compared among themselves
CLOSEST = 16  # pixels: shorter offsets are texture's own correlation
PEAK = 4.6  # standard deviations of the correlation map; the largest of a million chance values is about 5
LOOKED_AT = 16  # highest places of a map, for the sharpest of which
PEAKS = 3  # are kept
RING = 8  # pixels: a needle stands out against what surrounds it so far
WINDOWS = (24, 48)  # pixels: where in its block a peak comes from
GRAIN = 4  # pixels, step of those windows
CERTAIN = 6.0  # see `_local`; chance over all windows and blocks gives about 7
MOTIONS = 12  # reported at most
SEEDS = 200


@dataclass(frozen=True)
class _Peak:
    """Offset of a block's content to another place, x y, pixels; how sure; (K, 2) float32 x y, where in the block."""

    offset: tuple[int, int]
    score: float
    seeds: np.ndarray


def hypotheses(figure: Figure) -> list[Hypothesis]:
    """-> exact copies under the symmetries of the square, then near-exact ones under shifts, each best first."""
    return field_exact.hypotheses(figure) + shifts(figure)


def shifts(figure: Figure) -> list[Hypothesis]:
    """-> shifts, whole pixels, that carry detail of some block onto the same detail elsewhere, best first."""
    height, width = figure.size
    if min(height, width) < 2 * CLOSEST:
        return []
    shape = _padded(height), _padded(width)
    detail = _whitened(_detail(figure), shape)
    usable = cv2.boxFilter(np.float32(_usable(figure)), -1, (9, 9), normalize=True) > 0.99
    detail[:height, :width] *= usable
    area = height * width
    side = max(SMALLEST, int(np.ceil(np.sqrt(area / BLOCKS * max(1.0, area / WHOLE)))))
    peaks: list[_Peak] = []
    above: list[np.ndarray] = []  # maps of two neighbours of the row before
    for y in range(0, height - side // 4, side):
        # Of two places that are alike one is the upper: each block is compared with what is beside and below it alone.
        below = np.zeros((_padded(height - y), shape[1]), np.float32)
        below[: height - y] = detail[y:height]
        spectrum = fft.rfft2(below)
        row = [_map(below, spectrum, x, side) for x in range(0, width - side // 4, side)]
        for number, block in enumerate(row):
            peaks += _peaks(block, detail, (y, number * side), side)
        twos = [left + right for left, right in pairwise(row)]
        for number, (upper, lower) in enumerate(zip(above, twos, strict=False)):
            # Regions across the borders of blocks; the maps of four have twice one's spread.
            peaks += _peaks((upper[: len(lower)] + lower) / 2, detail, (y - side, number * side), 2 * side)
        above = twos
    return _grouped(peaks)


def _padded(length: int) -> int:
    """-> the next length that the Fourier transform is fast for and JPEG's lattice divides."""
    length = -(-length // LATTICE)
    while fft.next_fast_len(length, real=True) != length:
        length += 1
    return length * LATTICE


def _usable(figure: Figure) -> np.ndarray:
    """-> (H, W) bool: neither ignored nor saturated."""
    return ~figure.ignored & (figure.gray > 0.5) & (figure.gray < 254.5)


def _detail(figure: Figure) -> np.ndarray:
    """-> (H, W) float32, what is finer than DETAIL, evened out to standard deviation 1 everywhere."""
    detail = figure.gray - cv2.GaussianBlur(figure.gray, (0, 0), DETAIL)
    power = cv2.resize(detail * detail, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    power = cv2.resize(cv2.GaussianBlur(power, (0, 0), AROUND / 4), detail.shape[::-1], interpolation=cv2.INTER_LINEAR)
    detail /= np.sqrt(power + FAINT)
    return np.clip(detail, -CLIP, CLIP, out=detail)


def _whitened(detail: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 -> `shape` float32, frequencies evened out by the square root of their strength, zeros around."""
    spectrum = fft.rfft2(detail, shape)
    strength = np.abs(spectrum)
    level = cv2.blur(strength, (15, 15))
    level += 1e-3 * float(level.mean()) + 1e-9
    spectrum /= level**WHITENED
    even = fft.irfft2(spectrum, shape)
    even[detail.shape[0] :] = 0
    even[:, detail.shape[1] :] = 0
    return even / max(float(even.std()), 1e-9)


def _map(below: np.ndarray, spectrum: np.ndarray, x: int, side: int) -> np.ndarray:
    """-> (H', W') float32, correlation of the block at the top from column x on with all of `below` at every offset, cyclic."""
    block = np.zeros((min(side, len(below)), below.shape[1]), np.float32)
    block[:, x : x + side] = below[:side, x : x + side]
    rows = fft.fft(fft.rfft(block, axis=1), n=len(below), axis=0, overwrite_x=True)
    np.conj(rows, out=rows)
    rows *= spectrum
    return _evened(fft.irfft2(rows, below.shape, overwrite_x=True))


def _evened(correlation: np.ndarray) -> np.ndarray:
    """(H', W') float32 -> the same, in place, in standard deviations over offsets alike to JPEG's lattice; 0 near no offset."""
    h, w = correlation.shape
    cells = correlation.reshape(h // LATTICE, LATTICE, w // LATTICE, LATTICE)
    some = cells[::4]
    spread = np.sqrt(np.einsum("aibj,aibj->ij", some, some) / (some.shape[0] * some.shape[2]) + 1e-6)
    correlation.reshape(h // LATTICE, LATTICE, w)[:] *= np.tile(np.float32(1) / spread, w // LATTICE)
    near = np.arange(-CLOSEST, CLOSEST + 1)
    correlation[np.ix_(near, near)] = 0
    return correlation


def _peaks(values: np.ndarray, detail: np.ndarray, corner: tuple[int, int], side: int) -> list[_Peak]:
    """(H', W') evened correlation map of the block at (y, x) -> its sharpest needles that the block's pixels bear out."""
    h, w = values.shape
    highest = values.reshape(h // LATTICE, LATTICE, w).max(1).reshape(h // LATTICE, w // LATTICE, LATTICE).max(2)
    count = min(LOOKED_AT, highest.size)
    needles = []
    for cell in np.argpartition(-highest.ravel(), count - 1)[:count]:
        top, left = (LATTICE * int(i) for i in divmod(int(cell), highest.shape[1]))
        inside = values[top : top + LATTICE, left : left + LATTICE]
        y, x = divmod(int(inside.argmax()), LATTICE)
        y, x = top + y, left + x
        ring = values.take(np.arange(y - RING, y + RING + 1), 0, mode="wrap")
        ring = ring.take(np.arange(x - RING, x + RING + 1), 1, mode="wrap")
        height = float(values[y, x])
        ring[RING - 2 : RING + 3, RING - 2 : RING + 3] = 0
        if height > PEAK:
            needles.append((float(ring.max()) - height, x - w if x > w // 2 else x, y - h if y > h // 2 else y))
    found = [_local(detail, corner, side, (x, y)) for _, x, y in sorted(needles)[:PEAKS]]
    return [peak for peak in found if peak is not None]


def _local(detail: np.ndarray, corner: tuple[int, int], side: int, offset: tuple[int, int]) -> _Peak | None:
    """-> the offset x y (cyclic) with the part of the block whose detail agrees most, if it agrees beyond chance."""
    for dx in {offset[0], offset[0] - int(np.sign(offset[0])) * detail.shape[1]}:
        for dy in {offset[1], offset[1] - int(np.sign(offset[1])) * detail.shape[0]}:
            y0, x0 = max(corner[0], -dy), max(corner[1], -dx)
            y1 = min(corner[0] + side, detail.shape[0], detail.shape[0] - dy)
            x1 = min(corner[1] + side, detail.shape[1], detail.shape[1] - dx)
            if min(y1 - y0, x1 - x0) < WINDOWS[0]:
                continue
            found = _agreeing(detail[y0:y1, x0:x1], detail[y0 + dy : y1 + dy, x0 + dx : x1 + dx])
            if found[0] >= CERTAIN:
                return _Peak((dx, dy), found[0], found[1] + np.float32([x0, y0]))
    return None


def _agreeing(one: np.ndarray, other: np.ndarray) -> tuple[float, np.ndarray]:
    """Two (h, w) -> how far the best window agrees beyond what is beside it, and (K, 2) float32 x y of windows like it."""
    small = one.shape[1] // GRAIN, one.shape[0] // GRAIN
    one, other = (side[: small[1] * GRAIN, : small[0] * GRAIN] for side in (one, other))
    products = [
        cv2.resize(a * b, small, interpolation=cv2.INTER_AREA) for a, b in ((one, other), (one, one), (other, other))
    ]
    best, seeds = 0.0, np.zeros((0, 2), np.float32)
    for side in WINDOWS:
        cells = side // GRAIN
        if min(small) < cells:
            continue
        both, left, right = (cv2.blur(p, (cells, cells), borderType=cv2.BORDER_CONSTANT) for p in products)
        alike = both / np.sqrt(left * right + 0.02)
        highest = float(alike.max())
        if side * highest < max(best, CERTAIN):
            continue
        y, x = (GRAIN * i + GRAIN // 2 for i in divmod(int(alike.argmax()), small[0]))
        score = side * (highest - _beside(one, other, (y, x), side // 2))
        if score > best:
            places = GRAIN * np.argwhere(alike > 0.6 * highest)[:, ::-1] + (GRAIN - 1) / 2
            best, seeds = score, np.float32(places[:: max(1, -(-len(places) // SEEDS))])
    return best, seeds


def _beside(one: np.ndarray, other: np.ndarray, centre: tuple[int, int], reach: int) -> float:
    """-> the highest correlation of the window around (y, x) of one with places of the other 3..8 pixels beside it."""
    y, x = centre
    y0, x0, y1, x1 = max(0, y - reach), max(0, x - reach), y + reach + 1, x + reach + 1
    template = one[y0:y1, x0:x1]
    top, left = max(0, y0 - 8), max(0, x0 - 8)
    values = cv2.matchTemplate(other[top : y1 + 8, left : x1 + 8], template, cv2.TM_CCORR_NORMED)
    values[max(0, y0 - top - 2) : y0 - top + 3, max(0, x0 - left - 2) : x0 - left + 3] = 0
    return float(values.max())


def _grouped(peaks: list[_Peak]) -> list[Hypothesis]:
    """-> one hypothesis for each offset, up to a pixel and to its sign, the best peaks first."""
    chosen: list[_Peak] = []
    for peak in sorted(peaks, key=lambda peak: -peak.score):
        known = [
            np.abs(np.subtract(peak.offset, np.multiply(sign, c.offset))).max() for c in chosen for sign in (1, -1)
        ]
        if len(chosen) < MOTIONS and min(known, default=9) > 1:
            chosen.append(peak)
    return [
        Hypothesis(
            np.array([[1.0, 0.0, p.offset[0]], [0.0, 1.0, p.offset[1]]]),
            p.seeds,
            p.seeds + np.float32(p.offset),
            "correlation",
        )
        for p in chosen
    ]
