"""What a few steps of training show of each part of the detector, and what that means in one line."""

from __future__ import annotations

import math
from dataclasses import dataclass

from debug.measures.steps import Step
from debug.probe import drawn_only
from forgery_rcnn.config import Stage

RULE = 1e-3  # |update| / |weights| of a step: "should be somewhere around 1e-3", Stanford CS231n notes, neural nets 3
LARGE, SMALL = 100 * RULE, RULE / 100  # a hundredfold off
# Of a layer's units. Half dead is worth a line: the layer is half as wide as it was built. A layer that is left a tenth of
# its width is a bottleneck that nobody chose.
HALF, DEAD = 0.5, 0.9
ENDED = (
    0.01  # of the stage's rate: a schedule that has come down so far says nothing of the rate that the run learnt at
)


@dataclass(frozen=True)
class Part:
    """One part. gradient: mean norm over the batches at the same weights, before clipping; update: |change| / |weights|
    of the one real step; both NaN where it is frozen. drives: loss -> mean norm of that loss's own gradient. tensors:
    number of its parameters that train; silent: those that got no gradient from any batch. units: dead, all; None = no
    ReLU here."""

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
    """stage: with the learning rate that was judged; rate: where that is from; forged: of the images. layers: layer before
    a ReLU -> dead units, all. frozen: tensors that the stage freezes; drifted: those that changed. clipped: share of the
    batches. losses: of the last batch, before the real step and after. lost: why no true region reached the losses, ""
    where one did. trouble: what was not finite, in which batch."""

    stage: Stage
    rate: str
    images: int
    forged: int
    parts: list[Part]
    layers: dict[str, tuple[int, int]]
    frozen: int
    drifted: list[str]
    clipped: float
    losses: tuple[float, float]
    lost: str
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
    if found.trouble:
        return f"not finite: {found.trouble}; lower lr (now {found.stage.lr:g}) or use --precision float32"
    if found.lost:
        return f"nothing to learn from: {found.lost}"
    fast = max(trained, key=lambda part: -1 if math.isnan(part.update) else part.update)
    if fast.update > LARGE:
        return f"updates too large: {_off(fast, found)}"
    dead = asleep(found.layers, DEAD)
    if mute := [part for part in trained if part.gradient == 0]:
        return f"{', '.join(part.name for part in mute)}: no gradient; {_why(mute, dead, found)}"
    if dead:
        return _anew(dead, found)
    slow = min(trained, key=lambda part: math.inf if math.isnan(part.update) else part.update)
    if slow.update < SMALL:
        return f"updates too small: {_off(slow, found)}"
    return _fine(found, slow, fast)


def asleep(layers: dict[str, tuple[int, int]], share: float) -> dict[str, tuple[int, int]]:
    """The layers of which at least this share is dead.

    >>> asleep({"fc6": (9, 10), "fc7": (1, 10)}, DEAD)
    {'fc6': (9, 10)}
    """
    return {layer: (gone, count) for layer, (gone, count) in layers.items() if gone >= share * count}


def rate(stage: Stage, logged: float | None) -> tuple[float, str]:
    """A stage, the last rate that its run logged of it -> the rate to judge, and where it is from.

    >>> rate(Stage(lr=1e-3), 5e-4), rate(Stage(lr=1e-3), 5e-9)[0]
    ((0.0005, "the run's last"), 0.001)
    """
    if logged is None:
        return stage.lr, "the stage's; no log of it"
    if logged < ENDED * stage.lr:
        return stage.lr, f"the stage's peak; the run's schedule has ended, at {logged:.1g}"
    if logged > stage.lr:
        return stage.lr, f"the stage's; the log's, {logged:.1g}, is above it"
    return logged, "the run's last"


def _anew(dead: dict[str, tuple[int, int]], found: Learning) -> str:
    """The layer that is most dead, and what to do."""
    layer = max(dead, key=lambda name: dead[name][0] / dead[name][1])
    gone, count = dead[layer]
    return f"{gone} of {count} units are dead in {layer}, 0 on all {found.images} images: start that part anew, or lower lr"


def _off(part: Part, found: Learning) -> str:
    """A part whose updates are too large or too small -> by how much, and the rate that would put it right."""
    lr = found.stage.lr * RULE / part.update if part.update else math.inf
    would = f"lr {lr:.1g} in place of {found.stage.lr:g} would" if math.isfinite(lr) else "no lr can"
    return f"{part.name} changes by {part.update:.1e} of its weights in a step; {would} bring it to {RULE:g}"


def _why(mute: list[Part], dead: dict[str, tuple[int, int]], found: Learning) -> str:
    """Why parts that train get no gradient."""
    if dead:
        return _anew(dead, found)
    if not found.forged:
        return "only authentic images here: look at forged ones (--split few)"
    losses = sorted({loss for part in mute for loss in part.drives})
    return f"none of {', '.join(losses)} depends on it on these images: is its loss 0, or what it feeds on dead?"


def _fine(found: Learning, slow: Part, fast: Part) -> str:
    half = asleep(found.layers, HALF)
    still = [part.name for part in found.parts if not part.trains]
    silent = sum(len(part.silent) for part in found.parts)
    return (
        f"learning reaches every part that stage {found.stage.name} trains: update/weights {slow.update:.1e} ({slow.name}) to "
        f"{fast.update:.1e} ({fast.name}), rule of thumb {RULE:g}"
        + (
            f"; note: {', '.join(f'{gone} of {count} units dead in {layer}' for layer, (gone, count) in half.items())}"
            if half
            else ""
        )
        + (f"; {silent} single tensors get no gradient" if silent else "")
        + (f"; frozen, and still: {', '.join(still)}" if still else "")
    )
