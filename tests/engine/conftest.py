"""A ConvNeXt for the tests of the engine: convnext_tiny's files alone would take seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from torchvision.models.convnext import CNBlockConfig, ConvNeXt

from forgery_rcnn.models import convnext

WIDTHS = (4, 8, 8, 16)


@pytest.fixture(scope="module")
def small_convnext() -> Iterator[None]:
    """Whatever ConvNeXt is asked for, two blocks of few channels at each stride."""
    levels = [CNBlockConfig(a, b, 2) for a, b in zip(WIDTHS, (*WIDTHS[1:], None), strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convnext, "_torchvision", lambda _: ConvNeXt(levels, stochastic_depth_prob=0.5, layer_scale=1.0))
        yield
