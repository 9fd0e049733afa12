"""Losses of a map of logits against a mask: pure functions, all with the same three arguments.

logits: (B, 1, h, w) float32; truth: the same shape, float32 {0, 1}; valid: the same, 1 where a pixel counts, 0 beside the
image. Each gives a scalar tensor. `LOSSES` names them as settings do.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
SMOOTH = 1e-5  # of the Dice term, as in MMFusion's README (Aaltoes 2025)


def bce(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Binary cross-entropy, mean over the valid pixels of all images."""
    each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return (each * valid).sum() / valid.sum().clamp(min=1)


def dice(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """1 - soft Dice of each image, mean over images; an image without forged pixel costs what is predicted in it."""
    chance, axes = logits.sigmoid() * valid, (1, 2, 3)
    common, total = (chance * truth).sum(axes), chance.sum(axes) + (truth * valid).sum(axes)
    return (1 - (2 * common + SMOOTH) / (total + SMOOTH)).mean()


LOSSES: dict[str, Loss] = {"bce": bce, "dice": dice}
