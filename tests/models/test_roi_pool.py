"""RoI pooling against torchvision's own, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign

from forgery_rcnn.models.roi_pool import RoIPool

LEVELS = ["0", "1", "2", "3"]


def made(size: tuple[int, int], batch: int) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Levels of a padded input of `size`, and boxes of every sort for each image."""
    rng = torch.Generator().manual_seed(0)
    levels = {
        str(n): torch.randn(batch, 8, size[0] // s, size[1] // s, generator=rng) for n, s in enumerate((4, 8, 16, 32))
    }
    levels["pool"] = levels["3"][:, :, ::2, ::2]
    corners = torch.rand(batch, 60, 2, generator=rng) * torch.tensor([size[1], size[0]])
    sides = torch.exp(torch.rand(batch, 60, 2, generator=rng) * 7 - 1)
    odd = torch.tensor([[0.0, 0, size[1], size[0]], [3, 3, 3, 3], [-30, -30, 9, 9], [size[1] - 1, 0, size[1] + 50, 5]])
    boxes = [torch.cat([torch.cat([c, c + s], 1), odd]) for c, s in zip(corners, sides, strict=True)]
    return levels, boxes


@pytest.mark.parametrize("side", [7, 14])
@pytest.mark.parametrize("batch", [1, 2])
def test_equals_torchvision_forwards_and_backwards(side: int, batch: int) -> None:
    levels, boxes = made((192, 256), batch)
    boxes[0] = boxes[0][: 40 if batch == 2 else None]
    found = []
    for pool in (RoIPool(LEVELS, side, 2), MultiScaleRoIAlign(LEVELS, side, 2)):
        seen = {name: level.clone().requires_grad_() for name, level in levels.items()}
        grids = pool(seen, boxes, [(192, 256)] * batch)
        (grids * torch.arange(grids.numel()).view(grids.shape).cos()).sum().backward()
        found.append((grids.detach(), *(seen[name].grad for name in LEVELS)))
    for ours, theirs in zip(*found, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_elsewhere_than_on_a_processor_torchvision_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MultiScaleRoIAlign, "forward", lambda self, x, boxes, shapes: "torchvision's")
    levels = {name: torch.empty(1, 8, 4, 4, device="meta") for name in LEVELS}
    assert RoIPool(LEVELS, 7, 2)(levels, [torch.empty(0, 4, device="meta")], [(16, 16)]) == "torchvision's"


def test_no_box_gives_no_grid_and_no_gradient() -> None:
    levels, _ = made((64, 64), 1)
    seen = {name: level.requires_grad_() for name, level in levels.items()}
    grids = RoIPool(LEVELS, 7, 2)(seen, [torch.zeros(0, 4)], [(64, 64)])
    assert grids.shape == (0, 8, 7, 7)
    grids.sum().backward()
    assert not levels["0"].grad.any()


def test_a_narrow_first_image_changes_nothing() -> None:
    levels, boxes = made((64, 256), 1)
    fresh, used = RoIPool(LEVELS, 7, 2), RoIPool(LEVELS, 7, 2)
    used(levels, boxes, [(33, 256)])
    others = made((192, 256), 1)
    assert torch.equal(fresh(*others, [(192, 256)]), used(*others, [(192, 256)]))
    theirs = MultiScaleRoIAlign(LEVELS, 7, 2)
    theirs(levels, boxes, [(33, 256)])
    assert theirs.scales[0] == 0.5  # why RoIPool says its strides


def test_bf16_levels_are_summed_in_float32_and_boxes_that_are_no_number_stay_none() -> None:
    levels, boxes = made((64, 64), 1)
    low = {name: level.bfloat16() for name, level in levels.items()}
    pool = RoIPool(LEVELS, 7, 2)
    exact = pool({name: level.float() for name, level in low.items()}, boxes, [(64, 64)])
    assert torch.equal(pool(low, boxes, [(64, 64)]), exact.bfloat16())
    assert pool(levels, [torch.full((1, 4), torch.nan)], [(64, 64)]).isnan().all()


def test_what_predicts_is_what_learns_and_one_call_leaves_the_last_alone() -> None:
    pool, found = RoIPool(LEVELS, 7, 2), []
    for size in ((192, 256), (64, 256), (256, 320)):
        levels, boxes = made(size, 2)
        with torch.no_grad():
            found.append(pool(levels, boxes, [size] * 2))
        assert torch.equal(found[-1], pool(levels, boxes, [size] * 2))
    levels, boxes = made((192, 256), 2)
    assert torch.equal(found[0], pool(levels, boxes, [(192, 256)] * 2))
