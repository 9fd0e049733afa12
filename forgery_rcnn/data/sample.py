"""The built-in sample: a small data set in the Recod.ai layout, forged from the pictures in scikit-image's wheel.

Nothing is downloaded; the same seed gives the same bytes. The figures are made as all others are, by data.forge.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from forgery_rcnn.data.forge.figure import make
from forgery_rcnn.data.forge.hosts import Host, files_of, pools, scan
from forgery_rcnn.data.forge.output import Row, rows, save, write_manifest
from forgery_rcnn.data.forge.plans import WEIGHTS, Mode, Plan, area_at, drawn_layout, drawn_operations
from forgery_rcnn.data.forge.views import Pool
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.submission import recodai

VERSION = 2  # raise it whenever the pictures change: a folder of another version is built anew
STAMP = ".sample.json"
SOLUTION, MANIFEST = "solution.csv", "manifest.csv"  # the truth of the test images; hosts and operations of the others
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
SIDES = (128, 620)  # least and greatest side of a figure
COMPOUND = 0.3  # share of the figures
PER_POOL = 2  # hosts at least: folds by host need several pools
# The image that the first training stage overfits, a copy-move and a splice, both large; and what it is made of.
SINGLE = Plan(10017, 0, (384, 512), "view", "RGB", 0.13, ("copy_move", "splice"))
SINGLE_HOSTS = ("coins.png", "ihc.png")


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


def host_folder() -> Path:
    """A folder beside the sample with the pictures its training figures are made of, one file each; written when missing.

    Its test figures show none of their pixels, so that what is trained on figures made from these can be tested on it.
    """
    folder = default_root().parent / "hosts"
    _write_hosts(folder, "train")
    return folder


def _write_hosts(folder: Path, part: Literal["train", "test"]) -> None:
    for name, pixels in _hosts(part).items():
        path = folder / Path(name).with_suffix(".png")
        if not path.is_file():
            save(path, pixels)


def _hosts(part: Literal["train", "test"]) -> dict[str, np.ndarray]:
    """-> by file name, (H, W, 3) uint8 RGB, what the figures of this part may show."""
    names = SHARED + (TRAIN_ONLY if part == "train" else TEST_ONLY)
    hosts = {name: np.asarray(Image.open(str(files("skimage") / "data" / name)).convert("RGB")) for name in names}
    hosts["retina.jpg"] = hosts["retina.jpg"][210:1200, 210:1200]  # without the black around the eye
    for name in SHARED:
        edge = round(SHARE * hosts[name].shape[1])
        hosts[name] = hosts[name][:, :edge] if part == "train" else hosts[name][:, edge:]
    return hosts


def _fill(folder: Path, seed: int) -> None:
    """Make and write the whole data set into the new `folder`, the stamp last."""
    with tempfile.TemporaryDirectory() as scratch:
        for part in ("train", "test"):
            _write_hosts(Path(scratch) / part, part)
        train, test = (
            scan(below, files_of(below), 1)[0] for below in (Path(scratch) / "train", Path(scratch) / "test")
        )
        lines = _write_train(folder, train, seed) + _write_test(folder, test, seed)
    write_manifest(folder / MANIFEST, lines)
    (folder / STAMP).write_text(json.dumps(_stamp(folder, seed)))


def _write_train(folder: Path, hosts: Sequence[Host], seed: int) -> list[Row]:
    """Training and supplemental figures; -> their lines of the manifest."""
    dealt, lines = [Pool(members) for members in pools(hosts, PER_POOL)], []
    single = Pool([host for host in hosts if host.id in SINGLE_HOSTS])
    for plan in _plans(range(10001, 10073), seed):
        figure = make(plan, single if plan.case == SINGLE.case else dealt[plan.case % len(dealt)])
        save(folder / "train_images" / "forged" / f"{plan.case}.png", figure.after)
        save(folder / "train_masks" / f"{plan.case}.npy", figure.masks)
        if plan.case % 7 != 3:  # as in the real data, some forged figures have no authentic twin
            save(folder / "train_images" / "authentic" / f"{plan.case}.png", figure.before)
        lines += rows(figure, {"case_id": plan.case, "part": "train", "seed": seed}, "forged")
    for plan in _plans(range(20001, 20007), seed):  # of one pool: whatever shares a host with them cannot validate
        figure = make(plan, single)
        save(folder / "supplemental_images" / f"{plan.case}.png", figure.after)
        save(folder / "supplemental_masks" / f"{plan.case}.npy", figure.masks)
        lines += rows(figure, {"case_id": plan.case, "part": "supplemental", "seed": seed}, "forged")
    return lines


def _write_test(folder: Path, hosts: Sequence[Host], seed: int) -> list[Row]:
    """Test figures, half of them authentic, their solution, and a submission's example; -> lines of the manifest."""
    pool, lines, truths = Pool(pools(hosts, len(hosts))[0]), [], {}
    for plan in _plans(range(30001, 30017), seed):
        plan = plan if plan.case % 2 else replace(plan, operations=())
        figure = make(plan, pool)
        save(folder / "test_images" / f"{plan.case}.png", figure.after)
        forged = Instances.from_masks(figure.masks) if figure.steps else None
        kinds = sorted({step.operation for step in figure.steps})
        truths[str(plan.case)] = Truth(plan.size, forged, " + ".join(kinds))
        label = "forged" if figure.steps else "authentic"
        lines += rows(figure, {"case_id": plan.case, "part": "test", "seed": seed}, label)
    recodai.write_solution(folder / SOLUTION, truths)
    example = ((case, Answer(truth.size, None)) for case, truth in truths.items())
    recodai.write(folder / "sample_submission.csv", example)
    return lines


def _plans(cases: range, seed: int) -> list[Plan]:
    """One plan per case id; that of SINGLE is fixed."""
    rng = np.random.default_rng([VERSION, seed, cases.start])
    # Each row is spread evenly over 0..1, in random order: shares come out right even for few figures.
    draws = rng.permuted(np.tile((np.arange(len(cases)) + 0.5) / len(cases), (5, 1)), axis=1).T
    plans = []
    for case, (area, number, mode, compound, side) in zip(cases, draws, strict=True):
        long = SIDES[0] * (SIDES[1] / SIDES[0]) ** side
        sides = np.clip(np.round(rng.permutation([long, long * rng.uniform(0.6, 1)])), *SIDES).astype(int).tolist()
        instances = 1 + int(number > 0.68) + int(number > 0.93)
        form: Mode = "L" if mode < 0.15 else "RGBA" if mode < 0.32 else "RGB"
        layout = drawn_layout((sides[0], sides[1]), float(compound < COMPOUND), rng)
        operations = drawn_operations(layout, area_at(area), instances, tuple(WEIGHTS), rng)
        plans.append(Plan(case, seed, (sides[0], sides[1]), layout, form, area_at(area), operations).feasible())
    return [replace(SINGLE, seed=seed) if plan.case == SINGLE.case else plan for plan in plans]
