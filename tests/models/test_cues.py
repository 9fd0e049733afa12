"""Vectors of regions, their controls, and the loss that parts them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import anatomy, contrast, cues, weights, zoo
from forgery_rcnn.models.contrast import controls
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from tests.models.test_mask_rcnn import GOLDEN
from tests.models.test_segmenters import batch, pictures

BOXES = np.array([[5, 10, 40, 50], [40, 60, 75, 90]], np.float32)


def built(config: ModelConfig) -> MaskRCNN:
    torch.manual_seed(0)
    return zoo.build(weights.settled(config)).eval()


def grained(count: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """96 px noise whose neighbours in a row are alike inside a square, the contrast kept -> images, truths."""
    rng, images, truths = np.random.default_rng(seed), [], []
    for _ in range(count):
        noise = rng.normal(0, 30, (96, 96, 1)).repeat(3, axis=2)
        mask = np.zeros((1, 96, 96), bool)
        y, x = rng.integers(2, 60, 2)
        mask[0, y : y + 24, x : x + 24] = True
        alike = (noise + 0.3 * np.roll(noise, 1, axis=1)) / math.hypot(1, 0.3)
        pixels = np.where(mask[0][:, :, None], alike, noise) + rng.normal(0, 5, (96, 96, 3))
        images.append(np.clip(pixels + 128 + rng.uniform(-40, 40), 0, 255).astype(np.uint8))
        truths.append(mask)
    return images, truths


def shared(places: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(K, 4), (N, 4) -> (K, N): what two boxes share, of the smaller."""
    low, high = np.maximum(places[:, None, :2], boxes[:, :2]), np.minimum(places[:, None, 2:], boxes[:, 2:])
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (places, boxes)]
    return np.clip(high - low, 0, None).prod(axis=2) / np.minimum(areas[0][:, None], areas[1])


def test_controls_have_the_shapes_and_keep_clear_of_every_true_box() -> None:
    for seed in range(20):
        places, owners = controls(BOXES, (96, 80), np.random.default_rng(seed), 5)
        assert owners.tolist() == sorted(owners.tolist()) and set(owners.tolist()) == {0, 1}
        for owner in (0, 1):
            own = places[owners == owner]
            assert 2 <= len(own) <= 5 and all(
                shared(own[:i], own[i : i + 1]).max() <= 0.1 + 1e-6 for i in range(1, len(own))
            )
        np.testing.assert_allclose(places[:, 2:] - places[:, :2], (BOXES[:, 2:] - BOXES[:, :2])[owners], atol=1e-4)
        assert (places >= 0).all() and (places <= [80, 96, 80, 96]).all()
        assert shared(places, BOXES).max() <= 0.1 + 1e-6
    again = controls(BOXES, (96, 80), np.random.default_rng(19), 5)[0]
    np.testing.assert_array_equal(places, again)


def test_a_control_does_not_swallow_a_small_forged_region() -> None:
    """The large box has room below only, where a small one lies, with which its IoU is 0.02."""
    boxes = np.array([[0, 0, 96, 46], [40, 66, 50, 76]], np.float32)
    places, owners = controls(boxes, (96, 96), np.random.default_rng(0), 5)
    assert set(owners.tolist()) == {1} and shared(places, boxes).max() <= 0.1 + 1e-6


def test_a_region_without_a_clear_place_has_no_control() -> None:
    for boxes in ([[0, 20, 96, 70]], [[0, 0, 96, 96]], np.zeros((0, 4))):
        places, owners = controls(np.array(boxes, np.float32), (96, 96), np.random.default_rng(0), 5)
        assert places.shape == (0, 4) and owners.shape == (0,)


def test_regions_are_components_in_the_fitted_frame() -> None:
    truth = np.zeros((2, 20, 30), bool)
    truth[0, 2:6, 3:9] = truth[0, 12:14, 20:22] = truth[1, 9, 1:8] = True
    assert sorted(cues.region_boxes(truth, (10, 15)).tolist()) == [[0.5, 4.5, 4, 5], [1.5, 1, 4.5, 3], [10, 6, 11, 7]]
    assert cues.region_boxes(truth[:0], (10, 15)).shape == (0, 4)
    where = cues.places("one", truth, np.zeros((20, 30, 3), np.uint8), None)
    assert (len(where.forged), where.small) == (2, 1), "the last is one pixel high"


