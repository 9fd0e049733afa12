"""Composes a figure before anything is forged: panels on a page, then letters, headings, bars and arrows over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from forgery_rcnn.data.forge import annotate, furniture, repeats
from forgery_rcnn.data.forge.annotate import HEADINGS, Sheet
from forgery_rcnn.data.forge.blots import blot, gel
from forgery_rcnn.data.forge.charts import chart
from forgery_rcnn.data.forge.furniture import FACES, Colour, Face
from forgery_rcnn.data.forge.page import SMALLEST, Page, Spaces, divide
from forgery_rcnn.data.forge.scene import Box, Kind, Panel, Scene, View

BORDER = 8  # pixels along a panel's border without forgeries
LANE_BORDER = 3  # pixels along a strip's edges: it is too low for more
TWINS = 0.32  # of figures get an authentic near-repetition where images allow it: about a quarter of all
Place = Literal["inside", "outside", "none"]


@dataclass(frozen=True)
class Style:
    """What is the same all over a figure. em: height of capitals, px; headed: sides of the page with headings."""

    em: int
    face: Face
    letters: Place
    alphabet: str
    paper: Colour
    headed: frozenset[str]

    @property
    def ink(self) -> Colour:
        """Colour of text on the paper."""
        return (255, 255, 255) if sum(self.paper) < 300 else (0, 0, 0)


def compose(size: tuple[int, int], view: View, rng: np.random.Generator) -> Scene:
    """(H, W) -> a figure of 2..9 panels, 0..255 RGB; of one plain panel where two of 96 px do not fit."""
    kinds_of = ("image", "mixed", "drawn")[rng.choice(3, p=(0.62, 0.3, 0.08))]
    style = _style(size, kinds_of == "image", rng)
    page = divide(size, _spaces(size, style, rng), rng)
    if page is None:
        return _single(size, view)
    sheet = Sheet(np.full((*size, 3), style.paper, np.uint8), np.zeros(size, np.uint8))
    kinds = _kinds(page, kinds_of, rng)
    twins = _twins(sheet, page, kinds, view, rng) if rng.random() < TWINS else {}
    panels = []
    for number, (box, kind) in enumerate(zip(page.boxes, kinds, strict=True)):
        panels.append(twins[number] if number in twins else _panel(sheet, box, kind, number, view, rng))
    bare = sheet.canvas.copy()
    _letters(sheet, page, style, rng)
    _headings(sheet, page, style, rng)
    if not style.headed and rng.random() < 0.18:
        annotate.labels(sheet, tuple(panels), style.em, style.face, rng)
    annotate.scatter(sheet, tuple(panels), round(0.9 * style.em), style.face, rng)
    return Scene(sheet.canvas, sheet.room, tuple(panels), bare)


def decorate(scene: Scene, rng: np.random.Generator) -> Scene:
    """-> the scene, on 4 of 10 figures with a letter, a scale bar or arrows over its panels; its own arrays stay as they are."""
    if rng.random() > 0.4 or min(scene.room.shape) < SMALLEST:
        return scene
    sheet = Sheet(scene.canvas.copy(), scene.room.copy())
    em, face = _em(scene.room.shape, rng), FACES[rng.integers(len(FACES))]
    if rng.random() < 0.4:
        for panel, letter in zip(scene.panels, rng.permutation(list("ABCDEFGHI")), strict=False):
            annotate.letter(sheet, panel.box, furniture.text(str(letter), em, face), None)
    else:
        annotate.scatter(sheet, scene.panels, em, face, rng)
    return Scene(sheet.canvas, sheet.room, scene.panels, scene.bare)


def _em(size: tuple[int, ...], rng: np.random.Generator) -> int:
    return int(np.clip(round(rng.uniform(0.017, 0.03) * (size[0] * size[1]) ** 0.5), 8, 90))


def _style(size: tuple[int, int], images: bool, rng: np.random.Generator) -> Style:
    shade = int(rng.choice((255, 0, 225), p=(0.86, 0.07, 0.07))) if images else 255
    places: tuple[Place, ...] = ("inside", "outside", "none")
    # Charts and blots reach into their corners: their letters stand outside.
    letters = places[rng.choice(3, p=(0.5, 0.35, 0.15) if images else (0, 0.85, 0.15))]
    sides = [side for side in ("top", "left") if images and letters != "outside" and rng.random() < 0.4]
    alphabet = str(rng.choice(("ABCDEFGHI", "abcdefghi"), p=(0.7, 0.3)))
    return Style(_em(size, rng), FACES[rng.integers(len(FACES))], letters, alphabet, (shade,) * 3, frozenset(sides))


def _spaces(size: tuple[int, int], style: Style, rng: np.random.Generator) -> Spaces:
    gutter = int(np.clip(round(rng.uniform(0.003, 0.018) * (size[0] * size[1]) ** 0.5), 2, 20))
    line = round(1.7 * style.em)
    band = round(1.5 * style.em) if style.letters == "outside" else 0
    return Spaces(gutter, band, line if "top" in style.headed else 0, line if "left" in style.headed else 0)


def _single(size: tuple[int, int], view: View) -> Scene:
    pixels, host = view(size)
    sheet = Sheet(pixels.copy(), np.zeros(size, np.uint8))
    box = (0, 0, size[1], size[0])
    _open(sheet, box, 1, BORDER)
    return Scene(sheet.canvas, sheet.room, (Panel(box, "image", host),), sheet.canvas)


def _kinds(page: Page, kinds_of: str, rng: np.random.Generator) -> list[Kind]:
    """-> each panel's kind; never charts alone."""
    names: tuple[Kind, ...] = ("image", "blot", "gel", "chart")
    shares = {"image": (1, 0, 0, 0), "mixed": (0.45, 0.2, 0.08, 0.27), "drawn": (0, 0.55, 0.2, 0.25)}[kinds_of]
    kinds = [names[number] for number in rng.choice(4, len(page.boxes), p=shares)]
    if set(kinds) == {"chart"}:
        kinds[rng.integers(len(kinds))] = "image" if kinds_of == "mixed" else "blot"
    return kinds


