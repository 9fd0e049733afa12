"""What a probe looks at: a detector's weights, and images with their truth. Every probe has this command line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from forgery_rcnn.config import BARE_PTH, DataConfig, InferenceConfig, ModelConfig, RunConfig, from_dict
from forgery_rcnn.data import collection, images, layouts, masks, records, splits
from forgery_rcnn.data.records import Record
from forgery_rcnn.data.splits import Split
from forgery_rcnn.engine import held_out
from forgery_rcnn.engine.distributed import device_of
from forgery_rcnn.engine.evaluate import seen
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Screen, read_log
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference import shipped, tiling
from forgery_rcnn.inference.members import fitted_on
from forgery_rcnn.instances import Instances
from forgery_rcnn.models import anatomy, weights
from forgery_rcnn.models.anatomy import Anatomy, TrueRegions
from forgery_rcnn.models.mask_rcnn import MaskRCNN

LARGER = {
    "long_side": "raise --model.image-size",
    "native": "this model sees images unscaled: --model.fit long_side with a larger --model.image-size",
}  # model.fit -> what to do about regions that the model's input shows too small


@dataclass(frozen=True)
class Job:
    """What to look at, and where to write."""

    weights: str | None = None
    """A file, a run's folder, or a name under weights/ or runs/; default the shipped weights, else the latest run."""
    images: Path | None = None
    """Data root in any layout (README); default what the weights were trained on, else the built-in sample."""
    masks: Path | None = None
    """Folder of masks, where --images is a plain folder of images."""
    layout: str = "auto"
    """How --images is laid out: the name of a layout (README), where several fit its folders."""
    split: Literal["auto", "single", "few", "full", "validation", "all"] = "auto"
    """auto: what the weights' last stage was scored on; all, where the images are not those of the training."""
    count: int = 20
    """Look at so many images at most, half of them forged if there are enough of both."""
    out: Path | None = None
    """Folder to write to; default out/debug/PROBE."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"
    model: ModelConfig = BARE_PTH
    """Which model a bare .pth file is for; weights with a JSON beside them say so themselves."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"--count {self.count}: use at least 1")
        for name, given in (("--masks", self.masks), ("--layout", self.layout if self.layout != "auto" else None)):
            if given and self.images is None:
                raise InputError(f"{name} {given}: of which images? pass their folder as --images too")


@dataclass(frozen=True)
class Specimen:
    """One image, opened. pixels: (H, W, 3) uint8 as the model saw it; true: what the score counts, None = authentic;
    truth: the regions that the model was trained for (the same, unless it was trained on components); twin: the authentic
    image of the same case id, of a forged one that has one."""

    record: Record
    pixels: np.ndarray
    true: Instances | None
    truth: TrueRegions
    anatomy: Anatomy
    model: MaskRCNN
    inference: InferenceConfig
    twin: Record | None = None


@dataclass(frozen=True)
class Case:
    """A detector in eval mode, and the images to look at. run: the folder of the training, None where there is none.

    split: of the training, None for images of other origin; twins: key -> authentic record; problems: of images that
    could not be read, filled as met.
    """

    model: MaskRCNN
    path: Path
    config: RunConfig
    inference: InferenceConfig
    items: list[Record]
    split: Split | None
    run: Path | None
    precision: Literal["auto", "bf16", "float32"]
    job: Job
    screen: Screen
    twins: dict[str, Record] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @cached_property
    def log(self) -> list[dict]:
        """The epochs of the training's log.jsonl; [] without a run."""
        return [] if self.run is None else read_log(self.run / "log.jsonl")

    def specimens(self) -> Iterator[Specimen]:
        """Each image opened, one at a time. A bad one is said in a line and left out. Raises InputError if all are bad."""
        before = len(self.problems)
        with (
            self.screen.bar("looking at images", len(self.items)) as advance,
            autocast(self.model.device, self.precision),
        ):
            for record in self.items:
                try:
                    yield self.opened(record)
                except InputError as error:
                    self.problems.append(str(error))
                    self.screen.say(f"error: {error} (left out)")
                advance()
        if len(self.problems) - before == len(self.items):
            raise InputError(f"none of the {len(self.items)} images can be read; the first: {self.problems[before]}")

    def opened(self, record: Record) -> Specimen:
        """Read one image and dissect it. Raises InputError for a bad file."""
        view = seen(record, self.config.data)
        found = anatomy.dissect(self.model, view.pixels, self.inference.mask_threshold)
        truth = anatomy.true_regions(view.targets(masks.shown_to(self.model.config, self.config.data)), found)
        twin = self.twins.get(record.twin_key) if record.label == "forged" else None
        return Specimen(record, view.pixels, view.true, truth, found, self.model, self.inference, twin)


