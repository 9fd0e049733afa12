"""Resumable checkpoints of a run, and the best weights of each stage.

RUN/checkpoints/last-SSSSSSS.safetensors|.json  everything a resumed run needs; the last two are kept
RUN/checkpoints/best-I-NAME.safetensors|.json   the weights with the best score of stage I
RUN/model.safetensors|.json                     the run's result: best weights of its last stage
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from forgery_rcnn.config import RunConfig, from_dict, to_dict
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights

KEEP = 2
# Settings that a resumed run may change; the data root is known by its fingerprint.
FREE = {"device", "save_every", "tensorboard", "data.root", "data.masks", "data.workers", "data.cache_mb"}
FREE |= {"watch", "probe_stages", "collapse_after", "on_collapse"}


def best_path(folder: Path, index: int, stage: str) -> Path:
    """Where the best weights of stage number `index` (from 0) go."""
    return folder / f"best-{index + 1}-{stage}.safetensors"


def save_last(folder: Path, step: int, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write the checkpoint of global step `step`; older ones but the newest `KEEP` go once it is whole."""
    weights.write(folder / f"last-{step:07d}.safetensors", tensors, meta)
    for old in sorted(folder.glob("last-*.safetensors"))[:-KEEP]:
        old.with_suffix(".json").unlink(missing_ok=True)
        old.unlink(missing_ok=True)


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


def require_same_run(meta: dict[str, Any], mine: dict[str, Any], path: Path) -> None:
    """Raise InputError unless the checkpoint's config, data and number of processes are those of this run."""
    if meta["data"] != mine["data"]:
        raise InputError(f"{path}: was trained on other data than the data root holds now; use another --out")
    if meta["world"] != mine["world"]:
        raise InputError(
            f"{path}: was trained by {meta['world']} processes, this is {mine['world']}; start as many to resume"
        )
    before = to_dict(from_dict(RunConfig, meta["config"]))  # a setting that did not exist then has its default
    now, then = dict(_leaves(mine["config"])), dict(_leaves(before))
    other = sorted(name for name in now.keys() | then.keys() if name not in FREE and now.get(name) != then.get(name))
    if other:
        raise InputError(
            f"{path}: was made with other settings ({', '.join(other)}); resume with the same, or use another --out"
        )


def require_same_split(path: Path, mine: dict[str, list[str]]) -> None:
    """Raise InputError unless a run's split.json, where it is there, holds this split, as Split.keys gives it."""
    then = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else mine
    other = [name for name, keys in mine.items() if then.get(name) != keys]
    if other:
        raise InputError(
            f"{path}: the run trained on another split than the data give now ({', '.join(other)} differ); bring back the "
            "split file it had, or use another --out"
        )


def _leaves(values: dict[str, Any] | list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings -> (data.workers, 2), (stages.0.lr, 3e-4), ... as they are named on the command line."""
    for name, value in values.items() if isinstance(values, dict) else enumerate(values):
        if isinstance(value, (dict, list)):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
