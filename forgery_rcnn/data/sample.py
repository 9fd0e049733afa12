"""The built-in sample: a small data set in the Recod.ai layout, forged from the pictures in scikit-image's wheel.

Nothing is downloaded; the same seed gives the same bytes. How one figure is drawn: sample_figures.py.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from forgery_rcnn import tables
from forgery_rcnn.data.sample_figures import PHOTOS, Hosts, Plan, figure
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.submission import recodai

VERSION = 1  # raise it whenever the pictures change: a folder of another version is built anew
STAMP = ".sample.json"
SOLUTION = "solution.csv"  # the truth of the test images
# Forged share of an image after the real data's quantiles; SMALLEST raises the low ones on small figures.
AREAS = {0.0: 0.001, 0.1: 0.0015, 0.25: 0.004, 0.5: 0.03, 0.75: 0.075, 0.9: 0.135, 1.0: 0.25}
# Test figures show no pixel of a training figure: shared hosts are cut, training gets this share of the columns.
SHARE = 0.6
SHARED = ("ihc.png", "retina.jpg", "hubble_deep_field.jpg", "moon.png", "gravel.png", "grass.png")
TRAIN_ONLY = (
    "coins.png",
    "cell.png",
    "microaneurysms.png",
    "brick.png",
    "camera.png",
    "astronaut.png",
    "chelsea.png",
    "rocket.jpg",
)
TEST_ONLY = ("coffee.png", "motorcycle_left.png")
# The image that the first training stage overfits.
SINGLE = Plan(10017, (384, 512), "RGB", ("copy_move", "splice"), 0.13, ("coins.png", "ihc.png"))


def default_root() -> Path:
    """Where the sample lives: data/sample in the repository, or the user's cache where that cannot be written."""
    home = Path(__file__).resolve().parents[2] / "data" / "sample"
    nearest = next(folder for folder in home.parents if folder.exists())
    if (home / STAMP).is_file() or os.access(nearest, os.W_OK | os.X_OK):
        return home
    return Path.home() / ".cache" / "forgery_rcnn" / "sample"


def build(out: Path, seed: int = 0) -> Path:
    """Make the sample in folder `out`, unless it is complete there already; returns `out`.

    Raises InputError where `out` holds something that was not made here.
    """
    if _complete(out, seed):
        return out
    if out.exists() and not (out / STAMP).is_file() and any(out.iterdir()):
        raise InputError(f"{out}: is not empty and not a sample made here; move it away, or name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside `out`, so that the last step is a rename within one file system: `out` is complete or it is not there.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        _fill(Path(scratch) / "new", seed)
        try:
            if out.exists():
                os.replace(out, Path(scratch) / "old")
            os.replace(Path(scratch) / "new", out)
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
    """What the stamp file of a complete `folder` says; counts = entries of each folder in it."""
    folders = sorted(path for path in folder.rglob("*") if path.is_dir())
    counts = {path.relative_to(folder).as_posix(): len(list(path.iterdir())) for path in folders}
    return {"version": VERSION, "seed": seed, "counts": counts}


def _fill(folder: Path, seed: int) -> None:
    """Draw and write the whole data set into the new `folder`, the stamp last."""
    rng = np.random.default_rng([VERSION, seed])  # each figure draws from its own child of it
    train, test = _hosts("train"), _hosts("test")
    for plan in _plans(range(10001, 10073), train, rng):
        before, after, masks = figure(plan, train, rng.spawn(1)[0])
        _write(folder / "train_images" / "forged" / f"{plan.case}.png", after)
        _write(folder / "train_masks" / f"{plan.case}.npy", masks)
        if plan.case % 7 != 3:  # as in the real data, some forged figures have no authentic twin
            _write(folder / "train_images" / "authentic" / f"{plan.case}.png", before)
    for plan in _plans(range(20001, 20007), train, rng):
        _, after, masks = figure(plan, train, rng.spawn(1)[0])
        _write(folder / "supplemental_images" / f"{plan.case}.png", after)
        _write(folder / "supplemental_masks" / f"{plan.case}.npy", masks)
    truths = {}
    for plan in _plans(range(30001, 30017), test, rng):
        plan = plan if plan.case % 2 else replace(plan, kinds=())
        _, after, masks = figure(plan, test, rng.spawn(1)[0])
        _write(folder / "test_images" / f"{plan.case}.png", after)
        forged = Instances.from_masks(masks) if len(masks) else None
        truths[str(plan.case)] = Truth(plan.size, forged, " + ".join(sorted(set(plan.kinds))))
    recodai.write_solution(folder / SOLUTION, truths)
    recodai.write(
        folder / "sample_submission.csv", ((case, Answer(truth.size, None)) for case, truth in truths.items())
    )
    (folder / STAMP).write_text(json.dumps(_stamp(folder, seed)))


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path, compress_level=1)


