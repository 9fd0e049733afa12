"""Hard negatives: where the model calls authentic training images forged, and how they come up more often from then on.

The alarms of an image are those of the last time it was looked at; they are kept in Position.alarms, so in every
checkpoint, and with the seed they fix what is trained on next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from forgery_rcnn.config import DataConfig, InferenceConfig, Stage
from forgery_rcnn.data.dataset import EpochSampler
from forgery_rcnn.data.distort import Spot
from forgery_rcnn.data.records import Record
from forgery_rcnn.engine.evaluate import predict_record
from forgery_rcnn.models.segmenter import Segmenter

Alarm = list[int]
"""Number of the record among the stage's, x and y of the alarm's middle in its image, pixels; a list, as in JSON."""


def due(stage: Stage, epoch: int) -> bool:
    """Whether images are looked at after this epoch of the stage, from 0; never after the last, nothing follows it."""
    return stage.mine_every > 0 and (epoch + 1) % stage.mine_every == 0 and epoch + 1 < stage.epochs


def looked_at(items: Sequence[Record], count: int, seed: int) -> list[int]:
    """-> the numbers, in order, of up to `count` authentic records, drawn by the seed."""
    authentic = [index for index, record in enumerate(items) if record.label == "authentic"]
    drawn = np.random.default_rng(seed).permutation(len(authentic))[:count]
    return sorted(authentic[i] for i in drawn.tolist())


def alarms(
    model: Segmenter,
    items: Sequence[Record],
    numbers: Sequence[int],
    data: DataConfig,
    inference: InferenceConfig,
    advance: Callable[[], None] = lambda: None,
) -> list[Alarm]:
    """Predict these authentic records, one at a time -> an alarm for each region found in them; model in eval mode."""
    out, inference = [], replace(inference, regions="components")  # the middle of all of them may lie in none
    for number in numbers:
        view, found = predict_record(model, items[number], data, inference)
        height, width = view.pixels.shape[:2]
        middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        inside = np.clip(middles, 0, [width - 1, height - 1]).astype(int)
        out += [[number, x, y] for x, y in inside.tolist()]
        advance()
    return out


def renewed(before: Sequence[Alarm], numbers: Sequence[int], found: Sequence[Alarm]) -> list[Alarm]:
    """Alarms so far, those found in the records `numbers` -> alarms now, by record; the same again changes nothing."""
    again = set(numbers)
    return sorted([alarm for alarm in before if alarm[0] not in again] + list(found))


def favour(sampler: EpochSampler, known: Sequence[Alarm], factor: float) -> None:
    """Have the records with alarms come up `factor` times as often as others, each time at one of these."""
    spots: dict[int, list[Spot]] = {}
    for number, x, y in known:
        spots.setdefault(number, []).append((x, y))
    sampler.favour(spots, factor)
