"""Draws one figure of the built-in sample: views of host pictures, forged by plan (see sample.py).

A canvas is (H, W, 3) uint8 RGB, a shape or mask (H, W) bool, both in the figure's own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import cv2
import numpy as np

SMALLEST = 98  # least pixels in a mask channel, as in the real data
FEATHER = 5  # pixels around its mask that a pasted region may touch
MARGIN = 8  # pixels along borders, gutters and letters without forgeries; wider than feather and transparent border
VISIBLE = 12.0  # least mean change, in grey levels, that a pasted region makes
PHOTOS = {
    "camera.png",
    "astronaut.png",
    "chelsea.png",
    "rocket.jpg",
    "coffee.png",
    "motorcycle_left.png",
}  # kept upright
Kind = Literal["copy_move", "splice"]
Hosts = dict[str, np.ndarray]


@dataclass(frozen=True)
class Plan:
    """What a figure is to be: `size` = (H, W), `area` = share of it to forge, `hosts` = one per panel, then the donor."""

    case: int
    size: tuple[int, int]
    mode: Literal["RGB", "RGBA", "L"]
    kinds: tuple[Kind, ...]  # one per instance; none = authentic
    area: float
    hosts: tuple[str, ...]


class Scene(NamedTuple):
    """canvas (H, W, 3) uint8 RGB; room (H, W) uint8, the number of its panel where a forgery may lie, 0 elsewhere."""

    canvas: np.ndarray
    room: np.ndarray


def figure(plan: Plan, hosts: Hosts, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> before and after, (H, W) or (H, W, C) uint8 in the plan's mode, and masks (N, H, W) uint8 {0, 1}."""
    forged = None
    while forged is None:  # other views of the hosts, and smaller regions, until all have a place where they show
        scene, donor = _scene(plan, plan.hosts[:-1], hosts, rng), _scene(plan, plan.hosts[-1:], hosts, rng)
        forged, plan = _forged(plan, scene, donor, rng), replace(plan, area=0.97 * plan.area)
    (before, _), (after, masks) = scene, forged
    if plan.mode == "L":
        return before[..., 0], after[..., 0], masks
    if plan.mode == "RGB":
        return before, after, masks
    rows, columns = (np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) for side in plan.size)
    step = rng.choice((255, 40))  # opaque, or a soft transparent border that ends inside the margin
    alpha = np.minimum(np.minimum.outer(rows, columns) * step, 255).astype(np.uint8)
    return np.dstack([before, alpha]), np.dstack([after, alpha]), masks


def _scene(plan: Plan, names: tuple[str, ...], hosts: Hosts, rng: np.random.Generator) -> Scene:
    """-> a view of each named host, side by side, lettered where there are several."""
    canvas, room = np.full((*plan.size, 3), 255, np.uint8), np.zeros(plan.size, np.uint8)
    gutter = 0 if len(names) == 1 else 6
    edges = np.linspace(0, max(plan.size), len(names) + 1).astype(int)
    for number, name in enumerate(names):
        box = [slice(gutter, min(plan.size) - gutter), slice(edges[number] + gutter, edges[number + 1] - gutter)]
        rows, columns = box if plan.size[1] == max(plan.size) else box[::-1]
        turned = hosts[name] if name in PHOTOS else np.rot90(hosts[name], rng.integers(4))
        canvas[rows, columns] = _view(turned, canvas[rows, columns].shape[:2], rng)
        y, x = rows.start, columns.start
        room[y + MARGIN : rows.stop - MARGIN, x + MARGIN : columns.stop - MARGIN] = number + 1
        if gutter:
            canvas[y : y + 20, x : x + 20], room[y : y + 20 + MARGIN, x : x + 20 + MARGIN] = 255, 0
            cv2.putText(
                canvas, "ABC"[number], (x + 4, y + 15), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA
            )
    if plan.mode == "L":
        canvas = np.dstack([cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)] * 3)
    return Scene(canvas, room)


def _view(host: np.ndarray, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) host -> (*size, 3) uint8, a piece of it, resized, half the time mirrored; the liveliest of four."""
    largest = min(host.shape[0] / size[0], host.shape[1] / size[1], 1.6)
    factor = rng.uniform(max(0.55 * largest, 0.4), largest)  # host pixels per pixel of the view
    height, width = int(size[0] * factor), int(size[1] * factor)
    corners = rng.integers(0, (host.shape[0] - height + 1, host.shape[1] - width + 1), (4, 2))
    piece = max((host[y : y + height, x : x + width] for y, x in corners), key=np.std)
    mirrored = np.ascontiguousarray(piece[:, :: rng.choice((-1, 1))])
    return cv2.resize(mirrored, size[::-1], interpolation=cv2.INTER_AREA if factor > 1 else cv2.INTER_CUBIC)


def _forged(plan: Plan, scene: Scene, donor: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """-> the scene's canvas forged by plan, and its masks (N, H, W) uint8; None if something found no place."""
    (canvas, room), masks = scene, np.zeros((len(plan.kinds), *plan.size), np.uint8)
    for mask, kind in zip(masks, plan.kinds, strict=True):
        copies = 1 if kind == "splice" or rng.random() < 0.75 else 2
        regions = 1 if kind == "splice" else 1 + copies
        area = max(plan.area * room.size / len(masks), 1.3 * SMALLEST) / regions
        # A copy stays in its panel: panels show different things, so elsewhere it would be a splice.
        free = room == rng.integers(1, len(plan.hosts))
        source = (
            _shape(donor.canvas, donor.room > 0, area, rng) if kind == "splice" else _shape(canvas, free, area, rng)
        )
        if source is None:
            return None
        content = _matched(donor.canvas, canvas, rng) if kind == "splice" else canvas
        mask[:] = 0 if kind == "splice" else source
        for _ in range(copies):
            pasted = _pasted(canvas, content, source, free & ~_grown(mask, 2 * FEATHER), rng)
            if pasted is None:
                return None
            canvas, mask[:] = pasted[0], mask | pasted[1]
        if mask.sum() < SMALLEST:
            return None
        room = room * ~_grown(mask, 2 * FEATHER)
    return canvas, masks


