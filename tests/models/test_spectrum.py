"""Spectra of images: against numpy, and by what must be in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from forgery_rcnn.models import spectrum


def wave(size: tuple[int, int], down: float, across: float, strength: float = 20.0) -> Tensor:
    """(h, w) grey levels around 128, so many periods down and across."""
    y, x = np.mgrid[: size[0], : size[1]]
    return torch.from_numpy(
        (128 + strength * np.cos(2 * np.pi * (down * y / size[0] + across * x / size[1]))).astype(np.float32)
    )


def noise(size: tuple[int, int], spread: float = 5.0) -> Tensor:
    return 128 + spread * torch.randn(size, generator=torch.Generator().manual_seed(3))


def magnitude(grey: Tensor, window: str = "none") -> np.ndarray:
    return spectrum.log_magnitude(grey, window).expm1().numpy()


# The spectrum of a whole image.


@pytest.mark.parametrize("size", [(64, 64), (45, 63), (40, 27), (1, 8), (1, 1), (2, 3)])
def test_the_magnitude_is_numpys(size: tuple[int, int]) -> None:
    image = noise(size)
    expected = np.abs(np.fft.fftshift(np.fft.fft2(image.numpy().astype(np.float64), norm="ortho")))
    np.testing.assert_allclose(magnitude(image), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "down", "across"),
    [((64, 64), 0, 8), ((45, 63), 5, 0), ((45, 63), 9, 7), ((48, 81), 0, 27), ((63, 40), 21, 20)],
)
def test_a_periodic_pattern_raises_its_two_bins_alone(size: tuple[int, int], down: int, across: int) -> None:
    flat, found = magnitude(wave(size, 0, 0, 0)), magnitude(wave(size, down, across))
    middle = np.array(size) // 2
    bins = {tuple((middle + sign * np.array([down, across])) % size) for sign in (1, -1)}
    assert set(zip(*np.nonzero(np.abs(found - flat) > 0.05), strict=True)) == bins
    for place in bins:
        assert found[place] == pytest.approx(20 / 2 * np.sqrt(np.prod(size)), rel=1e-3)


@pytest.mark.parametrize("size", [(32, 48), (33, 21), (1, 1)])
def test_a_constant_image_has_frequency_0_only(size: tuple[int, int]) -> None:
    found = magnitude(torch.full(size, 100.0))
    middle = size[0] // 2, size[1] // 2
    assert found[middle] == pytest.approx(100 * np.sqrt(np.prod(size)), rel=1e-4)
    found[middle] = 0
    assert found.max() < 0.01


def test_under_the_window_a_constant_image_has_frequency_0_and_the_ones_beside_it() -> None:
    found = magnitude(torch.full((33, 48), 100.0), "hann")
    assert found[16, 25] == pytest.approx(found[16, 24] / 2, rel=1e-3)
    found[15:18, 23:26] = 0
    assert found.max() < 0.01


def test_an_image_moved_around_has_the_same_magnitude() -> None:
    image = noise((45, 64))
    np.testing.assert_allclose(magnitude(image.roll((11, 30), (0, 1))), magnitude(image), rtol=1e-3, atol=0.02)


def test_the_window_takes_away_the_cross_of_the_borders() -> None:
    y, x = np.mgrid[:96, :120]
    ramp = torch.from_numpy((40 + y + 1.2 * x).astype(np.float32))  # left and right, top and bottom do not meet
    for far in (magnitude(ramp)[48, 70:], magnitude(ramp)[60:, 60]):
        assert far.min() > 10, "the cross: every frequency on the axes, where the image has none"
    for far in (magnitude(ramp, "hann")[48, 70:], magnitude(ramp, "hann")[60:, 60]):
        assert far.max() < 10 / 4
    assert np.median(magnitude(ramp, "hann")[48, 70:]) < np.median(magnitude(ramp)[48, 70:]) / 100


@pytest.mark.parametrize("window", ["none", "hann"])
@pytest.mark.parametrize("size", [(64, 64), (150, 201)])
def test_noise_is_as_strong_in_images_of_every_size(window: str, size: tuple[int, int]) -> None:
    found = magnitude(noise(size) - 128, window)
    assert found.mean() == pytest.approx(5 * np.sqrt(np.pi) / 2, rel=0.05)  # Rayleigh's mean


@pytest.mark.parametrize("size", [1, 2, 3, 8, 33])
def test_the_window_is_symmetric_and_leaves_the_power(size: int) -> None:
    window = spectrum.hann(size)
    np.testing.assert_allclose(window, window.flip(0), atol=1e-6)
    assert float(window.square().mean()) == pytest.approx(1)
    assert window.min() > 0


def test_autocast_leaves_spectra_in_float32() -> None:
    image = noise((40, 56))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        casts = [spectrum.log_magnitude(image, "hann"), spectrum.on_grid(image, 32), spectrum.local(image[None, None])]
    plain = [spectrum.log_magnitude(image, "hann"), spectrum.on_grid(image, 32), spectrum.local(image[None, None])]
    for one, other in zip(casts, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


# The grid of fixed frequencies.


def test_a_spectrum_of_the_grids_size_stays_as_it_is() -> None:
    for side in (1, 32, 33):
        found = spectrum.log_magnitude(noise((side, side)), "hann")
        torch.testing.assert_close(spectrum.on_grid(found, side), found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(45, 63), (48, 36), (96, 96), (90, 150), (192, 288)])
def test_a_frequency_has_the_same_cell_in_images_of_every_size(size: tuple[int, int]) -> None:
    # A third of a cycle per pixel down: cell 96 / 3 from the middle, and its mirror image.
    found = spectrum.on_grid(spectrum.log_magnitude(wave(size, size[0] // 3, 0) - 128, "none"), 96).numpy()
    down, across = (axis.numpy() for axis in spectrum.frequencies(96))
    peaks = np.argwhere(found > 0.9 * found.max())
    assert {48 - 32, 48 + 32} == set(peaks[:, 0])
    assert abs(peaks[:, 1] - 48).max() <= 2
    assert down[80, 0] == pytest.approx(1 / 3)
    assert (across[:, 48] == 0).all()
    assert down.max() == across.max() == 0.5


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (64, 33), (200, 7)])
def test_the_grid_keeps_what_is_the_same_everywhere(size: tuple[int, int]) -> None:
    np.testing.assert_allclose(spectrum.on_grid(torch.full(size, 3.0), 32), 3, rtol=1e-5)


# The spectrum around each pixel.


def test_local_spectra_are_numpys() -> None:
    image = noise((13, 17))
    found = spectrum.local(image[None, None])[0].expm1().numpy()
    window = np.sin(np.pi * (np.arange(8) + 0.5) / 8) ** 2
    window /= np.sqrt(np.mean(window**2))
    edged = np.pad(image.numpy(), (3, 4), mode="edge")
    for y, x in ((0, 0), (6, 8), (12, 16), (12, 0)):
        block, weights = edged[y : y + 8, x : x + 8], window[:, None] * window
        expected = np.abs(np.fft.rfft2((block - np.average(block, weights=weights)) * weights, norm="ortho"))
        expected[0, 0] = np.sum(block * weights) / 8
        np.testing.assert_allclose(found[:, y, x], expected.ravel(), rtol=1e-3, atol=0.01)


def test_a_local_spectrum_has_a_place_and_a_frequency() -> None:
    image = torch.full((32, 64), 128.0)
    image[:, 32:] = wave((32, 64), 0, 16)[:, 32:]  # four pixels a period, on the right only
    found = spectrum.local(image[None, None])[0].view(8, 5, 32, 64)
    assert found[0, 2, :, 36:60].min() > 3
    assert found[0, 2, :, :28].max() < 0.01
    assert found[2:7, :, :, 36:60].max() < 0.01, "nothing changes from row to row"
    assert found.flatten(0, 1)[1:, :, :28].max() < 0.01, "brightness is no frequency"


def test_one_pixel_has_a_local_spectrum() -> None:
    found = spectrum.local(torch.full((1, 1, 1, 1), 50.0))
    assert found.shape == (1, 40, 1, 1)
    assert float(found[0, 0]) > 4
    assert float(found[0, 1:].max()) < 0.01
