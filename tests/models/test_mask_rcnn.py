"""The Mask R-CNN itself: golden losses, backbones, agreement with torchvision's own pasting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image, project_masks_on_boxes

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Prediction, boxes_of
from forgery_rcnn.models import backbones, weights, zoo
from forgery_rcnn.models.mask_rcnn import in_original_frame
from forgery_rcnn.models.paste import paste
from tests.models.test_segmenters import batch

# Made with torch 2.14.1, float32; a change means that training changed.
GOLDEN = {
    "loss_objectness": 0.690088,
    "loss_rpn_box_reg": 0.011078,
    "loss_classifier": 0.749774,
    "loss_box_reg": 0.005042,
    "loss_mask": 0.997157,
}


def test_golden_losses(tiny_model: ModelConfig) -> None:
    torch.manual_seed(0)
    model = zoo.build(weights.settled(tiny_model)).train()
    torch.manual_seed(0)
    losses = {name: float(loss.detach()) for name, loss in model.losses(*batch()).items()}
    assert losses == pytest.approx(GOLDEN, rel=2e-3)


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet50", "mobilenet_v3_large", "timm:tf_efficientnet_lite0", "timm:convnext_atto"]
)
def test_every_backbone_gives_the_five_levels(tiny_model: ModelConfig, name: str) -> None:
    body = backbones.build(replace(tiny_model, backbone=name, norm="group")).eval()
    with torch.no_grad():
        levels = body(torch.zeros(1, 3, 64, 96))
    assert {key: tuple(level.shape) for key, level in levels.items()} == {
        "0": (1, 32, 16, 24),
        "1": (1, 32, 8, 12),
        "2": (1, 32, 4, 6),
        "3": (1, 32, 2, 3),
        "pool": (1, 32, 1, 2),
    }
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in body.modules()), "group norm was asked for"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19", "use one of resnet18, resnet50, mobilenet_v3_large, or timm:NAME"),
        ("timm:no_such_net", "timm has no model 'no_such_net'"),
        ("timm:vit_tiny_patch16_224", "gives no features at strides 4, 8, 16, 32"),
    ],
)
def test_a_backbone_that_does_not_do_says_why(tiny_model: ModelConfig, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        backbones.build(replace(tiny_model, backbone=name))


def test_a_failed_download_is_one_line_with_the_ways_out(
    tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("Temporary failure in name resolution")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", no_network)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    with pytest.raises(InputError, match=r"cannot be downloaded \(Temporary.*--model.weights FILE") as error:
        model = zoo.build(weights.settled(replace(tiny_model, backbone="resnet50", weights="coco")))
        weights.start(model)
    assert "\n" not in str(error.value)


def stretched(boxes: np.ndarray, grids: np.ndarray, size: tuple[int, int]) -> Prediction:
    return paste(boxes, boxes, grids, np.linspace(0.9, 0.2, len(boxes), dtype=np.float32), size, 0.5)


def test_truth_through_the_mask_grid_comes_back_better_than_by_torchvision() -> None:
    ys, xs = np.mgrid[:128, :160]
    truth = np.stack(
        [(xs - x) ** 2 + 2 * (ys - y) ** 2 < r * r for x, y, r in ((50, 40, 30), (90, 80, 45), (30, 100, 12))]
    )
    boxes = torch.from_numpy(boxes_of(truth))
    grids = project_masks_on_boxes(torch.from_numpy(truth).float(), boxes, torch.arange(3), 28)
    ours = in_original_frame(boxes, grids, torch.ones(3), (128, 160), (128, 160), 0.5).instances.masks()
    theirs = paste_masks_in_image(grids[:, None], boxes, (128, 160))[:, 0].numpy() >= 0.5

    def dice(masks: np.ndarray) -> list[float]:
        return [2 * (m & t).sum() / (m.sum() + t.sum()) for m, t in zip(masks, truth, strict=True)]

    assert min(dice(ours)) > 0.985
    assert min(np.subtract(dice(ours), dice(theirs))) > 0


def test_paste_of_a_box_as_large_as_its_grid_is_the_grid() -> None:
    grid = np.random.default_rng(1).random((1, 28, 28), np.float32)
    found = stretched(np.float32([[3, 4, 31, 32]]), grid, (40, 50))
    np.testing.assert_allclose(found.heatmap[4:32, 3:31], 0.9 * grid[0], atol=1e-5)
    assert found.heatmap.sum() == pytest.approx(0.9 * grid.sum(), rel=1e-5)


def test_paste_of_boxes_at_and_beyond_the_border() -> None:
    boxes = np.array([[-5, -5, 4, 4], [9.6, 7.6, 30, 30], [3, 3, 3, 3]], np.float32)
    found = stretched(boxes, np.ones((3, 28, 28), np.float32), (8, 10))
    assert found.instances.areas().tolist() == [16, 1, 1]
    assert found.heatmap[0, 0] == np.float32(0.9)
    assert found.image_score == pytest.approx(0.9)


@pytest.mark.parametrize("name", ["timm:swin_tiny_patch4_window7_224", "timm:maxvit_tiny_tf_224"])
def test_a_backbone_of_fixed_size_is_refused(tiny_model: ModelConfig, name: str) -> None:
    with pytest.raises(InputError, match="does not take images of any size"):
        backbones.build(replace(tiny_model, backbone=name))
