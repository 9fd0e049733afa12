"""The built-in sample: a small data set in the Recod.ai layout, forged from the pictures in scikit-image's wheel.

Nothing is downloaded; the same seed gives the same bytes. A canvas is (H, W, 3) uint8 RGB, a shape or mask (H, W) bool,
both in the figure's own pixels.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image

from forgery_rcnn import rle
from forgery_rcnn.errors import InputError

VERSION = 1  # raise it whenever the pictures change: a folder of another version is built anew
STAMP = ".sample.json"
SMALLEST = 98  # least pixels in a mask channel, as in the real data
FEATHER = 5  # pixels around its mask that a pasted region may touch
MARGIN = 8  # pixels along borders, gutters and letters without forgeries; wider than feather and transparent border
VISIBLE = 12.0  # least mean change, in grey levels, that a pasted region makes
# Forged share of an image after the real data's quantiles; SMALLEST raises the low ones on small figures.
AREAS = {0.0: 0.0015, 0.1: 0.0025, 0.25: 0.006, 0.5: 0.03, 0.75: 0.075, 0.9: 0.13, 1.0: 0.25}
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
PHOTOS = {"camera.png", "astronaut.png", "chelsea.png", "rocket.jpg", *TEST_ONLY}
Kind = Literal["copy_move", "splice"]
Hosts = dict[str, np.ndarray]


@dataclass(frozen=True)
class Plan:
    """What a figure is to be: `size` = (H, W), `area` = share of it to forge, `hosts` = one per panel, then the donor."""

    case: int
    size: tuple[int, int]
    mode: Literal["RGB", "RGBA", "L"]
    kinds: tuple[Kind, ...]  # one per instance; none = authentic
    area: float
    hosts: tuple[str, ...]


class Scene(NamedTuple):
    """canvas (H, W, 3) uint8 RGB; room (H, W) uint8, the number of its panel where a forgery may lie, 0 elsewhere."""

    canvas: np.ndarray
    room: np.ndarray


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
        before, after, masks = _figure(plan, train, rng.spawn(1)[0])
        _write(folder / "train_images" / "forged" / f"{plan.case}.png", after)
        _write(folder / "train_masks" / f"{plan.case}.npy", masks)
        if plan.case % 7 != 3:  # as in the real data, some forged figures have no authentic twin
            _write(folder / "train_images" / "authentic" / f"{plan.case}.png", before)
    for plan in _plans(range(20001, 20007), train, rng):
        _, after, masks = _figure(plan, train, rng.spawn(1)[0])
        _write(folder / "supplemental_images" / f"{plan.case}.png", after)
        _write(folder / "supplemental_masks" / f"{plan.case}.npy", masks)
    solution: list[tuple[object, ...]] = [("case_id", "annotation", "shape")]
    for plan in _plans(range(30001, 30017), test, rng):
        _, after, masks = _figure(plan if plan.case % 2 else replace(plan, kinds=()), test, rng.spawn(1)[0])
        _write(folder / "test_images" / f"{plan.case}.png", after)
        codes = [rle.encode(rle.runs_of(mask), rle.RECODAI) for mask in masks]
        solution.append((plan.case, ";".join(codes) or "authentic", json.dumps(plan.size)))
    submission = [solution[0][:2], *((row[0], "authentic") for row in solution[1:])]
    for name, rows in (("solution.csv", solution), ("sample_submission.csv", submission)):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    (folder / STAMP).write_text(json.dumps(_stamp(folder, seed)))


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path, compress_level=1)


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


def _figure(plan: Plan, hosts: Hosts, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> before and after, (H, W) or (H, W, C) uint8 in the plan's mode, and masks (N, H, W) uint8 {0, 1}."""
    forged = None
    while forged is None:  # other views of the hosts, and smaller regions, until all have a place where they show
        scene, donor = _scene(plan, plan.hosts[:-1], hosts, rng), _scene(plan, plan.hosts[-1:], hosts, rng)
        forged, plan = _forged(plan, scene, donor, rng), replace(plan, area=0.97 * plan.area)
    (before, _), (after, masks) = scene, forged
    if plan.mode == "L":
        return before[..., 0], after[..., 0], masks
    if plan.mode == "RGB":
        return before, after, masks
    rows, columns = (np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) for side in plan.size)
    step = rng.choice((255, 40))  # opaque, or a soft transparent border that ends inside the margin
    alpha = np.minimum(np.minimum.outer(rows, columns) * step, 255).astype(np.uint8)
    return np.dstack([before, alpha]), np.dstack([after, alpha]), masks


