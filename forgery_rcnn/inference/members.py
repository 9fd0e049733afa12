"""Several models as one: each predicts by its own settings, then they are merged. What they are on disk: ensemble."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from forgery_rcnn import decision
from forgery_rcnn.config import InferenceConfig
from forgery_rcnn.decision import Decision
from forgery_rcnn.errors import require
from forgery_rcnn.inference import merging, pipeline
from forgery_rcnn.inference.fusion import Fusion
from forgery_rcnn.instances import Prediction
from forgery_rcnn.models.matcher import Matched
from forgery_rcnn.models.segmenter import Segmenter

Rule = Literal["mean", "vote", "fused"]
RULES: tuple[Rule, ...] = ("mean", "vote", "fused")
CALL = 0.5  # image score from which an image is called forged where nothing was set or fitted
CALLS = ("f1", "balanced_accuracy")
"""Metrics of the decision image score >= image_threshold alone, as MediaEval's files say it; regions do not count."""
VOTES = {"score_threshold": 0.0, "mask_threshold": 0.5, "image_threshold": 0.0}
"""Thresholds of shares of votes: more than half of them decides over a pixel, and nothing else."""
Change = Callable[[InferenceConfig], InferenceConfig]


@dataclass(frozen=True)
class Member:
    """One model in eval mode. config: its own, of which views, tiles and mask threshold count, and in a vote its score and
    image thresholds; weight: above 0, in any unit."""

    model: Segmenter
    config: InferenceConfig
    weight: float
    path: Path
    meta: Mapping[str, Any]

    @property
    def fitted(self) -> frozenset[str]:
        """Digests of the images that its thresholds were fitted on, see engine.held_out."""
        return fitted_on(self.meta)


