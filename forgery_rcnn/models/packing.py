"""Weights in half the room: float16 where rounding to it is as small as float16 rounds at best."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

ROUNDING = 2**-11  # of one number that float16 has room for; the norm of many errs by less
LEAST = 2  # dimensions: vectors (biases, norms) are a thousandth of the room, and errors in them reach every pixel


def packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """float32 -> float16 where that `survives`, all others as they are; names and shapes stay."""
    return {name: tensor.half() if survives(tensor) else tensor for name, tensor in tensors.items()}


def survives(tensor: Tensor) -> bool:
    """Whether a float32 tensor of two dimensions or more comes back from float16 finite and without more error than rounding.

    What is too large becomes infinite, what is too small 0 or coarse: such tensors keep their float32.
    """
    if tensor.dtype != torch.float32 or tensor.dim() < LEAST or not tensor.numel():
        return False
    back = tensor.half().float()
    return bool(back.isfinite().all()) and float((back - tensor).norm()) <= ROUNDING * float(tensor.norm())


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """float16 -> float32, all others as they are."""
    return {name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in tensors.items()}
