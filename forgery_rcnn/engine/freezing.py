"""Which parameters move. A part is named by a prefix of its parameters' names, e.g. roi_heads.box_predictor; all is every one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from forgery_rcnn.config import ALL
from forgery_rcnn.errors import InputError
from forgery_rcnn.models.segmenter import Segmenter


def parts(model: nn.Module, depth: int = 3) -> list[str]:
    """The names that a stage may use: prefixes of parameter names, down to `depth` levels."""
    names = (name.split(".")[:-1] for name, _ in model.named_parameters())
    return sorted({".".join(path[:level]) for path in names for level in range(1, min(depth, len(path)) + 1)})


def apply(model: nn.Module, trainable: Sequence[str], frozen: Sequence[str] = ()) -> list[str]:
    """Let exactly the parameters under `trainable` but not under `frozen` move; -> their names.

    Raises InputError for a prefix that names no parameter, listing the names that exist, and when nothing is left.
    Gradients stop below the last part that moves: autograd builds no graph where no parameter asks for one.
    """
    names = [name for name, _ in model.named_parameters()]
    for prefix in (*trainable, *frozen):
        if not any(_under(name, prefix) for name in names):
            raise InputError(
                f"stage names part {prefix!r}, which the model does not have; it has {', '.join((*ALL, *parts(model)))}"
            )
    moving = [n for n in names if any(_under(n, t) for t in trainable) and not any(_under(n, f) for f in frozen)]
    if not moving:
        raise InputError(f"stage trains nothing: everything in {tuple(trainable)} is also in frozen {tuple(frozen)}")
    chosen = set(moving)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
        if name not in chosen:
            parameter.grad = None
    return moving


def set_modes(model: Segmenter) -> None:
    """Train mode, but eval for every module all of whose parameters are frozen.

    Frozen parts go to eval too: batch norm would keep moving under frozen weights, dropout would keep dropping.
    """
    model.train()
    for name, module in model.named_modules():
        parameters = list(module.parameters())
        if parameters and name not in model.coordinators and not any(p.requires_grad for p in parameters):
            module.eval()


def _under(name: str, prefix: str) -> bool:
    return (prefix,) == ALL or name == prefix or name.startswith(f"{prefix}.")
