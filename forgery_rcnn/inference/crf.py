"""Fully connected conditional random field of two classes (Krähenbühl & Koltun, NIPS 2011), with one bilateral term.

Every pixel speaks to every other with weight exp(-|dx|^2 / 2 spatial^2 - |dcolour|^2 / 2 colour^2), normalised on both
sides, Potts compatibility, mean field. `by_mean_field` solves the field on nodes, squares of about spatial / 2.5 pixels,
with the Gaussian itself rather than a lattice's approximation, and carries the message to the pixels as a local linear
function of their colour (guided upsampling; He & Sun, arXiv 1505.00996). `by_pydensecrf` asks the package of that name.
Their masks differ (docs/results/crf.md), so neither ever stands in for the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import cv2
import numpy as np

from forgery_rcnn.errors import require
from forgery_rcnn.inference_config import Refine

CLIP = 1e-5  # no probability is nearer to 0 or 1: its logarithm must be finite
PER_SIGMA = 2.5  # nodes to one standard deviation; docs/results/crf.md has what more of them cost and bring
REACH = 2.5  # standard deviations at which the Gaussian is cut: 4 % of its height is left
MARGIN = 5  # standard deviations around a tile that are solved with it
TILE_NODES, TILE_PIXELS = 512, 2048  # a tile's side, whichever is smaller: some 0.3 GB of weights and planes
LARGEST = 2048 * 2048  # pixels; pydensecrf2 needs 60 bytes and more for each
FIT_RADIUS, FIT_EPS = 2, 0.1  # of the linear fit: nodes, and (colour deviations)^2

Weights = list[tuple[tuple[slice, slice], tuple[slice, slice], np.ndarray]]


def by_mean_field(heatmap: np.ndarray, pixels: np.ndarray, config: Refine, per_sigma: float = PER_SIGMA) -> np.ndarray:
    """(H, W) float32 in 0..1, (H, W, 3) uint8 -> (H, W) float32, the field's probability of forged; `config.spatial` is in
    pixels of this image. per_sigma: nodes to a spatial deviation. Tile by tile, so that memory is bounded."""
    step = max(1, round(config.spatial / per_sigma))
    side = max(1, min(TILE_NODES, TILE_PIXELS // step)) * step
    margin = int(np.ceil(MARGIN * config.spatial / step)) * step
    height, width = heatmap.shape
    found = np.empty((height, width), np.float32)
    for y in range(0, height, side):
        for x in range(0, width, side):
            inner = slice(y, min(y + side, height)), slice(x, min(x + side, width))
            outer = slice(max(0, y - margin), y + side + margin), slice(max(0, x - margin), x + side + margin)
            message = _message(heatmap[outer], pixels[outer], step, config, tuple(i.start for i in outer), inner)
            logit = _logit(heatmap[inner]) + np.float32(config.compat) * message
            found[inner] = _squash(logit) * np.float32(0.5) + np.float32(0.5)
    return found


def by_pydensecrf(heatmap: np.ndarray, pixels: np.ndarray, config: Refine) -> np.ndarray:
    """As `by_mean_field`, by the permutohedral lattice of pydensecrf2. Raises InputError: not installed, image too large."""
    height, width = heatmap.shape
    fix = "use --inference.refine.method crf"
    require(find_spec("pydensecrf") is not None, f"pydensecrf2 is not installed: pip install '.[crf]', or {fix}")
    from pydensecrf.densecrf import DenseCRF2D

    require(
        height * width <= LARGEST,
        f"pydensecrf2: {width} x {height} px need more than {LARGEST * 60 / 1e9:.1f} GB; {fix}",
    )
    forged = _clipped(heatmap)
    unary = -np.log(np.stack([1 - forged, forged]).reshape(2, -1))
    field = DenseCRF2D(width, height, 2)
    field.setUnaryEnergy(np.ascontiguousarray(unary, np.float32))
    field.addPairwiseBilateral(
        sxy=(config.spatial,) * 2,
        srgb=(config.colour,) * 3,
        rgbim=np.ascontiguousarray(pixels),
        compat=config.compat,
    )
    return np.array(field.inference(config.iterations), np.float32)[1].reshape(height, width)


def _message(
    heatmap: np.ndarray,
    pixels: np.ndarray,
    step: int,
    config: Refine,
    start: tuple[int, ...],
    inner: tuple[slice, slice],
) -> np.ndarray:
    """A tile with its margin, which begins at `start` (y, x) of the image -> the message to the pixels of `inner`, a
    window of the image: (h, w) float32, about -1 (authentic) to 1 (forged)."""
    colours = _nodes(pixels, step).astype(np.float32) / np.float32(config.colour)
    message = mean_field(_nodes(heatmap, step), colours, config.spatial / step, config.compat, config.iterations)
    if step == 1:
        return message[tuple(slice(i.start - a, i.stop - a) for i, a in zip(inner, start, strict=True))]
    # A node more on each side: the upsampling is linear between the centres of nodes.
    first = [max(0, (i.start - a) // step - 1) for i, a in zip(inner, start, strict=True)]
    last = [-(-(i.stop - a) // step) + 1 for i, a in zip(inner, start, strict=True)]
    window = slice(first[0], last[0]), slice(first[1], last[1])
    planes = [plane[window] for plane in _linear_fit(message, colours)]
    part = tuple(
        slice(i.start - a - f * step, i.stop - a - f * step) for i, a, f in zip(inner, start, first, strict=True)
    )
    sides = tuple(step * side for side in planes[0].shape[::-1])
    whole = [cv2.resize(plane, sides, interpolation=cv2.INTER_LINEAR)[part] for plane in planes]
    found = whole[3]
    size = tuple(i.stop - i.start for i in inner)
    top, left = (i.start - a for i, a in zip(inner, start, strict=True))
    seen = pixels[top : top + size[0], left : left + size[1]]
    for channel in range(3):
        found = found + whole[channel] * (seen[..., channel].astype(np.float32) / np.float32(config.colour))
    return found


def mean_field(forged: np.ndarray, colours: np.ndarray, spatial: float, compat: float, iterations: int) -> np.ndarray:
    """(h, w) float32 probabilities, (h, w, 3) float32 colours in deviations, spatial in nodes -> (h, w) float32: the
    last message, sum over j of k_ij (2 q_j - 1) / sqrt(n_i n_j).

    With two classes q0 + q1 = 1, so one plane says all: logit(q) = logit(p) + compat * message.
    """
    weights = _gaussian(colours, spatial)
    norm = 1 / np.sqrt(_filtered(np.ones_like(forged), weights))
    logit = _logit(forged)
    message = norm * _filtered(norm * _squash(logit), weights)
    for _ in range(iterations - 1):
        message = norm * _filtered(norm * _squash(logit + np.float32(compat) * message), weights)
    return message


def _gaussian(colours: np.ndarray, spatial: float) -> Weights:
    """The kernel, offset by offset, for half of the offsets (it is symmetric): (here, there, weights) each."""
    height, width = colours.shape[:2]
    planes = [np.ascontiguousarray(colours[..., c]) for c in range(3)]
    found: Weights = []
    for dy, dx in _offsets(REACH * spatial):
        if dy >= height or abs(dx) >= width:
            continue
        here = slice(dy, None), slice(max(dx, 0), width + min(dx, 0))
        there = slice(0, height - dy), slice(max(-dx, 0), width + min(-dx, 0))
        energy = np.full((height - dy, width - abs(dx)), (dx * dx + dy * dy) / (-2 * spatial**2), np.float32)
        for plane in planes:
            apart = plane[here] - plane[there]
            apart *= apart
            apart *= np.float32(0.5)
            energy -= apart
        found.append((here, there, np.exp(energy, out=energy)))
    return found


def _offsets(radius: float) -> Iterator[tuple[int, int]]:
    """(dy, dx) of half a disc, without its centre."""
    whole = int(radius)
    for dy in range(whole + 1):
        for dx in range(-whole, whole + 1):
            if (dy or dx > 0) and dx * dx + dy * dy <= radius * radius:
                yield dy, dx


def _filtered(values: np.ndarray, weights: Weights) -> np.ndarray:
    found = values.copy()
    for here, there, weight in weights:
        found[here] += weight * values[there]
        found[there] += weight * values[here]
    return found


def _linear_fit(message: np.ndarray, colours: np.ndarray) -> list[np.ndarray]:
    """(h, w), (h, w, 3) float32 -> four (h, w) planes a, b, c, d: around each node, message = a r + b g + c b + d.

    Least squares in a window, with a ridge, then the mean over the windows: guided filtering (He et al., TPAMI 2013).
    """
    side = (2 * FIT_RADIUS + 1,) * 2

    def mean(plane: np.ndarray) -> np.ndarray:
        return cv2.blur(plane, side, borderType=cv2.BORDER_REPLICATE)

    centre = colours.reshape(-1, 3).mean(axis=0)  # small numbers: the covariances are differences
    planes = [np.ascontiguousarray(colours[..., c] - centre[c]) for c in range(3)]
    means, average = [mean(plane) for plane in planes], mean(message)
    rows = [
        [mean(p * q) - a * b for q, b in zip(planes, means, strict=True)] for p, a in zip(planes, means, strict=True)
    ]
    for i in range(3):
        rows[i][i] = rows[i][i] + np.float32(FIT_EPS)
    against = [mean(p * message) - a * average for p, a in zip(planes, means, strict=True)]
    crosses = [_cross(rows[1], rows[2]), _cross(rows[2], rows[0]), _cross(rows[0], rows[1])]
    volume = _dot(rows[0], crosses[0])
    slopes = [_dot([cross[i] for cross in crosses], against) / volume for i in range(3)]
    level = average - _dot(slopes, means)
    slopes, level = [mean(slope) for slope in slopes], mean(level)
    return [*slopes, level - sum(slope * c for slope, c in zip(slopes, centre, strict=True))]


def _cross(a: list[np.ndarray], b: list[np.ndarray]) -> list[np.ndarray]:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def _dot(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _nodes(plane: np.ndarray, step: int) -> np.ndarray:
    """The mean of each square of step x step pixels; the last ones are filled up with the border's pixels."""
    height, width = plane.shape[:2]
    below, right = -height % step, -width % step
    if below or right:
        plane = cv2.copyMakeBorder(np.ascontiguousarray(plane), 0, below, 0, right, cv2.BORDER_REPLICATE)
    nodes = ((width + right) // step, (height + below) // step)
    return np.ascontiguousarray(plane) if step == 1 else cv2.resize(plane, nodes, interpolation=cv2.INTER_AREA)


def _clipped(forged: np.ndarray) -> np.ndarray:
    return np.clip(forged, np.float32(CLIP), np.float32(1 - CLIP))


def _logit(forged: np.ndarray) -> np.ndarray:
    inside = _clipped(forged)
    return np.log(inside / (1 - inside))


def _squash(logit: np.ndarray) -> np.ndarray:
    """2 sigmoid - 1, which cannot overflow."""
    return np.tanh(logit * np.float32(0.5))
