"""Fits the trees by which the twin finder judges pairs, and shows how well they part copies from what is only alike.

PYTHONPATH=. OMP_WAIT_POLICY=PASSIVE python benchmarks/judge.py HOSTS CORPUS docs/results/judge.md     (some 20 minutes)

Copies are planted in half of the hosts (the other half is benchmarks/matching.py's), four more in each photograph, and
lookalikes, which are no copies; the same hosts are looked through untouched but re-encoded, and so are forged and authentic
figures of the corpus's training part, drawn blots and gels among them, half of the others once more as JPEG of 50 to 90. Every
motion that the finder proposes is measured; one is true where its two regions cover the truth with a pixel F1 of 0.4 or more;
right motions with less are left out. Gradient boosting (scikit-learn's, by histograms), monotonic where more of a feature can
only speak for a copy or against it; lookalikes with three times the weight. The logits are moved so that, with trees that have
not seen the host, 3 % of the untouched images and 18 % of the lookalikes at most have a pair with a score of 0.5. Writes
forgery_rcnn/matching/judge.json.
"""

from __future__ import annotations

import csv
import json
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import planting
from matching_cases import AREAS, LONGEST, PHOTOGRAPHS, TWINS, hosts
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold

from forgery_rcnn.data import images, masks
from forgery_rcnn.errors import InputError
from forgery_rcnn.matching import chance, finder, judge, motions
from forgery_rcnn.matching.pairs import Hypothesis
from forgery_rcnn.matching.verify import Measured
from forgery_rcnn.matching_config import MatchingConfig

PLANTED, CLEAN, ALIKE, FIGURES, DRAWN = 200, 220, 90, 130, 80
MORE = 4  # times that each photograph gets another copy: sharp ones are few among the hosts
UNTOUCHED = ("clean", "authentic")
KINDS = ("planted", "clean", "alike", "forged", "authentic")
TRUE, ALARMS, ALIKE_ALARMS = 0.4, 0.03, 0.18
ALIKE_WEIGHT = 3.0
SEED, WORKERS, FOLDS = 0, 2, 5
NEAR = 4.0  # px: a motion so near to the planted one is right
QUALITIES = (50, 90)  # JPEG, of the figures that are looked through a second time


@dataclass(frozen=True)
class Task:
    """One image to look through. kind: one of KINDS; compressed: as JPEG, once more; group: its host."""

    kind: str
    path: Path
    truth: Path | None
    number: int
    compressed: bool = False

    @property
    def group(self) -> str:
        return self.path.stem if self.kind in ("forged", "authentic") else self.path.as_posix()


@dataclass(frozen=True)
class Row:
    """One motion: its image, judge.features of it, whether it is true, and who proposed it."""

    task: Task
    features: dict[str, float]
    true: int
    found_by: str


def seen(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray | None] | None:
    """-> pixels, (H, W) bool truth, the planted motion; None where nothing could be planted."""
    rng = np.random.default_rng((SEED, task.number))
    pixels = images.read(task.path).pixels
    clear = np.zeros(pixels.shape[:2], bool)
    if task.kind in ("forged", "authentic"):
        if task.compressed:
            pixels = planting.treated(pixels, f"jpeg {rng.integers(*QUALITIES, endpoint=True)}", rng)
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
        fit = chance.of(figure.gray, measured.grown)
        if fit.probable > config.max_chance:
            continue
        overlap = _f1(measured, truth)
        if overlap < TRUE and motion is not None and _right(hypothesis, motion):
            continue
        found.append(Row(task, judge.features(measured, fit), int(overlap >= TRUE), hypothesis.found_by))
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
        # Sets in turn, and no picture twice: the few odd ones of a small set would decide.
        drawn = [[paths[i] for i in rng.permutation(len(paths))] for paths in sets]
        queue = [path for some in zip_longest(*drawn) for path in some if path is not None]
        out += [Task(kind, path, None, len(out) + number) for number, path in enumerate(queue[:count])]
    twins, blots = cases(corpus)
    figures = [twins[i] for i in sorted(rng.permutation(len(twins))[:FIGURES])]
    for compressed, some in ((False, [*figures, *blots[:DRAWN]]), (True, figures[::2])):
        for case in some:
            mask = corpus / "train_masks" / f"{case}.npy"
            out.append(Task("forged", corpus / "train_images" / "forged" / f"{case}.png", mask, len(out), compressed))
            authentic = corpus / "train_images" / "authentic" / f"{case}.png"
            if authentic.is_file():
                out.append(Task("authentic", authentic, None, len(out), compressed))
    photographs = hosts(root, "fitting")[PHOTOGRAPHS]
    return out + [Task("planted", path, None, len(out) + i) for i, path in enumerate(photographs * MORE)]


def cases(corpus: Path) -> tuple[list[str], list[str]]:
    """-> training figures of the corpus that hold nothing but copies: those of hosts, and drawn blots and gels."""
    with (corpus / "manifest.csv").open(encoding="utf-8", newline="") as file:
        lines = [row for row in csv.DictReader(file) if row["part"] == "train" and row["label"] == "forged"]
    others = {row["case_id"] for row in lines if row["operation"] not in TWINS}
    drawn = {row["case_id"] for row in lines if row["hosts"].startswith("drawn:")} - others
    return sorted({row["case_id"] for row in lines} - others - drawn), sorted(drawn)


