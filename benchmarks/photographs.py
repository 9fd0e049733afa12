#!/usr/bin/env python3
"""Shipped weights on the photographs of the NoSo database, which nothing here is trained or fitted on.

PYTHONPATH=. python benchmarks/photographs.py docs/results/photographs.md pretrained_final fusion matcher --noso DIR

*pixel F1*: of all that is marked against the mask, regions and their copies, mean over the forged photographs, 0 where nothing is
marked. *flagged*: images in which anything is marked. Intervals: 95 %, bootstrap over images, Wilson's for shares.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

import cv2
import matching_cases
import numpy as np

from forgery_rcnn import rle
from forgery_rcnn.bootstrap import Resampling, wilson
from forgery_rcnn.cli import command
from forgery_rcnn.config import BARE_PTH
from forgery_rcnn.engine.precision import autocast
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.inference import ensemble, pipeline

EVERY = 10_000  # images: all of them


def line(name: str, cases: list[matching_cases.Case], screen: Screen) -> str:
    """The system's line of the table."""
    found = ensemble.load((name,), BARE_PTH)
    scores, alarms, spent = [], [], []
    with screen.bar(name, len(cases)) as advance, autocast(found.device, "auto"):
        for case in cases:
            scene = case.scene()
            began = time.process_time()
            marked = pipeline.answer(found.predict(scene.pixels)).instances
            spent.append(time.process_time() - began)
            if scene.truth.any():
                union = (
                    np.zeros(scene.truth.shape, bool)
                    if marked is None
                    else rle.mask_of(marked.union(), scene.truth.shape)
                )
                scores.append(2 * (union & scene.truth).sum() / (union.sum() + scene.truth.sum()))
            else:
                alarms.append(marked is not None)
            advance()
    values = np.array(scores)
    f1 = Resampling().of(lambda index: float(values[index].mean()), len(values))
    cells = (
        name,
        f1,
        wilson(int((values > 0).sum()), len(values)),
        wilson(sum(alarms), len(alarms)),
        f"{np.median(spent):.1f}",
    )
    return f"| {' | '.join(str(cell) for cell in cells)} |"


@command
def main(argv: list[str] | None = None) -> int:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--noso", type=Path, required=True, help="folder that holds 01.png and 01_mod.png")
    asked = parser.parse_args(argv)
    cv2.setNumThreads(1)
    screen, cases = Screen(sys.stdout), matching_cases.noso(asked.noso, EVERY)
    table = [
        "| weights | pixel F1 of forged | forged flagged | originals flagged | processor s per image, median |",
        "|---|---|---|---|---:|",
        *(line(name, cases, screen) for name in asked.weights),
    ]
    told = (__doc__ or "").split("\n\n")[2].replace("\n", " ")
    text = ["# Photographs", "", f"NoSo, {len(cases)} images, {platform.machine()}. {told}", *table]
    text.insert(3, "")
    asked.page.write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
