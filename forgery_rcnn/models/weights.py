"""Weights on disk: NAME.safetensors with NAME.json beside it; written whole or not at all, checked before use."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

from forgery_rcnn.config import InferenceConfig, ModelConfig, from_dict
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import matcher, package_weights, packing, pth, whole, zoo
from forgery_rcnn.models.backbones import download, evened, norm_of
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from forgery_rcnn.models.segmenter import Segmenter
from forgery_rcnn.models.stems import fusion

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "weights"
RUNS = Path("runs")
PREDICTORS = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")


@dataclass(frozen=True)
class Restored:
    """A model in eval mode on the CPU, what its JSON says ({} for a bare .pth), and the file it came from."""

    model: Segmenter
    meta: dict[str, Any]
    path: Path


# ---- files ----------------------------------------------------------------------------------------------------


def write(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write PATH (.safetensors) and then its JSON, each through a temporary file, flushed to disk and renamed.

    The JSON carries the tensors' sha256, so a pair torn by a crash is noticed by `read`. Raises InputError when the
    disk is full; what was there before is then still whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    json_path = path.with_suffix(".json")
    try:
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        digest = whole.replace(path, lambda temporary: save_file(contiguous, temporary))
        whole.write_json(json_path, {**meta, "sha256": digest})
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space" in str(error)
        reason = "the disk is full" if full else str(error).splitlines()[0]
        raise InputError(
            f"{path}: cannot be saved ({reason}); free some space and go on with --resume: older files are whole"
        ) from None


def publish(best: Path, result: Path) -> None:
    """Copy weights and their JSON; where the same tensors are there already, their JSON stays: thresholds may have been
    fitted since. Raises InputError like `read` and `write`."""
    tensors, meta = read(best)
    try:
        there = read(result)[1]
    except InputError:
        there = {}
    if there.get("sha256") != meta["sha256"]:
        write(result, tensors, meta)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """-> tensors and JSON of a pair that `write` made. Raises InputError when either is missing, cut or changed."""
    json_path = path.with_suffix(".json")
    for part in (path, json_path):
        if not part.is_file():
            raise InputError(f"{part}: no such file; weights are a .safetensors with its .json beside it")
    try:
        meta = json.loads(json_path.read_text())
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not isinstance(meta, dict) or meta.get("sha256") != digest:
            raise InputError(
                f"{path}: truncated or changed (its sha256 is not the one in {json_path.name}); use another checkpoint"
            )
        return load_file(path), meta
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, SafetensorError) as error:
        raise InputError(f"{path}: damaged ({str(error).splitlines()[0]}); use another checkpoint") from None


# ---- which file -----------------------------------------------------------------------------------------------


def resolve(name: str | None) -> Path:
    """A file, a run's folder, a name under weights/ or runs/, or None (shipped weights, else the latest run) -> a file."""
    if name is None:
        candidates = [SHIPPED / "pretrained_final.safetensors"]
        candidates += sorted(RUNS.glob("*/model.safetensors"), key=lambda p: p.stat().st_mtime, reverse=True)
        for path in candidates:
            if path.is_file():
                return path
        raise InputError("no weights yet: train some with `python3 edarnn.py`, or pass --weights FILE")
    for path in (Path(name), SHIPPED / name, SHIPPED / f"{name}.safetensors", RUNS / name):
        if path.is_file():
            return path.with_suffix(".safetensors") if path.suffix == ".json" else path
        if path.is_dir():
            return _of_run(path)
    raise InputError(f"--weights {name}: no such file, run folder, or name under {SHIPPED.name}/; pass e.g. runs/NAME")


def _of_run(folder: Path) -> Path:
    for place in (folder, folder / "winner", folder / "checkpoints"):  # winner: of an experiment with arms
        for pattern in ("model.safetensors", "best-*.safetensors", "last-*.safetensors"):
            found = sorted(place.glob(pattern), key=lambda p: p.stat().st_mtime)
            if found:
                return found[-1]
    raise InputError(f"{folder}: no weights in it; expected model.safetensors or checkpoints/*.safetensors")


# ---- models ---------------------------------------------------------------------------------------------------


def load(name: str | None, bare: ModelConfig) -> Restored:
    """Weights by name or file -> the model they belong to, ready to predict.

    A .pth has no JSON beside it: `bare` then says which model it is for; of the name matcher, a model without a file, it
    gives the settings. Raises InputError for weights that do not fit.
    """
    if name == matcher.NAME:
        return Restored(matcher.built(bare.matching), {}, Path(name))
    path = resolve(name)
    if path.suffix == ".safetensors":
        tensors, meta = read(path)
        try:
            config = from_dict(ModelConfig, meta["config"]["model"])
        except (KeyError, TypeError):
            raise InputError(
                f"{path.with_suffix('.json')}: holds no config.model; these weights were not saved by this project"
            ) from None
    else:
        tensors, meta, config = pth.read(path), {}, bare
    model = zoo.build(_without_download(config))
    fit(model, model_part(tensors), path, drop=())
    return Restored(model.eval(), meta, path)


