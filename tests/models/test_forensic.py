"""The similarity channel: where it is high and low, and that a model with it starts as the model without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forgery_rcnn.config import ModelConfig, RunConfig, to_dict
from forgery_rcnn.models import forensic, weights
from forgery_rcnn.models.anatomy import dissect
from tests.models.test_anatomy import BACKBONES, built
from tests.models.test_segmenters import batch, pictures


def with_twin() -> tuple[torch.Tensor, np.ndarray]:
    """(3, 160, 200) in 0..1, smooth noise with a patch copied by steps that are no multiples of a cell; (160, 200) bool."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand((1, 3, 40, 50), generator=generator)
    image = torch.nn.functional.interpolate(small, size=(160, 200), mode="bicubic")[0].clamp(0, 1)
    image[:, 90:150, 120:190] = image[:, 11:71, 13:83].clone()
    mask = np.zeros((160, 200), bool)
    mask[90:150, 120:190] = mask[11:71, 13:83] = True
    return image, mask


def test_it_is_high_on_a_region_and_its_copy() -> None:
    image, mask = with_twin()
    found = forensic.similarity(image)[0].numpy()
    assert found.shape == (160, 200) and 0 <= found.min() <= found.max() <= 1
    core = torch.nn.functional.avg_pool2d(torch.from_numpy(mask).float()[None], 33, 1, 16)[0].numpy() == 1
    assert core.any() and found[core].min() > np.quantile(found[~mask], 0.95)


def test_flat_and_tiny_images_resemble_nothing() -> None:
    assert forensic.similarity(torch.full((3, 64, 64), 0.5)).max() == 0
    for size in ((1, 1), (5, 90), (30, 30)):  # no place is far from another, or few are
        found = forensic.similarity(torch.rand((3, *size), generator=torch.Generator().manual_seed(1)))
        assert found.shape == (1, *size) and torch.isfinite(found).all()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_it_starts_as_the_model_without_it(tiny_model: ModelConfig, backbone: str) -> None:
    plain = built(replace(tiny_model, backbone=backbone))
    seeing = built(replace(tiny_model, backbone=backbone, stem="similarity"), seed=1)
    weights.fit(seeing, plain.state_dict(), Path("x"), drop=())
    (image,) = pictures((90, 96))
    one, other = plain.predict([image])[0], seeing.predict([image])[0]
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
    np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-4)


def test_it_learns_is_saved_and_its_colours_go_back(tiny_model: ModelConfig, tmp_path: Path) -> None:
    model = built(replace(tiny_model, stem="similarity")).train()
    sum(model.losses(*batch()).values()).backward()
    (first,) = [p for p in model.parameters() if p.ndim == 4 and p.shape[1] == 4]
    assert first.grad[:, 3].abs().max() > 0
    with torch.no_grad():
        first[:, 3] = 0.5
    model.eval()
    path = tmp_path / "model.safetensors"
    weights.write(path, model.state_dict(), {"config": to_dict(RunConfig(model=model.config))})
    (image,) = pictures((90, 96))
    again = weights.load(str(path), ModelConfig()).model
    np.testing.assert_array_equal(again.predict([image])[0].heatmap, model.predict([image])[0].heatmap)
    np.testing.assert_array_equal(dissect(model, image).prediction.heatmap, model.predict([image])[0].heatmap)
    back = built(replace(tiny_model, weights=str(path)))
    weights.start(back)
    assert torch.equal(dict(back.named_parameters())["backbone.body.conv1.weight"], first[:, :3])
