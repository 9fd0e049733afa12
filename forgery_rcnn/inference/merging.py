"""One prediction out of several of the same image: of its views, of folds, of different models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np

from forgery_rcnn import metrics, rle
from forgery_rcnn.config import InferenceConfig
from forgery_rcnn.errors import require
from forgery_rcnn.instances import Instances, Prediction

SAME = 0.5  # IoU from which instances of two predictions are taken for the same region
EXACT = 1e-6  # what floats lose on the way must not decide an exact half
TIE = float(np.nextafter(np.float32(0.5), np.float32(0)))  # half of the votes is no majority: just below the half
Group = dict[int, int]
"""Instances taken for the same region: number of the prediction -> index of its instance, at most one of each."""
Region = tuple[rle.Runs, np.ndarray, float]
"""Pixels, (4,) box, score."""


def mean(
    predictions: Iterable[Prediction],
    weights: Sequence[float],
    gives: Literal["instances", "map"],
    places: Sequence[float] | None = None,
) -> Prediction:
    """Predictions of one image in the same frame -> their weighted mean; the weights need not add up to 1. One
    prediction is its own mean.

    map: the mean of heat maps and image scores, no instances (pipeline.finished makes them); each prediction is let go
    before the next is asked for. instances: those that overlap are averaged: a pixel belongs where more than half of the
    weight of those that saw the region says so, and at just half where the surest of them does (of two equal ones its
    mask is the answer, not their union); the box is their mean, and the score the mean over all predictions, 0 where one
    did not see it. places: weights of what is said about where, 0 of who does not know; default, or where all are 0,
    `weights`. Raises InputError where a weight is not positive.
    """
    shares, where = _shares(weights), _where(places, weights)
    if len(shares) == 1:
        (only,) = predictions
        return only
    if gives == "map":
        return _mean_map(predictions, shares, where)
    members = list(predictions)
    regions = []
    for group in groups(members):
        own = where[list(group)]
        # Where the weights are even the group's first decides, its best.
        decided = own + np.eye(len(own))[0] * 2 * EXACT
        pixels = covered(_masks(members, group), decided, own.sum() / 2 + EXACT)
        regions.append(_averaged(members, group, pixels, own, 1.0))
    return _sorted(_mean_map(members, shares, where), regions)


def vote(
    predictions: Iterable[Prediction],
    weights: Sequence[float],
    gives: Literal["instances", "map"],
    configs: Sequence[InferenceConfig],
    places: Sequence[float] | None = None,
) -> Prediction:
    """Predictions of one image in the same frame -> what more than half of them say, each with its weight's votes.

    Each votes by its own thresholds, and for nothing where its image score is below its own: alone it would call the
    image authentic. map: heat map and image score are shares of the votes, to be cut at 0.5; one with instances votes by
    them. For the image a prediction votes from its image threshold on, 0.5 where that is 0. No instances. instances: those
    with a score at or above the threshold vote; a region found by more than half stays, with the pixels that more than
    half cover, and the mean score and box of those that found it. Just half is no majority: it counts as TIE, below 0.5.
    places: as of `mean`. Heat maps are let go one by one.
    """
    shares, where, heatmap, image = _shares(weights), _where(places, weights), None, 0.0
    members: list[Prediction] = []
    for found, share, place, config in zip(predictions, shares.tolist(), where.tolist(), configs, strict=True):
        heatmap = np.zeros(found.instances.size, np.float32) if heatmap is None else heatmap
        votes, voted = _votes(found, config, gives)
        np.add(heatmap, np.float32(place), out=heatmap, where=votes)
        image += share * (found.image_score >= (config.image_threshold or 0.5))
        members.append(replace(voted, heatmap=np.broadcast_to(np.float32(0), heatmap.shape)))
    heatmap[(heatmap > 0.5 - EXACT) & (heatmap < 0.5 + EXACT)] = TIE
    np.minimum(heatmap, 1, out=heatmap)
    heat = _without_instances(heatmap, TIE if abs(image - 0.5) < EXACT else min(image, 1.0))
    regions = []
    for group in groups(members):
        own = where[list(group)]
        if own.sum() > 0.5 + EXACT:
            pixels = covered(_masks(members, group), own, 0.5 + EXACT)
            regions.append(_averaged(members, group, pixels, own, own.sum()))
    return _sorted(heat, regions)


def _votes(
    found: Prediction, config: InferenceConfig, gives: Literal["instances", "map"]
) -> tuple[np.ndarray, Prediction]:
    """-> the pixels that a prediction votes for, (H, W) bool, and its instances that do, none of a map."""
    called = found.image_score >= config.image_threshold
    if gives == "map" and not len(found.scores):
        return (found.heatmap >= config.mask_threshold) & called, found
    # A detector's heat map is score times mask: it stays below a mask threshold where the score passes its own.
    voted = found.take(np.flatnonzero((found.scores >= config.score_threshold) & called))
    return rle.mask_of(voted.instances.union(), found.instances.size), found.take([]) if gives == "map" else voted


def groups(predictions: Sequence[Prediction]) -> list[Group]:
    """Instances of several predictions of one image -> those that are the same region, by falling score of their best.

    In the order of their scores each joins the group whose best instance, its first, it overlaps most, by an IoU of SAME
    or more, among those without an instance of its own prediction; or else begins one.
    """
    each = [(member, index) for member, found in enumerate(predictions) for index in range(len(found.scores))]
    if not each:
        return []
    overlap = _overlaps([predictions[member].instances.runs[index] for member, index in each])
    scores = np.concatenate([found.scores for found in predictions])
    leaders: list[int] = []
    out: list[Group] = []
    for at in np.argsort(-scores, kind="stable").tolist():
        member, index = each[at]
        free = [i for i, group in enumerate(out) if member not in group and overlap[leaders[i], at] >= SAME]
        if free:
            out[max(free, key=lambda i: overlap[leaders[i], at])][member] = index
        else:
            leaders.append(at)
            out.append({member: index})
    return out


def covered(masks: Sequence[rle.Runs], weights: Sequence[float] | np.ndarray, least: float) -> rle.Runs:
    """Masks of one image -> Runs of the pixels where the weights of those that cover them add up to `least` or more."""
    edges = np.concatenate([np.concatenate([runs[:, 0], runs.sum(axis=1)]) for runs in masks])
    change = np.concatenate([np.repeat([w, -w], len(runs)) for w, runs in zip(weights, masks, strict=True)])
    at, place = np.unique(edges, return_inverse=True)
    weight = np.cumsum(np.bincount(place, weights=change, minlength=len(at)))
    return rle.joined(np.stack([at[:-1], np.diff(at)], axis=1)[weight[:-1] >= least])


def _shares(weights: Sequence[float]) -> np.ndarray:
    """-> (N,) float64 that add up to 1."""
    require(min(weights, default=0) > 0, f"weights of predictions are {tuple(weights)}; use positive numbers, one each")
    return np.asarray(weights, np.float64) / np.sum(weights)


def _where(places: Sequence[float] | None, weights: Sequence[float]) -> np.ndarray:
    """-> (N,) float64 that add up to 1, see `mean`."""
    known = np.asarray(places if places and any(places) else weights, np.float64)
    return known / known.sum()


def _masks(predictions: Sequence[Prediction], group: Group) -> list[rle.Runs]:
    return [predictions[member].instances.runs[index] for member, index in group.items()]


def _averaged(
    predictions: Sequence[Prediction], group: Group, pixels: rle.Runs, own: np.ndarray, whole: float
) -> Region:
    """-> the pixels, the mean box, and the score, of a `whole` of which the weights `own` of the group are a part."""
    boxes = np.array([predictions[member].boxes[index] for member, index in group.items()], np.float64)
    scores = [float(predictions[member].scores[index]) for member, index in group.items()]
    return pixels, own @ boxes / own.sum(), float(own @ scores / whole)


def _overlaps(masks: Sequence[rle.Runs]) -> np.ndarray:
    """N masks of one image -> (N, N) float64 IoU; empty against empty is 1."""
    common = metrics.intersections(masks, masks)
    areas = np.diag(common)
    union = areas[:, None] + areas[None, :] - common
    return np.divide(common, union, out=np.ones(common.shape), where=union > 0)


def _mean_map(predictions: Iterable[Prediction], shares: np.ndarray, where: np.ndarray) -> Prediction:
    """Shares of the image score, and of the heat map, add up to 1 -> the mean of both, no instances."""
    heatmap, score = None, 0.0
    for found, share, place in zip(predictions, shares.tolist(), where.tolist(), strict=True):
        score += share * found.image_score
        if heatmap is None:
            heatmap = np.multiply(found.heatmap, place, dtype=np.float32)
        else:
            cv2.scaleAdd(found.heatmap, place, heatmap, dst=heatmap)  # needs no array for the product
    np.minimum(heatmap, 1, out=heatmap)
    return _without_instances(heatmap, min(score, 1.0))


def _without_instances(heatmap: np.ndarray, image_score: float) -> Prediction:
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    return Prediction(Instances(heatmap.shape), *none, heatmap, image_score)


def _sorted(heat: Prediction, regions: Sequence[Region]) -> Prediction:
    """Heat map and image score of `heat`, and these instances by falling score."""
    scores = np.array([score for _, _, score in regions], np.float32)
    every = Prediction(
        Instances(heat.instances.size, tuple(runs for runs, _, _ in regions)),
        np.array([box for _, box, _ in regions], np.float32).reshape(-1, 4),
        np.minimum(scores, 1),
        heat.heatmap,
        heat.image_score,
    )
    return every.take(np.argsort(-scores, kind="stable"))
