"""A small clean root, cut from the built-in sample, for each test to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forgery_rcnn.data import sample

TWINS = ("10002", "10017")
FILES = (
    *(f"train_images/{label}/{case}.png" for label in ("authentic", "forged") for case in TWINS),
    *(f"train_masks/{case}.npy" for case in TWINS),
    "supplemental_images/20005.png",
    "supplemental_masks/20005.npy",
    "test_images/30001.png",
)


@pytest.fixture(scope="session")
def whole_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in sample, built once; tests only read it."""
    return sample.build(tmp_path_factory.mktemp("doctor") / "sample", 0)


@pytest.fixture
def root(whole_sample: Path, tmp_path: Path) -> Path:
    """Two pairs of twins, a supplemental and a test image."""
    for name in FILES:
        target = tmp_path / "root" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(whole_sample / name, target)
    return tmp_path / "root"
