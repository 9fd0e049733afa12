"""Bands of frequencies around each place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from forgery_rcnn.models import spectrum
from forgery_rcnn.models.stems import bands


def grain(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).normal(128, 10, size).astype(np.float32)


def test_a_resampled_patch_lacks_the_high_bands() -> None:
    image = grain((96, 128))
    image[:, 64:] = cv2.resize(cv2.resize(image[:, 64:], None, fx=0.6, fy=0.6), (64, 96), interpolation=cv2.INTER_CUBIC)
    found = bands.bands(torch.from_numpy(image)).numpy()
    for high in (9, 10, 11):
        assert found[high, :, 76:].max() < found[high, :, :52].mean() < found[high, :, :52].max()
    assert found[0, :, 76:].mean() == pytest.approx(found[0, :, :52].mean(), rel=0.15), "low frequencies stay"


@pytest.mark.parametrize(("down", "across", "channel"), [(0, 1, 0), (0, 3, 6), (1, 4, 9), (0, 4, 9)])
def test_a_wave_is_in_its_band(down: int, across: int, channel: int) -> None:
    y, x = np.mgrid[:48, :64]
    wave = (128 + 20 * np.cos(2 * np.pi * (down * y + across * x) / 8 + 0.3)).astype(np.float32)
    found = bands.bands(torch.from_numpy(wave))[:, 12:-12, 12:-12].mean(dim=(1, 2)).view(4, 3)
    turned = bands.bands(torch.from_numpy(wave.T.copy()))[:, 12:-12, 12:-12].mean(dim=(1, 2)).view(4, 3)
    ring = channel // 3
    assert found[ring, 0] > 1 and found[[r for r in range(4) if abs(r - ring) > 1]].max() < 0.01
    assert found[1:, 1].max() < 0.01, "nothing moves faster down than across"
    torch.testing.assert_close(turned, found[:, [1, 0, 2]], rtol=1e-3, atol=1e-3)


def test_every_band_is_the_mean_of_its_frequencies() -> None:
    image = torch.from_numpy(grain((21, 30)))
    every = spectrum.local(image[None, None])[0]
    torch.testing.assert_close(spectrum.local(image[None, None], 4)[0], every[:, ::4, ::4])
    rings = every.view(8, 5, 21, 30)
    slow = (rings[1, 1] + rings[7, 1]) / 2
    found = bands.bands(image)
    torch.testing.assert_close(found[2, 4:8, 8:12], slow[4, 8].expand(4, 4))
    torch.testing.assert_close(found[0, 20, 29], rings[0, 1, 20, 28])
    assert bands.bands(torch.full((1, 1), 90.0)).abs().max() < 0.01
