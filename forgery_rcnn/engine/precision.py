"""Where bf16 helps: GPUs and processors that compute in it; elsewhere it is emulated and slower."""

from __future__ import annotations

from typing import Literal

import torch


def uses_bf16(device: torch.device, precision: Literal["auto", "bf16", "float32"]) -> bool:
    """Whether `precision` means bf16 autocast on `device`."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def autocast(device: torch.device, precision: Literal["auto", "bf16", "float32"]) -> torch.autocast:
    """The context that a forward pass runs in."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=uses_bf16(device, precision))