def _open(sheet: Sheet, box: Box, number: int, border: int) -> None:
    """Gives room in the box, but for its border, to panel `number` (from 1)."""
    x0, y0, x1, y1 = box
    sheet.room[y0 + border : max(y0, y1 - border), x0 + border : max(x0, x1 - border)] = number


def _panel(sheet: Sheet, box: Box, kind: Kind, number: int, view: View, rng: np.random.Generator) -> Panel:
    """Draws panel `number` (from 0) and opens its room."""
    x0, y0, x1, y1 = box
    place, size = (slice(y0, y1), slice(x0, x1)), (y1 - y0, x1 - x0)
    if kind == "image":
        sheet.canvas[place], host = view(size)
        _open(sheet, box, number + 1, BORDER)
        return Panel(box, kind, host)
    if kind == "chart":
        sheet.canvas[place] = chart(size, rng)
        return Panel(box, kind)
    sheet.canvas[place], inner = blot(size, rng) if kind == "blot" else gel(size, rng)
    lanes = tuple((a + x0, b + y0, c + x0, d + y0) for a, b, c, d in inner)
    left, right = max(lanes[0][0] + LANE_BORDER, x0 + BORDER), min(lanes[-1][2] - LANE_BORDER, x1 - BORDER)
    for top, bottom in {(lane[1], lane[3]) for lane in lanes}:  # lanes fill their strip
        sheet.room[top + LANE_BORDER : bottom - LANE_BORDER, left:right] = number + 1
    sheet.room[y0 : y0 + BORDER, x0:x1] = sheet.room[y1 - BORDER : y1, x0:x1] = 0
    return Panel(box, kind, lanes=lanes)


