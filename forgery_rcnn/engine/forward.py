"""A segmenter's losses as a forward pass, which is what DistributedDataParallel can wrap."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from forgery_rcnn.data.dataset import Target
from forgery_rcnn.models.segmenter import Segmenter


class ImageLosses(nn.Module):
    """The losses of images and targets."""

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Sequence[Tensor], targets: Sequence[Target]) -> dict[str, Tensor]:
        return self.model.losses(images, targets)


class SummaryLosses(nn.Module):
    """The losses of summaries and targets."""

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, summaries: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        return self.model.losses_of_summaries(summaries, targets)
