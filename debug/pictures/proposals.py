"""Pictures of the RPN: recall, feature levels, and the best proposals on images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from debug.measures.anchors import BINS, KINDS, TOP, Picture
from debug.measures.proposals import number
from debug.measures.recall import RpnReport, strides
from debug.measures.regions import errors, size_ticks
from debug.pictures.drawing import FOUND as HIT
from debug.pictures.drawing import OTHER, TRUTH, boxes_on
from forgery_rcnn import draw
from forgery_rcnn.models.anatomy import MATCH

SAID = 3  # proposals that match nothing whose objectness is written on a picture
# Inches: the page, its rows at most, a title, a page at least.
WIDTH, TALL, TITLE, NARROW = 11.0, 8.0, 0.5, 5.5


def recall(found: RpnReport) -> Figure:
    """Recall by number kept, by size, objectness of anchors, and each region's best overlaps."""
    figure, (a, b, c, d) = draw.panels(4, 2, (5.6, 4.0))
    numbers = list(found.chance)
    for iou, colour in zip(found.recall, ("#90caf9", "#1e88e5", "#0d3c78"), strict=True):
        a.plot(numbers, [found.recall[iou][n] for n in numbers], "o-", color=colour, markersize=4, label=f"IoU ≥ {iou}")
        own = found.own[iou]
        a.errorbar([found.kept], [own.value], errors([own]), color=colour, capsize=4)
    a.plot(numbers, [found.chance[n] for n in numbers], "k:", label="IoU ≥ 0.5, anchors drawn at random")
    a.set(
        xscale="log", ylim=(-0.02, 1.05), xlabel="proposals kept, best objectness first", ylabel="share of true regions"
    )
    a.set_title(f"recall of {found.regions} regions; bar: 95 % interval at the model's {found.kept}", fontsize=9)
    a.legend(fontsize=7)
    rows, places = found.by_size, np.arange(len(found.by_size))
    rates = [row.found for row in rows]
    b.bar(places - 0.3, [r.value for r in rates], 0.2, yerr=errors(rates), capsize=3, color="#1e88e5", label="found")
    for shift, name, colour in ((-0.1, "anchor", "#bdbdbd"), (0.1, "moved", "#ffb74d"), (0.3, "kept", "#00a651")):
        label = {"anchor": "best anchor, IoU", "moved": "best moved anchor, IoU", "kept": "best proposal, IoU"}[name]
        b.bar(places + shift, [getattr(row, name) for row in rows], 0.2, color=colour, label=label)
    size_ticks(b, [row.size for row in rows], [row.regions for row in rows], "box")
    b.set(ylim=(0, 1.3), ylabel="share found at IoU 0.5, mean IoU")
    b.set_title("by size of the region", fontsize=9)
    b.legend(fontsize=7, ncols=2, loc="upper center")
    _histogram(c, found.histogram, found.auc.value)
    side, *best = found.scatter
    for values, mark, (colour, name) in zip(
        best, "s^o", (("#9e9e9e", "anchor"), ("#fb8c00", "moved anchor"), ("#00a651", "proposal")), strict=True
    ):
        d.scatter(side, values, s=22, marker=mark, color=colour, alpha=0.7, label=f"best {name}")
    d.axhline(MATCH, color="black", linestyle=":", linewidth=1)
    d.set_xscale("log", base=2)
    d.xaxis.set_major_formatter("{x:g}")
    d.set(ylim=(-0.02, 1.05), xlabel="side of a square of the region's box (input px)", ylabel="IoU")
    d.set_title("one region each", fontsize=9)
    d.legend(fontsize=7)
    return figure


def _histogram(ax: Axes, counts: np.ndarray, auc: float) -> None:
    """(3, bins) counts by kind of anchor -> the share of each kind in each bin, log scale."""
    for name, row, colour in zip(KINDS, counts, (HIT, "#1e88e5", "#607d8b"), strict=True):
        if row.sum():
            ax.stairs(row / row.sum(), BINS, color=colour, label=f"{name}: {row.sum()}", linewidth=1.5)
    ax.set(yscale="log", xlabel="objectness", ylabel="share of the anchors of its kind")
    ax.set_title(f"objectness of anchors, AUC {number(auc)}", fontsize=9)
    ax.legend(fontsize=7, loc="upper center")


