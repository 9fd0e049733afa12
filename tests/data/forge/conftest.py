"""Hosts drawn for the tests: fields of bright cells, each another, in two families."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.data.forge import hosts
from forgery_rcnn.data.forge.hosts import Host
from forgery_rcnn.data.forge.views import Pool


def cells(seed: int, size: tuple[int, int] = (420, 560)) -> np.ndarray:
    """(H, W, 3) uint8: some sixty textured cells on an uneven, grainy background."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(20, 60, size[1])[None] * np.linspace(0.8, 1.2, size[0])[:, None]
    field = np.repeat(ramp[..., None], 3, axis=2).astype(np.float32)
    for _ in range(60):
        centre = tuple(int(v) for v in rng.integers(0, size[::-1]))
        axes = tuple(int(v) for v in rng.integers(7, 26, 2))
        cv2.ellipse(field, centre, axes, float(rng.uniform(0, 180)), 0, 360, tuple(rng.uniform(90, 220, 3)), -1)
    grain = cv2.GaussianBlur(rng.standard_normal((*size, 3)).astype(np.float32), (0, 0), 1.2) * 22
    return np.clip(cv2.GaussianBlur(field, (0, 0), 1.0) + grain, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def host_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures in two folders; half of them JPEG."""
    folder = tmp_path_factory.mktemp("hosts")
    for number in range(12):
        family = folder / ("round" if number % 2 else "flat")
        family.mkdir(exist_ok=True)
        kind = ".jpg" if number % 4 < 2 else ".png"
        Image.fromarray(cells(number)).save(family / f"{number}{kind}", quality=92)
    return folder


@pytest.fixture(scope="session")
def found(host_folder: Path) -> list[Host]:
    """The same, as hosts."""
    usable, refused = hosts.scan(host_folder, hosts.files_of(host_folder), 1)
    assert not refused
    return usable


@pytest.fixture(scope="session")
def pool(found: list[Host]) -> Pool:
    """A pool of all of them, compared."""
    (members,) = [sum(hosts.pools(found), ())]
    return Pool(members)
