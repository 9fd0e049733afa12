"""Losses of a map: values worked out by hand, an independent reference, and the cases that break losses."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.data.dataset import target_of
from forgery_rcnn.model_config import MaskLoss
from forgery_rcnn.models import losses
from forgery_rcnn.models.dense import DenseSegmenter
from forgery_rcnn.models.losses import LOSSES

NAMES = sorted(LOSSES)


def example(seed: int = 0, size: tuple[int, int, int] = (3, 21, 34)) -> tuple[Tensor, Tensor, Tensor]:
    """Random logits, a region in every image, all pixels valid."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn((size[0], 1, *size[1:]), generator=generator)
    truth = torch.zeros_like(logits)
    for number in range(size[0]):
        truth[number, 0, 2 : 9 + number, 3 : 12 + 2 * number] = 1
    return logits, truth, torch.ones_like(logits)


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_every_loss_a_setting_may_name_exists() -> None:
    assert set(LOSSES) == set(get_args(MaskLoss))


@pytest.mark.parametrize(
    ("name", "value"),
    [  # all chances 1/2; image 1: four pixels, one forged; image 2: four, all forged
        ("bce", log(2)),
        ("dice", (2 / 3 + 1 / 3) / 2),  # 2 * 0.5 / (2 + 1) and 2 * 2 / (2 + 4)
        ("dice_batch", 1 - 2 * 2.5 / (4 + 5)),
        ("tversky", 1 - 2.5 / (2.5 + 0.3 * 1.5 + 0.7 * 2.5)),
        ("focal", log(2) * 0.5**2 * (5 * 0.25 + 3 * 0.75) / 8),
        ("lovasz", 1.0),  # every error is 1, and the steps of the Jaccard index add up to 1
        ("boundary", log(2)),  # a weighted mean of equal values
    ],
)
def test_values_by_hand(name: str, value: float) -> None:
    truth = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 1]]).view(2, 1, 2, 2)
    found = LOSSES[name](torch.zeros(2, 1, 2, 2), truth, torch.ones(2, 1, 2, 2))
    assert float(found) == pytest.approx(value, rel=1e-4)


def test_lovasz_by_hand() -> None:
    ones = torch.ones(1, 1, 1, 2)
    # Errors 1.5 (false alarm) and 0.5 (forged); after one the Jaccard loss is 1/2, after both 1.
    assert float(losses.lovasz(row(0.5, 0.5), row(1, 0), ones)) == pytest.approx(1.5 * 0.5 + 0.5 * 0.5)
    assert float(losses.lovasz(row(2, -1), row(1, 0), ones)) == 0, "both on the right side, a margin of 1 away"
    assert float(losses.lovasz(row(3, -1), row(0, 0), ones)) == 4, "authentic: the highest logit alone"


def test_boundary_by_hand() -> None:
    logits, truth, ones = row(1, -2, -2), row(1, 0, 0), torch.ones(1, 1, 1, 3)
    # A third of the pixels in reach is forged: weights 1 + 5 * 2/3 on the forged one, 1 + 5 * 1/3 on the others.
    wrong = np.log1p(np.exp([-1.0, -2.0]))
    assert float(losses.boundary(logits, truth, ones)) == pytest.approx((13 * wrong[0] + 16 * wrong[1]) / 29, rel=1e-5)


def test_boundary_weighs_by_the_share_of_the_other_kind_around() -> None:
    logits = torch.zeros(1, 1, 40, 90, requires_grad=True)
    truth, valid = torch.zeros(1, 1, 40, 90), torch.ones(1, 1, 40, 90)
    truth[..., 5:30, 10:50] = 1
    valid[..., 36:, :] = valid[..., 80:] = 0
    losses.boundary(logits, truth, valid).backward()
    weight = logits.grad[0, 0].abs() / logits.grad[0, 0, 0, 79].abs()  # no forged pixel within 15: weight 1
    for y, x in ((0, 0), (5, 10), (17, 30), (30, 50), (20, 49), (35, 66), (35, 79)):
        reach = np.s_[0, 0, max(0, y - 15) : min(36, y + 16), max(0, x - 15) : min(80, x + 16)]
        other = float((truth[reach] != truth[0, 0, y, x]).float().mean())
        assert float(weight[y, x]) == pytest.approx(1 + 5 * other, rel=1e-4)
    assert weight.max() > 3
    assert weight[36:].max() == weight[:, 80:].max() == 0


