"""A model's scores on records, each image in its original pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from forgery_rcnn.config import DataConfig, InferenceConfig, from_dict
from forgery_rcnn.data import collection, kinds, masks, records, splits
from forgery_rcnn.data.augment import cued
from forgery_rcnn.engine import held_out
from forgery_rcnn.engine.distributed import device_of
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference import pipeline
from forgery_rcnn.inference.ensemble import Ensemble, Member
from forgery_rcnn.instances import Answer, Instances, Prediction, Truth
from forgery_rcnn.models.segmenter import Segmenter
from forgery_rcnn.report import ImageRow, image_row


@dataclass(frozen=True)
class View:
    """A record as training shows it to a model. pixels: (H, W, 3) uint8, painted boxes included; true: the instances that the
    score counts, None = authentic. Original frame."""

    record: records.Record
    loaded: records.Loaded
    pixels: np.ndarray
    true: Instances | None

    def targets(self, how: masks.Shown) -> np.ndarray:
        """-> (N, H, W) bool, the regions that the model is trained for, thin ones too that are not `shown` to it. Raises InputError
        for too many."""
        truth = self.loaded.masks
        return truth if how.instances == "channels" else masks.components(truth, how, self.record.mask)


def seen(record: records.Record, data: DataConfig) -> View:
    """Read one record. Raises InputError for a bad file."""
    loaded = records.load(record)
    pixels = cued(loaded.pixels, loaded.masks, data)
    true = None if record.label == "authentic" else Instances.from_masks(loaded.masks)
    return View(record, loaded, pixels, true)


def predict_record(
    model: Segmenter, record: records.Record, data: DataConfig, inference: InferenceConfig
) -> tuple[View, Prediction]:
    """Read one record, show it to the model as training does, and predict."""
    view = seen(record, data)
    return view, pipeline.predict_image(model, view.pixels, inference)


def answers(
    model: Segmenter, items: Sequence[records.Record], data: DataConfig, inference: InferenceConfig
) -> Iterator[tuple[str, Answer, Truth]]:
    """Predict every record, one at a time -> its key, answer and truth; the model must be in eval mode."""
    for record in items:
        view, prediction = predict_record(model, record, data, inference)
        yield record.key, pipeline.answer(prediction), Truth(view.pixels.shape[:2], view.true)


def evaluate(
    model: Segmenter,
    items: Sequence[records.Record],
    data: DataConfig,
    inference: InferenceConfig,
    advance: Callable[[], None] = lambda: None,
) -> list[ImageRow]:
    """Predict and score every record; the model must be in eval mode. `advance` is called after each image."""
    rows = []
    for found in answers(model, items, data, inference):
        rows.append(image_row(*found))
        advance()
    return rows


@dataclass(frozen=True)
class Part:
    """A part of a data root as an ensemble's images: how it is read, all files, and the records of the part.

    voices: of folds, Record.key -> the numbers of the members that were not trained on it; {} = all are asked of all.
    """

    data: DataConfig
    files: collection.Collection
    items: list[records.Record]
    voices: Mapping[str, tuple[int, ...]]

    def asked(self, found: Ensemble, record: records.Record) -> Ensemble:
        """The members that may be asked of a record."""
        return found.only(self.voices[record.key]) if self.voices else found


def opened(found: Ensemble, root: Path | None, skip_bad: bool, part: str, screen: Screen) -> Part:
    """A part of a data root, split by the very settings that the first member that learnt anything was trained with.

    The split is the training's own only on the same files; where the fingerprint differs, that is said. On the same
    files, validation images that another member was trained on are left out; where that leaves none, as of folds, every
    fold's validation images are taken, each asked of the members that were not trained on it. Boxes are never painted
    in: an oracle's score is no score. Raises InputError where no image is left.
    """
    learnt = [member for member in found.members if member.model.learns != "nothing"]
    data = _read_as((learnt or found.members)[0], root, skip_bad)
    files = collection.open_checked(data, screen.bar)
    items, voices = files.split.named("validation" if part == held_out.PART else part), {}
    if not items:
        raise InputError(f"{files.root}: split {part} holds no image; choose another with --split, e.g. --split full")
    for line in files.problems:
        screen.say(f"skipped: {line}")
    if part in ("validation", held_out.PART):
        items, voices = _untrained(items, files, found)
    if part == held_out.PART:
        items = held_out.unseen(items, found.fitted)
        if not items:
            raise InputError(f"{found.path}: its thresholds were fitted on the whole split; score another data root")
    screen.say(f"weights {found.path} on {len(items)} images: split {part} of {root or 'the built-in sample'}")
    if voices:
        screen.say("note: the members are folds of one another; each image is predicted by those not trained on it")
    lost = data.split_file is None and any(_trained_on(member).split_file for member in learnt)
    if lost or any(member.meta.get("data") != files.fingerprint for member in learnt):
        screen.say(
            "note: not the files, or not the split file, of these weights' training; the split is drawn anew and may hold images "
            "they know"
        )
    return Part(data, files, items, voices)


def require_unknown(part: str, found: Ensemble, there: Part) -> None:
    """Raises InputError where a part is all of what a member was trained on: scores on it flatter."""
    if part == "all" and any(member.meta.get("data") == there.files.fingerprint for member in found.members):
        raise InputError(
            f"--split all: {there.files.root} is what the weights were trained on, scores on it flatter; use --split validation"
        )


def _read_as(member: Member, root: Path | None, skip_bad: bool) -> DataConfig:
    """A member's data settings, for a root."""
    return replace(collection.elsewhere(_trained_on(member), root), skip_bad=skip_bad, cue="none")


