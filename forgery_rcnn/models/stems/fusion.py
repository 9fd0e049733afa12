"""Where the stems meet the backbone: beside its first convolution (early), or beside what its stages hand to the pyramid.

All of it lies under `backbone.stem`, so a stage can train or freeze it by that prefix. What it adds is 0 at first: a
detector with more stems starts as the one that sees colours alone. Early fusion takes the body's first convolution over, as
backbone.stem.rgb; `carried` renames it between files and models with different stems.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.models.stems import channels
from forgery_rcnn.models.stems.bayar import Bayar

COLOURS = 3
TOWER = (32, 64, 96, 128, 128)  # channels at strides 2..32
BODY, STEM = "backbone.body.", "backbone.stem."


class Stem(nn.Module):
    """What both ways share. join: for each stem but rgb a convolution, whose sum is what the stems say; bayar: the one stem
    that learns by itself."""

    def __init__(self, stems: Sequence[str], width: int, stride: int) -> None:
        super().__init__()
        self.stems = channels.ordered(stems)
        self.bayar = Bayar() if "bayar" in stems else None
        beside = (name for name in self.stems if name != "rgb")
        self.join = nn.ModuleDict({name: _convolution(channels.COUNTS[name], width, stride) for name in beside})

    def seen(self, image: Tensor, colours: Tensor) -> Tensor:
        """(3, h, w) float32 grey levels and the same normalised -> (C, h, w) float32, the stems in the order of
        channels.COUNTS. Before images are padded to a batch: the padding's edge is no trace."""
        rgb = [colours] if "rgb" in self.stems else []
        return torch.cat(rgb + channels.beside(image, self.stems, self.bayar))

    def said(self, x: Tensor) -> Tensor:
        """(B, C, h, w), the stems of a batch -> (B, width, h / stride, w / stride)."""
        parts = dict(zip(self.stems, x.split([channels.COUNTS[name] for name in self.stems], dim=1), strict=True))
        return sum(join(parts[name]) for name, join in self.join.items())

    def joined(self, x: Tensor) -> Tensor:
        """(B, C, h, w), the stems of a batch -> what the body is given."""
        raise NotImplementedError

    def added(self, levels: OrderedDict[str, Tensor], x: Tensor) -> OrderedDict[str, Tensor]:
        """The body's stages '0'..'3', the stems of a batch -> the stages as the pyramid is given them."""
        raise NotImplementedError


class Early(Stem):
    """rgb: the body's first convolution, taken out of it, to which the others are added, with weight 0 at first. Without
    rgb it is gone, and they start at random."""

    def __init__(self, stems: Sequence[str], body: nn.Module) -> None:
        self_name, first = first_convolution(body)
        super().__init__(stems, first.out_channels, first.stride[0])
        body.set_submodule(self_name, nn.Identity())
        self.taken = self_name
        self.rgb = first if "rgb" in stems else None
        if self.rgb is not None:
            for convolution in self.join.values():
                nn.init.zeros_(convolution.weight)

    def joined(self, x: Tensor) -> Tensor:
        return self.said(x) if self.rgb is None else self.rgb(x[:, :COLOURS]) + self.said(x)

    def added(self, levels: OrderedDict[str, Tensor], x: Tensor) -> OrderedDict[str, Tensor]:
        return levels


class Tower(Stem):
    """A small network of its own for the stems beside rgb, five strided convolutions; its stages at strides 4..32 are added
    to the body's, each through a 1 x 1 convolution (lateral) that starts at 0."""

    def __init__(self, stems: Sequence[str], widths: Sequence[int]) -> None:
        super().__init__(stems, TOWER[0], stride=2)
        self.first = _normed(TOWER[0])
        steps = pairwise(TOWER)
        self.tower = nn.ModuleList(nn.Sequential(_convolution(a, b, 2), _normed(b)) for a, b in steps)
        self.lateral = nn.ModuleList(nn.Conv2d(own, width, 1) for own, width in zip(TOWER[1:], widths, strict=True))
        for layer in self.lateral:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def joined(self, x: Tensor) -> Tensor:
        return x[:, :COLOURS]

    def added(self, levels: OrderedDict[str, Tensor], x: Tensor) -> OrderedDict[str, Tensor]:
        out, own = OrderedDict(), self.first(self.said(x))
        for (name, level), block, lateral in zip(levels.items(), self.tower, self.lateral, strict=True):
            own = block(own)
            out[name] = level + lateral(own)
        return out


class Stemmed(nn.Module):
    """A backbone with stems: body and fpn as they were, and stem."""

    def __init__(self, backbone: nn.Module, stem: Stem) -> None:
        super().__init__()
        self.body, self.fpn, self.stem, self.out_channels = backbone.body, backbone.fpn, stem, backbone.out_channels

    def stages(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """(B, C, h, w) float -> {'0'..'3'}: (B, C', h/4.., w/4..), what the pyramid is given."""
        return self.stem.added(named(self.body(self.stem.joined(x))), x)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) float -> {'0'..'3', 'pool'}: (B, fpn_width, h/4.., w/4..)."""
        return self.fpn(self.stages(x))


def stemmed(backbone: nn.Module, config: ModelConfig) -> nn.Module:
    """A backbone that sees colours -> one that sees config.stems; the same where these are the colours alone."""
    if set(config.stems) == {"rgb"}:
        return backbone
    if config.stem_fusion == "early":
        return Stemmed(backbone, Early(config.stems, backbone.body))
    widths = [block[0].in_channels for block in backbone.fpn.inner_blocks]
    return Stemmed(backbone, Tower(config.stems, widths))


def named(found: dict[str, Tensor] | Sequence[Tensor]) -> OrderedDict[str, Tensor]:
    """What a body gives, torchvision's by name or timm's in order -> by name, '0'..'3'."""
    return found if isinstance(found, dict) else OrderedDict((str(level), f) for level, f in enumerate(found))


def first_convolution(body: nn.Module) -> tuple[str, nn.Conv2d]:
    """-> the name and the convolution of a body that sees the colours."""
    return next((n, m) for n, m in body.named_modules() if isinstance(m, nn.Conv2d) and m.in_channels == COLOURS)


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    """Reaches every pixel at any stride; gives ceil(side / stride), as the first convolutions do at multiples of 32."""
    side = 2 * (stride // 2) + 1
    return nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False)


def _normed(width: int) -> nn.Sequential:
    # Group norm: batches are small, and an image must not depend on its batch.
    return nn.Sequential(nn.GroupNorm(8, width), nn.ReLU(inplace=True))


def renamed(state: Mapping[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Weights of a detector, its first convolution named as in a model with this backbone."""
    stem = getattr(backbone, "stem", None)
    first = f"{BODY}{stem.taken if isinstance(stem, Early) else first_convolution(backbone.body)[0]}."
    there = f"{STEM}rgb." if isinstance(stem, Early) else first
    elsewhere = first if there != first else f"{STEM}rgb."
    return {name.replace(elsewhere, there): tensor for name, tensor in state.items()}


def carried(state: Mapping[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Weights of a detector to start from, whatever its stems -> those for one with this backbone: without the stems that
    it has not, with those that are new to the file as they are."""
    stem = getattr(backbone, "stem", None)
    own = {} if stem is None else {f"{STEM}{name}": tensor for name, tensor in stem.state_dict().items()}
    kept = {n: tensor for n, tensor in renamed(state, backbone).items() if n in own or not n.startswith(STEM)}
    return {name: tensor for name, tensor in own.items() if not name.startswith(f"{STEM}rgb.")} | kept