def levels(found: RpnReport) -> Figure:
    """Three tables: regions by size and feature level."""
    figure, axes = draw.panels(3, 3, (4.2, 3.6))
    names = [f"stride {s}\n{a} px" for s, a in zip(strides(len(found.anchor_sizes)), found.anchor_sizes, strict=True)]
    titles = ("anchor nearest to the region", "anchor that its best proposal was", "RoIAlign pools the true box from")
    for ax, title, table in zip(axes, titles, found.levels.values(), strict=True):
        counts = np.array(list(table.values()))
        ax.imshow(counts, cmap="Blues", aspect="auto", vmin=0, vmax=max(counts.max(), 1) * 1.3)
        for (y, x), value in np.ndenumerate(counts):
            ax.text(x, y, str(value), ha="center", va="center", fontsize=8)
        ax.set_xticks(range(len(names) + 1), [*names, "none or\nnot told"], fontsize=6)
        ax.set_yticks(range(len(table)), [size.replace(" px", "") for size in table], fontsize=7)
        ax.set(xlabel="feature level, its anchors' size", ylabel="side of the region's box (input px)")
        ax.set_title(title, fontsize=9)
    return figure


def proposals(found: RpnReport) -> Figure:
    """The best proposals on each picture, side by side in rows that are filled."""
    aspects = [picture.pixels.shape[1] / picture.pixels.shape[0] for picture in found.pictures]
    rows = filled(aspects)
    heights = [min(WIDTH / sum(aspects[i] for i in row), TALL) for row in rows]
    width = max(height * sum(aspects[i] for i in row) for row, height in zip(rows, heights, strict=True))
    figure = Figure(figsize=(max(width, NARROW), sum(heights) + TITLE * (len(rows) + 1)), layout="constrained")
    draw.headed(figure, f"top {TOP} proposals, objectness: true green, IoU ≥ {MATCH:g} red, others amber dashed")
    for row, part in zip(rows, np.ravel(figure.subfigures(len(rows), 1, height_ratios=heights)), strict=True):
        across = part.subplots(1, len(row), squeeze=False, width_ratios=[aspects[i] for i in row])[0]
        for ax, i in zip(across, row, strict=True):
            _one_picture(ax, found.pictures[i])
    return figure


def filled(aspects: Sequence[float]) -> list[list[int]]:
    """Width / height of each picture -> their places in rows, in order; a row is full when at WIDTH it is no taller than TALL.

    >>> filled([1.2, 1.2, 0.5, 0.5, 0.5, 2.5])
    [[0, 1], [2, 3, 4], [5]]
    """
    rows: list[list[int]] = [[]]
    for place, _ in enumerate(aspects):
        if sum(aspects[i] for i in rows[-1]) * TALL >= WIDTH:
            rows.append([])
        rows[-1].append(place)
    return rows


def _one_picture(ax: Axes, picture: Picture) -> None:
    """Objectness is said at the proposals that match and at the best of the others: all would hide the image."""
    hit, scores = picture.overlap >= MATCH, [f"{value:.2f}" for value in picture.objectness]
    other = np.flatnonzero(~hit)
    span = f", objectness {scores[-1]} to {scores[0]}" if scores else ""
    draw.image(ax, picture.pixels, f"{picture.title}: {int(hit.sum())} of {len(hit)} match{span}")
    ax.set_title(ax.get_title(), fontsize=8, pad=14, parse_math=False)
    boxes_on(ax, picture.boxes[~hit], OTHER, "dashed", [scores[i] for i in other[:SAID]])
    boxes_on(ax, picture.boxes[hit], HIT, "solid", [scores[i] for i in np.flatnonzero(hit)])
    before = len(ax.patches)
    boxes_on(ax, picture.true, TRUTH)
    for text in ax.texts:
        text.set_in_layout(False)  # a number at the border would make the picture smaller
    for patch in ax.patches[before:]:
        patch.set_linewidth(2.5)
