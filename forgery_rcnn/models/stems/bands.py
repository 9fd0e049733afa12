"""How strong each band of frequencies is around each place: resampling and blur take the high ones, or leave peaks.

Popescu & Farid, Exposing digital forgeries by detecting traces of resampling, IEEE TSP 53(2), 2005; the spectra are those
of models.spectrum.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from forgery_rcnn.models import spectrum
from forgery_rcnn.models.stems.residuals import exact

STEP = 4  # pixels from one spectrum to the next: half their window
FASTEST = spectrum.WINDOW // 2  # eighths of a cycle per pixel
CHANNELS = 3 * FASTEST


def bands(grey: Tensor) -> Tensor:
    """(h, w) float32 grey levels -> (12, h, w) float32, mean ln(1 + |F|) of bands around each pixel, to the nearest 4 px.
    Channel 3 * (f - 1) + d: fastest of the two frequencies f / 8 cycles per pixel, f = 1..4; d = 0 faster across than
    down, 1 down than across, 2 both alike."""
    with torch.no_grad(), exact(grey.device):
        around = spectrum.local(grey.float()[None, None], STEP)[0]
        down, across = torch.meshgrid(torch.arange(spectrum.WINDOW), torch.arange(FASTEST + 1), indexing="ij")
        down = torch.minimum(down, spectrum.WINDOW - down)
        direction = torch.where(across > down, 0, torch.where(down > across, 1, 2))
        band = (3 * (torch.maximum(down, across) - 1) + direction).flatten().to(grey.device)
        # Of the frequencies across, all but the first and the last stand for two of the whole plane.
        twice = torch.where((across > 0) & (across < FASTEST), 2.0, 1.0).flatten().to(grey.device)
        share = torch.stack([(band == number) * twice for number in range(CHANNELS)])
        share = share / share.sum(dim=1, keepdim=True)
        found = torch.einsum("bf,fhw->bhw", share, around)
        return functional.interpolate(found[None], scale_factor=STEP, mode="nearest")[
            0, :, : len(grey), : grey.shape[1]
        ]
