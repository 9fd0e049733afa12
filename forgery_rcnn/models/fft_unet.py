"""A U-Net with a second encoder, which sees how strong each frequency is (MMFusion, Aaltoes 2025).

The README of MMFusion promises an Attention U-Net, features of the FFT magnitude and a fusion layer that concatenates both
before the bottleneck; its code shows only the first. What is meant here:

- Transformed is the grey image (mean of R, G and B) at the size at which the model sees it, without the batch's padding:
  ln(1 + magnitude), frequency 0 in the middle, under a Hann window unless `dense.window` is none (models/spectrum.py).
- A spectrum's rows and columns are frequencies, not places. Laid over the image's features cell by cell, as is often done,
  frequency 0 would be told to the middle of the image, and an image moved by a pixel, whose magnitude stays the same, would
  have it told to other content. So the spectrum is brought to a fixed grid of cycles per pixel, its encoder is told the
  frequency of each cell in two more channels (the mean below would forget it), its features are averaged over all
  frequencies, and every place of the bottleneck is given the same ones: what kind of image this is (noise floor, blur,
  traces of resampling and of generators). Where in it, the RGB branch has to find.
- With `dense.branches` fft the decoder gets such features at every level, and its map is flat but for the borders: the
  magnitude of a whole image tells whether, never where. This is the control of the ablation, not a localiser.
- `dense.window` local is the variant with places: the magnitudes of an 8 x 8 window around each pixel are the channels
  of the second encoder's input, which then lies over the image, and the fft branch alone can localise.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.data import images as reader
from forgery_rcnn.errors import require
from forgery_rcnn.models import spectrum
from forgery_rcnn.models.attention_unet import AttentionUNet, Encoder, framed
from forgery_rcnn.models.dense import sizes_of

Branch = Literal["rgb", "fft"]
BOTH: tuple[Branch, ...] = ("rgb", "fft")
GLOBAL = 3  # channels of a whole image's spectrum: log-magnitude, frequency down, frequency across


def build(config: ModelConfig) -> AttentionUNet:
    """The network that config.dense.branches names; rgb is the very Attention U-Net."""
    return AttentionUNet(config) if config.dense.branches == "rgb" else FftUNet(config)


class FftUNet(AttentionUNet):
    """An Attention U-Net whose bottleneck is also given features of the FFT magnitude, or (branches fft) has no others."""

    def __init__(self, config: ModelConfig) -> None:
        dense = config.dense
        channels = spectrum.BINS if dense.window == "local" else GLOBAL
        fused = dense.branches == "fused"
        super().__init__(config, 3 if fused else channels)
        self.side = -(-config.image_size // self.stride) * self.stride
        if fused:
            width = dense.widths[-2]
            self.frequency = Encoder(channels, dense.widths[:-1])
            self.fusion = nn.Sequential(
                nn.Conv2d(2 * width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
            )
        self.to(memory_format=torch.channels_last)

    def forward(self, batch: Tensor) -> tuple[Tensor, None]:
        """See DenseSegmenter; for images that fill the batch."""
        return self.within(batch, torch.ones_like(batch[:, :1]))

    def within(self, batch: Tensor, valid: Tensor) -> tuple[Tensor, None]:
        """See DenseSegmenter. The spectrum is that of the image, not of the edges repeated beside it."""
        if self.config.dense.branches == "fused":
            return self.fused(batch, valid), None
        levels = self.encoder(self.spectra(batch, valid))
        sizes = [[side >> level for side in batch.shape[-2:]] for level in range(len(levels))]
        *skips, bottleneck = [self.everywhere(found, size) for found, size in zip(levels, sizes, strict=True)]
        return self.head(self.decoder(bottleneck, skips)), None

    def fused(self, batch: Tensor, valid: Tensor, keep: Collection[Branch] = BOTH) -> Tensor:
        """-> (B, 1, h, w) logits; of the branches not kept the fusion layer is given zeros, what a ReLU gives at rest."""
        skips = self.encoder(batch, -1)
        deep = self.encoder.pool(skips[-1])
        bins = self.encoder.pool(self.frequency(self.spectra(batch, valid))[-1])
        found = {"rgb": deep, "fft": self.everywhere(bins, deep.shape[-2:])}
        both = torch.cat([part if name in keep else torch.zeros_like(part) for name, part in found.items()], dim=1)
        return self.head(self.decoder(self.encoder.levels[-1](self.fusion(both)), skips))

    def everywhere(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, C, ...) of the spectra -> (B, C, *size): their mean over all frequencies at each place; local ones as they are."""
        if self.config.dense.window == "local":
            return features
        return features.mean(dim=(2, 3), keepdim=True).expand(-1, -1, *size)

    @torch.no_grad()
    def spectra(self, batch: Tensor, valid: Tensor) -> Tensor:
        """Normalised images and where they are -> (B, 3, side, side) float32 log-magnitude and frequencies down and across,
        or, with window local, (B, 40, h, w) float32 log-magnitudes."""
        # Not luma, which all but drops blue: in fluorescence images it is a channel like the others.
        grey = (batch.float() * self.std + self.mean).mean(dim=1, keepdim=True)
        window = self.config.dense.window
        if window == "local":
            return spectrum.local(grey).contiguous(memory_format=torch.channels_last)
        out = batch.new_empty((len(batch), GLOBAL, self.side, self.side), dtype=torch.float32)
        out[:, 1:] = spectrum.frequencies(self.side, batch.device)
        for place, image, (h, w) in zip(out, grey, sizes_of(valid), strict=True):
            place[0] = spectrum.on_grid(spectrum.log_magnitude(image[0, :h, :w], window), self.side)
        return out.contiguous(memory_format=torch.channels_last)

    def exhibits(self, pixels: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """-> attention; branches: the heat map of both and of each alone (branches fused), and the spectrum as the network
        sees it, its largest value white; of the whole image frequency 0 is in the middle, half a cycle per pixel at the edge."""
        found = seen(self, pixels)
        branches = branch_maps(self, pixels) if self.config.dense.branches == "fused" else {}
        title = "local spectra (mean)" if self.config.dense.window == "local" else "log magnitude"
        return super().exhibits(pixels) | {"branches": branches | {title: found / max(float(found.max()), 1e-6)}}


@torch.inference_mode()
def seen(model: FftUNet, pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (side, side) float32 log-magnitude as the network sees it, frequency 0 in the middle; with window
    local (h, w) at the model's size, the mean over the frequencies other than 0 around each pixel."""
    size = model.fitted((pixels.shape[0], pixels.shape[1]))
    batch, valid = model.batched([torch.from_numpy(reader.resized(pixels, size)).permute(2, 0, 1)])
    (found,) = model.spectra(batch, valid)
    if model.config.dense.window == "local":
        return found[1:, : size[0], : size[1]].mean(dim=0).cpu().numpy()
    return found[0].cpu().numpy()


def branch_maps(model: FftUNet, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """(H, W, 3) uint8 -> heat maps (H, W) float32 in 0..1: "fused", "rgb" without the frequency features, "fft" without the
    RGB features in the bottleneck (the skip connections are RGB's still). Needs eval mode and branches fused."""
    branches = model.config.dense.branches
    require(
        branches == "fused", f"model.dense.branches is {branches}; two branches to compare are in a model with fused"
    )
    keeps: dict[str, tuple[Branch, ...]] = {"fused": BOTH, "rgb": ("rgb",), "fft": ("fft",)}

    def maps(batch: Tensor, valid: Tensor) -> list[Tensor]:
        return [model.fused(batch, valid, keep).float().sigmoid() for keep in keeps.values()]

    return dict(zip(keeps, framed(model, pixels, maps), strict=True))
