"""What a restored optimiser is given, as torch's own load_state_dict would place it."""

from __future__ import annotations

import pytest
import torch
from torch import nn, optim

from forgery_rcnn.engine import state


@pytest.mark.parametrize("flag", ["fused", "capturable", "neither"])
def test_steps_are_counted_where_the_optimiser_counts_them(flag: str) -> None:
    """No kernel runs on the device meta, but it is another one than the checkpoint's, like a GPU."""
    target = nn.Parameter(torch.empty(4, 3, 3, 3, device="meta").to(memory_format=torch.channels_last))
    group = {"fused": flag == "fused", "capturable": flag == "capturable"}
    found = state._placed("step", torch.tensor(7), target, group)
    assert (found.device.type, found.dtype) == (("cpu", torch.int64) if flag == "neither" else ("meta", torch.float32))
    moments = state._placed("exp_avg", torch.ones(4, 3, 3, 3), target, group)
    assert moments.device.type == "meta" and moments.stride() == target.stride()


def test_the_fused_optimisers_here_agree_with_torch() -> None:
    layer = nn.Linear(3, 2)
    one, other = (optim.AdamW(layer.parameters(), fused=True) for _ in range(2))
    layer(torch.ones(1, 3)).sum().backward()
    one.step()
    other.load_state_dict(one.state_dict())
    for parameter, values in one.state.items():
        placed = {k: state._placed(k, v, parameter, one.param_groups[0]) for k, v in values.items()}
        theirs = other.state[parameter]
        assert all(torch.equal(v, theirs[k]) and v.dtype == theirs[k].dtype for k, v in placed.items())
