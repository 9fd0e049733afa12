"""Frozen batch norm against torchvision's."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import FrozenBatchNorm2d

from forgery_rcnn.models.frozen_norm import FrozenNorm


def pair() -> tuple[FrozenNorm, FrozenBatchNorm2d]:
    """The same random statistics in both."""
    torch.manual_seed(0)
    ours, theirs = FrozenNorm(6, eps=1e-3), FrozenBatchNorm2d(6, eps=1e-3)
    state = {name: torch.rand(6) + 0.1 for name in theirs.state_dict()}
    ours.load_state_dict(state)
    theirs.load_state_dict(state)
    return ours, theirs


def test_equals_torchvision_forwards_and_backwards_in_train_mode_too() -> None:
    found = []
    for norm in pair():
        x = torch.randn(2, 6, 5, 7, generator=torch.Generator().manual_seed(1)).requires_grad_()
        out = norm.train()(x)
        out.square().sum().backward()
        found.append((out.detach(), x.grad, *norm.state_dict().values()))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_keeps_the_type(kind: torch.dtype) -> None:
    ours, theirs = pair()
    x = torch.randn(1, 6, 4, 4).to(kind)
    assert ours(x).dtype == kind
    torch.testing.assert_close(ours(x).float(), theirs(x.float()), rtol=1e-2, atol=1e-2)
