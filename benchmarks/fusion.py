#!/usr/bin/env python3
"""The detector alone, the twin finder alone, both fused: scores on images that nothing was fitted on.

python3 edarnn.py fusion --weights RUN --data.root ROOT --split all --out FUSION
PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE python benchmarks/fusion.py FUSION ROOT docs/results/fusion.md

Each system has thresholds fitted to the same images as the fusion (the detector's and the finder's are fitted here), and is
scored on the images of ROOT that are left; so FUSION is to be fitted on a share of them (--share, default half).
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from forgery_rcnn import numbers
from forgery_rcnn.bootstrap import Interval, Resampling
from forgery_rcnn.cli import command
from forgery_rcnn.config import BARE_PTH
from forgery_rcnn.data.records import Record
from forgery_rcnn.engine import evaluate, held_out, thresholds
from forgery_rcnn.engine.evaluate import Part
from forgery_rcnn.engine.kept import Kept
from forgery_rcnn.engine.outcomes import Goal
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import require
from forgery_rcnn.inference import ensemble, pipeline
from forgery_rcnn.inference.ensemble import Ensemble
from forgery_rcnn.inference.fusion import FEATURES
from forgery_rcnn.instances import Answer, Truth

NUMBERS = {
    "of1": "oF1",
    "image_auc": "image AUC",
    "false_alarm_rate": "authentic flagged",
    "dice_forged": "Dice of forged",
}


def alone(fused: Ensemble) -> dict[str, Ensemble]:
    """The parts of a fusion, each with its own thresholds, and the fusion."""
    finders = [number for number, member in enumerate(fused.members) if member.model.learns == "nothing"]
    others = [number for number in range(len(fused.members)) if number not in finders]
    plain = replace(fused, rule="mean", fusion=None, meta={})
    detector = replace(plain.only(others), config=fused.members[others[0]].config)
    finder = replace(plain.only(finders), config=fused.members[finders[0]].config)
    return {"detector alone": detector, "twin finder alone": finder, "fused": fused}


def fitted(found: Ensemble, part: Part, items: Sequence[Record], limit: float | None, screen: Screen) -> Ensemble:
    """The same with the thresholds that suit these images best."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Kept(Path(folder), found, part, "of1", screen.bar)
        for record in items:
            kept.add(record)
        start = thresholds.Setting((1.0 / len(found.members),) * len(found.members), found.config)
        along = thresholds.axes("instances", "of1", "mean")
        best = thresholds.search(kept, start, Goal("of1", limit), along, np.arange(len(items)))
    return replace(found, config=best.config)


def scored(found: Ensemble, part: Part, items: Sequence[Record]) -> tuple[dict[str, Interval], float]:
    """-> numbers.intervals of these images, and the median seconds an image took."""
    spent = []

    def answers() -> Iterator[tuple[str, Answer, Truth]]:
        for record in items:
            view = evaluate.seen(record, part.data)
            began = time.perf_counter()
            answer = pipeline.answer(found.predict(view.pixels))
            spent.append(time.perf_counter() - began)
            yield record.key, answer, Truth(view.pixels.shape[:2], view.true)

    return numbers.intervals(numbers.collect(answers()), Resampling()), float(np.median(spent))


def page(rows: Sequence[str], fused: Ensemble, counts: tuple[int, int, int]) -> str:
    """The table as Markdown, with the weights of the features."""
    assert fused.fusion is not None
    known, left, forged = counts
    weights = np.array(fused.fusion.weights)
    order = np.argsort(-np.abs(weights), kind="stable")
    head = " | ".join(["system", *NUMBERS.values(), "s an image"])
    return "\n".join(
        [
            "# Detector, twin finder, both fused",
            "",
            f"`benchmarks/fusion.py` on {platform.machine()}, Python {platform.python_version()}: thresholds and fusion fitted on "
            f"{known} images, scored on {left} others, {forged} of them forged; 95 % intervals over images.",
            "",
            f"| {head} |",
            "|---" * (len(NUMBERS) + 2) + "|",
            *rows,
            "",
            "Weights of the features, per standard deviation: "
            + ", ".join(f"{FEATURES[i]} {weights[i]:+.2f}" for i in order)
            + ".",
            "",
        ]
    )


@command
def main(argv: list[str] | None = None) -> int:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fusion")
    parser.add_argument("root", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--split", default="all")
    asked = parser.parse_args(argv)
    screen = Screen(sys.stdout)
    fused = ensemble.load((asked.fusion,), BARE_PTH)
    require(fused.fusion is not None, f"{asked.fusion}: no fusion; make one with `edarnn.py fusion`")
    part = evaluate.opened(fused, asked.root, False, asked.split, screen)
    left = held_out.unseen(part.items, fused.fitted)
    free = {record.key for record in left}
    known = [record for record in part.items if record.key not in free]
    require(
        bool(left and known), f"{asked.fusion}: not fitted on a share of {asked.root}; fit it on it with --share 0.5"
    )
    limit = fused.meta.get("fitted", {}).get("false_alarms")
    rows = []
    for name, found in alone(fused).items():
        own = found if found.fusion else fitted(found, part, known, limit, screen)
        told, seconds = scored(own, part, left)
        rows.append(f"| {name} | {' | '.join(str(told[key]) for key in NUMBERS)} | {seconds:.2f} |")
        screen.say(rows[-1])
    counts = len(known), len(left), sum(record.label == "forged" for record in left)
    asked.page.write_text(page(rows, fused, counts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
