"""What is left of an image when its content is taken off: high-pass residuals of fixed filters, and of a denoiser.

Fridrich & Kodovsky, Rich models for steganalysis of digital images, IEEE TIFS 7(3), 2012; the three filters that Zhou, Han,
Morariu & Davis, Learning rich features for image manipulation detection, CVPR 2018, kept of them. The denoiser is a
median: Kirchner & Fridrich, On detection of median filtering in digital images, SPIE 2010; that noise which differs from
place to place tells of a splice: Mahdian & Saic, Using noise inconsistencies for blind image forensics, IVC 27, 2009.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 3.0  # grey levels at which residuals are cut off: q = 1.5, T = 2 of the rich model; beyond it lie edges
EDGE = 2  # pixels of the SRM filters beyond their centre
AROUND = (
    9  # pixels a side in which the strength of noise is averaged: a level to 10 %, and four cells of stride 4 a region
)
NORMAL = 1.2533  # standard deviation over mean absolute value of Gaussian noise

# Both of Zhou's squares and the line, divided so that the centre has weight -1 (the line's too).
KERNELS = (
    ((0, 0, 0, 0, 0), (0, -1, 2, -1, 0), (0, 2, -4, 2, 0), (0, -1, 2, -1, 0), (0, 0, 0, 0, 0)),
    ((-1, 2, -2, 2, -1), (2, -6, 8, -6, 2), (-2, 8, -12, 8, -2), (2, -6, 8, -6, 2), (-1, 2, -2, 2, -1)),
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 1, -2, 1, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
)


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """float32 whatever the autocast, and no TF32 on GPUs: it rounds by 0.1 grey levels in a bright place."""
    plain = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False)
    with torch.autocast(device.type, enabled=False), plain:
        yield


def srm(grey: Tensor) -> Tensor:
    """(h, w) float32 grey levels -> (3, h, w) float32 grey levels, the residuals of the three filters, 0 on constants and
    on linear ramps, and in the two pixels at the border, where the filters have no whole neighbourhood."""
    with torch.no_grad(), exact(grey.device):
        kernels = torch.tensor(KERNELS, dtype=torch.float32, device=grey.device)
        kernels = kernels / -kernels[:, EDGE, EDGE, None, None]
        edged = functional.pad(grey.float()[None, None], (EDGE,) * 4, mode="replicate")
        found = functional.conv2d(edged, kernels[:, None])[0]
        inner = torch.zeros_like(grey, dtype=torch.bool)
        inner[EDGE:-EDGE, EDGE:-EDGE] = True
        return found * inner


def noise(grey: Tensor) -> Tensor:
    """(h, w) float32 grey levels -> (2, h, w) float32 grey levels: what a median of 3 x 3 pixels takes off, signed, and
    its standard deviation around each pixel, were it Gaussian. Edges are repeated."""
    with torch.no_grad(), exact(grey.device):
        residual = grey.float() - median(grey.float())
        spread = functional.avg_pool2d(
            residual.abs()[None], AROUND, stride=1, padding=AROUND // 2, count_include_pad=False
        )
        return torch.cat([residual[None], NORMAL * spread])


def median(grey: Tensor) -> Tensor:
    """(h, w) -> (h, w), the median of the 3 x 3 pixels around each; edges are repeated.

    The middle of nine is that of the highest of three rows' lowest, the lowest of their highest, and the median of their
    medians; ordered in whole planes, some thirty times as fast as torch.median of nine values (512 px, one core).
    """
    edged = functional.pad(grey[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    low, middle, high = _ordered(edged[:-2], edged[1:-1], edged[2:])
    left, centre, right = (slice(0, -2), slice(1, -1), slice(2, None))
    lowest = torch.maximum(torch.maximum(low[:, left], low[:, centre]), low[:, right])
    highest = torch.minimum(torch.minimum(high[:, left], high[:, centre]), high[:, right])
    return _ordered(lowest, _ordered(middle[:, left], middle[:, centre], middle[:, right])[1], highest)[1]


def _ordered(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Three planes -> their lowest, middle and highest at each place."""
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    return torch.minimum(low, c), torch.maximum(low, torch.minimum(high, c)), torch.maximum(high, c)
