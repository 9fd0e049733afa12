"""The constrained convolution: it learns to predict each pixel from its neighbours, and passes on by how much that fails.

Bayar & Stamm, A deep learning approach to universal image manipulation detection using a new convolutional layer, IH&MMSec
2016; Constrained convolutional neural networks, IEEE TIFS 13(11), 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from forgery_rcnn.models.stems.residuals import LEVELS, exact

FILTERS = 3
SIDE = 5
CENTRE = SIDE * SIDE // 2
COLOURS = 3


class Bayar(nn.Module):
    """Three filters of 5 x 5 pixels on each of the colours; centre -1, the others sum to 1.

    The constraint holds at any value of the parameters: after a step, under weight decay, of averaged or loaded weights. The
    paper divides by the sum after each step; here the neighbours are moved to the nearest ones that sum to 1, as a sum
    near 0 would blow the filter up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.neighbours = nn.Parameter(torch.randn(FILTERS, COLOURS, SIDE * SIDE - 1) / (SIDE * SIDE - 1))

    def kernels(self) -> Tensor:
        """-> (3, 3, 5, 5) float32: filters, colours, rows, columns."""
        free = self.neighbours.float()
        held = free - free.mean(dim=-1, keepdim=True) + 1 / free.shape[-1]
        centre = held.new_full((*held.shape[:-1], 1), -1.0)
        return torch.cat([held[..., :CENTRE], centre, held[..., CENTRE:]], dim=-1).unflatten(-1, (SIDE, SIDE))

    def forward(self, image: Tensor) -> Tensor:
        """(3, h, w) float32 grey levels -> (3, h, w) float32 in -1..1, softly cut off at 3 grey levels; edges are repeated."""
        with exact(image.device):
            edged = functional.pad(image.float()[None], (SIDE // 2,) * 4, mode="replicate")
            return torch.tanh(functional.conv2d(edged, self.kernels() / COLOURS)[0] / LEVELS)
