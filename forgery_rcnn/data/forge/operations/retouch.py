"""Retouch: a region's own pixels, changed in place; or a band of background cloned over what was there."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from forgery_rcnn.data.forge import blend, motions
from forgery_rcnn.data.forge.motions import Motion
from forgery_rcnn.data.forge.regions import Region, rectangle
from forgery_rcnn.data.forge.work import Rim, Step, Work, meet

PLACES = 150  # looked at for background


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
    cover = _background(work, region, panel, rng) if name == "background" else None
    if name == "background" and cover is None:
        return None

    def brought(wide: Region) -> np.ndarray:
        if cover is not None:
            return motions.content(work.after, cover._replace(region=wide))
        return RETOUCHES[name](wide.window(work.after), rng)

    if not work.paste(region, brought, "feathered", rng):
        return None
    return Step("retouch", {"retouch": name}, (region,), None, (region,), (cover.matrix,) if cover is not None else ())


def contrast(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """More contrast about the mean, or less."""
    mean = pixels.mean(axis=(0, 1))
    return np.clip(
        mean + (pixels - mean) * float(rng.choice((rng.uniform(0.4, 0.7), rng.uniform(1.4, 1.9)))), 0, 255
    ).astype(np.uint8)


def brightness(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A gamma curve."""
    gamma = float(rng.choice((rng.uniform(0.55, 0.78), rng.uniform(1.3, 1.7))))
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


def _background(work: Work, region: Region, panel: int, rng: np.random.Generator) -> Motion | None:
    """A shift that brings background over the region: of the panel's free windows the flattest whose rim fits.

    Where it came from is not marked: background repeats everywhere, and nobody could find it.
    """
    ys, xs = np.nonzero(work.free[::4, ::4] == panel)
    cover, around = region.padded(blend.REACH + 1), region.grown(2 * blend.REACH)
    found = []
    for pick in rng.integers(len(ys), size=PLACES):
        source = cover._replace(y=int(4 * ys[pick]), x=int(4 * xs[pick]))
        if work.fits(source._replace(mask=np.ones_like(source.mask)), panel) and not meet(source, around):
            window = source.window(work.after)
            rim = Rim.of(window, np.ones(window.shape[:2], bool)).unlike(cover.clipped(work.size).window(work.after))
            if rim < work.strange:
                found.append((rim + float(window[::2, ::2].std()), len(found), source))
    if not found:
        return None
    best = min(found)[2]
    return Motion(np.array([[1.0, 0, cover.x - best.x], [0, 1.0, cover.y - best.y]]), region)
