"""Batch norm frozen at its statistics, in one pass over the features and in their own type."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional
from torchvision.ops import FrozenBatchNorm2d


class FrozenNorm(FrozenBatchNorm2d):
    """torchvision's by its buffers and state; that one multiplies and adds in two passes, and makes bf16 features float32,
    which costs 20 to 40 times as much on a processor."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape and type."""
        statistics = self.running_mean, self.running_var, self.weight, self.bias
        return functional.batch_norm(x, *statistics, training=False, eps=self.eps)
