"""The SCSE U-Net: its gates, its parts, its encoder's levels; what all models owe is tested in test_segmenters.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from forgery_rcnn.config import DenseConfig, ModelConfig
from forgery_rcnn.data.dataset import target_of
from forgery_rcnn.inference import pipeline
from forgery_rcnn.models import regions, scse_unet
from forgery_rcnn.models.scse_unet import ScseUNet
from forgery_rcnn.recipes import RECIPES
from forgery_rcnn.submission import tianchi

SMALL = ModelConfig(arch="scse_unet", backbone="resnet18", fit="native", dense=DenseConfig(mask_losses=("bce",)))


def made(config: ModelConfig = SMALL, seed: int = 0) -> ScseUNet:
    torch.manual_seed(seed)
    return ScseUNet(config)


def with_gates(kind: str) -> ModelConfig:
    return replace(SMALL, dense=replace(SMALL.dense, decoder_attention=kind))


def test_parameters_of_the_published_model() -> None:
    with torch.device("meta"):
        model = ScseUNet(replace(SMALL, backbone="se_resnext50_32x4d"))
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    # cSE: C * (C // 16) * 2 weights, C // 16 + C biases; sSE: C + 1. Gates of the four levels with a skip connection, and after
    # each of the five.
    gates = sum(2 * c * (c // 16) + c // 16 + c + c + 1 for c in (3072, 768, 384, 128, 256, 128, 64, 32, 16))
    widths = [(3072, 256), (768, 128), (384, 64), (128, 32), (32, 16)]
    convolutions = sum(9 * before * after + 9 * after * after + 4 * after for before, after in widths)
    assert counts == {"encoder": 25_510_896, "decoder": gates + convolutions, "head": 9 * 16 + 1}
    assert sum(counts.values()) == 35_818_745


def test_the_encoder_has_grouped_blocks_with_squeeze_and_excitation() -> None:
    with torch.device("meta"):
        model = ScseUNet(replace(SMALL, backbone="se_resnext50_32x4d"))
    groups = [m.groups for m in model.encoder.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert groups == [32] * 16  # 3 + 4 + 6 + 3 blocks
    assert sum(name.endswith("se_module") for name, _ in model.encoder.named_modules()) == 16


def test_losses_do_not_change() -> None:
    """Golden value of torch 2.14 on CPU, to a part in a thousand: another machine may add up in another order."""
    generator = torch.Generator().manual_seed(3)
    images = [
        torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator) for size in ((64, 64), (50, 40))
    ]
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[:, 10:40, 20:60] = True
    targets = [target_of(masks.numpy(), 2), target_of(torch.zeros(0, 50, 40, dtype=torch.bool).numpy(), 2)]
    found = {
        kind: {name: loss.item() for name, loss in made(with_gates(kind)).train().losses(images, targets).items()}
        for kind in ("scse", "maxout")
    }
    assert found == {
        "scse": {"loss_bce": pytest.approx(0.978609, rel=1e-3)},
        "maxout": {"loss_bce": pytest.approx(0.845978, rel=1e-3)},
    }


@pytest.mark.parametrize("kind", ["scse", "maxout"])
def test_gates_by_hand(kind: str) -> None:
    """Two pixels, sixteen channels: a gate of 1/2 for all channels, and one of sigmoid(2), sigmoid(-4) for the pixels."""
    gate = made(with_gates(kind)).decoder.blocks[4].attention2
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.zero_()
        gate.attention.sSE[0].weight[0, 0] = 1.0  # the place's gate is the sigmoid of its first channel
        x = torch.ones(1, 16, 1, 2)
        x[0, :, 0, 1] = -4.0
        x[0, 0, 0, 0] = 2.0
        found = gate(x)
    place, channel = torch.tensor([2.0, -4.0]).sigmoid(), 0.5
    wanted = (
        torch.stack([x[0, c, 0] * channel for c in range(16)]),
        torch.stack([x[0, c, 0] * place for c in range(16)]),
    )
    result = wanted[0] + wanted[1] if kind == "scse" else torch.maximum(*wanted)
    torch.testing.assert_close(found[0, :, 0], result)
    assert found[0, 1, 0, 0].item() == pytest.approx(0.5 + 0.880797 if kind == "scse" else 0.880797)
    assert found[0, 1, 0, 1].item() == pytest.approx(-2.0 - 0.0719448 if kind == "scse" else -0.0719448)


def test_weights_of_one_kind_of_gate_load_in_the_other() -> None:
    adding, larger = made(with_gates("scse")), made(with_gates("maxout"), seed=1)
    larger.load_state_dict(adding.state_dict())
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one, other = adding.eval()(x)[0], larger.eval()(x)[0]
    assert one.shape == other.shape == (1, 1, 64, 64) and not torch.allclose(one, other, atol=1e-3)
    kinds = {type(m).__name__ for m in larger.modules()} & {"MaxOut", "SCSEModule"}
    assert kinds == {"MaxOut"}


def test_it_is_the_librarys_own_network() -> None:
    """The same numbers as segmentation-models-pytorch gives with the same weights, but for the gate that it never calls."""
    import segmentation_models_pytorch as smp

    ours = made().eval()
    theirs = smp.Unet("resnet18", encoder_weights=None, decoder_attention_type="scse").eval()
    named = {
        name.replace("head.", "segmentation_head.0.", 1) if name.startswith("head.") else name: tensor
        for name, tensor in ((n.replace("head.0.", "head.", 1), t) for n, t in ours.state_dict().items())
    }
    missing = theirs.load_state_dict(named, strict=False)
    assert missing.unexpected_keys == [] and {name.rsplit(".attention.", 1)[0] for name in missing.missing_keys} == {
        "decoder.blocks.4.attention1"
    }
    x = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(x)[0], theirs(x))


@pytest.mark.parametrize(
    ("encoder", "mean", "std"),
    [
        ("se_resnext50_32x4d", 0.485, 0.229),
        ("resnet18", 0.485, 0.229),
        ("xception", 0.5, 0.5),
        ("inceptionv4", 0.5, 0.5),
        ("dpn68", 0.486275, 0.234824),
        ("tu-inception_v3", 0.5, 0.5),
        ("tu-resnet18", 0.485, 0.229),
        ("tu-darknet17", 0.485, 0.229),
    ],
)
def test_levels_are_those_that_the_encoder_was_trained_on(encoder: str, mean: float, std: float) -> None:
    found = scse_unet.levels(encoder)
    assert (found[0][0], found[1][0]) == pytest.approx((mean, std), abs=1e-5)


def test_levels_reach_the_batch() -> None:
    model = made(replace(SMALL, backbone="xception"))
    batch, _ = model.batched([torch.tensor([0, 255, 51], dtype=torch.uint8).view(3, 1, 1).expand(3, 4, 4)])
    assert batch[0, :, 0, 0].tolist() == pytest.approx([-1.0, 1.0, -0.6], abs=1e-6)
    assert "mean" not in model.state_dict()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("se_resnext50", "se_resnext50_32x4d"),
        ("resnet81", "resnet18"),
        ("qqqqqq", "se_resnext50_32x4d"),
        ("tu-convnext_tin", "tu-convnext_tiny"),
    ],
)
def test_an_unknown_encoder_names_near_ones(name: str, near: str, refused) -> None:
    with refused(f"model.backbone {name!r}", "no such encoder", near):
        made(replace(SMALL, backbone=name))


def test_an_encoder_that_no_unet_can_be_made_of(refused) -> None:
    with refused("model.backbone tu-vit_base_patch16_224 cannot be the encoder of a U-Net"), torch.device("meta"):
        made(replace(SMALL, backbone="tu-vit_base_patch16_224"))


def test_a_download_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, refused) -> None:
    import segmentation_models_pytorch as smp

    asked = []

    def fails(name: str, **about: str) -> None:
        asked.append(name)
        raise OSError("no network\nand more lines")

    monkeypatch.setattr(smp.encoders, "hf_hub_download", fails)
    with refused("model.weights: resnet18 ImageNet cannot be downloaded (no network)", "--model.weights none"):
        made(replace(SMALL, weights="imagenet"))
    assert asked == ["smp-hub/resnet18.imagenet"]


def test_an_encoder_without_imagenet_weights(refused) -> None:
    with refused("model.weights imagenet: encoder resnext101_32x32d has none (instagram)"):
        made(replace(SMALL, backbone="resnext101_32x32d", weights="imagenet"))


def test_the_submitted_mask_is_the_map_cut_at_half_of_255(tmp_path: Path) -> None:
    """Every pixel at or above 127.5 / 255, single ones too, whatever the region filters of other systems would drop."""
    config = RECIPES["scse_unet"].inference
    heatmap = np.random.default_rng(0).random((40, 52), np.float32)
    heatmap[:20] *= 0.4
    heatmap[3, 4], heatmap[3, 6] = 0.5, np.nextafter(np.float32(0.5), np.float32(0))
    found = pipeline.finished(
        regions.prediction(heatmap, 0.3, 0.5),
        np.zeros((40, 52, 3), np.uint8),
        replace(config, views=("identity",)),
        "map",
    )
    tianchi.write(tmp_path, [("7", pipeline.answer(found))])
    with Image.open(tmp_path / "prediction_result/images/7.png") as image:
        written = np.asarray(image)
    assert np.array_equal(written, np.where(255 * heatmap >= 127.5, 255, 0))
    assert written[3, 4] == 255 and written[3, 6] == 0 and len(regions.prediction(heatmap, 0.3, 0.5).scores) > 10


@pytest.mark.parametrize("backbone", ["resnet18", "se_resnet50"])
def test_gates_do_not_look_beside_the_image(backbone: str) -> None:
    """An image's answer is the same alone and beside a larger one, though the gates average over all places."""
    model = made(replace(SMALL, backbone=backbone)).eval()
    generator = torch.Generator().manual_seed(1)
    images = [
        torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator)
        for size in ((60, 64), (160, 192), (60, 64))
    ]
    with torch.inference_mode():
        together, none = model.within(*model.batched(images))
        assert none is None and together.shape == (3, 1, 160, 192)
        for found, image in zip(together, images, strict=True):
            h, w = image.shape[-2:]
            alone, _ = model.within(*model.batched([image]))
            torch.testing.assert_close(found[:, :h, :w], alone[0, :, :h, :w], atol=1e-5, rtol=1e-4)
        blind, _ = model(model.batched(images)[0])
    assert (blind[0, :, :60, :64] - together[0, :, :60, :64]).abs().mean() > 1e-4


def test_sizes_apart_give_gradients_to_all(tiny_model: ModelConfig) -> None:
    model = made().train()
    images = [torch.zeros((3, *size), dtype=torch.uint8) for size in ((64, 64), (96, 64))]
    targets = [target_of(np.ones((1, *image.shape[-2:]), bool), 2) for image in images]
    sum(model.losses(images, targets).values()).backward()
    assert all(p.grad is not None for p in model.parameters())
