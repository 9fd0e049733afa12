"""What a few steps of training show of each part of the detector, and what that means in one line."""

from __future__ import annotations

import math
from dataclasses import dataclass

from debug.measures.steps import Step
from debug.probe import drawn_only
from forgery_rcnn.config import Stage

RULE = 1e-3  # |update| / |weights| of a step: "should be somewhere around 1e-3", Stanford CS231n notes, neural nets 3
LARGE, SMALL = 100 * RULE, RULE / 100  # a hundredfold off; healthy runs have 1e-4 to 2e-2 (fresh AdamW steps are long)
DEAD = 0.75  # of a layer's units; runs that learn have up to 0.59 (fc6, demo), 0.47 (fc6 on one image, oF1 0.97)


@dataclass(frozen=True)
class Part:
    """One part. gradient: mean norm over its steps, before clipping; update: median |change| / |weights| of its steps;
    both NaN where it is frozen. drives: loss -> norm of that loss's own gradient. tensors: number of its parameters that
    train; silent: those that got no gradient in any step. units: dead, all; None = no ReLU here."""

    name: str
    numbers: int
    trains: bool
    gradient: float
    update: float
    drives: dict[str, float]
    tensors: int
    silent: list[str]
    units: tuple[int, int] | None


@dataclass(frozen=True)
class Learning:
    """forged: of the images. layers: layer before a ReLU -> dead units, all. frozen: tensors that the stage freezes;
    drifted: those that changed. clipped: share of the steps. trouble: what was not finite, in which step."""

    stage: Stage
    images: int
    forged: int
    parts: list[Part]
    layers: dict[str, tuple[int, int]]
    frozen: int
    drifted: list[str]
    clipped: float
    losses: tuple[float, float]
    trouble: str
    steps: list[Step] = drawn_only()


def verdict(found: Learning) -> str:
    """One line: what must not be comes first, then what keeps parts from learning."""
    trained = [part for part in found.parts if part.trains]
    if found.drifted:
        return (
            f"drift in a frozen part: {len(found.drifted)} of {found.frozen} frozen tensors moved, e.g. {found.drifted[0]}; "
            "batch norm in train mode? put frozen parts in eval mode (engine.freezing.set_modes)"
        )
    fast = max(trained, key=lambda part: -1 if math.isnan(part.update) else part.update)
    if fast.update > LARGE:
        return f"updates too large: {_off(fast, found)}"
    if found.trouble:
        return f"not finite: {found.trouble}; lower lr (now {found.stage.lr:g}) or use --precision float32"
    dead = {layer: gone for layer, gone in found.layers.items() if gone[0] >= DEAD * gone[1]}
    if mute := [part for part in trained if part.gradient == 0]:
        return f"{', '.join(part.name for part in mute)}: no gradient; {_why(mute, dead, found)}"
    if dead:
        return _anew(dead, found)
    slow = min(trained, key=lambda part: math.inf if math.isnan(part.update) else part.update)
    if slow.update < SMALL:
        return f"updates too small: {_off(slow, found)}"
    return _fine(found, slow, fast)


def _anew(dead: dict[str, tuple[int, int]], found: Learning) -> str:
    """The layer that is most dead, and what to do."""
    layer = max(dead, key=lambda name: dead[name][0] / dead[name][1])
    gone, count = dead[layer]
    return f"{gone} of {count} units are dead in {layer}, 0 on all {found.images} images: start that part anew, or lower lr"


def _off(part: Part, found: Learning) -> str:
    """A part whose updates are too large or too small -> by how much, and the rate that would put it right."""
    lr = found.stage.lr * RULE / part.update if part.update else math.inf
    would = f"lr {lr:.1g} in place of {found.stage.lr:g} would" if math.isfinite(lr) else "no lr can"
    then = f"; then {found.trouble} is not finite" if found.trouble else ""
    return f"{part.name} changes by {part.update:.1e} of its weights in a step; {would} bring it to {RULE:g}{then}"


def _why(mute: list[Part], dead: dict[str, tuple[int, int]], found: Learning) -> str:
    """Why parts that train get no gradient."""
    if dead:
        return _anew(dead, found)
    if not found.forged:
        return "only authentic images here: look at forged ones (--split few)"
    losses = sorted({loss for part in mute for loss in part.drives})
    return f"none of {', '.join(losses)} depends on it on these images: is its loss 0, or what it feeds on dead?"


def _fine(found: Learning, slow: Part, fast: Part) -> str:
    still = [part.name for part in found.parts if not part.trains]
    silent = sum(len(part.silent) for part in found.parts)
    return (
        f"learning reaches every part that stage {found.stage.name} trains: update/weights {slow.update:.1e} ({slow.name}) to "
        f"{fast.update:.1e} ({fast.name}), rule of thumb {RULE:g}"
        + (f"; {silent} single tensors get no gradient" if silent else "")
        + (f"; frozen, and still: {', '.join(still)}" if still else "")
    )
