"""What happens to a whole figure after it was made: saved as JPEG, resized, blurred, made noisy.

A treatment is drawn once and done to the forged figure and to its pristine twin alike, so that nothing but the forgery
tells them apart. Each works on (H, W, 3) uint8 and keeps the size.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
from PIL import Image, JpegPresets

from forgery_rcnn.data.forge.hosts import Tables

Settings = dict[str, Any]
Draw = Callable[[Sequence[Tables], np.random.Generator], Settings]
NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / 4096) for i in range(4096)])  # equally likely values
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
CHANCES = {"resize": 0.12, "blur": 0.06, "noise": 0.1, "contrast": 0.1, "chroma": 0.06, "jpeg": 0.45}
"""Of each treatment, on its own; they are done in this order."""


def draw_jpeg(tables: Sequence[Tables], rng: np.random.Generator) -> Settings:
    """Quality: the tables of a host, of a Photoshop-like preset, or of a libjpeg quality; the grid aligned or not."""
    shift = [0, 0] if rng.random() < 0.5 else rng.integers(0, 8, 2).tolist()
    settings: Settings = {"shift": shift, "subsampling": str(rng.choice(SUBSAMPLINGS, p=(0.3, 0.15, 0.55)))}
    source = rng.choice(("host", "preset", "quality"), p=(0.35, 0.25, 0.4))
    if source == "host" and tables:
        return {**settings, "tables": [list(table) for table in tables[rng.integers(len(tables))]]}
    if source == "preset":
        names = [name for name in JpegPresets.presets if name not in ("web_low", "low")]  # those two nobody publishes
        return {**settings, "preset": str(rng.choice(names))}
    return {**settings, "quality": int(rng.choice((50, 60, 70, 75, 80, 85, 90, 92, 95, 98)))}


def jpeg(pixels: np.ndarray, settings: Settings) -> np.ndarray:
    """Saved as JPEG and read again; a `shift` moves the grid of blocks against the figure's corner."""
    down, across = settings["shift"]
    moved = cv2.copyMakeBorder(pixels, down, 0, across, 0, cv2.BORDER_REPLICATE)
    if "tables" in settings:
        how: Settings = {"qtables": settings["tables"][:2]}
    elif "preset" in settings:
        how = {"qtables": JpegPresets.presets[settings["preset"]]["quantization"]}
    else:
        how = {"quality": settings["quality"]}
    file = io.BytesIO()
    Image.fromarray(moved).save(file, "JPEG", subsampling=SUBSAMPLINGS.index(settings["subsampling"]), **how)
    return np.asarray(Image.open(file).convert("RGB"))[down:, across:]


def resize(pixels: np.ndarray, settings: Settings) -> np.ndarray:
    """Scaled and scaled back: the traces of resampling, at the old size."""
    height, width = pixels.shape[:2]
    small = max(1, round(height * settings["scale"])), max(1, round(width * settings["scale"]))
    how = cv2.INTER_AREA if settings["scale"] < 1 else cv2.INTER_CUBIC
    return cv2.resize(
        cv2.resize(pixels, small[::-1], interpolation=how), (width, height), interpolation=cv2.INTER_CUBIC
    )


def blur(pixels: np.ndarray, settings: Settings) -> np.ndarray:
    """Gaussian."""
    return cv2.GaussianBlur(pixels, (0, 0), settings["sigma"])


def noise(pixels: np.ndarray, settings: Settings) -> np.ndarray:
    """Gaussian; the seed gives both twins the same."""
    drawn = np.random.default_rng(settings["seed"]).integers(len(NORMAL), size=pixels.shape, dtype=np.uint16)
    grain = np.rint(NORMAL * settings["sigma"]).astype(np.int16)[drawn]  # a third of the time of standard_normal
    return cv2.add(pixels, grain, dtype=cv2.CV_8U)


def contrast(pixels: np.ndarray, settings: Settings) -> np.ndarray:
    """A gain about mid-grey and a gamma."""
    levels = 255 * (np.arange(256) / 255) ** settings["gamma"]
    return cv2.LUT(pixels, np.clip(np.rint(127.5 + settings["gain"] * (levels - 127.5)), 0, 255).astype(np.uint8))


def chroma(pixels: np.ndarray, settings: Settings) -> np.ndarray:
    """Colour at half the resolution, as video and fax do."""
    planes = cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb)
    height, width = pixels.shape[:2]
    half = max(1, width // 2), max(1, height // settings["down"])
    colour = cv2.resize(planes[..., 1:], half, interpolation=cv2.INTER_AREA)
    planes[..., 1:] = cv2.resize(colour, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB)


TREATMENTS: dict[str, tuple[Draw, Callable[[np.ndarray, Settings], np.ndarray]]] = {
    "resize": (lambda _, rng: {"scale": round(float(rng.uniform(0.6, 1.5)), 3)}, resize),
    "blur": (lambda _, rng: {"sigma": round(float(rng.uniform(0.4, 1.2)), 3)}, blur),
    "noise": (lambda _, rng: {"sigma": round(float(rng.uniform(1, 6)), 2), "seed": int(rng.integers(2**31))}, noise),
    "contrast": (
        lambda _, rng: {
            "gain": round(float(rng.uniform(0.8, 1.25)), 3),
            "gamma": round(float(rng.uniform(0.8, 1.25)), 3),
        },
        contrast,
    ),
    "chroma": (lambda _, rng: {"down": int(rng.choice((1, 2)))}, chroma),
    "jpeg": (draw_jpeg, jpeg),
}


def drawn(tables: Sequence[Tables], rng: np.random.Generator) -> list[tuple[str, Settings]]:
    """-> names and settings of what will be done to a figure; most figures get none or one."""
    return [(name, draw(tables, rng)) for name, (draw, _) in TREATMENTS.items() if rng.random() < CHANCES[name]]


def treated(pixels: np.ndarray, steps: Sequence[tuple[str, Settings]]) -> np.ndarray:
    """(H, W, 3) uint8 -> the same size, all steps done."""
    for name, settings in steps:
        pixels = TREATMENTS[name][1](pixels, settings)
    return pixels
