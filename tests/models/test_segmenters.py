"""What every model in the zoo owes its users. A new line in zoo.CONSTRUCTORS is covered without touching this file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.data.dataset import target_of
from forgery_rcnn.errors import InputError
from forgery_rcnn.model_config import Stem
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.models.segmenter import Segmenter
from forgery_rcnn.models.weights import Restored

BACKBONES = {"combined": "convnext_tiny"}
STEMS = {"mask_rcnn, stems early": "early", "mask_rcnn, stems in the pyramid": "pyramid"}


@pytest.fixture(scope="module", params=[*sorted(zoo.CONSTRUCTORS), *STEMS])
def model(request: pytest.FixtureRequest, tiny_model: ModelConfig) -> Segmenter:
    torch.manual_seed(0)
    arch = request.param.split(",")[0]
    config = replace(tiny_model, arch=arch, backbone=BACKBONES.get(arch, tiny_model.backbone))
    if request.param in STEMS:
        config = replace(config, stems=get_args(Stem), stem_fusion=STEMS[request.param])
    return zoo.build(weights.settled(config))


@pytest.fixture(scope="module")
def learner(model: Segmenter) -> Segmenter:
    """Those that learn; what the others owe is in test_what_learns_nothing_says_so."""
    if model.learns == "nothing":
        pytest.skip("learns nothing")
    return model


def batch() -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """A forged image with two instances, and an authentic one of another size."""
    generator = torch.Generator().manual_seed(1)
    images = [
        torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator) for size in ((96, 80), (64, 96))
    ]
    masks = np.zeros((2, 96, 80), bool)
    masks[0, 10:50, 5:40] = masks[1, 60:90, 40:75] = True
    return images, [target_of(masks, 2), target_of(np.zeros((0, 64, 96), bool), 2)]


def pictures(*sizes: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def test_losses_are_finite_and_reach_every_parameter(learner: Segmenter) -> None:
    learner.train().requires_grad_(True)
    learner.zero_grad(set_to_none=True)
    losses = learner.losses(*batch())
    assert losses
    assert all(loss.ndim == 0 and torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert [name for name, p in learner.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []


def test_losses_of_authentic_images_alone(learner: Segmenter) -> None:
    images, targets = batch()
    losses = learner.train().losses(images[1:], targets[1:])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_what_learns_nothing_says_so(model: Segmenter) -> None:
    assert (model.learns == "nothing") == (not list(model.parameters()))
    if model.learns == "nothing":
        assert not model.state_dict()
        with pytest.raises(InputError, match=f"model.arch {model.config.arch}: learns nothing"):
            model.losses(*batch())


@pytest.mark.parametrize("size", [(301, 200), (64, 64), (5, 90), (1, 1)])
def test_predictions_lie_in_the_original_frame(model: Segmenter, size: tuple[int, int]) -> None:
    (found,) = model.eval().predict(pictures(size))
    assert found.instances.size == size == found.heatmap.shape
    assert found.heatmap.dtype == np.float32
    assert 0 <= found.heatmap.min() <= found.heatmap.max() <= 1
    assert (found.boxes[:, :2] >= 0).all()
    assert (found.boxes[:, 2:] <= np.array(size[::-1]) + 1e-3).all()
    assert (np.diff(found.scores) <= 0).all()


def test_an_image_does_not_depend_on_its_batch(model: Segmenter) -> None:
    images = pictures((90, 120), (90, 120), (70, 40))
    together = model.eval().predict(images)
    alone = [model.predict([image])[0] for image in images]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=2e-4)
        np.testing.assert_allclose(one.scores, other.scores, atol=2e-4)


def test_save_and_load_give_the_same_model(model: Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    from forgery_rcnn.config import RunConfig, to_dict

    weights.write(path, model.state_dict(), {"config": to_dict(RunConfig(model=model.config))})
    restored: Restored = weights.load(str(path), ModelConfig())
    (image,) = pictures((90, 120))
    one, other = model.eval().predict([image])[0], restored.model.predict([image])[0]
    np.testing.assert_array_equal(one.heatmap, other.heatmap)
    np.testing.assert_array_equal(one.boxes, other.boxes)


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"model.arch 'mask_rcn': use one of .*mask_rcnn"):
        zoo.build(ModelConfig(arch="mask_rcn"))
