"""The interface of every model: two needs, two methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.instances import Prediction


class Segmenter(nn.Module, ABC):
    """A model that can be trained by its losses and asked for a Prediction."""

    coordinators: tuple[str, ...] = ("",)
    """Modules that only direct others and choose what to compute by their own train flag; never put in eval by freezing."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @abstractmethod
    def losses(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """(3, h, w) uint8 images at the model's size, targets as made by data.dataset -> named scalar losses, to be summed."""

    @abstractmethod
    def predict(self, images: Sequence[np.ndarray], mask_threshold: float = 0.5) -> list[Prediction]:
        """(H, W, 3) uint8 images of any size -> one Prediction each, in the original pixels, all candidates kept.

        Needs eval mode. An image's result does not depend on the others in the call.
        """
