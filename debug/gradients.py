"""Does learning reach every part? Gradients, updates, dead units and what moves that should not.

python3 -m debug.gradients --weights runs/NAME
python3 -m debug.gradients --weights runs/NAME --stage few --steps 16
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from debug.case import Case, Job, Specimen
from debug.measures import steps, units
from debug.measures.learning import DEAD, HALF, LARGE, RULE, SMALL, Learning, Part, rate, verdict
from debug.measures.steps import Taken
from debug.probe import Probe, run
from forgery_rcnn import draw
from forgery_rcnn.config import RunConfig, Stage
from forgery_rcnn.data.records import Record
from forgery_rcnn.errors import InputError


@dataclass(frozen=True)
class GradientsJob(Job):
    """What to look at, and how many batches (on a copy: nothing is trained)."""

    steps: int = 8
    """Batches, all at the weights as they are; one optimiser step after them."""
    stage: str | None = None
    """Name of the run's stage whose settings to use; default the one that the weights are of."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1:
            raise InputError(f"--steps {self.steps}: use at least 1")


@dataclass(frozen=True)
class Seen:
    """One image: its record, and the units that were alive on it."""

    record: Record
    alive: units.Alive


def look(specimen: Specimen) -> Seen:
    """The units that are alive on one image."""
    return Seen(specimen.record, units.of_specimen(specimen))


def measure(case: Case, kept: list[Seen]) -> Learning:
    """Batches of the stage from the images that could be read -> Learning. The case's model stays as it is."""
    count = case.job.steps if isinstance(case.job, GradientsJob) else GradientsJob.steps
    index = _stage_of(case)
    stage, why = _at_its_rate(case, case.config.stages[index])
    stages = (*case.config.stages[:index], stage, *case.config.stages[index + 1 :])
    config = replace(case.config, model=case.model.config, precision=case.precision, stages=stages)
    taken = steps.take(case.model, [seen.record for seen in kept], config, index, count)
    layers = units.dead(units.together(seen.alive for seen in kept))
    by_part = units.per_part(layers, taken.parts)
    bad = [f"batch {i + 1}: {step.trouble}" for i, step in enumerate(taken.steps) if step.trouble]
    return Learning(
        stage,
        why,
        len(kept),
        sum(seen.record.label == "forged" for seen in kept),
        [_part(name, taken, by_part.get(name)) for name in taken.parts],
        layers,
        taken.frozen,
        taken.drifted,
        float(np.mean([step.gradient > stage.clip_norm for step in taken.steps])),
        taken.losses,
        _lost(taken, config),
        bad[0] if bad else "",
        taken.steps,
    )


def _at_its_rate(case: Case, stage: Stage) -> tuple[Stage, str]:
    """The stage with the rate to judge it by, and where that is from."""
    logged = [line["lr"] for line in case.log if line["stage"] == stage.name and "lr" in line]
    lr, why = rate(stage, logged[-1] if logged else None)
    return replace(stage, lr=lr), why


def _lost(taken: Taken, config: RunConfig) -> str:
    """Why no true region of a forged image reached the losses; "" where one did, or where no batch had a forged image."""
    forged = sum(step.forged for step in taken.steps)
    if not forged or any(step.targets for step in taken.steps):
        return ""
    said = f"no true region is left in the {forged} forged images of the batches"
    if config.model.fit == "native":
        return (
            f"{said}; each has a side below data.min_box {config.data.min_box} px or lies outside the squares of "
            f"{config.model.image_size} px that are cut: a smaller min_box, a larger data.crops_on_forged or model.image_size"
        )
    return (
        f"{said}; each is smaller than data.min_box {config.data.min_box} px, or too thin to fill half a pixel, at the model's "
        f"{config.model.image_size} px: a larger model.image_size, model.fit native, or a smaller min_box"
    )


