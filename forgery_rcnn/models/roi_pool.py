"""RoI align as a sparse matrix: each cell of a region's grid is a weighted sum of rows of a table of all feature pixels.

torchvision's CPU kernel goes channel by channel and wants (B, C, h, w) float32 copies of every level; gathering whole
pixels of channels-last features is 10 times faster (docs/results/predict.md), forwards and backwards, and the same but
for the order of a sum. He et al., Mask R-CNN, ICCV 2017, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import initLevelMapper

TAPS = 4  # pixels that bilinear interpolation looks at


class RoIPool(MultiScaleRoIAlign):
    """torchvision's without its CPU kernel, on levels '0'.. at strides 4, 8, ..; elsewhere its own kernels work.

    The strides are said here: torchvision infers them from the first images that it sees and keeps them, wrong ones where
    these are narrow (33 rows are padded to 64: stride 2 rather than 4).
    """

    def __init__(self, levels: list[str], side: int, points: int) -> None:
        """side: of the grid of cells; points: sample points along each side of a cell."""
        super().__init__(levels, output_size=side, sampling_ratio=points)
        self.scales = [1 / 4 / 2**number for number in range(len(levels))]
        self.map_levels = initLevelMapper(2, 1 + len(levels))
        self._memory = torch.empty(0)

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        """Levels (B, C, h, w), of each image (R, 4) boxes in its pixels -> (R of all, C, side, side) of the levels' type."""
        levels = [x[name] for name in self.featmap_names]
        if levels[0].device.type != "cpu":
            return super().forward(x, boxes, image_shapes)
        count, side = levels[0].shape[1], self.output_size[0]
        image = torch.repeat_interleave(torch.arange(len(boxes)), torch.tensor([len(b) for b in boxes]))
        rows, weights = taps(
            torch.cat(boxes).float(), image, self.map_levels(boxes), levels, self.scales, (side, self.sampling_ratio)
        )
        grids = _WeightedRows.apply(self._table(levels), rows, weights)
        return grids.to(levels[0].dtype).view(-1, side, side, count).permute(0, 3, 1, 2)

    def _table(self, levels: list[Tensor]) -> Tensor:
        """Levels (B, C, h, w) -> (T, C) float32, their pixels. Where no gradient is asked for it is the last call's memory: to
        get tens of megabytes from the system for every image takes ten times as long as to fill them."""
        rows = [level.permute(0, 2, 3, 1).flatten(0, 2) for level in levels]
        if torch.is_grad_enabled():
            return torch.cat(rows).float()
        self._memory.resize_(sum(map(len, rows)), rows[0].shape[1])
        for part, own in zip(self._memory.split([len(one) for one in rows]), rows, strict=True):
            part.copy_(own)
        return self._memory


def taps(
    boxes: Tensor,
    image: Tensor,
    level: Tensor,
    levels: list[Tensor],
    scales: list[float],
    grid: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """(R, 4) boxes, (R,) their image and level -> (R side², 4 n²) int64 rows of the table of all levels' pixels, and their
    float32 weights; grid: side, and n sample points along each side of a cell."""
    side, points = grid
    shapes = torch.tensor([tuple(one.shape[-2:]) for one in levels])
    first = torch.cumsum(torch.cat([torch.zeros(1, dtype=torch.int64), shapes.prod(1) * len(levels[0])]), 0)
    level = level.clamp(0, len(levels) - 1)  # of a box that is no number it is none of them
    heights, widths = shapes[level].unbind(1)
    scaled = boxes * torch.tensor(scales)[level, None]
    ys, y_weights = _along(scaled[:, 1], scaled[:, 3], heights, side, points)
    xs, x_weights = _along(scaled[:, 0], scaled[:, 2], widths, side, points)
    start = first[level] + image * heights * widths
    # (R, side y, side x, taps y, taps x)
    rows = (start[:, None, None] + ys * widths[:, None, None])[:, :, None, :, None] + xs[:, None, :, None, :]
    weights = y_weights[:, :, None, :, None] * x_weights[:, None, :, None, :]
    each = TAPS * points * points
    return rows.reshape(-1, each), weights.reshape(-1, each)


def _along(low: Tensor, high: Tensor, limit: Tensor, side: int, points: int) -> tuple[Tensor, Tensor]:
    """(R,) ends of the regions on one axis, in pixels of their level, (R,) its length -> (R, side, 2 n) int64 pixels and
    weights, as torchvision's roi_align without `aligned` has them: a region is at least a pixel wide, a sample point
    beyond a pixel outside counts as zero."""
    cell = (high - low).clamp(min=1.0) / side
    offsets = (torch.arange(side * points) + 0.5) / points
    at = low[:, None] + offsets * cell[:, None]
    last = (limit[:, None] - 1).float()
    counts = (at >= -1.0) & (at <= limit[:, None])
    at = at.clamp(min=0.0).minimum(last)
    near = at.nan_to_num().floor()  # no number stays none in the weights; as a row it would be out of range
    far = (near + 1).minimum(last)
    share = at - near
    pixels = torch.stack([near, far], -1).long()
    weights = torch.stack([1 - share, share], -1) * (counts[..., None] / points)
    shape = (len(low), side, 2 * points)
    return pixels.view(shape), weights.view(shape)


class _WeightedRows(torch.autograd.Function):
    """(T, C) table, (N, K) rows and weights -> (N, C) sums; its transpose is the same operation with the taps sorted."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        ctx.height = len(table)
        return functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows, weights = ctx.saved_tensors
        flat, order = torch.sort(rows.flatten(), stable=True)
        offsets = torch.searchsorted(flat, torch.arange(ctx.height))
        cells = order // rows.shape[1]
        found = functional.embedding_bag(
            cells, gradient.contiguous(), offsets, mode="sum", per_sample_weights=weights.flatten()[order]
        )
        return found, None, None
