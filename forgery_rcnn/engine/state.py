"""What a run is at any moment: model, running average, optimiser, position. All of it goes into a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from forgery_rcnn.config import RunConfig
from forgery_rcnn.engine import seeding
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.models.segmenter import Segmenter


@dataclass
class Position:
    """Where the run is, and what of the present epoch and stage is already summed up."""

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    """Batches done in this epoch."""
    step: int = 0
    """Optimiser steps since the run began."""
    stage_step: int = 0
    lines: int = 0
    """Lines of log.jsonl."""
    sums: dict[str, float] = field(default_factory=dict)
    """This epoch's losses so far, summed over batches."""
    best: list[float] = field(default_factory=list)
    """validation.standing of the best evaluation in this stage; empty at first."""
    stale: int = 0
    """Evaluations since the best."""
    collapsed: int = 0
    """Evaluations in a row with a sign of collapse."""
    alarms: list[list[int]] = field(default_factory=list)
    """Of this stage, mining.Alarm each."""


@torch.no_grad()
def _average(decay: float, averages: Sequence[Tensor], current: Sequence[Tensor], count: Tensor) -> None:
    """Running average with a short memory at first; at a fixed 0.998 a hundred steps would still be random weights."""
    decay = min(decay, (1 + int(count)) / (10 + int(count)))
    for average, value in zip(averages, current, strict=True):
        if average.is_floating_point():
            average.lerp_(value, 1 - decay)
        else:
            average.copy_(value)


def _placed(key: str, value: Tensor, target: Tensor, group: Mapping[str, Any]) -> Tensor:
    """A saved value of a parameter's optimiser state as that optimiser takes it, like torch's Optimizer.load_state_dict.

    A fused kernel walks parameter and moments side by side in memory: they need the same strides, and it counts its steps on
    the parameter's device.
    """
    if key != "step":
        return torch.empty_like(target).copy_(value).detach()
    counted_there = group.get("fused") or group.get("capturable")
    return value.to(target.device, torch.float32) if counted_there else value


class RunState:
    """Built from a configuration and its seed; `tensors` and `values` are what `restore` needs."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        torch.manual_seed(seeding.mixed(config.seed))
        self.model = zoo.build(config.model)
        weights.start(self.model)
        self.model.to(device)
        self.position = Position()
        self.optimiser: torch.optim.Optimizer | None = None
        self.average: AveragedModel | None = None
        self._ema_decay = config.ema_decay
        self._waiting: dict[str, Tensor] = {}
        self._restart_average()

    @property
    def scored(self) -> Segmenter:
        """The model that is evaluated and kept: the running average where there is one."""
        return self.average.module if self.average is not None else self.model

    def _restart_average(self) -> None:
        if self._ema_decay:
            self.average = AveragedModel(self.model, multi_avg_fn=partial(_average, self._ema_decay), use_buffers=True)
            self.average.eval()

    def use(self, optimiser: torch.optim.Optimizer) -> None:
        """Take this optimiser; right after `restore` it gets the state it was saved with."""
        parameters = dict(self.model.named_parameters())
        groups = {parameter: group for group in optimiser.param_groups for parameter in group["params"]}
        for name, value in self._waiting.items():
            parameter, key = name.split("/")
            target = parameters[parameter]
            optimiser.state[target][key] = _placed(key, value, target, groups[target])
        self.optimiser, self._waiting = optimiser, {}

    def next_stage(self, best: Path) -> None:
        """Go to the next stage, from the weights in `best`."""
        weights.fit(self.model, weights.read(best)[0], best, drop=())
        self._restart_average()
        self.optimiser = None
        here = self.position
        self.position = Position(stage=here.stage + 1, step=here.step, lines=here.lines)

    def tensors(self) -> dict[str, Tensor]:
        """model/NAME, ema/NAME, optimiser/PARAMETER/KEY (AdamW's step count is a tensor too)."""
        out = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.average is not None:
            out |= {f"ema/{name}": tensor for name, tensor in self.average.module.state_dict().items()}
        if self.optimiser is not None:
            names = {parameter: name for name, parameter in self.model.named_parameters()}
            for parameter, state in self.optimiser.state.items():
                out |= {f"optimiser/{names[parameter]}/{k}": v for k, v in state.items() if isinstance(v, Tensor)}
        return out

    def values(self) -> dict[str, Any]:
        """What is not a tensor, as JSON values."""
        return {
            "position": asdict(self.position),
            "averaged": int(self.average.n_averaged) if self.average is not None else 0,
        }

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any], path: Path) -> None:
        """The inverse of `tensors` and `values`; the optimiser's part waits for `use`."""
        weights.fit(self.model, weights.under(tensors, "model/"), path, drop=())
        self._restart_average()
        if self.average is not None:
            self.average.module.load_state_dict(weights.under(tensors, "ema/"))
            self.average.n_averaged.fill_(values["averaged"])
        self._waiting = weights.under(tensors, "optimiser/")
        self.position = Position(**values["position"])
