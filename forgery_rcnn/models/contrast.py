"""Forged regions against authentic ones of the same image and shape: where to look, and a loss that parts them.

The loss is what a held-out linear probe loses. The probe is a ridge regression in closed form, so that its gradient
reaches the vectors it was fitted on as well as those it is scored on (R2-D2: Bertinetto et al., Meta-learning with
differentiable closed-form solvers, ICLR 2019). It has no parameters of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

PLACES = 200  # tried for a control
CLEAR = 0.1  # of the smaller of the two, a control shares with any true box at most: it must not swallow a small one
RIDGE = 1.0  # added to a kernel whose diagonal is about 1
SHARPNESS = 4.0  # of the logit: a score of 1, which the ridge regression aims at, is a probability of 0.98
COPIES = 4  # of each true box, the first exact, the others shifted and scaled by up to JITTER of its sides
JITTER = 0.1


def controls(
    boxes: np.ndarray, size: tuple[int, int], rng: np.random.Generator, count: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) x0 y0 x1 y1 exclusive inside an image of `size` = (h, w) -> (K, 4) float32 of the same shapes at random
    places clear of every one of `boxes`, and (K,) int64, rising: the row of `boxes` that each has the shape of.

    Up to `count` for each, clear of each other: places that overlap look alike, and labels dealt anew among them make
    chance look smaller than it is. A box of which no place tried is clear has none.
    """
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    found = []
    for x0, y0, x1, y1 in boxes:
        sides = np.float32([x1 - x0, y1 - y0])
        corners = rng.random((PLACES, 2), np.float32) * np.maximum(np.float32([size[1], size[0]]) - sides, 0)
        places = np.concatenate([corners, corners + sides], axis=1)
        found.append(_apart(places[_shared(places, boxes) <= CLEAR], count))
    owners = np.repeat(np.arange(len(boxes)), [len(places) for places in found])
    return np.concatenate([*found, np.zeros((0, 4), np.float32)]), owners


def _apart(places: np.ndarray, count: int) -> np.ndarray:
    """(P, 4) -> (K, 4), up to `count` of them, each the next that is clear of those before."""
    chosen: list[np.ndarray] = []
    while len(places) and len(chosen) < count:
        chosen.append(places[0])
        places = places[_shared(places, places[:1]) <= CLEAR]
    return np.array(chosen, np.float32).reshape(-1, 4)


def _shared(places: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(P, 4), (N, 4) with N >= 1 -> (P,) the largest part that a place and a box share, of the smaller of the two."""
    low, high = np.maximum(places[:, None, :2], boxes[:, :2]), np.minimum(places[:, None, 2:], boxes[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (places, boxes)]
    return (common / np.maximum(np.minimum(areas[0][:, None], areas[1]), 1e-9)).max(axis=1)


def loss_of(
    pool: nn.Module, levels: Mapping[str, Tensor], sizes: Sequence[tuple[int, int]], boxes: Sequence[Tensor]
) -> Tensor:
    """RoI pooling, a batch's levels, its images' (h, w) and true boxes (M, 4) each -> scalar, 0 where nothing can be told.

    Draws from torch's generator. A batch of two forged images or more is parted by image, else by region or copy.
    """
    rng = np.random.default_rng(int(torch.randint(2**62, ())))
    drawn = [_drawn(true.cpu().numpy(), size, rng) for true, size in zip(boxes, sizes, strict=True)]
    regions = [torch.from_numpy(both).to(boxes[0].device) for both, _ in drawn]
    vectors = pool(levels, regions, list(sizes)).mean(dim=(2, 3))
    halves = _halves([half for _, half in drawn])
    if not len(halves):
        return vectors.sum().float()  # of nothing: 0, and part of the graph
    labels = torch.cat([_labels(len(half)) for _, half in drawn]).to(vectors.device)
    with torch.autocast(vectors.device.type, enabled=False):
        return held_out_loss(vectors.float(), labels, torch.from_numpy(halves).to(vectors.device))


def _labels(count: int) -> Tensor:
    """Copies of true boxes first, then as many controls -> (count,) float32, 1 forged, -1 authentic."""
    return torch.cat([torch.ones(count // 2), -torch.ones(count - count // 2)])


def _drawn(true: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(M, 4) true boxes -> (2 K, 4) float32, their copies first, then the copies' controls, and (2 K,) int64 the half
    that each would be of if this image were alone: by region, by copy where there is one region."""
    if not len(true):
        return np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    copies = true[:, None] + np.tile((true[:, 2:] - true[:, :2])[:, None], 2) * np.where(
        np.arange(COPIES)[:, None] > 0, rng.uniform(-JITTER, JITTER, (len(true), COPIES, 4)), 0
    )
    limits = np.tile([size[1], size[0]], 2)
    copies = np.clip(copies, 0, limits).astype(np.float32).reshape(-1, 4)
    places, owners = controls(copies, size, rng)
    region, copy = np.divmod(np.arange(len(copies)), COPIES)
    half = (region if len(true) > 1 else copy) % 2
    return np.concatenate([copies[owners], places]), np.tile(half[owners], 2)


def _halves(alone: Sequence[np.ndarray]) -> np.ndarray:
    """Per image the halves its rows would have if it were alone -> (R,) int64 of all rows; empty where one half is."""
    forged = [number for number, half in enumerate(alone) if len(half)]
    if len(forged) > 1:
        return np.concatenate([np.full(len(alone[number]), place % 2) for place, number in enumerate(forged)])
    halves = alone[forged[0]] if forged else np.zeros(0, np.int64)
    return halves if len(np.unique(halves)) == 2 else halves[:0]


def held_out_loss(vectors: Tensor, labels: Tensor, halves: Tensor) -> Tensor:
    """(R, D) float32, (R,) 1 or -1, (R,) 0 or 1, both halves with rows -> mean logistic loss of each half under a
    ridge regression fitted on the other."""
    losses = []
    for half in (0, 1):
        seen, new = vectors[halves != half], vectors[halves == half]
        mean, spread = seen.mean(dim=0), (seen.var(dim=0, unbiased=False) + 1e-6).sqrt()
        seen, new = ((part - mean) / (spread * vectors.shape[1] ** 0.5) for part in (seen, new))
        kernel = seen @ seen.T + RIDGE * torch.eye(len(seen), device=seen.device)
        scores = new @ (seen.T @ torch.linalg.solve(kernel, labels[halves != half]))
        losses.append(functional.softplus(-SHARPNESS * labels[halves == half] * scores))
    return torch.cat(losses).mean()