def test_an_independent_reference_agrees() -> None:
    from segmentation_models_pytorch import losses as reference

    logits, truth, valid = example()
    half = losses.SMOOTH / 2  # its fraction is half of ours above and below
    pairs = {
        "dice_batch": reference.DiceLoss("binary", smooth=half),
        "tversky": reference.TverskyLoss("binary", alpha=0.3, beta=0.7, smooth=half),
        "focal": reference.FocalLoss("binary", alpha=0.25, gamma=2.0),
        "lovasz": reference.LovaszLoss("binary", per_image=True),
        "bce": reference.SoftBCEWithLogitsLoss(),
    }
    for name, other in pairs.items():
        assert float(LOSSES[name](logits, truth, valid)) == pytest.approx(float(other(logits, truth)), rel=1e-5), name
    each = [float(pairs["dice_batch"](logits[[i]], truth[[i]])) for i in range(len(logits))]
    assert float(losses.dice(logits, truth, valid)) == pytest.approx(np.mean(each), rel=1e-5)
    # Not so without a forged pixel: there it gives 0 whatever is predicted, which hides every false alarm.
    assert float(pairs["dice_batch"](logits, 0 * truth)) == 0
    assert float(losses.dice_batch(logits, 0 * truth, valid)) > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_what_lies_beside_the_image_does_not_matter(name: str) -> None:
    logits, truth, valid = example(size=(2, 24, 40))
    valid[:, :, 17:] = valid[..., 29:] = 0
    logits.requires_grad_(True)
    found = LOSSES[name](logits, truth, valid)
    found.backward()
    assert (logits.grad[valid == 0] == 0).all()
    assert logits.grad[valid == 1].abs().sum() > 0
    other, *_ = example(seed=9, size=(2, 24, 40))
    mixed = [torch.where(valid > 0, a, b) for a, b in ((logits, 9 * other), (truth, (other > 0).float()))]
    cut = np.s_[:, :, :17, :29]
    for same in (LOSSES[name](*mixed, valid), LOSSES[name](logits[cut], truth[cut], valid[cut])):
        assert float(same.detach()) == pytest.approx(float(found.detach()), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sign", [1, -1])
def test_certain_answers_have_finite_gradients(name: str, sign: int) -> None:
    _, truth, valid = example()
    logits = (sign * 50 * (2 * truth - 1)).requires_grad_(True)
    found = LOSSES[name](logits, truth, valid)
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(logits.grad).all()
    assert float(found.detach()) == pytest.approx(0, abs=1e-5) if sign == 1 else float(found.detach()) > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_authentic_images_alone(name: str) -> None:
    logits, truth, valid = example()
    costs = [float(LOSSES[name](logits + shift, 0 * truth, valid)) for shift in (-60, 0, 4)]
    assert np.isfinite(costs).all()
    assert costs[0] == pytest.approx(0, abs=1e-5), "nothing found, nothing paid"
    assert costs[0] < costs[1] <= costs[2] + 1e-6


def test_who_learns_from_a_false_alarm_in_an_authentic_image() -> None:
    logits, truth, valid = example()
    truth[0] = 0
    pull = {}
    for name, loss in LOSSES.items():
        variable = logits.clone().requires_grad_(True)
        loss(variable, truth, valid).backward()
        pull[name] = float(variable.grad[0].abs().sum() / variable.grad[1].abs().sum())
    assert pull.pop("dice") < 1e-6
    assert min(pull.values()) > 0.05


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("true", [0.0, 1.0])
def test_one_pixel(name: str, true: float) -> None:
    ones = torch.ones(1, 1, 1, 1)
    right, wrong = (float(LOSSES[name](sign * 4 * ones, true * ones, ones)) for sign in (2 * true - 1, 1 - 2 * true))
    assert right < wrong
    assert np.isfinite([right, wrong]).all()


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_nothing(name: str) -> None:
    parts = example()
    plain = float(LOSSES[name](*parts))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = LOSSES[name](*parts)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(plain, rel=1e-6)


class Undecided(DenseSegmenter):
    """Logit 0 for every pixel, and logit 1 for every image."""

    stride = 4

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.level = nn.Parameter(torch.zeros(1))

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        mask = self.level + torch.zeros_like(batch[:, :1])
        return mask, mask.mean(dim=(1, 2, 3)) + 1


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_the_combined_loss_is_the_images_cross_entropy_and_the_weighted_masks(weight: float) -> None:
    """MediaEval 2025: cross-entropy + mask_weight x (BCE + Dice); two classes or one logit is the same cross-entropy."""
    config = ModelConfig()
    model = Undecided(replace(config, dense=replace(config.dense, mask_weight=weight)))
    masks = np.zeros((2, 3, 5), bool)  # two instances that overlap: five forged pixels of 15
    masks[0, 1, :3] = masks[1, 1, 2:] = True
    images = [torch.zeros(3, 3, 5, dtype=torch.uint8), torch.zeros(3, 4, 4, dtype=torch.uint8)]
    targets = [target_of(masks, 1), target_of(np.zeros((0, 4, 4), bool), 1)]
    found = {name: float(loss.detach()) for name, loss in model.losses(images, targets).items()}
    softmax = nn.functional.cross_entropy(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([1, 0]))
    dice = ((1 - 2 * 2.5 / (7.5 + 5)) + 1) / 2
    assert found == pytest.approx(
        {"loss_image": float(softmax), "loss_bce": weight * log(2), "loss_dice": weight * dice}, rel=1e-5
    )
