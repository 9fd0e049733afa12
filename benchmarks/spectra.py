#!/usr/bin/env python3
"""Can a branch see what it is made for? Rectangles resampled down and up in squares of photographs, by every branch.

python3 benchmarks/spectra.py docs/results/spectra.md [FOLDER of photographs]     (make results does this: 5 minutes)
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.cli import command
from forgery_rcnn.config import DenseConfig, ModelConfig
from forgery_rcnn.data import images, records
from forgery_rcnn.data.dataset import target_of
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import zoo
from forgery_rcnn.models.segmenter import Segmenter

SIDE, STEPS, BATCH, SHRUNK, HELD = 96, 200, 6, 64, 100
WAYS = (("rgb", "none"), ("fft", "hann"), ("fused", "hann"), ("fft", "local"), ("fused", "local"))
NOTE = f"""\
Squares of {SIDE} px cut from photographs, in four of five a rectangle (24 to 55 px a side) that went down to
{SHRUNK}/{SIDE} of its size and up again (area, then cubic): no edge in colour or brightness gives it away, a lack of
fine detail does. Small fft_unets (widths 8 16 32 64), {STEPS} steps of {BATCH} squares, Adam 3e-3, one seed; scored
on squares of photographs not trained on. A forgery made to be seen in spectra: what it shows is that the branch
works, not that it finds others. *none* and *hann*: one spectrum of the whole image; *local*: one around each pixel."""


def square(pool: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """-> (96, 96, 3) uint8 and (N, 96, 96) bool, N = 0 or 1."""
    photo = pool[rng.integers(len(pool))]
    y, x = (int(rng.integers(0, side - SIDE + 1)) for side in photo.shape[:2])
    pixels, mask = photo[y : y + SIDE, x : x + SIDE].copy(), np.zeros((1, SIDE, SIDE), bool)
    if rng.random() < 0.2:
        return pixels, mask[:0]
    h, w = rng.integers(24, 56, 2)
    top, left = rng.integers(0, SIDE - h), rng.integers(0, SIDE - w)
    small = cv2.resize(pixels, (SHRUNK, SHRUNK), interpolation=cv2.INTER_AREA)
    mask[0, top : top + h, left : left + w] = True
    pixels[mask[0]] = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)[mask[0]]
    return pixels, mask


def trained(branches: str, window: str, pool: list[np.ndarray]) -> Segmenter:
    """A model after STEPS steps, in eval mode."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    dense = DenseConfig(widths=(8, 16, 32, 64), branches=branches, window=window)
    model = zoo.build(ModelConfig(arch="fft_unet", image_size=SIDE, dense=dense)).train()
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, STEPS)
    for _ in range(STEPS):
        pixels, masks = zip(*(square(pool, rng) for _ in range(BATCH)), strict=True)
        batch = [torch.from_numpy(p).permute(2, 0, 1) for p in pixels]
        loss = sum(model.losses(batch, [target_of(m, 1) for m in masks]).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
    return model.eval()


def dice(model: Segmenter, pool: list[np.ndarray]) -> np.ndarray:
    """-> Dice of the forged ones among HELD squares."""
    rng, out = np.random.default_rng(9), []
    for _ in range(HELD):
        pixels, mask = square(pool, rng)
        if len(mask):
            found = model.predict([pixels])[0].heatmap >= 0.5
            out.append(2 * (found & mask[0]).sum() / (found.sum() + mask[0].sum()))
    return np.array(out)


@command
def main(argv: list[str] | None = None) -> int:
    """Page first, then the photographs' folder."""
    argv = sys.argv[1:] if argv is None else argv
    folder = Path(argv[1] if len(argv) > 1 else "data/hosts")
    photos = [images.read(path).pixels for path in records.image_files(folder)]
    photos = [photo for photo in photos if min(photo.shape[:2]) > 2 * SIDE]
    if len(photos) < 8:
        raise InputError(
            f"{folder}: {len(photos)} photographs of more than {2 * SIDE} px a side; give a folder of eight or more"
        )
    cut = len(photos) * 3 // 4
    lines = ["| branch | spectrum | Dice of forged squares held out | seconds |", "|---|---|---|---:|"]
    for branches, window in WAYS:
        began = time.monotonic()
        scores = dice(trained(branches, window, photos[:cut]), photos[cut:])
        shown = "" if branches == "rgb" else window
        lines.append(f"| {branches} | {shown} | {Resampling().mean(scores)} | {time.monotonic() - began:.0f} |")
        print(lines[-1], flush=True)
    about = f"{cut} photographs trained on, {len(photos) - cut} held out; torch {torch.__version__}."
    Path(argv[0]).write_text("\n\n".join(["# What the frequency branch sees", NOTE, about, "\n".join(lines)]) + "\n")
    print(f"written: {argv[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
