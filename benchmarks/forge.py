"""Made figures: how fast, how like the real set in numbers, and forty of them to look at.

PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE python benchmarks/forge.py docs/results/forge.md docs/forge.png     (some 4 minutes)

Hosts: the training pictures of the built-in sample. *Speed*: figures per second of the whole command's work, composing,
forging, treating, and writing both twins and the mask, in 2 processes, once without compound figures and once with the
default share. *saving* is the baseline of the same run: the same files, decoded and saved again with Pillow's and numpy's
defaults in as many processes, which is what any generator must spend at least. *Numbers*: forged area, instances and
sizes of the figures made, beside those of the Recod.ai/LUC training set (2,751 forged images).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from forgery_rcnn.data import images, records, sample
from forgery_rcnn.data.forge import corpus, hosts
from forgery_rcnn.data.forge.plans import AREAS, INSTANCES, SIDES, WEIGHTS, Recipe

COUNT, SHOWN, WORKERS = 600, 40, 2
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
COLOURS = ((230, 30, 30), (20, 160, 20), (30, 80, 255), (240, 140, 0), (190, 0, 190))


def saved_again(paths: tuple[Path, ...], out: Path) -> None:
    """Decode an image or a mask, and save it with the defaults."""
    for path in paths:
        if path.suffix == ".npy":
            np.save(out / path.name, np.load(path))
        else:
            Image.open(path).save(out / path.name)


def timed(out: Path, pools: list[tuple[hosts.Host, ...]], count: int, compound: float) -> tuple[float, float]:
    """-> figures per second of making, and of saving the same files again."""
    began = time.perf_counter()
    cases = corpus.build(corpus.Corpus(out, pools, count, 0, Recipe(compound=compound)), WORKERS)
    making = len(cases) / (time.perf_counter() - began)
    names = [case.rows[0]["case_id"] for case in cases]
    files = [tuple(path for path in out.rglob(f"{name}.*")) for name in names]
    scratch = out / "again"
    scratch.mkdir()
    began = time.perf_counter()
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as processes:
        list(processes.map(saved_again, files, [scratch] * len(files), chunksize=2))
    return making, len(cases) / (time.perf_counter() - began)


def compared(root: Path) -> list[str]:
    """Tables of quantiles, made beside real."""
    forged = [record for record in records.scan(root) if record.label == "forged"]
    facts = records.check(forged, 1)
    areas = [100 * fact.forged_pixels / (fact.size[0] * fact.size[1]) for fact in facts]
    sides = np.array([sorted(fact.size) for fact in facts])
    counts = np.bincount([len(fact.areas) for fact in facts], minlength=6) / len(facts)
    total = sum(INSTANCES.values())
    made = " | ".join(f"{value:.2f}" for value in np.quantile(areas, QUANTILES))
    real = " | ".join(f"{100 * AREAS[q]:.2f}" for q in QUANTILES)
    return [
        f"Of {len(facts)} forged figures with the default settings:",
        "",
        "| forged area, % of the image | " + " | ".join(f"q{round(100 * q)}" for q in QUANTILES) + " |",
        "|---|" + "---:|" * len(QUANTILES),
        f"| made | {made} |",
        f"| real | {real} |",
        "",
        "| images with so many instances, % | 1 | 2 | 3 | 4 | 5 |",
        "|---|---:|---:|---:|---:|---:|",
        "| made | " + " | ".join(f"{100 * counts[n]:.1f}" for n in INSTANCES) + " |",
        "| real | " + " | ".join(f"{100 * n / total:.1f}" for n in INSTANCES.values()) + " |",
        "",
        f"Smallest mask: {min(min(fact.areas) for fact in facts)} px (real: 98). Sizes: {len({f.size for f in facts})} different, "
        f"median {int(np.median(sides[:, 1]))} x {int(np.median(sides[:, 0]))}, sides {sides.min()} to {sides.max()} px "
        f"(real: 763 different of 2,751, sides {SIDES[0]} to {SIDES[1]}; their median is not published, 800 x 600 is assumed).",
    ]


def operations(root: Path) -> str:
    """How often each operation was done."""
    done = [
        row["operation"] for line in (root / corpus.LOG).read_text().splitlines() for row in json.loads(line)["rows"]
    ]
    count = {name: done.count(name) for name in WEIGHTS}
    return "Instances by operation: " + ", ".join(f"{name} {number}" for name, number in count.items()) + "."


def sheet(root: Path) -> np.ndarray:
    """(H, W, 3) uint8: forged figures, each beside itself with the instances outlined."""
    side, cells = 300, []
    forged = [record for record in records.scan(root) if record.label == "forged"]
    for record in forged[:SHOWN]:
        loaded = records.load(record)
        size = images.fitted_size(loaded.pixels.shape[:2], side)
        marked = images.resized(loaded.pixels, size).copy()
        for mask, colour in zip(loaded.masks, COLOURS, strict=False):
            outline, _ = cv2.findContours(
                images.resized_mask(mask, size).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
            )
            cv2.drawContours(marked, outline, -1, colour, 1, cv2.LINE_AA)
        cell = np.full((side + 8, 2 * side + 20, 3), 255, np.uint8)
        for x, picture in ((0, images.resized(loaded.pixels, size)), (side + 4, marked)):
            cell[: size[0], x : x + size[1]] = picture
        cells.append(cell)
    return np.vstack([np.hstack(cells[at : at + 4]) for at in range(0, len(cells), 4)])


def main(report: Path, picture: Path) -> None:
    """Make two sets, and write the report and the contact sheet."""
    folder = sample.host_folder()
    found, _ = hosts.scan(folder, hosts.files_of(folder), WORKERS)
    pools = hosts.pools(found)
    with tempfile.TemporaryDirectory() as scratch:
        rates = {share: timed(Path(scratch) / str(share), pools, COUNT, share) for share in (0.0, Recipe().compound)}
        root = Path(scratch) / str(Recipe().compound)
        speed = [
            f"| {100 * share:.0f} % | {making:.1f} | {saving:.1f} | {making / saving:.2f} |"
            for share, (making, saving) in rates.items()
        ]
        lines = [
            "# Made figures",
            "",
            *(__doc__ or "").split("\n\n", 2)[2].strip().splitlines(),
            "",
            f"{COUNT} figures each; {WORKERS} processes on 2 cores, their start included. Asked: 15 a second without compound figures.",
            "",
            "| compound | figures/s | saving alone, figures/s | ratio |",
            "|---:|---:|---:|---:|",
            *speed,
            "",
            *compared(root),
            "",
            operations(root),
            "",
        ]
        report.write_text("\n".join(lines), encoding="utf-8")
        Image.fromarray(sheet(root)).convert("P", palette=Image.Palette.ADAPTIVE).save(picture, optimize=True)
    print(report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