def _trained_on(member: Member) -> DataConfig:
    return from_dict(DataConfig, member.meta.get("config", {}).get("data", {}))


def _untrained(
    items: list[records.Record], files: collection.Collection, found: Ensemble
) -> tuple[list[records.Record], dict[str, tuple[int, ...]]]:
    """Validation records of the first member -> those that no member was trained on; or, where there are none, those of
    all members' validation, and which members were not trained on each."""
    own = files.root / "splits.csv"
    known: dict[DataConfig, splits.Split] = {}
    each = []
    for member in found.members:
        data = _read_as(member, files.root, skip_bad=False)
        data = replace(data, split_file=data.split_file or (own if own.is_file() else None))
        if member.meta.get("data") == files.fingerprint and data not in known and len(found.members) > 1:
            known[data] = splits.split(files.records, files.facts, data)
        each.append(known.get(data, splits.Split([], [], [], items)))
    trained = [{record.key for record in split.full} for split in each]
    left = [record for record in items if not any(record.key in keys for keys in trained)]
    if left:
        return left, {}
    every = {record.key: record for split in each for record in split.validation}
    voices = {key: tuple(i for i, keys in enumerate(trained) if key not in keys) for key in every}
    return [every[key] for key in sorted(every)], voices


def weights_on_split(
    found: Ensemble, root: Path | None, skip_bad: bool, part: str, how: tuple[str, str], screen: Screen
) -> tuple[InferenceConfig, Iterator[tuple[str, Answer, Truth]]]:
    """Weights, on a part of a data root (see `opened`) -> thresholds, answers. `how`: device, precision.

    Raises InputError where the thresholds were fitted on any of these images.
    """
    there = opened(found, root, skip_bad, part, screen)
    if part != held_out.PART:  # of which they have been left out
        held_out.check(there.items, found.fitted, found.path)
    found.to(device_of(how[0]))

    return found.config, predicted(found, there, there.items, how[1], screen)


def predicted(
    found: Ensemble, there: Part, items: Sequence[records.Record], precision: str, screen: Screen
) -> Iterator[tuple[str, Answer, Truth]]:
    """Some records of a part, one at a time -> key, answer and truth, with the kind of forgery where a manifest tells it."""
    kind_of = kinds.of_root(there.files.root)
    with screen.bar("scoring", len(items)) as advance, autocast(found.device, precision):
        for record in items:
            view = seen(record, there.data)
            answer = pipeline.answer(there.asked(found, record).predict(view.pixels))
            kind = "" if view.true is None else kind_of.get(record.case_id, "")
            yield record.key, answer, Truth(view.pixels.shape[:2], view.true, kind)
            advance()
