"""Every stem by name, and the channels that it gives the detector, about as large as normalised colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from forgery_rcnn.models.stems import bands, jpeg_grid, residuals
from forgery_rcnn.models.stems.bayar import Bayar
from forgery_rcnn.models.stems.similarity import similarity

COUNTS = {"rgb": 3, "srm": 3, "bayar": 3, "noise": 2, "dct": jpeg_grid.CHANNELS, "fft": bands.CHANNELS, "similarity": 1}
"""Channels of each stem, in the order in which the detector has them, whatever the order of config.stems."""
LUMA = (0.299, 0.587, 0.114)  # of red, green, blue: what JPEG compresses


def ordered(stems: Sequence[str]) -> list[str]:
    """Names of stems -> the same in the order of COUNTS."""
    return [name for name in COUNTS if name in stems]


def _srm(image: Tensor) -> Tensor:
    return residuals.srm(image.mean(dim=0)).clamp(-residuals.LEVELS, residuals.LEVELS) / residuals.LEVELS


def _noise(image: Tensor) -> Tensor:
    residual, spread = residuals.noise(image.mean(dim=0))
    return torch.stack([residual.clamp(-residuals.LEVELS, residuals.LEVELS) / residuals.LEVELS, spread.log1p()])


def _dct(image: Tensor) -> Tensor:
    return jpeg_grid.grid((image * image.new_tensor(LUMA)[:, None, None]).sum(dim=0))


def _fft(image: Tensor) -> Tensor:
    return bands.bands(image.mean(dim=0)) / 3  # ln(1 + 20 levels): a texture's


FIXED: dict[str, Callable[[Tensor], Tensor]] = {
    "srm": _srm,
    "noise": _noise,
    "dct": _dct,
    "fft": _fft,
    "similarity": similarity,
}
"""(3, h, w) float32 grey levels, 0..255 -> (C, h, w) float32; nothing to learn, no gradient."""


def beside(image: Tensor, stems: Sequence[str], bayar: Bayar | None) -> list[Tensor]:
    """(3, h, w) float32 grey levels, 0..255 -> the stems but rgb, each (C, h, w) float32, in the order of COUNTS."""
    return [bayar(image) if name == "bayar" else FIXED[name](image) for name in ordered(stems) if name != "rgb"]
