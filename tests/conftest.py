"""Fixtures that every test may use: a tiny data set in the competition's layout, and a tiny model for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Tiny models are no faster on more threads, and sums in another order train another detector than the tests know.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.config import DenseConfig, ModelConfig
from forgery_rcnn.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
# A job in the background may ignore Ctrl-C, and so would every command that it starts: tests of interruption wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


def textured(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8 noise with some structure."""
    coarse = rng.integers(60, 200, (height // 8 + 1, width // 8 + 1, 3))
    return (coarse.repeat(8, 0).repeat(8, 1)[:height, :width] + rng.integers(-20, 20, (height, width, 3))).astype(
        np.uint8
    )


def make_root(folder: Path, cases: int = 6, seed: int = 0) -> Path:
    """`cases` authentic figures and their forged twins: a bright patch copied, source and copy in one channel."""
    rng = np.random.default_rng(seed)
    for part in ("train_images/authentic", "train_images/forged", "train_masks"):
        (folder / part).mkdir(parents=True)
    for case in range(cases):
        height, width = 96 - 8 * (case % 3), 96 - 16 * (case % 2)
        pixels = textured(rng, height, width)
        Image.fromarray(pixels).save(folder / f"train_images/authentic/{case + 1}.png")
        pixels[40:70, 8:36] = pixels[5:35, 40:68]
        masks = np.zeros((1, height, width), np.uint8)
        masks[0, 40:70, 8:36] = masks[0, 5:35, 40:68] = 1
        Image.fromarray(pixels).save(folder / f"train_images/forged/{case + 1}.png")
        np.save(folder / f"train_masks/{case + 1}.npy", masks)
    return folder


@pytest.fixture
def tiny_root(tmp_path: Path) -> Path:
    """A root of its own for each test, free to be damaged."""
    return make_root(tmp_path / "tiny_root")


@pytest.fixture(scope="session")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same root for all tests that only read it."""
    return make_root(tmp_path_factory.mktemp("shared") / "root")


TINY = ModelConfig(
    image_size=96,
    fpn_width=32,
    box_hidden=32,
    mask_hidden=16,
    anchor_sizes=(8, 16, 32, 64, 96),
    rpn_proposals_train=100,
    rpn_proposals=50,
    roi_batch=32,
    mask_pool=7,
    dense=DenseConfig(widths=(4, 8, 16)),
)


@pytest.fixture(scope="session")
def tiny_model() -> ModelConfig:
    """A detector that trains a step in a fraction of a second."""
    return TINY


@pytest.fixture(scope="session")
def tiny_flags() -> list[str]:
    """The same as command-line flags of edarnn.py."""
    sizes = [f"--model.{name}={value}" for name, value in (("image-size", 96), ("fpn-width", 32), ("box-hidden", 32))]
    sizes += ["--model.mask-hidden=16", "--model.mask-pool=7", "--model.roi-batch=32"]
    return [*sizes, "--model.anchor-sizes", "8", "16", "32", "64", "96", "--data.single=1", "--no-tensorboard"]


Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def run() -> Run:
    """run("edarnn.py", "--help", cwd=folder) starts one of the scripts; its output and errors come through one pipe.

    A name like "forgery_rcnn.data.forge" starts that package's command.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}

    def start(script: str, *flags: str | Path, cwd: Path = ROOT, before: Sequence[str] = ()) -> subprocess.Popen[str]:
        named = [str(ROOT / script)] if str(script).endswith(".py") else ["-m", str(script)]
        command = [sys.executable, *before, *named, *map(str, flags)]
        return subprocess.Popen(
            command, env=environment, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    return start


@pytest.fixture(scope="session")
def finish() -> Callable[..., str]:
    """finish(process, status=0) waits, checks the exit status and that no traceback was shown, -> what was printed."""

    def wait(process: subprocess.Popen[str], status: int = 0) -> str:
        printed, _ = process.communicate(timeout=250)
        assert process.returncode == status, printed
        assert "Traceback" not in printed, printed
        return printed

    return wait


Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="session")
def refused() -> Refused:
    """`with refused("1.png", "empty"):` passes on an InputError whose message is one line that holds all these texts."""

    @contextmanager
    def expect(*texts: str) -> Iterator[None]:
        with pytest.raises(InputError) as caught:
            yield
        message = str(caught.value)
        assert len(message.splitlines()) == 1, message
        assert [text for text in texts if text not in message] == [], message

    return expect
