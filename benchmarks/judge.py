"""Fits the weights by which the twin finder judges pairs, and shows how well they part copies from what is only alike.

PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE python benchmarks/judge.py HOSTS CORPUS docs/results/judge.md     (some 20 minutes)

Copies are planted in half of the hosts (the other half is benchmarks/matching.py's), the same hosts are looked through
untouched but re-encoded, and so are forged and authentic figures of the corpus's training part. Every motion that the finder
proposes is measured; one is true where its two regions cover the truth with a pixel F1 of 0.4 or more; right motions with
less are left out. Logistic regression, each image with equal weight, folds grouped by host. The last weight is moved so that
ALARMS of the untouched images have a pair with a score of 0.5. Prints what belongs into forgery_rcnn/matching/judge.py.
"""

from __future__ import annotations

import csv
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import planting
from matching_cases import AREAS, LONGEST, TWINS, hosts
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from forgery_rcnn.data import images, masks
from forgery_rcnn.matching import chance, finder, judge, motions
from forgery_rcnn.matching.pairs import Hypothesis
from forgery_rcnn.matching.verify import Measured
from forgery_rcnn.matching_config import MatchingConfig

PLANTED, CLEAN, FIGURES = 150, 170, 70
TRUE, ALARMS = 0.4, 0.02
SEED, WORKERS, FOLDS = 0, 2, 5
NEAR = 4.0  # px: a motion so near to the planted one is right


@dataclass(frozen=True)
class Task:
    """One image to look through. kind: planted, clean, forged, authentic; group: its host."""

    kind: str
    path: Path
    truth: Path | None
    number: int

    @property
    def group(self) -> str:
        return self.path.stem if self.kind in ("forged", "authentic") else self.path.as_posix()


@dataclass(frozen=True)
class Row:
    """One motion: its image, the numbers of judge.features, whether it is true, and who proposed it."""

    task: Task
    values: tuple[float, ...]
    true: int
    found_by: str


def seen(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray | None] | None:
    """-> pixels, (H, W) bool truth, the planted motion; None where nothing could be planted."""
    rng = np.random.default_rng((SEED, task.number))
    pixels = images.read(task.path).pixels
    clear = np.zeros(pixels.shape[:2], bool)
    if task.kind in ("forged", "authentic"):
        return pixels, masks.read(task.truth).any(axis=0) if task.truth else clear, None
    side = min(LONGEST, max(pixels.shape[:2]))
    pixels = images.resized(pixels, images.fitted_size(pixels.shape[:2], side))
    transform, treatment = str(rng.choice(planting.TRANSFORMS)), str(rng.choice(planting.TREATMENTS))
    if task.kind == "clean":
        return planting.treated(pixels, treatment, rng), np.zeros(pixels.shape[:2], bool), None
    texture = "rich" if rng.random() < 0.5 else "smooth"
    made = planting.plant(pixels, transform, treatment, texture, float(rng.choice(list(AREAS.values()))), rng)
    return None if made is None else (made.pixels, made.union, made.matrix)


def rows(task: Task) -> list[Row] | None:
    """One image -> its motions that pass what every motion has to pass, measured; None where it could not be made."""
    cv2.setNumThreads(1)
    scene = seen(task)
    if scene is None:
        return None
    pixels, truth, motion = scene
    config = MatchingConfig()
    figure = finder.seen(pixels)
    proposed = finder.hypotheses(figure, config)
    figure, drawn = finder.undrawn(figure)
    found = []
    for hypothesis in proposed:
        measured = judge.tested(figure, drawn, hypothesis, config)
        if isinstance(measured, str):
            continue
        probable = chance.of(figure.gray, measured.grown)
        if probable > config.max_chance:
            continue
        overlap = _f1(measured, truth)
        if overlap < TRUE and motion is not None and _right(hypothesis, motion):
            continue
        values = tuple(judge.features(measured, probable).values())
        found.append(Row(task, values, int(overlap >= TRUE), hypothesis.found_by))
    return found


def _f1(found: Measured, truth: np.ndarray) -> float:
    union = np.zeros(truth.shape, bool)
    for mask, (x, y) in ((found.grown.mask, found.grown.corner), (found.second, found.second_corner)):
        union[y : y + mask.shape[0], x : x + mask.shape[1]] |= mask
    return float(2 * (union & truth).sum() / max(1, union.sum() + truth.sum()))


def _right(hypothesis: Hypothesis, motion: np.ndarray) -> bool:
    ways = (motion, cv2.invertAffineTransform(motion))
    errors = [np.median(np.abs(motions.moved(way, hypothesis.first) - hypothesis.second)) for way in ways]
    return bool(min(errors) < NEAR)


