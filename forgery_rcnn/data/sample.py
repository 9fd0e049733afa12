"""The built-in sample: a small data set in the Recod.ai layout, forged from pictures inside scikit-image's wheel.

Nothing is downloaded; the same seed gives the same bytes. A canvas is (H, W, 3) uint8 RGB, a shape or mask (H, W) bool,
`room` the (H, W) bool where a forgery may lie, all in the figure's pixels. Test figures show no pixel of a training figure.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from forgery_rcnn import rle
from forgery_rcnn.errors import InputError

VERSION = 1  # raise it whenever the pictures change: a folder of another version is built anew
STAMP = ".sample.json"
FEATHER = 5  # pixels around its mask that a pasted region may touch
MARGIN = 8  # pixels along borders, gutters and letters without forgeries; a soft transparent border is narrower
VISIBLE = 12.0  # least mean change, in grey levels, that a pasted region makes
SMALLEST = 98  # least pixels in a mask channel, as in the real data
# Forged share of an image's pixels after the real data's quantiles; the tails drawn in, so that small figures can hold it.
AREAS = {0.0: 0.0025, 0.1: 0.0035, 0.25: 0.01, 0.5: 0.035, 0.75: 0.08, 0.9: 0.135, 1.0: 0.22}
# Of the shared hosts training sees the columns left of this share, the test the rest.
SHARE = 0.6
SHARED = ("ihc.png", "retina.jpg", "hubble_deep_field.jpg", "moon.png", "gravel.png", "grass.png")
TRAIN_SCIENCE = ("coins.png", "cell.png", "microaneurysms.png", "brick.png")
PHOTOS = {"train": ("camera.png", "astronaut.png", "chelsea.png", "rocket.jpg"), "test": ("coffee.png", "motorcycle_left.png")}
WITH_OBJECTS = {"cell.png", "coins.png", "hubble_deep_field.jpg", "ihc.png", "moon.png"}
Kind = Literal["copy_move", "splice"]
Hosts = dict[str, np.ndarray]


@dataclass(frozen=True)
class Plan:
    """What one figure is to be: `size` = (H, W) pixels, `area` = share of the pixels to forge, one kind per instance."""

    case: int
    size: tuple[int, int]
    mode: Literal["RGB", "RGBA", "L"] = "RGB"
    panels: int = 1
    kinds: tuple[Kind, ...] = ()
    area: float = 0.0
    hosts: tuple[str, ...] = ()
    """One per panel and, last, the splices' donor; none = drawn."""


# The image that the first training stage overfits.
SINGLE = Plan(10017, (384, 512), kinds=("copy_move", "splice"), area=0.1, hosts=("coins.png", "ihc.png"))


def default_root() -> Path:
    """Where the sample lives: data/sample in the repository, or the user's cache where that cannot be written."""
    home = Path(__file__).resolve().parents[2] / "data" / "sample"
    nearest = next(folder for folder in home.parents if folder.exists())
    if (home / STAMP).is_file() or os.access(nearest, os.W_OK | os.X_OK):
        return home
    return Path.home() / ".cache" / "forgery_rcnn" / "sample"


