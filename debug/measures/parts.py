"""The parts of the detector that probes of learning speak of, and how far the weights of each have moved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from forgery_rcnn.engine import freezing

HEADS = (
    "backbone.stem",
    "backbone.fpn",
    "rpn",
    "roi_heads.box_head",
    "roi_heads.box_predictor.cls_score",
    "roi_heads.box_predictor.bbox_pred",
    "roi_heads.mask_head",
    "roi_heads.mask_predictor",
)
BODY = "backbone.body"
MOST = 8  # children of a backbone that are told apart; one with more is a single part


def parts_of(names: Iterable[str]) -> dict[str, str]:
    """Names of parameters -> each name's part, in the order of the names; a part is a prefix that a Stage can name.

    >>> parts_of(["backbone.body.conv1.weight", "rpn.head.conv.0.0.bias"])
    {'backbone.body.conv1.weight': 'backbone.body.conv1', 'rpn.head.conv.0.0.bias': 'rpn'}
    """
    names = list(names)
    layers = {name: ".".join(name.split(".")[:3]) for name in names if name.startswith(f"{BODY}.")}
    coarse = len(set(layers.values())) > MOST
    return {name: (BODY if coarse else layers[name]) if name in layers else _head(name) for name in names}


def _head(name: str) -> str:
    return next((part for part in HEADS if name.startswith(f"{part}.")), name.split(".")[0])


def grouped(parts: Mapping[str, str]) -> dict[str, list[str]]:
    """Name -> part turned round: part -> its names, in the order in which they came."""
    out: dict[str, list[str]] = {}
    for name, part in parts.items():
        out.setdefault(part, []).append(name)
    return out


def frozen_tensors(model: nn.Module, trainable: Sequence[str], frozen: Sequence[str]) -> list[str]:
    """Names in the state_dict that a stage must leave as they are: frozen parameters, and the buffers (statistics of
    batch norm) of modules that hold no parameter that moves. Sets requires_grad, as freezing.apply does."""
    moving = set(freezing.apply(model, trainable, frozen))
    out = []
    for name, module in model.named_modules():
        at = f"{name}." if name else ""
        own = [f"{at}{key}" for key, _ in module.named_parameters(recurse=False)]
        out += [key for key in own if key not in moving]
        if not any(key in moving for key in own):
            out += [f"{at}{key}" for key, _ in module.named_buffers(recurse=False)]
    known = model.state_dict().keys()
    return [name for name in out if name in known]


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor], names: Iterable[str]) -> list[str]:
    """Those of the names whose tensors are not bit-equal."""
    return [name for name in names if not torch.equal(before[name].cpu(), after[name].cpu())]


def norm(tensors: Iterable[Tensor]) -> float:
    """Tensors of any shapes -> the Euclidean norm of all their numbers together; inf or NaN where a number is."""
    return math.sqrt(sum(float(tensor.detach().double().square().sum()) for tensor in tensors))


def relative_change(before: Mapping[str, Tensor], after: Mapping[str, Tensor], names: Iterable[str]) -> float:
    """|after - before| / |before| over the tensors of these names together; NaN where |before| is 0.

    >>> relative_change({"w": torch.tensor([3.0, 4.0])}, {"w": torch.tensor([3.0, 4.5])}, ["w"])
    0.1
    """
    names = list(names)
    size = norm(before[name] for name in names)
    moved = norm(after[name].double().cpu() - before[name].double().cpu() for name in names)
    return moved / size if size > 0 else math.nan
