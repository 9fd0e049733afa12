"""Several weights as one: folds of a run, or different models; each predicts by its own settings, then they are merged.

On disk: ensemble.json with the members' paths relative to it, the sha256 of each, their weights, the rule and the
thresholds. One set of weights alone is an ensemble of one, and predicts as pipeline.predict_image does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from forgery_rcnn.config import InferenceConfig, ModelConfig, from_dict, to_dict
from forgery_rcnn.errors import InputError, require
from forgery_rcnn.inference import merging, pipeline
from forgery_rcnn.instances import Prediction
from forgery_rcnn.models import weights
from forgery_rcnn.models.segmenter import Segmenter

Rule = Literal["mean", "vote"]
RULES: tuple[Rule, ...] = ("mean", "vote")
FILE = "ensemble.json"
Change = Callable[[InferenceConfig], InferenceConfig]


@dataclass(frozen=True)
class Member:
    """One model in eval mode. config: its own, of which views, tiles and mask threshold count, and in a vote on instances
    its score threshold; weight: above 0, in any unit."""

    model: Segmenter
    config: InferenceConfig
    weight: float
    path: Path
    meta: Mapping[str, Any]


@dataclass(frozen=True)
class Ensemble:
    """Members, how they are merged, and `config`, whose refinement and thresholds make the answer of what was merged.

    path: what was loaded; meta: its JSON, {} where it has none.
    """

    members: tuple[Member, ...]
    rule: Rule
    config: InferenceConfig
    path: Path
    meta: Mapping[str, Any]

    @property
    def gives(self) -> Literal["instances", "map"]:
        """What members are merged by: instances where all have them, else their heat maps."""
        return "instances" if all(member.model.gives == "instances" for member in self.members) else "map"

    @property
    def localises(self) -> bool:
        """Whether any member says where an image is forged."""
        return any(member.model.localises for member in self.members)

    @property
    def device(self) -> torch.device:
        return self.members[0].model.device

    @property
    def fitted(self) -> frozenset[str]:
        """Content digests of the images that any threshold in it was fitted on, see engine.held_out."""
        metas = [self.meta, *(member.meta for member in self.members)]
        return frozenset(name for meta in metas for name in meta.get("fitted", {}).get("images", ()))

    def to(self, device: torch.device) -> Ensemble:
        """The same, its models moved to the device."""
        for member in self.members:
            member.model.to(device)
        return self

    def only(self, members: Sequence[int]) -> Ensemble:
        """The same with these members alone, by their numbers."""
        return replace(self, members=tuple(self.members[number] for number in members))

    def over(self, change: Change) -> Ensemble:
        """The same with changed settings, the ensemble's and every member's."""
        members = tuple(replace(member, config=change(member.config)) for member in self.members)
        return replace(self, members=members, config=change(self.config))

    def predict(self, pixels: np.ndarray) -> Prediction:
        """(H, W, 3) uint8 -> the instances that pass the thresholds, best first; heat map and image score of all."""
        return self.finished(self.merged(self.candidates(pixels)), pixels, self.config)

    def candidates(self, pixels: np.ndarray) -> list[Prediction]:
        """(H, W, 3) uint8 -> what each member says of it, by its own views and tiles, before any threshold but the masks'."""
        return [pipeline.candidates(member.model, pixels, member.config) for member in self.members]

    def finished(self, found: Prediction, pixels: np.ndarray, config: InferenceConfig) -> Prediction:
        """What `merged` gave -> the answer under these settings. Votes on pixels are cut at the half, each member's mask
        threshold was for its own map."""
        if self.rule == "vote" and self.gives == "map" and len(self.members) > 1:
            config = replace(config, mask_threshold=0.5)
        return pipeline.finished(found, pixels, config, self.gives)

    def merged(self, found: Sequence[Prediction], shares: Sequence[float] | None = None) -> Prediction:
        """What each member says -> one Prediction. shares: in place of the members' weights; who has 0 is left out."""
        shares = [member.weight for member in self.members] if shares is None else shares
        counting = [i for i, share in enumerate(shares) if share > 0]
        heard, own = [found[i] for i in counting], [shares[i] for i in counting]
        if len(heard) == 1:
            return heard[0]
        if self.rule == "vote":
            kind = "mask_threshold" if self.gives == "map" else "score_threshold"
            return merging.vote(heard, own, self.gives, [getattr(self.members[i].config, kind) for i in counting])
        return merging.mean(heard, own, self.gives)


# ---- files ----------------------------------------------------------------------------------------------------