def build(out: Path, seed: int = 0) -> Path:
    """Make the sample in folder `out`, unless it is complete there already; returns `out`.

    Raises InputError where `out` holds something that this function has not made.
    """
    if _complete(out, seed):
        return out
    if out.exists() and not (out / STAMP).is_file() and any(out.iterdir()):
        raise InputError(f"{out} is not empty and not a sample made here: move it away, or name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside `out`, so that the last step is a rename within one file system: `out` is complete or it is not there.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        new = Path(scratch) / "new"
        _fill(new, seed)
        if out.exists():
            os.replace(out, Path(scratch) / "old")
        try:
            os.replace(new, out)
        except OSError:
            if not _complete(out, seed):  # else another process has put the same sample there meanwhile
                raise
    return out


def _complete(out: Path, seed: int) -> bool:
    try:
        return json.loads((out / STAMP).read_text()) == _stamp(out, seed)
    except (OSError, ValueError):
        return False


def _stamp(folder: Path, seed: int) -> dict[str, object]:
    """What the stamp file of a complete `folder` says: version, seed, and files by kind."""
    folders = sorted(path for path in folder.rglob("*") if path.is_dir())
    counts = {path.relative_to(folder).as_posix(): sum(f.is_file() for f in path.iterdir()) for path in folders}
    return {"version": VERSION, "seed": seed, "counts": counts}


def _fill(folder: Path, seed: int) -> None:
    """Draw and write the whole data set into the new `folder`, the stamp last."""
    rng = np.random.default_rng([VERSION, seed])
    hosts = _hosts("train")
    for plan in _plans(range(10001, 10073), rng):
        before, after, masks = _figure(plan, hosts, rng)
        _write(folder / "train_images" / "forged" / f"{plan.case}.png", after)
        _write(folder / "train_masks" / f"{plan.case}.npy", masks)
        if plan.case % 7 != 3:  # as in the real data, some forged figures have no authentic twin
            _write(folder / "train_images" / "authentic" / f"{plan.case}.png", before)
    for plan in _plans(range(20001, 20007), rng):
        _, after, masks = _figure(plan, hosts, rng)
        _write(folder / "supplemental_images" / f"{plan.case}.png", after)
        _write(folder / "supplemental_masks" / f"{plan.case}.npy", masks)
    rows = []
    for plan in _plans(range(30001, 30017), rng):
        plan = plan if plan.case % 2 else replace(plan, kinds=())
        _, after, masks = _figure(plan, _hosts("test"), rng)
        _write(folder / "test_images" / f"{plan.case}.png", after)
        codes = (rle.encode(rle.runs_of(mask), rle.RECODAI) for mask in masks)
        rows.append((plan.case, ";".join(codes) or "authentic", json.dumps(plan.size)))
    for name, head, body in (
        ("solution.csv", ("case_id", "annotation", "shape"), rows),
        ("sample_submission.csv", ("case_id", "annotation"), [(row[0], "authentic") for row in rows]),
    ):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([head, *body])
    (folder / STAMP).write_text(json.dumps(_stamp(folder, seed)))


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path, compress_level=1)


def _hosts(part: Literal["train", "test"]) -> Hosts:
    """-> by file name, (H, W, 3) uint8 RGB, what figures of this part may show."""
    spec = importlib.util.find_spec("skimage")  # found, not imported: its import takes longer than reading the files
    folder = Path(spec.submodule_search_locations[0]) / "data"
    science = TRAIN_SCIENCE if part == "train" else ()
    hosts = {name: np.asarray(Image.open(folder / name).convert("RGB")) for name in (*SHARED, *science, *PHOTOS[part])}
    hosts["retina.jpg"] = hosts["retina.jpg"][210:1200, 210:1200]  # without the black around the eye
    for name in SHARED:
        edge = round(SHARE * hosts[name].shape[1])
        hosts[name] = hosts[name][:, :edge] if part == "train" else hosts[name][:, edge:]
    return hosts


def _plans(cases: range, rng: np.random.Generator) -> list[Plan]:
    """One plan per case id; that of SINGLE is fixed."""
    # Evenly spread over 0..1 in random order, so that shares come out right even for few figures.
    draws = rng.permuted(np.tile((np.arange(len(cases)) + 0.5) / len(cases), (5, 1)), axis=1).T
    plans = []
    for case, (area, number, mode, panels, side) in zip(cases, draws, strict=True):
        sides = np.maximum(np.array([1.0, rng.uniform(0.55, 1.0)]) * 150 * (640 / 150) ** side, 128)
        height, width = (int(v) for v in rng.permutation(sides))
        plan = Plan(
            case,
            (height, width),
            mode="L" if mode < 0.15 else "RGBA" if mode < 0.32 else "RGB",
            panels=1 if panels < 0.75 or max(height, width) < 300 else 2 if panels < 0.9 else 3,
            kinds=tuple(rng.choice(("copy_move", "splice"), 1 + (number > 0.68) + (number > 0.93), p=(0.66, 0.34))),
            area=float(np.exp(np.interp(area, list(AREAS), np.log(list(AREAS.values()))))),
        )
        plans.append(SINGLE if case == SINGLE.case else plan)
    return plans


def _figure(plan: Plan, hosts: Hosts, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> before and after, (H, W) or (H, W, C) uint8 in the plan's mode, and masks (N, H, W) uint8 {0, 1}."""
    while True:  # a draw can fail: a host too small for the figure, or no place left on it
        weights = np.array([1.0 if name in PHOTOS["train"] + PHOTOS["test"] else 2.0 for name in hosts])
        drawn = rng.choice(list(hosts), plan.panels + 1, replace=False, p=weights / weights.sum())
        *panels, donor = plan.hosts or drawn
        before, room = _canvas(plan, {name: hosts[name] for name in panels}, rng)
        other, _ = _canvas(replace(plan, panels=1), {donor: hosts[donor]}, rng)
        after, masks = before, []
        for kind in plan.kinds:
            area = max(plan.area * before.shape[0] * before.shape[1] / len(plan.kinds), 1.3 * SMALLEST)
            if kind == "copy_move":
                made = _copy_move(after, room, area, rng)
