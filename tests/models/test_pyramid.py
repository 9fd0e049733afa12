"""The pyramid with fewer products against torchvision's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from debug.spoil import scrambled
from forgery_rcnn.models.pyramid import Pyramid

CHANNELS = (6, 20, 64, 96)
WIDTH = 64


@pytest.fixture
def plain() -> FeaturePyramidNetwork:
    torch.manual_seed(0)
    made = FeaturePyramidNetwork(CHANNELS, WIDTH, LastLevelMaxPool())
    for parameter in made.parameters():  # torchvision's biases are 0
        nn.init.normal_(parameter, std=0.1)
    return made


def stages(height: int, width: int) -> dict[str, Tensor]:
    """Of two images, at half the size each."""
    sizes = [(-(-height // 2**level), -(-width // 2**level)) for level in range(4)]
    made = [torch.randn(2, c, *size) for c, size in zip(CHANNELS, sizes, strict=True)]
    return {str(level): one for level, one in enumerate(made)}


@pytest.mark.parametrize("size", [(8, 8), (24, 40), (64, 32)])
def test_equals_torchvision(plain: FeaturePyramidNetwork, size: tuple[int, int]) -> None:
    x, ours = stages(*size), Pyramid(plain)
    assert [ours._folds(number, list(x.values())) for number in range(3)] == [False] * 3  # a gradient is asked for
    with torch.no_grad():
        assert [ours._folds(number, list(x.values())) for number in range(3)] == [True, False, False]
        found, expected = ours(x), plain(x)
    assert list(found) == list(expected) == ["0", "1", "2", "3", "pool"]
    for name, level in expected.items():
        torch.testing.assert_close(found[name], level, rtol=1e-4, atol=1e-4)


def test_a_level_in_the_middle(plain: FeaturePyramidNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forgery_rcnn.models.pyramid.WORTH", 9.0)
    x = stages(32, 48)
    with torch.no_grad():
        assert all(Pyramid(plain)._folds(number, list(x.values())) for number in range(3))
        found, expected = Pyramid(plain)(x), plain(x)
    for name, level in expected.items():
        torch.testing.assert_close(found[name], level, rtol=1e-4, atol=1e-4)


def test_sizes_that_are_no_doubles_and_gradients_go_the_plain_way(plain: FeaturePyramidNetwork) -> None:
    odd, even = stages(9, 16), stages(16, 16)
    with torch.no_grad():
        assert torch.equal(Pyramid(plain)(odd)["0"], plain(odd)["0"])
    assert torch.equal(Pyramid(plain)(even)["0"], plain(even)["0"])


def test_weights_keep_their_names(plain: FeaturePyramidNetwork) -> None:
    before = plain.state_dict()
    assert list(Pyramid(plain).state_dict()) == list(before)
    Pyramid(plain).load_state_dict(before)


def test_new_weights_are_seen(plain: FeaturePyramidNetwork) -> None:
    x, ours = stages(16, 16), Pyramid(plain)
    with torch.no_grad():
        before = ours(x)["0"].clone()
        assert torch.equal(ours(x)["0"], before)
        for change in (
            lambda: plain.layer_blocks[0][0].weight.mul_(2),
            lambda: plain.load_state_dict({n: t + 0.1 for n, t in plain.state_dict().items()}),
            lambda: scrambled(plain.layer_blocks),
            lambda: plain.to(torch.float64).to(torch.float32, memory_format=torch.channels_last),
        ):
            change()
            torch.testing.assert_close(ours(x)["0"], plain(x)["0"], rtol=1e-4, atol=1e-4)
        assert not torch.allclose(ours(x)["0"], before)
        with torch.autocast("cpu", torch.bfloat16):
            assert ours(x)["0"].dtype == torch.bfloat16
        torch.testing.assert_close(ours(x)["0"], plain(x)["0"], rtol=1e-4, atol=1e-4)
