"""Similarity: how well each place of the image is found elsewhere in it (copy-move).

After Wu, Abd-Almageed & Natarajan, BusterNet, ECCV 2018, whose self-correlation is of learned features; here of pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PATCH = 7  # cells, side of the square that is compared
DETAIL = 2  # cells, radius of the mean that is taken off: what is left tells places apart
FAR = 8  # cells, on either axis: nearer places overlap, and resemble each other in any image
QUIET = 0.01  # of 1 = white: detail that is mere noise; patches of it resemble nothing
RIVALS = 10  # a texture has so many alike places, a copy one: mean pixel AUC 0.56, of the best alone 0.53 (256 px, 28 figures)
ROWS = 1024  # places compared with all others at a time


def similarity(image: Tensor, step: int = 4) -> Tensor:
    """(3, h, w) float grey levels -> (1, h, w) float32 in 0..1: by how much the detail around each place correlates better with
    that around its best twin, anywhere in the image that is not near it, than with that around its tenth best.

    At one cell for each `step` x `step` pixels; without rotation, scale, or gradient. Cost grows by (h w)^2 / step^4.
    """
    height, width = image.shape[-2:]
    with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
        cells = functional.interpolate(
            image.float().mean(dim=0)[None, None] / 255,
            size=(-(-height // step), -(-width // step)),
            mode="area",
        )
        found = _ahead(_descriptors(cells), cells.shape[-1]).clamp(0, 1).view_as(cells)
        return functional.interpolate(found, size=(height, width), mode="bilinear", align_corners=False)[0]


def _descriptors(cells: Tensor) -> Tensor:
    """(1, 1, h, w) -> (h w, PATCH^2), the detail around each cell, of length 1 where it stands out of noise, else shorter."""
    around = functional.pad(cells, (DETAIL,) * 4, mode="replicate")
    detail = cells - functional.avg_pool2d(around, 2 * DETAIL + 1, stride=1)
    padded = functional.pad(detail, (PATCH // 2,) * 4, mode="replicate")
    patches = functional.unfold(padded, PATCH)[0].T
    patches = patches - patches.mean(dim=1, keepdim=True)
    return patches / (patches.norm(dim=1, keepdim=True) + QUIET * PATCH)


def _ahead(descriptors: Tensor, width: int) -> Tensor:
    """(N, D), the number of cells in a row -> (N,), the best product of each with one that is far, minus its RIVALS-th best."""
    number = torch.arange(len(descriptors), device=descriptors.device)
    rows, columns = number // width, number % width
    out = []
    for own in number.split(ROWS):
        products = descriptors[own] @ descriptors.T
        products.clamp_(min=0)  # what is near, and what is opposite, counts as nothing alike
        near = (rows[own, None] - rows).abs() <= FAR
        near &= (columns[own, None] - columns).abs() <= FAR
        out.append(products.masked_fill_(near, 0).topk(min(RIVALS, len(descriptors)), dim=1).values)
    best = torch.cat(out)
    return best[:, 0] - best[:, -1]
