"""What a system is and what it was made of, for its model card: architecture, data with licences, recipe, commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forgery_rcnn.data import sources
from forgery_rcnn.engine.evaluate import Part
from forgery_rcnn.inference.ensemble import Ensemble


def about(found: Ensemble) -> list[str]:
    """-> a line for each member."""
    out = []
    for member in found.members:
        config = member.model.config
        if member.model.learns == "nothing":
            out.append("- the twin finder, which learns nothing: what occurs twice in an image")
            continue
        count = sum(parameter.numel() for parameter in member.model.parameters())
        stems = " ".join(getattr(config, "stems", ("rgb",)))
        out.append(
            f"- {config.arch} on {config.backbone}, stems {stems}, input {config.image_size} px ({config.fit}), "
            f"{count / 1e6:.1f} M parameters"
        )
    if found.fusion is not None:
        out.append("- both fused: all their regions, scored anew by a calibrated regression (`edarnn.py fusion`)")
    return out


def lines(found: Ensemble, hosts: Path | None, there: Part, recipe: str) -> list[str]:
    """-> data, licences, recipe, commit. hosts: what the measured figures were made of, None = they are the built-in sample.

    Raises InputError like sources.of_hosts."""
    learnt = [member.meta for member in found.members if member.model.learns != "nothing"]
    out = []
    for meta in learnt:
        runs = [*meta.get("before", []), meta]
        out.append(
            f"Trained from recipe `{recipe}`, torch {meta.get('torch', 'unknown')}, on the "
            f"data of fingerprint `{meta.get('data', 'unknown')}`; start: {runs[0]['config']['model'].get('weights', 'none')} "
            "weights. `make reproduce HOSTS=DIR` trains another from nothing, all stages in one run."
        )
        out += ["", *_stages(runs)]
    root = there.files.root
    strange = [meta for meta in learnt if meta.get("data") != there.files.fingerprint]
    if strange:  # nobody is to read these licences as those of the training data
        out += [
            "",
            f"**Not trained on the data below**, which have the fingerprint `{there.files.fingerprint}`: only measured.",
        ]
    if hosts is None:
        return [*out, "", "Data: the built-in sample, made of the pictures that come with scikit-image (BSD-3-Clause)."]
    found_sources = sources.of_hosts(hosts, root)
    table = ["| collection | shows | licence | source | pictures | in these figures |", "|---|---|---|---|---|---|"]
    table += [
        f"| {one.name} | {', '.join(one.categories)} | {one.licence} | {one.origin} | {one.pictures} | "
        f"{'n/a' if one.used is None else one.used} |"
        for one in found_sources
    ]
    return [
        *out,
        "",
        f"Data: figures of `{root.name}`, made by `make corpus` of these untampered pictures.",
        "",
        *table,
    ]


def _stages(runs: list[dict[str, Any]]) -> list[str]:
    """The stages of each run, each of which went on from the weights of the one before."""
    rows = [
        f"| {s.get('name')} | {' '.join(s.get('trainable', []))} | {s.get('subset')} | {s.get('epochs')} | {s.get('lr')} | "
        f"{run['config'].get('seed', 0)} | `{run.get('commit', 'unknown')}` |"
        for run in runs
        for s in run["config"].get("stages", [])
    ]
    head = "| stage | trained | images | epochs | learning rate | seed | at commit |"
    return [head, "|---|---|---|---|---|---|---|", *rows]
