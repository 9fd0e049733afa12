"""Retouch: a region's own pixels, changed in place; or a band of background cloned over what was there."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from forgery_rcnn.data.forge.regions import Region, rectangle
from forgery_rcnn.data.forge.work import Rim, Step, Work


def retouch(work: Work, area: float, rng: np.random.Generator) -> Step | None:
    """One region made lighter, darker, harder, softer or blurred, or covered by background."""
    panels = work.panels(1.5 * area)
    if not panels:
        return None
    panel = int(rng.choice(panels))
    name = str(rng.choice(list(RETOUCHES)))
    region = _band(work, panel, area, rng) if name == "background" else work.shape(panel, area, rng)
    if region is None:
        return None

    def brought(wide: Region) -> np.ndarray:
        if name == "background":
            return _background(work, wide, panel, rng)
        return RETOUCHES[name](wide.window(work.after), rng)

    if not work.paste(region, brought, "feathered", rng):
        return None
    return Step("retouch", {"retouch": name}, (region,), None, (region,))


def contrast(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """More contrast about the mean, or less."""
    mean = pixels.mean(axis=(0, 1))
    return np.clip(
        mean + (pixels - mean) * float(rng.choice((rng.uniform(0.25, 0.6), rng.uniform(1.6, 2.4)))), 0, 255
    ).astype(np.uint8)


def brightness(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A gamma curve."""
    gamma = float(rng.choice((rng.uniform(0.45, 0.72), rng.uniform(1.4, 2.2))))
    return cv2.LUT(pixels, np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8))


def blur(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaussian, of 2.5 to 6 pixels."""
    return cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(2.5, 6)))


RETOUCHES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "contrast": contrast,
    "brightness": brightness,
    "blur": blur,
    "background": lambda pixels, rng: pixels,
}


def _band(work: Work, panel: int, area: float, rng: np.random.Generator) -> Region | None:
    """A rectangle of about `area` pixels, rather wide than high, over the liveliest free place of some."""
    width = int(np.sqrt(area * rng.uniform(1.2, 5)))
    height = max(4, int(area / max(width, 1)))
    ys, xs = np.nonzero(work.free[::4, ::4] == panel)
    found = []
    for pick in rng.integers(len(ys), size=40) if len(ys) else ():
        region = rectangle(0, 0, width, height)._replace(y=int(4 * ys[pick]), x=int(4 * xs[pick]))
        if work.fits(region, panel):
            found.append((float(region.window(work.before).std()), len(found), region))
    return max(found)[2] if found else None


def _background(work: Work, wide: Region, panel: int, rng: np.random.Generator) -> np.ndarray:
    """A window of the panel of the same size: of 60, the one flattest and most like the surroundings together."""
    height, width = wide.mask.shape
    x0, y0, x1, y1 = work.scene.panels[panel - 1].box
    corners = rng.integers((y0, x0), (max(y1 - height, y0) + 1, max(x1 - width, x0) + 1), (60, 2)).tolist()
    windows = [work.after[y : y + height, x : x + width] for y, x in corners]
    whole = [window for window in windows if window.shape[:2] == (height, width)]
    there, around = wide.window(work.after), np.ones(wide.mask.shape, bool)
    cost = [Rim.of(window, around).unlike(there) + float(window[::2, ::2].std()) for window in whole]
    best = int(np.argmin(cost)) if cost else 0
    return whole[best].copy() if cost and cost[best] < work.strange else there
