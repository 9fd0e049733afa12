"""COCO average precision of masks and boxes, from run-lengths: faster-coco-eval measures, no mask is decoded.

One category, no crowds, no area ranges, at most 100 detections an image. What matched whom is kept, so that the AP of
any resample of the images costs no new overlap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Instances
from forgery_rcnn.rle import Runs

if TYPE_CHECKING:
    from faster_coco_eval import COCO, COCOeval_faster

MAX_DETECTIONS = 100  # of one image, the best by score
MOST_PIXELS = 2**32 - 1  # of an image: the library counts in 32 bits
IOUS = np.linspace(0.5, 0.95, 10)  # the thresholds
RECALLS = np.linspace(0.0, 1.0, 101)  # where precision is read off


@dataclass(frozen=True, eq=False)
class CocoRegions:
    """N regions of one image as COCO writes them.

    counts: compressed run-lengths; areas: (N,) int64, pixels; boxes: (N, 4) float64 x y width height, pixels.
    """

    counts: tuple[bytes, ...]
    areas: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True, eq=False)
class CocoImage:
    """One image of `size` = (H, W): its true regions, none of them empty, the predicted ones, their (P,) float64 scores."""

    size: tuple[int, int]
    true: CocoRegions
    predicted: CocoRegions
    scores: np.ndarray


def coco_image(
    predicted: Instances, true: Instances, scores: np.ndarray | None = None, boxes: np.ndarray | None = None
) -> CocoImage:
    """P and G instances of one image, (P,) scores, (P, 4) x0 y0 x1 y1 pixels, x1 y1 exclusive -> CocoImage.

    Without scores all are 1; without boxes they are tight to the masks, as those of the truth always are. A true
    instance of no pixel is left out; a predicted one stays and matches nothing: a false positive. Raises InputError:
    sizes differ, malformed runs (they could crash the C++ code), scores or boxes that do not fit.
    """
    if predicted.size != true.size:
        raise InputError(f"predicted instances are of a {predicted.size} image, the true ones of {true.size}")
    _check("predicted", predicted)
    _check("true", true)
    true = true.take([i for i, runs in enumerate(true.runs) if len(runs)])
    n = len(predicted)
    scores = np.ones(n) if scores is None else np.asarray(scores, np.float64)
    if scores.shape != (n,) or not np.isfinite(scores).all():
        raise InputError(f"scores of {n} instances have shape {scores.shape}; expected ({n},), all finite")
    return CocoImage(
        true.size,
        _regions(true, true.boxes()),
        _regions(predicted, predicted.boxes() if boxes is None else boxes),
        scores,
    )


def all_pixels(image: CocoImage) -> CocoImage:
    """The same truth, with every pixel predicted, as one region of score 1."""
    height, width = image.size
    everything = Instances(image.size, (np.array([[0, height * width]], np.int64),))
    return CocoImage(image.size, image.true, _regions(everything, np.array([[0.0, 0.0, width, height]])), np.ones(1))


def _check(name: str, instances: Instances) -> None:
    for i, runs in enumerate(instances.runs):
        if not _fits(runs, instances.size):
            raise InputError(
                f"{name} instance {i}: runs are not (R, 2) whole numbers, ascending, apart, of length >= 1 and inside "
                f"an image of {instances.size[0]} x {instances.size[1]} < 2^32 pixels; build them with rle.runs_of or rle.decode"
            )


def _regions(instances: Instances, corners: np.ndarray) -> CocoRegions:
    """Sound instances and their (N, 4) x0 y0 x1 y1 -> CocoRegions. Raises InputError: boxes that do not fit."""
    corners = np.asarray(corners, np.float64)
    if corners.shape != (len(instances), 4) or not np.isfinite(corners).all():
        raise InputError(f"boxes of {len(instances)} instances have shape {corners.shape}; expected (N, 4), all finite")
    sides = corners[:, 2:] - corners[:, :2]
    if (sides < 0).any():
        raise InputError(f"box {int((sides < 0).any(axis=1).argmax())} ends before it starts; give x0 y0 x1 y1")
    counts = tuple(_compressed(runs, instances.size) for runs in instances.runs)
    return CocoRegions(counts, instances.areas(), np.concatenate([corners[:, :2], sides], axis=1))


def _fits(runs: Runs, size: tuple[int, int]) -> bool:
    if runs.ndim != 2 or runs.shape[1] != 2 or runs.dtype.kind != "i":
        return False
    pixels = size[0] * size[1]
    if pixels > MOST_PIXELS:
        return False
    if not len(runs):
        return True
    if runs.min() < 0 or runs.max() > pixels or runs[:, 1].min() < 1:
        return False
    ends = runs.sum(axis=1)
    return bool(ends[-1] <= pixels and (runs[1:, 0] > ends[:-1]).all())


def _compressed(runs: Runs, size: tuple[int, int]) -> bytes:
    """Runs -> COCO's compressed counts: lengths of clear and set runs by turns, column-major, the first one clear."""
    from faster_coco_eval import mask

    ends = np.concatenate([[0], runs.sum(axis=1)])
    counts = np.empty(2 * len(runs) + 1, np.int64)
    counts[::2] = np.append(runs[:, 0], size[0] * size[1]) - ends
    counts[1::2] = runs[:, 1]
    listed = counts.tolist() if counts[-1] else counts[:-1].tolist()
    return mask.frPyObjects({"size": list(size), "counts": listed}, *size)["counts"]


