"""The mask head's small grids against the truth, region by region of one image: the head's own, and the perfect one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import project_masks_on_boxes
from torchvision.ops import box_iou

from debug.case import Specimen
from forgery_rcnn.data import images as reader
from forgery_rcnn.models import anatomy
from forgery_rcnn.models.anatomy import MATCH
from forgery_rcnn.models.mask_rcnn import in_original_frame

SIDES = (14, 28, 56, 112)  # grids that the truth is sent through, beside the model's own
THRESHOLDS = np.linspace(0.05, 0.95, 19)
LEARNT = 0.5  # where the truth's own grid is cut: a cell is as likely forged as not
CROP, MOST = 160, 3  # pixels of the long side of a crop, crops kept per image


@dataclass(frozen=True)
class Crop:
    """One region and its surroundings, c pixels high and wide or less. title; pixels: (h, w, 3) uint8; truth, perfect:
    (h, w) bool, perfect is the truth through the model's grid; probability: (h, w) float32, what the head says; given,
    target: Dice of the predicted and the perfect mask, of the whole region in the original frame."""

    title: str
    given: float
    target: float
    pixels: np.ndarray
    truth: np.ndarray
    perfect: np.ndarray
    probability: np.ndarray


@dataclass(frozen=True)
class Seen:
    """The G true regions of one image; every Dice is measured on masks in the original frame.

    areas: (G,) pixels of the mask at the model's input size. given: (G,) Dice of the predicted mask in the true box;
    sweep: (G, 19) the same at each of THRESHOLDS; filled: (G,) Dice of the true box all forged. target: side of a grid
    -> (G,) Dice of the truth through it, pasted back: what the head is trained to give, and no limit to what it can;
    at_input: (G,) Dice of the truth at the model's input size.
    own: (G,) Dice of the best-scored detection whose box has IoU >= 0.5 with the region's, NaN for none; own_target: (G,)
    Dice of the truth through the model's grid in that detection's box. grid: the model's side; threshold: as it is used.
    """

    areas: np.ndarray
    given: np.ndarray
    sweep: np.ndarray
    filled: np.ndarray
    target: dict[int, np.ndarray]
    at_input: np.ndarray
    own: np.ndarray
    own_target: np.ndarray
    grid: int
    threshold: float
    crops: list[Crop]


def look(specimen: Specimen) -> Seen:
    """-> Seen."""
    a, truth, used = specimen.anatomy, specimen.truth, specimen.inference.mask_threshold
    grids = anatomy.mask_branch(specimen.model, a.levels, truth.fitted, a.fitted)
    side = 2 * specimen.model.config.mask_pool
    small = np.zeros((0, *a.fitted), bool)
    if len(truth):
        small = np.stack([reader.resized_mask(mask, a.fitted) for mask in truth.masks])
    said = stretched(specimen, truth.fitted, grids)
    perfect = {m: stretched(specimen, truth.fitted, through(small, truth.fitted, m)) for m in {*SIDES, side}}
    scored = [dice_at(p, mask, np.append(THRESHOLDS, used)) for p, mask in zip(said, truth.masks, strict=True)]
    swept = np.array(scored).reshape(len(truth), len(THRESHOLDS) + 1)
    own, boxes = _own(specimen)
    again = stretched(specimen, boxes, through(small, boxes, side))
    given = swept[:, -1]
    target = {m: dices([p >= LEARNT for p in maps], truth.masks) for m, maps in sorted(perfect.items())}
    return Seen(
        small.sum(axis=(1, 2)).astype(float),
        given,
        sweep=swept[:, :-1],
        filled=dices([_filled(box, a.original) for box in truth.boxes], truth.masks),
        target=target,
        at_input=dices([reader.resized_mask(mask, a.original) for mask in small], truth.masks),
        own=own,
        own_target=np.where(np.isnan(own), np.nan, dices([p >= LEARNT for p in again], truth.masks)),
        grid=side,
        threshold=used,
        crops=[
            _crop(specimen, i, (said[i], perfect[side][i]), (given[i], target[side][i]))
            for i in range(len(truth))[:MOST]
        ],
    )


def through(small: np.ndarray, boxes: Tensor, side: int) -> Tensor:
    """(G, h, w) bool at the model's input size, (G, 4) fitted boxes -> (G, side, side) float32, the grids that the mask
    head is trained to give: torchvision's own targets."""
    masks = torch.from_numpy(small.astype(np.float32)).to(boxes.device)
    if not len(small):
        return masks.new_zeros((0, side, side))
    return project_masks_on_boxes(masks, boxes, torch.arange(len(boxes), device=boxes.device), side)


