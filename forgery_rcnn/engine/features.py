"""Training the detector's heads on what its frozen backbone says of each image, computed when it is first met and kept.

For the stages on one or a few images; 512 px take 11 MB an image in bf16. Images are told apart by their pixels, so an
augmented one is computed as always. Only batches of images of one size use what is kept: beside a larger image one is padded,
which the features show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from forgery_rcnn.data.dataset import Target
from forgery_rcnn.models.mask_rcnn import MaskRCNN

Levels = dict[str, Tensor]


def suffice(model: nn.Module, moving: Sequence[str]) -> bool:
    """Whether a stage that moves these parameters leaves the backbone as it is."""
    return isinstance(model, MaskRCNN) and not any(name.startswith("backbone.") for name in moving)


class Kept:
    """Features by the pixels they are of, up to `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._left, self._levels = limit, dict[bytes, Levels]()

    def __len__(self) -> int:
        return len(self._levels)

    @torch.no_grad()
    def of(self, image: Tensor, model: MaskRCNN) -> Levels:
        """(3, h, w) uint8 -> the pyramid's levels, of a batch of one; the same whether they were kept or not."""
        key = hashlib.blake2b(repr(image.shape).encode() + image.contiguous().cpu().numpy().tobytes()).digest()
        if key in self._levels:
            return self._levels[key]
        found = model.backbone(model.batched([image]).tensors)
        size = sum(level.numel() * level.element_size() for level in found.values())
        if size <= self._left:
            self._left -= size
            self._levels[key] = found
        return found


class Losses(nn.Module):
    """A detector's losses as a forward pass, on features that are kept. The backbone must be frozen and in eval mode."""

    def __init__(self, kept: Kept, model: MaskRCNN) -> None:
        super().__init__()
        self.kept, self.model = kept, model

    def forward(self, images: Sequence[Tensor], targets: Sequence[Target]) -> dict[str, Tensor]:
        """As MaskRCNN.losses."""
        if len({image.shape for image in images}) > 1:
            return self.model.losses(images, targets)
        levels = [self.kept.of(image, self.model) for image in images]
        features = {name: torch.cat([one[name] for one in levels]) for name in levels[0]}
        height, width = (4 * side for side in features["0"].shape[-2:])
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        batch = ImageList(features["0"].new_empty((len(images), 1, height, width)), sizes)
        return self.model.losses_of(features, batch, images, targets)
