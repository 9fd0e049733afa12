"""The images that benchmarks/matching.py looks at, read or made one at a time, each with what is known of it."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import planting

from forgery_rcnn.data import images, masks
from forgery_rcnn.errors import InputError

# Forged share of an image at these quantiles of the Recod.ai/LUC training set.
AREAS = {"q10": 0.0026, "q25": 0.0056, "q50": 0.0235, "q75": 0.073, "q90": 0.127}
TWINS = ("copy_move", "lanes", "between_panels", "overlap", "panel_reuse")
"""Operations of the corpus that leave two regions alike; the others do not, and a pair found there is a false alarm."""
PHOTOGRAPHS = "camera_jpegs"  # the set of hosts that are photographs; all others are scientific
LONGEST = 1400  # pixels: larger hosts of planted copies are made smaller, for the time it takes
LEAST = 128  # pixels of a host's shorter side


@dataclass(frozen=True)
class Scene:
    """(H, W, 3) uint8 pixels; (H, W) bool truth, regions and copies, all clear where none; motions: (2, 3), where known."""

    pixels: np.ndarray
    truth: np.ndarray
    motions: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Case:
    """One image. about: what it is counted under, e.g. operation, transform, treatment, texture, area, kind."""

    part: str
    name: str
    scene: Callable[[], Scene | None]
    about: dict[str, str] = field(default_factory=dict)


def _clear(pixels: np.ndarray) -> np.ndarray:
    return np.zeros(pixels.shape[:2], bool)


def _spread(items: Sequence[Path], count: int, rng: np.random.Generator) -> list[Path]:
    """At most `count` of them, drawn."""
    return [items[i] for i in sorted(rng.permutation(len(items))[:count])]


def noso(root: Path, count: int) -> list[Case]:
    """The NoSo database: `count` forged photographs at most, and as many originals."""

    def scene(path: Path, truth: Path | None) -> Scene:
        pixels = images.read(path).pixels
        if truth is None:
            return Scene(pixels, _clear(pixels))
        # The masks name their black as transparent.
        return Scene(pixels, images.read(truth, alpha="ignored").pixels[..., 0] > 127)

    found = {
        path: path.with_name(f"{path.stem}_gt.png") for path in sorted(root.glob("*.png")) if "_gt" not in path.stem
    }
    if not found:
        raise InputError(f"{root}: no pictures of the NoSo database; pass the folder that holds 01.png and 01_mod.png")
    chosen = []
    for forged in (True, False):
        some = [path for path, truth in found.items() if truth.is_file() == forged]
        chosen += some[:: max(1, round(len(some) / count))][:count]
    return [
        Case("noso", path.stem, lambda p=path, t=found[path]: scene(p, t if t.is_file() else None),
             {"kind": "forged" if found[path].is_file() else "original"})
        for path in chosen
    ]  # fmt: skip


def hosts(root: Path, half: Literal["fitting", "testing"]) -> dict[str, list[Path]]:
    """Folder of sets -> the pictures of each set: those that the finder's judgement was fitted on, or the others."""
    sets = {folder.name: sorted(p for p in folder.iterdir() if p.suffix.lower() in images.EXTENSIONS)
            for folder in sorted(root.iterdir()) if folder.is_dir()}  # fmt: skip
    wanted = 0 if half == "fitting" else 1
    sets = {name: [p for p in paths if zlib.crc32(p.name.encode()) % 2 == wanted] for name, paths in sets.items()}
    if not any(sets.values()):
        raise InputError(f"{root}: no folders of pictures in it; pass one that holds a folder for each set of hosts")
    return sets


