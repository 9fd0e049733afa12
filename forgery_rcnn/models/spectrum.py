"""How strong each frequency is: in an image as a whole, and around each of its pixels.

All of it in float32 whatever the autocast: a bf16 sum over an image would drown every frequency in the rounding of the mean.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

WINDOW = 8  # pixels a side of `local`'s windows: a block of JPEG, a latent cell of the usual diffusion models
BINS = WINDOW * (WINDOW // 2 + 1)  # frequencies that `local` tells apart


def log_magnitude(grey: Tensor, window: Literal["hann", "none"]) -> Tensor:
    """(h, w) float32 grey levels -> (h, w) float32 >= 0, ln(1 + |F|), frequency 0 at (h // 2, w // 2) and k rows, l columns
    from there k / h, l / w cycles per pixel.

    The transform is orthonormal and the window's mean square is 1, so white noise of s grey levels has a magnitude of
    about s at every frequency, whatever the image's size. ln(1 + |F|) then bends at one grey level, where rounding ends.
    """
    h, w = grey.shape
    with torch.autocast(grey.device.type, enabled=False):
        grey = grey.float()
        if window == "hann":
            grey = grey * hann(h, grey.device)[:, None] * hann(w, grey.device)
        return torch.fft.fftshift(torch.fft.fft2(grey, norm="ortho")).abs().log1p()


def hann(side: int, device: torch.device | None = None) -> Tensor:
    """-> (side,) float32, symmetric, all above 0, mean square 1; it mixes a frequency with the two beside it only."""
    window = torch.sin(math.pi * (torch.arange(side, device=device) + 0.5) / side) ** 2
    return window / window.square().mean().sqrt()


def on_grid(spectrum: Tensor, side: int) -> Tensor:
    """(h, w) as of log_magnitude -> (side, side), frequency 0 at side // 2, a cell 1 / side cycles per pixel: the same
    cell is the same frequency for images of every size. Between bins linear, the mean of bins where cells are larger;
    a spectrum of that size as it is."""
    h, w = spectrum.shape
    with torch.autocast(spectrum.device.type, enabled=False):
        return _cells(h, side, spectrum.device) @ spectrum @ _cells(w, side, spectrum.device).T


def _cells(bins: int, side: int, device: torch.device) -> Tensor:
    """-> (side, bins) float32, the share of each bin in each cell; frequencies are a circle, 1 cycle per pixel around."""
    at = (torch.arange(side, device=device) - side // 2) * (bins / side) + bins // 2
    away = torch.arange(bins, device=device) - at[:, None]
    away = away - bins * torch.round(away / bins)
    share = torch.relu(1 - away.abs() / max(1.0, bins / side))
    return share / share.sum(dim=1, keepdim=True)


def frequencies(side: int, device: torch.device | None = None) -> Tensor:
    """-> (2, side, side) float32, cycles per pixel in 0..0.5, down and across, at each cell of `on_grid`."""
    along = (torch.arange(side, device=device) - side // 2).abs() / side
    return torch.stack([along[:, None].expand(side, side), along.expand(side, side)])


def local(grey: Tensor, step: int = 1) -> Tensor:
    """(B, 1, h, w) float32 grey levels -> (B, 40, h, w) float32, ln(1 + |F|) of the 8 x 8 pixels around each pixel (three
    before it, four after it) under a Hann window. Channel 5 * k + l: k / 8 cycles per pixel down, l / 8 across, k above 4
    standing for k - 8; all but channel 0 are without the window's mean, which would leak into the frequencies beside 0.
    Edges are repeated, so what `batched` appends changes nothing. step: only every so many rows and columns, from the first."""
    before, after = (WINDOW - 1) // 2, WINDOW // 2
    # TF32, the default of convolutions on GPUs, rounds by 0.1 grey levels in a bright place: more than what is looked for.
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False)
    with torch.autocast(grey.device.type, enabled=False), exact:
        edged = functional.pad(grey.float(), (before, after, before, after), mode="replicate")
        answers = _answers(grey.device)
        waves = torch.cat([answers.real, answers.imag]).view(2 * BINS, 1, WINDOW, WINDOW)
        power = functional.conv2d(edged, waves, stride=step).square_()
        return (power[:, :BINS] + power[:, BINS:]).sqrt_().log1p_()


def _answers(device: torch.device) -> Tensor:
    """-> (40, 64) complex64: what `local`'s frequencies answer to each of the window's pixels, row after row."""
    line = hann(WINDOW, device)
    window = line[:, None] * line
    impulses = torch.eye(WINDOW**2, device=device).view(-1, WINDOW, WINDOW)
    answers = torch.fft.rfft2(impulses * window, norm="ortho").flatten(1).T
    mean = (window / window.sum()).flatten()
    return torch.cat([answers[:1], answers[1:] - answers[1:].sum(dim=1, keepdim=True) * mean])
