"""Pictures of regions that are one: both outlined, corresponding places joined by lines. Figures are returned, see draw.save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from forgery_rcnn import rle
from forgery_rcnn.draw import headed, image, outline, panels
from forgery_rcnn.instances import Instances

# Told apart by those who see few colours too (Okabe & Ito 2008), and by number; black would be lost on blots.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
THREADS = 5  # thin lines per pair beside the thick one
SAMPLED = 2000  # pixels of a region that its lines may start from
MOST = 12  # pairs in one picture
LINE = 0.19  # inches that a line of text below a picture takes


@dataclass(frozen=True)
class Tie:
    """Two regions that are one. number: what they are called by; first, second: Runs, each in its own image; matrix: (2, 3),
    first -> second, pixels; caption: one line; arrow: to which of them the line points, the one that is taken for the copy."""

    number: int
    first: rle.Runs
    second: rle.Runs
    matrix: np.ndarray
    caption: str
    arrow: Literal["first", "second", "none"] = "none"


def within(pixels: np.ndarray, ties: Sequence[Tie], title: str) -> Figure:
    """(H, W, 3) uint8, ties of one image, the first MOST drawn -> the image beside itself with the regions outlined and joined."""
    figure, (bare, marked) = panels(2, 2, _size([pixels, pixels]))
    image(bare, pixels, f"the image, {pixels.shape[1]} x {pixels.shape[0]} px")
    image(marked, pixels, _counted(ties))
    _drawn((marked, marked), (pixels.shape[:2], pixels.shape[:2]), ties)
    return _captioned(figure, ties, title)


def between(first: np.ndarray, second: np.ndarray, ties: Sequence[Tie], names: tuple[str, str], title: str) -> Figure:
    """Two (H, W, 3) uint8 images, ties from the first to the second, the first MOST drawn -> both, side by side, joined."""
    figure, axes = panels(2, 2, _size([first, second]))
    for ax, pixels, name in zip(axes, (first, second), names, strict=True):
        image(ax, pixels, f"{name}, {pixels.shape[1]} x {pixels.shape[0]} px")
    _drawn((axes[0], axes[1]), (first.shape[:2], second.shape[:2]), ties)
    return _captioned(figure, ties, title)


def colour(place: int) -> str:
    """Of the tie at this place of a picture, from 0."""
    return COLOURS[place % len(COLOURS)]


def _size(images: Sequence[np.ndarray]) -> tuple[float, float]:
    """Inches for each of the axes: 5.5 wide, as high as the higher image needs, within reason."""
    tallest = max(pixels.shape[0] / pixels.shape[1] for pixels in images)
    return 5.5, float(np.clip(5.5 * tallest, 1.5, 8.0)) + 0.6


def _counted(ties: Sequence[Tie]) -> str:
    first = f"the first {MOST} of " if len(ties) > MOST else ""
    return f"{first}{len(ties)} pair{'s' * (len(ties) != 1)} of regions"


def _drawn(axes: tuple[Axes, Axes], sizes: tuple[tuple[int, int], tuple[int, int]], ties: Sequence[Tie]) -> None:
    """Outlines, numbers and lines of every tie; the two axes may be the same."""
    for place, tie in enumerate(ties[:MOST]):
        ends = _corresponding(tie, sizes[0])
        for ax, size, runs, style in zip(axes, sizes, (tie.first, tie.second), ("solid", "dashed"), strict=True):
            outline(ax, Instances(size, (runs,)), colour(place), style)
        for thread, (start, end) in enumerate(ends):
            _joined(axes, (start, end), colour(place), "thread" if thread else tie.arrow)
        for ax, at, side in zip(axes, ends[0], "AB", strict=True):
            ax.annotate(
                f"{tie.number}{side}", at, color="white", fontsize=8, ha="center", va="center", zorder=6,
                bbox={"boxstyle": "round,pad=0.2", "facecolor": colour(place), "edgecolor": "white", "linewidth": 0.6},
            )  # fmt: skip


def _joined(axes: tuple[Axes, Axes], ends: tuple[np.ndarray, np.ndarray], shade: str, kind: str) -> None:
    """A line from a place in the first axes to one in the second, above both."""
    style = {"first": "<|-", "second": "-|>"}.get(kind, "-")
    thin = kind == "thread"
    line = ConnectionPatch(
        ends[0], ends[1], "data", "data", axesA=axes[0], axesB=axes[1], arrowstyle=style, color=shade, clip_on=False,
        linewidth=0.7 if thin else 1.8, alpha=0.6 if thin else 1.0, mutation_scale=12, shrinkA=0 if thin else 9,
        shrinkB=0 if thin else 9, zorder=4,
    )  # fmt: skip
    axes[1].figure.add_artist(line)


def _corresponding(tie: Tie, size: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """-> places of the first region, x y, and where they are in the second: one in its middle, then THREADS around it."""
    lengths = tie.first[:, 1]
    picked = np.linspace(0, int(lengths.sum()) - 1, min(int(lengths.sum()), SAMPLED)).astype(np.int64)
    run = np.searchsorted(np.cumsum(lengths), picked, side="right")  # which may reach over many columns
    index = tie.first[run, 0] + picked - (np.cumsum(lengths) - lengths)[run]
    points = np.stack(np.divmod(index, size[0]), axis=1).astype(np.float64)
    middle = points[np.argmin(np.square(points - points.mean(axis=0)).sum(axis=1))]
    angles = 2 * np.pi * np.arange(THREADS) / THREADS
    far = [points[np.argmax(points @ [np.cos(angle), np.sin(angle)])] for angle in angles]
    return [(point, tie.matrix[:, :2] @ point + tie.matrix[:, 2]) for point in (middle, *far)]


def _captioned(figure: Figure, ties: Sequence[Tie], title: str) -> Figure:
    """The figure with room below for a line per tie, in its colour."""
    headed(figure, title)
    shown = ties[:MOST]
    width, height = figure.get_size_inches()
    total = height + LINE * (len(shown) + 1)
    figure.set_size_inches(width, total)
    below = LINE * (len(shown) + 1) / total
    figure.get_layout_engine().set(rect=(0, below, 1, 1 - below))  # type: ignore[union-attr]
    for place, tie in enumerate(shown):
        line, y = f"{tie.number}: {tie.caption}", below - LINE * (place + 1) / total
        figure.text(0.02, y, line, fontsize=8, color=colour(place), parse_math=False)
    return figure
