"""What is done to a backbone beside building it."""

from __future__ import annotations

import pytest
import torch

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.models import backbones
from forgery_rcnn.models.stems.channels import COUNTS


@pytest.mark.parametrize("stems", [("rgb",), ("rgb", "srm", "dct")])
def test_evened_levels_have_one_spread_and_the_encoder_is_left(stems: tuple[str, ...]) -> None:
    backbone = backbones.build(ModelConfig(fpn_width=16, stems=stems))
    with torch.no_grad():
        for number, block in enumerate(backbone.fpn.inner_blocks):
            block[0].weight *= 10.0**number
    body = {name: value.clone() for name, value in backbone.body.state_dict().items()}
    backbones.evened(backbone)
    spreads = []
    for block in backbone.fpn.inner_blocks:
        block.register_forward_hook(lambda _m, _x, out: spreads.append(float(out.std())))
    seen = sum(COUNTS[name] for name in stems)
    with torch.no_grad():
        backbone.eval()(torch.randn(1, seen, 128, 128, generator=torch.Generator().manual_seed(1)))
    assert spreads == pytest.approx([1.0] * 4, rel=0.2)
    assert all(torch.equal(value, body[name]) for name, value in backbone.body.state_dict().items())