def _stage_of(case: Case) -> int:
    """Number of the stage that the job names, or that the weights are of; the last where neither says."""
    named = case.job.stage if isinstance(case.job, GradientsJob) else None
    names = [stage.name for stage in case.config.stages]
    if named is not None and named not in names:
        raise InputError(f"--stage {named}: the run has no such stage; use one of {', '.join(names)}")
    if named is None and case.path.with_suffix(".json").is_file():
        named = json.loads(case.path.with_suffix(".json").read_text()).get("stage")
    return names.index(named) if named in names else len(names) - 1


def _part(name: str, taken: Taken, dead: tuple[int, int] | None) -> Part:
    mine = [step for step in taken.steps if name in step.gradients]
    gradient = float(np.mean([step.gradients[name] for step in mine])) if mine else math.nan
    update = taken.updates.get(name, math.nan)
    silent = [n for n in taken.moving if n in taken.parts[name] and mine and all(n in step.silent for step in mine)]
    tensors = sum(n in taken.moving for n in taken.parts[name])
    losses = mine[0].drives if mine else ()
    drives = {loss: float(np.mean([step.drives[loss][name] for step in mine])) for loss in losses}
    return Part(name, taken.sizes[name], bool(tensors), gradient, update, drives, tensors, silent, dead)


# ---- printed ----------------------------------------------------------------------------------------------------


def lines(found: Learning) -> list[str]:
    """The rate, a line per part, which loss drives which, what is frozen, and the verdict."""
    stage = found.stage
    out = [
        f"stage {stage.name}: {stage.optimiser}, lr {stage.lr:g} ({found.rate}), clip {stage.clip_norm:g}; {found.images} images, "
        f"{found.forged} forged",
        f"gradients: {len(found.steps)} batches at the weights as they are, clipped in {found.clipped:.0%}",
        "update: "
        + (
            f"not taken, {found.trouble} is not finite"
            if found.trouble
            else "one step at that rate, its moments filled by those gradients; the last batch's loss "
            f"{found.losses[0]:.3f} -> {found.losses[1]:.3f}"
        ),
        f"  {'part':<36} {'numbers':>10} {'gradient':>9} {'update/weights':>14} {'no gradient':>12} {'dead units':>12}",
    ]
    for part in found.parts:
        dead = "no ReLU here" if part.units is None else f"{part.units[0]} of {part.units[1]}"
        learns = (
            f"{part.gradient:>9.2e} {part.update:>14.1e} {f'{len(part.silent)} of {part.tensors}':>12}"
            if part.trains
            else f"{'frozen':>9} {'':>14} {'':>12}"
        )
        out.append(f"  {part.name:<36} {part.numbers:>10} {learns} {dead:>12}")
    out.append("which loss drives which part (norm of its own gradient, mean over batches)")
    for part in (p for p in found.parts if p.drives):
        sent = ", ".join(f"{loss.removeprefix('loss_')} {value:.2e}" for loss, value in part.drives.items() if value)
        out.append(f"  {part.name:<36} {sent or 'none'}")
    out.append(f"frozen: {found.frozen} tensors, {len(found.drifted)} of them moved")
    if not found.forged:
        out.append("only authentic images: the box regressor and the mask head have nothing to learn from here")
    return [*out, f"verdict: {verdict(found)}"]


# ---- drawn ------------------------------------------------------------------------------------------------------


def figures(found: Learning) -> dict[str, Figure]:
    """How large gradients and updates are, which loss drives which part, and where units are dead."""
    figure, (a, b) = draw.panels(2, 2, (6.8, 4.6))
    _dots(a, found.parts, [part.gradient for part in found.parts])
    a.set(
        xlabel="gradient norm, mean over batches at the same weights (log scale)",
        title=f"stage {found.stage.name}: what arrives",
    )
    b.axvspan(SMALL, LARGE, color="#00c853", alpha=0.12, label="within a hundredfold")
    b.axvline(RULE, color="black", linestyle="--", linewidth=1, label=f"rule of thumb {RULE:g}")
    _dots(b, found.parts, [part.update for part in found.parts])
    b.set(xlabel="|update| / |weights| of one step (log scale)", title="how far a step goes")
    b.legend(fontsize=7, loc="lower left")
    out = {"gradients": figure, "losses": _drives(found)}
    return out | ({"dead_units": _dead(found)} if found.layers else {})


