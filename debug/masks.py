"""Does the mask head draw regions well, given their boxes, and if not: the head, its grid, or the threshold?

python3 -m debug.masks --weights runs/NAME
python3 -m debug.masks --weights runs/NAME --images ROOT --split validation --count 50
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from debug.case import LARGER
from debug.measures.grids import THRESHOLDS, look
from debug.measures.regions import size_ticks
from debug.measures.shapes import MaskReport, measure
from debug.probe import Probe, run
from forgery_rcnn import draw
from forgery_rcnn.instances import Instances

FINE = 0.9  # mean Dice in the true box from which the head does
CLEAR = 0.05  # Dice that another threshold must bring before it is called off
TAUGHT = 0.05  # Dice above the filled box's from which the head is said to have learnt shapes


def lines(found: MaskReport) -> list[str]:
    """Dice, limits, losses, sizes, thresholds, and the verdict."""
    out = [f"{found.regions} true regions in {found.images} images; a grid of {found.grid} x {found.grid} per box"]
    if found.regions == 0:
        return [*out, "Dice, training target, thresholds: n/a", f"verdict: {verdict(found)}"]
    if found.vanished:
        out.append(f"note: {found.vanished} of them have no pixel at the model's input size")
    out += [
        "mean Dice of a region in the original image, 95 % interval over images",
        f"  predicted mask in the true box      {found.given}   at threshold {found.threshold:g}",
        f"  the true box filled (does nothing)  {found.filled}",
    ]
    for side, target in found.target.items():
        own = f"   what the head's training target gives at {side} x {side}" if side == found.grid else ""
        out.append(f"  truth through a grid of {side:<4}        {target}{own}")
    out += [
        f"  truth at the model's input size     {found.at_input}",
        f"predicted less training target {found.beside_target}; what the training target lacks to 1 {found.target_loss}",
        f"threshold: best {found.sweep.best:.2f} with {np.max(found.sweep.dice):.4f}; one chosen on the other images brings "
        f"{found.sweep.gain}",
    ]
    own = found.own
    if own.regions:
        out.append(
            f"{own.regions} regions have a detection (box IoU >= 0.5): its mask {own.own:.4f}, in the true box instead "
            f"{own.given:.4f}, the training target of the detection's box {own.perfect:.4f}"
        )
    else:
        out.append("no region has a detection (box IoU >= 0.5): Dice in the model's own boxes n/a")
    out.append(f"by size of the mask: regions, predicted, box filled, through {', '.join(map(str, found.target))}")
    for row in found.by_size:
        targets = " ".join(f"{value:.3f}" for value in row.target.values())
        out.append(f"  {row.size:<18} {row.regions:>4}  {row.given:.3f}  {row.filled:.3f}  {targets}")
    return [*out, f"verdict: {verdict(found)}"]


def verdict(found: MaskReport) -> str:
    """One line: fine, or what limits the masks, and what to do."""
    if found.regions == 0:
        return f"n/a: none of the {found.images} images holds a true region; choose forged ones, e.g. --split few"
    given, target, filled = found.given.value, found.target[found.grid].value, found.filled.value
    base = f"Dice {given:.3f} in the true boxes; the training target gives {target:.3f} at {found.grid} x {found.grid}"
    if given >= FINE:
        own = found.own
        boxes = f"; in the {own.regions} boxes of its own that found a region {own.own:.3f}" if own.regions else ""
        return f"the mask head is fine: {base}{boxes}"
    gain, best = found.sweep.gain, float(np.max(found.sweep.dice))
    much = gain.value >= max(CLEAR, (target - given) / 2)
    if much and best >= min(filled + CLEAR, FINE):  # where regions are rectangles, a filled box is perfect
        swap = f"{base}; {found.sweep.best:.2f} rather than {found.threshold:g} gives {best:.3f}"
        if gain.low > 0:
            return f"the mask threshold is off: {swap}: encode_submission.py --inference.mask-threshold {found.sweep.best:.2f}"
        if np.isnan(gain.low):
            return f"the mask head or its threshold is off: {swap}, but one image cannot tell which: look at more"
    if given - target > target - 1:  # nearer to the target than the target to 1
        return f"{_grid_too_coarse(found)}; {base}"
    if given < filled + TAUGHT:
        # Where regions fill their boxes, a trained head may be below a filled box too.
        bad = given < filled - TAUGHT and filled < FINE
        what = "is untrained" if bad else "draws no better than a filled box"
        return (
            f"the mask head {what}: {base}, and a filled box gives {filled:.3f}; train it: roi_heads.mask_head and "
            "roi_heads.mask_predictor among a stage's trainable parts, more epochs"
        )
    return (
        f"the mask head is the limit: {base}; it has learnt something (a filled box gives {filled:.3f}); train "
        "roi_heads.mask_head and roi_heads.mask_predictor longer, or on more images if these are not the training's"
    )


def _grid_too_coarse(found: MaskReport) -> str:
    """Which grid would do, or that the input, which costs more than that grid would bring, is too small for any."""
    finer = [side for side, target in found.target.items() if side > found.grid and target.value >= FINE]
    costs = 1 - found.at_input.value
    side = next((side for side in finer if found.target[side].value - found.target[found.grid].value >= costs), None)
    if side is not None:
        return (
            f"the grid is too coarse: a training target of {side} x {side} gives {found.target[side].value:.3f}, "
            f"--model.mask-pool {side // 2}"
        )
    most, target = list(found.target.items())[-1]
    return (
        f"the model's input is too small for these regions: the truth at its size gives {found.at_input.value:.3f}, a training target "
        f"of {most} x {most} {target.value:.3f}: {LARGER[found.fit]}"
    )


def figures(found: MaskReport) -> dict[str, Figure]:
    """dice: four plots; regions: from the worst to the best. None without a true region."""
    return {"dice": _dice(found), "regions": _regions(found)} if found.regions else {}


def _dice(found: MaskReport) -> Figure:
    figure, (a, b, c, d) = draw.panels(4, 2, (5.8, 4.0))
    _by_size(a, found)
    sides = list(found.target)
    for row, shade in zip(found.by_size, np.linspace(0.2, 0.8, len(found.by_size)), strict=True):
        label = f"{row.size}, n={row.regions}"
        b.plot(sides, list(row.target.values()), "o-", color=_shade(shade), label=label, markersize=4)
    b.axvline(found.grid, color="black", linestyle=":", linewidth=1, label="the model's grid")
    b.axhline(found.at_input.value, color="grey", linestyle="--", linewidth=1, label="truth at the input's size")
    b.set_xscale("log", base=2)
    b.set_xticks(sides, [str(side) for side in sides])
    b.set(xlabel="side of the mask grid (cells)", ylabel="mean Dice of the truth through it")
    b.set_title("what a grid's training target gives, by size of the region", fontsize=9)
    b.legend(fontsize=7)
    c.plot(THRESHOLDS, found.sweep.dice, "o-", color="#1e88e5", markersize=4, label="predicted in the true box")
    c.axvline(found.threshold, color="black", linestyle=":", label=f"in use: {found.threshold:g}")
    c.axvline(found.sweep.best, color="#d32f2f", linestyle="--", label=f"best: {found.sweep.best:.2f}")
    c.axhline(found.filled.value, color="grey", linestyle="-.", linewidth=1, label="box filled")
    c.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="mask threshold", ylabel="mean Dice")
    c.set_title(f"thresholds; chosen on other images: {found.sweep.gain.value:+.3f}", fontsize=9)
    c.legend(fontsize=7)
    side, given, target = found.scatter
    d.scatter(side, target, s=24, marker="^", color="#00a651", label="training target, pasted back")
    d.scatter(side, given, s=24, color="#1e88e5", label="predicted in the true box")
    d.set(ylim=(-0.02, 1.05), xlabel="side of a square of the region's area (input px)", ylabel="Dice")
    d.set_title("one region each", fontsize=9)
    d.legend(fontsize=7)
    return figure


def _shade(place: float) -> tuple[float, float, float]:
    """0..1 -> a blue, lighter for smaller."""
    return (0.7 * (1 - place), 0.85 * (1 - place) + 0.1, 1 - 0.5 * place)


def _by_size(ax: Axes, found: MaskReport) -> None:
    places = np.arange(len(found.by_size))
    bars = {
        "box filled": ("#bdbdbd", [row.filled for row in found.by_size]),
        "predicted in the true box": ("#1e88e5", [row.given for row in found.by_size]),
        f"training target, {found.grid} x {found.grid}": ("#00a651", [row.target[found.grid] for row in found.by_size]),
    }
    for shift, (label, (colour, values)) in zip((-0.27, 0, 0.27), bars.items(), strict=True):
        ax.bar(places + shift, values, 0.27, color=colour, label=label)
        for place, value in zip(places, values, strict=True):
            ax.text(place + shift, value + 0.01, f"{value:.2f}", ha="center", fontsize=6)
    size_ticks(ax, [row.size for row in found.by_size], [row.regions for row in found.by_size], "mask")
    ax.set(ylim=(0, 1.25), ylabel="mean Dice")
    ax.set_title("by size of the region's mask", fontsize=9)
    ax.legend(fontsize=7, ncols=3, loc="upper center")


def _regions(found: MaskReport) -> Figure:
    figure, axes = draw.panels(3 * len(found.crops), 3, (3.4, 3.2))
    draw.headed(figure, "truth green, predicted in the true box red, training target blue")
    for row, crop in enumerate(found.crops):
        plain, said, perfect = axes[3 * row : 3 * row + 3]
        truth = Instances.from_masks(crop.truth[None])
        draw.image(plain, crop.pixels, f"{crop.title}: Dice {crop.given:.3f}")
        draw.outline(plain, truth, draw.TRUTH, "solid")
        draw.outline(plain, Instances.from_masks(crop.probability[None] >= found.threshold), draw.FOUND, "solid")
        extent = (-0.5, crop.truth.shape[1] - 0.5, crop.truth.shape[0] - 0.5, -0.5)
        shown = said.imshow(crop.probability, cmap="inferno", vmin=0, vmax=1, extent=extent)
        said.set_title("probability that the head gives", fontsize=8)
        figure.colorbar(shown, ax=said, fraction=0.046)
        draw.outline(said, truth, draw.TRUTH, "solid")
        draw.image(perfect, crop.pixels, f"training target, {found.grid} x {found.grid}: Dice {crop.target:.3f}")
        draw.outline(perfect, truth, draw.TRUTH, "solid")
        draw.outline(perfect, Instances.from_masks(crop.perfect[None]), "#2979ff", "dashed")
        for ax in (said, perfect):
            ax.set_xticks([])
            ax.set_yticks([])
    return figure


PROBE = Probe("masks", "Does the mask head draw regions well, given their boxes?", measure, lines, figures, look)

if __name__ == "__main__":
    sys.exit(run(PROBE, __doc__))
