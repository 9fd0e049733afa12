"""Pictures of debug.features: AUC of each vector set, mean differences beside their null, d' sorted, a projection."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from debug.pictures.drawing import FOUND, TRUTH
from forgery_rcnn import draw
from forgery_rcnn.separability import LARGE, Cloud, Separation

SHADES = {"stage": "Blues", "fpn": "Greens", "RoI pooled": "Oranges", "box head": "Reds"}


def overview(sets: Mapping[str, Separation], shown: str) -> Figure:
    """Vector set -> Separation; `shown` is the set of which three panels tell more."""
    figure, (a, b, c, d) = draw.panels(4, 2, (6.2, 4.2))
    _aucs(a, sets)
    cloud = sets[shown].cloud
    _differences(b, cloud, shown)
    _projected(c, cloud, shown)
    _d_primes(d, sets)
    return figure


def _aucs(ax: Axes, sets: Mapping[str, Separation]) -> None:
    """AUC with interval, and the band that labels dealt anew stay below 95 times of 100."""
    for place, each in enumerate(sets.values()):
        low, high = np.nan_to_num([each.auc.low, each.auc.high], nan=each.auc.value)
        value = each.auc.value
        ax.errorbar(place, value, [[max(value - low, 0)], [max(high - value, 0)]], fmt="o", color="#1e88e5", capsize=3)
        label = "95 % of dealt labels below" if not place else None
        ax.hlines(each.auc_chance.high, place - 0.35, place + 0.35, color="#d32f2f", label=label)
    ax.axhline(0.5, color="black", linewidth=0.8, linestyle="--", label="chance")
    ax.set_xticks(range(len(sets)), list(sets), rotation=40, ha="right", fontsize=8)
    ax.set(ylim=(0.2, 1.02), ylabel="held-out linear-probe AUC", title="where a cue is (95 % interval over images)")
    ax.legend(fontsize=7, loc="lower left")


def _differences(ax: Axes, cloud: Cloud, name: str) -> None:
    """Mean differences per dimension, and those of labels dealt anew, as densities."""
    reach = float(max(np.abs(cloud.differences).max(), np.abs(cloud.null).max(), 1e-6))
    bins = np.linspace(-reach, reach, 41)
    weight = np.full(cloud.null.size, 1 / len(cloud.null))
    ax.hist(
        cloud.null.ravel(),
        bins,
        weights=weight,
        color="#9e9e9e",
        label=f"labels dealt anew (mean of {len(cloud.null)})",
    )
    ax.hist(cloud.differences, bins, histtype="step", color="#d32f2f", linewidth=1.5, label="forged less authentic")
    if reach > LARGE:
        for side in (-LARGE, LARGE):
            ax.axvline(side, color="black", linestyle=":", linewidth=1)
    ax.set(xlabel="difference of means (the vectors' own unit)", ylabel="dimensions", title=f"{name}: differences")
    ax.legend(fontsize=7)


def _projected(ax: Axes, cloud: Cloud, name: str) -> None:
    """Each region: its held-out probe score against what else varies most."""
    for forged, colour, marker in ((False, TRUTH, "o"), (True, FOUND, "^")):
        those = cloud.forged == forged
        label = "forged" if forged else "authentic"
        ax.scatter(cloud.scores[those], cloud.residual[those], s=16, c=colour, marker=marker, alpha=0.7, label=label)
    ax.set(
        xlabel="score of a linear probe fitted on other images",
        ylabel="first principal component\nof what the probe leaves",
        title=f"{name}: the regions",
    )
    ax.legend(fontsize=7)


def _d_primes(ax: Axes, sets: Mapping[str, Separation]) -> None:
    """|d'| of the dimensions of every set, largest first, against the share of dimensions."""
    for name, each in sets.items():
        sizes = np.sort(np.abs(each.cloud.d_primes))[::-1]
        share = 100 * (np.arange(len(sizes)) + 0.5) / len(sizes)
        kind, level = name.rsplit(" ", 1) if name[-1:].isdigit() else (name, "3")
        colour = colormaps[SHADES.get(kind, "Greys")](0.35 + 0.2 * int(level))
        style = "solid" if kind in SHADES else "dashed"
        ax.plot(share, sizes, linestyle=style, color=colour, linewidth=1.2, label=f"{name} ({each.surviving} survive)")
    ax.set(
        xlabel="% of the dimensions, largest first",
        ylabel="|d'|",
        title="d' sorted (survive: false-discovery rate 0.05)",
    )
    ax.legend(fontsize=6, ncols=2)
