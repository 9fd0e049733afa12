"""Features of a frozen backbone that are kept: the same losses, computed once."""

from __future__ import annotations

import torch
from torch import Tensor

from forgery_rcnn.config import HEADS, ModelConfig
from forgery_rcnn.engine import features, freezing
from forgery_rcnn.models import zoo
from forgery_rcnn.models.mask_rcnn import MaskRCNN


def frozen(config: ModelConfig) -> MaskRCNN:
    """Heads that move on a backbone that does not; counts what the backbone is asked."""
    torch.manual_seed(0)
    model = zoo.build(config)
    assert isinstance(model, MaskRCNN)
    freezing.apply(model, HEADS)
    freezing.set_modes(model)
    model.asked = []
    model.backbone.register_forward_hook(lambda *_: model.asked.append(1))
    return model


def batch(*sizes: tuple[int, int]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Random images with one square region each."""
    rng = torch.Generator().manual_seed(1)
    images = [torch.randint(0, 256, (3, *size), generator=rng, dtype=torch.uint8) for size in sizes]
    targets = []
    for size in sizes:
        mask = torch.zeros(1, *size, dtype=torch.uint8)
        mask[:, 10:40, 12:44] = 1
        box = torch.tensor([[12.0, 10, 44, 40]])
        targets.append({"boxes": box, "labels": torch.ones(1, dtype=torch.int64), "masks": mask})
    return images, targets


def losses(forward: object, seen: tuple[list[Tensor], list[dict[str, Tensor]]]) -> dict[str, Tensor]:
    torch.manual_seed(2)
    return forward(*seen)  # type: ignore[operator]


def test_losses_and_gradients_equal_those_of_the_model_and_the_backbone_runs_once_an_image(
    tiny_model: ModelConfig,
) -> None:
    model, seen, kept = frozen(tiny_model), batch((70, 96), (70, 96)), features.Kept(10**8)
    grads = []
    for forward in (model.losses, features.Losses(kept, model), features.Losses(kept, model)):
        found = losses(forward, seen)
        sum(found.values()).backward()
        moved = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        model.zero_grad()
        grads.append(({name: value.detach() for name, value in found.items()}, moved))
    assert len(model.asked) == 1 + 2 and len(kept) == 2
    assert any(name.startswith("roi_heads.mask_head") for name in grads[0][1])
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-4, atol=1e-5)
    assert all(torch.equal(grads[2][0][name], value) for name, value in grads[1][0].items())


def test_beyond_the_limit_all_is_computed_and_the_same(tiny_model: ModelConfig) -> None:
    model, seen = frozen(tiny_model), batch((70, 96), (70, 96))
    kept, none = features.Kept(10**8), features.Kept(0)
    expected, found = (losses(features.Losses(one, model), seen) for one in (kept, none))
    assert len(none) == 0
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_images_of_several_sizes_are_computed_together_as_always(tiny_model: ModelConfig) -> None:
    model, seen, kept = frozen(tiny_model), batch((70, 96), (96, 60)), features.Kept(10**8)
    expected, found = losses(model.losses, seen), losses(features.Losses(kept, model), seen)
    assert len(kept) == 0
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_another_image_is_not_taken_for_one_that_is_kept(tiny_model: ModelConfig) -> None:
    model, kept = frozen(tiny_model), features.Kept(10**8)
    image = batch((70, 96))[0][0]
    changed = image.clone()
    changed[0, 0, 0] ^= 255
    assert not torch.equal(kept.of(image, model)["0"], kept.of(changed, model)["0"])
    assert len(kept) == 2


def test_it_is_for_stages_that_leave_the_backbone_alone(tiny_model: ModelConfig) -> None:
    model = zoo.build(tiny_model)
    assert features.suffice(model, freezing.apply(model, HEADS))
    assert not features.suffice(model, freezing.apply(model, ("roi_heads", "backbone.fpn")))
