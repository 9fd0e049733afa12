"""The twin finder as a model of the zoo: it learns nothing, needs no file, and says why it believes each of its instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from forgery_rcnn.config import MatchingConfig, ModelConfig
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Instances, Prediction
from forgery_rcnn.matching import finder
from forgery_rcnn.matching.pairs import Finding, Pair
from forgery_rcnn.models.segmenter import Segmenter
from forgery_rcnn.rle import mask_of

NAME = "matcher"
EVIDENCE = ("log10_chance", "correlation", "log10_inliers", "log2_pairs", "between_panels")
"""Of the best pair of an instance, but log2_pairs: of how many pairs it is made of, which grows with the square of its copies."""
LEAST_CHANCE = 1e-12  # below it an estimate of chance is no more evidence


@dataclass(frozen=True)
class Matched(Prediction):
    """A Prediction of the twin finder, and (N, 5) float64 EVIDENCE of its instances. `take` gives a plain Prediction."""

    evidence: np.ndarray


class Matcher(Segmenter):
    """What occurs twice in an image, each source with its copies as one instance."""

    gives = "instances"
    learns = "nothing"
    sees = "whole"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        # Without a parameter it would not know the device that it was moved to, by which its ensemble computes.
        self.register_buffer("place", torch.empty(0), persistent=False)

    @property
    def device(self) -> torch.device:
        return self.place.device

    def losses(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Raises InputError: there is nothing to train."""
        raise InputError(f"model.arch {NAME}: learns nothing; leave it out of training, use it with --weights {NAME}")

    def predict(self, images: Sequence[np.ndarray], mask_threshold: float = 0.5) -> list[Prediction]:
        """See Segmenter. Its masks are exact: `mask_threshold` does not count. Each Prediction is a Matched."""
        return [matched(finder.find(image, self.config.matching)) for image in images]


def built(matching: MatchingConfig) -> Matcher:
    """The twin finder with these settings, ready to predict."""
    return Matcher(ModelConfig(arch=NAME, matching=matching)).eval()


def matched(finding: Finding) -> Matched:
    """What was found in an image -> Matched; the heat map is the best score of the instances at each pixel, the image's
    score that of the best instance, 0 where there is none."""
    instances, scores = finding.instances()
    size = instances.size
    heatmap = np.zeros(size, np.float32)
    for runs, score in zip(instances.runs, scores, strict=True):
        np.maximum(heatmap, score, out=heatmap, where=mask_of(runs, size))
    order = np.argsort(-scores, kind="stable")
    evidence = np.array([_evidence([finding.pairs[n] for n in group]) for group in finding.groups()], np.float64)
    return Matched(
        instances.take(order),
        np.float32(instances.boxes())[order],
        scores[order],
        heatmap,
        float(scores.max(initial=0.0)),
        evidence.reshape(-1, len(EVIDENCE))[order],
    )


def _evidence(pairs: Sequence[Pair]) -> list[float]:
    """The pairs of one instance -> EVIDENCE."""
    best = max(pairs, key=lambda pair: pair.score)
    chance = float(np.log10(max(best.chance, LEAST_CHANCE)))
    return [
        chance,
        best.correlation,
        float(np.log10(1 + best.inliers)),
        float(np.log2(len(pairs))),
        float(best.between_panels),
    ]


def proposals(finding: Finding) -> np.ndarray:
    """What was found in an image -> (3 N, 4) float32 boxes x0 y0 x1 y1, pixels of that image, x1 y1 exclusive: of each pair
    the first region, the second, and both together."""
    size = finding.figure.size
    sides = Instances(size, tuple(side for pair in finding.pairs for side in (pair.first, pair.second)))
    each = np.float32(sides.boxes()).reshape(-1, 2, 4)
    both = np.concatenate([each[:, :, :2].min(axis=1), each[:, :, 2:].max(axis=1)], axis=1)
    return np.concatenate([each, both[:, None]], axis=1).reshape(-1, 4)