def planted(root: Path, count: int, seed: int) -> list[Case]:
    """`count` copies planted in hosts: transforms, treatments, textures and areas in turn, half of the hosts photographs."""
    rng = np.random.default_rng((seed, 1))
    sets = hosts(root, "testing")
    kinds = {"photograph": sets.get(PHOTOGRAPHS, []), "scientific": []}
    for name, paths in sets.items():
        if name != PHOTOGRAPHS:  # as many of each set at most: one of them has 400 alike
            kinds["scientific"] += _spread(paths, 40, rng)
    kinds = {name: [p for p in paths if min(images.header_size(p)) >= LEAST] for name, paths in kinds.items() if paths}
    wheels = {
        "transform": planting.TRANSFORMS,
        "treatment": planting.TREATMENTS,
        "texture": ("rich", "smooth"),
        "area": tuple(AREAS),
        "hosts": tuple(kinds),
    }
    # Each column goes through all its values before any comes again, in an order of its own.
    columns = {
        name: np.concatenate([rng.permutation(len(values)) for _ in range(count // len(values) + 1)])[:count]
        for name, values in wheels.items()
    }
    cases = []
    for number in range(count):
        about = {name: str(values[columns[name][number]]) for name, values in wheels.items()}
        path = kinds[about["hosts"]][int(rng.integers(len(kinds[about["hosts"]])))]
        cases.append(
            Case("planted", f"{number:03d}-{path.parent.name}-{path.stem}", _planting(path, about, seed, number), about)
        )
    return cases


def _planting(path: Path, about: dict[str, str], seed: int, number: int) -> Callable[[], Scene | None]:
    def scene() -> Scene | None:
        pixels = images.read(path).pixels
        pixels = images.resized(pixels, images.fitted_size(pixels.shape[:2], min(LONGEST, max(pixels.shape[:2]))))
        rng = np.random.default_rng((seed, 2, number))
        texture = "rich" if about["texture"] == "rich" else "smooth"
        made = planting.plant(pixels, about["transform"], about["treatment"], texture, AREAS[about["area"]], rng)
        return None if made is None else Scene(made.pixels, made.union, (made.matrix,))

    return scene


def clean(root: Path, per_set: int, seed: int) -> list[Case]:
    """`per_set` untouched pictures of each set of hosts at most."""
    rng = np.random.default_rng((seed, 3))

    def scene(path: Path) -> Scene:
        pixels = images.read(path).pixels
        return Scene(pixels, _clear(pixels))

    return [
        Case("clean", f"{name}-{path.stem}", lambda p=path: scene(p), {"hosts": name})
        for name, paths in hosts(root, "testing").items()
        for path in _spread(paths, per_set, rng)
    ]


def corpus(root: Path, count: int, seed: int) -> list[Case]:
    """Made figures of the validation part: `count` forged at most, every operation in turn, and half as many authentic."""
    manifest = root / "manifest.csv"
    if not manifest.is_file():
        raise InputError(f"{manifest}: no such file; make the figures with `make corpus`")
    with manifest.open(encoding="utf-8", newline="") as file:
        lines = [row for row in csv.DictReader(file) if row["part"] == "validation"]
    rows: dict[str, list[dict[str, str]]] = {}
    for row in lines:
        if row["label"] == "forged":
            rows.setdefault(row["case_id"], []).append(row)
    rng = np.random.default_rng((seed, 4))
    by_operation: dict[str, list[str]] = {}
    for case in rng.permutation(sorted(rows)).tolist():
        done = {row["operation"] for row in rows[case]}
        by_operation.setdefault(done.pop() if len(done) == 1 else "mixed", []).append(case)
    queue = [
        case for turn in zip(*(_padded(names, count) for names in by_operation.values()), strict=True) for case in turn
    ]
    chosen = [case for case in queue if case][:count]
    cases = [_forged(root, case, rows[case]) for case in chosen]
    untouched = sorted(
        path for path in (root / "train_images" / "authentic").glob("*.png") if _is_validation(path, lines)
    )
    return cases + [
        Case("corpus", path.stem, lambda p=path: Scene(images.read(p).pixels, _clear(images.read(p).pixels)),
             {"operation": "authentic"})
        for path in _spread(untouched, count // 2, rng)
    ]  # fmt: skip


def _padded(names: list[str], count: int) -> list[str]:
    return (names + [""] * count)[:count]


def _is_validation(path: Path, lines: list[dict[str, str]]) -> bool:
    return path.stem in {row["case_id"] for row in lines}


def _forged(root: Path, case: str, rows: list[dict[str, str]]) -> Case:
    """A forged figure; its truth is what has a twin."""
    done = {row["operation"] for row in rows}
    operation = done.pop() if len(done) == 1 else "mixed"

    def scene() -> Scene:
        pixels = images.read(root / "train_images" / "forged" / f"{case}.png").pixels
        stack = masks.read(root / "train_masks" / f"{case}.npy", pixels.shape[:2], case)
        twins = [row for row in rows if row["operation"] in TWINS]
        truth = stack[[int(row["instance"]) for row in twins]].any(axis=0) if twins else _clear(pixels)
        motions = [np.array(motion) for row in twins for motion in json.loads(row["transform"])]
        return Scene(pixels, truth, tuple(motions))

    steps = {step for row in rows for step, _ in json.loads(row["treatment"])}
    turns = [motion for row in rows for motion in json.loads(row["parameters"]).get("motions", [])]
    return Case("corpus", case, scene, {
        "operation": operation,
        "treatment": "+".join(sorted(steps)) or "none",
        "transform": "moved only" if not any(_turned(motion) for motion in turns) else "turned, scaled or mirrored",
    })  # fmt: skip


def _turned(motion: dict[str, float]) -> bool:
    return (
        bool(motion.get("mirrored"))
        or abs(motion.get("turn_degrees", 0)) > 0.01
        or abs(motion.get("scale", 1) - 1) > 0.001
    )


def area_of(truth: np.ndarray) -> str:
    """(H, W) bool -> the quantile of the competition's forged areas that it lies nearest to."""
    share = max(float(truth.mean()), 1e-6)
    return min(AREAS, key=lambda name: abs(np.log(share / AREAS[name])))


def contours(mask: np.ndarray) -> list[np.ndarray]:
    """(H, W) bool -> its outlines for cv2.drawContours."""
    return list(cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0])
