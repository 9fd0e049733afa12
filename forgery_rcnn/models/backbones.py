"""Backbones with a feature pyramid: levels '0'..'3' at strides 4..32 and 'pool' at 64, all `fpn_width` channels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.errors import InputError
from forgery_rcnn.models.frozen_norm import FrozenNorm
from forgery_rcnn.models.pyramid import Pyramid
from forgery_rcnn.models.stems import channels, fusion

STRIDES = (4, 8, 16, 32)


def build(config: ModelConfig) -> nn.Module:
    """The backbone that `config.backbone` names, with its pyramid; ImageNet weights where `config.weights` is imagenet. It
    takes the channels of config.stems; those beside rgb have no weight yet.

    Raises InputError for an unknown name or weights that cannot be had.
    """
    if config.backbone in _TORCHVISION:
        backbone = _TORCHVISION[config.backbone](config)
    elif config.backbone.startswith("timm:"):
        backbone = TimmPyramid(config)
    else:
        raise InputError(
            f"model.backbone {config.backbone!r}: use one of {', '.join(_TORCHVISION)}, or timm:NAME, e.g. timm:convnext_tiny"
        )
    return fusion.stemmed(backbone, config)


def norm_of(config: ModelConfig) -> str:
    """The norm layers that `auto` stands for: group norm from random weights, frozen batch norm under pretrained ones."""
    if config.norm != "auto":
        return config.norm
    return "group" if config.weights == "none" else "frozen_batch"


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm with 32 groups, or the largest power of two below that divides the channels."""
    groups = 32
    while channels % groups:
        groups //= 2
    return nn.GroupNorm(groups, channels)


_NORM_LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "group": group_norm,
    "batch": nn.BatchNorm2d,
    "frozen_batch": FrozenNorm,
}


def download(what: str, fetch: Callable[[], object]) -> object:
    """Call `fetch`; a failed download becomes one InputError line that names the ways out."""
    try:
        return fetch()
    except Exception as error:  # urllib, ssl, socket, huggingface_hub and httpx share no base class below this
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            f"model.weights: {what} cannot be downloaded ({reason}); download it where there is a network and pass "
            "--model.weights FILE, or start from random weights with --model.weights none"
        ) from None


def _classifier(name: str, config: ModelConfig) -> nn.Module:
    """torchvision's classification model, with the norm layers and the weights that the configuration asks for."""
    pretrained = config.weights == "imagenet"
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1 if pretrained else None
    make = partial(torchvision.models.get_model, name, weights=weights, norm_layer=_NORM_LAYERS[norm_of(config)])
    return download(f"{name} ImageNet", make) if pretrained else make()


