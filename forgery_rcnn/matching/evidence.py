"""What was found in a folder, as a table, as JSON, and in words."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import cv2
import numpy as np

from forgery_rcnn import rle, tables
from forgery_rcnn.errors import printable
from forgery_rcnn.instances import Instances
from forgery_rcnn.matching.examined import Examined
from forgery_rcnn.matching.pairs import Pair, parts_of

HEADER = (
    *("pair", "image_a", "image_b", "panel_a", "panel_b"),
    *(f"{side}_{edge}" for side in "ab" for edge in ("x0", "y0", "x1", "y1", "area")),
    *("turn_degrees", "scale", "mirrored", "matrix_xx", "matrix_xy", "matrix_x", "matrix_yx", "matrix_yy", "matrix_y"),
    *("inliers", "correlation", "told_by", "chance", "score", "original", "found_by", "picture"),
)
"""Columns of the table. Boxes in pixels, x1 y1 exclusive, areas in pixels; matrix: a -> b; told_by: pixels = equal
pixel for pixel, likeness, grain = not alike enough, but with the same noise; original: a, b or undecided."""
SIDES = {"first": "a", "second": "b", "undecided": "undecided"}
TOLD = {"pixels": ["pixel for pixel"], "grain": ["with the same grain"], "likeness": []}
UPRIGHT, SAME = 1.0, 0.02  # degrees, share: a smaller turn or change of size is not worth a word


@dataclass(frozen=True)
class Link:
    """A pair, and where its regions lie: in one file or in two. `pair.first` is in the pixels of `a`, `pair.second` of `b`.

    number: from 1 in this run; picture: its file's path below the output folder, "" = not drawn.
    """

    number: int
    a: Examined
    b: Examined
    pair: Pair
    picture: str = ""


@dataclass(frozen=True)
class Evidence:
    """A run's answer. files: those that could be read; refused: a line for each that could not; unseen: files that it did not
    come to; unheld: why images were not, or not all, held against each other, a clause; settings: as JSON takes them; excused: of
    two files that share no region, why what is alike in them is no reuse; left_out: figures in formats that are not read."""

    folder: str
    files: tuple[Examined, ...]
    links: tuple[Link, ...]
    refused: tuple[str, ...] = ()
    unseen: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    unheld: str = ""
    excused: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    left_out: str = ""

    def within(self, name: str) -> list[Link]:
        """The links inside one file."""
        return [link for link in self.links if link.a.name == link.b.name == name]

    def between(self) -> dict[tuple[str, str], list[Link]]:
        """Links from file to file, by the names of both."""
        found: dict[tuple[str, str], list[Link]] = {}
        for link in self.links:
            if link.a.name != link.b.name:
                found.setdefault((link.a.name, link.b.name), []).append(link)
        return found

    def clean(self) -> list[Examined]:
        """The files in which nothing was found, and that share nothing with another, excused or not."""
        flagged = {name for link in self.links for name in (link.a.name, link.b.name)} | {*chain(*self.excused)}
        return [file for file in self.files if file.name not in flagged]

    def verdict(self) -> str:
        """One line."""
        inside = {link.a.name for link in self.links if link.a.name == link.b.name}
        pairs = len(self.between())
        said = (
            f"{len(inside)} of {_count(len(self.files), 'image')} {_one(len(inside), 'holds', 'hold')} a region twice, "
        )
        said += (
            f"{_count(pairs, 'pair')} of images {_one(pairs, 'shares', 'share')} a region, "
            if pairs or not self.unheld
            else ""
        )
        said += f"{_count(len(self.excused), 'pair')} taken for one field, shown twice, " if self.excused else ""
        said += f"nothing found in {len(self.clean())}"
        said += f"; {len(self.refused)} could not be read" if self.refused else ""
        said += f"; {self.unseen} not looked at: stopped before" if self.unseen else ""
        return said + (f"; {self.unheld}" if self.unheld else "")


def _one(count: int, one: str, more: str) -> str:
    return one if count == 1 else more


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def phrase(link: Link) -> str:
    """A link in words and numbers, its regions called A and B.

    E.g. "B is a copy of A, turned by 90 degrees anticlockwise, correlation 0.98, chance 1e-06".
    """
    pair = link.pair
    # Of equal pixels too the correlation is below 1, as its windows reach what stands beside them.
    measured = [] if pair.told_by == "pixels" else [f"correlation {pair.correlation:.2f}"]
    return ", ".join([relation(link), *measured, f"chance {chance(pair.chance)}"])


def relation(link: Link) -> str:
    """A link in words alone, e.g. "A and B are the same, pixel for pixel, B mirrored left to right"."""
    pair, parts = link.pair, parts_of(link.pair.matrix)
    start = {"first": "B is a copy of A", "second": "A is a copy of B"}.get(pair.original, "A and B are the same")
    words = [start, *TOLD[pair.told_by]]
    if parts.mirrored and abs(parts.turn) > 180 - UPRIGHT:
        words.append("B mirrored top to bottom")
        parts = replace(parts, turn=0.0)
    elif parts.mirrored:
        words.append("B mirrored left to right" if abs(parts.turn) < UPRIGHT else "B mirrored left to right, then")
    if abs(parts.turn) >= UPRIGHT:
        turned = f"turned by {abs(parts.turn):.0f} degrees {'anti' if parts.turn > 0 else ''}clockwise"
        words = [*words[:-1], f"{words[-1]} {turned}"] if parts.mirrored else [*words, f"B {turned}"]
    if abs(parts.scale - 1) >= SAME:
        words.append(f"B {parts.scale:.2f} times as large")
    return ", ".join(words)


def chance(value: float) -> str:
    """A probability, short.

    >>> chance(0.0123), chance(3.2e-9), chance(0.0)
    ('0.01', '3e-09', 'below 1e-300')
    """
    return "below 1e-300" if value <= 0 else f"{value:.1g}"


def panel_of(file: Examined, runs: rle.Runs) -> int:
    """The panel, from 1, that holds the middle of a region, or the nearest one."""
    x0, y0, x1, y1 = Instances(file.size, (runs,)).boxes()[0].tolist()
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    low, high = file.panels[:, :2], file.panels[:, 2:]
    return int(np.argmin(np.maximum(np.maximum(low - middle, middle - high), 0).sum(axis=1))) + 1


def rows(links: Sequence[Link]) -> list[list[object]]:
    """-> the table's rows, see HEADER."""
    return [_row(link) for link in links]


