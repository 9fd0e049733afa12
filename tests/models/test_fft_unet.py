"""The U-Net with a frequency branch: its losses and size, what padding must not change, what each branch contributes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import fft_unet, zoo
from forgery_rcnn.models.attention_unet import AttentionUNet, attention_maps
from forgery_rcnn.models.fft_unet import FftUNet, branch_maps, seen
from tests.models.test_attention_unet import GOLDEN as GOLDEN_RGB
from tests.models.test_attention_unet import attention_unet, blocks, encoder, parameters
from tests.models.test_segmenters import batch, pictures

VARIANTS = [("fused", "hann"), ("fused", "local"), ("fft", "hann"), ("fft", "local")]
# Made with torch 2.14.1, float32; a change means that training changed.
GOLDEN = {
    ("fused", "hann"): {"loss_bce": 0.864350, "loss_dice": 0.794280},
    ("fused", "local"): {"loss_bce": 0.860759, "loss_dice": 0.792653},
    ("fft", "hann"): {"loss_bce": 0.853248, "loss_dice": 0.787542},
    ("fft", "local"): {"loss_bce": 0.562400, "loss_dice": 0.823374},
    ("rgb", "hann"): GOLDEN_RGB,
}


def variant(config: ModelConfig, branches: str, window: str = "hann") -> FftUNet:
    torch.manual_seed(0)
    return zoo.build(replace(config, arch="fft_unet", dense=replace(config.dense, branches=branches, window=window)))


@pytest.mark.parametrize(("branches", "window"), [*VARIANTS, ("rgb", "hann")])
def test_golden_losses(tiny_model: ModelConfig, branches: str, window: str) -> None:
    model = variant(tiny_model, branches, window).train()
    losses = model.losses(*batch())
    assert {name: float(loss.detach()) for name, loss in losses.items()} == pytest.approx(
        GOLDEN[branches, window], rel=2e-3
    )
    sum(losses.values()).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert without == []


def test_parameters_of_every_variant() -> None:
    widths = (64, 128, 256, 512, 1024)
    plain, fusion = attention_unet(widths), 2 * 512 * 512 + 2 * 512
    with torch.device("meta"):
        rgb, fused, local = (
            parameters(variant(ModelConfig(), *names)) for names in (("rgb",), ("fused",), ("fused", "local"))
        )
        alone = parameters(variant(ModelConfig(), "fft"))
    assert rgb == plain == alone, "a spectrum has three channels, as an image"
    assert fused == plain + encoder(3, widths[:-1]) + fusion == 36_601_773
    assert local == fused + blocks(40, 64) - blocks(3, 64)


def test_rgb_is_the_attention_unet_and_fused_starts_from_its_weights(tiny_model: ModelConfig) -> None:
    rgb, fused = variant(tiny_model, "rgb"), variant(tiny_model, "fused")
    assert type(rgb) is AttentionUNet
    missing, unexpected = fused.load_state_dict(rgb.state_dict(), strict=False)
    assert unexpected == []
    assert {name.split(".")[0] for name in missing} == {"frequency", "fusion"}


@pytest.mark.parametrize("window", ["hann", "none", "local"])
def test_the_spectra_of_an_image_do_not_depend_on_the_batch(tiny_model: ModelConfig, window: str) -> None:
    model = variant(tiny_model, "fused", window).eval()
    small, large = (torch.from_numpy(p).permute(2, 0, 1) for p in pictures((37, 51), (96, 80)))
    (alone,), (_, mixed) = model.spectra(*model.batched([small])), model.spectra(*model.batched([large, small]))
    inside = np.s_[:, :37, :51] if window == "local" else np.s_[:]
    torch.testing.assert_close(mixed[inside], alone[inside], rtol=0, atol=1e-4)


def test_the_spectrum_is_that_of_the_image_without_its_padding(tiny_model: ModelConfig) -> None:
    model = variant(tiny_model, "fused", "none").eval()
    (pixels,) = pictures((37, 51))
    found = model.spectra(*model.batched([torch.from_numpy(pixels).permute(2, 0, 1)]))[0, 0]
    grey = pixels.mean(axis=2)
    expected = np.log1p(np.abs(np.fft.fftshift(np.fft.fft2(grey, norm="ortho"))))
    assert found.shape == (96, 96)
    assert float(found[48, 48]) == pytest.approx(expected[18, 25], rel=1e-4)
    assert float(found.mean()) == pytest.approx(expected.mean(), rel=0.02)


def test_a_map_of_the_whole_spectrum_alone_is_flat_and_one_of_local_spectra_is_not(tiny_model: ModelConfig) -> None:
    (pixels,) = pictures((96, 96))
    flat, placed = (variant(tiny_model, "fft", w).eval().predict([pixels])[0].heatmap for w in ("hann", "local"))
    assert np.ptp(flat[24:72, 24:72]) < 1e-5
    assert np.ptp(placed[24:72, 24:72]) > 1e-3


@pytest.mark.parametrize("window", ["hann", "local"])
def test_branch_maps(tiny_model: ModelConfig, window: str) -> None:
    model = variant(tiny_model, "fused", window).eval()
    (pixels,) = pictures((70, 101))
    before = branch_maps(model, pixels)
    assert list(before) == ["fused", "rgb", "fft"]
    np.testing.assert_allclose(before["fused"], model.predict([pixels])[0].heatmap, atol=1e-6)
    with torch.no_grad():
        for weight in model.frequency.parameters():
            weight.mul_(9)
    after = branch_maps(model, pixels)
    moved = {name: float(np.abs(after[name] - before[name]).max()) for name in before}
    assert moved["rgb"] == 0, "the frequency encoder has no part in it"
    assert min(moved["fused"], moved["fft"]) > 1e-5
    assert not np.array_equal(before["fused"], before["rgb"])


def test_branch_maps_of_one_branch_say_what_they_need(tiny_model: ModelConfig) -> None:
    with pytest.raises(InputError, match=r"model.dense.branches is fft; .* fused"):
        branch_maps(variant(tiny_model, "fft").eval(), pictures((70, 60))[0])


def test_what_the_network_sees(tiny_model: ModelConfig) -> None:
    stripes = np.repeat(np.where(np.arange(96) % 8 < 4, 90, 160).astype(np.uint8)[:, None], 64, axis=1)
    pixels = np.repeat(stripes[..., None], 3, axis=2)
    found = seen(variant(tiny_model, "fused", "none").eval(), pixels)
    assert found.shape == (96, 96)
    assert found.dtype == np.float32
    column = found[:, 48].copy()
    assert set(np.argsort(column)[-5:]) == {48, 48 - 12, 48 + 12, 48 - 36, 48 + 36}, "0, 1/8 and, of a square wave, 3/8"
    pixels[:, 32:] = 90
    placed = seen(variant(tiny_model, "fused", "local").eval(), pixels)
    assert placed.shape == (96, 64)
    assert placed[4:88, :28].min() > 100 * placed[:, 40:].max()


@pytest.mark.parametrize(("branches", "window"), VARIANTS)
def test_the_gates_of_every_variant_have_maps(tiny_model: ModelConfig, branches: str, window: str) -> None:
    found = attention_maps(variant(tiny_model, branches, window).eval(), pictures((50, 33))[0])
    assert [each.shape for each in found] == [(50, 33)] * 2


def test_build_is_what_the_zoo_uses() -> None:
    assert zoo.CONSTRUCTORS["fft_unet"] is fft_unet.build


@pytest.mark.parametrize(("branches", "count"), [("fused", 4), ("fft", 1)])
def test_branches_and_spectrum_are_exhibits(tiny_model: ModelConfig, branches: str, count: int) -> None:
    torch.manual_seed(0)
    dense = replace(tiny_model.dense, branches=branches)
    model = fft_unet.build(replace(tiny_model, arch="fft_unet", dense=dense)).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    found = model.exhibits(pixels)
    assert found.keys() == {"attention", "branches"} and len(found["branches"]) == count
    assert found["branches"]["log magnitude"].max() == 1.0
    assert all(one.min() >= 0 and one.max() <= 1 for topic in found.values() for one in topic.values())
