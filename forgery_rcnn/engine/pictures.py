"""What can be seen of a trained model on some images: each view and their mean, each refinement, and what it alone can show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np

from forgery_rcnn import draw, draw_maps
from forgery_rcnn.bootstrap import Interval, Resampling
from forgery_rcnn.config import InferenceConfig, Refine
from forgery_rcnn.engine import evaluate
from forgery_rcnn.inference import pipeline, views
from forgery_rcnn.instances import Prediction, Truth
from forgery_rcnn.models.segmenter import Segmenter
from forgery_rcnn.report import image_row

METHODS = tuple(
    name for name in get_args(get_type_hints(Refine)["method"]) if name != "pydensecrf2"
)  # which need not be there


@dataclass(frozen=True)
class Shown:
    """An image with its truth, and what it is called."""

    name: str
    view: evaluate.View


@dataclass(frozen=True)
class Variants:
    """Ways to predict the same image, by name: the heat map and the Dice of each, for every image that was shown."""

    maps: dict[str, dict[str, np.ndarray]]
    dice: dict[str, list[float]]

    def intervals(self) -> dict[str, Interval]:
        """Name -> mean Dice over the images, with its interval."""
        return {name: Resampling().mean(np.array(values, np.float64)) for name, values in self.dice.items()}


def by_view(model: Segmenter, shown: Sequence[Shown], config: InferenceConfig) -> Variants:
    """Each of the views that `config` names, all eight where it names one only, and the mean of these, not refined."""
    names = views.named(config.views)
    names = names if len(names) > 1 else views.named(("eight",))
    ways = {"mean": replace(config, views=names, refine=Refine())}
    ways |= {name: replace(config, views=(name,), refine=Refine()) for name in names}
    return _variants(shown, {name: _predicting(model, way) for name, way in ways.items()})


def by_refinement(model: Segmenter, shown: Sequence[Shown], config: InferenceConfig) -> Variants:
    """The heat map as it is (none) and refined in each way; the candidates are predicted once per image."""
    candidates = {item.name: pipeline.candidates(model, item.view.pixels, config) for item in shown}

    def refining(way: InferenceConfig) -> Callable[[Shown], Prediction]:
        return lambda item: pipeline.finished(candidates[item.name], item.view.pixels, way, model.gives)

    ways = {name: replace(config, refine=replace(config.refine, method=name)) for name in METHODS}
    return _variants(shown, {name: refining(way) for name, way in ways.items()})


def _predicting(model: Segmenter, config: InferenceConfig) -> Callable[[Shown], Prediction]:
    return lambda item: pipeline.predict_image(model, item.view.pixels, config)


def _variants(shown: Sequence[Shown], ways: Mapping[str, Callable[[Shown], Prediction]]) -> Variants:
    found = Variants({item.name: {} for item in shown}, {name: [] for name in ways})
    for item in shown:
        for name, predict in ways.items():
            prediction = predict(item)
            row = image_row(item.name, pipeline.answer(prediction), Truth(item.view.pixels.shape[:2], item.view.true))
            found.maps[item.name][name] = prediction.heatmap
            found.dice[name].append(row.dice)
    return found


def save(model: Segmenter, shown: Sequence[Shown], config: InferenceConfig, out: Path) -> Iterator[Path]:
    """Draw everything, one picture after the other; -> where each was written. The model must be in eval mode."""
    for item in shown:
        prediction = pipeline.predict_image(model, item.view.pixels, config)
        figure = draw.overlay(item.view.pixels, item.view.loaded.masks, prediction, item.name)
        yield draw.save(figure, out / "predictions" / f"{item.name}.png")
    topics = {"views": by_view} if model.sees == "parts" else {}
    if model.gives == "map":  # refinement is of heat maps; instances have masks of their own
        topics["refinement"] = by_refinement
    for topic, variants in topics.items():
        found = variants(model, shown, config)
        for item in shown:
            yield _save_maps(item, found.maps[item.name], config, out / topic)
        bars = draw_maps.steps(found.intervals(), "mean Dice (0..1), 95 % interval", f"{topic}: {len(shown)} images")
        yield draw.save(bars, out / f"{topic}.png")
    for item in shown:
        for topic, found in model.exhibits(item.view.pixels).items():
            figure = draw_maps.maps(item.view.pixels, item.view.true, found, f"{topic} of {item.name}")
            yield draw.save(figure, out / topic / f"{item.name}.png")


def _save_maps(item: Shown, found: Mapping[str, np.ndarray], config: InferenceConfig, folder: Path) -> Path:
    figure = draw_maps.maps(
        item.view.pixels, item.view.true, found, f"{folder.name} of {item.name}", config.mask_threshold
    )
    return draw.save(figure, folder / f"{item.name}.png")
