"""Every picture of a run: predictions beside the truth, curves, views, refinements, and what its model alone can show.

python3 edarnn.py pictures --weights runs/NAME
python3 edarnn.py pictures --weights runs/NAME --images 20 --out DIR
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from forgery_rcnn.cli import described, tyro
from forgery_rcnn.config import BARE_PTH, DataConfig, from_dict
from forgery_rcnn.errors import InputError, require

if TYPE_CHECKING:
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference.ensemble import Member


@dataclass(frozen=True)
class Job:
    """Of which run, on which images."""

    weights: str | None = None
    """A file, a run's folder, a name under weights/, an ensemble.json; default the shipped weights, else the latest run."""
    root: Path | None = None
    """Data root; default that of the run, else the built-in sample."""
    split: Literal["auto", "single", "few", "full", "validation", "all"] = "auto"
    """Part of the data, split as in the training; auto: what its last stage was scored on, of other data the validation split."""
    images: int = 6
    """So many of them, half of them forged; forged ones first where there are too few others."""
    out: Path | None = None
    """Default: the folder pictures/ beside the weights; out/pictures for shipped ones."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"

    def __post_init__(self) -> None:
        require(self.images >= 1, f"--images is {self.images}; draw at least 1")


def main(argv: list[str]) -> int:
    """Returns 0 when everything is drawn."""
    job = tyro.cli(Job, args=argv, prog="edarnn.py pictures", description=described(__doc__))
    from forgery_rcnn.engine.distributed import device_of
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference import ensemble
    from forgery_rcnn.models.weights import SHIPPED

    screen, device = Screen(sys.stdout), device_of(job.device)
    found = ensemble.load(job.weights and (job.weights,), BARE_PTH).to(device)
    beside = found.path.parent
    out = job.out or (Path("out") if beside.resolve() == SHIPPED else beside) / "pictures"
    for number, member in enumerate(found.members, start=1):  # of several folds each has pictures of its own
        place = out if len(found.members) == 1 else out / f"{number}-{member.path.parent.name or member.path}"
        _draw(job, member, found.fitted, place, screen)
    return 0


def _draw(job: Job, member: Member, fitted: Collection[str], out: Path, screen: Screen) -> None:
    """Every picture of one model."""
    from forgery_rcnn import draw
    from forgery_rcnn.data import collection, splits
    from forgery_rcnn.engine import evaluate, held_out, pictures, runlog
    from forgery_rcnn.engine.precision import autocast

    trained_on = from_dict(DataConfig, member.meta.get("config", {}).get("data", {}))
    root = job.root or trained_on.root
    if job.root is None and root is not None and not root.is_dir():
        screen.say(f"note: {root}, which the weights were trained on, is not here (--root): of the built-in sample")
        root = None
    data = collection.elsewhere(trained_on, root)
    files = collection.open_checked(data, screen.bar)
    split, stages = files.split, member.meta.get("config", {}).get("stages")
    subset = stages[-1]["subset"] if stages and member.meta.get("data") == files.fingerprint else "full"
    part = split.scored_on(subset) if job.split == "auto" else job.split
    chosen = splits.balanced(split.named(part), job.images)
    if not chosen:
        raise InputError(f"split {part} holds no image; choose another, e.g. --split full")
    screen.say(f"images: split {part} of {root or 'the built-in sample'}")
    shown = [
        pictures.Shown(draw.file_name(i, record.case_id).removesuffix(".png"), evaluate.seen(record, data))
        for i, record in enumerate(chosen, start=1)
    ]
    for line in held_out.note(chosen, fitted):
        screen.say(line)
    drawn = 0
    log = next((log for folder in member.path.parents[:2] if (log := folder / "log.jsonl").is_file()), None)
    if log is not None:
        draw.save(draw.curves(runlog.read_log(log)), out / "curves.png")
        drawn += 1
    with autocast(member.model.device, job.precision):
        for path in pictures.save(member.model, shown, member.config, out):
            screen.say(str(path))
            drawn += 1
    screen.say(f"{drawn} pictures of {len(shown)} images: {out}/")
