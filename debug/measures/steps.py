"""A few optimiser steps of a stage on a copy of the detector, as training takes them, with every part's gradient noted."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from debug.measures.parts import changed, frozen_tensors, grouped, norm, parts_of, relative_change
from forgery_rcnn.config import DataConfig, RunConfig, Stage
from forgery_rcnn.data.dataset import Batch, EpochSampler, ForgeryDataset, make_loader
from forgery_rcnn.data.records import Record
from forgery_rcnn.engine import freezing, optimisers, seeding
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.models.segmenter import Segmenter

Norms = dict[str, float]


@dataclass(frozen=True)
class Step:
    """One optimiser step. losses: by name; gradient: norm over all parts before clipping; gradients: norm of each part
    that trains in it; updates: |change| / |weights| of each such part; silent: parameters whose gradient is 0 or none;
    trouble: which loss or gradient was not finite, "" if none: then there was no update."""

    losses: Norms
    gradient: float
    gradients: Norms
    updates: Norms
    silent: frozenset[str]
    trouble: str


@dataclass(frozen=True)
class Taken:
    """What the steps showed. parts: part -> names of its parameters; sizes: part -> count of numbers; moving: names of
    the parameters that the stage trains; drives: loss -> part -> norm of that loss's own gradient, on the first batch; steps;
    frozen: count of tensors that the stage freezes; drifted: those of them that changed."""

    parts: dict[str, list[str]]
    sizes: dict[str, int]
    moving: list[str]
    drives: dict[str, Norms]
    steps: list[Step]
    frozen: int
    drifted: list[str]


def take(model: Segmenter, items: Sequence[Record], config: RunConfig, index: int, count: int) -> Taken:
    """`count` steps of stage number `index` of the configuration; the model is copied and stays as it is.

    As in engine.loop but for these: warm-up is left out, or so few steps would say nothing about the stage's rate; the
    optimiser starts without moments; parts that train in turn get half of the steps each; nothing is averaged.
    """
    stage, model = config.stages[index], copy.deepcopy(model)
    still = frozen_tensors(model, (*stage.trainable, *stage.alternate_with), stage.frozen)
    parts = parts_of(name for name, _ in model.named_parameters())
    moving = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    optimiser = optimisers.make(stage, [p for _, p in moving])
    before = {name: tensor.detach().clone() for name, tensor in model.state_dict().items() if name in set(still)}
    drives, steps = {}, []
    with torch.random.fork_rng():
        for number, batch in enumerate(_batches(items, config, index, count)):
            swapped = bool(stage.alternate_with) and number >= (count + 1) // 2
            freezing.apply(model, stage.alternate_with if swapped else stage.trainable, stage.frozen)
            freezing.set_modes(model)
            seeding.seed_step(config.seed, index, number, 0)
            for group in optimiser.param_groups:  # the rate that follows the warm-up
                group["lr"] = optimisers.learning_rate(replace(stage, warmup_steps=0), number, _per_epoch(items, stage))
            with autocast(model.device, config.precision):
                losses = model.losses(*batch[:2])
            drives = drives or _drives(model, losses, parts)
            steps.append(_step(model, losses, optimiser, stage, parts))
            if steps[-1].trouble:
                break
    sizes = {part: sum(model.get_parameter(n).numel() for n in names) for part, names in grouped(parts).items()}
    names = [name for name, _ in moving]
    return Taken(grouped(parts), sizes, names, drives, steps, len(still), changed(before, model.state_dict(), still))


def _per_epoch(items: Sequence[Record], stage: Stage) -> int:
    return len(EpochSampler(len(items), stage.batch_size, 0))


def _batches(items: Sequence[Record], config: RunConfig, index: int, count: int) -> Iterator[Batch]:
    """The stage's first batches, were these images its own."""
    stage: Stage = config.stages[index]
    data: DataConfig = replace(config.data, workers=0)
    sampler = EpochSampler(len(items), stage.batch_size, seeding.mixed(config.seed, index))
    loader = make_loader(ForgeryDataset(items, data, config.model.image_size, stage.augment), sampler)
    for number in range(count):
        if number % len(sampler) == 0:
            sampler.set(number // len(sampler), 0)
            epoch = iter(loader)
        yield next(epoch)


def _drives(model: nn.Module, losses: Mapping[str, Tensor], parts: Mapping[str, str]) -> dict[str, Norms]:
    """Loss -> part -> norm of the gradient that this loss alone sends to it. A loss that depends on no part sends none."""
    names, moving = zip(*((n, p) for n, p in model.named_parameters() if p.requires_grad), strict=True)
    out = {}
    for loss, value in losses.items():
        found: Sequence[Tensor | None] = [None] * len(moving)
        if value.requires_grad:
            found = torch.autograd.grad(value, moving, retain_graph=True, allow_unused=True)
        sent = {name: gradient for name, gradient in zip(names, found, strict=True) if gradient is not None}
        out[loss] = _norms(sent, {name: parts[name] for name in names})
    return out


def _norms(tensors: Mapping[str, Tensor], parts: Mapping[str, str]) -> Norms:
    """Norm of each part's tensors together; 0 for a part that has none."""
    return {part: norm(tensors[name] for name in names if name in tensors) for part, names in grouped(parts).items()}


def _step(
    model: nn.Module,
    losses: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
    stage: Stage,
    parts: dict[str, str],
) -> Step:
    values = {name: float(value.detach()) for name, value in losses.items()}
    optimiser.zero_grad(set_to_none=True)
    total = sum(losses.values())
    if total.requires_grad:
        total.backward()
    moving = {name: p for name, p in model.named_parameters() if p.requires_grad}
    mine = {name: parts[name] for name in moving}
    sent = {name: p.grad for name, p in moving.items() if p.grad is not None}
    gradients = _norms(sent, mine)
    silent = frozenset(name for name in moving if name not in sent or not sent[name].any())
    trouble = [f"{name} {value:.3g}" for name, value in values.items() if not math.isfinite(value)]
    trouble += [f"gradient of {part}" for part, value in gradients.items() if not math.isfinite(value)]
    gradient = float(nn.utils.clip_grad_norm_(list(moving.values()), stage.clip_norm))
    if trouble:
        return Step(values, gradient, gradients, {}, silent, ", ".join(trouble))
    before = {name: p.detach().clone() for name, p in moving.items()}
    optimiser.step()
    updates = {part: relative_change(before, moving, names) for part, names in grouped(mine).items()}
    return Step(values, gradient, gradients, updates, silent, "")