def tasks(root: Path, corpus: Path) -> list[Task]:
    """What is looked through."""
    rng = np.random.default_rng(SEED)
    sets = [paths for paths in hosts(root, "fitting").values() if paths]
    out = []
    for kind, count in (("planted", PLANTED), ("clean", CLEAN)):
        for number in range(count):
            paths = sets[number % len(sets)]
            out.append(Task(kind, paths[int(rng.integers(len(paths)))], None, len(out)))
    with (corpus / "manifest.csv").open(encoding="utf-8", newline="") as file:
        lines = [row for row in csv.DictReader(file) if row["part"] == "train" and row["label"] == "forged"]
    others = {row["case_id"] for row in lines if row["operation"] not in TWINS}
    twins = sorted({row["case_id"] for row in lines} - others)
    for case in [twins[i] for i in sorted(rng.permutation(len(twins))[:FIGURES])]:
        mask = corpus / "train_masks" / f"{case}.npy"
        out.append(Task("forged", corpus / "train_images" / "forged" / f"{case}.png", mask, len(out)))
        authentic = corpus / "train_images" / "authentic" / f"{case}.png"
        if authentic.is_file():
            out.append(Task("authentic", authentic, None, len(out)))
    return out


def fitted(found: list[Row], names: list[str]) -> Callable[[np.ndarray], np.ndarray]:
    """-> what takes (N, F) features to logits, and carries `weights`, in the units of the features."""
    values, true = np.array([row.values for row in found]), np.array([row.true for row in found])
    per_image: dict[tuple[int, int], int] = {}
    for row in found:
        per_image[row.task.number, row.true] = per_image.get((row.task.number, row.true), 0) + 1
    weight = np.array([1 / per_image[row.task.number, row.true] for row in found])
    scaler = StandardScaler().fit(values[:, 1:])
    model = LogisticRegression(max_iter=5000).fit(scaler.transform(values[:, 1:]), true, sample_weight=weight)
    slopes = model.coef_[0] / scaler.scale_
    weights = np.concatenate([[model.intercept_[0] - slopes @ scaler.mean_], slopes])

    def logits(some: np.ndarray) -> np.ndarray:
        return some @ weights

    logits.weights = weights
    return logits


def best_of(found: list[Row], logits: np.ndarray, kinds: tuple[str, ...], true: int) -> dict[int, float]:
    """-> of each image of these kinds the highest logit of its true, or untrue, motions."""
    best: dict[int, float] = {}
    for row, logit in zip(found, logits, strict=True):
        if row.task.kind in kinds and row.true == true:
            best[row.task.number] = max(best.get(row.task.number, -np.inf), float(logit))
    return best


def main(arguments: list[str]) -> int:
    root, corpus, page = (Path(argument) for argument in arguments)
    todo = tasks(root, corpus)
    found, looked_at = [], dict.fromkeys(("planted", "clean", "forged", "authentic"), 0)
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as processes:
        for task, some in zip(todo, processes.map(rows, todo, chunksize=2), strict=True):
            if some is not None:
                looked_at[task.kind] += 1
                found += some
    names = list(judge.WEIGHTS)
    values, groups = np.array([row.values for row in found]), [zlib.crc32(row.task.group.encode()) for row in found]
    held_out = np.zeros(len(found))
    for train, test in GroupKFold(FOLDS).split(values, groups=groups):
        held_out[test] = fitted([found[i] for i in train], names)(values[test])
    calm = looked_at["clean"] + looked_at["authentic"]

    def bar(logits: np.ndarray) -> float:
        worst = sorted(best_of(found, logits, ("clean", "authentic"), 0).values(), reverse=True)
        return worst[int(ALARMS * calm)] if len(worst) > ALARMS * calm else 0.0

    final = fitted(found, names)
    weights = final.weights.copy()
    weights[0] -= bar(values @ weights)
    lines = ["# How the twin finder judges", "", __doc__.split("\n\n")[2].replace("\n", " "), ""]
    lines += [f"{looked_at['planted']} planted, {looked_at['clean']} clean, {looked_at['forged']} forged and "
              f"{looked_at['authentic']} authentic figures; {len(found)} motions, {sum(row.true for row in found)} true.", ""]  # fmt: skip
    lines += ["| feature | weight |", "|---|---:|"] + [
        f"| {n} | {w:.4g} |" for n, w in zip(names, weights, strict=True)
    ]
    lines += ["", "Held out (folds by host):", "", "| untouched images with a pair | true pairs kept: planted | forged figures |", "|---:|---:|---:|"]  # fmt: skip
    for alarms in (0.01, 0.02, 0.03, 0.05):
        worst = sorted(best_of(found, held_out, ("clean", "authentic"), 0).values(), reverse=True)
        least = worst[int(alarms * calm)]
        kept = [best_of(found, held_out, (kind,), 1) for kind in ("planted", "forged")]
        cells = [f"{sum(v > least for v in some.values())} of {len(some)} ({looked_at[kind]} images)" for kind, some in zip(("planted", "forged"), kept, strict=True)]  # fmt: skip
        lines.append(f"| {alarms:.0%} | {' | '.join(cells)} |")
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    print("WEIGHTS = {" + ", ".join(f'"{n}": {w:.4g}' for n, w in zip(names, weights, strict=True)) + "}")
    order = np.argsort(-held_out)
    for i in [i for i in order if not found[i].true][:25]:
        print("untrue", round(held_out[i], 2), found[i].task.kind, found[i].task.path.name, found[i].found_by,
              dict(zip(names, np.round(found[i].values, 2).tolist(), strict=True)))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
