"""SCSE U-Net: a pretrained encoder, and a decoder that weighs channels and places at every level.

The system that came third in Tianchi's "Forgeries and Forensics", track 2, with an SE-ResNeXt50 encoder. The gates: Roy et al.,
Concurrent Spatial and Channel Squeeze & Excitation in Fully Convolutional Networks, MICCAI 2018. Encoder, decoder and head are
segmentation-models-pytorch's.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.errors import InputError
from forgery_rcnn.models.backbones import download
from forgery_rcnn.models.dense import MEAN, STD, DenseSegmenter, sizes_of

# Encoders whose ImageNet weights were trained on other levels: mean and standard deviation of RGB in 0..1.
LEVELS = {
    "inception": ((0.5,) * 3, (0.5,) * 3),
    "xception": ((0.5,) * 3, (0.5,) * 3),
    "dpn": ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3),
}


class MaxOut(nn.Module):
    """The two gates of a scSE block, the larger result taken at each place of each channel.

    Roy et al., Recalibrating Fully Convolutional Networks with Spatial and Channel "Squeeze & Excitation" Blocks, IEEE TMI 2019.
    Its parameters and their names are those of the block that adds, so that each loads the other's weights.
    """

    def __init__(self, adding: nn.Module) -> None:
        super().__init__()
        self.cSE = adding.cSE
        self.sSE = adding.sSE

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same, weighed."""
        return torch.maximum(x * self.cSE(x), x * self.sSE(x))


class ScseUNet(DenseSegmenter):
    """An encoder of segmentation-models-pytorch, a decoder with scSE gates, one logit per pixel.

    Raises InputError: no such encoder, one that no U-Net can be made of, weights that cannot be had.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        made = _unet(config)
        self.encoder, self.decoder, self.head = made.encoder, made.decoder, made.segmentation_head
        # The finest level has no skip connection to weigh: smp makes that gate and never calls it.
        self.decoder.blocks[-1].attention1 = nn.Identity()
        if config.dense.decoder_attention == "maxout":
            for block in self.decoder.blocks:
                for gate in (block.attention1, block.attention2):
                    if not isinstance(gate, nn.Identity):
                        gate.attention = MaxOut(gate.attention)
        mean, std = levels(config.backbone)
        self.mean, self.std = (255 * torch.tensor(values).view(3, 1, 1) for values in (mean, std))
        self.to(memory_format=torch.channels_last)

    def forward(self, batch: Tensor) -> tuple[Tensor, None]:
        """See DenseSegmenter."""
        return self.head(self.decoder(self.encoder(batch))), None

    def within(self, batch: Tensor, valid: Tensor) -> tuple[Tensor, None]:
        """See DenseSegmenter. Images of one size together: the gates average over all places, so what a batch adds beside
        a small image would go into its answer; alone, as in prediction, there is none of it."""
        sizes = [tuple(-(-end // self.stride) * self.stride for end in size) for size in sizes_of(valid)]
        out: list[Tensor | None] = [None] * len(batch)
        for h, w in dict.fromkeys(sizes):
            members = [i for i, size in enumerate(sizes) if size == (h, w)]
            logits, _ = self(batch[members, :, :h, :w])
            rest = (0, batch.shape[3] - w, 0, batch.shape[2] - h)
            for i, found in zip(members, functional.pad(logits, rest), strict=True):
                out[i] = found
        return torch.stack(out), None


def levels(encoder: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, of RGB in 0..1, that the encoder's pretrained weights expect; smp keeps them on its hub.

    >>> levels("se_resnext50_32x4d")
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    """
    if encoder.startswith("tu-"):
        import timm

        found = timm.get_pretrained_cfg(encoder.removeprefix("tu-"))
        return (found.mean, found.std) if found is not None else (MEAN, STD)
    return next((values for prefix, values in LEVELS.items() if encoder.startswith(prefix)), (MEAN, STD))


def _unet(config: ModelConfig) -> nn.Module:
    """smp's U-Net with the encoder and the weights that the configuration asks for."""
    import segmentation_models_pytorch as smp

    name = config.backbone
    known = smp.encoders.encoders
    _require_known(name, tuple(known))
    pretrained: str | bool | None = None
    if config.weights == "imagenet":
        offered = known[name]["pretrained_settings"] if name in known else {"imagenet": {}}
        if "imagenet" not in offered:
            raise InputError(
                f"model.weights imagenet: encoder {name} has none ({', '.join(offered) or 'no weights at all'}); "
                "choose another model.backbone, e.g. se_resnext50_32x4d, or --model.weights none"
            )
        pretrained = "imagenet" if name in known else True  # timm knows one set of weights for each name
    make = partial(smp.Unet, name, encoder_weights=pretrained, decoder_attention_type="scse")
    if pretrained:
        return download(f"{name} ImageNet", make)
    try:
        return make()
    except (
        ValueError,
        KeyError,
        RuntimeError,
        NotImplementedError,
        TypeError,
        AttributeError,
        AssertionError,
    ) as error:
        raise InputError(
            f"model.backbone {name} cannot be the encoder of a U-Net ({(str(error).splitlines() or ['?'])[0][:120]}); "
            "choose a convolutional one, e.g. se_resnext50_32x4d"
        ) from None


def _require_known(name: str, known: tuple[str, ...]) -> None:
    """Raise InputError, with near names, unless smp has such an encoder (tu-NAME: timm)."""
    prefix, candidates = "", known
    if name.startswith("tu-"):
        import timm

        prefix, candidates = "tu-", tuple(timm.list_models())
        if timm.is_model(name.removeprefix("tu-")):
            return
    if name in known:
        return
    near = get_close_matches(name.removeprefix(prefix), candidates, 5, 0.5) or ["se_resnext50_32x4d", "resnet18"]
    raise InputError(
        f"model.backbone {name!r}: segmentation-models-pytorch has no such encoder; "
        f"did you mean: {', '.join(prefix + other for other in near)}?"
    )
