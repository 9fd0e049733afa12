"""A small look-alike of every layout, written by hand: what it should be read as stands beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIZE = (48, 64)
IDS = tuple(range(1, 7))


@dataclass
class Drawing:
    """Writes images and masks below `root`, and remembers for each image what was marked in it."""

    root: Path
    truth: dict[str, np.ndarray] = field(default_factory=dict)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def image(self, name: str, *masks: np.ndarray) -> Path:
        coarse = self.rng.integers(40, 220, (SIZE[0] // 8, SIZE[1] // 8, 3), np.uint8)
        self.truth[name] = np.array(masks, bool).reshape(-1, *SIZE)
        return self.save(name, coarse.repeat(8, 0).repeat(8, 1))

    def save(self, name: str, pixels: np.ndarray) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    def mask(self, name: str, mask: np.ndarray) -> Path:
        return self.save(name, mask.astype(np.uint8) * np.uint8(255))

    def pair(self, image: str, mask: str, region: np.ndarray) -> None:
        self.image(image, *([region] if region.any() else []))
        self.mask(mask, region)


def box(number: int) -> np.ndarray:
    """A region of its own for each number."""
    region = np.zeros(SIZE, bool)
    region[4 + number : 16 + number, 8 : 24 + number] = True
    return region


NOTHING = np.zeros(SIZE, bool)


def recodai(out: Drawing) -> None:
    for i in IDS:
        out.image(f"train_images/authentic/{i}.png")
        out.image(f"train_images/forged/{i}.png", box(i))
        (out.root / "train_masks").mkdir(exist_ok=True)
        np.save(out.root / f"train_masks/{i}.npy", box(i)[None].astype(np.uint8))


def aaltoes(out: Drawing) -> None:
    for i in IDS:
        out.pair(f"train/images/image_{i}.png", f"train/masks/image_{i}.png", box(i))
        out.image(f"train/originals/image_{i}.png")


def mediaeval(out: Drawing) -> None:
    for i in IDS:
        out.image(f"orig/{i}.png")
        for shape, number in (("bbox", i), ("segm", i + 1)):
            out.mask(f"masks/{i}_mask_{shape}.png", box(number))
            out.image(f"ps-sp/{i}_mask_{shape}.png_ps_0.png", box(number))
            out.image(f"sd2-sp/{i}_mask_{shape}.png_ps_0.png", box(number))


def mediaeval_val(out: Drawing) -> None:
    rows = ["img_path,mask_path,src_path,type"]
    for i in IDS:
        out.image(f"coco/orig/{i}.png")
        out.pair(f"coco/fake/{i}.png", f"coco/masks/{i}_mask.png", box(i))
        out.image(f"raise/r{i}.png")
        rows += [
            f"coco/orig/{i}.png,,,real",
            f"coco/fake/{i}.png,coco/masks/{i}_mask.png,coco/orig/{i}.png,synthetic",
            f"raise/r{i}.png,,,real",
        ]
    (out.root / "taskB_val.csv").write_text("\n".join(rows) + "\n")


def tianchi(out: Drawing) -> None:
    for i in IDS:
        out.pair(f"data/train/img/{i}.jpg", f"data/train/mask/{i}.png", box(i))
        out.pair(f"data/train/img/{i + 10}.png", f"data/train/mask/{i + 10}.png", NOTHING)


def casia(out: Drawing) -> None:
    for i in IDS:
        out.image(f"Au/Au_ani_0001{i}.jpg")
        name = f"Tp_D_CND_M_N_ani0001{i}_sec0009{i}_0013{i}"
        out.pair(f"Tp/{name}.tif", f"CASIA 2 Groundtruth/{name}_gt.png", box(i))


def coco(out: Drawing) -> None:
    """Of each forged image a run-length box and a polygon box: a list of the corners' coordinates."""
    images, annotations = [], []
    for i in IDS:
        name = f"images/{i}.png"
        out.image(name, box(i), box(i + 6))
        out.image(f"images/clean/{i}.png")
        images += [
            {"id": i, "file_name": f"{i}.png", "height": SIZE[0], "width": SIZE[1]},
            {"id": i + 100, "file_name": f"clean/{i}.png", "height": SIZE[0], "width": SIZE[1]},
        ]
        flat = np.concatenate([[0], box(i).T.ravel(), [0]]).astype(int)
        turns = np.flatnonzero(np.diff(flat))
        counts = np.diff(np.concatenate([[0], turns, [SIZE[0] * SIZE[1]]])).tolist()
        y, x = np.nonzero(box(i + 6))
        corners = [x.min(), y.min(), x.max() + 1, y.min(), x.max() + 1, y.max() + 1, x.min(), y.max() + 1]
        shapes = [{"size": list(SIZE), "counts": counts}, [[int(value) for value in corners]]]
        annotations += [
            {"id": 2 * i + n, "image_id": i, "category_id": n, "segmentation": s} for n, s in enumerate(shapes)
        ]
    (out.root / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations}))


def pairs(out: Drawing) -> None:
    for i in IDS:
        out.pair(f"imgs/{i}.png", f"GroundTruth/{i}_mask.png", box(i))
        out.image(f"imgs/{i + 10}.png")


BUILDERS: dict[str, Callable[[Drawing], None]] = {
    builder.__name__: builder for builder in (recodai, aaltoes, mediaeval, mediaeval_val, tianchi, casia, coco, pairs)
}


@pytest.fixture
def build(tmp_path: Path) -> Callable[[str], Drawing]:
    """build("casia") -> the drawing of a root in that layout."""

    def make(name: str) -> Drawing:
        out = Drawing(tmp_path / f"{name}_root")
        out.root.mkdir()
        BUILDERS[name](out)
        return out

    return make
