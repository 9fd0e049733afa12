"""Stems in front of a backbone: the model starts as the one without them, learns through them, and is opened, saved and
started from files with other stems."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from forgery_rcnn.config import ModelConfig, RunConfig, from_dict, to_dict
from forgery_rcnn.engine import freezing
from forgery_rcnn.model_config import Stem
from forgery_rcnn.models import backbones, weights
from forgery_rcnn.models.anatomy import dissect
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from forgery_rcnn.models.stems import channels, fusion
from tests.models.test_anatomy import BACKBONES, built
from tests.models.test_segmenters import batch, pictures

ALL = get_args(Stem)
FUSIONS = ("early", "pyramid")


def saved(model: MaskRCNN, path: Path) -> str:
    weights.write(path, model.state_dict(), {"config": to_dict(RunConfig(model=model.config))})
    return str(path)


def assert_same(one: MaskRCNN, other: MaskRCNN, atol: float) -> None:
    (image,) = pictures((90, 96))
    first, second = one.predict([image])[0], other.predict([image])[0]
    assert len(first.scores) == len(second.scores) > 0
    np.testing.assert_allclose(first.boxes, second.boxes, atol=atol)
    np.testing.assert_allclose(first.heatmap, second.heatmap, atol=atol)


@pytest.mark.parametrize(
    ("backbone", "joins"), [*zip(BACKBONES, itertools.cycle(FUSIONS), strict=False), ("resnet18", "pyramid")]
)
def test_it_starts_as_the_model_without_stems(tiny_model: ModelConfig, backbone: str, joins: str) -> None:
    plain = built(replace(tiny_model, backbone=backbone))
    seeing = built(replace(tiny_model, backbone=backbone, stems=ALL, stem_fusion=joins), seed=1)
    weights.fit(seeing, fusion.carried(plain.state_dict(), seeing.backbone), Path("x"), drop=())
    assert_same(plain, seeing, 1e-4)
    for layer in (*seeing.backbone.stem.join.values(), *getattr(seeing.backbone.stem, "lateral", ())):
        torch.nn.init.normal_(layer.weight, std=0.1)
    for pixels in pictures((70, 130), (1, 40)):
        opened, found = dissect(seeing, pixels), seeing.predict([pixels])[0]
        np.testing.assert_array_equal(opened.prediction.heatmap, found.heatmap)
        assert not np.array_equal(found.heatmap, plain.predict([pixels])[0].heatmap)


@pytest.mark.parametrize("joins", FUSIONS)
def test_it_learns_through_every_stem(tiny_model: ModelConfig, joins: str) -> None:
    model = built(replace(tiny_model, stems=ALL, stem_fusion=joins)).train()
    optimiser = torch.optim.SGD(model.parameters(), 0.01)
    for _ in range(2):  # the first step moves the weights that are 0 at first, and only then is there a way below them
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            losses = model.losses(*batch())
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    still = [name for name, p in model.backbone.stem.named_parameters() if not p.grad.abs().max() > 0]
    assert still == []
    kernels = model.backbone.stem.bayar.kernels()
    assert (kernels[:, :, 2, 2] == -1).all() and kernels.sum(dim=(2, 3)).abs().max() < 1e-5


def test_the_channels_are_of_each_image_alone_and_exact_under_autocast(tiny_model: ModelConfig) -> None:
    model = built(replace(tiny_model, stems=tuple(reversed(ALL))))
    images, _ = batch()
    with torch.autocast("cpu", torch.bfloat16):
        found = model.batched(images).tensors
    assert found.dtype == torch.float32 and found.shape == (2, sum(channels.COUNTS.values()), 96, 96)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert found[0, :, :, 80:].abs().max() == found[1, :, 64:].abs().max() == 0, "nothing beyond the image"
    plain = built(tiny_model).batched(images).tensors
    assert torch.equal(found[:, :3], plain), "the order in which they are named counts for nothing"
    (alone,) = model.batched(images[1:]).tensors
    assert torch.equal(alone, found[1, :, :64])
    assert found[:, 3:].abs().max() < 5, "about as large as normalised colours"


@pytest.mark.parametrize("stems", [("srm", "noise"), ("bayar",)])
def test_colours_may_be_left_out(tiny_model: ModelConfig, tmp_path: Path, stems: tuple[str, ...]) -> None:
    model = built(replace(tiny_model, stems=stems))
    assert not any("body.conv1" in name or "stem.rgb" in name for name in model.state_dict())
    sum(model.train().losses(*batch()).values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    restored = weights.load(saved(model.eval(), tmp_path / "model.safetensors"), ModelConfig()).model
    assert_same(model, restored, 0)
    pixels = pictures((96, 96))[0]
    darker = model.predict([pixels // 2 + 20])[0].heatmap
    np.testing.assert_allclose(model.predict([pixels // 2])[0].heatmap, darker, atol=1e-4)
    started = built(replace(tiny_model, stems=stems, weights=saved(built(tiny_model), tmp_path / "rgb.safetensors")))
    weights.start(started)


def test_a_start_carries_the_stems_that_both_have(tiny_model: ModelConfig, tmp_path: Path) -> None:
    old = built(replace(tiny_model, stems=("rgb", "srm", "noise")))
    for layer in old.backbone.stem.join.values():
        torch.nn.init.normal_(layer.weight)
    path = saved(old, tmp_path / "old.safetensors")
    new = built(replace(tiny_model, stems=("rgb", "bayar", "srm"), weights=path), seed=2)
    fresh = new.backbone.stem.bayar.neighbours.clone()
    weights.start(new)
    assert torch.equal(new.backbone.stem.join["srm"].weight, old.backbone.stem.join["srm"].weight)
    assert torch.equal(new.backbone.stem.rgb.weight, old.backbone.stem.rgb.weight)
    assert torch.equal(new.backbone.stem.bayar.neighbours, fresh) and not new.backbone.stem.join["bayar"].weight.any()
    back = built(replace(tiny_model, weights=path))
    weights.start(back)
    assert torch.equal(back.backbone.body.conv1.weight, old.backbone.stem.rgb.weight)


def test_older_settings_load_or_say_why_not(refused) -> None:
    assert from_dict(ModelConfig, {"stem": "rgb"}) == ModelConfig()
    with refused("model.stem similarity: weights from before model.stems", "--model.stems rgb similarity"):
        from_dict(ModelConfig, {"stem": "similarity"})


@pytest.mark.parametrize("joins", FUSIONS)
def test_freezing_finds_the_stems(tiny_model: ModelConfig, joins: str) -> None:
    model = built(replace(tiny_model, stems=("rgb", "srm", "bayar"), stem_fusion=joins))
    moving = freezing.apply(model, ("backbone.stem",))
    assert "backbone.stem.bayar.neighbours" in moving and all(name.startswith("backbone.stem.") for name in moving)
    freezing.apply(model, ("rpn", "roi_heads"))
    freezing.set_modes(model)
    features = model.backbone(model.batched(batch()[0]).tensors)
    assert not any(level.requires_grad for level in features.values()), "may be cached"
    again = model.backbone(model.batched(batch()[0]).tensors)
    assert all(torch.equal(features[name], again[name]) for name in features)
    assert list(backbones.stages(model.backbone, model.batched(batch()[0]).tensors)) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stems": ()}, "model.stems is ()"),
        ({"stems": ("rgb", "rgb")}, "each once"),
        ({"stems": ("rgb", "prnu")}, "name some of rgb srm bayar noise dct fft similarity"),
        ({"stems": ("srm",), "stem_fusion": "pyramid"}, "leaves out: add rgb, or use early"),
        ({"arch": "fft_unet", "stems": ("rgb", "srm")}, "are for mask_rcnn, not fft_unet"),
    ],
)
def test_wrong_stems_are_refused(values: dict, said: str, refused) -> None:
    with refused(said):
        ModelConfig(**values)