def _row(link: Link) -> list[object]:
    pair, parts = link.pair, parts_of(link.pair.matrix)
    cells: list[object] = [link.number, link.a.name, link.b.name]
    cells += [panel_of(link.a, pair.first), panel_of(link.b, pair.second)]
    for file, runs in ((link.a, pair.first), (link.b, pair.second)):
        cells += [*Instances(file.size, (runs,)).boxes()[0].tolist(), int(runs[:, 1].sum())]
    cells += [round(parts.turn, 2), round(parts.scale, 4), _yes(parts.mirrored)]
    cells += [round(float(value), 6) for value in np.asarray(pair.matrix).ravel()]
    cells += [pair.inliers, round(pair.correlation, 4), pair.told_by]
    cells += [float(f"{pair.chance:.3g}"), round(pair.score, 4)]
    return [*cells, SIDES[pair.original], pair.found_by, link.picture]


def _yes(said: bool) -> str:
    return "yes" if said else "no"


def to_csv(found: Evidence) -> str:
    """The links as a table that a spreadsheet opens; no cell is taken for a formula."""
    return tables.text(HEADER, rows(found.links))


def to_json(found: Evidence) -> str:
    """Everything, for programs: links with outlines, every file with what was not looked at in it, settings, versions."""
    report = {
        "version": 1,
        "folder": found.folder,
        "verdict": found.verdict(),
        "versions": found.versions,
        "settings": found.settings,
        "excused": [{"image_a": a, "image_b": b, "why": list(why)} for (a, b), why in found.excused.items()],
        "pairs": [_linked(link) for link in found.links],
        "images": [_told(found, file) for file in found.files],
        "not_read": list(found.refused),
        "not_looked_at": found.unseen,
        "left_out": found.left_out,
        "not_held_together": found.unheld,
    }
    return json.dumps(_finite(report), indent=1, allow_nan=False) + "\n"


def _linked(link: Link) -> dict[str, Any]:
    told = dict(zip(HEADER, _row(link), strict=True))
    outlines = {
        f"outlines_{side}": outlines_of(runs, file.size)
        for side, file, runs in (("a", link.a, link.pair.first), ("b", link.b, link.pair.second))
    }
    return told | {"matrix": np.asarray(link.pair.matrix).tolist()} | outlines | {"words": phrase(link)}


def _told(found: Evidence, file: Examined) -> dict[str, Any]:
    mine = [link.number for link in found.links if file.name in (link.a.name, link.b.name)]
    return {
        "image": file.name,
        "height": file.size[0],
        "width": file.size[1],
        "panels": file.panels.tolist(),
        "pairs": mine,
        "left_out": left_out(file),
    }


def left_out(file: Examined) -> list[str]:
    """What was not looked at in a file, or excused, a few words each."""
    share = int(file.ignored[:, 1].sum()) / max(1, file.size[0] * file.size[1])
    words = [f"{100 * share:.1f} % of it, taken for text, lines or empty margin"] if share >= 0.001 else []
    return [*words, *(printable(note) for note in file.notes)]


def outlines_of(runs: rle.Runs, size: tuple[int, int]) -> list[list[list[int]]]:
    """Runs -> polygons, x y of the outermost pixels' centres, one for each part of the region and for each hole in it."""
    if not len(runs):
        return []
    x0, y0, x1, y1 = Instances(size, (runs,)).boxes()[0].tolist()
    mask = rle.mask_of(rle.cut(runs, size, (x0, y0, x1, y1)), (y1 - y0, x1 - x0)).astype(np.uint8)
    found, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(x0, y0))
    return [polygon[:, 0].tolist() for polygon in found]


def _finite(value: Any) -> Any:
    """The same without NaN and infinity, which JSON cannot hold: null in their place."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
