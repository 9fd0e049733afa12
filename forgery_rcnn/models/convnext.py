"""ConvNeXt with two branches: is the image forged, and where. Without the second it is a classifier.

The combined model of MediaEval 2025's Synthetic Images (task B, and with mask_weight 0 task A). Encoder: Liu et al., A
ConvNet for the 2020s, CVPR 2022, torchvision's. The segmentation branch is a feature pyramid (Lin et al., CVPR 2017) that
ends at stride 4: the encoder has read the image in patches of 4 pixels, there is nothing finer to decode.

Nothing here depends on what an image shares a batch with. The encoder mixes places only in its 7 x 7 convolutions, which
see zeros beside the image; features outside of an image's own multiple of 32 are set to zero before each, so that they see
zeros there too. The image's vector is the mean over cells, each weighed by the share of it that the image covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.convnext import LayerNorm2d

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.errors import InputError
from forgery_rcnn.models.backbones import STRIDES, download
from forgery_rcnn.models.dense import DenseSegmenter

BACKBONES = ("convnext_tiny", "convnext_small", "convnext_base", "convnext_large")
NOWHERE = float("-inf")  # the mask logit of a model without segmentation branch: a heat map of zeros


def _torchvision(config: ModelConfig) -> nn.Module:
    if config.backbone not in BACKBONES:
        raise InputError(f"model.backbone {config.backbone!r}: combined needs one of {', '.join(BACKBONES)}")
    pretrained = config.weights == "imagenet"
    weights = torchvision.models.get_model_weights(config.backbone).IMAGENET1K_V1 if pretrained else None
    make = partial(torchvision.models.get_model, config.backbone, weights=weights)
    return download(f"{config.backbone} ImageNet", make) if pretrained else make()


class Pyramid(nn.Module):
    """From the coarsest level to the finest: enlarge, add the level brought to `width` channels, 3 x 3 convolution.

    Norms are over channels, as in the encoder: each place by itself, so neither the batch nor what is beside the image counts.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Sequential(LayerNorm2d(c), nn.Conv2d(c, width, 1)) for c in channels)
        self.smooth = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), LayerNorm2d(width), nn.GELU()) for _ in channels[1:]
        )
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, levels: Sequence[Tensor], insides: Sequence[Tensor]) -> Tensor:
        """Features, finest first, and (B, 1, h, w) {0, 1} of each -> (B, 1, h, w) logits at the finest level's stride."""
        x = self.lateral[-1](levels[-1])
        for lateral, smooth, level, inside in list(zip(self.lateral, self.smooth, levels, insides, strict=False))[::-1]:
            x = lateral(level) + functional.interpolate(x, scale_factor=2, mode="nearest")
            x = smooth(x * inside.to(x.dtype))
        return self.head(x)


class Combined(DenseSegmenter):
    """backbone.0 to backbone.7 (torchvision's features: at each stride a reduction, then its blocks), classifier, decoder."""

    stride = STRIDES[-1]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        whole = _torchvision(config)
        norm, _, last = whole.classifier
        self.backbone = whole.features
        self.classifier = nn.Sequential(nn.LayerNorm(last.in_features, norm.eps), nn.Linear(last.in_features, 1))
        self.classifier[0].load_state_dict(norm.state_dict())  # pretrained too
        self.decoder: Pyramid | None = None
        if config.dense.mask_weight > 0:
            channels = [self.backbone[2 * level + 1][-1].block[0].out_channels for level in range(len(STRIDES))]
            self.decoder = Pyramid(channels, config.fpn_width)
        self.summary_parts = ("classifier",) if self.decoder is None else ()  # else the mask losses would go missing
        self.to(memory_format=torch.channels_last)

    def levels(self, batch: Tensor, insides: Sequence[Tensor]) -> list[Tensor]:
        """(B, 3, h, w) and (B, 1, h/4.., w/4..) {0, 1} -> features (B, C, h/4.., w/4..) of strides 4, 8, 16, 32."""
        out, x = [], batch
        for level, inside in enumerate(insides):
            x = self.backbone[2 * level](x)
            for block in self.backbone[2 * level + 1]:
                x = block(x * inside.to(x.dtype))
            out.append(x)
        return out

    def pooled(self, features: Tensor, valid: Tensor) -> Tensor:
        """(B, C, h/32, w/32), (B, 1, h, w) -> (B, C) float32: the mean over the image."""
        share = functional.avg_pool2d(valid, self.stride)
        return (features.float() * share).sum((2, 3)) / share.sum((2, 3))

    @property
    def localises(self) -> bool:
        """Whether there is a segmentation branch."""
        return self.decoder is not None

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """See DenseSegmenter."""
        return self.within(batch, torch.ones_like(batch[:, :1]))

    def within(self, batch: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """See DenseSegmenter; mask logits are -inf where there is no segmentation branch."""
        insides = _insides(valid)
        levels = self.levels(batch, insides)
        image = self.classifier(self.pooled(levels[-1], valid))[:, 0]
        if self.decoder is None:
            return torch.full_like(valid, NOWHERE), image
        mask = self.decoder(levels, insides)
        return functional.interpolate(mask, scale_factor=STRIDES[0], mode="bilinear", align_corners=False), image

    @torch.no_grad()
    def summaries(self, images: Sequence[Tensor]) -> Tensor:
        """See Segmenter: the vectors before the classifier."""
        batch, valid = self.batched(images)
        return self.pooled(self.levels(batch, _insides(valid))[-1], valid)

    def losses_of_summaries(self, summaries: Tensor, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """See Segmenter. Of the targets, labels are looked at."""
        return self.image_loss(self.classifier(summaries.to(self.device))[:, 0], targets)


def _insides(valid: Tensor) -> list[Tensor]:
    """(B, 1, h, w) -> at strides 4, 8, 16, 32 (B, 1, h/4.., w/4..): 1 up to the multiple of 32 that an image fills alone."""
    own = functional.max_pool2d(valid, STRIDES[-1])
    return [functional.interpolate(own, scale_factor=STRIDES[-1] // stride, mode="nearest") for stride in STRIDES]
