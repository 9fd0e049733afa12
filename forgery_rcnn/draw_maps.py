"""Pictures of maps over one image, and of what steps of inference do to a score. Figures are returned, see draw.save."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from forgery_rcnn.bootstrap import Interval
from forgery_rcnn.draw import FOUND, TRUTH, headed, image, outline, panels
from forgery_rcnn.instances import Instances

COLUMNS = 5


def maps(
    pixels: np.ndarray,
    truth: Instances | None,
    found: Mapping[str, np.ndarray],
    title: str,
    threshold: float | None = None,
) -> Figure:
    """(H, W, 3) uint8, truth or None = authentic, title -> (H, W) float32 in 0..1 -> the image and each map in grey levels.

    The truth is outlined in green (dashed) on each, in red (solid) what a map holds at or above `threshold`.
    """
    count = 1 + len(found)
    figure, axes = panels(count, min(count, COLUMNS), (3.0, 3.1))
    headed(figure, title)
    image(axes[0], pixels, f"image, {pixels.shape[1]} x {pixels.shape[0]} px")
    height, width = pixels.shape[:2]
    for ax, (name, values) in zip(axes[1:], found.items(), strict=True):
        image(ax, pixels, name)
        shown = ax.imshow(
            values, cmap="gray", vmin=0, vmax=1, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="nearest"
        )
        if threshold is not None and values.shape == (height, width) and (above := values >= threshold).any():
            outline(ax, Instances.from_masks(above[None]), FOUND, "solid")
    for ax in axes:
        if truth is not None:
            outline(ax, truth, TRUTH, "dashed")
    figure.colorbar(shown, ax=axes, fraction=0.02, label="0..1")
    return figure


def steps(scores: Mapping[str, Interval], label: str, title: str) -> Figure:
    """Name -> score with its 95 % interval -> a bar each, the first drawn on as a dashed line: what the others are held to."""
    figure, (ax,) = panels(1, 1, (7.5, 1.2 + 0.34 * len(scores)))
    names = list(scores)
    for place, name in enumerate(names):
        found = scores[name]
        ax.barh(place, found.value, color="#90a4ae", height=0.7)
        if not math.isnan(found.low):
            ax.plot([found.low, found.high], [place, place], color="black", linewidth=1.2)
        ax.text(1.01, place, f"{found.value:.4f}", va="center", fontsize=8)
    ax.axvline(scores[names[0]].value, color="black", linestyle="--", linewidth=1)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel=label, title=title)
    return figure
