"""Pictures. Every function returns a matplotlib Figure; none shows, none saves (see `save`, the one that does)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from forgery_rcnn.instances import ANY_SIZE, Instances, Prediction

TRUTH, FOUND = "#00c853", "#ff1744"  # green and red, told apart by line style as well


def save(figure: Figure, path: Path, dpi: int = 110) -> Path:
    """Write the figure as PNG; -> the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=dpi)
    return path


def _panels(count: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(count)]
    return figure, axes


def _image(ax: Axes, pixels: np.ndarray, title: str) -> None:
    ax.imshow(pixels, interpolation="nearest")
    ax.set_title(title, fontsize=8)
    ax.set_xticks([])
    ax.set_yticks([])


def _outline(ax: Axes, mask: np.ndarray, colour: str, style: str) -> None:
    """The border of a (H, W) bool mask, half a pixel outside it even at the image's edge."""
    padded = np.pad(mask, 1).astype(np.float32)
    ax.contour(
        np.arange(-1, mask.shape[1] + 1),
        np.arange(-1, mask.shape[0] + 1),
        padded,
        [0.5],
        colors=colour,
        linewidths=1.4,
        linestyles=style,
    )


def overlay(pixels: np.ndarray, truth: np.ndarray | None, prediction: Prediction, title: str) -> Figure:
    """(H, W, 3) uint8 image, (N, H, W) bool truth or None, Prediction -> image | truth | prediction with boxes | heat map."""
    figure, axes = _panels(4 if truth is not None else 3, 4 if truth is not None else 3, (4.0, 4.2))
    figure.suptitle(title, fontsize=9)
    rest = iter(axes)
    _image(next(rest), pixels, f"image, {pixels.shape[1]} x {pixels.shape[0]} px")
    if truth is not None:
        ax = next(rest)
        _image(
            ax, pixels, f"truth: {len(truth)} instance{'s' * (len(truth) != 1)}" if len(truth) else "truth: authentic"
        )
        for mask in truth:
            _outline(ax, mask, TRUTH, "solid")
    ax = next(rest)
    count = len(prediction.scores)
    _image(ax, pixels, f"prediction: {count} instance{'s' * (count != 1)}" if count else "prediction: authentic")
    for mask, box, score in zip(prediction.instances.masks(), prediction.boxes, prediction.scores, strict=True):
        if mask.any():
            _outline(ax, mask, FOUND, "solid")
        x0, y0, x1, y1 = box.tolist()
        ax.add_patch(
            Rectangle(
                (x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=FOUND, linestyle="dashed", linewidth=1
            )
        )
        ax.text(x0, y0, f"{score:.2f}", fontsize=7, color="white", backgroundcolor=FOUND, va="bottom")
    ax = next(rest)
    _image(
        ax,
        pixels.mean(axis=2).astype(np.uint8)[:, :, None].repeat(3, 2) // 2 + 100,
        f"heat map, image score {prediction.image_score:.2f}",
    )
    shown = ax.imshow(prediction.heatmap, cmap="inferno", vmin=0, vmax=1, alpha=0.75)
    figure.colorbar(shown, ax=ax, fraction=0.046, label="score x mask probability")
    return figure


def comparison(
    pixels: np.ndarray | None,
    truth: Instances | None,
    answers: Mapping[str, tuple[Instances | None, float]],
    title: str,
) -> Figure:
    """(H, W, 3) uint8 or None, truth, name -> (answer, oF1); None = authentic -> truth | each answer over the truth."""
    sides = (truth, *(answer for answer, _ in answers.values()))
    sizes = [side.size for side in sides if side is not None and side.size != ANY_SIZE]
    canvas = np.full((*(sizes[0] if sizes else (64, 64)), 3), 225, np.uint8) if pixels is None else pixels
    figure, axes = _panels(1 + len(answers), 1 + len(answers), (4.4, 4.4))
    figure.suptitle(title, fontsize=9)
    _image(axes[0], canvas, f"truth: {_counted(truth)}")
    for ax, (name, (answer, score)) in zip(axes[1:], answers.items(), strict=True):
        _image(ax, canvas, f"{name}: {_counted(answer)}, oF1 {score:.4f}")
        if answer is not None and answer.size == ANY_SIZE:  # an authentic image whose solution gives no size
            ax.set_xlabel("the image's size is not known: regions not drawn", fontsize=8)
            continue
        for mask in () if answer is None else answer.masks():
            if mask.any():
                _outline(ax, mask, FOUND, "solid")
    for ax in axes:
        for mask in () if truth is None else truth.masks():
            _outline(ax, mask, TRUTH, "solid" if ax is axes[0] else "dashed")
    return figure


def _counted(instances: Instances | None) -> str:
    return "authentic" if instances is None else f"{len(instances)} instance{'s' * (len(instances) != 1)}"


def error_budget(score: float, shares: Mapping[str, float], baselines: Mapping[str, float], title: str) -> Figure:
    """Mean oF1 and what was lost to each cause (they add up to 1) -> one bar, trivial baselines marked on it."""
    figure, (ax,) = _panels(1, 1, (9.0, 2.9))
    parts = {"oF1": score, **shares}
    colours = ("#00a651", "#d32f2f", "#1e88e5", "#8e24aa", "#fb8c00", "#9e9e9e")
    left = 0.0
    for (name, share), colour in zip(parts.items(), colours, strict=True):
        ax.barh(0, share, left=left, color=colour, label=f"{name} {share:.4f}", edgecolor="white")
        if share > 0.04:
            ax.text(left + share / 2, 0, f"{share:.3f}", ha="center", va="center", fontsize=8, color="white")
        left += share
    for (name, value), style in zip(baselines.items(), ("--", ":"), strict=False):
        ax.axvline(value, color="black", linestyle=style, linewidth=1.2, label=f"baseline: {name} {value:.4f}")
    ax.set(xlim=(0, 1), yticks=[], xlabel="share of the highest possible score (mean over images)", title=title)
    figure.legend(fontsize=7, ncols=4, loc="outside lower center")
    return figure


def contact_sheet(pictures: Sequence[tuple[str, np.ndarray, np.ndarray]], title: str) -> Figure:
    """(title, (H, W, 3) uint8, (N, H, W) bool) per picture -> a sheet, the truth outlined."""
    figure, axes = _panels(len(pictures), min(6, len(pictures)), (2.4, 2.4))
    figure.suptitle(title, fontsize=10)
    for ax, (name, pixels, masks) in zip(axes, pictures, strict=True):
        _image(ax, pixels, name)
        for mask in masks:
            _outline(ax, mask, TRUTH, "solid")
    return figure


def data_card(
    sizes: Sequence[tuple[int, int]], areas: Sequence[float], instances: Mapping[int, int], modes: Mapping[str, int]
) -> Figure:
    """Sizes (H, W) px, forged areas %, counts -> four plots: sizes, forged area, instances per image, modes."""
    figure, (a, b, c, d) = _panels(4, 2, (4.6, 3.4))
    heights, widths = zip(*sizes, strict=True)
    a.scatter(widths, heights, s=12, alpha=0.5)
    a.set(title="image sizes", xlabel="width (px)", ylabel="height (px)")
    positive = [max(area, 1e-3) for area in areas]
    b.hist(positive, bins=np.geomspace(min(positive) * 0.9, max(positive) * 1.1, 25), color=FOUND)
    b.set(title="forged area of forged images", xlabel="% of the image (log scale)", ylabel="images", xscale="log")
    c.bar([str(n) for n in instances], list(instances.values()), color=FOUND)
    c.set(title="instances per forged image", xlabel="instances (mask channels)", ylabel="images")
    d.bar(list(modes), list(modes.values()))
    d.set(title="colour modes of the files", xlabel="mode", ylabel="images")
    return figure


def curves(epochs: Sequence[Mapping[str, Any]]) -> Figure:
    """Lines of log.jsonl -> losses, scores beside their baseline, and learning rate against optimiser steps."""
    figure, (a, b, c) = _panels(3, 3, (4.8, 3.6))
    steps = [e["step"] for e in epochs]
    for name in [k for k in epochs[-1] if k.startswith("loss")]:
        a.plot(steps, [e.get(name) for e in epochs], label=name, linewidth=2 if name == "loss" else 1)
    a.set(title="training losses", xlabel="optimiser step", ylabel="loss (mean of the epoch)", yscale="log")
    scored = [e for e in epochs if "of1_mean" in e]
    for name, style in (("of1_mean", "o-"), ("dice_mean", "s-"), ("baseline_all_authentic", "k--")):
        b.plot([e["step"] for e in scored], [e[name] for e in scored], style, markersize=3, label=name)
    b.set(title="evaluation", xlabel="optimiser step", ylabel="score (0..1)", ylim=(-0.02, 1.02))
    c.plot(steps, [e["lr"] for e in epochs])
    c.set(title="learning rate", xlabel="optimiser step", ylabel="learning rate")
    changes = [epochs[i]["step"] for i in range(len(epochs) - 1) if epochs[i]["stage"] != epochs[i + 1]["stage"]]
    for ax in (a, b, c):
        for step in changes:
            ax.axvline(step, color="grey", linestyle=":", linewidth=1)
    a.legend(fontsize=7)
    b.legend(fontsize=7)
    return figure


def arms(scores: Mapping[str, Mapping[str, float]], winner: str) -> Figure:
    """Arm -> {of1_mean, dice_mean, ...} -> grouped bars, the winner marked."""
    figure, (ax,) = _panels(1, 1, (7.0, 3.8))
    names = list(scores)
    measures = ("of1_mean", "dice_mean", "recall_mean", "precision_mean")
    for i, measure in enumerate(measures):
        ax.bar(np.arange(len(names)) + (i - 1.5) * 0.2, [scores[n][measure] for n in names], 0.2, label=measure)
    ax.set_xticks(range(len(names)), [f"{n}\n(winner)" if n == winner else n for n in names], fontsize=8)
    ax.set(ylim=(0, 1.02), ylabel="score (0..1)", title="mask head frozen or free x boxes painted or plain")
    ax.legend(fontsize=7)
    return figure