def test_the_source_of_a_copy_is_left_out_where_the_twin_shows_it() -> None:
    (twin,), truth = grained(1, 3)[0], np.zeros((1, 96, 96), bool)
    pixels = twin.copy()
    pixels[50:70, 10:30] = twin[10:30, 60:80]
    truth[0, 50:70, 10:30] = truth[0, 10:30, 60:80] = True
    where, every = cues.places("one", truth, pixels, twin), cues.places("one", truth, pixels, None)
    assert where.forged.tolist() == where.free.tolist() == [[10, 50, 30, 70]] and where.untouched == 1
    assert (len(where.controls), len(where.both)) == (5, 6) and len(every.forged) == 2 and every.untouched == 0
    assert shared(where.controls, every.forged).max() <= 0.1 + 1e-6, "clear of the source too"
    np.testing.assert_array_equal(where.controls, cues.places("one", truth, pixels, twin).controls)
    assert (where.controls != cues.places("two", truth, pixels, twin).controls).any()
    brighter = cues.places("one", truth, np.clip(pixels.astype(int) + 5, 0, 255).astype(np.uint8), twin)
    assert brighter.untouched == 1, "saved in another way as a whole"


def test_region_vectors_are_the_models_own(tiny_model: ModelConfig) -> None:
    model = built(tiny_model)
    (pixels,) = pictures((70, 130))  # fitted to 52 x 96, padded to 64 x 96
    opened = anatomy.dissect(model, pixels)
    found = cues.region_vectors(model, opened, opened.proposals.boxes.numpy())
    assert tuple(found) == cues.NAMES
    widths = [64, 128, 256, 512, 32, 32, 32, 32, 32, 32]
    assert [v.shape for v in found.values()] == [(len(opened.proposals), width) for width in widths]
    np.testing.assert_array_equal(found[cues.HEAD], opened.proposals.vectors.numpy())
    np.testing.assert_array_equal(found[cues.POOLED], opened.proposals.pooled.mean(dim=(2, 3)).numpy())
    from_levels = np.stack([found[f"fpn {level}"] for level in range(4)])
    nearest = np.abs(from_levels - found[cues.POOLED]).max(axis=2).min(axis=0)
    assert nearest.max() < 1e-5, "each region is pooled from one of the levels"


def test_a_region_sees_its_own_place(tiny_model: ModelConfig) -> None:
    """A map that holds the column's number gives each box its middle, in every map's own stride."""
    model = built(tiny_model)
    opened = anatomy.dissect(model, pictures((96, 96))[0])
    maps = {
        name: (torch.arange(side.shape[-1]) * (96 / side.shape[-1])).expand(side.shape).contiguous()
        for name, side in opened.levels.items()
    }
    found = cues.region_vectors(model, replace(opened, stages=maps, levels=maps), np.float32([[24, 16, 56, 48]]))
    assert [float(found[f"stage {level}"].mean()) for level in range(3)] == pytest.approx([40, 40, 40], abs=0.1)


def separability_of(model: MaskRCNN, images: list[np.ndarray], truths: list[np.ndarray]) -> float:
    where = [cues.places(str(n), t, p, None) for n, (p, t) in enumerate(zip(images, truths, strict=True))]
    return cues.separability_of(model, images, where)


def test_separability_of_is_deterministic_and_needs_eight_images(tiny_model: ModelConfig) -> None:
    model, (images, truths) = built(tiny_model), grained(8, 0)
    first = separability_of(model, images, truths)
    assert first == separability_of(model, images, truths) and 0 <= first <= 1
    assert math.isnan(separability_of(model, images[:7], truths[:7]))
    assert math.isnan(separability_of(model, images, [truth[:0] for truth in truths]))
    assert math.isnan(separability_of(model, [], []))


