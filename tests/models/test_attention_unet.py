"""The Attention U-Net: its size, its losses, and what its gates let through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from forgery_rcnn.config import DenseConfig, ModelConfig
from forgery_rcnn.data.dataset import target_of
from forgery_rcnn.models import zoo
from forgery_rcnn.models.attention_unet import AttentionUNet, attention_maps
from tests.models.test_segmenters import batch, pictures

# Made with torch 2.14.1, float32; a change means that training changed.
GOLDEN = {"loss_bce": 0.859623, "loss_dice": 0.792615}


@pytest.fixture
def model(tiny_model: ModelConfig) -> AttentionUNet:
    torch.manual_seed(0)
    return zoo.build(replace(tiny_model, arch="attention_unet"))


def blocks(before: int, after: int) -> int:
    """Parameters of two 3 x 3 convolutions without bias, each with a batch norm of two numbers per channel."""
    return 9 * before * after + 9 * after * after + 2 * 2 * after


def encoder(channels: int, widths: Sequence[int]) -> int:
    return sum(blocks(a, b) for a, b in zip((channels, *widths), widths, strict=False))


def attention_unet(widths: Sequence[int], channels: int = 3) -> int:
    """Parameters as published (widths F, gates of F / 2 inside), summed level by level."""
    total = encoder(channels, widths) + widths[0] + 1  # 1 x 1 to one logit
    for fine, deep in pairwise(widths):
        inner = fine // 2
        gate = 2 * (fine * inner + inner + 2 * inner) + (inner + 1 + 2)
        total += 4 * deep * fine + fine + gate + blocks(2 * fine, fine)
    return total


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_published_size() -> None:
    with torch.device("meta"):
        model = AttentionUNet(ModelConfig(arch="attention_unet"))
    assert parameters(model) == attention_unet((64, 128, 256, 512, 1024)) == 31_389_165


def test_two_levels_are_enough(tiny_model: ModelConfig) -> None:
    model = zoo.build(replace(tiny_model, arch="attention_unet", dense=replace(tiny_model.dense, widths=(3, 1))))
    assert parameters(model) == attention_unet((3, 1))
    assert model.stride == 2


def test_golden_losses(model: AttentionUNet) -> None:
    losses = {name: float(loss.detach()) for name, loss in model.train().losses(*batch()).items()}
    assert losses == pytest.approx(GOLDEN, rel=2e-3)


@pytest.mark.parametrize("size", [(96, 96), (201, 64), (1, 1), (7, 300)])
def test_attention_maps_lie_over_the_image(model: AttentionUNet, size: tuple[int, int]) -> None:
    found = attention_maps(model.eval(), pictures(size)[0])
    assert [each.shape for each in found] == [size] * 2, "one for each level above the bottleneck"
    assert all(each.dtype == np.float32 and 0 <= each.min() <= each.max() <= 1 for each in found)


def test_attention_maps_are_what_the_gates_multiply_by(model: AttentionUNet) -> None:
    (pixels,) = pictures((96, 96))  # the model's size: nothing is resized but the gates' maps
    finest, coarser = attention_maps(model.eval(), pixels)
    with torch.inference_mode():
        whole, _ = model.batched([torch.from_numpy(pixels).permute(2, 0, 1)])
        *skips, x = model.encoder(whole)
        decoder = model.decoder
        x = decoder.up[0](x)
        first = decoder.gates[0].weights(x, skips[1])
        x = decoder.up[1](decoder.levels[0](torch.cat((skips[1] * first, x), dim=1)))
        second = decoder.gates[1].weights(x, skips[0])
    np.testing.assert_allclose(finest, second[0, 0], atol=1e-6)
    assert first.shape[-2:] == (48, 48)
    blurred = coarser.reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert np.corrcoef(blurred.ravel(), first[0, 0].ravel())[0, 1] > 0.9
    assert finest.std() > 0


def test_attention_maps_leave_the_model_as_it_was(model: AttentionUNet) -> None:
    (pixels,) = pictures((50, 70))
    before = model.eval().predict([pixels])[0].heatmap
    attention_maps(model, pixels)
    np.testing.assert_array_equal(model.predict([pixels])[0].heatmap, before)
    assert not any(gate.weigh._forward_hooks for gate in model.decoder.gates)


def test_nothing_to_train_is_said(tiny_model: ModelConfig, refused) -> None:
    config = replace(tiny_model, arch="attention_unet", dense=DenseConfig(widths=(2, 4), mask_weight=0.0))
    image = torch.zeros((3, 8, 8), dtype=torch.uint8)
    with refused("model.dense.mask_weight is 0 and attention_unet has no image branch: use a positive weight"):
        AttentionUNet(config).losses([image], [target_of(np.zeros((0, 8, 8), bool), 2)])


def test_each_gate_is_an_exhibit(tiny_model: ModelConfig) -> None:
    torch.manual_seed(0)
    model = AttentionUNet(replace(tiny_model, arch="attention_unet")).eval()
    (found,) = model.exhibits(np.zeros((30, 50, 3), np.uint8)).values()
    assert {name: gate.shape for name, gate in found.items()} == {"gate at 1/1": (30, 50), "gate at 1/2": (30, 50)}


def test_group_norm_in_place_of_batch_norm(tiny_model: ModelConfig) -> None:
    torch.manual_seed(0)
    plain = zoo.build(replace(tiny_model, arch="attention_unet"))
    torch.manual_seed(0)
    grouped = zoo.build(replace(tiny_model, arch="attention_unet", norm="group"))
    kinds = [sum(isinstance(m, kind) for m in grouped.modules()) for kind in (torch.nn.BatchNorm2d, torch.nn.GroupNorm)]
    assert kinds == [0, sum(isinstance(m, torch.nn.BatchNorm2d) for m in plain.modules())]
    assert parameters(plain) == parameters(grouped)
    images, targets = batch()
    told = [float(sum(grouped.train(mode).losses(images[:1], targets[:1]).values()).detach()) for mode in (True, False)]
    assert told[0] == told[1]  # the statistics are those of the image, in training and after
