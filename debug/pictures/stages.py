"""Pictures of a run's stages: their curves, each head against its aim, how far each part moved."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from debug.measures import aims
from debug.measures.aims import AIMS, Mark
from debug.measures.stages import After, StagesReport
from forgery_rcnn import draw

JUDGED = ("n/a", "FAIL", "not sure", "pass")
SHADES = ListedColormap(["#e0e0e0", "#ef9a9a", "#ffe082", "#a5d6a7"])  # of each


def figures(found: StagesReport) -> dict[str, Figure]:
    """curves, heads, and moved where a start is known."""
    out = {"heads": _heads(found)}
    if found.log:
        out["curves"] = _curves(found)
    if any(after.moved.parts for after in found.stages):
        out["moved"] = _moved(found)
    return out


def _curves(found: StagesReport) -> Figure:
    """A column per stage: losses above, scores below, the kept epoch marked."""
    stages, count = found.stages, len(found.stages)
    figure, axes = draw.panels(2 * count, count, (4.6, 2.9))
    for column, after in enumerate(stages):
        epochs = [line for line in found.log if line["stage"] == after.stage.name]
        _losses(axes[column], after, epochs)
        _scores(axes[count + column], after, epochs)
    return figure


def _losses(ax: Axes, after: After, epochs: list[dict[str, Any]]) -> None:
    for name in [key for key in (epochs[-1] if epochs else {}) if key.startswith("loss")]:
        drawn = [(e["epoch"], e[name]) for e in epochs if e.get(name, 0) > 0]
        if drawn:
            ax.plot(*zip(*drawn, strict=True), label=name, linewidth=2 if name == "loss" else 1)
            ax.set_yscale("log")
    _best(ax, after)
    ax.set(title=f"stage {after.stage.name}", xlabel="epoch", ylabel="training loss")
    _legend(ax, "lower left")


def _scores(ax: Axes, after: After, epochs: list[dict[str, Any]]) -> None:
    scored = [e for e in epochs if "of1_mean" in e]
    for name, style in (
        () if not scored else (("of1_mean", "o-"), ("dice_mean", "s-"), ("baseline_all_authentic", "k--"))
    ):
        ax.plot([e["epoch"] for e in scored], [e[name] for e in scored], style, markersize=3, label=name)
    _best(ax, after)
    ax.set(xlabel="epoch", ylabel="score (0..1)", ylim=(-0.02, 1.02))
    _legend(ax, "lower right")


def _legend(ax: Axes, place: str) -> None:
    if ax.lines:  # matplotlib warns of a legend without entries
        ax.legend(fontsize=6, loc=place)


def _best(ax: Axes, after: After) -> None:
    if after.course is not None and after.course.best_epoch:
        ax.axvline(after.course.best_epoch, color="#d32f2f", linestyle=":", label="weights kept")


def _rows(found: StagesReport) -> list[tuple[str, dict[str, Mark]]]:
    """Name and marks of each row: a stage on what it is scored on, and on its training images where those are others."""
    out = []
    for after in found.stages:
        seen = "validation" if after.train else after.stage.subset
        out.append((f"{after.stage.name}\n{seen}, {_counted(after.scored.images)}", after.marks))
        if after.train:
            marked = aims.marks(after.stage, after.train)
            out.append((f"{after.stage.name}\ntraining, {_counted(after.train.images)}", marked))
    return out


def _counted(images: int) -> str:
    return f"{images} image{'s' * (images != 1)}"


def _heads(found: StagesReport) -> Figure:
    """Stages by heads: the number, its aim, passed or not."""
    rows = _rows(found)
    figure, (ax,) = draw.panels(1, 1, (9.0, 1.3 + 0.6 * len(rows)))
    table = np.array([[JUDGED.index(mark.judged) for mark in marked.values()] for _, marked in rows])
    ax.imshow(table, cmap=SHADES, vmin=0, vmax=3, aspect="auto")
    for row, (_, marked) in enumerate(rows):
        for column, (name, mark) in enumerate(marked.items()):
            said = f"{mark.found.value:.3f}, aim {mark.aim:.3f}\n{aims.sampled(name, mark)}"
            said = "n/a" if mark.judged == "n/a" else said
            ax.text(column, row, said, ha="center", va="center", fontsize=8)
    said = [f"{aim.head.removeprefix('the ')}\n{aim.said}" for aim in AIMS.values()]
    ax.set_xticks(
        range(len(said)), [name.replace("share of ", "").replace(" given", "\ngiven") for name in said], fontsize=7
    )
    ax.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=7)
    ax.set_xticks(np.arange(len(AIMS) + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=2)
    ax.tick_params(which="both", length=0)
    ax.set_title(
        "each head, with the best weights of each stage: green meets its aim, yellow: not sure, red does not",
        fontsize=9,
    )
    return figure


def _moved(found: StagesReport) -> Figure:
    """Bars of the relative change of each part's weights, a colour per stage."""
    known = [after for after in found.stages if after.moved.parts]
    parts = list(known[0].moved.parts)
    figure, (ax,) = draw.panels(1, 1, (8.0, 1.2 + 0.14 * len(parts) * (1 + len(known))))
    places, height = np.arange(len(parts))[::-1], 0.8 / len(known)
    for number, after in enumerate(known):
        values = [after.moved.parts[part] for part in parts]
        drawn = [0.0 if math.isnan(value) else value for value in values]
        at = places + 0.4 - (number + 0.5) * height
        ax.barh(at, drawn, height, label=f"stage {after.stage.name}")
        for place, value, width in zip(at, values, drawn, strict=True):
            ax.text(width, place, " n/a" if math.isnan(value) else f" {value:.2f}", fontsize=6, va="center")
    ax.set_yticks(places, parts, fontsize=7)
    ax.set(xlabel="|best - start| / |start| of the part's weights")
    ax.margins(x=0.08)
    ax.set_title("how far each stage moved each part", fontsize=9)
    ax.legend(fontsize=7, loc="lower right")
    return figure