def start(model: Segmenter) -> None:
    """Give a fresh model the weights its configuration starts from: coco, a package's, or a file; none and imagenet are
    built in. Stems may differ: see fusion.carried."""
    source = model.config.weights
    if source in ("none", "imagenet"):
        return
    if source == "coco":
        weights = MaskRCNN_ResNet50_FPN_Weights.COCO_V1
        state = download("mask R-CNN resnet50 COCO", lambda: weights.get_state_dict(progress=True, check_hash=True))
        fit(model, fusion.carried(state, model.backbone), Path(weights.url.rsplit("/", 1)[-1]), drop=PREDICTORS)
        return
    if name := model.config.package:
        tensors = pth.read(package_weights.file_of(name))
        package_weights.into(model, name, model.config.backbone, tensors)
        evened(model.backbone)
        return
    path = resolve(source)
    state = model_part(_tensors(path))
    if isinstance(model, MaskRCNN):
        state = fusion.carried(state, model.backbone)
    own = model.state_dict()
    other_head = [
        p for p in PREDICTORS if any(k.startswith(p) and k in own and own[k].shape != v.shape for k, v in state.items())
    ]
    fit(model, state, path, drop=tuple(other_head))


def before(config: ModelConfig) -> list[dict[str, Any]]:
    """What the file of weights that a model starts from was trained by, oldest first: config, commit and data of each run;
    [] for a start from no file, or from a bare .pth. Raises InputError like `read`."""
    meta = _beside(config)
    own = {name: meta[name] for name in ("config", "commit", "data") if name in meta}
    return [*meta.get("before", []), *([own] if own else [])]


def fitted(config: ModelConfig) -> InferenceConfig | None:
    """The thresholds that were fitted for the file of weights that a model starts from; None where none were. Raises
    InputError like `read`."""
    meta = _beside(config)
    return from_dict(InferenceConfig, meta["thresholds"]) if meta.get("fitted") else None


def _beside(config: ModelConfig) -> dict[str, Any]:
    """The JSON of the file that a model starts from; {} where it starts from no file, or from a bare .pth."""
    if config.weights in ("none", "imagenet", "coco") or config.package or config.arch == matcher.NAME:
        return {}
    path = resolve(config.weights)
    return read(path)[1] if path.suffix == ".safetensors" else {}


def model_part(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the model in a file of weights or in a resumable checkpoint (averaged ones first); none in float16."""
    for prefix in ("ema/", "model/"):
        if part := under(tensors, prefix):
            return packing.unpacked(part)
    return packing.unpacked(tensors)


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, named without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def fit(model: Segmenter, state: Mapping[str, Tensor], path: Path, drop: tuple[str, ...]) -> None:
    """Load `state` into `model`, all of it but the prefixes in `drop`.

    Raises InputError, one line, if it does not fit, or is not finite: such a model finds nothing in any image.
    """
    state = {name: tensor for name, tensor in state.items() if not (drop and name.startswith(drop))}
    if bad := next((name for name, tensor in state.items() if not tensor.isfinite().all()), ""):
        raise InputError(f"{path}: {bad} holds NaN or infinity; its training has failed, use an earlier checkpoint")
    own = model.state_dict()
    if isinstance(model, MaskRCNN):
        state = fusion.renamed(state, model.backbone)
    misshapen = [name for name, tensor in state.items() if name in own and own[name].shape != tensor.shape]
    try:
        found = nn.Module.load_state_dict(model, {n: t for n, t in state.items() if n not in misshapen}, strict=False)
    except RuntimeError as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from None
    missing = [name for name in found.missing_keys if not (drop and name.startswith(drop)) and name not in misshapen]
    extra = [name for name in found.unexpected_keys if not name.endswith("num_batches_tracked")]
    if not (misshapen or missing or extra):
        return
    example = (
        f"{misshapen[0]} is {tuple(state[misshapen[0]].shape)}, the model's is {tuple(own[misshapen[0]].shape)}"
        if misshapen
        else f"{missing[0]} is missing"
        if missing
        else f"{extra[0]} is unknown"
    )
    raise InputError(
        f"{path}: made for another architecture than {model.config.arch}/{model.config.backbone} ({len(misshapen)} of another shape, "
        f"{len(missing)} missing, {len(extra)} unknown, e.g. {example}); pass the --model.* settings it was trained with"
    )


def settled(config: ModelConfig) -> ModelConfig:
    """The configuration with `norm` auto decided; weights from a file dictate it by what they hold. Only Mask R-CNN asks."""
    if config.arch != "mask_rcnn":
        return config
    if config.norm != "auto" or config.weights in ("none", "imagenet", "coco") or config.package:
        return replace(config, norm=norm_of(config))
    names = model_part(_tensors(resolve(config.weights)))
    frozen = any(name.startswith("backbone.") and name.endswith("running_mean") for name in names)
    return replace(config, norm="frozen_batch" if frozen else "group")


def _without_download(config: ModelConfig) -> ModelConfig:
    """The same architecture, built from random weights: the file's own will replace them."""
    norm = norm_of(config) if config.arch == "mask_rcnn" else config.norm
    return replace(config, norm=norm, weights="none")


def _tensors(path: Path) -> dict[str, Tensor]:
    return read(path)[0] if path.suffix == ".safetensors" else pth.read(path)
