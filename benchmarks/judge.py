"""Fits the weights by which the twin finder judges pairs, and shows how well they part copies from what is only alike.

PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE python benchmarks/judge.py HOSTS CORPUS docs/results/judge.md     (some 10 minutes)

Copies are planted in half of the hosts (the other half is benchmarks/matching.py's), and lookalikes, which are no copies; the
same hosts are looked through untouched but re-encoded, and so are forged and authentic figures of the corpus's training
part. Every motion that the finder proposes is measured; one is true where its two regions cover the truth with a pixel F1 of
0.4 or more; right motions with less are left out. Logistic regression, each image with equal weight, folds grouped by host.
The first weight is moved so that 3 % of the untouched images have a pair with a score of 0.5. Prints what belongs into
forgery_rcnn/matching/judge.py.
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
from forgery_rcnn.errors import InputError
from forgery_rcnn.matching import chance, finder, judge, motions
from forgery_rcnn.matching.pairs import Hypothesis
from forgery_rcnn.matching.verify import Measured
from forgery_rcnn.matching_config import MatchingConfig

PLANTED, CLEAN, ALIKE, FIGURES = 130, 180, 80, 80
UNTOUCHED = ("clean", "authentic")
KINDS = ("planted", "clean", "alike", "forged", "authentic")
TRUE, ALARMS = 0.4, 0.03
SEED, WORKERS, FOLDS = 0, 2, 5
NEAR = 4.0  # px: a motion so near to the planted one is right


@dataclass(frozen=True)
class Task:
    """One image to look through. kind: one of KINDS; group: its host."""

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
    texture = "rich" if rng.random() < 0.5 else "smooth"
    if task.kind == "alike":
        made = planting.lookalike(pixels, "rich", float(rng.choice(list(AREAS.values()))), rng)
        return (
            None if made is None else (planting.treated(made, treatment, rng), np.zeros(pixels.shape[:2], bool), None)
        )
    if task.kind == "clean":
        return planting.treated(pixels, treatment, rng), np.zeros(pixels.shape[:2], bool), None
    made = planting.plant(pixels, transform, treatment, texture, float(rng.choice(list(AREAS.values()))), rng)
    return None if made is None else (made.pixels, made.union, made.matrix)


def rows(task: Task) -> list[Row] | None:
    """One image -> its motions that pass what every motion has to pass, measured; None where it could not be made."""
    cv2.setNumThreads(1)
    try:
        scene = seen(task)
    except InputError:  # a host that the reader refuses
        return None
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
    for kind, count in (("planted", PLANTED), ("clean", CLEAN), ("alike", ALIKE)):
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


def fitted(found: list[Row]) -> Callable[[np.ndarray], np.ndarray]:
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


def looked_through(todo: list[Task]) -> tuple[list[Row], dict[str, int]]:
    """-> the motions of all images, and how many images there were of each kind."""
    found, images_of = [], dict.fromkeys(KINDS, 0)
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as processes:
        for task, some in zip(todo, processes.map(rows, todo, chunksize=2), strict=True):
            if some is not None:
                images_of[task.kind] += 1
                found += some
    return found, images_of


def alarms_above(found: list[Row], logits: np.ndarray, images_of: dict[str, int], share: float) -> float:
    """-> the logit that this share of the untouched images has a pair above."""
    worst = sorted(best_of(found, logits, UNTOUCHED, 0).values(), reverse=True)
    calm = sum(images_of[kind] for kind in UNTOUCHED)
    return [*worst, *[-np.inf] * calm][int(share * calm)]


def held_out(found: list[Row]) -> np.ndarray:
    """-> (N,) logits, each of a model that has not seen the row's host."""
    values, groups = np.array([row.values for row in found]), [zlib.crc32(row.task.group.encode()) for row in found]
    logits = np.zeros(len(found))
    for train, test in GroupKFold(FOLDS).split(values, groups=groups):
        logits[test] = fitted([found[i] for i in train])(values[test])
    return logits


def text(found: list[Row], images_of: dict[str, int], names: list[str], weights: np.ndarray) -> list[str]:
    """The page."""
    counts = ", ".join(f"{count} {kind}" for kind, count in images_of.items())
    lines = ["# How the twin finder judges", "", __doc__.split("\n\n")[2].replace("\n", " "), ""]
    lines += [f"Images: {counts}. {len(found)} motions, {sum(row.true for row in found)} true.", ""]
    lines += ["| feature | weight |", "|---|---:|"]
    lines += [f"| {name} | {weight:.4g} |" for name, weight in zip(names, weights, strict=True)]
    lines += ["", "Held out (folds by host); of lookalikes, how many have a pair:", ""]
    lines += [
        "| untouched images with a pair | planted copies kept | forged figures kept | lookalikes |",
        "|---:|---:|---:|---:|",
    ]
    logits = held_out(found)
    for share in (0.01, 0.02, 0.03, 0.05):
        least, cells = alarms_above(found, logits, images_of, share), []
        for kind, true in (("planted", 1), ("forged", 1), ("alike", 0)):
            best = best_of(found, logits, (kind,), true)
            among = f"{len(best)} with a true motion, {images_of[kind]}" if true else f"{images_of[kind]}"
            cells.append(f"{sum(value > least for value in best.values())} of {among} images")
        lines.append(f"| {share:.0%} | {' | '.join(cells)} |")
    return lines


def main(arguments: list[str]) -> int:
    root, corpus, page = (Path(argument) for argument in arguments)
    found, images_of = looked_through(tasks(root, corpus))
    names, final = list(judge.WEIGHTS), fitted(found)
    weights = final.weights.copy()
    weights[0] -= alarms_above(found, np.array([row.values for row in found]) @ weights, images_of, ALARMS)
    lines = text(found, images_of, names, weights)
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    print(
        "WEIGHTS = {" + ", ".join(f'"{name}": {weight:.4g}' for name, weight in zip(names, weights, strict=True)) + "}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
