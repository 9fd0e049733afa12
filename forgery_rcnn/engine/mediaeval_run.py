"""What belongs to a MediaEval run beside its zip: probabilities on test and validation images, the weights of each stage."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from forgery_rcnn.config import RunConfig, from_dict
from forgery_rcnn.data import collection, records
from forgery_rcnn.data.records import Record
from forgery_rcnn.data.splits import Split
from forgery_rcnn.engine import checkpoints
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference import pipeline
from forgery_rcnn.inference.ensemble import Ensemble, Member
from forgery_rcnn.instances import Answer
from forgery_rcnn.submission import mediaeval_runs
from forgery_rcnn.submission.formats import Settings
from forgery_rcnn.tables import replacing


def write_run(found: Ensemble, submitted: Path, settings: Settings, precision: str, screen: Screen) -> list[str]:
    """Write beside the finished zip RUN_test_probs.csv, RUN_STAGE_model.safetensors and .json, RUN_val_probs.csv.

    -> lines that say what was written, and what could not be and why: the weights of each stage and the validation
    images are only known of one run's own weights, with its data at hand. Raises InputError where a file cannot be written.
    """
    path = submitted.parent / mediaeval_runs.probs_name(settings.run, "test")
    mediaeval_runs.write_test(path, submitted)
    lines = [f"written: {path}"]
    if len(found.members) > 1:
        return [*lines, f"note: {found.path} is several weights: no weights of stages, no validation probabilities"]
    (member,) = found.members
    folder = folder_of(member.path)
    if folder is None or "config" not in member.meta:
        return [*lines, f"note: {member.path} is in no run's folder: no weights of stages, no validation probabilities"]
    lines += _copied(member, folder, submitted.parent, settings.run)
    path = submitted.parent / mediaeval_runs.probs_name(settings.run, "val")
    try:
        items = validation_of(member, folder)
        mediaeval_runs.write_val(path, _answers(found, items, precision, screen), settings.threshold)
    except InputError as error:
        return [*lines, f"note: no {path.name}: {error}"]
    return [*lines, f"written: {path}, {len(items)} validation images"]


def folder_of(path: Path) -> Path | None:
    """A file of weights -> the folder of the run that made it; None where there is none around it."""
    return next((folder for folder in (path.parent, path.parent.parent) if (folder / "split.json").is_file()), None)


def _copied(member: Member, folder: Path, out: Path, run: str) -> list[str]:
    """The best weights of each stage and their JSON; of the stage that predicts, its very files, fitted thresholds included."""
    lines = []
    for index, stage in enumerate(from_dict(RunConfig, member.meta["config"]).stages):
        own = stage.name == member.meta.get("stage")
        source = member.path if own else checkpoints.best_path(folder / "checkpoints", index, stage.name)
        target = out / mediaeval_runs.model_name(run, stage.name)
        if not source.is_file():
            lines.append(f"note: no {target.name}: {source} is missing; train the stage to its end")
            continue
        for suffix in (".safetensors", ".json"):
            with replacing(target.with_suffix(suffix)) as temporary:
                shutil.copyfile(source.with_suffix(suffix), temporary)
        lines.append(f"written: {target} and .json")
    return lines


def validation_of(member: Member, folder: Path) -> list[Record]:
    """The validation images that the run wrote down. Raises InputError: none, not the data that it was trained on."""
    data = from_dict(RunConfig, member.meta["config"]).data
    root = collection.root_of(data)
    held = json.loads((folder / "split.json").read_text())["validation"]
    if not held:
        raise InputError(f"{folder}: has no validation images; train with more folds, or a split file")
    found = records.scan(root, data.layout, data.masks)
    try:
        keys = {"single": [], "few": [], "full": [], "validation": held}
        items = Split.from_keys(keys, found).validation
    except KeyError as error:
        raise InputError(
            f"{root}: has no {error.args[0]}, which {folder} was validated on; put the data back"
        ) from None
    if not data.skip_bad and records.fingerprint(found) != member.meta.get("data"):
        raise InputError(f"{root}: its files have changed since {folder} was trained; put the data back")
    return items


def _answers(found: Ensemble, items: Sequence[Record], precision: str, screen: Screen) -> Iterator[tuple[str, Answer]]:
    """Predict each record -> its case id, or where ids are not unique its key, and the answer."""
    counts = Counter(record.case_id for record in items)
    name = "case_id" if max(counts.values()) == 1 else "key"
    with screen.bar("validation", len(items)) as advance, autocast(found.device, precision):
        for record in items:
            yield getattr(record, name), pipeline.answer(found.predict(records.load(record).pixels))
            advance()
