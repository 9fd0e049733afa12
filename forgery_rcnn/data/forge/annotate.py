"""Puts letters, labels, scale bars, arrows and frames on panels that are drawn already."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from forgery_rcnn.data.forge import furniture
from forgery_rcnn.data.forge.furniture import HEADS, Colour, Face
from forgery_rcnn.data.forge.scene import Box, Panel

MOTLEY = 45.0  # contrast, in grey levels, from which neither black nor white can be read without a halo
BARS = ("", "", "50 µm", "100 µm", "20 µm", "10 µm", "200 µm", "5 µm")
HEADINGS = (
    ("DAPI", "GFP", "α-SMA", "CD31", "Ki67", "Actin", "Vimentin", "F4/80", "Merge"),
    ("Control", "siRNA-1", "siRNA-2", "Rescue", "shRNA", "Vector", "DMSO", "Mock", "OE"),
    ("0 h", "6 h", "12 h", "24 h", "48 h", "72 h", "96 h", "Day 7", "Day 14"),
    ("WT", "Het", "KO", "Sham", "Vehicle", "Model", "Low", "Mid", "High"),
)
COLOURS: tuple[Colour, ...] = ((255, 255, 255), (255, 235, 0), (235, 20, 20), (0, 0, 0), (0, 220, 60))


@dataclass(frozen=True)
class Sheet:
    """A figure in the making: canvas (H, W, 3) uint8 RGB and room (H, W) uint8, both drawn on in place."""

    canvas: np.ndarray
    room: np.ndarray

    def stamp(self, alpha: np.ndarray, corner: tuple[int, int], colour: Colour) -> None:
        """Blend colour in where alpha (h, w) uint8 lies with its upper left corner x y, and take the room there."""
        furniture.stamp(self.canvas, self.room, alpha, corner, colour)

    def stamp_readable(self, alpha: np.ndarray, corner: tuple[int, int]) -> None:
        """The same in white or black, whichever stands out there; with a halo on motley ground."""
        (x, y), (h, w) = corner, alpha.shape
        piece = self.canvas[max(y, 0) : y + h, max(x, 0) : x + w]
        if piece.size == 0:
            return
        bright, contrast = cv2.mean(piece)[1] > 135, float(piece[..., 1].std())
        if contrast > MOTLEY:
            halo = cv2.dilate(np.pad(alpha, 1), np.ones((3, 3), np.uint8))
            self.stamp(halo, (x - 1, y - 1), (255, 255, 255) if bright else (0, 0, 0))
        self.stamp(alpha, corner, (0, 0, 0) if bright else (255, 255, 255))


def letter(sheet: Sheet, box: Box, alpha: np.ndarray, patch: Colour | None) -> None:
    """Stamp a letter's alpha in the upper left corner of a panel, on a patch of paper or, for None, on the panel itself."""
    gap = max(3, alpha.shape[0] // 3)
    corner = box[0] + gap, box[1] + gap
    if patch is None:
        sheet.stamp_readable(alpha, corner)
        return
    side = alpha.shape[0] + 2 * gap
    sheet.stamp(np.full((side, max(side, alpha.shape[1] + 2 * gap)), 255, np.uint8), (box[0], box[1]), patch)
    sheet.stamp_readable(alpha, corner)


def scatter(sheet: Sheet, panels: tuple[Panel, ...], em: int, face: Face, rng: np.random.Generator) -> None:
    """Draw scale bars, arrows, asterisks and dashed frames on the image panels: each kind on some figures."""
    images = [panel.box for panel in panels if panel.kind == "image"]
    if not images:
        return
    if rng.random() < 0.5:
        _scale_bars(sheet, images, em, face, rng)
    if rng.random() < 0.35:
        _arrows(sheet, images, em, rng)
    if rng.random() < 0.1:
        _asterisks(sheet, images, em, rng)
    if rng.random() < 0.12:
        _frames(sheet, images, rng)


def _scale_bars(sheet: Sheet, boxes: list[Box], em: int, face: Face, rng: np.random.Generator) -> None:
    """One bar, repeated on all panels or on the last one only."""
    width = min(x1 - x0 for x0, _, x1, _ in boxes)
    high = int(np.clip(round(0.75 * em), 6, width // 9))
    name = BARS[rng.integers(len(BARS))]
    bar = furniture.scale_bar(round(rng.uniform(0.14, 0.28) * width), max(2, round(high / 4)), name, high, face)
    gap, right = max(4, round(0.045 * width)), rng.random() < 0.8
    for x0, _, x1, y1 in boxes if rng.random() < 0.65 else boxes[-1:]:
        x = x1 - gap - bar.shape[1] if right else x0 + gap
        sheet.stamp_readable(bar, (x, y1 - gap - bar.shape[0]))


def words(group: tuple[str, ...], count: int, rng: np.random.Generator) -> list[str]:
    """-> `count` words of the group, in its order: time runs on, controls come first and merges last."""
    return [group[number] for number in np.sort(rng.choice(len(group), count, replace=False))]


def labels(sheet: Sheet, panels: tuple[Panel, ...], em: int, face: Face, rng: np.random.Generator) -> None:
    """Write a word in the upper right corner of each image panel."""
    boxes = [panel.box for panel in panels if panel.kind == "image"]
    named = words(HEADINGS[rng.integers(len(HEADINGS))], len(boxes), rng)
    for (x0, y0, x1, _), word in zip(boxes, named, strict=True):
        alpha = furniture.fitted(word, round(0.85 * em), (x1 - x0) // 2)
        sheet.stamp_readable(alpha, (x1 - alpha.shape[1] - max(4, em // 2), y0 + max(4, em // 2)))


def _arrows(sheet: Sheet, boxes: list[Box], em: int, rng: np.random.Generator) -> None:
    """The same arrow at several places, in one direction or in any."""
    length, head = round(rng.uniform(1.3, 3.2) * em), HEADS[rng.integers(len(HEADS))]
    length = round(0.6 * length) if head == "head" else length
    colour, turn = COLOURS[rng.integers(len(COLOURS))], rng.uniform(-np.pi, np.pi)
    one_way = rng.random() < 0.5
    for box in boxes:
        for _ in range(rng.integers(0, 4)):
            own = turn if one_way else rng.uniform(-np.pi, np.pi)
            _place(sheet, box, furniture.arrow(length, own, head), colour, rng)


def _asterisks(sheet: Sheet, boxes: list[Box], em: int, rng: np.random.Generator) -> None:
    star, colour = furniture.text("*", round(1.4 * em), "bold"), COLOURS[rng.integers(len(COLOURS))]
    for box in boxes:
        for _ in range(rng.integers(0, 4)):
            _place(sheet, box, star, colour, rng)


def _frames(sheet: Sheet, boxes: list[Box], rng: np.random.Generator) -> None:
    """A dashed or solid frame around a region of interest."""
    colour, line = COLOURS[rng.integers(len(COLOURS))], max(1, round(min(sheet.room.shape) / 400))
    for x0, y0, x1, y1 in boxes[: rng.integers(1, 4)]:
        h, w = (round(rng.uniform(0.22, 0.45) * side) for side in (y1 - y0, x1 - x0))
        alpha = furniture.frame((h, w), line, int(rng.choice((4 * line, 6 * line, 0))))
        _place(sheet, (x0, y0, x1, y1), alpha, colour, rng)


def _place(sheet: Sheet, box: Box, alpha: np.ndarray, colour: Colour, rng: np.random.Generator) -> None:
    """Stamp alpha at a place in the box that is all room and of another shade; nowhere if eight tries find none."""
    (x0, y0, x1, y1), (h, w) = box, alpha.shape
    if h >= y1 - y0 or w >= x1 - x0:
        return
    for _ in range(8):
        x, y = int(rng.integers(x0, x1 - w)), int(rng.integers(y0, y1 - h))
        ground = np.array(cv2.mean(sheet.canvas[y : y + h, x : x + w])[:3])
        if np.abs(ground - colour).max() > 90 and sheet.room[y : y + h, x : x + w].all():
            sheet.stamp(alpha, (x, y), colour)
            return
