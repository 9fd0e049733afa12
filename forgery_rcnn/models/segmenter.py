"""The interface of every model: two needs, two methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.instances import Prediction


class Segmenter(nn.Module, ABC):
    """A model that can be trained by its losses and asked for a Prediction."""

    coordinators: tuple[str, ...] = ("",)
    """Modules that only direct others and choose what to compute by their own train flag; never put in eval by freezing."""
    gives: Literal["instances", "map"] = "instances"
    """What views, tiles and folds are merged by: instances of its own, or the heat map, of which regions are made after."""
    learns: Literal["parameters", "nothing"] = "parameters"
    """nothing: there is no parameter to train, no file of weights to keep; `losses` raises InputError."""
    sees: Literal["parts", "whole"] = "parts"
    """whole: asked once, about the whole image; tiles would part what belongs together, and views show nothing new."""
    summary_parts: tuple[str, ...] = ()
    """Parts that can be trained on `summaries` alone, computed once, while all else is frozen; () = none."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def localises(self) -> bool:
        """Whether the model says where an image is forged, and not only whether."""
        return True

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

    def exhibits(self, pixels: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """(H, W, 3) uint8 -> what else there is to see of it: topic -> title -> (h, w) float32 map in 0..1 over the whole
        image, e.g. attention. Needs eval mode."""
        return {}

    def summaries(self, images: Sequence[Tensor]) -> Tensor:
        """(3, h, w) uint8 images -> (B, D) float32, all that `summary_parts` need of them. Needs eval mode."""
        raise NotImplementedError(f"{type(self).__name__} trains no part on summaries")

    def losses_of_summaries(self, summaries: Tensor, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """(B, D) -> the losses that reach `summary_parts`, equal to those that `losses` gives of the images."""
        raise NotImplementedError(f"{type(self).__name__} trains no part on summaries")
