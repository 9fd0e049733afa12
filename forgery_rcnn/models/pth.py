"""A .pth: a pickle of anything. Its tensors are read, and nothing else in it is run."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from forgery_rcnn.errors import InputError

NO_PICKLE = ("Unsupported operand", "invalid load key", "Invalid magic number")  # what torch says of any other file


def read(path: Path) -> dict[str, Tensor]:
    """-> the tensors by name. Raises InputError for what is no pickle, holds more than tensors, or no state_dict."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no pickle make the unpickler stumble in any way
        if isinstance(error, pickle.UnpicklingError) and not any(said in str(error) for said in NO_PICKLE):
            raise InputError(
                f"{path}: holds more than tensors and is refused (unpickling can run code); save its state_dict alone"
            ) from None
        raise InputError(f"{path}: not a readable weights file ({_reason(error)}); download or save it anew") from None
    for name in ("model", "state_dict", "model_state_dict"):
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    fits = isinstance(found, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items())
    if not fits or not found:
        raise InputError(f"{path}: holds no state_dict of tensors; save one with torch.save(model.state_dict(), PATH)")
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def _reason(error: Exception) -> str:
    if isinstance(error, (OSError, RuntimeError)) and str(error):
        return str(error).splitlines()[0][:100]
    return "it is no pickle of torch, or cut"
