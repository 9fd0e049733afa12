"""Optimiser and learning rate of a stage. The rate is a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import nn, optim

from forgery_rcnn.config import Stage


def make(stage: Stage, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """AdamW, Adam, or SGD with momentum 0.9; norms and biases are not decayed."""
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": stage.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if stage.optimiser == "sgd":
        return optim.SGD(groups, lr=stage.lr, momentum=0.9, fused=True)
    kind = {"adamw": optim.AdamW, "adam": optim.Adam}[stage.optimiser]
    return kind(groups, lr=stage.lr, fused=True)


def learning_rate(stage: Stage, step: int, steps_per_epoch: int) -> float:
    """Rate at step 0, 1, ... of the stage: linear warm-up, then constant, cosine to zero, or a cut every few epochs.

    >>> stage = Stage(lr=1.0, epochs=10, schedule="step", step_epochs=5, warmup_steps=0)
    >>> learning_rate(stage, 0, 2), learning_rate(stage, 10, 2)
    (1.0, 0.1)
    """
    if step < stage.warmup_steps:
        return stage.lr * (step + 1) / (stage.warmup_steps + 1)
    if stage.schedule == "cosine":
        total = stage.epochs * steps_per_epoch
        done = (step - stage.warmup_steps) / max(1, total - stage.warmup_steps)
        return stage.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    if stage.schedule == "step":
        return stage.lr * stage.step_gamma ** (step // steps_per_epoch // stage.step_epochs)
    return stage.lr
