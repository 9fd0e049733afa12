"""A feature pyramid with fewer products, for prediction on a processor: the same but for rounding.

A level's output is a 3 x 3 convolution of its 1 x 1 convolved stage plus the coarser level at twice the size. It is linear:
the 1 x 1 and the 3 x 3 make one 3 x 3 convolution of the stage, which has few channels where the stage is fine, and in
the coarser level, whose pixels come in equal 2 x 2 blocks, each corner of a block is a 2 x 2 convolution of pixels before
they were doubled: four products in place of nine.

Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork

WORTH = 0.61
"""Share of the plain way's products from which on a level stays as it is. The shipped detector's finest has 0.63: a hundredth
of its time is at stake, and its answers would move by rounding."""

Folded = tuple[Tensor, list[Tensor]]
"""(W, C, 3, 3) weight on the stage; (W, W, 2, 2) on the coarser level for each corner of a block, as `_woven` takes them."""


class Pyramid(FeaturePyramidNetwork):
    """torchvision's, its blocks taken over, and their names."""

    def __init__(self, plain: FeaturePyramidNetwork) -> None:
        nn.Module.__init__(self)  # torchvision's would make blocks of its own
        for name, part in plain.named_children():
            self.add_module(name, part)
        self._kept: dict[int, tuple[tuple[object, ...], Folded]] = {}

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        """Stages, the finest first, (B, C, h, w) -> their levels, (B, fpn_width, h, w), and what the extra block adds."""
        names, stages = list(x), list(x.values())
        folds = [self._folds(number, stages) for number in range(len(stages) - 1)]
        if not any(folds):
            return super().forward(x)
        inner = self.inner_blocks[-1](stages[-1])
        levels = [self.layer_blocks[-1](inner)]
        for number in reversed(range(len(stages) - 1)):
            coarse, stage = inner, stages[number]
            if number > 0 or not folds[number]:
                doubled = functional.interpolate(coarse, size=stage.shape[-2:], mode="nearest")
                inner = self.inner_blocks[number](stage) + doubled
            level = self._folded(number, stage, coarse) if folds[number] else self.layer_blocks[number](inner)
            levels.insert(0, level)
        levels, names = self.extra_blocks(levels, stages, names)
        return OrderedDict(zip(names, levels, strict=True))

    def _folds(self, number: int, stages: list[Tensor]) -> bool:
        """Whether a level's output is to be computed in parts."""
        stage, coarse, width = stages[number], stages[number + 1], self.layer_blocks[number][0].out_channels
        doubled = all(2 * low == high for low, high in zip(coarse.shape[-2:], stage.shape[-2:], strict=True))
        few = 9 * stage.shape[1] + 4 * width <= WORTH * 9 * width
        return doubled and few and not torch.is_grad_enabled() and stage.device.type == "cpu"

    def _folded(self, number: int, stage: Tensor, coarse: Tensor) -> Tensor:
        """(B, C, 2h, 2w) stage, (B, W, h, w) what the coarser level is made of -> (B, W, 2h, 2w) level."""
        inner, layer = self.inner_blocks[number][0], self.layer_blocks[number][0]
        weight, corners = self._weights(number)
        level = functional.conv2d(stage, weight, layer.bias, padding=1)
        # The 1 x 1 convolution's bias goes to the coarser level: beyond the border there is none of it.
        coarse = coarse + inner.bias[:, None, None].to(coarse.dtype)
        sides = product((0, 1), (0, 1))
        parts = [
            functional.conv2d(functional.pad(coarse, (1 - right, right, 1 - low, low)), corner)
            for (low, right), corner in zip(sides, corners, strict=True)
        ]
        return level.add_(_woven(parts))

    def _weights(self, number: int) -> Folded:
        """Of a level, in the type that convolutions compute in; made anew only where the weights are others; a change through
        `.data`, which no version counts, is not seen."""
        inner, layer = self.inner_blocks[number][0].weight, self.layer_blocks[number][0].weight
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else layer.dtype
        state = kind, *((one.data_ptr(), one._version) for one in (inner, layer))
        if self._kept.get(number, (None,))[0] != state or torch.jit.is_tracing():  # a trace has to be the same twice
            weight = torch.einsum("oikl,ic->ockl", layer, inner[:, :, 0, 0])
            corners = [corner.to(kind) for rows in _doubled(layer, 2) for corner in _doubled(rows, 3)]
            self._kept[number] = state, (weight.to(kind), corners)
        return self._kept[number][1]


def _doubled(weight: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Three taps along an axis on pixels that come in equal pairs -> two on the pixels before doubling: for the first of a
    pair and for the second."""
    one, two, three = weight.unbind(axis)
    return torch.stack([one, two + three], axis), torch.stack([one + two, three], axis)


def _woven(corners: list[Tensor]) -> Tensor:
    """Upper left, upper right, lower left, lower right of all 2 x 2 blocks, (B, C, h, w) each -> (B, C, 2h, 2w), channels last
    in memory."""
    batch, channels, height, width = corners[0].shape
    pixels = [one.permute(0, 2, 3, 1) for one in corners]
    rows = [torch.cat(pair, dim=3).flatten(2) for pair in (pixels[:2], pixels[2:])]
    return torch.cat(rows, dim=2).view(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