def host_folder() -> Path:
    """A folder beside the sample with the pictures its training figures are made of, one file each; written when missing.

    Its test figures show none of their pixels, so that what is trained on figures made from these can be tested on it.
    """
    folder = default_root().parent / "hosts"
    for name, pixels in _hosts("train").items():
        path = folder / Path(name).with_suffix(".png")
        if not path.is_file():
            with tables.replacing(path) as temporary:
                Image.fromarray(pixels).save(temporary, "PNG")
    return folder


def _hosts(part: Literal["train", "test"]) -> Hosts:
    """-> by file name, (H, W, 3) uint8 RGB, what the figures of this part may show."""
    names = SHARED + (TRAIN_ONLY if part == "train" else TEST_ONLY)
    hosts = {name: np.asarray(Image.open(str(files("skimage") / "data" / name)).convert("RGB")) for name in names}
    hosts["retina.jpg"] = hosts["retina.jpg"][210:1200, 210:1200]  # without the black around the eye
    for name in SHARED:
        edge = round(SHARE * hosts[name].shape[1])
        hosts[name] = hosts[name][:, :edge] if part == "train" else hosts[name][:, edge:]
    return hosts


def _plans(cases: range, hosts: Hosts, rng: np.random.Generator) -> list[Plan]:
    """One plan per case id; that of SINGLE is fixed."""
    # Each row is spread evenly over 0..1, in random order: shares come out right even for few figures.
    draws = rng.permuted(np.tile((np.arange(len(cases)) + 0.5) / len(cases), (5, 1)), axis=1).T
    weights = {name: 0.4 if name in PHOTOS else 1.0 for name in hosts}
    plans = []
    for case, (area, number, mode, panels, side) in zip(cases, draws, strict=True):
        sides = np.array([1, rng.uniform(0.55, 1)]) * 150 * (640 / 150) ** side
        count = 1 if panels < 0.75 or max(sides) < 300 else 2 if panels < 0.9 else 3
        chances = np.array(list(weights.values()))
        names = tuple(map(str, rng.choice(list(weights), count + 1, replace=False, p=chances / chances.sum())))
        weights |= {name: weights[name] / 2 for name in names}  # so that the hosts take turns
        largest = 2.5 * min(min(hosts[name].shape[:2]) for name in names)  # a small host is enlarged no further
        height, width = (int(pixels) for pixels in rng.permutation(np.clip(sides, 128, largest)))
        kinds = rng.choice(("copy_move", "splice"), 1 + int(number > 0.68) + int(number > 0.93), p=(0.66, 0.34))
        share = float(np.exp(np.interp(area, list(AREAS), np.log(list(AREAS.values())))))
        form: Literal["RGB", "RGBA", "L"] = "L" if mode < 0.15 else "RGBA" if mode < 0.32 else "RGB"
        plans.append(Plan(case, (height, width), form, tuple(map(str, kinds)), share, names))
    return [SINGLE if plan.case == SINGLE.case else plan for plan in plans]