def test_the_loss_alone_teaches_the_encoder_a_cue_that_holds_on_other_images(tiny_model: ModelConfig) -> None:
    model = built(tiny_model)
    (images, truths), held_out = grained(16, 0), grained(32, 1)
    before = separability_of(model, *held_out)
    optimiser, rng = torch.optim.AdamW(model.backbone.parameters(), 1e-3), np.random.default_rng(0)
    for _ in range(40):
        model.train()
        pick = rng.integers(0, 16, 4)
        inputs = model.batched([torch.from_numpy(images[i]).permute(2, 0, 1) for i in pick])
        boxes = [torch.from_numpy(cues.region_boxes(truths[i], (96, 96))) for i in pick]
        levels = model.backbone(inputs.tensors)
        loss = contrast.loss_of(model.roi_heads.box_roi_pool, levels, inputs.image_sizes, boxes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert before < 0.75 and separability_of(model.eval(), *held_out) > 0.85


def test_it_is_off_by_default_and_on_it_changes_no_other_loss(tiny_model: ModelConfig) -> None:
    plain, weighted = built(tiny_model).train(), built(replace(tiny_model, separability_weight=0.5)).train()
    assert plain.state_dict().keys() == weighted.state_dict().keys()
    losses = []
    for model in (plain, weighted):
        torch.manual_seed(0)
        losses.append({name: float(loss.detach()) for name, loss in model.losses(*batch()).items()})
    assert losses[0].keys() == GOLDEN.keys()
    assert losses[1] == pytest.approx(losses[0] | {"loss_separability": losses[1]["loss_separability"]})
    assert losses[1]["loss_separability"] > 0


def test_its_gradient_reaches_backbone_and_pyramid_only(tiny_model: ModelConfig) -> None:
    model = built(replace(tiny_model, separability_weight=1.0)).train()
    model.losses(*batch())["loss_separability"].backward()
    moved = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"backbone"}
    assert model.backbone.fpn.layer_blocks[0][0].weight.grad.abs().max() > 0


@pytest.mark.parametrize("regions", [[0, 0], [1, 0], [2, 0], [1, 1], [2, 3]])
def test_any_number_of_regions_gives_a_finite_part_of_the_graph(regions: list[int]) -> None:
    levels = {str(n): torch.rand(2, 8, 24 >> n, 24 >> n, requires_grad=True) for n in range(4)}
    pool = built(ModelConfig(image_size=96, fpn_width=8, box_hidden=8, mask_hidden=8)).roi_heads.box_roi_pool
    every = torch.tensor([[4.0, 4, 24, 30], [50, 50, 80, 70], [60, 5, 70, 20]])
    torch.manual_seed(0)
    loss = contrast.loss_of(pool, levels, [(96, 96), (96, 96)], [every[:count] for count in regions])
    loss.backward()
    assert torch.isfinite(loss) and all(torch.isfinite(m.grad).all() for m in levels.values() if m.grad is not None)
    assert (loss > 0) == (sum(regions) > 0) and levels["0"].grad is not None


def test_one_region_that_fills_the_image_leaves_nothing_to_compare() -> None:
    levels = {str(n): torch.rand(1, 8, 24 >> n, 24 >> n, requires_grad=True) for n in range(4)}
    pool = built(ModelConfig(image_size=96, fpn_width=8, box_hidden=8, mask_hidden=8)).roi_heads.box_roi_pool
    loss = contrast.loss_of(pool, levels, [(96, 96)], [torch.tensor([[0.0, 0, 96, 96]])])
    loss.backward()
    assert loss == 0


def test_the_held_out_loss_is_small_where_one_line_parts_both_halves_and_large_where_it_turns() -> None:
    labels, halves = torch.tensor([1.0, -1] * 20), torch.arange(40) // 20
    torch.manual_seed(0)
    vectors = 0.1 * torch.randn(40, 4)
    alike, turned = vectors.clone(), vectors.clone()
    alike[:, 0] += labels
    turned[:, 0] += labels * torch.where(halves == 1, 1, -1)
    small, chance, large = (float(contrast.held_out_loss(v, labels, halves)) for v in (alike, vectors, turned))
    assert small < 0.1 < math.log(2) < chance < large and large > 2


def test_a_negative_weight_is_refused() -> None:
    for weight in (-1.0, math.inf, math.nan):
        with pytest.raises(InputError, match=r"model.separability_weight is .*; use 0"):
            ModelConfig(separability_weight=weight)
