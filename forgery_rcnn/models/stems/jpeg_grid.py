"""Traces of JPEG: the 8 x 8 grid on which a place was compressed, how coarsely, and the steps between blocks.

The grid is where 8 x 8 blocks have the most zeros in their DCT: Nikoukhah, Anger, Ehret, Colom, Morel & Grompone von Gioi,
ZERO: a local JPEG grid origin detector, IPOL 11, 2021. What a network makes of DCT statistics: Kwon, Nam, Yu, Lee & Kim,
CAT-Net, IJCV 130, 2022, which reads the file's coefficients; here they are computed of the pixels, so no file is needed,
and scaling an image takes the traces away. Steps between blocks: Li, Yuan & Yu, Passive detection of doctored JPEG image
via block artifact grid extraction, Signal Processing 89, 2009.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from forgery_rcnn.models.stems.residuals import exact

BLOCK = 8
ZERO = 0.5  # below it a coefficient counts as zero (Nikoukhah et al.): rounding to grey levels leaves 0.29
NEAR = 5  # blocks a side in which zeros are counted: 40 px; one block votes for chance grids
RINGS = (1, 3, 6)  # sums of the two frequencies at which the bands of a block begin: 1 or 2, 3 to 5, 6 to 14
STRIP = 16  # rows of blocks at a time: the coefficients of all grids of an image at once are slower, as they leave the cache
CHANNELS = 11


def grid(luma: Tensor) -> Tensor:
    """(h, w) float32 luma in grey levels -> (11, h, w) float32, the same in all pixels of a block of the image's own grid:

    0  share of zeros on the image's own grid, less the mean share of all 64 grids, in the 5 x 5 blocks around; about 0
       where there was no JPEG, above where it had this grid
    1  the same of the best grid: above 0 where there was JPEG, whatever its grid
    2-5  which grid: cosine and sine of its first row, then of its first column, over 8, weighted by the zeros
    6  mean share of zeros, 0..1: smooth or blurred places have more
    7-9  ln(1 + mean |DCT|) of the block, low, middle and high frequencies
    10 steps between this block and its right and lower neighbours over those inside, grey levels / 10, -1..1
    """
    h, w = luma.shape
    with torch.no_grad(), exact(luma.device):
        high, wide = -(-h // BLOCK), -(-w // BLOCK)
        # One more block: grids that begin at pixel 7 end there. What reaches beyond the image is not counted.
        size = (0, (wide + 1) * BLOCK - w, 0, (high + 1) * BLOCK - h)
        edged = functional.pad(luma.float()[None, None], size, mode="replicate")[0, 0]
        zeros, bands = _transformed(edged, high, wide)
        votes = _votes(zeros, h, w)
        cells = torch.cat([votes, bands, _steps(edged, high, wide)[None]])
        return cells.repeat_interleave(BLOCK, 1).repeat_interleave(BLOCK, 2)[:, :h, :w]


def _dct(device: torch.device) -> Tensor:
    """-> (8, 8) float32, orthonormal: frequency, place."""
    at, frequency = torch.arange(BLOCK, device=device) + 0.5, torch.arange(BLOCK, device=device)[:, None]
    waves = torch.cos(math.pi / BLOCK * frequency * at) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    return waves


def _transformed(edged: Tensor, high: int, wide: int) -> tuple[Tensor, Tensor]:
    """-> (8, 8, high, wide) share of zeros of the blocks of each grid (its first row, first column), and (3, high, wide)
    ln(1 + mean |DCT|) of the bands of the blocks of the grid (0, 0)."""
    waves = _dct(edged.device)
    order = torch.arange(BLOCK, device=edged.device)
    bands = torch.bucketize(order[:, None] + order, torch.tensor(RINGS, device=edged.device), right=True).flatten()
    shares, own = [], []
    for first in range(BLOCK):
        rows = edged[first : first + high * BLOCK].view(high, BLOCK, -1)
        down = torch.einsum("kp,hpw->hkw", waves, rows)
        counts = []
        for strip in down.split(STRIP):
            across = functional.conv1d(strip.flatten(0, 1)[:, None], waves[:, None])
            size = across.view(len(strip), BLOCK * BLOCK, -1).abs_()
            if first == 0:
                blocks = size[:, :, : wide * BLOCK : BLOCK]
                own.append(torch.stack([blocks[:, bands == b].mean(dim=1) for b in range(1, len(RINGS) + 1)]))
            counts.append(size[:, 1:].lt_(ZERO).sum(dim=1)[:, : wide * BLOCK])
        shares.append(torch.cat(counts).view(high, wide, BLOCK).permute(2, 0, 1) / (BLOCK * BLOCK - 1))
    return torch.stack(shares), torch.cat(own, dim=1).log1p()


def _votes(zeros: Tensor, h: int, w: int) -> Tensor:
    """(8, 8, high, wide) share of zeros by grid -> (7, high, wide), channels 0..6 of `grid`."""
    high, wide = zeros.shape[2:]
    order = torch.arange(BLOCK, device=zeros.device)
    inside = [
        order[:, None] + BLOCK * torch.arange(count, device=zeros.device) + BLOCK <= side
        for count, side in ((high, h), (wide, w))
    ]
    whole = (inside[0][:, None, :, None] & inside[1][None, :, None, :]).float()
    pooled = [
        functional.avg_pool2d(plane.flatten(0, 1)[None], NEAR, stride=1, padding=NEAR // 2)[0]
        for plane in (zeros * whole, whole)
    ]
    seen = pooled[1] > 0
    share = pooled[0] / pooled[1].clamp(min=1e-6)
    mean = (share * seen).sum(dim=0) / seen.sum(dim=0).clamp(min=1)
    more = ((share - mean) * seen).view(BLOCK, BLOCK, high, wide)
    turn = 2 * math.pi / BLOCK * order.float()
    which = [
        torch.einsum("p,phw->hw", wave, more.sum(dim=axis)) for axis in (1, 0) for wave in (turn.cos(), turn.sin())
    ]
    return torch.stack([more[0, 0], more.flatten(0, 1).amax(dim=0), *which, mean])


def _steps(edged: Tensor, high: int, wide: int) -> Tensor:
    """-> (high, wide) in -1..1: mean step over the right and the lower edge of each block less that beside it, / 10."""
    out = []
    for plane, (rows, columns) in ((edged, (high, wide)), (edged.T, (wide, high))):
        step = plane.diff(dim=1).abs()
        at = BLOCK * torch.arange(1, columns + 1, device=edged.device) - 1
        at_edge, before, after = (step[: rows * BLOCK, (at + away).clamp(max=step.shape[1] - 1)] for away in (0, -1, 1))
        over = (at_edge - (before + after) / 2).view(rows, BLOCK, columns).mean(dim=1)
        out.append(over)
    return ((out[0] + out[1].T) / 20).clamp(-1, 1)
