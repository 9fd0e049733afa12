"""Every picture of a run: predictions beside the truth, curves, views, refinements, and what its model alone can show.

python3 edarnn.py pictures --weights runs/NAME
python3 edarnn.py pictures --weights runs/NAME --images 20 --out DIR
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgery_rcnn.cli import described, tyro
from forgery_rcnn.config import BARE_PTH, DataConfig, InferenceConfig, from_dict


@dataclass(frozen=True)
class Job:
    """Of which run, on which images."""

    weights: str | None = None
    """A file, a run's folder, or a name under weights/; default the shipped weights, else the latest run."""
    root: Path | None = None
    """Data root; default that of the run."""
    images: int = 6
    """So many of the validation images, half of them forged; forged ones first where there are too few others."""
    out: Path | None = None
    """Default: the folder pictures/ beside the weights."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"


def main(argv: list[str]) -> int:
    """Returns 0 when everything is drawn."""
    job = tyro.cli(Job, args=argv, prog="edarnn.py pictures", description=described(__doc__))
    from forgery_rcnn import draw
    from forgery_rcnn.data import collection, splits
    from forgery_rcnn.engine import evaluate, pictures, runlog
    from forgery_rcnn.engine.distributed import device_of
    from forgery_rcnn.engine.precision import autocast
    from forgery_rcnn.models import weights

    screen = runlog.Screen(sys.stdout)
    found = weights.load(job.weights, BARE_PTH)
    trained_on = from_dict(DataConfig, found.meta.get("config", {}).get("data", {}))
    data = trained_on if job.root is None else DataConfig(job.root)
    files = collection.open_checked(data, screen.bar)
    items = files.split.validation or files.split.full
    chosen = splits.balanced(items, job.images)
    shown = [
        pictures.Shown(draw.file_name(i, record.case_id).removesuffix(".png"), evaluate.seen(record, data))
        for i, record in enumerate(chosen, start=1)
    ]
    out = job.out or found.path.parent / "pictures"
    config = from_dict(InferenceConfig, found.meta.get("thresholds", {}))
    log = found.path.parent / "log.jsonl"
    drawn = 0
    if log.is_file():
        draw.save(draw.curves(runlog.read_log(log)), out / "curves.png")
        drawn += 1
    model = found.model.to(device_of(job.device))
    with autocast(model.device, job.precision):
        for path in pictures.save(model, shown, config, out):
            screen.say(str(path))
            drawn += 1
    screen.say(f"{drawn} pictures of {len(shown)} images: {out}/")
    return 0
