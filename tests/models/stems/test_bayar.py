"""The constrained convolution keeps its constraint, whatever is done to its parameters, and learns."""

from __future__ import annotations

import torch

from forgery_rcnn.models.stems.bayar import Bayar


def assert_constrained(layer: Bayar) -> None:
    kernels = layer.kernels().detach().double()
    assert kernels.shape == (3, 3, 5, 5)
    assert (kernels[:, :, 2, 2] == -1).all()
    torch.testing.assert_close(kernels.sum(dim=(2, 3)), torch.zeros(3, 3, dtype=torch.float64), rtol=0, atol=1e-5)


def test_the_constraint_holds_after_steps_and_loading() -> None:
    torch.manual_seed(0)
    layer, other = Bayar(), Bayar()
    assert_constrained(layer)
    before = layer.kernels().detach().clone()
    optimiser = torch.optim.AdamW(layer.parameters(), 0.01, weight_decay=0.5)
    image = 128 + 3 * torch.randn((3, 32, 40))
    first = None
    for _ in range(10):
        loss = layer(image).square().mean()
        first = loss.item() if first is None else first
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        assert_constrained(layer)
    assert loss.item() < first and not torch.allclose(before, layer.kernels(), atol=0.05)
    other.load_state_dict({name: 7 * tensor for name, tensor in layer.state_dict().items()})
    assert_constrained(other)


def test_brightness_is_nothing_and_bf16_changes_nothing() -> None:
    torch.manual_seed(1)
    layer = Bayar()
    assert layer(torch.full((3, 20, 30), 250.0)).abs().max() < 1e-3
    image = 255 * torch.rand((3, 20, 30))
    torch.testing.assert_close(layer(image + 100), layer(image), rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        cast = layer(image)
    assert cast.dtype == torch.float32 and torch.equal(cast, layer(image))
