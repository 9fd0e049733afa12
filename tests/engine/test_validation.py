"""What a stage is measured by, and what counts as better."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forgery_rcnn.config import DataConfig, InferenceConfig, ModelConfig, Refine, RunConfig, Tiling
from forgery_rcnn.data import records
from forgery_rcnn.data.dataset import ForgeryDataset
from forgery_rcnn.engine import seeding, validation
from forgery_rcnn.instances import Answer, Truth
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.report import image_row


def test_training_evaluates_without_views_and_refinement_but_in_tiles() -> None:
    whole = InferenceConfig(views=("eight",), refine=Refine("crf"), tiling=Tiling("auto"), min_area=7)
    assert validation.plain(whole) == InferenceConfig(tiling=Tiling("auto"), min_area=7)


def test_the_image_auc_stands_beside_the_summary() -> None:
    rows = [image_row(str(i), Answer((4, 4), None, score), Truth((4, 4), None)) for i, score in enumerate((0.2, 0.7))]
    assert validation.measured(rows)["image_auc"] is None
    assert validation.measured([rows[0], replace(rows[1], label="forged")])["image_auc"] == 1.0


@pytest.mark.parametrize(
    ("best_by", "expected"),
    [
        ("of1", [0.5, 0.1, 0.6, -2.0]),
        ("dice", [0.6, 0.5, -2.0]),
        ("image_auc", [0.0, 0.5, -2.0]),
        ("loss", [-0.3, -2.0]),
    ],
)
def test_larger_is_better_in_every_order(best_by: str, expected: list[float]) -> None:
    found = {"of1_mean": 0.5, "of1_mean_forged": 0.1, "dice_mean": 0.6, "image_auc": None, "validation_loss": 0.3}
    assert validation.standing(found, best_by, 2.0) == expected


@pytest.mark.parametrize("arch", ["mask_rcnn", "attention_unet"])
def test_the_loss_is_the_training_loss_of_what_is_not_augmented(
    arch: str, shared_root: Path, tiny_model: ModelConfig
) -> None:
    config = RunConfig(DataConfig(shared_root), weights.settled(replace(tiny_model, arch=arch)))
    items = [record for record in records.scan(shared_root) if record.label == "forged"][:2]
    torch.manual_seed(0)
    model = zoo.build(config.model).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = validation.losses(model, items, config)
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert found == validation.losses(model, items, config) and all(math.isfinite(loss) for loss in found)
    seed = seeding.mixed(config.seed, zlib.crc32(items[1].key.encode()))
    image, target, _ = ForgeryDataset(items, config.data, config.model)[1, seed]
    for name in model.coordinators:
        model.get_submodule(name).training = True
    torch.manual_seed(seed)
    assert found[1] == pytest.approx(sum(loss.item() for loss in model.losses([image], [target]).values()))
