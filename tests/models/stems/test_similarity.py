"""The similarity channel: where it is high and low."""

from __future__ import annotations

import numpy as np
import torch

from forgery_rcnn.models.stems.similarity import similarity


def with_twin() -> tuple[torch.Tensor, np.ndarray]:
    """(3, 160, 200) grey levels, smooth noise with a patch copied by steps that are no multiples of a cell; (160, 200) bool."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand((1, 3, 40, 50), generator=generator)
    image = torch.nn.functional.interpolate(small, size=(160, 200), mode="bicubic")[0].clamp(0, 1)
    image[:, 90:150, 120:190] = image[:, 11:71, 13:83].clone()
    mask = np.zeros((160, 200), bool)
    mask[90:150, 120:190] = mask[11:71, 13:83] = True
    return 255 * image, mask


def test_it_is_high_on_a_region_and_its_copy() -> None:
    image, mask = with_twin()
    found = similarity(image)[0].numpy()
    assert found.shape == (160, 200) and 0 <= found.min() <= found.max() <= 1
    core = torch.nn.functional.avg_pool2d(torch.from_numpy(mask).float()[None], 33, 1, 16)[0].numpy() == 1
    assert core.any() and found[core].min() > np.quantile(found[~mask], 0.95)


def test_flat_and_tiny_images_resemble_nothing() -> None:
    assert similarity(torch.full((3, 64, 64), 127.0)).max() == 0
    for size in ((1, 1), (5, 90), (30, 30)):  # no place is far from another, or few are
        found = similarity(255 * torch.rand((3, *size), generator=torch.Generator().manual_seed(1)))
        assert found.shape == (1, *size) and torch.isfinite(found).all()
