"""Regions of a figure, and where their shapes come from: real objects where there are any, else drawn outlines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from forgery_rcnn.data.forge.scene import Box

SEGMENTED_SIDE = 420  # objects are looked for at this size
RIM = 2  # pixels around an object that go with it
LIVELY = 6.0  # least standard deviation of the grey levels in a region worth copying
TRIES = 40
OUTLINES = {"blob": 0.4, "ellipse": 0.2, "polygon": 0.28, "rectangle": 0.12}  # how often each is drawn
CLOSE_ENOUGH = (0.55, 1.7)  # of the wanted area


class Region(NamedTuple):
    """A set of pixels: mask (h, w) bool, whose first pixel is (y, x) of the figure."""

    y: int
    x: int
    mask: np.ndarray

    @property
    def area(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.mask))

    def window(self, array: np.ndarray) -> np.ndarray:
        """(H, W, ...) -> the part of it under the mask's rectangle, a view."""
        return array[self.y : self.y + self.mask.shape[0], self.x : self.x + self.mask.shape[1]]

    def inside(self, size: tuple[int, ...]) -> bool:
        """Whether the rectangle lies in a figure of `size` = (H, W, ...)."""
        height, width = self.mask.shape
        return self.y >= 0 and self.x >= 0 and self.y + height <= size[0] and self.x + width <= size[1]

    def padded(self, pixels: int) -> Region:
        """The same pixels in a rectangle that is larger by so many on each side."""
        return Region(self.y - pixels, self.x - pixels, np.pad(self.mask, pixels))

    def grown(self, pixels: int) -> Region:
        """All within `pixels` of the region along rows and columns."""
        wide = self.padded(pixels)
        kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
        return wide._replace(mask=cv2.dilate(wide.mask.astype(np.uint8), kernel) > 0)

    def clipped(self, size: tuple[int, ...]) -> Region:
        """What lies in a figure of `size` = (H, W, ...)."""
        y0, x0 = max(self.y, 0), max(self.x, 0)
        y1, x1 = min(self.y + self.mask.shape[0], size[0]), min(self.x + self.mask.shape[1], size[1])
        return Region(y0, x0, self.mask[y0 - self.y : max(y1, y0) - self.y, x0 - self.x : max(x1, x0) - self.x])

    def polygon(self) -> list[list[int]]:
        """Outline of the largest connected part, [[x, y], ...] in the figure's pixels, within a pixel or two."""
        outlines, _ = cv2.findContours(self.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        largest = max(outlines, key=cv2.contourArea)
        short = cv2.approxPolyDP(largest, max(1.0, 0.004 * cv2.arcLength(largest, True)), True)
        return (short[:, 0] + [self.x, self.y]).tolist()


def filled(outline: np.ndarray) -> Region:
    """(K, 1, 2) int32 x y -> the region within it."""
    x, y, width, height = cv2.boundingRect(outline)
    mask = cv2.fillPoly(np.zeros((height, width), np.uint8), [outline - [x, y]], 1) > 0
    return Region(y, x, mask)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Region:
    """The box x0 y0 x1 y1, x1 y1 exclusive, as a region."""
    return Region(y0, x0, np.ones((y1 - y0, x1 - x0), bool))


@dataclass(frozen=True)
class Objects:
    """The objects of a figure at a reduced size: grey (h, w) uint8; scale = figure's pixels per pixel of it."""

    grey: np.ndarray
    scale: float

    @classmethod
    def of(cls, canvas: np.ndarray) -> Objects:
        """(H, W, 3) uint8 -> Objects."""
        scale = max(1.0, max(canvas.shape[:2]) / SEGMENTED_SIDE)
        size = max(1, int(canvas.shape[1] / scale)), max(1, int(canvas.shape[0] / scale))
        step = max(1, int(scale / 2))  # of a large figure, every pixel need not be looked at
        return cls(
            cv2.cvtColor(cv2.resize(canvas[::step, ::step], size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY),
            scale,
        )

    @cached_property
    def labelled(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of bright objects, then of dark ones: (h, w) int32, object numbers from 1; their areas, that of 0 being 0."""
        smooth = cv2.medianBlur(self.grey, 5)
        around = cv2.blur(smooth, (max(3, max(self.grey.shape) // 4),) * 2)
        parted = [_parted(spots) for spots in (cv2.subtract(smooth, around), cv2.subtract(around, smooth))]
        areas = [np.bincount(labels.ravel()) for labels in parted]
        for each in areas:
            each[0] = 0
        return list(zip(parted, areas, strict=True))

    def near(self, area: float, rng: np.random.Generator) -> list[np.ndarray]:
        """Outlines (K, 1, 2) int32, x y in the figure, of objects or neighbouring objects of about `area` pixels together."""
        wanted, found = area / self.scale**2, []
        for labels, areas in self.labelled:
            fitting = rng.permutation(np.flatnonzero((areas > 0.6 * wanted) & (areas < 1.7 * wanted)))[:6]
            found += [_outline((labels == number).astype(np.uint8)) for number in fitting]
            small = (areas >= 12) & (areas < 0.6 * wanted)
            if np.count_nonzero(small) > 2:
                found += _clusters(np.argwhere(small[labels])[:, ::-1].astype(np.int32), wanted, rng)
        return [np.round((found[i] + 0.5) * self.scale).astype(np.int32) for i in rng.permutation(len(found))]


def _outline(mask: np.ndarray) -> np.ndarray:
    """(h, w) uint8 -> (K, 1, 2) int32 x y, the longest outline."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(outlines, key=len)


def _clusters(points: np.ndarray, wanted: float, rng: np.random.Generator) -> list[np.ndarray]:
    """(K, 2) int32 x y of objects' pixels -> convex hulls around a few neighbours, of about the wanted area."""
    hulls = []
    for centre in points[rng.integers(len(points), size=3)]:
        close = ((points - centre) ** 2).sum(axis=1) < wanted / 2.4
        hulls.append(cv2.convexHull(points[close]))
    return [hull for hull in hulls if 0.5 * wanted < cv2.contourArea(hull) < 1.7 * wanted]


def _parted(spots: np.ndarray) -> np.ndarray:
    """(h, w) uint8, bright where objects are -> (h, w) int32 labels: Otsu's threshold, touching objects parted by watershed."""
    binary = cv2.threshold(spots, 0, 255, cv2.THRESH_OTSU)[1]
    binary = cv2.morphologyEx(binary, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    depth = cv2.distanceTransform(binary, cv2.DIST_L2, 5)
    _, pieces = cv2.connectedComponents(binary)
    deepest = np.zeros(pieces.max() + 1, np.float32)
    np.maximum.at(deepest, pieces.ravel(), depth.ravel())
    # Not the saddles where two objects touch: less deep than the objects.
    peaks = (
        (depth >= 0.95 * cv2.dilate(depth, np.ones((13, 13), np.uint8))) & (depth > 0.6 * deepest[pieces]) & (depth > 2)
    )
    _, markers = cv2.connectedComponents(peaks.astype(np.uint8))
    markers = markers + 1
    markers[(binary > 0) & ~peaks] = 0
    # OpenCV floods small steps first: a cliff around the objects keeps the background out until they are full.
    hills = np.where(binary > 0, np.clip(100 + 4 * depth, 0, 255), 0).astype(np.uint8)
    hills = np.repeat(hills[..., None], 3, axis=2)
    labels = cv2.watershed(hills, markers.astype(np.int32))
    return np.where((labels > 1) & (binary > 0), labels - 1, 0)


def proposed(
    objects: Objects, box: Box, area: float, kinds: Sequence[str], rng: np.random.Generator
) -> Iterator[Region]:
    """Regions of about `area` pixels: mostly around objects of that size first, then outlines drawn in the box."""
    outlines = objects.near(area, rng) if rng.random() < 0.8 else []
    for number in range(len(outlines) + TRIES):
        if number < len(outlines):
            region = filled(outlines[number]).grown(RIM)
        else:
            region = filled(outline(area, kinds, rng) + rng.integers(box[:2], box[2:]).astype(np.int32))
        if CLOSE_ENOUGH[0] * area < region.area < CLOSE_ENOUGH[1] * area:
            yield region


def shows(pixels: np.ndarray, mask: np.ndarray) -> bool:
    """Whether (h, w, 3) uint8 is not flat under the (h, w) bool mask."""
    return float(pixels[mask].mean(axis=1).std()) >= LIVELY


def outline(area: float, kinds: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """-> (K, 1, 2) int32 x y, about the origin: one of these kinds of OUTLINES, of about `area` pixels."""
    weights = np.array([OUTLINES[kind] for kind in kinds])
    kind = rng.choice(kinds, p=weights / weights.sum())
    corners = {"blob": 60, "ellipse": 48, "polygon": int(rng.integers(5, 11)), "rectangle": 4}[str(kind)]
    theta = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    waves = sum(rng.uniform(0, 0.22) * np.cos(k * theta + rng.uniform(0, 6.3)) for k in (2, 3, 4, 5))
    radius = 1 + waves * (kind == "blob") + rng.uniform(-0.3, 0.3, corners) * (kind == "polygon")
    turn = np.pi / 4 if kind == "rectangle" else 0.0
    points = np.stack([radius * np.cos(theta + turn), radius * np.sin(theta + turn) * rng.uniform(0.5, 1)], axis=1)
    angle = 0.0 if kind == "rectangle" else rng.uniform(0, np.pi)
    points = points @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points *= np.sqrt(area / max(cv2.contourArea(points.astype(np.float32)), 1e-6))
    return np.round(points).astype(np.int32)[:, None]
