"""Removal: something is filled in from its surroundings; the filled region is marked."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from forgery_rcnn.data.forge import blend
from forgery_rcnn.data.forge.regions import Region
from forgery_rcnn.data.forge.work import Step, Work

LARGEST_INPAINTED = 2_500  # pixels; OpenCV's methods smear in stars beyond
MARGIN = 24  # pixels around the region that a filler may look at
CANDIDATES = 120


def removal(work: Work, area: float, rng: np.random.Generator) -> Step | None:
    """An object, or a piece of the picture, gone."""
    panels = work.panels(1.5 * area)
    if not panels:
        return None
    panel = int(rng.choice(panels))
    region = work.shape(panel, area, rng)
    if region is None:
        return None
    names = list(FILLERS) if region.area <= LARGEST_INPAINTED else ["exemplar", "diffusion"]
    name = str(rng.choice(names))
    wide = region.padded(MARGIN).clipped(work.size)
    usable = (wide.window(work.scene.room) == panel) & ~wide.mask  # not letters, gutters or another thing's label
    pixels = FILLERS[name](wide.window(work.after), wide.mask, usable, rng)

    def brought(window: Region) -> np.ndarray:
        return Region(window.y - wide.y, window.x - wide.x, window.mask).window(pixels)

    if not work.paste(region, brought, "feathered" if name == "exemplar" else "hard", rng):
        return None
    return Step("removal", {"filler": name}, (region,), None, (region,))


def telea(pixels: np.ndarray, mask: np.ndarray, usable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Telea 2004: fast marching."""
    return cv2.inpaint(pixels, mask.astype(np.uint8), float(rng.uniform(2, 5)), cv2.INPAINT_TELEA)


def navier_stokes(pixels: np.ndarray, mask: np.ndarray, usable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bertalmio et al. 2001: lines of equal brightness are carried on."""
    return cv2.inpaint(pixels, mask.astype(np.uint8), float(rng.uniform(2, 5)), cv2.INPAINT_NS)


def diffusion(pixels: np.ndarray, mask: np.ndarray, usable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smooth colours from the rim (normalised convolution, coarse to fine), with the surroundings' grain upon them."""
    known = usable.astype(np.float32)
    filled = pixels * known[..., None]
    smooth, weight = np.zeros_like(filled), np.zeros_like(known)
    for sigma in (2.0, 6.0, 18.0, 54.0):  # the nearest known colours first
        part, share = (
            cv2.GaussianBlur(array, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) for array in (filled, known)
        )
        gap = (1 - weight) * np.minimum(share * 4, 1)
        smooth += gap[..., None] * part / np.maximum(share, 1e-6)[..., None]
        weight += gap
    smooth /= np.maximum(weight, 1e-6)[..., None]
    detail = (pixels - cv2.GaussianBlur(pixels, (0, 0), 1.5).astype(np.float32))[usable]
    grain = 1.4826 * float(np.median(np.abs(detail))) if detail.size else 0.0  # of the texture, not of its edges
    noise = rng.standard_normal(mask.shape).astype(np.float32) * grain * rng.choice((0.0, 1.0))
    return np.where(mask[..., None], np.clip(smooth + noise[..., None], 0, 255), pixels).astype(np.uint8)


def exemplar(pixels: np.ndarray, mask: np.ndarray, usable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Patches from around, laid from the rim inwards, each the best of some at agreeing with what is there (Efros, Freeman 2001)."""
    side = int(np.clip(round(mask.sum() ** 0.5 / 5), 7, 17))
    filled, missing = pixels.copy(), mask.copy()
    positions = np.argwhere(
        cv2.erode(usable.astype(np.uint8), np.ones((side, side)), anchor=(0, 0), borderValue=0)[: 1 - side, : 1 - side]
    )
    if not len(positions):
        return telea(pixels, mask, usable, rng)
    while missing.any():
        depth = cv2.distanceTransform(missing.astype(np.uint8), cv2.DIST_L2, 3)
        ys, xs = np.nonzero(missing & (depth <= 1.5))
        pick = int(rng.integers(len(ys)))
        y = int(np.clip(ys[pick] - side // 2, 0, mask.shape[0] - side))
        x = int(np.clip(xs[pick] - side // 2, 0, mask.shape[1] - side))
        _lay(filled, missing, (y, x), side, positions[rng.integers(len(positions), size=CANDIDATES)], pixels)
    return filled


def _lay(
    filled: np.ndarray, missing: np.ndarray, at: tuple[int, int], side: int, candidates: np.ndarray, pixels: np.ndarray
) -> None:
    """Fill what is missing of the patch at `at` from the candidate that agrees best with the rest of the patch."""
    y, x = at
    window, hole = filled[y : y + side, x : x + side], missing[y : y + side, x : x + side]
    patches = np.stack([pixels[cy : cy + side, cx : cx + side] for cy, cx in candidates])
    difference = (patches.astype(np.float32) - window)[:, ~hole]
    best = patches[np.argmin((difference**2).sum(axis=(1, 2)))] if (~hole).any() else patches[0]
    opacity = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 1.0)
    opacity[hole] = 1
    window[:] = blend.mixed(window, best, opacity)
    hole[:] = False


Filler = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""(h, w, 3) uint8, the hole (h, w) bool, what may be looked at (h, w) bool, generator -> (h, w, 3) uint8."""
FILLERS: dict[str, Filler] = {
    "telea": telea,
    "navier_stokes": navier_stokes,
    "exemplar": exemplar,
    "diffusion": diffusion,
}
