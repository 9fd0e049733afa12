"""Every model by name. Adding one: its file, and its line here; the parametrised tests then cover it."""

from __future__ import annotations

from collections.abc import Callable

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import fft_unet
from forgery_rcnn.models.attention_unet import AttentionUNet
from forgery_rcnn.models.backbones import exchange_norms
from forgery_rcnn.models.convnext import Combined
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from forgery_rcnn.models.matcher import Matcher
from forgery_rcnn.models.scse_unet import ScseUNet
from forgery_rcnn.models.segmenter import Segmenter

CONSTRUCTORS: dict[str, Callable[[ModelConfig], Segmenter]] = {
    "mask_rcnn": MaskRCNN,
    "attention_unet": AttentionUNet,
    "fft_unet": fft_unet.build,
    "combined": Combined,
    "scse_unet": ScseUNet,
    "matcher": Matcher,
}


def build(config: ModelConfig) -> Segmenter:
    """The model that the configuration describes. Random weights come from torch's global generator: seed it first."""
    if config.arch not in CONSTRUCTORS:
        raise InputError(f"model.arch {config.arch!r}: use one of {', '.join(CONSTRUCTORS)}")
    model = CONSTRUCTORS[config.arch](config)
    if model.gives == "map" and config.norm in ("group", "frozen_batch"):
        exchange_norms(model, config.norm)
    return model
