#!/usr/bin/env python3
"""Draw docs/metric.png, the worked example of docs/metric.md: PYTHONPATH=. python benchmarks/worked_picture.py docs/metric.png"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forgery_rcnn import draw, metrics
from forgery_rcnn.config import DataConfig
from forgery_rcnn.data import collection, images, sample
from forgery_rcnn.instances import Instances
from forgery_rcnn.submission import recodai

CASE = "30005"


def answer(true: Instances) -> Instances:
    """Three predictions: the first true instance 12 px too far right, the second cut to its left half, a spurious ellipse."""
    first, second = true.masks()
    moved = np.roll(first, 12, axis=1)
    x0, _, x1, _ = true.boxes()[1].tolist()
    half = second.copy()
    half[:, (x0 + x1) // 2 :] = False
    y, x = np.ogrid[: true.size[0], : true.size[1]]
    spurious = ((x - 0.78 * true.size[1]) / 32) ** 2 + ((y - 0.12 * true.size[0]) / 22) ** 2 <= 1
    return Instances.from_masks(np.stack([moved, half, spurious]))


def outlined(ax: Axes, pixels: np.ndarray, found: Instances, letter: str, colour: str) -> None:
    """The image with numbered outlines."""
    ax.imshow(pixels)
    ax.set(xticks=[], yticks=[])
    for number, (mask, box) in enumerate(zip(found.masks(), found.boxes(), strict=True), start=1):
        ax.contour(mask, [0.5], colors=colour, linewidths=1.8)
        x, y = (box[:2] + box[2:]) / 2
        ax.text(x, y, f"{letter}{number}", color="white", backgroundcolor=colour, ha="center", va="center", fontsize=9)


def figure(pixels: np.ndarray, true: Instances, predicted: Instances) -> Figure:
    """Truth, prediction, the matrix of pixel F1 with the match, and where the rest went."""
    f1 = metrics.pairwise_f1(predicted, true)
    score, budget = metrics.score_and_budget(predicted, true)
    out = Figure(figsize=(13, 4.2), layout="constrained")
    a, b, c, d = out.subplots(1, 4, width_ratios=(3, 3, 2.4, 3))
    outlined(a, pixels, true, "T", draw.TRUTH)
    a.set_title(f"truth: {len(true)} instances")
    outlined(b, pixels, predicted, "P", draw.FOUND)
    b.set_title(f"prediction: {len(predicted)} instances")
    c.imshow(f1, cmap="Greens", vmin=0, vmax=1.4)
    c.set_xticks(range(len(true)), [f"T{i + 1}" for i in range(len(true))])
    c.set_yticks(range(len(predicted)), [f"P{i + 1}" for i in range(len(predicted))])
    c.set_title("pixel F1 of each pair\n(boxed: matched)", fontsize=10)
    for i, j in np.ndindex(f1.shape):
        matched = f1[i, j] in metrics.matched_f1(predicted, true) and f1[i, j] > 0
        c.text(
            j,
            i,
            f"{f1[i, j]:.3f}",
            ha="center",
            va="center",
            bbox={"fill": False, "edgecolor": "black"} if matched else None,
        )
    parts = {"oF1": score, "missed": budget.missed, "excess": budget.excess, "mask quality": budget.mask_quality}
    d.barh(list(parts), list(parts.values()), color=("#00a651", "#8e24aa", "#fb8c00", "#9e9e9e"))
    for place, share in enumerate(parts.values()):
        d.text(share + 0.01, place, f"{share:.4f}", va="center")
    d.set(xlim=(0, 1), title="the four shares add up to 1", xlabel="share of the highest possible score")
    d.invert_yaxis()
    return out


def main(argv: list[str]) -> int:
    """Draw it, and print the numbers that the page quotes."""
    root = collection.root_of(DataConfig())
    true = recodai.read_solution(root / sample.SOLUTION)[CASE].instances
    assert true is not None and len(true) == 2
    predicted = answer(true)
    picture = figure(images.read(root / "test_images" / f"{CASE}.png").pixels, true, predicted)
    print(draw.save(picture, Path(argv[0]), dpi=90))
    print(metrics.intersections(predicted.runs, true.runs).tolist(), predicted.areas().tolist(), true.areas().tolist())
    print(metrics.pairwise_f1(predicted, true).round(4).tolist(), metrics.score_and_budget(predicted, true))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