@dataclass(frozen=True, eq=False)
class Table:
    """AP of n images at IoU 0.50:0.95, 0.50 and 0.75, each 0..1, NaN without a true instance, and what matched.

    image: (D,) int64, the image of each detection, best score first, ties in the order of the images; score: (D,)
    float64; hits: (10, D) bool, whether it is a true positive at each IoU threshold; true_counts: (n,) int64.
    """

    ap: float
    ap50: float
    ap75: float
    image: np.ndarray
    score: np.ndarray
    hits: np.ndarray
    true_counts: np.ndarray

    def resampled(self, index: np.ndarray) -> tuple[float, float, float]:
        """(M,) int64 images in 0..n-1, any of them any number of times -> ap, ap50, ap75 of those; order is nothing.

        Detections of the same score are one operating point, so that no order of images matters (within an image COCO's
        greedy match takes tied instances in their order). COCO's own number takes all in the order of the file; the two
        agree where scores differ (see `tied`).
        """
        times = np.bincount(index, minlength=len(self.true_counts))
        total = int(times @ self.true_counts)
        if total == 0:
            return math.nan, math.nan, math.nan
        weights = times[self.image]
        drawn = np.flatnonzero(weights)
        weights, scores = weights[drawn], self.score[drawn]
        ends = np.append(scores[1:] != scores[:-1], True)[: len(drawn)]  # of each group of copies and of equal scores
        found = np.cumsum(self.hits[:, drawn] * weights, axis=1)[:, ends]
        # The last one, 0, stands for a recall that is not reached.
        precision = np.zeros((len(IOUS), found.shape[1] + 1))
        np.divide(found, np.cumsum(weights)[ends], out=precision[:, :-1])
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        read = [line[np.searchsorted(recall, RECALLS)] for line, recall in zip(best, found / total, strict=True)]
        return _summary(np.array(read))

    def tied(self) -> bool:
        """Whether any two detections have the same score: then only `resampled` is free of the file's order."""
        return bool((self.score[1:] == self.score[:-1]).any())


def _summary(precision: np.ndarray) -> tuple[float, float, float]:
    """(10, 101) float64 precision at each IoU and recall -> ap, ap50, ap75."""
    return float(precision.mean()), float(precision[0].mean()), float(precision[5].mean())


def average_precision(images: Sequence[CocoImage], kind: Literal["segm", "bbox"]) -> Table:
    """n images -> Table of the AP of their masks ("segm") or boxes ("bbox"). Raises InputError: another kind."""
    if kind not in ("segm", "bbox"):
        raise InputError(f"kind {kind!r} is unknown; use 'segm' or 'bbox'")
    evaluated = _evaluated(images, kind)
    precision = evaluated.eval["precision"][:, :, 0, 0, 0]
    orders = [np.argsort(-image.scores, kind="stable")[:MAX_DETECTIONS] for image in images]
    scores = np.concatenate([np.zeros(0), *(image.scores[kept] for image, kept in zip(images, orders, strict=True))])
    hits = [_hits(evaluated.ious[i, 1], len(kept)) for i, kept in enumerate(orders, 1)]
    order = np.argsort(-scores, kind="stable")
    return Table(
        *_summary(np.where(precision < 0, math.nan, precision)),
        image=np.repeat(np.arange(len(images)), [len(kept) for kept in orders])[order],
        score=scores[order],
        hits=np.concatenate([np.zeros((len(IOUS), 0), bool), *hits], axis=1)[:, order],
        true_counts=np.array([len(image.true.counts) for image in images], np.int64),
    )


def _evaluated(images: Sequence[CocoImage], kind: Literal["segm", "bbox"]) -> COCOeval_faster:
    """The library's evaluation of all images; image i has the id i + 1."""
    from faster_coco_eval import COCOeval_faster

    true = _dataset(images, [(image.true, np.ones(len(image.true.counts))) for image in images])
    predicted = _dataset(images, [(image.predicted, image.scores) for image in images])
    # One worker: threads that fight for the interpreter's lock over small masks are slower.
    evaluation = COCOeval_faster(true, predicted, iouType=kind, rle_iou_max_workers=1)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _dataset(images: Sequence[CocoImage], regions: Sequence[tuple[CocoRegions, np.ndarray]]) -> COCO:
    from faster_coco_eval import COCO

    annotations = []
    for i, (image, (found, scores)) in enumerate(zip(images, regions, strict=True), 1):
        rows = zip(found.counts, found.areas.tolist(), found.boxes.tolist(), scores.tolist(), strict=True)
        for counts, area, box, score in rows:
            mask = {"size": list(image.size), "counts": counts}
            annotation = {"id": len(annotations) + 1, "image_id": i, "category_id": 1, "iscrowd": 0}
            annotations.append({**annotation, "segmentation": mask, "area": area, "bbox": box, "score": score})
    sizes = [{"id": i, "height": image.size[0], "width": image.size[1]} for i, image in enumerate(images, 1)]
    return COCO({"images": sizes, "categories": [{"id": 1, "name": "region"}], "annotations": annotations})


def _hits(ious: np.ndarray | list[float], count: int) -> np.ndarray:
    """(P, G) overlaps of one image, best score first ([] = one side is empty), P -> (10, P) bool true positives.

    COCO's greedy matching: each detection takes, of the truths still free, the one it overlaps most, if by enough; of
    equals the last. The library's own record of it cannot be read from Python.
    """
    hits = np.zeros((len(IOUS), count), bool)
    if not len(ious):
        return hits
    free = np.ones((len(IOUS), np.shape(ious)[1]), bool)
    for hit, overlaps in zip(hits.T, np.asarray(ious), strict=True):
        open_to = np.where(free, overlaps, -1.0)
        taken = open_to.shape[1] - 1 - open_to[:, ::-1].argmax(axis=1)
        hit[:] = np.take_along_axis(open_to, taken[:, None], axis=1)[:, 0] >= IOUS
        free[hit, taken[hit]] = False
    return hits
