#!/usr/bin/env python3
"""Refinement of heat maps: speed, agreement with pydensecrf2, and what it does to the IoU with the truth.

PYTHONPATH=. OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/crf.py docs/results/crf.md       (some 5 minutes)

Forged figures of data/corpus (of data/sample where that is missing), drawn by seed 0 and resized to squares. The heat maps
are made from the truth: its border displaced by a smooth random field (1 % of the side), blurred (0.8 %), with lowlands
inside and false alarms outside of random strength, and noise in the logits, smooth and per pixel. One thread, one run,
the engines in turns; the time of an engine is the median over the images. Spatial 10 px, colour 13 levels, compat 10, 5
iterations; *scaled*: spatial 10 px at a side of 1024. Thresholds are 0.5.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from forgery_rcnn.bootstrap import paired
from forgery_rcnn.config import Refine
from forgery_rcnn.data import records
from forgery_rcnn.inference import crf, refine

SIDES = (256, 512, 1024)
WAYS = {
    "crf": Refine(method="crf", spatial_at=0),
    "crf scaled": Refine(method="crf", spatial_at=1024),
    "guided": Refine(method="guided", spatial_at=0),
    "guided scaled": Refine(method="guided", spatial_at=1024),
    "smoother": Refine(method="smoother", spatial_at=0),
    "smoother scaled": Refine(method="smoother", spatial_at=1024),
}
if find_spec("pydensecrf"):
    WAYS |= {
        "pydensecrf2": Refine(method="pydensecrf2", spatial_at=0),
        "pydensecrf2 scaled": Refine(method="pydensecrf2", spatial_at=1024),
    }
FINER = {256: [(10.0, 20), (5.0, 20), (3.3, 20), (2.5, 20)], 512: [(5.0, 20), (2.5, 20)]}
"""Nodes to a deviation tried at a side, on so many scenes; 10 is a node to each pixel: the Gaussian itself, cut at 2.5."""
MISSING = "pydensecrf2 is not installed, so ours is not compared with it here (`pip install 'forgery_rcnn[crf]'`)."


@dataclass(frozen=True)
class Scene:
    """(S, S, 3) uint8 pixels, (S, S) bool truth, (S, S) float32 heat map."""

    pixels: np.ndarray
    truth: np.ndarray
    heatmap: np.ndarray


def made_heatmap(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(S, S) bool -> (S, S) float32: what a model might say of it."""
    side = len(truth)

    def smooth(share: float) -> np.ndarray:
        field = cv2.GaussianBlur(rng.standard_normal(truth.shape).astype(np.float32), (0, 0), side * share)
        return field / field.std()

    y, x = np.mgrid[:side, :side].astype(np.float32)
    moved = [place + smooth(0.02) * np.float32(0.01 * side) for place in (x, y)]
    shape = cv2.remap(truth.astype(np.float32), *moved, cv2.INTER_LINEAR)
    shape = cv2.GaussianBlur(shape, (0, 0), side * 0.008)
    alarms, lows = rng.uniform(2, 6), rng.uniform(1, 6)
    spots = smooth(0.03)
    logit = 6 * (shape - 0.5) + alarms * (spots < -2.2) - lows * (spots > 1.5) * shape
    logit += 0.7 * smooth(0.015) + 0.4 * rng.standard_normal(truth.shape)
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def scene(record: records.Record, side: int, seed: int) -> Scene:
    """A forged figure as a square of this side; the same record and seed give the same scene."""
    loaded = records.load(record)
    way = cv2.INTER_AREA if max(loaded.pixels.shape) > side else cv2.INTER_LINEAR
    pixels = cv2.resize(loaded.pixels, (side, side), interpolation=way)
    truth = loaded.masks.any(axis=0).astype(np.uint8)
    truth = cv2.resize(truth, (side, side), interpolation=cv2.INTER_NEAREST).astype(bool)
    return Scene(pixels, truth, made_heatmap(truth, np.random.default_rng((seed, side))))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two (H, W) heat maps or masks at 0.5; 1 where both are empty."""
    one, other = a >= 0.5, b >= 0.5
    whole = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / whole if whole else 1.0


def against_pydensecrf(scenes: list[Scene], side: int, per_sigma: float = crf.PER_SIGMA) -> str:
    """A row of the first table: milliseconds of both engines in turns, and the IoU of their masks."""

    def ours_at(heatmap: np.ndarray, pixels: np.ndarray, config: Refine) -> np.ndarray:
        return crf.by_mean_field(heatmap, pixels, config, per_sigma)

    times, agreement = [], []
    for made in scenes:
        maps, spent = [], []
        for solve in (crf.by_pydensecrf, ours_at):
            start = time.perf_counter()
            maps.append(solve(made.heatmap, made.pixels, WAYS["crf"]))
            spent.append(1000 * (time.perf_counter() - start))
        times.append(spent)
        agreement.append(iou(*maps))
    theirs, ours = np.median(times, axis=0)
    good = np.count_nonzero(np.array(agreement) >= 0.95)
    return (
        f"| {side} | {per_sigma:g} | {theirs:.0f} | {ours:.0f} | {theirs / ours:.1f}x | {np.mean(agreement):.4f} | "
        f"{np.median(agreement):.4f} | {min(agreement):.4f} | {good} of {len(scenes)} |"
    )


def effect(scenes: list[Scene], side: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Rows of the second table, and (way, verdict) of each."""
    raw = np.array([iou(made.heatmap, made.truth) for made in scenes])
    rows, verdicts = [f"| {side} | raw |  | {raw.mean():.4f} |  |  |"], []
    for name, config in WAYS.items():
        start = time.perf_counter()
        maps = [refine.refined(made.heatmap, made.pixels, config) for made in scenes]
        spent = 1000 * (time.perf_counter() - start) / len(scenes)
        found = np.array([iou(one, made.truth) for one, made in zip(maps, scenes, strict=True)])
        change = paired(found, raw, np.random.default_rng(0))
        low, high = change.difference.low, change.difference.high
        verdict = "hurts" if high < 0 else "helps" if low > 0 else "no clear change"
        rows.append(
            f"| {side} | {name} | {spent:.0f} | {found.mean():.4f} | {change.difference} ({change.wins} better, "
            f"{change.losses} worse) | {verdict} |"
        )
        verdicts.append((name, f"{verdict} at {side}"))
    return rows, verdicts


