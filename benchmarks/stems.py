#!/usr/bin/env python3
"""What each forensic stem tells of forged cells by itself, at full size and scaled down to 512 px.

python3 benchmarks/stems.py docs/results/stems.md data/corpus600     (some ten minutes, most of it similarity)
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from forgery_rcnn import ranking
from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.cli import command
from forgery_rcnn.data import images
from forgery_rcnn.models.stems import channels
from forgery_rcnn.models.stems.bayar import Bayar

FIGURES, CELL, SIDE = 60, 16, 512
SIDES = 540, 1400  # long sides: scaled down to 512 px, but no more than needed at full size
NOTE = f"""\
AUC of forged against other cells of {CELL} x {CELL} px (three quarters forged; not at all, and in no source of a copy) within a
figure, mean of the figures, 95 % interval: a logistic probe on the means and deviations of a stem's channels in a cell,
standardised within the figure, and on how far these are from 0, fitted on figures of other hosts. Made figures of a
corpus, no host twice, long side {SIDES[0]} to {SIDES[1]} px. *moved*: pixels from elsewhere in the figure; *made*: spliced in,
removed, retouched. What a linear probe sees of cells, not what a network makes of them; bayar is not trained.
Similarity is left out at full size, where it takes too long."""


def chosen(root: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Half moved, half made: operation's kind, (H, W, 3) uint8, (H, W) bool forged, (H, W) bool neither."""
    with open(root / "manifest.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "forged"]
    used, count, cases = set(), {"moved": 0, "made": 0}, [row["case_id"] for row in rows]
    kinds = [("made" if row["operation"] in ("splice", "removal", "retouch") else "moved", row) for row in rows]
    for kind, row in sorted(kinds, key=lambda pair: pair[0]):  # made first: there are fewer
        hosts, path = set(row["hosts"].split(";")), root / f"train_images/forged/{row['case_id']}.png"
        if count[kind] == FIGURES // 2 or hosts & used or cases.count(row["case_id"]) > 1 or not path.is_file():
            continue
        if not SIDES[0] <= max(images.header_size(path)) <= SIDES[1]:
            continue
        pixels = images.read(path).pixels
        forged = np.zeros(pixels.shape[:2], np.uint8)
        for target in json.loads(row["targets"]):
            cv2.fillPoly(forged, [np.array(target, np.int32)], 1)
        either = np.load(root / f"train_masks/{row['case_id']}.npy").astype(bool).any(axis=0)
        if forged.sum() < 30 * CELL**2:
            continue
        used |= hosts
        count[kind] += 1
        yield kind, pixels, forged > 0, either & (forged == 0)


def cells(mask: np.ndarray) -> np.ndarray:
    """(H, W) -> (h, w) mean of the whole cells."""
    h, w = (side // CELL for side in mask.shape)
    return mask[: h * CELL, : w * CELL].reshape(h, CELL, w, CELL).mean(axis=(1, 3))


def statistics(stem: str, pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (cells, 4 C) float32, standardised within the figure, and their sizes."""
    torch.manual_seed(0)
    image = torch.from_numpy(pixels).permute(2, 0, 1).float()
    with torch.no_grad():
        found = [image / 255] if stem == "rgb" else channels.beside(image, (stem,), Bayar())
    maps = torch.cat(found)[None]
    mean, square = (torch.nn.functional.avg_pool2d(m, CELL) for m in (maps, maps.square()))
    vectors = torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], dim=1)[0].flatten(1).T
    z = (vectors - vectors.mean(dim=0)) / (vectors.std(dim=0) + 1e-6)
    return torch.cat([z, z.abs()], dim=1).numpy()


def aucs(stem: str, figures: list, side: int) -> dict[str, np.ndarray]:
    """-> AUC of each figure, by kind; side 0 = full size."""
    vectors, labels, groups = [], [], []
    for number, (_, pixels, forged, neither) in enumerate(figures):
        if side:
            size = images.fitted_size(pixels.shape[:2], side)
            pixels = images.resized(pixels, size)
            forged, neither = (cv2.resize(m.astype(np.float32), size[::-1]) for m in (forged, neither))
        share, out = cells(forged.astype(np.float32)).ravel(), cells(neither.astype(np.float32)).ravel()
        kept = (share >= 0.75) | ((share == 0) & (out == 0))
        vectors.append(statistics(stem, pixels)[kept])
        labels.append(share[kept] > 0)
        groups.append(np.full(kept.sum(), number))
    x, y, group = np.concatenate(vectors), np.concatenate(labels), np.concatenate(groups)
    scores = np.zeros(len(y))
    for fit, held in GroupKFold(5).split(x, y, group):
        probe = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", C=0.1, max_iter=300))
        scores[held] = probe.fit(x[fit], y[fit]).decision_function(x[held])
    own = {number: (scores[group == number], y[group == number]) for number in range(len(figures))}
    return {
        kind: np.array([ranking.auc(*own[n]) for n in own if figures[n][0] == kind and own[n][1].any()])
        for kind in ("moved", "made")
    }


@command
def main(argv: list[str] | None = None) -> int:
    """Page first, then the corpus."""
    argv = sys.argv[1:] if argv is None else argv
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    figures = list(chosen(Path(argv[1])))
    print(f"{len(figures)} figures", flush=True)
    lines = ["| stem | full size: moved | made | 512 px: moved | made |", "|---|---|---|---|---|"]
    for stem in channels.COUNTS:
        found = [aucs(stem, figures, side) if side or stem != "similarity" else {} for side in (0, SIDE)]
        shown = [str(Resampling().mean(f[k])) if f else "" for f in found for k in ("moved", "made")]
        lines.append(f"| {stem} | {' | '.join(shown)} |")
        print(lines[-1], flush=True)
    Path(argv[0]).write_text("\n\n".join(["# What the forensic stems see", NOTE, "\n".join(lines)]) + "\n")
    print(f"written: {argv[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
