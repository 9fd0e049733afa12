"""Do the proposals find the true regions, and if not: anchors, box regression, or objectness?

python3 -m debug.rpn --weights runs/NAME
python3 -m debug.rpn --weights runs/NAME --images ROOT --split validation --count 50
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from debug.measures.anchors import BINS, FOUND, KINDS, TOP, Picture, look
from debug.measures.proposals import number
from debug.measures.reach import needed
from debug.measures.recall import RpnReport, measure
from debug.measures.regions import errors, size_ticks
from debug.pictures.drawing import FOUND as HIT
from debug.pictures.drawing import OTHER, TRUTH, boxes_on
from debug.probe import Probe, run
from forgery_rcnn import draw

FINE = 0.9  # recall at IoU 0.5 from which the proposals do
TELLS = 0.8  # AUC of objectness below which it is called untrained; 0.5 tells nothing
SAID = 3  # proposals that match nothing whose objectness is written on a picture
WHY = {
    "reach": "no anchor has IoU 0.5 with them",
    "moved": "an anchor has, but none after the RPN has moved it",
    "dropped": "a moved anchor has, but it is not kept",
}


def lines(found: RpnReport) -> list[str]:
    """Recall, best overlaps, objectness, sizes, levels, and the verdict."""
    out = [f"{found.regions} true regions in {found.images} images; the model keeps up to {found.kept} proposals"]
    if found.regions == 0:
        return [*out, "recall, objectness, anchors: n/a", f"verdict: {verdict(found)}"]
    if found.tiny:
        out.append(f"note: training leaves out {found.tiny} of them, whose boxes are too thin for it (min_box)")
    numbers = list(found.chance)
    out += [f"recall by number kept   {''.join(f'{n:>8}' for n in numbers)}   at {found.kept}, 95 % interval"]
    for iou, recall in found.recall.items():
        own = found.own[iou]
        cells = "".join(f"{recall[n]:8.3f}" for n in numbers)
        out.append(f"  IoU >= {iou}            {cells}   {own.value:.3f} [{own.low:.3f}, {own.high:.3f}]")
    out.append(
        f"  IoU >= 0.5 by chance  {''.join(f'{found.chance[n]:8.3f}' for n in numbers)}   (anchors drawn at random)"
    )
    b = found.best
    out += [
        f"best IoU per region, mean: anchors' shapes {b['shape']:.3f}, anchors {b['anchor']:.3f}, moved {b['moved']:.3f}, "
        f"proposals {b['kept']:.3f}",
        f"regression: matching anchors go from IoU {found.moving[0]:.3f} to {found.moving[1]:.3f}",
        f"objectness, matching against background anchors of the same image: AUC {found.auc}",
    ]
    out += [f"missed: {found.missed[cause]} regions, {why}" for cause, why in WHY.items() if found.missed[cause]]
    out.append("by size: regions, found at IoU 0.5, best IoU of anchors, moved, proposals")
    for row in found.by_size:
        means = f"{row.anchor:.3f} {row.moved:.3f} {row.kept:.3f}"
        out.append(f"  {row.size:<18} {row.regions:>4}  {row.found}  {means}")
    return [*out, *_level_lines(found), f"verdict: {verdict(found)}"]


def _level_lines(found: RpnReport) -> list[str]:
    """The three tables level x size."""
    names = [f"stride {s} ({a} px)" for s, a in zip(strides(len(found.anchor_sizes)), found.anchor_sizes, strict=True)]
    out = [f"feature level (its anchors): {', '.join(names)}, ? = none or cannot be told"]
    for table, of_size in found.levels.items():
        out.append(
            f"  level of the {table}" if table != "RoIAlign" else "  level that RoIAlign pools the true box from"
        )
        out += [f"    {size:<18} {' '.join(f'{n:>4}' for n in counts)}" for size, counts in of_size.items()]
    return out


def strides(count: int) -> list[int]:
    """Pixels of the input per place of each level, finest first."""
    return [4 * 2**level for level in range(count)]


def verdict(found: RpnReport) -> str:
    """One line: fine, or which part of the RPN misses the regions, and what to do."""
    if found.regions == 0:
        return f"n/a: none of the {found.images} images holds a true region; choose forged ones, e.g. --split few"
    own, auc, (before, after) = found.own[FOUND], found.auc.value, found.moving
    idle = f"; its box regression has learnt nothing: matching anchors go from IoU {before:.3f} to {after:.3f}"
    idle = idle if after <= before else ""
    recall = f"{own.value:.3f} of the {found.regions} regions have a proposal of IoU 0.5 among {found.kept}"
    cause = max(found.missed, key=lambda name: found.missed[name])
    if own.value < FINE and cause == "reach":
        return f"{_out_of_reach(found)}; {recall}{idle}"
    if auc < TELLS or (own.value < FINE and idle):
        weak = f"its objectness hardly tells regions from background: AUC {auc:.3f}, 0.5 is chance"
        weak = (
            weak
            if auc < TELLS
            else f"it moves matching anchors from IoU {before:.3f} to {after:.3f}, objectness AUC {auc:.3f}"
        )
        return (
            f"the RPN is untrained: {weak}; {recall} ({found.chance[found.kept]:.3f} by chance); train it: rpn among a stage's "
            "trainable parts, more epochs, or more images if these are not the training's"
        )
    if own.value >= FINE:
        return (
            f"the RPN is fine: {recall}, {found.own[0.7].value:.3f} one of IoU 0.7; objectness AUC {auc:.3f}; the anchors "
            f"reach IoU {found.best['anchor']:.3f} by themselves, the proposals {found.best['kept']:.3f}{idle}"
        )
    count, missed = found.missed[cause], sum(found.missed.values())
    if cause == "dropped":
        return (
            f"the RPN's scores are wrong: for {count} of the {missed} missed regions a moved anchor of IoU 0.5 exists and is "
            f"not kept (objectness AUC {auc:.3f}); {recall}; try a larger --model.rpn-proposals, train rpn.head longer"
        )
    return (
        f"the RPN's box regression is wrong: for {count} of the {missed} missed regions an anchor of IoU 0.5 exists and none "
        f"is left after it is moved (matching anchors go from {before:.3f} to {after:.3f}); {recall}; "
        "train rpn.head longer"
    )


def _out_of_reach(found: RpnReport) -> str:
    """Which sizes or ratios to add, or that the anchors lie too far apart."""
    sizes, ratios = needed(found.beyond, found.anchor_sizes, found.ratios)
    text = f"the anchors cannot reach {found.missed['reach']} regions (none has IoU 0.5 with them)"
    advice = []
    if sizes:
        advice.append(
            f"shift --model.anchor-sizes {' '.join(map(str, found.anchor_sizes))} to hold {_listed(sizes)} px"
        )
    if ratios:
        advice.append(f"add --model.aspect-ratios {_listed(ratios)} (height / width)")
    if not advice or found.beyond_by_shape < len(found.beyond):
        advice.append("raise --model.image-size: the shapes fit, the places are too far apart")
    return f"{text}: {', and '.join(advice)}"


def _listed(values: list[int] | list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def figures(found: RpnReport) -> dict[str, Figure]:
    """recall: four plots; levels: three tables; proposals: the best on the first images."""
    out = {"proposals": _proposals(found)}
    return {"recall": _recall(found), "levels": _levels(found), **out} if found.regions else out


def _recall(found: RpnReport) -> Figure:
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
    d.axhline(FOUND, color="black", linestyle=":", linewidth=1)
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


def _levels(found: RpnReport) -> Figure:
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


def _proposals(found: RpnReport) -> Figure:
    figure, axes = draw.panels(len(found.pictures), min(2, len(found.pictures)), (5.2, 5.4))
    draw.headed(figure, f"top {TOP} proposals, objectness: true green, IoU ≥ 0.5 red, others amber dashed")
    for ax, picture in zip(axes, found.pictures, strict=True):
        _one_picture(ax, picture)
    return figure


def _one_picture(ax: Axes, picture: Picture) -> None:
    """Objectness is said at the proposals that match and at the best of the others: all would hide the image."""
    hit, scores = picture.overlap >= FOUND, [f"{value:.2f}" for value in picture.objectness]
    other = np.flatnonzero(~hit)
    span = f", objectness {scores[-1]} to {scores[0]}" if scores else ""
    draw.image(ax, picture.pixels, f"{picture.title}: {int(hit.sum())} of {len(hit)} match{span}")
    ax.set_title(ax.get_title(), fontsize=8, pad=14, parse_math=False)
    boxes_on(ax, picture.boxes[~hit], OTHER, "dashed", [scores[i] for i in other[:SAID]])
    boxes_on(ax, picture.boxes[hit], HIT, "solid", [scores[i] for i in np.flatnonzero(hit)])
    before = len(ax.patches)
    boxes_on(ax, picture.true, TRUTH)
    for patch in ax.patches[before:]:
        patch.set_linewidth(2.5)


PROBE = Probe("rpn", "Do the proposals find the true regions?", measure, lines, figures, look)

if __name__ == "__main__":
    sys.exit(run(PROBE, __doc__))
