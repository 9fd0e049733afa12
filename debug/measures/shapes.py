"""The mask head over all images: Dice in the true box, what its training target gives, what another threshold would bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from debug.case import Case
from debug.measures.grids import THRESHOLDS, Crop, Seen
from debug.measures.proposals import by_size, mean
from debug.measures.regions import over_images
from debug.probe import drawn_only
from forgery_rcnn.bootstrap import Interval

SHOWN = 5  # regions drawn


@dataclass(frozen=True)
class SizeRow:
    """Regions of one size, mean Dice each: predicted in the true box, that box filled, truth through each grid."""

    size: str
    regions: int
    given: float
    filled: float
    target: dict[int, float]


@dataclass(frozen=True)
class Sweep:
    """dice: (19,) mean Dice at each of THRESHOLDS; best: the best of them; gain: Dice that a threshold chosen on the
    other images brings to each image against the one in use (for one image: chosen on itself, no interval)."""

    dice: np.ndarray
    best: float
    gain: Interval


@dataclass(frozen=True)
class OwnBoxes:
    """The regions that a detection has found (box IoU >= 0.5), mean Dice: of that detection, of the predicted mask in
    the true box instead, and of the truth through the grid in the detection's box: a perfect head in that box."""

    regions: int
    own: float
    given: float
    perfect: float


@dataclass(frozen=True)
class MaskReport:
    """Mean Dice over true regions, original frame, intervals over images. grid: the model's side; threshold: in use;
    fit: of the model's config.

    vanished: regions without a pixel at the model's input size. given: predicted, in the true box; filled: that box all
    forged; target: grid -> truth through it, the head's training target pasted back: a head can be better, smooth values
    say where inside a cell the border is. at_input: truth at the input size. beside_target: given less the target of the
    model's grid; target_loss: what that lacks to 1. scatter: (3, G) side in input pixels, given, target.
    """

    images: int
    regions: int
    vanished: int
    grid: int
    threshold: float
    fit: str
    given: Interval
    filled: Interval
    target: dict[int, Interval]
    at_input: Interval
    beside_target: Interval
    target_loss: Interval
    sweep: Sweep
    own: OwnBoxes
    by_size: list[SizeRow]
    scatter: np.ndarray = drawn_only()
    crops: Sequence[Crop] = drawn_only()


def measure(case: Case, kept: list[Seen]) -> MaskReport:
    """-> MaskReport over all images, at least one."""
    grid, used = kept[0].grid, kept[0].threshold
    images = np.repeat(np.arange(len(kept)), [len(seen.areas) for seen in kept])
    areas, given, filled, whole = (
        np.concatenate([getattr(seen, name) for seen in kept]) for name in ("areas", "given", "filled", "at_input")
    )
    target = {side: np.concatenate([seen.target[side] for seen in kept]) for side in kept[0].target}
    return MaskReport(
        images=len(kept),
        regions=len(areas),
        vanished=int((areas == 0).sum()),
        grid=grid,
        threshold=used,
        fit=case.model.config.fit,
        given=over_images(given, images),
        filled=over_images(filled, images),
        target={side: over_images(values, images) for side, values in target.items()},
        at_input=over_images(whole, images),
        beside_target=over_images(given - target[grid], images),
        target_loss=over_images(1 - target[grid], images),
        sweep=swept(np.concatenate([seen.sweep for seen in kept]), given, images, used),
        own=_own(kept, given),
        by_size=[
            SizeRow(
                size,
                len(index),
                mean(given[index]),
                mean(filled[index]),
                {side: mean(values[index]) for side, values in target.items()},
            )
            for size, index in by_size(np.sqrt(areas)).items()
        ],
        scatter=np.stack([np.sqrt(areas), given, target[grid]]),
        crops=_shown(kept),
    )


def swept(dice: np.ndarray, given: np.ndarray, images: np.ndarray, used: float) -> Sweep:
    """(G, 19) Dice of each region at each of THRESHOLDS, (G,) at the one in use, (G,) image numbers -> Sweep.

    A threshold chosen on the images that it is scored on always seems to gain; so each image gets that of the others.
    """
    if not len(dice):
        return Sweep(np.full(len(THRESHOLDS), np.nan), float("nan"), over_images(given, images))
    gain = np.zeros(len(dice))
    for image in np.unique(images):
        here = images == image
        others = ~here if not here.all() else here
        gain[here] = dice[here, best_place(dice[others].mean(axis=0), used)] - given[here]
    means = dice.mean(axis=0)
    return Sweep(means, float(THRESHOLDS[best_place(means, used)]), over_images(gain, images))


def best_place(means: np.ndarray, used: float) -> int:
    """(19,) mean Dice at each of THRESHOLDS -> index of the best; among equals the one nearest to the one in use."""
    equal = np.flatnonzero(means >= means.max() - 1e-9)
    return int(equal[np.abs(THRESHOLDS[equal] - used).argmin()])


def _own(kept: list[Seen], given: np.ndarray) -> OwnBoxes:
    own, perfect = (np.concatenate([getattr(seen, name) for seen in kept]) for name in ("own", "own_target"))
    found = ~np.isnan(own)
    return OwnBoxes(int(found.sum()), mean(own[found]), mean(given[found]), mean(perfect[found]))


def _shown(kept: list[Seen]) -> list[Crop]:
    """Some regions, from the one that is predicted worst to the best."""
    crops = sorted((crop for seen in kept for crop in seen.crops), key=lambda crop: crop.given)
    places = np.unique(np.linspace(0, len(crops) - 1, SHOWN).round().astype(int)) if crops else []
    return [crops[place] for place in places]
