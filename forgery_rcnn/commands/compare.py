"""Train several systems on the same split with equal budget, and print one table.

python3 edarnn.py compare --out runs/compare                             all five, on the built-in sample
python3 edarnn.py compare --data.root ROOT --budget.images 20000 --budget.start recipe --record compare.md
python3 edarnn.py compare --systems fft_unet_rgb fft_unet_fft fft_unet   the ablation of the frequency branch

A system that is trained already in --out is not trained again; one that was interrupted goes on.
"""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from forgery_rcnn.cli import described, tyro
from forgery_rcnn.config import ALL, DataConfig, RunConfig, Tiling
from forgery_rcnn.errors import InputError
from forgery_rcnn.recipes import FIVE, RECIPES

if TYPE_CHECKING:
    from forgery_rcnn.data.collection import Collection
    from forgery_rcnn.engine.rivals import Result


@dataclass(frozen=True)
class Budget:
    """What every system gets: so many training images shown, in batches of so many; the same size of the input."""

    images: int = 2000
    batch_size: int = 4
    image_size: int = 256
    """Long side in pixels of the model's input, and of the squares of models that do not scale."""
    fit: Literal["recipe", "native"] = "recipe"
    """native: models that give a map are trained on squares of full resolution, and predict in tiles; scaling an image
    down takes away the fine traces that a frequency branch looks for."""
    start: Literal["random", "recipe"] = "random"
    """random: all from random weights; recipe: from what each recipe starts with (ImageNet, COCO)."""
    inference: Literal["plain", "recipe"] = "plain"
    """plain: one view, no refinement; recipe: each with its own views."""

    def __post_init__(self) -> None:
        if self.images < self.batch_size or self.batch_size < 1:
            raise InputError(f"budget: {self.images} images in batches of {self.batch_size}; use at least one batch")

    def of(self, recipe: RunConfig, shown: int) -> RunConfig:
        """The recipe's last stage, its length so that the images of a training split of `shown` add up to the budget."""
        model = replace(recipe.model, image_size=self.image_size)
        stage = replace(recipe.stages[-1], patience=0, batch_size=self.batch_size)
        if self.start == "random":
            model, stage = replace(model, weights="none", norm="auto"), replace(stage, trainable=ALL, frozen=())
        inference = recipe.inference
        if self.fit == "native" and model.arch != "mask_rcnn":
            model, inference = replace(model, fit="native"), replace(inference, tiling=Tiling("auto"))
        epochs = max(1, round(self.images / max(shown, 1)))
        stage = replace(stage, epochs=epochs, evaluate_every=epochs)
        return replace(recipe, model=model, inference=inference, stages=(stage,), arms=(), fold_runs=(), ema_decay=0.0)


@dataclass(frozen=True)
class Job:
    """Which systems, on what, with which budget."""

    systems: tuple[str, ...] = FIVE
    """Recipes to compare."""
    data: DataConfig = field(default_factory=DataConfig)
    budget: Budget = field(default_factory=Budget)
    out: Path = Path("runs/compare")
    """Each system is trained in OUT/NAME."""
    record: Path | None = None
    """Markdown page for the table; default OUT/compare.md."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"

    def __post_init__(self) -> None:
        unknown = [name for name in self.systems if name not in RECIPES]
        if unknown or not self.systems:
            raise InputError(f"--systems has {', '.join(unknown) or 'no name'}; use any of {', '.join(RECIPES)}")
        few = [name for name in self.systems if RECIPES[name].stages[-1].subset != "full"]
        if few:
            raise InputError(
                f"--systems has {', '.join(few)}, which ends on a few images; name recipes for the full set"
            )


def main(argv: list[str]) -> int:
    """Returns 0 when the table is written."""
    job = tyro.cli(Job, args=argv, prog="edarnn.py compare", description=described(__doc__))
    from forgery_rcnn import tables
    from forgery_rcnn.data import collection
    from forgery_rcnn.engine import rivals
    from forgery_rcnn.engine.distributed import device_of
    from forgery_rcnn.engine.runlog import Screen

    screen = Screen(sys.stdout)
    page = job.record or job.out / "compare.md"
    device_of(job.device)  # each system asks again; a wrong one is told before the data are read
    tables.require_writable(page)
    data = collection.open_checked(job.data, screen.bar)
    results = []
    for name in job.systems:
        run = job.budget.of(replace(RECIPES[name], data=job.data), len(data.split.full))
        run = replace(run, device=job.device, precision=job.precision)
        results.append(rivals.measure(name, run, job.budget.inference, data, job.out / name))
    for line in rivals.lines(results):
        screen.say(line)
    screen.say(f"verdict: {_verdict(data, results)}")
    tables.save(page, _page(job, data, results, argv))
    screen.say(f"written: {page}")
    return 0


def _page(job: Job, data: Collection, results: Sequence[Result], argv: Sequence[str]) -> str:
    from forgery_rcnn.engine import rivals, runlog

    budget, shown = job.budget, len(data.split.full)
    epochs = budget.of(RECIPES[job.systems[0]], shown).stages[0].epochs
    parts = [
        f"# {', '.join(job.systems)} with equal budget",
        f"Made by `edarnn.py compare {shlex.join(argv)}` (commit `{runlog.commit()}`, {platform.machine()}, Python "
        f"{platform.python_version()}): {shown} training images of the same split shown {epochs} times each in batches of "
        f"{budget.batch_size}, {budget.image_size} px{', in full resolution' * (budget.fit == 'native')}, start: {budget.start} "
        f"weights; scored on the {len(data.split.validation)} validation images with {budget.inference} inference and the "
        "recipe's thresholds. Brackets: 95 % bootstrap interval over images. Rates: images per second, training with its "
        "augmentation (median over epochs), prediction one image at a time, reading not counted; memory: peak of the whole process. "
        "Other work on the machine lowers the rates.",
        "\n".join(rivals.lines(results)),
        f"{_verdict(data, results)}.",
    ]
    return "\n\n".join(parts) + "\n"


def _verdict(data: Collection, results: Sequence[Result]) -> str:
    """Which systems are better than calling every image authentic, beyond their interval."""
    from forgery_rcnn.engine import rivals

    trivial = rivals.trivial(data.split.validation or data.split.full)
    better = [result.name for result in results if result.of1.low > trivial]
    said = f"above it beyond their interval: {', '.join(better)}" if better else "none is above it beyond its interval"
    return f"calling every image authentic scores oF1 {trivial:.4f}; {said}"