def _resnet(name: str, config: ModelConfig) -> nn.Module:
    body = _classifier(name, config)
    channels = [body.inplanes // 8 * 2**level for level in range(4)]
    layers = {f"layer{level + 1}": str(level) for level in range(4)}
    return _with_pyramid(body, layers, channels, config.fpn_width)


def _with_pyramid(body: nn.Module, layers: dict[str, str], channels: list[int], width: int) -> BackboneWithFPN:
    backbone = BackboneWithFPN(body, layers, channels, width, LastLevelMaxPool())
    backbone.fpn = Pyramid(backbone.fpn)
    return backbone


def _mobilenet(name: str, config: ModelConfig) -> nn.Module:
    body = _classifier(name, config).features
    for module in body.modules():
        if isinstance(module, (FrozenBatchNorm2d, nn.BatchNorm2d)):
            module.eps = 1e-3  # MobileNetV3's own, with which its weights were trained
    last: dict[int, tuple[str, int]] = {}  # stride -> the deepest block at it and its channels
    x, side = torch.zeros(1, 3, 64, 64), 64
    with torch.no_grad():
        for index, block in enumerate(body.eval()):
            x = block(x)
            last[side // x.shape[-1]] = (str(index), x.shape[1])
    body.train()
    layers = {last[stride][0]: str(level) for level, stride in enumerate(STRIDES)}
    return _with_pyramid(body, layers, [last[stride][1] for stride in STRIDES], config.fpn_width)


class TimmPyramid(nn.Module):
    """Any timm backbone with features at strides 4, 8, 16 and 32, named as torchvision names its own: body, fpn."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        import timm

        name = config.backbone.removeprefix("timm:")
        if not timm.is_model(name):
            near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "see timm.list_models()"
            raise InputError(f"model.backbone: timm has no model {name!r}; did you mean: {near}?")
        try:
            reduction = timm.create_model(name, features_only=True).feature_info.reduction()
            levels = [max(i for i, r in enumerate(reduction) if r == stride) for stride in STRIDES]
        except (ValueError, RuntimeError, AttributeError, TypeError, AssertionError) as error:
            raise InputError(
                f"model.backbone timm:{name} gives no features at strides 4, 8, 16, 32 ({error}); "
                "choose a convolutional one, e.g. timm:convnext_tiny"
            ) from None
        pretrained = config.weights == "imagenet"
        make = partial(timm.create_model, name, features_only=True, out_indices=levels, pretrained=pretrained)
        self.body = download(f"timm {name}", make) if pretrained else make()
        if norm_of(config) != "batch":
            exchange_norms(self.body, norm_of(config))
        _require_any_size(name, self.body)
        channels = self.body.feature_info.channels()
        self.fpn = Pyramid(FeaturePyramidNetwork(channels, config.fpn_width, LastLevelMaxPool()))
        self.out_channels = config.fpn_width

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) float -> {'0'..'3', 'pool'}: (B, fpn_width, h/4.., w/4..)."""
        return self.fpn(stages(self, x))


def stages(backbone: nn.Module, x: Tensor) -> OrderedDict[str, Tensor]:
    """A backbone made here and (B, C, h, w) float -> what is handed to the pyramid: {'0'..'3'}: (B, C, h/4.., w/4..)."""
    return backbone.stages(x) if isinstance(backbone, fusion.Stemmed) else fusion.named(backbone.body(x))


def evened(backbone: nn.Module) -> None:
    """Scale the pyramid's 1 x 1 convolutions, in place, so that what each makes of white noise has a spread of 1: an ImageNet encoder's
    deepest features are some ten times as large as its first, and heads that start from random weights begin at losses to match."""
    first = next(m for m in backbone.modules() if isinstance(m, nn.Conv2d))
    stem = getattr(backbone, "stem", None)
    width = first.in_channels if stem is None else sum(channels.COUNTS[name] for name in stem.stems)
    training = backbone.training
    with torch.no_grad():
        noise = torch.randn(1, width, 128, 128, generator=torch.Generator().manual_seed(0))
        levels = stages(backbone.eval(), noise)
        for level, block in zip(levels.values(), backbone.fpn.inner_blocks, strict=True):
            block[0].weight /= block(level).std().clamp_min(1e-6)
    backbone.train(training)


def _require_any_size(name: str, body: nn.Module) -> None:
    """Raise InputError unless the backbone takes images of several sizes and gives channels first."""
    body.eval()
    try:
        with torch.no_grad():
            for size in ((64, 96), (96, 64)):
                levels = body(torch.zeros(1, 3, *size))
                for level, stride, channels in zip(levels, STRIDES, body.feature_info.channels(), strict=True):
                    if level.shape != (1, channels, size[0] // stride, size[1] // stride):
                        raise ValueError(f"features of shape {tuple(level.shape)}")
    except (ValueError, RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"model.backbone timm:{name} does not take images of any size ({reason}); choose a convolutional one, e.g. timm:convnext_tiny"
        ) from None
    body.train()


def exchange_norms(module: nn.Module, norm: str) -> None:
    """Put group norm, or batch norm frozen at its statistics, in place of every batch norm below `module`."""
    for name, child in module.named_children():
        if not isinstance(child, nn.BatchNorm2d):
            exchange_norms(child, norm)
            continue
        layer = _NORM_LAYERS[norm](child.num_features)
        if norm == "frozen_batch":
            layer.eps = child.eps
            layer.load_state_dict(child.state_dict(), strict=False)
        # timm folds dropout and activation into its batch norm
        extras = [part for part in (getattr(child, "drop", None), getattr(child, "act", None)) if part is not None]
        setattr(module, name, nn.Sequential(layer, *extras) if extras else layer)


_TORCHVISION: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "resnet18": partial(_resnet, "resnet18"),
    "resnet50": partial(_resnet, "resnet50"),
    "mobilenet_v3_large": partial(_mobilenet, "mobilenet_v3_large"),
}
