"""A figure while it is being forged, and what every operation does with it: find a shape, find a place, paste."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np

from forgery_rcnn.data import images
from forgery_rcnn.data.forge import blend, motions, regions
from forgery_rcnn.data.forge.motions import Motion
from forgery_rcnn.data.forge.regions import Objects, Region
from forgery_rcnn.data.forge.scene import Scene
from forgery_rcnn.data.forge.views import Views

VISIBLE = 8.0  # least mean change, in grey levels, under a target
UNCHANGED = 3  # grey levels
RIM_CELLS = 24  # a region is looked at in so many cells across
PLACES = 8  # a target is the best of so many places


@dataclass(frozen=True)
class Step:
    """One operation done: one instance. marked: the regions of its mask channel; matrices: (2, 3) x y 1 -> x y, one per target.

    source: where the content came from, in the figure, or in the donor's view when that is not among `marked`.
    """

    operation: str
    parameters: dict[str, Any]
    marked: tuple[Region, ...]
    source: Region | None = None
    targets: tuple[Region, ...] = ()
    matrices: tuple[np.ndarray, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass
class Work:
    """before, after: (H, W, 3) uint8; free (H, W) uint8: 1 + number of the panel where there is still room, else 0.

    strange: grey levels along a target's rim, between content and surroundings, that are a fake at a glance.
    """

    scene: Scene
    views: Views
    strange: float
    before: np.ndarray = field(init=False)
    after: np.ndarray = field(init=False)
    free: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.before, self.after = self.scene.canvas.copy(), self.scene.canvas.copy()
        self.free = self.scene.room.copy()
        for number, panel in enumerate(self.scene.panels, 1):
            if panel.lanes:  # not on a blot's names and gutters
                film = np.zeros(self.size, bool)
                for x0, y0, x1, y1 in panel.lanes:
                    film[y0:y1, x0:x1] = True
                self.free[(self.free == number) & ~film] = 0

    @property
    def size(self) -> tuple[int, int]:
        """(H, W), pixels."""
        return self.free.shape

    @cached_property
    def objects(self) -> Objects:
        """The objects of the pristine figure."""
        return Objects.of(self.scene.canvas)

    def panels(self, least: float) -> list[int]:
        """Numbers in `free` of the panels with room for `least` pixels."""
        count = len(self.scene.panels) + 1
        room = cv2.calcHist([self.free], [0], None, [count], [0, count]).ravel()
        return [number for number in range(1, count) if room[number] >= least]

    def take(self, step: Step) -> None:
        """Nothing else may touch what this step marked."""
        for region in step.marked:
            wide = region.grown(2 * blend.REACH).clipped(self.size)
            wide.window(self.free)[wide.mask] = 0

    def fits(self, region: Region, panel: int) -> bool:
        """Whether all of a region is free and in this panel."""
        if not region.inside(self.size):
            return False
        room = region.window(self.free)
        coarse = slice(None, None, 8)
        if (room[coarse, coarse][region.mask[coarse, coarse]] != panel).any():
            return False
        return bool((room[region.mask] == panel).all())

    def shape(self, panel: int, area: float, rng: np.random.Generator) -> Region | None:
        """A region of about `area` pixels that shows something, free in `panel`: an object's where one is, else drawn."""
        shown = self.scene.panels[panel - 1]
        outlines = ("rectangle",) if shown.lanes else tuple(regions.OUTLINES)
        for region in regions.proposed(self.objects, shown.box, area, outlines, rng):
            if self.fits(region, panel) and regions.shows(region.window(self.before), region.mask):
                return region
        return None

    def place(
        self, moving: Motion, panel: int, source: np.ndarray, rng: np.random.Generator, taken: Sequence[Region] = ()
    ) -> Motion | None:
        """The motion's target moved to a free place in `panel`, apart from `taken`, whose surroundings are most like it."""
        rows, columns = (np.flatnonzero((self.free == panel).any(axis=axis)) for axis in (1, 0))
        height, width = moving.region.mask.shape
        if rows.size < height or columns.size < width:
            return None
        low = np.array([rows[0], columns[0]])
        high = np.maximum(low, [rows[-1] - height + 1, columns[-1] - width + 1]) + 1
        rim = Rim.of(motions.content(source, moving), moving.region.mask)
        kept_off = [other.grown(3 * blend.REACH) for other in taken]
        found: list[tuple[float, int, Motion]] = []
        for y, x in rng.integers(low, high, (5 * regions.TRIES, 2)).tolist():
            placed = motions.shifted(moving, y, x)
            if self.fits(placed.region, panel) and not any(meet(placed.region, other) for other in kept_off):
                found.append((rim.unlike(placed.region.window(self.after)), len(found), placed))
                if len(found) >= PLACES and (min(found)[0] < self.strange or len(found) == 3 * PLACES):
                    break
        return min(found)[2] if found and min(found)[0] < self.strange else None

    def paste(
        self, target: Region, content: Callable[[Region], np.ndarray], how: str, rng: np.random.Generator
    ) -> bool:
        """Blend what `content` brings into a rectangle over the target; False, and nothing done, where it would not show."""
        wide = target.padded(blend.REACH + 1).clipped(self.size)
        window = wide.window(self.after)
        pasted = blend.BLENDS[how](window, content(wide), wide.mask, rng)
        change = cv2.absdiff(pasted, window)[wide.mask].max(axis=1)
        if change.mean() < VISIBLE or np.median(change) < UNCHANGED:  # half of it would look as before
            return False
        window[:] = pasted
        return True


def meet(one: Region, other: Region) -> bool:
    """Whether two regions have a pixel in common."""
    y0, x0 = max(one.y, other.y), max(one.x, other.x)
    y1 = min(one.y + one.mask.shape[0], other.y + other.mask.shape[0])
    x1 = min(one.x + one.mask.shape[1], other.x + other.mask.shape[1])
    if y1 <= y0 or x1 <= x0:
        return False
    parts = [each.mask[y0 - each.y : y1 - each.y, x0 - each.x : x1 - each.x] for each in (one, other)]
    return bool((parts[0] & parts[1]).any())


class Rim(NamedTuple):
    """What is brought along the outline of a target, texture averaged out. at (h', w') bool; brought (K, 3) grey levels."""

    at: np.ndarray
    brought: np.ndarray

    @classmethod
    def of(cls, content: np.ndarray, mask: np.ndarray) -> Rim:
        """(h, w, 3) uint8 and (h, w) bool, the new content of a target's rectangle -> its rim."""
        size = tuple(min(side, RIM_CELLS) for side in mask.shape)
        small = np.pad((_reduced(mask.astype(np.uint8) * 255, size) >= 128).astype(np.uint8), 1)  # outside, beyond it
        at = (small > cv2.erode(small, np.ones((3, 3), np.uint8)))[1:-1, 1:-1]
        at = at if at.any() else np.ones(size, bool)
        return cls(at, _reduced(content, size)[at].astype(np.int16))

    def unlike(self, window: np.ndarray) -> float:
        """Mean difference, in grey levels, to what (h, w, 3) uint8, the target's rectangle, holds there now."""
        return float(np.abs(_reduced(window, self.at.shape)[self.at] - self.brought).mean())


def _reduced(pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """(h, w) or (h, w, 3) uint8 -> the same at a smaller `size`, averaged; of large ones not every pixel is looked at."""
    down, across = (max(1, side // (4 * RIM_CELLS)) for side in pixels.shape[:2])
    return images.resized(np.ascontiguousarray(pixels[::down, ::across]), size)