def write(
    path: Path, members: Sequence[tuple[Path, float]], rule: Rule, config: InferenceConfig | None = None, **more: Any
) -> None:
    """Write PATH, whole or not at all. members: a file of weights each, and its weight; config: default the first's own.

    Raises InputError: no member, a weight that is not above 0, no such file.
    """
    require(bool(members), f"{path}: an ensemble of no member; name weights")
    wrong = [weight for _, weight in members if not 0 < weight < float("inf")]
    require(not wrong, f"{path}: a member's weight is {wrong[:1]}; use a number above 0")
    listed = [
        {"path": Path(os.path.relpath(file.resolve(), path.parent.resolve())).as_posix(), "weight": float(weight)}
        | {"sha256": _sha256(file)}
        for file, weight in members
    ]
    own = _thresholds(_json(members[0][0].with_suffix(".json"))) if config is None else config
    weights.write_json(path, {"members": listed, "rule": rule, "thresholds": to_dict(own), **more})


def is_of(path: Path, members: Sequence[Path]) -> bool:
    """Whether PATH is an ensemble of these very files of weights; its thresholds may have been fitted since it was made."""
    listed = _json(path).get("members", [])
    return bool(listed) and [member.get("sha256") for member in listed] == [_sha256(file) for file in members]


def load(names: Sequence[str] | None, bare: ModelConfig, rule: Rule | None = None) -> Ensemble:
    """Files, run folders, names under weights/ or runs/, or ensembles of these; none = shipped weights, else the latest run.

    A run folder that holds an ensemble.json is that ensemble. Several names make one with equal weights; its thresholds
    are the first's. rule: None = the stored one, else mean. bare: what a .pth is for. Raises InputError for what is
    missing, damaged, or not what the ensemble was made of.
    """
    paths = [_resolved(name) for name in names] if names else [_resolved(None)]
    found = [_of_file(path, bare, rule) if _is_ensemble(path) else _alone(path, bare, rule) for path in paths]
    if len(found) == 1:
        return found[0]
    members = [
        replace(member, weight=member.weight / sum(m.weight for m in each.members))
        for each in found
        for member in each.members
    ]
    return replace(found[0], members=tuple(members), rule=rule or "mean", meta=found[0].meta)


def _resolved(name: str | None) -> Path:
    """A name -> an ensemble.json, or a file of weights as weights.resolve finds it."""
    if name is None:
        runs = sorted(weights.RUNS.glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime)
        try:
            path = weights.resolve(None)
        except InputError:
            if not runs:
                raise
            return runs[-1]
        later = runs and path.is_relative_to(weights.RUNS) and runs[-1].stat().st_mtime > path.stat().st_mtime
        return runs[-1] if later else path
    for path in (Path(name), weights.SHIPPED / name, weights.SHIPPED / f"{name}.json", weights.RUNS / name):
        if _is_ensemble(path):
            return path
        if (path / FILE).is_file():
            return path / FILE
        if path.exists():
            break
    return weights.resolve(name)


def _is_ensemble(path: Path) -> bool:
    """Whether a file is an ensemble's: a JSON without tensors beside it."""
    return path.suffix == ".json" and path.is_file() and not path.with_suffix(".safetensors").exists()


def _alone(path: Path, bare: ModelConfig, rule: Rule | None) -> Ensemble:
    restored = weights.load(str(path), bare)
    config = _thresholds(restored.meta)
    member = Member(restored.model, config, 1.0, restored.path, restored.meta)
    return Ensemble((member,), rule or "mean", config, restored.path, restored.meta)


def _of_file(path: Path, bare: ModelConfig, rule: Rule | None) -> Ensemble:
    """ensemble.json -> Ensemble. Raises InputError, one line that names the member, for what does not fit."""
    told = _json(path)
    try:
        listed = [(path.parent / m["path"], str(m["sha256"]), float(m["weight"])) for m in told["members"]]
        own: Rule = told["rule"]
        config = from_dict(InferenceConfig, told["thresholds"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path}: not an ensemble (members, rule, thresholds); write it anew, or name weights"
        ) from None
    fits = bool(listed) and own in RULES and all(0 < weight < float("inf") for _, _, weight in listed)
    require(fits, f"{path}: needs members with weights above 0 and one of the rules {', '.join(RULES)}")
    members = []
    for file, digest, weight in listed:
        require(
            file.is_file(), f"{path}: its member {file} is missing; bring it back, or name the weights that are left"
        )
        if _sha256(file) != digest:
            raise InputError(
                f"{path}: its member {file} is damaged or has changed since; train or fit the ensemble anew"
            )
        restored = weights.load(str(file), bare)
        members.append(Member(restored.model, _thresholds(restored.meta), weight, restored.path, restored.meta))
    return Ensemble(tuple(members), rule or own, config, path, told)


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; {} where there is no such file: a .pth has none beside it."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: damaged ({str(error).splitlines()[0]}); write it anew, or name weights") from None
    require(isinstance(found, dict), f"{path}: not a JSON object; write it anew, or name weights")
    return found


def _thresholds(meta: Mapping[str, Any]) -> InferenceConfig:
    return from_dict(InferenceConfig, meta.get("thresholds", {}))


def _sha256(path: Path) -> str:
    require(path.is_file(), f"{path}: no such file of weights; name one that is there")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
