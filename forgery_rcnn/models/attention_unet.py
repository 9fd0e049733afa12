"""Attention U-Net: a U-Net whose skip connections pass through gates that the coarser level steers.

Oktay et al., Attention U-Net: Learning Where to Look for the Pancreas, MIDL 2018; widths and blocks as in the AI-inpainting
detectors of Aaltoes 2025.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.data import images as reader
from forgery_rcnn.errors import require
from forgery_rcnn.models.dense import DenseSegmenter, enlarged


def double_conv(before: int, after: int) -> nn.Sequential:
    """Two 3 x 3 convolutions without bias, each with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class AttentionGate(nn.Module):
    """Weighs a skip connection by what the coarser level, already enlarged, says of each place."""

    def __init__(self, gate: int, skip: int, inner: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Conv2d(gate, inner, 1), nn.BatchNorm2d(inner))
        self.skip = nn.Sequential(nn.Conv2d(skip, inner, 1), nn.BatchNorm2d(inner))
        self.weigh = nn.Sequential(nn.Conv2d(inner, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def weights(self, gate: Tensor, skip: Tensor) -> Tensor:
        """(B, G, h, w), (B, S, h, w) -> (B, 1, h, w) in 0..1."""
        return self.weigh(torch.relu(self.gate(gate) + self.skip(skip)))

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        """-> the skip connection, weighed."""
        return skip * self.weights(gate, skip)


class Encoder(nn.Module):
    """A double convolution per width, the resolution halved in between."""

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(double_conv(a, b) for a, b in zip((channels, *widths), widths, strict=False))
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor, stop: int | None = None) -> list[Tensor]:
        """(B, C, h, w) -> one (B, width, h / 2**level, w / 2**level) per width, finest first; `stop` as in a slice."""
        out = [self.levels[0](x)]
        for level in self.levels[1:stop]:
            out.append(level(self.pool(out[-1])))
        return out


class Decoder(nn.Module):
    """From the bottleneck back to full resolution, each skip connection through its gate."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # (deeper, finer), deepest first
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, fine, 2, stride=2) for deep, fine in pairs)
        self.gates = nn.ModuleList(AttentionGate(fine, fine, max(1, fine // 2)) for _, fine in pairs)
        self.levels = nn.ModuleList(double_conv(2 * fine, fine) for _, fine in pairs)

    def forward(self, bottleneck: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """(B, deepest, ...) and the finer levels, finest first -> (B, widths[0], h, w)."""
        x = bottleneck
        for up, gate, level, skip in zip(self.up, self.gates, self.levels, reversed(skips), strict=True):
            x = up(x)
            x = level(torch.cat((gate(x, skip), x), dim=1))
        return x


class AttentionUNet(DenseSegmenter):
    """An encoder, a gated decoder, one logit per pixel."""

    def __init__(self, config: ModelConfig, channels: int = 3) -> None:
        super().__init__(config)
        require(
            config.weights != "imagenet",
            f"model.weights imagenet: there are none of {config.arch}; use --model.weights none, or a file of its own",
        )
        widths = config.dense.widths
        self.stride = 2 ** (len(widths) - 1)
        self.encoder = Encoder(channels, widths)
        self.decoder = Decoder(widths)
        self.head = nn.Conv2d(widths[0], 1, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, batch: Tensor) -> tuple[Tensor, None]:
        """See DenseSegmenter."""
        *skips, bottleneck = self.encoder(batch)
        return self.head(self.decoder(bottleneck, skips)), None

    def exhibits(self, pixels: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """-> attention: what each gate lets through."""
        found = attention_maps(self, pixels)
        return {"attention": {f"gate at 1/{2**level}": gate for level, gate in enumerate(found)}}


def attention_maps(model: AttentionUNet, pixels: np.ndarray) -> list[np.ndarray]:
    """(H, W, 3) uint8 -> what each gate of the decoder lets through, (H, W) float32 in 0..1 each, finest level first.

    In the image's own frame. Needs eval mode.
    """

    def weights(batch: Tensor, valid: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        hooks = [gate.weigh.register_forward_hook(lambda *call: found.append(call[2])) for gate in model.decoder.gates]
        try:
            model.within(batch, valid)
        finally:
            for hook in hooks:
                hook.remove()
        return found[::-1]

    return framed(model, pixels, weights)


@torch.inference_mode()
def framed(
    model: DenseSegmenter, pixels: np.ndarray, maps: Callable[[Tensor, Tensor], Sequence[Tensor]]
) -> list[np.ndarray]:
    """(H, W, 3) uint8; what gives (1, 1, h / n, w / n) maps of a batch of one and its `valid`, each of whose cells lies
    over n x n pixels -> these maps as (H, W) float32 each."""
    h, w = size = model.fitted((pixels.shape[0], pixels.shape[1]))
    batch, valid = model.batched([torch.from_numpy(reader.resized(pixels, size)).permute(2, 0, 1)])
    out = []
    for found in maps(batch, valid):
        whole = functional.interpolate(found.float(), size=batch.shape[-2:], mode="bilinear")
        out.append(enlarged(whole[0, 0, :h, :w].cpu().numpy(), pixels.shape[:2]))
    return out
