"""A model's scores on records, each image in its original pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from forgery_rcnn.config import DataConfig, InferenceConfig
from forgery_rcnn.data import records
from forgery_rcnn.data.augment import paint_boxes
from forgery_rcnn.inference import pipeline
from forgery_rcnn.instances import Instances, Prediction
from forgery_rcnn.models.segmenter import Segmenter
from forgery_rcnn.report import ImageRow, image_row


def predict_record(
    model: Segmenter, record: records.Record, data: DataConfig, inference: InferenceConfig
) -> tuple[records.Loaded, Prediction]:
    """Read one record, show it to the model as training does (painted boxes included), and predict."""
    loaded = records.load(record)
    pixels = paint_boxes(loaded.pixels, loaded.masks) if data.cue == "painted_boxes" else loaded.pixels
    return loaded, pipeline.predict_image(model, pixels, inference)


def evaluate(
    model: Segmenter,
    items: Sequence[records.Record],
    data: DataConfig,
    inference: InferenceConfig,
    advance: Callable[[], None] = lambda: None,
) -> list[ImageRow]:
    """Predict and score every record; the model must be in eval mode. `advance` is called after each image."""
    rows = []
    for record in items:
        loaded, prediction = predict_record(model, record, data, inference)
        truth = None if record.label == "authentic" else Instances.from_masks(loaded.masks)
        rows.append(image_row(record.key, pipeline.answer(prediction), truth, loaded.pixels.shape[:2], prediction.image_score))
        advance()
    return rows