def _twins(sheet: Sheet, page: Page, kinds: list[Kind], view: View, rng: np.random.Generator) -> dict[int, Panel]:
    """Draws one group of panels that repeat a field legitimately, if another panel is left for a forgery; by number."""
    runs, first = [], 0
    for row in page.rows:
        for start in range(first, first + len(row)):
            runs += [range(start, stop) for stop in range(start + 1, min(start + 4, first + len(row)) + 1)]
        first += len(row)
    images = [run for run in runs if all(kinds[number] == "image" for number in run)]
    images = [run for run in images if any(k != "chart" for n, k in enumerate(kinds) if n not in run)]
    if not images:
        return {}
    lengths = sorted({len(run) for run in images})
    length = lengths[rng.integers(len(lengths))]  # short runs are many, all lengths are to be as frequent
    fitting = [run for run in images if len(run) == length]
    run = fitting[rng.integers(len(fitting))]
    boxes = [page.boxes[number] for number in run]
    size = max(y1 - y0 for _, y0, _, y1 in boxes), max(x1 - x0 for x0, _, x1, _ in boxes)
    field, host = view(size)
    for (x0, y0, x1, y1), pixels in zip(boxes, _repeated(sheet, field, boxes, rng), strict=True):
        sheet.canvas[y0:y1, x0:x1] = pixels[: y1 - y0, : x1 - x0]
    return {number: Panel(box, "image", host) for number, box in zip(run, boxes, strict=True)}


def _repeated(sheet: Sheet, field: np.ndarray, boxes: list[Box], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """-> one picture per box, all of the same field: an inset, exposures, channels or an enlargement."""
    if len(boxes) == 1:
        return (repeats.inset(field, rng),)
    (x, y, x1, y1), target = boxes[:2]
    if len(boxes) == 2 and target[0] > x and rng.random() < 0.5:
        colour = repeats.visible(field, rng)
        beside = target[0] - x, target[1] - y, target[2] - x, target[3] - y
        framed, large, origin = repeats.zoom(field[: y1 - y, : x1 - x], beside, colour, rng)
        # Here for what shows between the panels; zoom() has drawn the rest, which is laid over it.
        repeats.connect(sheet.canvas, (origin[0] + x, origin[1] + y, origin[2] + x, origin[3] + y), target, colour)
        return framed, large
    if rng.random() < 0.6:
        return repeats.channels(field, len(boxes), rng)
    return (field, *(repeats.exposure(field, rng) for _ in boxes[1:]))


def _letters(sheet: Sheet, page: Page, style: Style, rng: np.random.Generator) -> None:
    """Writes a letter per panel, or per row of a grid, in the panels' corners or over them."""
    if style.letters == "none":
        return
    boxes = [row[0] for row in page.rows] if page.even and rng.random() < 0.3 else page.boxes
    patch = style.paper if rng.random() < 0.2 else None
    for name, box in zip(style.alphabet, boxes, strict=False):
        alpha = furniture.text(name, style.em, style.face)
        if style.letters == "inside":
            annotate.letter(sheet, box, alpha, patch)
        else:
            sheet.stamp(alpha, (box[0], box[1] - round(1.25 * style.em)), style.ink)


def _headings(sheet: Sheet, page: Page, style: Style, rng: np.random.Generator) -> None:
    """Writes a heading over each column of a grid, and one beside each row, turned."""
    if not page.even:
        return
    em, gap = round(0.8 * style.em), max(2, style.em // 3)
    over, by = rng.permutation(len(HEADINGS))[:2]
    above = annotate.words(HEADINGS[over], len(page.rows[0]), rng)
    beside = annotate.words(HEADINGS[by], len(page.rows), rng)
    if "top" in style.headed:
        for (x0, y0, x1, _), word in zip(page.rows[0], above, strict=True):
            alpha = furniture.fitted(word, em, x1 - x0, style.face)
            sheet.stamp(alpha, ((x0 + x1 - alpha.shape[1]) // 2, y0 - gap - alpha.shape[0]), style.ink)
    if "left" in style.headed:
        for row, word in zip(page.rows, beside, strict=True):
            x0, y0, _, y1 = row[0]
            alpha = np.rot90(furniture.fitted(word, em, y1 - y0, style.face))
            sheet.stamp(alpha, (x0 - gap - alpha.shape[1], (y0 + y1 - alpha.shape[0]) // 2), style.ink)
