"""Exactly the named parts move, in every sense."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from forgery_rcnn.config import MASK_HEAD, ModelConfig
from forgery_rcnn.engine import freezing
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import zoo
from forgery_rcnn.models.segmenter import Segmenter
from tests.models.test_segmenters import batch


@pytest.fixture
def model(tiny_model: ModelConfig) -> Segmenter:
    torch.manual_seed(0)
    return zoo.build(replace(tiny_model, norm="batch"))


def test_a_wrong_part_lists_the_right_ones(model: Segmenter) -> None:
    with pytest.raises(
        InputError,
        match=r"part 'backbone.layer4', which .* it has .*backbone.body.layer4.*roi_heads.mask_head",
    ):
        freezing.apply(model, ["backbone.layer4"])
    with pytest.raises(InputError, match="part 'roi_head'"):
        freezing.apply(model, ["rpn"], ["roi_head"])  # a prefix ends at a dot
    with pytest.raises(InputError, match="trains nothing"):
        freezing.apply(model, ["roi_heads.mask_head"], ["roi_heads"])


@pytest.mark.parametrize(
    ("trainable", "frozen"),
    [
        (("roi_heads.box_predictor",), ()),
        (("rpn", "roi_heads"), MASK_HEAD),
        (("backbone.body.layer4", "roi_heads"), ()),
    ],
)
def test_a_step_changes_what_is_named_and_nothing_else(
    model: Segmenter, trainable: tuple[str, ...], frozen: tuple[str, ...]
) -> None:
    moving = set(freezing.apply(model, trainable, frozen))
    freezing.set_modes(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    sum(model.losses(*batch()).values()).backward()
    optimiser.step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    parameters = {name for name, _ in model.named_parameters()}
    assert changed & parameters == moving
    statistics = {name for name in changed - parameters if name.startswith("backbone")}
    assert all(name.startswith(trainable) for name in statistics), "batch norm moved under frozen weights"


def test_no_graph_is_built_below_the_last_moving_part(model: Segmenter) -> None:
    freezing.apply(model, ["roi_heads"])
    freezing.set_modes(model)
    features = model.backbone(torch.zeros(1, 3, 64, 64))
    assert not any(level.requires_grad for level in features.values())


def test_the_coordinators_still_train(model: Segmenter) -> None:
    freezing.apply(model, ["backbone"])
    freezing.set_modes(model)
    assert model.rpn.training and model.roi_heads.training
    assert not model.rpn.head.training and not model.roi_heads.box_head.training
    assert set(model.losses(*batch())) >= {"loss_objectness", "loss_mask"}
