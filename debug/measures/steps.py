"""Gradients of a stage's batches at the weights as they are, and the one optimiser step that they lead to, on a copy."""

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
    """One batch at the weights as they are. losses: by name; gradient: norm over all parts before clipping; gradients:
    norm of each part that trains in it; drives: loss -> part -> norm of that loss's own gradient; silent: parameters whose
    gradient is 0 or none; targets: true regions that reached the losses; forged: of its images; trouble: which loss or
    gradient was not finite, "" if none."""

    losses: Norms
    gradient: float
    gradients: Norms
    drives: dict[str, Norms]
    silent: frozenset[str]
    targets: int
    forged: int
    trouble: str


@dataclass(frozen=True)
class Taken:
    """What the batches showed. parts: part -> names of its parameters; sizes: part -> count of numbers; moving: names of
    the parameters that the stage trains; steps: a batch each; updates: part -> |change| / |weights| of the one real
    step; losses: of the last batch before it and after; frozen: count of tensors that the stage freezes; drifted: those
    of them that changed."""

    parts: dict[str, list[str]]
    sizes: dict[str, int]
    moving: list[str]
    steps: list[Step]
    updates: Norms
    losses: tuple[float, float]
    frozen: int
    drifted: list[str]


def take(model: Segmenter, items: Sequence[Record], config: RunConfig, index: int, count: int) -> Taken:
    """`count` batches of stage number `index` of the configuration; the model is copied and stays as it is.

    Every gradient is one at the same weights: on all batches but the last the optimiser steps with learning rate 0, which
    fills its moments and moves nothing. On the last it takes one real step, with the stage's `lr` as given, no schedule.
    Its moments then know `count` gradients, a run's know its whole past: where gradients are steady the step is the same.
    Parts that train in turn have half of the batches each, and a real step each from the same weights.
    """
    stage, model = config.stages[index], copy.deepcopy(model)
    still = frozen_tensors(model, (*stage.trainable, *stage.alternate_with), stage.frozen)
    parts = parts_of(name for name, _ in model.named_parameters())
    moving = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimiser = optimisers.make(stage, moving.values())
    before = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    forged = {record.key for record in items if record.label == "forged"}
    ends = {(count + 1) // 2 - 1, count - 1} if stage.alternate_with else {count - 1}
    steps, updates, losses = [], {}, (math.nan, math.nan)
    with torch.random.fork_rng():
        for number, batch in enumerate(_batches(items, config, index, count)):
            swapped = bool(stage.alternate_with) and number >= (count + 1) // 2
            freezing.apply(model, stage.alternate_with if swapped else stage.trainable, stage.frozen)
            freezing.set_modes(model)
            steps.append(_step(model, _losses(model, batch, config, index, number), stage, parts, batch))
            steps[-1] = replace(steps[-1], forged=sum(key in forged for key in batch[2]))
            if steps[-1].trouble:
                break
            for group in optimiser.param_groups:
                group["lr"] = stage.lr if number in ends else 0.0
            optimiser.step()
            if number in ends:
                mine = {name: parts[name] for name, p in moving.items() if p.requires_grad}
                updates |= {part: relative_change(before, moving, names) for part, names in grouped(mine).items()}
                after = sum(float(loss.detach()) for loss in _losses(model, batch, config, index, number).values())
                losses = sum(steps[-1].losses.values()), after
                _put_back(moving, before)
    sizes = {part: sum(before[n].numel() for n in names) for part, names in grouped(parts).items()}
    drifted = changed(before, model.state_dict(), still)
    return Taken(grouped(parts), sizes, list(moving), steps, updates, losses, len(still), drifted)


def _losses(model: Segmenter, batch: Batch, config: RunConfig, index: int, number: int) -> Mapping[str, Tensor]:
    """The losses of one batch, the sampling of anchors and proposals drawn from the batch's number."""
    seeding.seed_step(config.seed, index, number, 0)
    with autocast(model.device, config.precision):
        return model.losses(*batch[:2])


def _put_back(moving: Mapping[str, nn.Parameter], before: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in moving.items():
            parameter.copy_(before[name])


def _batches(items: Sequence[Record], config: RunConfig, index: int, count: int) -> Iterator[Batch]:
    """The stage's first batches, were these images its own."""
    stage: Stage = config.stages[index]
    data: DataConfig = replace(config.data, workers=0)
    sampler = EpochSampler(len(items), stage.batch_size, seeding.mixed(config.seed, index))
    loader = make_loader(ForgeryDataset(items, data, config.model, stage.augment), sampler)
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


def _step(model: nn.Module, losses: Mapping[str, Tensor], stage: Stage, parts: Mapping[str, str], batch: Batch) -> Step:
    """Gradients of one batch, left in the parameters, clipped as in training."""
    values = {name: float(value.detach()) for name, value in losses.items()}
    drives = _drives(model, losses, parts)
    model.zero_grad(set_to_none=True)
    total = sum(losses.values())
    if total.requires_grad:
        total.backward()
    moving = {name: p for name, p in model.named_parameters() if p.requires_grad}
    sent = {name: p.grad for name, p in moving.items() if p.grad is not None}
    gradients = _norms(sent, {name: parts[name] for name in moving})
    silent = frozenset(name for name in moving if name not in sent or not sent[name].any())
    trouble = [f"{name} {value:.3g}" for name, value in values.items() if not math.isfinite(value)]
    trouble += [f"gradient of {part}" for part, value in gradients.items() if not math.isfinite(value)]
    gradient = float(nn.utils.clip_grad_norm_(list(moving.values()), stage.clip_norm))
    targets = sum(len(target["boxes"]) for target in batch[1])
    return Step(values, gradient, gradients, drives, silent, targets, 0, ", ".join(trouble))
