"""Pictures. Every function returns a matplotlib Figure; none shows, none saves (see `save`, the one that does)."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from contourpy import LineType, contour_generator
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.path import Path as Curve

from forgery_rcnn import rle
from forgery_rcnn.instances import ANY_SIZE, Instances, Prediction

TRUTH, FOUND = "#00c853", "#ff1744"  # green and red, told apart by line style as well
LARGEST = 40_000_000  # pixels of an image that `comparison` draws
MOST = 50  # instances that it draws per side
FINE = 512  # a region is outlined on a grid of at most so many cells a side, an image shown with 4 times as many


def save(figure: Figure, path: Path, dpi: int = 110) -> Path:
    """Write the figure as PNG; -> the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)  # a box is drawn in its place
        figure.savefig(path, dpi=dpi)
    return path


def file_name(place: int, case: str) -> str:
    """A name for a case's picture that is safe in every file system, whatever the id holds.

    >>> file_name(3, "../a b/47$")
    '03_.._a_b_47_.png'
    """
    return f"{place:02d}_{re.sub(r'[^A-Za-z0-9._-]', '_', case)[:60]}.png"


def _said(text: str, limit: int = 80) -> str:
    """A text as it can be drawn in one line: signs that do not print become spaces, a long one is cut."""
    line = "".join(sign if sign.isprintable() else " " for sign in text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"


def panels(count: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure of `count` axes in so many columns, each of `size` = (width, height) inches."""
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(count)]
    return figure, axes


def headed(figure: Figure, title: str) -> None:
    """A title over all axes; a long one is cut, signs that do not print are left out."""
    figure.suptitle(_said(title), fontsize=9, parse_math=False)


def image(ax: Axes, pixels: np.ndarray, title: str) -> None:
    """(H, W, 3) uint8 on the axes, whose unit is its pixel whatever its size; no ticks."""
    ax.imshow(_sparse(pixels), interpolation="nearest", extent=_extent(pixels))
    _titled(ax, title)


def _sparse(plane: np.ndarray) -> np.ndarray:
    """(H, W, ...) -> every n-th of its rows and columns, 4 * FINE a side at most; a view: a copy of a large image as
    matplotlib makes it, in float, would hold gigabytes."""
    step = -(-max(plane.shape[:2]) // (4 * FINE))
    return plane[::step, ::step]


def _extent(plane: np.ndarray) -> tuple[float, float, float, float]:
    """(H, W, ...) -> where its edges lie on axes whose unit is the pixel: left, right, bottom, top."""
    return -0.5, plane.shape[1] - 0.5, plane.shape[0] - 0.5, -0.5


def _titled(ax: Axes, title: str) -> None:
    ax.set_title(_said(title), fontsize=8, parse_math=False)
    ax.set_xticks([])
    ax.set_yticks([])


def _borders(instances: Instances) -> list[Curve]:
    """The border of each instance that has a pixel, in pixels: half way to the pixels around it, corners cut; of a large one
    half way to the blocks around its own.

    One mask at a time, cropped to its box.
    """
    height, curves = instances.size[0], []
    for runs, box in zip(instances.runs, instances.boxes().tolist(), strict=True):
        if not len(runs):
            continue
        x0, y0, x1, y1 = box
        mask = rle.mask_of(runs - [x0 * height, 0], (height, x1 - x0))[y0:y1]
        step = -(-max(mask.shape) // FINE)
        for axis in (0, 1):  # a block is set where any pixel of it is
            mask = np.logical_or.reduceat(mask, np.arange(0, mask.shape[axis], step), axis=axis)
        y, x = (
            start - 0.5 + step * (np.arange(-1, n + 1) + 0.5) for start, n in zip((y0, x0), mask.shape, strict=True)
        )
        padded = np.pad(mask, 1).astype(np.float32)
        points, codes = contour_generator(x, y, padded, line_type=LineType.ChunkCombinedCode).lines(0.5)
        curves.append(Curve(points[0], codes[0]))
    return curves


def outline(ax: Axes, instances: Instances, colour: str, style: str) -> None:
    """The instances' borders on axes whose unit is the pixel, see `image`; style: of the line, e.g. solid, dashed."""
    _outline(ax, _borders(instances), colour, style)


def _outline(ax: Axes, borders: Sequence[Curve], colour: str, style: str) -> None:
    for border in borders:
        line = PathCollection(
            [border], facecolors="none", edgecolors=colour, linewidths=1.4, linestyles=style, zorder=3
        )
        line.set_clip_on(False)  # along the image's own border half of it lies outside
        ax.add_collection(line, autolim=False)


def overlay(pixels: np.ndarray, truth: Instances | np.ndarray | None, prediction: Prediction, title: str) -> Figure:
    """(H, W, 3) uint8 image, truth or None, Prediction -> image | truth | prediction with boxes | heat map.

    truth: Instances or (N, H, W) bool. A large image is drawn from a sparse copy, with outlines and boxes in its pixels.
    """
    figure, axes = panels(4 if truth is not None else 3, 4 if truth is not None else 3, (4.0, 4.2))
    headed(figure, title)
    rest = iter(axes)
    image(next(rest), pixels, f"image, {pixels.shape[1]} x {pixels.shape[0]} px")
    if truth is not None:
        ax = next(rest)
        image(
            ax, pixels, f"truth: {len(truth)} instance{'s' * (len(truth) != 1)}" if len(truth) else "truth: authentic"
        )
        outline(ax, truth if isinstance(truth, Instances) else Instances.from_masks(truth), TRUTH, "solid")
    ax = next(rest)
    count = len(prediction.scores)
    image(ax, pixels, f"prediction: {count} instance{'s' * (count != 1)}" if count else "prediction: authentic")
    outline(ax, prediction.instances, FOUND, "solid")
    for box, score in zip(prediction.boxes, prediction.scores, strict=True):
        x0, y0, x1, y1 = box.tolist()
        ax.add_patch(
            Rectangle(
                (x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=FOUND, linestyle="dashed", linewidth=1
            )
        )
        ax.text(x0, y0, f"{score:.2f}", fontsize=7, color="white", backgroundcolor=FOUND, va="bottom")
    ax = next(rest)
    pale = (_sparse(pixels).mean(axis=2).astype(np.uint8) // 2 + 100)[:, :, None].repeat(3, 2)
    ax.imshow(pale, interpolation="nearest", extent=_extent(pixels))
    _titled(ax, f"heat map, image score {prediction.image_score:.2f}")
    heat = prediction.heatmap
    shown = ax.imshow(_sparse(heat), cmap="inferno", vmin=0, vmax=1, alpha=0.75, extent=_extent(heat))
    figure.colorbar(shown, ax=ax, fraction=0.046, label="score x mask probability")
    return figure


def comparison(
    pixels: np.ndarray | None,
    truth: Instances | None,
    answers: Mapping[str, tuple[Instances | None, float]],
    title: str,
) -> Figure:
    """(H, W, 3) uint8 or None, truth, name -> (answer, oF1); None = authentic -> truth | each answer over the truth.

    What cannot be drawn is said under its panel: a picture of another size, an image too large or of unknown size.
    """
    sides = (truth, *(answer for answer, _ in answers.values()))
    canvas, note = _canvas(pixels, [side.size for side in sides if side is not None and side.size != ANY_SIZE])
    size = (0, 0) if canvas is None else canvas.shape[:2]
    borders = [
        _borders(Instances(size, side.runs[:MOST])) if side is not None and _fits(side, size) else [] for side in sides
    ]
    names = ["truth", *answers]
    scores = ["", *(f", oF1 {score:.4f}" for _, score in answers.values())]
    figure, axes = panels(len(sides), len(sides), (4.4, 4.4))
    headed(figure, title)
    for i, (ax, side) in enumerate(zip(axes, sides, strict=True)):
        _titled(ax, f"{names[i]}: {_counted(side)}{scores[i]}")
        notes = [note] if note else []
        if canvas is not None:
            image(ax, canvas, ax.get_title())
            if side is not None and not _fits(side, size):
                notes.append("its regions do not fit the image: not drawn")
        ax.set_xlabel("\n".join(notes), fontsize=8)
        if i:
            _outline(ax, borders[i], FOUND, "solid")
        _outline(ax, borders[0], TRUTH, "dashed" if i else "solid")
    return figure


def _canvas(pixels: np.ndarray | None, sizes: Sequence[tuple[int, int]]) -> tuple[np.ndarray | None, str]:
    """The picture, if any, and the sizes (H, W) that the masks have -> what they are drawn on, or None, and a note."""
    if pixels is None and not sizes:
        return None, "the image's size is not known: nothing drawn"
    height, width = sizes[0] if pixels is None or sizes else pixels.shape[:2]
    if height * width > LARGEST:
        return None, f"{width} x {height} px: too large to draw"
    if pixels is not None and pixels.shape[:2] == (height, width):
        return pixels, ""
    grey = np.broadcast_to(np.uint8(225), (height, width, 3))
    return grey, "" if pixels is None else (
        f"the picture is {pixels.shape[1]} x {pixels.shape[0]} px: not drawn under it"
    )


def _fits(side: Instances, size: tuple[int, int]) -> bool:
    """Whether its runs can be those of an image of this size: of an unknown one, whose height no column-major run shows,
    if the last ends within it."""
    last = max((int(runs[-1].sum()) for runs in side.runs if len(runs)), default=0)
    return side.size == size or (side.size == ANY_SIZE and last <= size[0] * size[1])


def _counted(side: Instances | None) -> str:
    if side is None:
        return "authentic"
    first = f"first {MOST} of " if len(side) > MOST else ""
    return f"{first}{len(side)} instance{'s' * (len(side) != 1)}"


def error_budget(score: float, shares: Mapping[str, float], baselines: Mapping[str, float], title: str) -> Figure:
    """Mean oF1 and what was lost to each cause (they add up to 1) -> one bar, trivial baselines marked on it."""
    figure, (ax,) = panels(1, 1, (9.0, 2.9))
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
    figure, axes = panels(len(pictures), min(6, len(pictures)), (2.4, 2.4))
    headed(figure, title)
    for ax, (name, pixels, masks) in zip(axes, pictures, strict=True):
        image(ax, pixels, _said(name, 36))
        outline(ax, Instances.from_masks(masks), TRUTH, "solid")
    return figure


def data_card(
    sizes: Sequence[tuple[int, int]], areas: Sequence[float], instances: Mapping[int, int], modes: Mapping[str, int]
) -> Figure:
    """Sizes (H, W) px, forged areas %, counts -> four plots: sizes, forged area, instances per image, modes."""
    figure, (a, b, c, d) = panels(4, 2, (4.6, 3.4))
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
    figure, (a, b, c) = panels(3, 3, (4.8, 3.6))
    steps = [e["step"] for e in epochs]
    for name in [k for k in epochs[-1] if k.startswith("loss")]:
        a.plot(steps, [e.get(name) for e in epochs], label=name, linewidth=2 if name == "loss" else 1)
    told = [e for e in epochs if "validation_loss" in e]
    if told:
        a.plot([e["step"] for e in told], [e["validation_loss"] for e in told], "k--", label="validation_loss")
    a.set(title="losses", xlabel="optimiser step", ylabel="loss (mean of the epoch)", yscale="log")
    scored = [e for e in epochs if "of1_mean" in e]
    for name, style in (("of1_mean", "o-"), ("dice_mean", "s-"), ("baseline_all_authentic", "k--")):
        b.plot([e["step"] for e in scored], [e[name] for e in scored], style, markersize=3, label=name)
    told = [e for e in epochs if "separability" in e]
    if told:
        b.plot(
            [e["step"] for e in told],
            [e["separability"] for e in told],
            "-",
            color="#8e24aa",
            label="separability (AUC)",
        )
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
    figure, (ax,) = panels(1, 1, (7.0, 3.8))
    names = list(scores)
    measures = ("of1_mean", "dice_mean", "recall_mean", "precision_mean")
    for i, measure in enumerate(measures):
        ax.bar(np.arange(len(names)) + (i - 1.5) * 0.2, [scores[n][measure] for n in names], 0.2, label=measure)
    ax.set_xticks(range(len(names)), [f"{n}\n(winner)" if n == winner else n for n in names], fontsize=8)
    ax.set(ylim=(0, 1.02), ylabel="score (0..1)", title="mask head frozen or free x boxes painted or plain")
    ax.legend(fontsize=7)
    return figure