def _matched(donor: np.ndarray, canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """-> the donor, its colour statistics moved part of the way to the canvas's: a splice that is loosely matched."""
    means, gains = donor.mean(axis=(0, 1)), canvas.std(axis=(0, 1)) / np.maximum(donor.std(axis=(0, 1)), 1)
    matched = (donor - means) * gains + canvas.mean(axis=(0, 1))
    return np.clip(donor + rng.uniform(0.3, 0.8) * (matched - donor), 0, 255).astype(np.uint8)


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """(H, W) bool or {0, 1} -> (H, W) bool, the mask and all within `pixels` of it along rows and columns."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)) > 0


def _shape(canvas: np.ndarray, room: np.ndarray, area: float, rng: np.random.Generator) -> np.ndarray | None:
    """-> (H, W) bool in the bool `room`, of about `area` pixels, not flat: around an object where one of that size is."""
    grey = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
    around, outlines = cv2.blur(grey, (int(4 * area**0.5) + 1,) * 2), []
    for spots in (cv2.subtract(cv2.medianBlur(grey, 5), around), cv2.subtract(around, cv2.medianBlur(grey, 5))):
        binary = cv2.threshold(spots, 0, 255, cv2.THRESH_OTSU)[1]
        hulls = map(cv2.convexHull, cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0])
        outlines += [hull for hull in hulls if 0.5 * area < cv2.contourArea(hull) < 1.8 * area]
    objects = [outlines[i] for i in rng.permutation(len(outlines))]
    for number, outline in enumerate(objects + [_outline(room.shape, area, rng) for _ in range(40)]):
        shape = cv2.fillPoly(np.zeros(room.shape, np.uint8), [outline], 1) > 0
        shape = _grown(shape, 2) if number < len(objects) else shape  # an object with its rim
        if room[shape].all() and shape.sum() > 0.6 * area and grey[shape].std() >= 8:
            return shape
    return None


def _outline(size: tuple[int, ...], area: float, rng: np.random.Generator) -> np.ndarray:
    """-> (K, 1, 2) int32 x y, anywhere in `size`: a rough polygon, an ellipse or a smooth blob of about `area` pixels."""
    theta = np.linspace(0, 2 * np.pi, int(rng.choice((6, 9, 60))), endpoint=False)
    waves = [rng.uniform(0, 0.25) * np.cos(k * theta + rng.uniform(0, 6.3)) for k in (2, 3, 4)]
    radius = 1 + sum(waves) * rng.choice((0, 1))
    points = radius * np.exp(1j * theta)
    points = (points.real + 1j * points.imag * rng.uniform(0.55, 1)) * np.exp(1j * rng.uniform(0, np.pi))
    points = np.stack([points.real, points.imag], axis=1)
    points *= np.sqrt(area / cv2.contourArea(points.astype(np.float32)))
    return np.round(points + rng.uniform(0, size[::-1])).astype(np.int32)[:, None]


def _pasted(
    canvas: np.ndarray, content: np.ndarray, shape: np.ndarray, room: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """-> canvas with content[shape] moved to a place in the bool `room` where it shows, and the mask there; None if none."""
    size = shape.shape[::-1]
    centre = np.round(np.argwhere(shape).mean(axis=0))[::-1]
    for _ in range(60):
        linear = np.eye(2)
        if rng.random() < 0.5:  # else a shift by whole pixels: an exact copy
            turn, scale = rng.uniform(-np.pi, np.pi), rng.uniform(0.8, 1.25)
            turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            linear = scale * turned * [rng.choice((-1, 1)), 1]
        motion = np.column_stack([linear, np.round(rng.uniform(0, size)) - linear @ centre])
        hard = cv2.warpAffine(shape.astype(np.float32), motion, size)
        if not room[hard > 0].all() or hard.sum() < 0.9 * abs(np.linalg.det(linear)) * shape.sum():
            continue
        alpha = cv2.GaussianBlur(hard, (2 * FEATHER - 1,) * 2, rng.uniform(0.7, 1.6))
        mask = alpha > 0.5
        alpha *= _grown(mask, FEATHER)  # blurred tips lie farther out than the feather may
        gain = rng.choice((1.0, 1.0, rng.uniform(0.88, 1.12)))
        moved = cv2.warpAffine(content, motion, size, borderMode=cv2.BORDER_REFLECT) * gain
        pasted = np.clip(np.round(canvas + alpha[..., None] * (moved - canvas)), 0, 255).astype(np.uint8)
        if cv2.absdiff(pasted, canvas)[mask].mean() >= VISIBLE:
            return pasted, mask
    return None