def _scene(plan: Plan, names: tuple[str, ...], hosts: Hosts, rng: np.random.Generator) -> Scene:
    """-> a view of each named host, side by side, lettered where there are several."""
    canvas, room = np.full((*plan.size, 3), 255, np.uint8), np.zeros(plan.size, np.uint8)
    gutter = 0 if len(names) == 1 else 6
    edges = np.linspace(0, max(plan.size), len(names) + 1).astype(int)
    for number, name in enumerate(names):
        box = [slice(gutter, min(plan.size) - gutter), slice(edges[number] + gutter, edges[number + 1] - gutter)]
        rows, columns = box if plan.size[1] == max(plan.size) else box[::-1]
        turned = hosts[name] if name in PHOTOS else np.rot90(hosts[name], rng.integers(4))
        canvas[rows, columns] = _view(turned, canvas[rows, columns].shape[:2], rng)
        y, x = rows.start, columns.start
        room[y + MARGIN : rows.stop - MARGIN, x + MARGIN : columns.stop - MARGIN] = number + 1
        if gutter:
            canvas[y : y + 20, x : x + 20], room[y : y + 20 + MARGIN, x : x + 20 + MARGIN] = 255, 0
            cv2.putText(canvas, "ABC"[number], (x + 4, y + 15), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    if plan.mode == "L":
        canvas = np.dstack([cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)] * 3)
    return Scene(canvas, room)


def _view(host: np.ndarray, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) host -> (*size, 3) uint8, a piece of it, resized, half the time mirrored; the liveliest of four."""
    largest = min(host.shape[0] / size[0], host.shape[1] / size[1], 1.6)
    factor = rng.uniform(max(0.55 * largest, 0.4), largest)  # host pixels per pixel of the view
    height, width = int(size[0] * factor), int(size[1] * factor)
    corners = rng.integers(0, (host.shape[0] - height + 1, host.shape[1] - width + 1), (4, 2))
    piece = max((host[y : y + height, x : x + width] for y, x in corners), key=np.std)
    mirrored = np.ascontiguousarray(piece[:, :: rng.choice((-1, 1))])
    return cv2.resize(mirrored, size[::-1], interpolation=cv2.INTER_AREA if factor > 1 else cv2.INTER_CUBIC)


def _forged(plan: Plan, scene: Scene, donor: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """-> the scene's canvas forged by plan, and its masks (N, H, W) uint8; None if something found no place."""
    (canvas, room), masks = scene, np.zeros((len(plan.kinds), *plan.size), np.uint8)
    for mask, kind in zip(masks, plan.kinds, strict=True):
        copies = 1 if kind == "splice" or rng.random() < 0.75 else 2
        regions = 1 if kind == "splice" else 1 + copies
        area = max(plan.area * room.size / len(masks), 1.3 * SMALLEST) / regions
        # A copy stays in its panel: panels show different things, so elsewhere it would be a splice.
        free = room == rng.integers(1, len(plan.hosts))
        source = _shape(donor.canvas, donor.room > 0, area, rng) if kind == "splice" else _shape(canvas, free, area, rng)
        if source is None:
            return None
        content = _matched(donor.canvas, canvas, rng) if kind == "splice" else canvas
        mask[:] = 0 if kind == "splice" else source
        for _ in range(copies):
            pasted = _pasted(canvas, content, source, free & ~_grown(mask, 2 * FEATHER), rng)
            if pasted is None:
                return None
            canvas, mask[:] = pasted[0], mask | pasted[1]
        if mask.sum() < SMALLEST:
            return None
        room = room * ~_grown(mask, 2 * FEATHER)
    return canvas, masks


