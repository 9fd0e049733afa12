"""Dead units: channels behind a ReLU that are 0 at every place of every image, so that nothing can be learnt there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain

import numpy as np
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead

from debug.case import Specimen
from forgery_rcnn.models import anatomy

Alive = dict[str, np.ndarray]
"""Layer before a ReLU -> (C,) bool: channels that gave something above 0. A layer that saw no place is not in it."""


def of_specimen(specimen: Specimen) -> Alive:
    """One opened image once more through the detector, and its true boxes through the mask head, which sees no place of
    an image without a detection -> the units that were alive."""
    model, alive = specimen.model, {}
    with _watched(model, alive):
        anatomy.dissect(model, specimen.pixels)
        if len(specimen.truth):
            found = specimen.anatomy
            anatomy.mask_branch(model, found.levels, specimen.truth.fitted, found.fitted)
    return alive


def together(several: Iterable[Alive]) -> Alive:
    """A unit is alive if it is on any image."""
    out: Alive = {}
    for alive in several:
        for layer, units in alive.items():
            out[layer] = out[layer] | units if layer in out else units
    return out


@contextmanager
def _watched(model: nn.Module, alive: Alive) -> Iterator[None]:
    """Note into `alive` what every ReLU lets through while the model runs.

    A ReLU's units are named after the layer that ran last before it: torchvision's residual blocks use one ReLU module
    after each of their convolutions, and the RPN one convolution with one ReLU on all five levels.
    """
    last = ""

    def entered(name: str) -> None:
        nonlocal last
        last = name

    handles = []
    for name, module in model.named_modules():
        if any(True for _ in chain(module.parameters(recurse=False), module.buffers(recurse=False))):
            handles.append(module.register_forward_pre_hook(lambda _m, _x, name=name: entered(name)))
        if isinstance(module, nn.ReLU):
            handles.append(module.register_forward_hook(lambda _m, _x, out: _note(alive, last, out)))
        if isinstance(module, TwoMLPHead):  # its ReLUs are functions, not modules
            for layer in ("fc6", "fc7"):
                at = f"{name}.{layer}"
                handles.append(
                    getattr(module, layer).register_forward_hook(lambda _m, _x, out, at=at: _note(alive, at, out))
                )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _note(alive: Alive, layer: str, out: Tensor) -> None:
    """(B, C) or (B, C, h, w), after a ReLU or just before it."""
    if not out.numel():
        return
    units = (out.detach() > 0).any(dim=0)
    units = units.flatten(1).any(dim=1).cpu().numpy() if units.ndim > 1 else units.cpu().numpy()
    alive[layer] = alive[layer] | units if layer in alive else units


def dead(alive: Alive) -> dict[str, tuple[int, int]]:
    """Layer -> dead units, all units."""
    return {layer: (int((~units).sum()), len(units)) for layer, units in alive.items()}


def per_part(counts: Mapping[str, tuple[int, int]], parts: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Layer -> (dead, all), and the parts, prefixes of layers -> part -> (dead, all), of the parts that have a ReLU."""
    parts = list(parts)
    out: dict[str, tuple[int, int]] = {}
    for layer, (gone, count) in counts.items():
        part = next((part for part in parts if f"{layer}.".startswith(f"{part}.")), layer)
        before = out.get(part, (0, 0))
        out[part] = (before[0] + gone, before[1] + count)
    return out
