"""Residuals: silent where an image is smooth, as strong as the noise where there is noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter

from forgery_rcnn.models.stems import residuals


def ramp(down: float, across: float, size: tuple[int, int] = (40, 56)) -> torch.Tensor:
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) for side in size), indexing="ij")
    return 100 + down * y + across * x


def grain(spread: float, size: tuple[int, int] = (96, 96)) -> torch.Tensor:
    return 128 + spread * torch.randn(size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("down", "across"), [(0, 0), (1.5, 0), (0, -0.75), (2, 1)])
def test_smooth_places_leave_nothing(down: float, across: float) -> None:
    image = ramp(down, across)
    assert residuals.srm(image).abs().max() < 1e-3
    found = residuals.noise(image)
    assert found[0, 1:-1, 1:-1].abs().max() < 1e-3 and found[1, 6:-6, 6:-6].abs().max() < 1e-3, (
        "but for the repeated edge"
    )


def test_the_filters_are_the_published_ones() -> None:
    point = torch.zeros(9, 9)
    point[4, 4] = 12
    first, second, third = residuals.srm(point)[:, 2:7, 2:7]
    assert first[2].tolist() == [0, 6, -12, 6, 0] and first[1].tolist() == [0, -3, 6, -3, 0]
    assert second[0].tolist() == [-1, 2, -2, 2, -1] and second[2].tolist() == [-2, 8, -12, 8, -2]
    assert third[2].tolist() == [0, 6, -12, 6, 0] and third[[0, 1, 3, 4]].abs().max() == 0


def test_the_median_is_scipys() -> None:
    image = grain(20, (23, 31)).round()  # rounded: ties
    np.testing.assert_array_equal(residuals.median(image), median_filter(image.numpy(), 3, mode="nearest"))


@pytest.mark.parametrize("spread", [2.0, 10.0])
def test_noise_is_told_by_its_strength(spread: float) -> None:
    residual, level = residuals.noise(grain(spread))
    assert float(residual.std()) == pytest.approx(spread, rel=0.15)
    assert float(level.mean()) == pytest.approx(spread, rel=0.2)
    halves = torch.where(torch.arange(96) < 48, grain(2), grain(4))
    level = residuals.noise(halves)[1]
    assert level[:, 60:].mean() > 1.8 * level[:, :36].mean()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (5, 90)])
def test_tiny_images_have_residuals(size: tuple[int, int]) -> None:
    for found in (residuals.srm(grain(5, size)), residuals.noise(grain(5, size))):
        assert found.shape[1:] == size and torch.isfinite(found).all()
