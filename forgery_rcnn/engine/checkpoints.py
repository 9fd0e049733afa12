"""Resumable checkpoints of a run, and the best weights of each stage.

RUN/checkpoints/last-SSSSSSS.safetensors|.json  everything a resumed run needs; the last two are kept
RUN/checkpoints/best-I-NAME.safetensors|.json   the weights with the best score of stage I
RUN/model.safetensors|.json                     the run's result: best weights of its last stage
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn, optim

from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights

KEEP = 2


def save_last(folder: Path, step: int, tensors: dict[str, Tensor], meta: dict[str, Any]) -> Path:
    """Write the checkpoint of global step `step`; older ones but the newest `KEEP` go once it is whole."""
    path = folder / f"last-{step:07d}.safetensors"
    weights.write(path, tensors, meta)
    for old in sorted(folder.glob("last-*.safetensors"))[:-KEEP]:
        old.with_suffix(".json").unlink(missing_ok=True)
        old.unlink(missing_ok=True)
    return path


def newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any], Path, list[str]] | None:
    """The newest whole checkpoint: tensors, meta, file, and a line for each damaged one that was passed over."""
    passed = []
    for path in sorted(folder.glob("last-*.safetensors"), reverse=True):
        try:
            tensors, meta = weights.read(path)
        except InputError as error:
            passed.append(f"{error}; falling back to the one before")
            continue
        return tensors, meta, path, passed
    if passed:
        raise InputError(f"{folder}: no whole checkpoint is left ({passed[0]}); start anew in another --out")
    return None


def packed_optimiser(model: nn.Module, optimiser: optim.Optimizer) -> dict[str, Tensor]:
    """Optimiser state -> tensors named optimiser/PARAMETER/STATE (AdamW's step count is a tensor already)."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"optimiser/{names[parameter]}/{key}": value
        for parameter, state in optimiser.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def unpack_optimiser(model: nn.Module, optimiser: optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of `packed_optimiser`, into a fresh optimiser over the same parameters."""
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        if name.startswith("optimiser/"):
            _, parameter, key = name.split("/")
            target = parameters[parameter]
            optimiser.state[target][key] = value if key == "step" else value.to(target.device)