@dataclass(frozen=True)
class Ensemble:
    """Members, how they are merged, and `config`, whose refinement and thresholds make the answer of what was merged.

    Of a vote these thresholds are about shares of the votes, see `of_votes`. path: what was loaded; meta: its JSON, {}
    where it has none; fusion: what scores the regions where the rule is fused, of the mean of all others and the matcher.
    """

    members: tuple[Member, ...]
    rule: Rule
    config: InferenceConfig
    path: Path
    meta: Mapping[str, Any]
    fusion: Fusion | None = None

    @property
    def gives(self) -> Literal["instances", "map"]:
        """What members are merged by: instances where all that say where have them, else their heat maps."""
        asked = [member.model for member in self.members if member.model.localises or not self.localises]
        return "instances" if all(model.gives == "instances" for model in asked) else "map"

    @property
    def localises(self) -> bool:
        """Whether any member says where an image is forged."""
        return any(member.model.localises for member in self.members)

    @property
    def device(self) -> torch.device:
        return self.members[0].model.device

    @property
    def fitted(self) -> frozenset[str]:
        """Content digests of the images that any threshold in it was fitted on, see engine.held_out."""
        return fitted_on(self.meta).union(*(member.fitted for member in self.members))

    @property
    def decision(self) -> Decision | None:
        """What its image score says, where `edarnn.py decide` has stored that. Raises InputError for what is malformed."""
        told = self.meta.get("decision")
        return None if told is None else decision.from_json(told, str(self.path))

    @property
    def thresholds(self) -> tuple[float, float]:
        """From which image score an image is called forged where that alone is asked, and from which value a pixel is.

        An image threshold of 0 lets everything through, so CALL stands in, unless 0 was fitted to such calls.
        """
        own, fitted = self.config.image_threshold, self.meta.get("fitted", {}).get("metric") in CALLS
        return own if own or fitted else CALL, self.config.mask_threshold

    def to(self, device: torch.device) -> Ensemble:
        """The same, its models moved to the device."""
        for member in self.members:
            member.model.to(device)
        return self

    def only(self, members: Sequence[int]) -> Ensemble:
        """The same with these members alone, by their numbers. One alone has nobody to vote with: its own settings count."""
        chosen = tuple(self.members[number] for number in members)
        lonely = self.rule == "vote" and len(chosen) == 1
        return replace(self, members=chosen, config=chosen[0].config if lonely else self.config)

    def over(self, change: Change) -> Ensemble:
        """The same with changed settings, the ensemble's and every member's; in a vote thresholds are the members' alone."""
        config = change(self.config)
        if self.rule == "vote" and len(self.members) > 1:
            config = replace(config, **{name: getattr(self.config, name) for name in VOTES})
        members = tuple(replace(member, config=change(member.config)) for member in self.members)
        return replace(self, members=members, config=config)

    def predict(self, pixels: np.ndarray) -> Prediction:
        """(H, W, 3) uint8 -> the instances that pass the thresholds, best first; heat map and image score of all."""
        return self.finished(self.merged(self.candidates(pixels)), pixels, self.config)

    def candidates(self, pixels: np.ndarray) -> Iterator[Prediction]:
        """(H, W, 3) uint8 -> what each member says of it, by its own views and tiles, before any threshold but the masks';
        one after the other, as heat maps of large images fill the memory. Raises InputError where one holds NaN."""
        return (_told(member, pixels) for member in self.members)

    def finished(self, found: Prediction, pixels: np.ndarray, config: InferenceConfig) -> Prediction:
        """What `merged` gave -> the answer under these settings."""
        return pipeline.finished(found, pixels, config, self.gives)

    def merged(self, found: Iterable[Prediction], shares: Sequence[float] | None = None) -> Prediction:
        """What each member says -> one Prediction. shares: in place of the members' weights; who has 0 is left out.

        Who does not say where an image is forged counts for its score alone, unless nobody does.
        """
        shares = [member.weight for member in self.members] if shares is None else shares
        heard = (one for one, share in zip(found, shares, strict=True) if share > 0)
        members = [member for member, share in zip(self.members, shares, strict=True) if share > 0]
        own = [share for share in shares if share > 0]
        if self.fusion is not None:
            return _fused(list(heard), own, self.fusion)
        places = [share * member.model.localises for member, share in zip(members, own, strict=True)]
        if self.rule == "vote" and len(own) > 1:
            return merging.vote(heard, own, self.gives, [member.config for member in members], places)
        return merging.mean(heard, own, self.gives, places)


def _told(member: Member, pixels: np.ndarray) -> Prediction:
    """A member's candidates; of a map none, its regions are made once all are merged. Raises InputError where one holds NaN."""
    found = pipeline.candidates(member.model, pixels, member.config)
    fine = np.isfinite([found.heatmap.max(), found.image_score, *found.scores]).all()
    require(bool(fine), f"{member.path}: what it predicts is not finite; use other weights, or --precision float32")
    return found if member.model.gives == "instances" else found.take([])


def _fused(heard: Sequence[Prediction], shares: Sequence[float], fusion: Fusion) -> Prediction:
    """What the members say, one of them a Matched -> the mean of the others with it, scored anew."""
    (twins,) = [found for found in heard if isinstance(found, Matched)]
    others = [(found, share) for found, share in zip(heard, shares, strict=True) if found is not twins]
    detected = merging.mean([found for found, _ in others], [share for _, share in others], "instances")
    return fusion.scored(detected, twins)


def of_votes(config: InferenceConfig) -> InferenceConfig:
    """Settings of one model -> of a vote. Its thresholds are about its own scores, and it has voted by them."""
    return replace(config, **VOTES)


def fitted_on(meta: Mapping[str, Any]) -> frozenset[str]:
    """The JSON beside weights, or of an ensemble -> content digests of the images that its own thresholds or its decision were
    fitted on."""
    each = (meta.get(name) for name in ("fitted", "decision"))
    return frozenset().union(*(told.get("images", ()) for told in each if isinstance(told, dict)))
