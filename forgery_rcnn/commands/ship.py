"""Ship a trained detector, or its fusion with the twin finder: a small file, what was measured of it, and its model card.

python3 edarnn.py ship --weights runs/NAME --data.root data/corpus --hosts DIR                  -> weights/pretrained_final
python3 edarnn.py fusion --weights pretrained_final --data.root data/corpus --out runs/fused
python3 edarnn.py ship --weights runs/fused --data.root data/corpus --hosts DIR                 -> weights/fusion

A detector goes to OUT.safetensors, in float16 where that costs nothing: images are predicted by both, and where masks differ
(IoU below 0.99) or mean oF1 moves by more than 0.005, float32 is kept. OUT.json is as checkpoints have it, with the scores;
OUT.md is the model card. A fusion goes to OUT.json, which names the shipped detector beside it, and records both on the
same images: prediction's default is the better of the two. Scored are images that nothing was fitted on; so fit thresholds
(`fit`) and the decision (`decide`) first.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from forgery_rcnn.cli import described, tyro
from forgery_rcnn.commands.fit import Where
from forgery_rcnn.config import BARE_PTH
from forgery_rcnn.errors import require

if TYPE_CHECKING:
    from forgery_rcnn.data.records import Record
    from forgery_rcnn.engine.evaluate import Part
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference.ensemble import Ensemble


@dataclass(frozen=True)
class Job:
    """What to ship, measured on what."""

    weights: str
    """A run's folder or a file of weights; or the ensemble.json of `edarnn.py fusion`."""
    out: Path | None = None
    """Without a suffix; default weights/pretrained_final, of a fusion weights/fusion."""
    hosts: Path | None = None
    """Folder of the pristine pictures that the data were made of, with its manifest.csv (path,set,category,licence,source);
    needed where --data.root is given."""
    data: Where = field(default_factory=Where)
    images: int = 0
    """Score at most so many, half of them forged; 0 = all that nothing was fitted on."""
    compared: int = 24
    """So many images are predicted by both versions."""
    recipe: str = ""
    """Name of the recipe, for the card; default the name of the run's folder."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"

    def __post_init__(self) -> None:
        require(self.images == 0 or self.images >= 2, f"--images is {self.images}; use 0 (all), or 2 and more")
        require(self.compared >= 2, f"--compared is {self.compared}; compare at least 2 images")
        require(
            self.hosts is not None or self.data.root is None,
            "--hosts is missing: the card names every collection with its licence; pass the folder with its manifest.csv",
        )


@dataclass(frozen=True)
class _Scene:
    """What is known before anything is measured."""

    job: Job
    there: Part
    items: Sequence[Record]
    target: Path
    screen: Screen


def main(argv: list[str]) -> int:
    """Returns 0 when everything is written."""
    job = tyro.cli(Job, args=argv, prog="edarnn.py ship", description=described(__doc__))
    from forgery_rcnn.data import sources, splits
    from forgery_rcnn.engine import evaluate, held_out
    from forgery_rcnn.engine.distributed import device_of
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference import ensemble, shipped
    from forgery_rcnn.models import weights

    screen, device = Screen(sys.stdout), device_of(job.device)
    if job.hosts is not None:  # before hours of measuring
        sources.of_hosts(job.hosts, job.data.root)
    found = ensemble.load((job.weights,), BARE_PTH)
    part = held_out.PART if found.fitted else "validation"
    there = evaluate.opened(found, job.data.root, job.data.skip_bad, part, screen)
    found.to(device)
    name = shipped.DETECTOR if found.fusion is None else shipped.FUSION
    target = job.out or weights.SHIPPED / name
    target = target.with_suffix("") if target.suffix in (".safetensors", ".json") else target
    items = splits.balanced(there.items, job.images) if job.images else there.items
    scene = _Scene(job, there, items, target, screen)
    (_detector if found.fusion is None else _fusion)(scene, found)
    return 0


def _detector(scene: _Scene, found: Ensemble) -> None:
    """OUT.safetensors, OUT.json, OUT.md."""
    from forgery_rcnn.engine import shipping
    from forgery_rcnn.engine.runlog import commit
    from forgery_rcnn.inference import ensemble
    from forgery_rcnn.models import packing, weights

    (member, *others), job = found.members, scene.job
    fits = not others and member.path.suffix == ".safetensors"
    require(fits, f"{found.path}: shipped is one set of weights with its JSON, or a fusion; name a run's folder")
    tensors, meta = weights.read(member.path)
    whole = weights.model_part(tensors)
    with tempfile.TemporaryDirectory(prefix="ship-") as folder:

        def packed(version: dict[str, Any]) -> Ensemble:
            file = Path(folder) / f"{scene.target.name}.safetensors"
            weights.write(file, version, meta)
            size = file.stat().st_size
            fix = "train a smaller model (--model.backbone, --model.box-hidden, --model.fpn-width)"
            require(size <= shipping.LARGEST, f"{member.path}: {size / 1e6:.1f} MB, at most 60 are shipped; {fix}")
            return ensemble.load((str(file),), BARE_PTH).to(found.device)

        small = packing.packed(whole)
        candidate = packed(small)
        same = _agreement(scene, found, candidate)
        told = [f"float16 (matrices and kernels) against the weights as trained, both computed in float32: {same}."]
        scene.screen.say(told[0])
        if not same.fine:
            small, candidate = whole, packed(whole)
            told.append("So the file is float32.")
            scene.screen.say(told[-1])
        result, seconds = shipping.scored(candidate, scene.there, scene.items, job.precision, scene.screen)
    measured = shipping.measured(candidate, result, seconds, _where(scene))
    more = {"shipped": {"from": meta["sha256"], "commit": commit()}, "measured": shipping.as_json(measured)}
    path = scene.target.with_name(f"{scene.target.name}.safetensors")
    weights.write(path, small, {**_public(meta), **more})
    told.insert(0, f"`{path.name}`: {path.stat().st_size / 1e6:.1f} MB, {_count(small)}.")
    _card(scene, candidate, measured, told, {})


def _fusion(scene: _Scene, found: Ensemble) -> None:
    """OUT.json, OUT.md, beside the detector that was shipped before."""
    from forgery_rcnn.data import splits
    from forgery_rcnn.engine import held_out, shipping
    from forgery_rcnn.engine.runlog import commit
    from forgery_rcnn.inference import ensemble, shipped

    path = scene.target.with_name(f"{shipped.DETECTOR}.safetensors")
    require(path.is_file(), f"{path}: not there; ship the detector of {found.path} first")
    alone = ensemble.load((str(path),), BARE_PTH).to(found.device)
    learnt = [member for member in found.members if member.model.learns != "nothing"]
    known = alone.meta["sha256"], alone.meta.get("shipped", {}).get("from")
    fits = len(learnt) == 1 and learnt[0].meta.get("sha256") in known
    require(
        fits, f"{found.path}: not a fusion of {path.name} or of what it was made from; fit it anew on --weights {path}"
    )
    own = tuple(replace(alone.members[0], weight=m.weight) if m is learnt[0] else m for m in found.members)
    candidate = replace(found, members=own)
    items = held_out.unseen(scene.there.items, found.fitted | alone.fitted)
    require(bool(items), f"{found.path}: no image is left that nothing was fitted on; fit with a smaller --share")
    scene = replace(scene, items=splits.balanced(items, scene.job.images) if scene.job.images else items)
    told = [f"`{scene.target.name}.json` names `{path.name}`, of the same folder, and holds the numbers of the fusion."]
    if learnt[0].meta.get("sha256") != known[0]:
        same = _agreement(scene, found, candidate)
        require(same.fine, f"{path}: with it the fusion is another one: {same}; fit it anew on --weights {path}")
        told.append(f"Against the fusion as fitted: {same}.")
    asked = scene.there, scene.items, scene.job.precision, scene.screen
    (result, seconds), (other, _) = shipping.scored(candidate, *asked), shipping.scored(alone, *asked)
    record = shipping.recorded(result, other)
    measured = shipping.measured(candidate, result, seconds, _where(scene))
    kept = {name: found.meta[name] for name in ("fitted", "fusion", "decision") if name in found.meta}
    kept |= {"recorded": record, "commit": commit(), "measured": shipping.as_json(measured)}
    members = [(ensemble.source_of(member), member.weight) for member in own]
    ensemble.write(scene.target.with_name(f"{scene.target.name}.json"), members, "fused", found.config, **kept)
    better = shipped.FUSION if shipped.better(record) else shipped.DETECTOR
    scene.screen.say(f"recorded: {record}; the better one, prediction's default, is {better}")
    told.append(f"Prediction's default is `{better}`, the better of the two on these images.")
    _card(scene, candidate, measured, told, {shipped.DETECTOR: shipping.measured(alone, other, 0, "").numbers["of1"]})


def _agreement(scene: _Scene, one: Ensemble, other: Ensemble) -> Any:
    from forgery_rcnn.data import splits
    from forgery_rcnn.engine import shipping

    items = splits.balanced(scene.items, scene.job.compared)
    return shipping.agreement(one, other, scene.there, items, scene.screen)


def _where(scene: _Scene) -> str:
    """Which images, for the card."""
    root = scene.there.files.root.name if scene.job.data.root else "the built-in sample"
    return (
        f"validation images of {root} that nothing was fitted on (data fingerprint `{scene.there.files.fingerprint}`)"
    )


def _public(meta: dict[str, Any]) -> dict[str, Any]:
    """The JSON beside weights without places on this machine, its own and of the runs before."""
    earlier = [{**run, "config": _placeless(run.get("config", {}))} for run in meta.get("before", [])]
    return {**meta, "config": _placeless(meta["config"]), "before": earlier}


def _placeless(told: dict[str, Any]) -> dict[str, Any]:
    """A run's settings: of a root and of a start only the name, of other places nothing."""
    config = {name: dict(part) if isinstance(part, dict) else part for name, part in told.items()}
    for section, name in (("data", "root"), ("data", "split_file"), ("data", "masks"), ("model", "weights")):
        place = config.get(section, {}).get(name)
        if place and Path(place).is_absolute():
            config[section][name] = Path(place).name if name in ("root", "weights") else None
    return config


def _count(tensors: dict[str, Any]) -> str:
    half = sum(t.numel() for t in tensors.values() if t.element_size() == 2)
    return f"{half} of its {sum(t.numel() for t in tensors.values())} numbers in float16"


def _card(scene: _Scene, found: Ensemble, measured: Any, told: Sequence[str], others: dict[str, Any]) -> None:
    """Write OUT.md."""
    from forgery_rcnn import model_card, tables
    from forgery_rcnn.engine import provenance

    made = provenance.lines(found, scene.job.hosts, scene.there, _recipe(scene.job))
    card = model_card.Card(scene.target.name, provenance.about(found), made, told, measured, others)
    path = scene.target.with_name(f"{scene.target.name}.md")
    tables.save(path, "\n".join(model_card.lines(card)))
    scene.screen.say(f"written: {', '.join(str(p) for p in sorted(path.parent.glob(f'{scene.target.name}.*')))}")


def _recipe(job: Job) -> str:
    path = Path(job.weights)
    return job.recipe or (path.parent.name if path.suffix else path.name)
