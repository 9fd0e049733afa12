"""Several weights as one, on disk: ensemble.json with the members' paths relative to it, the sha256 of each, their weights,
the rule and the thresholds; the twin finder, which has no file, by its settings; of a fusion its numbers. One set of weights
alone is an ensemble of one, and predicts as pipeline.predict_image does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from forgery_rcnn.config import InferenceConfig, MatchingConfig, ModelConfig, from_dict, to_dict
from forgery_rcnn.errors import InputError, require
from forgery_rcnn.inference import fusion, shipped
from forgery_rcnn.inference.members import RULES as RULES
from forgery_rcnn.inference.members import Ensemble as Ensemble
from forgery_rcnn.inference.members import Member as Member
from forgery_rcnn.inference.members import Rule as Rule
from forgery_rcnn.inference.members import of_votes as of_votes
from forgery_rcnn.models import matcher, weights, whole

FILE = "ensemble.json"


def write(
    path: Path,
    members: Sequence[tuple[Path | MatchingConfig, float]],
    rule: Rule,
    config: InferenceConfig | None = None,
    **more: Any,
) -> None:
    """Write PATH, whole or not at all. members: a file of weights each, or the settings of a twin finder, and its weight;
    config: default the first's own, which is then a file.

    Raises InputError: no member, a weight that is not above 0, no such file.
    """
    require(bool(members), f"{path}: an ensemble of no member; name weights")
    wrong = [weight for _, weight in members if not 0 < weight < float("inf")]
    require(not wrong, f"{path}: a member's weight is {wrong[:1]}; use a number above 0")
    listed = [_listed(source, path.parent) | {"weight": float(weight)} for source, weight in members]
    first = members[0][0]
    if config is None and isinstance(first, Path):
        config = _thresholds(first.with_suffix(".json"), _json(first.with_suffix(".json")))
    whole.write_json(
        path, {"members": listed, "rule": rule, "thresholds": to_dict(config or InferenceConfig()), **more}
    )


def _listed(source: Path | MatchingConfig, folder: Path) -> dict[str, Any]:
    """What is stored of a member, but its weight."""
    if isinstance(source, MatchingConfig):
        return {"matching": to_dict(source)}
    relative = Path(os.path.relpath(source.resolve(), folder.resolve()))
    return {"path": relative.as_posix(), "sha256": _sha256(source)}


def source_of(member: Member) -> Path | MatchingConfig:
    """A member as `write` takes it."""
    return member.model.config.matching if member.model.learns == "nothing" else member.path


def is_of(path: Path, members: Sequence[Path]) -> bool:
    """Whether PATH is an ensemble of these very files of weights; its thresholds may have been fitted since it was made."""
    listed = _json(path).get("members", [])
    return bool(listed) and [member.get("sha256") for member in listed] == [_sha256(file) for file in members]


def load(names: Sequence[str] | None, bare: ModelConfig, rule: Rule | None = None) -> Ensemble:
    """Files, run folders, names under weights/ or runs/, or ensembles of these; none = the better of the shipped systems (see
    shipped.preferred), else the latest run.

    A run folder that holds an ensemble.json is that ensemble. Several names make one with equal weights; its thresholds
    are the first's, of a vote those of members.of_votes. rule: None = the stored one, else mean. bare: what a .pth is for.
    Raises InputError for what is missing, damaged, or not what the ensemble was made of.
    """
    paths = [_resolved(name) for name in names] if names else [_resolved(None)]
    own = rule if len(paths) == 1 else rule or "mean"
    found = [_of_file(path, bare, own) if _is_ensemble(path) else _alone(path, bare, own) for path in paths]
    if len(found) == 1:
        return found[0]
    members = [
        replace(member, weight=member.weight / sum(m.weight for m in each.members))
        for each in found
        for member in each.members
    ]
    config = of_votes(found[0].config) if rule == "vote" else found[0].config
    fitted = sorted(frozenset().union(*(each.fitted for each in found)))
    return replace(found[0], members=tuple(members), config=config, meta={"fitted": {"images": fitted}})


def _resolved(name: str | None) -> Path:
    """A name -> an ensemble.json, a file of weights as weights.resolve finds it, or the twin finder's name, which is no file."""
    if name == matcher.NAME:
        return Path(name)
    if name is None:
        if (chosen := shipped.preferred(weights.SHIPPED)) is not None:
            return chosen
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
    config = _thresholds(restored.path.with_suffix(".json"), restored.meta)
    member = Member(restored.model, config, 1.0, restored.path, restored.meta)
    return Ensemble((member,), rule or "mean", config, restored.path, restored.meta)