def values(found: list[Row]) -> np.ndarray:
    """-> (N, features)."""
    return np.array([list(row.features.values()) for row in found])


def fitted(found: list[Row]) -> HistGradientBoostingClassifier:
    """-> trees of the rows."""
    weight = np.array([ALIKE_WEIGHT if row.task.kind == "alike" else 1.0 for row in found])
    ways = {**dict.fromkeys(judge.SURER, 1), **dict.fromkeys(judge.LESS_SURE, -1)}
    model = HistGradientBoostingClassifier(
        max_depth=3,
        max_iter=150,
        learning_rate=0.05,
        min_samples_leaf=25,
        l2_regularization=3,
        max_features=0.5,
        monotonic_cst=[ways.get(name, 0) for name in found[0].features],
        random_state=SEED,
    )
    return model.fit(values(found), [row.true for row in found], sample_weight=weight / weight.mean())


def kept(model: HistGradientBoostingClassifier, names: list[str], moved: float) -> dict[str, object]:
    """Trees, their features and what is added to their logits -> what judge.Trees reads."""
    trees = []
    for (one,) in model._predictors:  # scikit-learn has no public way to them
        nodes = []
        for node in one.nodes:
            branch = [int(node["feature_idx"]), float(node["num_threshold"]), int(node["left"]), int(node["right"])]
            nodes.append([round(float(node["value"]), 6)] if node["is_leaf"] else branch)
        trees.append(nodes)
    return {"features": names, "start": float(model._baseline_prediction.item()) + moved, "trees": trees}


def importance(model: HistGradientBoostingClassifier) -> list[float]:
    """-> of each feature its share of what all splits gain."""
    gains = np.zeros(model.n_features_in_)
    for (one,) in model._predictors:
        inner = one.nodes[one.nodes["is_leaf"] == 0]
        np.add.at(gains, inner["feature_idx"], inner["gain"])
    return (gains / gains.sum()).tolist()


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


def alarms_above(
    found: list[Row], logits: np.ndarray, images_of: dict[str, int], kinds: tuple[str, ...], share: float
) -> float:
    """-> the logit that this share of the images of these kinds, which hold no copy, has a pair above."""
    worst = sorted(best_of(found, logits, kinds, 0).values(), reverse=True)
    calm = sum(images_of[kind] for kind in kinds)
    return [*worst, *[-np.inf] * (calm + 1)][int(share * calm)]


def held_out(found: list[Row]) -> np.ndarray:
    """-> (N,) logits, each of a model that has not seen the row's host."""
    groups = [zlib.crc32(row.task.group.encode()) for row in found]
    logits = np.zeros(len(found))
    everything = values(found)
    for train, test in GroupKFold(FOLDS).split(everything, groups=groups):
        logits[test] = fitted([found[i] for i in train]).decision_function(everything[test])
    return logits


def text(
    found: list[Row], images_of: dict[str, int], shares: list[float], logits: np.ndarray, least: float
) -> list[str]:
    """The page."""
    counts = ", ".join(f"{count} {kind}" for kind, count in images_of.items())
    lines = ["# How the twin finder judges", "", __doc__.split("\n\n")[2].replace("\n", " "), ""]
    lines += [f"Images: {counts}. {len(found)} motions, {sum(row.true for row in found)} true.", ""]
    lines += ["| feature | share of what the splits gain |", "|---|---:|"]
    lines += [
        f"| {name} | {share:.1%} |" for share, name in sorted(zip(shares, found[0].features, strict=True), reverse=True)
    ]
    lines += ["", "Held out (folds by host), images that have a pair; the last line is what is written.", ""]
    lines += ["| untouched | planted copies | forged figures | lookalikes |", "|---:|---:|---:|---:|"]
    at = [alarms_above(found, logits, images_of, UNTOUCHED, share) for share in (0.01, 0.02, 0.03, 0.05)]
    for limit in (*at, least):
        cells = []
        for kinds, true in ((UNTOUCHED, 0), (("planted",), 1), (("forged",), 1), (("alike",), 0)):
            best = best_of(found, logits, kinds, true)
            among = f"{len(best)} with a true motion, " if true else ""
            cells.append(
                f"{sum(value > limit for value in best.values())} of {among}{sum(images_of[k] for k in kinds)}"
            )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main(arguments: list[str]) -> int:
    root, corpus, page = (Path(argument) for argument in arguments)
    found, images_of = looked_through(tasks(root, corpus))
    logits, model = held_out(found), fitted(found)
    limits = ((UNTOUCHED, ALARMS), (("alike",), ALIKE_ALARMS))
    least = max(alarms_above(found, logits, images_of, kinds, share) for kinds, share in limits)
    judge.FITTED.write_text(
        json.dumps(kept(model, list(found[0].features), -least), separators=(",", ":")) + "\n", encoding="utf-8"
    )
    lines = text(found, images_of, importance(model), logits, least)
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