def stretched(specimen: Specimen, boxes: Tensor, grids: Tensor) -> list[np.ndarray]:
    """(G, 4) fitted boxes, (G, M, M) -> G maps (H, W) float32 of the original frame, exactly as prediction pastes them.

    A box alone with score 1 has its grid as the heat map; a mask is what is >= a threshold in it.
    """
    a, one = specimen.anatomy, torch.ones(1)
    pairs = zip(boxes.split(1), grids.split(1), strict=True) if len(grids) else ()
    return [in_original_frame(box, grid, one, a.original, a.fitted, LEARNT).heatmap for box, grid in pairs]


def dice(mask: np.ndarray, true: np.ndarray) -> float:
    """Two masks of the same shape, bool, not both empty -> Dice, 0..1."""
    return float(2 * (mask & true).sum() / (mask.sum() + true.sum()))


def dices(masks: list[np.ndarray], true: np.ndarray) -> np.ndarray:
    """G masks and (G, H, W) bool -> (G,) float64 Dice of each pair."""
    return np.array([dice(mask, other) for mask, other in zip(masks, true, strict=True)])


def dice_at(probability: np.ndarray, true: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(H, W) float 0..1, (H, W) bool with a pixel set, (T,) thresholds > 0 -> (T,) Dice of what is >= each.

    >>> dice_at(np.array([[0.9, 0.4, 0.2]]), np.array([[True, True, False]]), np.array([0.1, 0.3, 0.5])).round(3).tolist()
    [0.8, 1.0, 0.667]
    """
    some = probability > 0
    values, inside = probability[some], true[some]
    called = np.array([values >= np.float32(t) for t in thresholds]).reshape(len(thresholds), -1)
    return 2 * (called & inside).sum(axis=1) / (called.sum(axis=1) + true.sum())


def _filled(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(4,) box of whole pixels -> (H, W) bool, all of it."""
    out = np.zeros(size, bool)
    x0, y0, x1, y1 = box.astype(int)
    out[y0:y1, x0:x1] = True
    return out


def _own(specimen: Specimen) -> tuple[np.ndarray, Tensor]:
    """-> (G,) Dice of each region's best-scored detection of box IoU >= 0.5, NaN for none; (G, 4) its fitted box, the
    true one for none."""
    a, truth, found = specimen.anatomy, specimen.truth, specimen.anatomy.prediction
    out, boxes = np.full(len(truth), np.nan), truth.fitted.clone()
    if not len(truth) or not len(found.scores):
        return out, boxes
    overlap = box_iou(torch.from_numpy(truth.boxes), torch.from_numpy(found.boxes)).numpy() >= MATCH
    for region in np.flatnonzero(overlap.any(axis=1)):
        detection = int(overlap[region].argmax())  # scores descend: the first that matches is the best
        out[region] = dice(found.instances.take([detection]).masks()[0], truth.masks[region])
        boxes[region] = a.proposals.refined[a.kept[detection]]
    return out, boxes


def _crop(specimen: Specimen, region: int, maps: tuple[np.ndarray, np.ndarray], scores: tuple[float, float]) -> Crop:
    """The region's box with a quarter of its side around it, at most CROP pixels long. maps: (H, W) what the head says
    and the truth through the grid; scores: their Dice."""
    x0, y0, x1, y1 = specimen.truth.boxes[region].astype(int)
    margin = max((x1 - x0) // 4, (y1 - y0) // 4, 2)
    window = np.s_[max(y0 - margin, 0) : y1 + margin, max(x0 - margin, 0) : x1 + margin]
    truth, said, perfect = (whole[window] for whole in (specimen.truth.masks[region], *maps))
    size = reader.fitted_size(truth.shape, min(CROP, max(truth.shape)))
    pixels = reader.resized(np.ascontiguousarray(specimen.pixels[window]), size)
    masks = [reader.resized_mask(mask, size) for mask in (truth, perfect >= LEARNT)]
    probability = reader.resized((said * 255).astype(np.uint8), size).astype(np.float32) / 255
    title = f"{specimen.record.case_id}, {x1 - x0} x {y1 - y0} px"
    return Crop(title, float(scores[0]), float(scores[1]), pixels, *masks, probability)