def open_case(job: Job, screen: Screen) -> Case:
    """Load weights, find images. Raises InputError, one line, for what is missing or does not fit."""
    restored = _restored(job)
    if not isinstance(restored.model, MaskRCNN):
        raise InputError(
            f"{restored.path}: is a {restored.model.config.arch}; the probes look at mask_rcnn: pass such weights"
        )
    config = from_dict(RunConfig, restored.meta["config"]) if restored.meta else RunConfig(model=job.model)
    if not restored.meta:
        screen.say(f"note: nothing beside {restored.path.name} says what these weights are; taken for --model.*")
    run = next((p for p in restored.path.parents[:2] if (p / "log.jsonl").is_file()), None)
    try:
        found, split, items = _images(job, config, restored.meta, run, screen)
    except InputError as error:  # other commands have --data.layout, --data.masks
        raise InputError(str(error).replace("data.layout", "layout").replace("data.masks", "masks")) from None
    twins = {record.key: record for record in found if record.label == "authentic"}
    items = splits.balanced(items, job.count)
    model = restored.model.to(device_of(job.device))
    screen.say(
        f"weights {restored.path}; {len(items)} images, {sum(r.label == 'forged' for r in items)} of them forged"
    )
    for line in held_out.note(items, fitted_on(restored.meta)):
        screen.say(line)
    if config.data.cue == "painted_boxes":
        screen.say("note: these weights were trained on images with the true boxes painted in; so are these")
    inference = from_dict(InferenceConfig, restored.meta.get("thresholds", {}))
    for line in _seen_whole(items, inference):
        screen.say(line)
    return Case(model, restored.path, config, inference, items, split, run, job.precision, job, screen, twins)


def _restored(job: Job) -> weights.Restored:
    try:
        return weights.load(job.weights, job.model)
    except InputError:
        if job.weights is not None and Path(job.weights).stem == shipped.FUSION:
            raise InputError(
                f"--weights {job.weights}: no single detector; the probes look into one: pass {shipped.DETECTOR}"
            ) from None
        raise


def _seen_whole(items: Sequence[Record], inference: InferenceConfig) -> list[str]:
    """The line that says which stored settings the probes do without; [] where none matters on these images."""
    cut = sum(_is_cut(record, inference) for record in items)
    idle = [f"tiling, which would cut {cut} of them"] * bool(cut)
    idle += [f"views {' '.join(inference.views)}"] * (inference.views != ("identity",))
    return [f"note: the probes look at each image whole and once, without the stored {' and '.join(idle)}"] * bool(idle)


def _is_cut(record: Record, inference: InferenceConfig) -> bool:
    try:
        return len(tiling.tiles(images.header_size(record.image), inference.tiling)) > 1
    except InputError:  # said where it is opened
        return False


def _images(
    job: Job, config: RunConfig, meta: dict, run: Path | None, screen: Screen
) -> tuple[list[Record], Split | None, list[Record]]:
    """All records of the data, the split of the training if these are its images, and the records that are asked for."""
    trained = config.data.root
    if job.images is None and trained is not None and not trained.is_dir():
        screen.say(f"note: {trained}, which the weights were trained on, is not here: looking at the built-in sample")
    root = job.images or (trained if trained is not None and trained.is_dir() else None)
    same = job.masks is None and job.layout == "auto" and root == trained
    data = config.data if same else DataConfig(root=root, layout=job.layout, masks=job.masks)
    found = _scanned(collection.root_of(data), data)
    own = _trained_on(found, config, meta, screen)
    if own is None and job.split in ("auto", "all"):
        return found, None, found
    split = None if own is None else _recorded(run, own)
    as_trained = replace(config.data, root=root, layout=data.layout, masks=data.masks)
    split = split or collection.open_checked(data if own is None else as_trained, screen.bar).split
    part = job.split
    if part == "auto":
        stage = next((s for s in config.stages if s.name == meta.get("stage")), config.stages[-1])
        part = split.scored_on(stage.subset)
    items = split.named(part)
    if not items:
        raise InputError(f"split {part} holds no image; choose another, e.g. --split all")
    screen.say(f"images: split {part} of {root or 'the built-in sample'}")
    return own or found, (None if own is None else split), items


def _scanned(root: Path, data: DataConfig) -> list[Record]:
    try:
        return records.scan(root, data.layout, data.masks)
    except InputError as error:
        if data.masks is None and root.is_dir() and not layouts.fitting(root) and _holds_images(root):
            raise InputError(f"{error}; probes need the truth: pass --masks DIR for a plain folder of images") from None
        raise


def _holds_images(folder: Path) -> bool:
    return any(path.suffix.lower() in images.EXTENSIONS for path in folder.iterdir())


def _trained_on(found: list[Record], config: RunConfig, meta: dict, screen: Screen) -> list[Record] | None:
    """Those of the records that the weights were trained on: all, or the good ones of a training that left bad ones out;
    None = these are other images."""
    if meta.get("data") == records.fingerprint(found):
        return found
    if not config.data.skip_bad or meta.get("data") is None:
        return None
    with screen.bar("checking files", len(found)) as advance:
        facts = records.check(found, os.cpu_count() or 1, advance)
    good, _, problems = records.sound(found, facts, skip_bad=True)
    if meta["data"] != records.fingerprint(good):
        return None
    screen.say(f"note: {len(problems)} bad files are left out, as in the training; the first: {problems[0]}")
    return good


def _recorded(run: Path | None, found: Sequence[Record]) -> Split | None:
    """The split that a run wrote down, so that no file has to be checked and compared again; None where there is none."""
    path = run and run / "split.json"
    if path is None or not path.is_file():
        return None
    try:
        return Split.from_keys(json.loads(path.read_text()), found)
    except KeyError as error:
        raise InputError(f"{path}: names {error}, which is not in the data; run the probe with --images ROOT") from None


def screen_on_stdout() -> Screen:
    """Where probes print."""
    return Screen(sys.stdout)
