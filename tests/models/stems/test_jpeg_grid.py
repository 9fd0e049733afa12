"""Traces of JPEG: where there was some, on which grid, how coarse; none where there was none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scipy.fft import dctn

from forgery_rcnn.models.stems import jpeg_grid


def scene(height: int = 192, width: int = 256) -> np.ndarray:
    """(height, width) uint8 texture at several scales, with grain."""
    rng = np.random.default_rng(0)
    image = np.zeros((height, width), np.float32)
    for cell, strength in ((32, 60), (8, 30), (3, 12)):
        coarse = rng.normal(0, strength, (height // cell + 2, width // cell + 2)).astype(np.float32)
        image += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def compressed(grey: np.ndarray, quality: int, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """The grid's first row and column are `shift`."""
    before = [(8 - s) % 8 for s in shift]
    edged = np.pad(grey, ((before[0], 0), (before[1], 0)), mode="edge")
    decoded = cv2.imdecode(cv2.imencode(".jpg", edged, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)
    return decoded[before[0] :, before[1] :]


def found(grey: np.ndarray) -> np.ndarray:
    return jpeg_grid.grid(torch.from_numpy(grey).float()).numpy()


def test_a_compressed_patch_is_told_from_an_untouched_one_and_from_another_grid() -> None:
    image = scene()
    image[:, :128] = compressed(image, 80)[:, :128]
    shifted = compressed(scene(), 80, (3, 5))
    image[96:, 128:] = shifted[96:, 128:]
    own, best, *_ = found(image)
    inner = {"own": np.s_[24:-24, 24:104], "none": np.s_[24:72, 152:-24], "other": np.s_[120:-24, 152:-24]}
    assert own[inner["own"]].min() > 0.2 > 5 * np.abs(own[inner["none"]]).max(), "aligned against untouched"
    assert best[inner["other"]].min() > 0.2 > 5 * best[inner["none"]].max(), "any grid against untouched"
    assert own[inner["other"]].max() < 0.05, "not the image's own grid"


@pytest.mark.parametrize("shift", [(0, 0), (3, 5), (7, 1), (4, 0)])
def test_the_grid_is_read_off_its_waves(shift: tuple[int, int]) -> None:
    waves = found(compressed(scene(), 75, shift))[2:6, 40:-40, 40:-40].mean(axis=(1, 2))
    for (cosine, sine), first in zip(waves.reshape(2, 2), shift, strict=True):
        assert round(np.arctan2(sine, cosine) / (2 * np.pi) * 8) % 8 == first


def test_coarser_compression_leaves_fewer_coefficients_and_larger_steps() -> None:
    by_quality = [found(compressed(scene(), quality))[:, 24:-24, 24:-24].mean(axis=(1, 2)) for quality in (90, 60, 20)]
    assert np.all(np.diff([f[6] for f in by_quality]) > 0), "zeros"
    assert np.all(np.diff([f[9] for f in by_quality]) < 0), "high frequencies"
    assert np.all(np.diff([f[10] for f in by_quality]) > 0), "steps"


def test_the_bands_are_scipys() -> None:
    grey = scene(16, 24) + np.random.default_rng(1).random((16, 24), np.float32)  # no coefficient is just 0.5
    sums = np.add.outer(np.arange(8), np.arange(8))
    block = np.abs(dctn(grey[8:16, 16:24].astype(float), norm="ortho"))
    expected = [np.log1p(block[(sums >= a) & (sums < b)].mean()) for a, b in ((1, 3), (3, 6), (6, 15))]
    np.testing.assert_allclose(found(grey)[7:10, 12, 20], expected, rtol=1e-4)
    zeros = np.array(
        [
            (np.abs(dctn(grey[y : y + 8, x : x + 8].astype(float), norm="ortho")).ravel()[1:] < 0.5).mean()
            for y in range(9)
            for x in range(17)
        ]
    ).reshape(9, 17)
    whole = [zeros[p::8, q::8].mean() for p in range(8) for q in range(8)]
    assert found(grey)[6, 0, 0] == pytest.approx(np.mean(whole), rel=1e-4)
    assert found(grey)[0, 0, 0] == pytest.approx(whole[0] - np.mean(whole), abs=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 9), (8, 8), (33, 50)])
def test_nothing_stands_in_flat_images_of_any_size(size: tuple[int, int]) -> None:
    flat = found(np.full(size, 200, np.uint8))
    assert flat.shape == (11, *size) and np.isfinite(flat).all()
    assert np.abs(flat[[0, 1, 2, 3, 4, 5, 7, 8, 9, 10]]).max() < 1e-3
