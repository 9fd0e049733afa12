#!/usr/bin/env python3
"""Turn finished runs into a page under docs/results: settings, machine, every evaluation, the pictures.

python3 benchmarks/record.py docs/results/overfit.md runs/overfit_one runs/overfit_few     (make results does this)
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
from pathlib import Path

from forgery_rcnn.cli import command
from forgery_rcnn.engine.runlog import read_log
from forgery_rcnn.errors import InputError

HEADER = "| stage | epoch | step | loss | oF1 | Dice | recall | precision |\n|---|---:|---:|---:|---:|---:|---:|---:|"


def page(runs: list[Path], pictures: Path) -> str:
    """Run folders -> Markdown; their figures are copied to `pictures`."""
    parts = ["# Recorded runs", f"Made by `make results` on {platform.machine()}, Python {platform.python_version()}."]
    for run in runs:
        meta = json.loads((run / "model.json").read_text())
        scores = meta["scores"]
        parts.append(
            f"## {run.name}\n\ncommit `{meta['commit']}`, torch {meta['torch']}, data fingerprint `{meta['data']}`, "
        )
        parts[-1] += (
            f"seed {meta['config']['seed']}: best oF1 **{scores['of1_mean']:.4f}**, Dice {scores['dice_mean']:.4f} "
        )
        parts[-1] += f"on {scores['images']} images (all-authentic baseline {scores['baseline_all_authentic']:.4f})."
        rows = [line for line in read_log(run / "log.jsonl") if "of1_mean" in line]
        parts.append("\n".join([HEADER, *(_row(line) for line in rows)]))
        for picture in (run / "figures/curves.png", *sorted(run.glob("figures/*/forged-*.png"))):
            copy = pictures / f"{run.name}-{picture.name}"
            shutil.copyfile(picture, copy)
            parts.append(f"![{run.name} {picture.stem}]({pictures.name}/{copy.name})")
    return "\n\n".join(parts) + "\n"


def _row(line: dict[str, float]) -> str:
    scores = " | ".join(f"{line[f'{name}_mean']:.4f}" for name in ("of1", "dice", "recall", "precision"))
    return f"| {line['stage']} | {line['epoch']} | {line['step']} | {line['loss']:.4f} | {scores} |"


@command
def main(argv: list[str] | None = None) -> int:
    """Page first, then the run folders."""
    out, *runs = [Path(word) for word in (sys.argv[1:] if argv is None else argv)]
    unfinished = [run for run in runs if not (run / "model.json").is_file()]
    if not runs or unfinished:
        raise InputError(
            f"{unfinished[0] if unfinished else out}: not a finished run; usage: record.py PAGE.md RUN [RUN ...]"
        )
    pictures = out.parent / out.stem
    pictures.mkdir(parents=True, exist_ok=True)
    out.write_text(page(runs, pictures))
    print(f"written: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
