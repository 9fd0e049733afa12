"""Learning rates by hand, and which parameters decay."""

from __future__ import annotations

import pytest
from torch import nn

from forgery_rcnn.config import Stage
from forgery_rcnn.engine.optimisers import learning_rate, make


def test_warm_up_then_cosine_to_zero() -> None:
    stage = Stage(lr=1.0, epochs=10, warmup_steps=4, schedule="cosine")
    assert [learning_rate(stage, step, 10) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert learning_rate(stage, 4, 10) == 1.0
    assert learning_rate(stage, 52, 10) == pytest.approx(0.5)
    assert learning_rate(stage, 100, 10) == pytest.approx(0.0)


def test_steps_and_constant() -> None:
    stage = Stage(lr=1.0, epochs=20, warmup_steps=0, schedule="step", step_epochs=5, step_gamma=0.1)
    assert [learning_rate(stage, epoch * 3, 3) for epoch in (0, 4, 5, 10)] == pytest.approx([1, 1, 0.1, 0.01])
    assert learning_rate(Stage(lr=0.3, warmup_steps=0, schedule="constant"), 999, 3) == 0.3


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_norms_and_biases_do_not_decay(name: str) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4))
    groups = make(Stage(optimiser=name, weight_decay=0.1), layers.parameters()).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.1, 1), (0.0, 3)]
