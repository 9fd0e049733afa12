"""Pictures of boxes before and after regression."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from debug.measures.proposals import number
from debug.measures.regressor import AXES, Boxes
from forgery_rcnn import draw

BEFORE, AFTER = "#9e9e9e", "#1e88e5"
UNITS = ("true widths", "true heights", "log ratio of widths", "log ratio of heights")


def overview(found: Boxes) -> Figure:
    """IoU before against after, the four errors before and after, deltas given against ideal, IoU by size of region."""
    figure, (a, b, c, d) = draw.panels(4, 2, (6.2, 4.6))
    _scatter(a, found)
    _errors(b, found)
    _deltas(c, found)
    _sizes(d, found)
    return figure


def _all(found: Boxes, name: str) -> np.ndarray:
    return np.concatenate([getattr(moved, name) for moved in found.moved])


def _scatter(ax: Axes, found: Boxes) -> None:
    before, after = _all(found, "before"), _all(found, "after")
    ax.plot([0, 1], [0, 1], color="grey", linewidth=0.8, label="not moved")
    ax.plot(before, after, "o", markersize=4, alpha=0.5, color=AFTER, label=f"forged proposal, {len(before)}")
    best = _all(found, "best_before"), _all(found, "best_after")
    ax.plot(*best, "^", color="#d32f2f", markersize=6, label=f"best proposal of a region, {len(best[0])}")
    ax.set(
        xlabel="IoU of the proposal with its true box", ylabel="IoU after regression", xlim=(0, 1.02), ylim=(0, 1.02)
    )
    ax.set_title(f"mean IoU {number(found.before.value)} → {number(found.after.value)}", fontsize=10)
    ax.legend(fontsize=7, loc="lower left")


def _errors(ax: Axes, found: Boxes) -> None:
    """Boxes of the errors, 5th to 95th percentile as whiskers."""
    if not found.proposals:
        ax.text(0.5, 0.5, "n/a: no forged proposal", ha="center", transform=ax.transAxes)
        return
    for offset, name, colour in ((-0.2, "errors_before", BEFORE), (0.2, "errors_after", AFTER)):
        ax.boxplot(
            _all(found, name),
            positions=np.arange(4) + offset,
            widths=0.32,
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": colour},
            medianprops={"color": "black"},
        )
        ax.plot([], [], "s", color=colour, label=name.removeprefix("errors_") + " regression")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xticks(range(4), [f"{axis}\n({unit})" for axis, unit in zip(AXES, UNITS, strict=True)], fontsize=8)
    ax.set(ylabel="error, box minus truth", xlim=(-0.6, 3.6))
    ax.set_title(f"errors of {found.proposals} forged proposals: median, quartiles, 5 and 95 %", fontsize=10)
    ax.legend(fontsize=7)


def _deltas(ax: Axes, found: Boxes) -> None:
    given, ideal = _all(found, "given"), _all(found, "ideal")
    for place, (name, marker) in enumerate(zip(AXES, "o^sv", strict=True)):
        label = f"{name}: makes {number(found.axes[name].step, 2)} of the move"
        ax.plot(ideal[:, place], given[:, place], marker, markersize=4, alpha=0.5, label=label)
    most = max(1.0, float(np.abs(ideal).max(initial=0)))
    ax.plot([-most, most], [-most, most], color="grey", linewidth=0.8)
    ax.axhline(0, color="grey", linewidth=0.8, linestyle=":")
    ax.set(xlabel="delta that would hit the true box (torchvision's units)", ylabel="delta given")
    ax.set_title("deltas of forged proposals", fontsize=10)
    ax.legend(fontsize=7)


def _sizes(ax: Axes, found: Boxes) -> None:
    if not found.sizes:
        ax.text(0.5, 0.5, "n/a: no forged region", ha="center", transform=ax.transAxes)
        return
    places = np.arange(len(found.sizes))
    ax.bar(places - 0.2, np.nan_to_num([s.before for s in found.sizes]), 0.4, color=BEFORE, label="before")
    ax.bar(places + 0.2, np.nan_to_num([s.after for s in found.sizes]), 0.4, color=AFTER, label="after")
    names = [f"{s.name}\n{s.regions} regions\n{s.proposals} proposals" for s in found.sizes]
    ax.set_xticks(places, names, fontsize=7)
    ax.set(ylabel="mean IoU of forged proposals", ylim=(0, 1.02), xlabel="side of the region at the model's input")
    ax.set_title("by size of the region", fontsize=10)
    ax.legend(fontsize=7, loc="lower left")


def stages(found: Boxes) -> Figure:
    """Mean IoU before and after with the best weights of each stage."""
    figure, (ax,) = draw.panels(1, 1, (6.2, 3.8))
    places = np.arange(len(found.stages))
    for offset, name, colour in ((-0.2, "before", BEFORE), (0.2, "after", AFTER)):
        heights = np.array([getattr(stage, name) for stage in found.stages])
        ax.bar(places + offset, np.nan_to_num(heights), 0.4, color=colour, label=f"{name} regression")
        for place, height in zip(places, heights, strict=True):
            ax.text(place + offset, np.nan_to_num(height) + 0.01, number(height, 2), ha="center", fontsize=7)
    ax.set_xticks(places, [f"{stage.name}\n{stage.proposals} forged proposals" for stage in found.stages], fontsize=8)
    ax.set(ylabel="mean IoU of forged proposals", ylim=(0, 1.08), title="best weights of each stage, the same images")
    ax.legend(fontsize=7, loc="lower right")
    return figure