def chosen(count: int) -> tuple[str, list[records.Record]]:
    """The data's name, and so many forged records of it."""
    root = next(root for root in (Path("data/corpus"), Path("data/sample")) if root.is_dir())
    forged = [record for record in records.scan(root) if record.label == "forged"]
    order = np.random.default_rng(0).permutation(len(forged))[:count]
    return root.as_posix(), [forged[i] for i in order]


def measured(count: int) -> str:
    """The page."""
    name, chosen_ones = chosen(count)
    first = [
        "| side | nodes to a deviation | pydensecrf2, ms | ours, ms | faster | IoU, mean | median | lowest | 0.95 and more |"
    ]
    first.append("|---:|" + "---:|" * 7 + "---|")
    second = ["| side | map | ms | IoU with truth | change [95 %] | |", "|---:|---|---:|---:|---|---|"]
    verdicts: list[tuple[str, str]] = []
    for side in SIDES:
        scenes = [scene(record, side, seed) for seed, record in enumerate(chosen_ones)]
        if find_spec("pydensecrf"):
            first += [against_pydensecrf(scenes[:some], side, nodes) for nodes, some in FINER.get(side, [])]
            first.append(against_pydensecrf(scenes, side))
        rows, found = effect(scenes, side)
        second += rows
        verdicts += found
    by_way = [f"{way}: " + ", ".join(text for other, text in verdicts if other == way) for way in WAYS]
    about = (__doc__ or "").split("\n\n")[2].strip()
    where = f"{len(chosen_ones)} images of {name}; {platform.machine()}, Python {platform.python_version()}, OpenCV "
    where += f"{cv2.__version__}."
    parts = ["# Refinement of heat maps", about, where, "## Ours against pydensecrf2"]
    parts.append("\n".join(first) if find_spec("pydensecrf") else MISSING)
    parts += ["## What it does to the IoU", "\n".join(second), "verdict: " + "; ".join(by_way) + "."]
    return "\n\n".join(parts) + "\n"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path, nargs="?", help="write the tables here")
    parser.add_argument("--count", type=int, default=40, help="forged figures")
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    text = measured(args.count)
    print(text)
    if args.page:
        args.page.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