def _matched(donor: np.ndarray, canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """-> the donor, its colour statistics moved part of the way to the canvas's: a splice that is loosely matched."""
    means, gains = donor.mean(axis=(0, 1)), canvas.std(axis=(0, 1)) / np.maximum(donor.std(axis=(0, 1)), 1)
    matched = (donor - means) * gains + canvas.mean(axis=(0, 1))
    return np.clip(donor + rng.uniform(0.3, 0.8) * (matched - donor), 0, 255).astype(np.uint8)


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """(H, W) bool or {0, 1} -> (H, W) bool, the mask and all within `pixels` of it along rows and columns."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)) > 0


def _shape(canvas: np.ndarray, room: np.ndarray, area: float, rng: np.random.Generator) -> np.ndarray | None:
    """-> (H, W) bool in the bool `room`, of about `area` pixels, not flat: around an object where one of that size is."""
    grey = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
    around, outlines = cv2.blur(grey, (int(4 * area**0.5) + 1,) * 2), []
    for spots in (cv2.subtract(cv2.medianBlur(grey, 5), around), cv2.subtract(around, cv2.medianBlur(grey, 5))):
        binary = cv2.threshold(spots, 0, 255, cv2.THRESH_OTSU)[1]
        hulls = map(cv2.convexHull, cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0])
        outlines += [hull for hull in hulls if 0.5 * area < cv2.contourArea(hull) < 1.8 * area]
    objects = [outlines[i] for i in rng.permutation(len(outlines))]
    for number, outline in enumerate(objects + [_outline(room.shape, area, rng) for _ in range(40)]):
        shape = cv2.fillPoly(np.zeros(room.shape, np.uint8), [outline], 1) > 0
        shape = _grown(shape, 2) if number < len(objects) else shape  # an object with its rim
        if room[shape].all() and shape.sum() > 0.6 * area and grey[shape].std() >= 8:
            return shape
    return None


def _outline(size: tuple[int, ...], area: float, rng: np.random.Generator) -> np.ndarray:
    """-> (K, 1, 2) int32 x y, anywhere in `size`: a rough polygon, an ellipse or a smooth blob of about `area` pixels."""
    theta = np.linspace(0, 2 * np.pi, int(rng.choice((6, 9, 60))), endpoint=False)
    waves = [rng.uniform(0, 0.25) * np.cos(k * theta + rng.uniform(0, 6.3)) for k in (2, 3, 4)]
    radius = 1 + sum(waves) * rng.choice((0, 1))
    points = radius * np.exp(1j * theta)
    points = (points.real + 1j * points.imag * rng.uniform(0.55, 1)) * np.exp(1j * rng.uniform(0, np.pi))
    points = np.stack([points.real, points.imag], axis=1)
    points *= np.sqrt(area / cv2.contourArea(points.astype(np.float32)))
    return np.round(points + rng.uniform(0, size[::-1])).astype(np.int32)[:, None]


def _pasted(
    canvas: np.ndarray, content: np.ndarray, shape: np.ndarray, room: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """-> canvas with content[shape] moved to a place in the bool `room` where it shows, and the mask there; None if none."""
    size = shape.shape[::-1]
    centre = np.round(np.argwhere(shape).mean(axis=0))[::-1]
    for _ in range(60):
        linear = np.eye(2)
        if rng.random() < 0.5:  # else a shift by whole pixels: an exact copy
            turn, scale = rng.uniform(-np.pi, np.pi), rng.uniform(0.8, 1.25)
            turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            linear = scale * turned * [rng.choice((-1, 1)), 1]
        motion = np.column_stack([linear, np.round(rng.uniform(0, size)) - linear @ centre])
        hard = cv2.warpAffine(shape.astype(np.float32), motion, size)
        if not room[hard > 0].all() or hard.sum() < 0.9 * abs(np.linalg.det(linear)) * shape.sum():
            continue
        alpha = cv2.GaussianBlur(hard, (2 * FEATHER - 1,) * 2, rng.uniform(0.7, 1.6))
        mask = alpha > 0.5
        alpha *= _grown(mask, FEATHER)  # blurred tips lie farther out than the feather may
        gain = rng.choice((1.0, 1.0, rng.uniform(0.88, 1.12)))
        moved = cv2.warpAffine(content, motion, size, borderMode=cv2.BORDER_REFLECT) * gain
        pasted = np.clip(np.round(canvas + alpha[..., None] * (moved - canvas)), 0, 255).astype(np.uint8)
        if cv2.absdiff(pasted, canvas)[mask].mean() >= VISIBLE:
            return pasted, mask
    return None
