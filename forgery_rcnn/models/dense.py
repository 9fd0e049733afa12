"""What all models that give a probability for each pixel have in common: batches, losses, the way back to the image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.data import images as reader
from forgery_rcnn.errors import require
from forgery_rcnn.instances import Prediction
from forgery_rcnn.models import losses, regions
from forgery_rcnn.models.segmenter import Segmenter

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of RGB in 0..1
TOP = 1e-3  # share of the pixels whose mean is the image score of a model without one of its own


class DenseSegmenter(Segmenter):
    """A model with one logit for each pixel, and where it has an image branch one for the image."""

    gives = "map"
    stride: int = 32
    """Sides of what `forward` gets are multiples of this."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(STD).view(3, 1, 1), persistent=False)

    @abstractmethod
    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, 3, h, w) float32 normalised, h and w multiples of `stride` -> (B, 1, h, w) mask logits, (B,) image logits."""

    def within(self, batch: Tensor, valid: Tensor) -> tuple[Tensor, Tensor | None]:
        """`forward`, of images that end where `valid` (B, 1, h, w) does; for models that must not look beside them."""
        return self(batch)

    def batched(self, images: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(3, h, w) uint8 images -> (B, 3, h', w') float32 normalised, edges repeated to the right and below up to the
        largest sides and a multiple of `stride`; (B, 1, h', w') float32, 1 on the images, 0 beside them."""
        sides = [max(int(image.shape[axis]) for image in images) for axis in (-2, -1)]
        height, width = (-(-side // self.stride) * self.stride for side in sides)
        batch = torch.empty((len(images), 3, height, width), device=self.device)
        valid = torch.zeros((len(images), 1, height, width), device=self.device)
        for place, inside, image in zip(batch, valid, images, strict=True):
            h, w = image.shape[-2:]
            normal = (image.to(self.device).float() - self.mean) / self.std
            place[:] = functional.pad(normal[None], (0, width - w, 0, height - h), mode="replicate")[0]
            inside[:, :h, :w] = 1
        return batch.contiguous(memory_format=torch.channels_last), valid

    def losses(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """-> loss_NAME for each of config.dense.mask_losses, times mask_weight; and loss_image, the cross-entropy of the
        image, where the model has an image branch."""
        batch, valid = self.batched(images)
        mask, image = self.within(batch, valid)
        truth = torch.zeros_like(valid)
        for place, target in zip(truth, targets, strict=True):
            union = target["masks"].any(dim=0)
            place[0, : union.shape[0], : union.shape[1]] = union.to(self.device)
        out = {} if image is None else self.image_loss(image, targets)
        dense = self.config.dense
        if dense.mask_weight > 0:
            for name in dense.mask_losses:
                out[f"loss_{name}"] = dense.mask_weight * losses.LOSSES[name](mask.float(), truth, valid)
        require(
            bool(out), f"model.dense.mask_weight is 0 and {self.config.arch} has no image branch: use a positive weight"
        )
        return out

    def image_loss(self, image: Tensor, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """(B,) image logits -> loss_image, the cross-entropy with whether there is a forged region."""
        forged = torch.tensor([len(target["labels"]) > 0 for target in targets], device=self.device).float()
        return {"loss_image": losses.bce(image.float(), forged, torch.ones_like(forged))}

    @torch.inference_mode()
    def predict(self, images: Sequence[np.ndarray], mask_threshold: float = 0.5) -> list[Prediction]:
        """See Segmenter. Images of one fitted size share a batch."""
        sizes = [self.fitted(image.shape[:2]) for image in images]
        out: dict[int, Prediction] = {}
        for size in dict.fromkeys(sizes):
            members = [i for i, s in enumerate(sizes) if s == size]
            fitted = [torch.from_numpy(reader.resized(images[i], size)).permute(2, 0, 1) for i in members]
            mask, image = self.within(*self.batched(fitted))
            maps = mask[:, 0, : size[0], : size[1]].float().sigmoid().cpu().numpy()
            scores = [top_mean(found) for found in maps] if image is None else image.float().sigmoid().tolist()
            for i, found, score in zip(members, maps, scores, strict=True):
                out[i] = regions.prediction(enlarged(found, images[i].shape[:2]), score, mask_threshold)
        return [out[i] for i in range(len(images))]

    def fitted(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of an image -> (h, w) at which the model sees it."""
        return reader.model_size(size, self.config)


def sizes_of(valid: Tensor) -> list[list[int]]:
    """(B, 1, h, w) as `batched` gives it -> [height, width] of each image in the batch, pixels."""
    return torch.stack([valid.amax(3).sum((1, 2)), valid.amax(2).sum((1, 2))], dim=1).int().tolist()


def top_mean(found: np.ndarray) -> float:
    """(h, w) float32 -> the mean of its highest thousandth, at least 16 pixels: more than one stray pixel says forged."""
    count = min(found.size, max(16, round(TOP * found.size)))
    return float(np.partition(found, found.size - count, axis=None)[-count:].mean())


def enlarged(found: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) float32 -> the same at `size` = (H, W): bilinear, where it shrinks the mean over each pixel's area."""
    if found.shape == size:
        return found
    shrinks = size[0] * size[1] < found.size
    return cv2.resize(found, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
