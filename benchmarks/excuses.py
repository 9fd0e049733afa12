#!/usr/bin/env python3
"""What is alike and no forgery, and its forged counterpart: channels beside their merge, two exposures, round fields and sections, whose
outlines are alike, a field and its segmentation; a panel that was used twice, with marks over it or with a place of it replaced, and a
copy within a round field.

PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE python benchmarks/excuses.py docs/results/excuses.md --hosts DIR       (some 15 minutes)

Crops of the hosts that the finder's judgement was not fitted on, though the excuses were built with such figures of them in view. A *merge*
is a field in one colour and another field's brightest parts, or patches of them, in another; its channels stand beside it in colours
or grey. An *exposure* has another gain and gamma, new grain, moved by under 1.5 px. *Used twice*: among four panels, one with
arrows, asterisks or letters of one colour. *Round fields* show what lies in a circle, on white or black or within a dark ring,
*sections* what lies in an uneven outline. A *segmentation* is two to seven ellipses of one colour, 25 to 65 % of it, over the field.
*Replaced* is an ellipse by another place of the same panel, all panels in colour. Flagged are figures in which the twin finder
reports a pair; 95 % intervals (Wilson).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matching_cases
import numpy as np
import planting

from forgery_rcnn.bootstrap import wilson
from forgery_rcnn.cli import command
from forgery_rcnn.data import images
from forgery_rcnn.data.forge import furniture, repeats
from forgery_rcnn.errors import InputError
from forgery_rcnn.matching import finder
from forgery_rcnn.matching_config import MatchingConfig

TREATMENTS = ("none", "jpeg 70", "half the pixels")
COLOURS = tuple(np.float32(colour) for colour in ((0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (0, 1, 1), (1, 1, 0)))
MARKS = ((255, 255, 0), (235, 20, 20), (0, 220, 60), (0, 255, 255), (255, 0, 255), (255, 255, 255))
SIDES = (220, 360)  # px of a panel
PLAIN = 12.0  # levels of deviation below which a crop shows too little
TRIES = 20  # crops of a set
ENLARGED = 1.6  # at most, where a host is smaller than a panel


@dataclass
class Crops:
    """Where panels are cut from: each set of hosts as likely as any other."""

    sets: Sequence[Sequence[Path]]

    def cut(self, count: int, rng: np.random.Generator) -> list[np.ndarray]:
        """-> so many (h, w, 3) uint8 of one size, each from another set, that show something."""
        size, found = (int(rng.integers(*SIDES)), int(rng.integers(*SIDES))), []
        for number in rng.permutation(len(self.sets)):
            paths = self.sets[number]
            tried = (_piece(images.read(paths[rng.integers(len(paths))]).pixels, size, rng) for _ in range(TRIES))
            found += itertools.islice((piece for piece in tried if piece is not None), 1)
            if len(found) == count:
                return found
        raise InputError(
            f"hosts: fewer than {count} sets have pictures of {size[1]} x {size[0]} px that show something; give more"
        )


def _piece(pixels: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray | None:
    """-> a crop; None where the picture is too small or all but empty."""
    grown = max(1.0, *(side / own for side, own in zip(size, pixels.shape[:2], strict=True)))
    if grown > ENLARGED:
        return None
    height, width = (max(side, round(own * grown)) for side, own in zip(size, pixels.shape[:2], strict=True))
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
    y, x = int(rng.integers(height - size[0] + 1)), int(rng.integers(width - size[1] + 1))
    piece = pixels[y : y + size[0], x : x + size[1]]
    return piece if piece.std() >= PLAIN else None


def laid_out(panels: Sequence[np.ndarray], columns: int, ground: int, rng: np.random.Generator) -> np.ndarray:
    """Panels of one size, row by row, between gutters of 4 to 12 px."""
    gap = int(rng.integers(4, 13))
    cells = [cv2.copyMakeBorder(p, gap, 0, gap, 0, cv2.BORDER_CONSTANT, value=(ground,) * 3) for p in panels]
    page = np.vstack([np.hstack(cells[at : at + columns]) for at in range(0, len(cells), columns)])
    return cv2.copyMakeBorder(page, 0, gap, 0, gap, cv2.BORDER_CONSTANT, value=(ground,) * 3)


def light(piece: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 -> (h, w) float32 in 0..1, what shines on black."""
    grey = cv2.cvtColor(piece, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    grey = 1 - grey if grey.mean() > 0.5 else grey
    low, high = np.percentile(grey, (25, 99.7))
    return np.clip((grey - low) / max(high - low, 0.05), 0, 1)


def merge(crops: Crops, rng: np.random.Generator, ground: int) -> np.ndarray:
    first, second = (light(piece) for piece in crops.cut(2, rng))
    kind = rng.choice(["whole", "sparse", "patches"])
    if kind == "sparse":
        least = float(np.quantile(second, 0.97))
        second = np.clip((second - least) / max(1 - least, 1e-3), 0, 1)
    elif kind == "patches":
        place = np.zeros(second.shape, np.float32)
        for _ in range(rng.integers(1, 5)):
            at = (int(rng.integers(place.shape[1])), int(rng.integers(place.shape[0])))
            cv2.circle(place, at, int(rng.integers(8, 40)), 1.0, cv2.FILLED)
        second = second * cv2.GaussianBlur(place, (0, 0), 4)
    one, other = (COLOURS[number] for number in rng.permutation(len(COLOURS))[:2])
    both = np.clip(255 * (first[..., None] * one + second[..., None] * other), 0, 255)
    grey = rng.random() < 0.4
    channels = [255 * v[..., None] * (np.ones(3) if grey else c) for v, c in ((first, one), (second, other))]
    panels = [*channels, both] if rng.random() < 0.6 else [channels[0], both]
    return laid_out([np.round(panel).astype(np.uint8) for panel in panels], len(panels), ground, rng)


def white_gutters(crops: Crops, rng: np.random.Generator) -> np.ndarray:
    return merge(crops, rng, 255)


def black_gutters(crops: Crops, rng: np.random.Generator) -> np.ndarray:
    return merge(crops, rng, 0)


def exposures(crops: Crops, rng: np.random.Generator) -> np.ndarray:
    own, *others = crops.cut(3, rng)
    panels = [own, repeats.exposure(own, rng), *others]
    return laid_out([panels[number] for number in rng.permutation(4)], 2, 255, rng)


def used_twice(crops: Crops, rng: np.random.Generator) -> np.ndarray:
    own, *others = crops.cut(3, rng)
    marked, high = own.copy(), int(rng.integers(14, 24))
    colour, kind = MARKS[rng.integers(len(MARKS))], rng.choice(["arrow", "*", "A"])
    for _ in range(rng.integers(1, 6)):
        head = furniture.HEADS[rng.integers(len(furniture.HEADS))]
        alpha = furniture.arrow(round(rng.uniform(1.3, 3.2) * high), rng.uniform(-np.pi, np.pi), head)
        alpha = alpha if kind == "arrow" else furniture.text(str(kind), round(1.6 * high), "bold")
        at = (int(rng.integers(own.shape[1] - alpha.shape[1])), int(rng.integers(own.shape[0] - alpha.shape[0])))
        furniture.stamp(marked, np.ones(own.shape[:2], np.uint8), alpha, at, colour)
    panels = [own, marked, *others]
    return laid_out([panels[number] for number in rng.permutation(4)], 2, 255, rng)


def outlined(piece: np.ndarray, uneven: float, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8 -> the same, only what lies in a circle, or in a section of uneven outline; no grain beyond it."""
    height, width = piece.shape[:2]
    y, x = np.indices((height, width)) - np.array([height - 1, width - 1])[:, None, None] / 2
    turn, radius = np.arctan2(y, x), 0.47 * min(height, width)
    waves = [np.cos(number * turn + rng.uniform(0, 2 * np.pi)) / number for number in (2, 3, 5)]
    off = np.hypot(x, y) - radius * (1 - uneven * (1 + sum(waves)))
    soft, kind = rng.uniform(0.4, 1.2), rng.choice(["white", "black", "ringed"])
    ring = rng.uniform(2, 4) if kind == "ringed" else 0.0
    pixels = planting.cut_out(piece, off, 0 if kind == "black" else 250, soft, ring)
    grain = rng.normal(0, 0.7, (height, width, 1))
    return np.clip(np.round(pixels + grain), 0, 255).astype(np.uint8)


def round_field(crops: Crops, rng: np.random.Generator) -> np.ndarray:
    return outlined(crops.cut(1, rng)[0], 0.0, rng)


def two_round_fields(crops: Crops, rng: np.random.Generator) -> np.ndarray:
    return laid_out([outlined(piece, 0.0, rng) for piece in crops.cut(2, rng)], 2, 255, rng)


def section(crops: Crops, rng: np.random.Generator) -> np.ndarray:
    return outlined(crops.cut(1, rng)[0], 0.07, rng)


def copied_within(crops: Crops, rng: np.random.Generator) -> np.ndarray:
    """An ellipse, half as wide as the field is from its middle to the rim, moved to the other side of the middle and turned."""
    piece = crops.cut(1, rng)[0]
    height, width = piece.shape[:2]
    middle, reach = np.array([width - 1, height - 1]) / 2, 0.22 * min(height, width)
    way = reach * np.array([np.cos(turn := rng.uniform(0, 2 * np.pi)), np.sin(turn)])
    matrix = cv2.getRotationMatrix2D(tuple(middle - way), float(rng.uniform(-40, 40)), 1.0)
    matrix[:, 2] += 2 * way
    place, axes = np.zeros((height, width), np.float32), (round(0.8 * reach), round(0.6 * reach))
    cv2.ellipse(place, np.round(middle + way).astype(int).tolist(), axes, 0.0, 0.0, 360.0, 1.0, cv2.FILLED)
    place = cv2.GaussianBlur(place, (0, 0), 1)[..., None]
    moved = cv2.warpAffine(piece, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return outlined(np.round(piece * (1 - place) + moved * place).astype(np.uint8), 0.0, rng)


def ellipses(size: tuple[int, ...], count: int, rng: np.random.Generator) -> np.ndarray:
    """-> (h, w, 1) float32 in 0..1."""
    place = np.zeros(size[:2], np.float32)
    for _ in range(count):
        at, axes = [int(rng.integers(25, side - 25)) for side in size[1::-1]], rng.integers(9, 25, 2).tolist()
        cv2.ellipse(place, at, axes, float(rng.integers(180)), 0.0, 360.0, 1.0, cv2.FILLED)
    return cv2.GaussianBlur(place, (0, 0), 0.7)[..., None]


def segmented(crops: Crops, rng: np.random.Generator) -> np.ndarray:
    (own,) = crops.cut(1, rng)
    place = ellipses(own.shape, int(rng.integers(2, 8)), rng) * rng.uniform(0.25, 0.65)
    shaded = own * (1 - place) + 255 * place * COLOURS[rng.integers(len(COLOURS))]
    return laid_out([own, np.round(shaded).astype(np.uint8)], 2, 255, rng)


def replaced(crops: Crops, rng: np.random.Generator) -> np.ndarray:
    own, *others = (np.round(piece * rng.uniform(0.6, 1.0, 3)).astype(np.uint8) for piece in crops.cut(3, rng))
    place = ellipses(own.shape, 1, rng)
    moved = np.roll(own, rng.integers(40, np.array(own.shape[:2]) - 40), axis=(0, 1))
    panels = [own, np.round(own * (1 - place) + moved * place).astype(np.uint8), *others]
    return laid_out([panels[number] for number in rng.permutation(4)], 2, 255, rng)


KINDS: dict[str, tuple[str, Callable[[Crops, np.random.Generator], np.ndarray]]] = {
    "channels and merge, white gutters": ("authentic", white_gutters),
    "channels and merge, black gutters": ("authentic", black_gutters),
    "two exposures": ("authentic", exposures),
    "a round field": ("authentic", round_field),
    "two round fields": ("authentic", two_round_fields),
    "a section": ("authentic", section),
    "a panel used twice, marks over one": ("forged", used_twice),
    "a copy within a round field": ("forged", copied_within),
    "a field and its segmentation": ("authentic", segmented),
    "a panel used twice, a place replaced": ("forged", replaced),
}


def treated(pixels: np.ndarray, treatment: str, rng: np.random.Generator) -> np.ndarray:
    if treatment == "half the pixels":
        return images.resized(pixels, tuple(round(side * 0.5**0.5) for side in pixels.shape[:2]))
    return planting.treated(pixels, treatment, rng)


@command
def main(argv: list[str] | None = None) -> int:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--hosts", type=Path, required=True, help="folder of untouched pictures, a folder for each set")
    parser.add_argument("--figures", type=int, default=30, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(argv)
    cv2.setNumThreads(1)
    sets = matching_cases.hosts(asked.hosts, "testing")
    crops = Crops([paths for name, paths in sets.items() if paths and name != matching_cases.PHOTOGRAPHS])
    lines = [f"| {' | '.join(('figures', 'are', *TREATMENTS))} |", "|---" * (2 + len(TREATMENTS)) + "|"]
    for place, (name, (label, make)) in enumerate(KINDS.items()):
        flagged = dict.fromkeys(TREATMENTS, 0)
        for number in range(asked.figures):
            rng = np.random.default_rng((asked.seed, place, number))
            pixels = make(crops, rng)
            for treatment in TREATMENTS:
                flagged[treatment] += bool(finder.find(treated(pixels, treatment, rng), MatchingConfig()).pairs)
        cells = [f"{count}: {wilson(count, asked.figures)}" for count in flagged.values()]
        lines.append(f"| {name} | {label} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    head = f"`benchmarks/excuses.py`: {asked.figures} figures of each kind, in which the twin finder reports a pair."
    about = (__doc__ or "").split("\n\n")[2].strip()
    asked.page.write_text(
        "\n\n".join(["# What is alike and no forgery", head, about, "\n".join(lines)]) + "\n", encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