def _dots(ax: Axes, parts: list[Part], values: list[float]) -> None:
    """A dot per part on a log scale, the number beside the axes; 0 and parts that are frozen have no dot."""
    drawn = [value if math.isfinite(value) and value > 0 else math.nan for value in values]
    places = np.arange(len(parts))[::-1]
    ax.set_yticks(places, [part.name for part in parts], fontsize=7)
    ax.grid(alpha=0.3)
    if known := [value for value in drawn if value > 0]:
        ax.set_xscale("log")
        ends = [
            *known,
            *(line.get_xdata()[0] for line in ax.lines),
        ]  # whole decades, so that every tick is a power of 10
        ax.set_xlim(10.0 ** math.floor(math.log10(min(ends)) - 0.01), 10.0 ** math.ceil(math.log10(max(ends)) + 0.01))
        ax.plot(drawn, places, "o", color="#1e88e5")
    for place, part, value in zip(places, parts, values, strict=True):
        said = "frozen" if not part.trains else f"{value:.1e}" if math.isfinite(value) else "not finite"
        ax.text(1.01, place, said, fontsize=7, va="center", transform=ax.get_yaxis_transform())


def _drives(found: Learning) -> Figure:
    """Parts by losses: the norm of each loss's gradient, coloured by its share of the part's largest."""
    parts = [part for part in found.parts if part.trains]
    losses = list(parts[0].drives)
    table = np.array([[part.drives.get(loss, math.nan) for loss in losses] for part in parts])
    largest = np.nan_to_num(table, posinf=0).max(axis=1, keepdims=True)
    share = np.divide(np.nan_to_num(table, posinf=0), largest, out=np.zeros_like(table), where=largest > 0)
    figure, (ax,) = draw.panels(1, 1, (7.6, 0.6 + 0.34 * (len(parts) + 3)))
    shown = ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*table.shape):
        value, dark = table[row, column], share[row, column] > 0.6
        ax.text(column, row, f"{value:.1e}" if value else "0", ha="center", va="center", fontsize=7)
        ax.texts[-1].set_color("white" if dark else "black")
    ax.set_xticks(range(len(losses)), [loss.removeprefix("loss_") for loss in losses], fontsize=8)
    ax.set_yticks(range(len(parts)), [part.name for part in parts], fontsize=7)
    ax.set_title("which loss drives which part: norm of its own gradient, mean over batches", fontsize=9)
    figure.colorbar(shown, ax=ax, label="share of the part's largest")
    return figure


def _dead(found: Learning) -> Figure:
    """Share of dead units of every layer with a ReLU."""
    figure, (ax,) = draw.panels(1, 1, (7.2, 0.8 + 0.2 * (len(found.layers) + 2)))
    places = np.arange(len(found.layers))[::-1]
    shares = [100 * gone / count for gone, count in found.layers.values()]
    ax.barh(places, shares, color=["#d32f2f" if share >= 100 * DEAD else "#1e88e5" for share in shares])
    for place, share, (gone, count) in zip(places, shares, found.layers.values(), strict=True):
        ax.text(min(share + 1, 84), place, f"{gone} of {count}", fontsize=6, va="center")
    ax.axvline(100 * HALF, color="black", linestyle=":", linewidth=1)
    ax.axvline(100 * DEAD, color="black", linestyle="--", linewidth=1)
    ax.set_yticks(places, list(found.layers), fontsize=6)
    ax.set(xlim=(0, 100), xlabel="units that are 0 at every place of every image (%)")
    ax.set_title(f"dead units behind ReLUs, {found.images} images; dotted: noted, dashed: a fault", fontsize=9)
    return figure


PROBE = Probe("gradients", "Does learning reach every part?", measure, lines, figures, look, GradientsJob)

if __name__ == "__main__":
    sys.exit(run(PROBE, __doc__))
