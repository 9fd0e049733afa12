#!/usr/bin/env python3
"""The same images untouched and as they come out of a journal's mill: compressed, scaled down, blurred, noisy.

PYTHONPATH=. python benchmarks/robustness.py docs/results/robustness.md pretrained_final fusion matcher --data.root data/corpus
PYTHONPATH=. python benchmarks/robustness.py PAGE runs/NAME --data.root data/corpus --split test --images 60

Masks are scaled with the image. Each number beside that of the untouched images, as the difference on the same images with its
95 % bootstrap interval over groups (figures of one source). No image counts that any of the weights were fitted on.
"""

from __future__ import annotations

import argparse
import platform
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from forgery_rcnn.bootstrap import TIE, Interval, Resampling, wilson
from forgery_rcnn.cli import command
from forgery_rcnn.compare import FEWEST
from forgery_rcnn.config import BARE_PTH
from forgery_rcnn.data import images, records, splits, truths
from forgery_rcnn.engine import evaluate, held_out, outcomes
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import require
from forgery_rcnn.inference import ensemble, pipeline
from forgery_rcnn.inference.ensemble import Ensemble
from forgery_rcnn.instances import Instances, Truth
from forgery_rcnn.report import ImageRow, image_row

Treatment = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""(H, W, 3) uint8 -> the same, or a smaller one; masks follow its size."""
COLUMNS = ("oF1", "oF1 of forged", "pixel F1 of forged", "authentic flagged")


def compressed(quality: int) -> Treatment:
    def treat(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    return treat


def scaled(factor: float) -> Treatment:
    def treat(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
        return images.resized(pixels, (height, width))

    return treat


def blurred(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(pixels, (0, 0), 1.0)


def noisy(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(pixels.shape, np.float32) * np.float32(4)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def untouched(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return pixels


TREATMENTS: dict[str, Treatment] = {
    "untouched": untouched,
    "JPEG 90": compressed(90),
    "JPEG 70": compressed(70),
    "JPEG 50": compressed(50),
    "resized to 0.75": scaled(0.75),
    "resized to 0.5": scaled(0.5),
    "blurred, 1.0 px": blurred,
    "noise, 4 levels": noisy,
}


@dataclass(frozen=True)
class Case:
    """An image and its truth (None = authentic), read when asked; group: of images of one source."""

    key: str
    label: str
    image: Path
    group: int
    true: Callable[[tuple[int, int]], Instances | None]

    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return images.read(self.image).pixels


def treated(case: Case, treatment: Treatment) -> tuple[np.ndarray, Truth]:
    """-> (h, w, 3) uint8 and the truth in its frame; an instance too small to be left there is gone."""
    pixels = case.pixels()
    true = case.true(pixels.shape[:2])
    out = treatment(pixels, np.random.default_rng(zlib.crc32(case.key.encode())))
    size = out.shape[:2]
    if true is not None and size != pixels.shape[:2]:
        kept = [mask for each in true.masks() if (mask := images.resized_mask(each, size)).any()]
        true = Instances.from_masks(np.stack(kept)) if kept else Instances(size)
    return out, Truth(size, true)


def rows(found: Ensemble, cases: Sequence[Case], treatment: Treatment, title: str, screen: Screen) -> list[ImageRow]:
    """Every case predicted and scored under one treatment."""
    out = []
    with screen.bar(title, len(cases)) as advance, autocast(found.device, "auto"):
        for case in cases:
            pixels, truth = treated(case, treatment)
            out.append(image_row(case.key, pipeline.answer(found.predict(pixels)), truth))
            advance()
    return out


def numbers(found: Sequence[ImageRow]) -> dict[str, np.ndarray]:
    """COLUMNS -> (N,) float64, NaN for images that a number is not about."""
    forged = np.array([row.label == "forged" for row in found])
    of1, dice = (np.array([getattr(row, name) for row in found]) for name in ("of1", "dice"))
    flagged = np.array([float(row.answer == "forged") for row in found])
    nothing = np.full(len(found), np.nan)
    columns = (of1, np.where(forged, of1, nothing), np.where(forged, dice, nothing), np.where(forged, nothing, flagged))
    return dict(zip(COLUMNS, columns, strict=True))


def mean_of(values: np.ndarray, groups: np.ndarray) -> Interval:
    """(N,) float64, NaN left out; (N,) int64 -> their mean, its interval over groups."""
    known = ~np.isnan(values)
    own = values[known]
    if not len(own):
        return Interval(np.nan, np.nan, np.nan, 0)
    return outcomes.interval(lambda drawn: float(own[drawn].mean()), groups[known], Resampling())


def line(name: str, found: dict[str, np.ndarray], base: dict[str, np.ndarray], groups: np.ndarray) -> str:
    """One line of the table: each number, and its difference from the untouched images; one that is sure is bold."""
    cells = []
    for column in COLUMNS:
        values = found[column]
        if column == "authentic flagged":
            known = values[~np.isnan(values)]
            cells.append(str(wilson(int(known.sum()), len(known))))
        else:
            cells.append(str(mean_of(values, groups)))
        gap = mean_of(values - base[column], groups)
        differ = int((np.abs(np.nan_to_num(values - base[column])) > TIE).sum())
        sure = differ >= FEWEST and (gap.low > 0 or gap.high < 0)
        cells.append("" if name == "untouched" else f"**{gap}**" if sure else str(gap))
    return f"| {name} | {' | '.join(cells)} |"


def of_part(systems: Sequence[Ensemble], root: Path | None, part: str, screen: Screen) -> list[Case]:
    """Images of a part that none of the systems was trained or fitted on."""
    parts = [evaluate.opened(found, root, False, part, screen) for found in systems]
    folds = [found.path for found, there in zip(systems, parts, strict=True) if there.voices]
    require(not folds, f"{folds[:1]}: folds of one another know every image; name one of them, or use --split test")
    known = [{record.key for record in held_out.unseen(p.items, f.fitted)} for p, f in zip(parts, systems, strict=True)]
    there = parts[0]
    items = [record for record in there.items if all(record.key in keys for keys in known)]
    fact_of = dict(zip((record.key for record in there.files.records), there.files.facts, strict=True))
    group_of = {m.record.key: m.group for m in splits.members(items, [fact_of[record.key] for record in items])}

    def case(record: records.Record) -> Case:
        def true(size: tuple[int, int]) -> Instances | None:
            return evaluate.seen(record, there.data).true

        return Case(record.key, record.label, record.image, group_of[record.key], true)

    return [case(record) for record in items]


def of_test(systems: Sequence[Ensemble], root: Path) -> list[Case]:
    """ROOT/test_images, their truth in ROOT/solution.csv; each a group of its own."""
    files = records.image_files(root / "test_images")
    reader = truths.reader(root / "solution.csv", files)
    fitted = frozenset().union(*(found.fitted for found in systems))
    free = [path for path in files if not fitted or held_out.digest(images.read(path).pixels) not in fitted]

    def case(number: int, path: Path) -> Case:
        label = "authentic" if reader(path, images.header_size(path)) is None else "forged"
        return Case(f"test/{path.stem}", label, path, number, lambda size: reader(path, size))

    return [case(number, path) for number, path in enumerate(free)]


def sampled(cases: Sequence[Case], count: int) -> list[Case]:
    """At most `count`, half of them forged, evenly spread; 0 = all."""
    if not count:
        return list(cases)
    out = []
    for label, most in (("forged", -(-count // 2)), ("authentic", count // 2)):
        own = [case for case in cases if case.label == label]
        out += [own[i] for i in sorted({round(i) for i in np.linspace(0, len(own) - 1, min(most, len(own)))})]
    return out


def page(tables: dict[str, list[str]], cases: Sequence[Case], source: str) -> str:
    """The tables as Markdown."""
    forged = sum(case.label == "forged" for case in cases)
    head = "| images | " + " | ".join(f"{column} | minus untouched" for column in COLUMNS) + " |"
    parts = [
        "# Robustness",
        f"`benchmarks/robustness.py` on {platform.machine()}, Python {platform.python_version()}: {len(cases)} images of {source}, "
        f"{forged} of them forged, that nothing was fitted on; masks are scaled with the image. 95 % bootstrap intervals over "
        f"groups of images of one source ({len({case.group for case in cases})}), of flagged images Wilson's; differences are of "
        f"the same images, bold where the interval leaves out 0 and {FEWEST} images or more differ. Calling every image authentic has oF1 "
        f"{1 - forged / len(cases):.4f}.",
    ]
    for name, lines in tables.items():
        parts.append("\n".join([f"## {name}", "", head, "|---" * (1 + 2 * len(COLUMNS)) + "|", *lines]))
    return "\n\n".join(parts) + "\n"


@command
def main(argv: list[str] | None = None) -> int:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--data.root", dest="root", type=Path)
    parser.add_argument("--split", default="validation", choices=("validation", "all", "test"))
    parser.add_argument("--images", type=int, default=0, help="at most so many, half of them forged; 0 = all")
    asked = parser.parse_args(argv)
    cv2.setNumThreads(1)
    screen = Screen(sys.stdout)
    systems = {name: ensemble.load((name,), BARE_PTH) for name in asked.weights}
    require(asked.split != "test" or asked.root is not None, "--split test: needs --data.root, with test_images/")
    found = list(systems.values())
    cases = of_test(found, asked.root) if asked.split == "test" else of_part(found, asked.root, asked.split, screen)
    cases = sampled(cases, asked.images)
    require(
        bool(cases), "no image is left that none of these weights was fitted on; use another --split or --data.root"
    )
    groups, tables = np.array([case.group for case in cases]), {}
    for name, system in systems.items():
        base: dict[str, np.ndarray] = {}
        for title, treatment in TREATMENTS.items():
            told = numbers(rows(system, cases, treatment, f"{name}: {title}", screen))
            base = base or told
            tables.setdefault(name, []).append(line(title, told, base, groups))
            screen.say(tables[name][-1])
    source = f"{asked.root.name if asked.root else 'the built-in sample'}, split {asked.split}"
    asked.page.write_text(page(tables, cases, source), encoding="utf-8")
    screen.say(f"written: {asked.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
