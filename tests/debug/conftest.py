"""A detector that knows four small images by heart, trained once, and copies of it with one part broken."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from debug.case import Case, Job, Specimen, open_case
from debug.spoil import BREAKS
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.models import weights
from tests.conftest import textured

FLAGS = ["--model.image-size=128", "--model.fpn-width=64", "--model.box-hidden=128", "--model.mask-hidden=32"]
FLAGS += ["--model.mask-pool=14", "--model.roi-batch=32", "--model.anchor-sizes", "8", "16", "32", "64", "128"]
FLAGS += [
    "--model.rpn-proposals=30",
    "--data.single=1",
    "--data.few=4",
    "--no-tensorboard",
    "--stages.0.epochs=40",
    "--stages.0.lr=1e-3",
]


@pytest.fixture(scope="session")
def probe_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve figures with their authentic twins, 128 px: one or two small smoothed regions, an instance each."""
    root, rng = tmp_path_factory.mktemp("probed") / "root", np.random.default_rng(0)
    for part in ("train_images/authentic", "train_images/forged", "train_masks"):
        (root / part).mkdir(parents=True)
    for case in range(1, 13):
        pixels = textured(rng, 128, 112)
        Image.fromarray(pixels).save(root / f"train_images/authentic/{case}.png")
        masks = np.zeros((1 + case % 2, 128, 112), np.uint8)
        for number, mask in enumerate(masks):
            y, x = rng.integers(4, 24) + 64 * number, rng.integers(4, 76)
            mask[y : y + rng.integers(20, 36), x : x + rng.integers(20, 32)] = 1
        smooth = cv2.GaussianBlur(pixels, (9, 9), 4)
        Image.fromarray(np.where(masks.any(0)[:, :, None], smooth, pixels)).save(
            root / f"train_images/forged/{case}.png"
        )
        np.save(root / f"train_masks/{case}.npy", masks)
    return root


@pytest.fixture(scope="session")
def healthy_run(
    probe_root: Path,
    run: Callable[..., subprocess.Popen[str]],
    finish: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a run of overfit_few: oF1 above 0.9 on its four forged images, 128 px."""
    out = tmp_path_factory.mktemp("healthy") / "run"
    finish(run("edarnn.py", "overfit_few", "--data.root", probe_root, *FLAGS, "--out", out))
    assert weights.read(out / "model.safetensors")[1]["scores"]["of1_mean"] > 0.9
    return out


@pytest.fixture(scope="session")
def healthy(healthy_run: Path) -> Case:
    """The same, opened on its four images."""
    return open_case(Job(weights=str(healthy_run)), Screen(None))


@pytest.fixture(scope="session")
def specimens(healthy: Case) -> list[Specimen]:
    """Its images, opened."""
    return list(healthy.specimens())


@pytest.fixture(scope="session")
def broken(healthy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """broken("masks") -> the healthy detector with that part spoilt (BREAKS), opened on the same four images."""
    folder = tmp_path_factory.mktemp("broken")

    def make(part: str) -> Case:
        path = folder / f"{part}.safetensors"
        if not path.exists():
            restored = weights.load(str(healthy_run), None)
            BREAKS[part](restored.model)
            meta = {name: value for name, value in restored.meta.items() if name != "sha256"}
            weights.write(path, restored.model.state_dict(), meta)
        return open_case(Job(weights=str(path), split="few"), Screen(None))

    return make
