"""A model's scores on records, each image in its original pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from forgery_rcnn.config import BARE_PTH, DataConfig, InferenceConfig, from_dict
from forgery_rcnn.data import collection, masks, records
from forgery_rcnn.data.augment import paint_boxes
from forgery_rcnn.engine.distributed import device_of
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference import pipeline
from forgery_rcnn.instances import Answer, Instances, Prediction, Truth
from forgery_rcnn.models import weights
from forgery_rcnn.models.segmenter import Segmenter
from forgery_rcnn.report import ImageRow, image_row


@dataclass(frozen=True)
class View:
    """A record as training shows it to a model. pixels: (H, W, 3) uint8, painted boxes included; targets: (N, H, W) bool,
    the regions that it is trained for; true: the instances that the score counts, None = authentic. Original frame."""

    loaded: records.Loaded
    pixels: np.ndarray
    targets: np.ndarray
    true: Instances | None


def seen(record: records.Record, data: DataConfig) -> View:
    """Read one record. Raises InputError for a bad file."""
    loaded = records.load(record)
    targets = masks.components(loaded.masks) if data.instances == "components" else loaded.masks
    pixels = paint_boxes(loaded.pixels, targets) if data.cue == "painted_boxes" else loaded.pixels
    true = None if record.label == "authentic" else Instances.from_masks(loaded.masks)
    return View(loaded, pixels, targets, true)


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


def weights_on_split(
    name: str | None, root: Path | None, skip_bad: bool, part: str, how: tuple[str, str], screen: Screen
) -> tuple[InferenceConfig, Iterator[tuple[str, Answer, Truth]]]:
    """Weights, on a part of a data root split by the very settings they were trained with -> thresholds, answers.

    `how`: device, precision. The split is the training's own only on the same files; where the fingerprint differs,
    that is said. Boxes are never painted in: an oracle's score is no score.
    """
    found = weights.load(name, BARE_PTH)
    trained_on = from_dict(DataConfig, found.meta.get("config", {}).get("data", {}))
    data = replace(trained_on, root=root, layout="auto", masks=None, skip_bad=skip_bad, cue="none")
    files = collection.open_checked(data, screen.bar)
    items = files.split.named(part)
    if not items:
        raise InputError(f"{files.root}: split {part} holds no image; choose another with --split, e.g. --split full")
    for line in files.problems:
        screen.say(f"skipped: {line}")
    screen.say(f"weights {found.path} on {len(items)} images: split {part} of {root or 'the built-in sample'}")
    if found.meta.get("data") != files.fingerprint:
        screen.say(
            "note: not the files that these weights were trained on; the split is drawn anew and may hold images they know"
        )
    model = found.model.to(device_of(how[0]))
    thresholds = from_dict(InferenceConfig, found.meta.get("thresholds", {}))

    def each() -> Iterator[tuple[str, Answer, Truth]]:
        with screen.bar("scoring", len(items)) as advance, autocast(model.device, how[1]):
            for answer in answers(model, items, data, thresholds):
                yield answer
                advance()

    return thresholds, each()
