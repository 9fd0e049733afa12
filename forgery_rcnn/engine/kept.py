"""Images predicted once, their candidates kept, so that any number of thresholds can be tried on them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from forgery_rcnn.config import InferenceConfig, Refine
from forgery_rcnn.data.collection import BarMaker
from forgery_rcnn.data.records import Record
from forgery_rcnn.engine import outcomes
from forgery_rcnn.engine.evaluate import Part, seen
from forgery_rcnn.engine.outcomes import Outcomes
from forgery_rcnn.engine.thresholds import Setting
from forgery_rcnn.inference import refine
from forgery_rcnn.inference.ensemble import Ensemble
from forgery_rcnn.instances import Instances, Prediction
from forgery_rcnn.models.regions import MOST


@dataclass(frozen=True)
class _Image:
    """A record, its truth (None = authentic), and what each member that was asked says of it; heat maps are on disk."""

    record: Record
    true: Instances | None
    found: dict[int, Prediction]


class Kept:
    """Called with settings it gives the outcomes of all its images under each (thresholds.Table).

    Heat maps lie in `folder`, two bytes a pixel and member, rounded down to float16: at thresholds that float16 holds
    (thresholds.GRID) a single member's regions are exactly those of prediction, their scores within 0.05 %.
    """

    def __init__(self, folder: Path, found: Ensemble, part: Part, metric: str, bar: BarMaker) -> None:
        self._folder, self._ensemble, self._part, self._metric, self._bar = folder, found, part, metric, bar
        self._images: list[_Image] = []
        self._known: dict[Setting, Outcomes] = {}

    def add(self, record: Record) -> None:
        """Predict one image. Raises InputError for a bad file."""
        view, found = seen(record, self._part.data), {}
        asked = self._part.voices.get(record.key, range(len(self._ensemble.members)))
        for number, prediction in zip(asked, self._ensemble.only(asked).candidates(view.pixels), strict=True):
            if self._ensemble.gives == "map" and self._metric not in outcomes.CALLS:
                np.save(self._file(len(self._images), f"{number}"), rounded_down(prediction.heatmap))
                prediction = prediction.take([])
            nothing = np.broadcast_to(np.float32(0), prediction.heatmap.shape)  # a map that takes no memory
            found[number] = replace(prediction, heatmap=nothing)
        self._images.append(_Image(record, view.true, found))

    def __len__(self) -> int:
        return len(self._images)

    def __call__(self, settings: Sequence[Setting]) -> list[Outcomes]:
        """-> the outcomes of all images under each setting, without image threshold; one pass over those not yet known."""
        asked = [replace(s, config=replace(s.config, image_threshold=0.0)) for s in settings]
        new = [setting for setting in dict.fromkeys(asked) if setting not in self._known]
        if new:
            rows: list[list[tuple[float, bool, float]]] = []
            pool = ThreadPoolExecutor(os.cpu_count())  # OpenCV and numpy let go of the interpreter for most of it
            try:
                with self._bar(f"trying {len(new)} settings", len(self)) as advance:
                    for row in pool.map(lambda place: self._rows(place, new), range(len(self))):
                        rows.append(row)
                        advance()
            finally:
                pool.shutdown(cancel_futures=True)
            for number, setting in enumerate(new):
                self._known[setting] = self._outcomes([row[number] for row in rows])
        return [self._known[setting] for setting in asked]

    def _outcomes(self, rows: Sequence[tuple[float, bool, float]]) -> Outcomes:
        """One (image score, regions pass, metric) per image -> Outcomes."""
        true = [image.true for image in self._images]
        return Outcomes(
            np.array([t is not None for t in true], bool),
            np.array([row[0] for row in rows], np.float64),
            np.array([row[1] for row in rows], bool),
            np.array([row[2] for row in rows], np.float64),
            np.array([outcomes.cleared(t, self._metric) for t in true], np.float64),
        )

    def _rows(self, place: int, settings: Sequence[Setting]) -> list[tuple[float, bool, float]]:
        """One image under each setting; settings of the same map and regions share the work."""
        alike: dict[Setting, list[int]] = defaultdict(list)
        for number, setting in enumerate(settings):
            alike[replace(setting, config=_loose(setting.config, self._ensemble.gives))].append(number)
        out: dict[int, tuple[float, bool, float]] = {}
        for loose, numbers in alike.items():
            found = self._regions(place, loose)
            for number in numbers:
                told = outcomes.of_image(found, self._images[place].true, settings[number].config, self._metric)
                out[number] = (found.image_score, *told)
        return [out[number] for number in range(len(settings))]

    def _regions(self, place: int, loose: Setting) -> Prediction:
        """All regions of one image, none left out."""
        asked = [number for number in self._images[place].found if loose.shares[number] > 0]
        own = [loose.shares[number] for number in asked]
        voices = self._ensemble.only(asked)
        found = voices.merged((self._of_member(place, number) for number in asked), own)
        if self._metric in outcomes.CALLS:
            return found
        if self._ensemble.gives == "map" and loose.config.refine.method != "none":
            found = replace(found, heatmap=self._refined(place, found, loose))
        unseen = np.zeros((*found.heatmap.shape, 3), np.uint8)  # only refinement looks at pixels, and it is done
        return voices.finished(found, unseen, replace(loose.config, refine=Refine()))

    def _of_member(self, place: int, number: int) -> Prediction:
        found = self._images[place].found[number]
        if self._ensemble.gives == "instances" or self._metric in outcomes.CALLS:
            return found
        return replace(found, heatmap=np.load(self._file(place, f"{number}")).astype(np.float32))

    def _refined(self, place: int, found: Prediction, setting: Setting) -> np.ndarray:
        """The refined heat map, made once for each way and each mixture of members."""
        shares = "-".join(f"{share:g}" for share in setting.shares)
        path = self._file(place, f"{setting.config.refine.method}_{shares}")
        if not path.exists():
            pixels = seen(self._images[place].record, self._part.data).pixels
            np.save(path, rounded_down(refine.refined(found.heatmap, pixels, setting.config.refine)))
        return np.load(path).astype(np.float32)

    def _file(self, place: int, name: str) -> Path:
        return self._folder / f"{place}_{name}.npy"


def _loose(config: InferenceConfig, gives: Literal["instances", "map"]) -> InferenceConfig:
    """The same regions, and none left out; a detector's become one after that, of a map they are made as one."""
    regions = config.regions if gives == "map" else "components"
    return replace(config, score_threshold=0.0, min_area=0, image_threshold=0.0, max_instances=MOST, regions=regions)


def rounded_down(heatmap: np.ndarray) -> np.ndarray:
    """(H, W) float32 >= 0 -> (H, W) float16, the largest that is not above: what was below a threshold stays below.

    >>> rounded_down(np.float32([[0.49999, 0.5]])).tolist()
    [[0.499755859375, 0.5]]
    """
    near = heatmap.astype(np.float16)
    return np.where(near.astype(np.float32) > heatmap, np.nextafter(near, np.float16(0)), near)