def _of_file(path: Path, bare: ModelConfig, rule: Rule | None) -> Ensemble:
    """ensemble.json -> Ensemble. Raises InputError, one line that names the member, for what does not fit."""
    told = _json(path)
    try:
        listed = [(_source(path, m), float(m["weight"])) for m in told["members"]]
        own: Rule = told["rule"]
        told["thresholds"]
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path}: not an ensemble (members, rule, thresholds); write it anew, or name weights"
        ) from None
    fits = bool(listed) and own in RULES and all(0 < weight < float("inf") for _, weight in listed)
    require(fits, f"{path}: needs members with weights above 0 and one of the rules {', '.join(RULES)}")
    members = [replace(_member(path, source, bare), weight=weight) for source, weight in listed]
    if own == "fused":
        return _fused(path, told, members, rule)
    return Ensemble(tuple(members), rule or own, _merged_by(rule or own, path, told, members), path, told)


def _source(path: Path, told: Mapping[str, Any]) -> MatchingConfig | tuple[Path, str]:
    """A member as ensemble.json lists it -> settings of a twin finder, or a file of weights and its sha256."""
    if "matching" not in told:
        return path.parent / told["path"], str(told["sha256"])
    try:
        return from_dict(MatchingConfig, told["matching"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _member(path: Path, source: MatchingConfig | tuple[Path, str], bare: ModelConfig) -> Member:
    """A member, with weight 1. Raises InputError where its file is missing or not the one that was listed."""
    if isinstance(source, MatchingConfig):
        return Member(matcher.built(source), InferenceConfig(), 1.0, Path(matcher.NAME), {})
    file, digest = source
    require(file.is_file(), f"{path}: its member {file} is missing; bring it back, or name the weights that are left")
    if _sha256(file) != digest:
        raise InputError(f"{path}: its member {file} is damaged or has changed since; train or fit the ensemble anew")
    restored = weights.load(str(file), bare)
    config = _thresholds(restored.path.with_suffix(".json"), restored.meta)
    return Member(restored.model, config, 1.0, restored.path, restored.meta)


def _fused(path: Path, told: Mapping[str, Any], members: Sequence[Member], rule: Rule | None) -> Ensemble:
    """Raises InputError where the members or numbers are not those of a fusion, or it is to be merged by another rule."""
    fix = "name it alone, without --rule"
    require(rule in (None, "fused"), f"{path}: its members are fused, by no rule and with no others; {fix}")
    finders = sum(member.path == Path(matcher.NAME) for member in members)
    fits = finders == 1 and len(members) > 1 and all(member.model.gives == "instances" for member in members)
    require(fits, f"{path}: a fusion needs one matcher beside detectors; fit it anew with `edarnn.py fusion`")
    numbers = fusion.from_json(told.get("fusion", {}), str(path))
    return Ensemble(tuple(members), "fused", _thresholds(path, told), path, told, numbers)


def _merged_by(rule: Rule, path: Path, told: Mapping[str, Any], members: Sequence[Member]) -> InferenceConfig:
    """The stored thresholds as they count for what this rule gives; those fitted to votes count for votes alone."""
    stored = _thresholds(path, told)
    if told["rule"] == "vote" and "fitted" in told:
        return stored if rule == "vote" else members[0].config
    return of_votes(stored) if rule == "vote" and len(members) > 1 else stored


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


def _thresholds(path: Path, meta: Mapping[str, Any]) -> InferenceConfig:
    """The thresholds that the JSON at PATH holds. Raises InputError, with the path, where they, or the images that they or
    the decision were fitted on, are malformed."""
    try:
        config = from_dict(InferenceConfig, meta.get("thresholds", {}))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (AttributeError, TypeError, ValueError):
        raise InputError(f"{path}: its thresholds are not settings of inference; fit or train it anew") from None
    for name, unsaid in (("fitted", None), ("decision", [])):
        told = meta.get(name, {})
        images = told.get("images", unsaid) if isinstance(told, dict) else None
        fine = told == {} or (isinstance(images, list) and all(isinstance(image, str) for image in images))
        require(fine, f"{path}: `{name}` does not list the images fitted on; fit it anew, or take `{name}` out")
    return config


def _sha256(path: Path) -> str:
    require(path.is_file(), f"{path}: no such file of weights; name one that is there")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
