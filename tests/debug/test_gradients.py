"""Planted faults are named: a dead layer, a batch norm that moves under frozen weights, a rate far too high or low."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from debug import gradients as probe
from debug.case import Case
from debug.gradients import GradientsJob
from debug.measures import learning, parts, units
from debug.measures.learning import Learning
from debug.probe import plain, save
from forgery_rcnn.config import ModelConfig, RunConfig, Stage
from forgery_rcnn.engine import freezing
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import zoo


def looked(case: Case, steps: int = 2, **stage: Any) -> Learning:
    """The probe on the case, its last stage changed so."""
    stages = (replace(case.config.stages[-1], **stage),)
    case = replace(case, config=replace(case.config, stages=stages), job=GradientsJob(steps=steps))
    return probe.measure(case, [probe.look(specimen) for specimen in case.specimens()])


def said(found: Learning) -> str:
    """The verdict; printing, drawing and writing the report fail on nothing."""
    assert set(probe.figures(found)) >= {"gradients", "losses"}
    json.dumps(plain(found), allow_nan=False)
    return probe.lines(found)[-1].removeprefix("verdict: ")


def copy_of(model: nn.Module, config: ModelConfig) -> nn.Module:
    """The same under another configuration."""
    copied = deepcopy(model)
    copied.config = config
    return copied


def changed(case: Case, change: Callable[[nn.Module], None]) -> Case:
    model = deepcopy(case.model)
    with torch.no_grad():
        change(model)
    return replace(case, model=model)


def test_learning_reaches_a_healthy_one_and_leaves_it_as_it_is(healthy: Case) -> None:
    before = {name: tensor.clone() for name, tensor in healthy.model.state_dict().items()}
    state = torch.get_rng_state()
    found = looked(healthy, steps=4)
    assert said(found).startswith("learning reaches every part that stage few trains")
    assert not parts.changed(before, healthy.model.state_dict(), before) and not healthy.model.training
    assert torch.equal(torch.get_rng_state(), state)
    of = {part.name: part for part in found.parts}
    assert sum(part.numbers for part in found.parts) == sum(p.numel() for p in healthy.model.parameters())
    mask = of["roi_heads.mask_head"].drives
    assert mask["loss_mask"] > 0 and all(norm == 0 for loss, norm in mask.items() if loss != "loss_mask")
    assert of["roi_heads.box_predictor.bbox_pred"].drives["loss_classifier"] == 0
    assert all(norm > 0 for norm in of["backbone.fpn"].drives.values())
    assert of["backbone.fpn"].units is None and of["rpn"].units == (0, 64)
    assert not any(part.silent for part in found.parts)


def test_gradients_are_those_of_the_weights_as_they_are(healthy: Case) -> None:
    """Steps of 1e3 between the batches would change every gradient; AdamW's moments are filled all the same."""
    slow, fast = looked(healthy, steps=4, lr=1e-6), looked(healthy, steps=4, lr=1e3)
    assert [step.gradients for step in slow.steps] == [step.gradients for step in fast.steps]
    assert [step.drives for step in slow.steps] == [step.drives for step in fast.steps]
    assert slow.losses[0] == fast.losses[0] and fast.losses[1] != pytest.approx(slow.losses[1], rel=0.5)
    assert slow.losses[1] == pytest.approx(slow.losses[0], rel=0.02), (
        "a step at so low a rate, the same batch and draws"
    )
    step = slow.steps[0]
    whole = step.gradients["roi_heads.mask_head"]
    assert step.drives["loss_mask"]["roi_heads.mask_head"] == pytest.approx(whole, rel=1e-3), "one loss drives it"


def test_a_step_of_adamw_is_of_the_moments_of_all_batches(healthy: Case) -> None:
    """Moments of one gradient move every number by lr; of several that differ, by less."""
    one, four = (looked(healthy, steps=steps, lr=1e-4, weight_decay=0.0) for steps in (1, 4))
    for name in ("rpn", "backbone.fpn", "roi_heads.mask_head"):
        first, then = ({part.name: part.update for part in found.parts}[name] for found in (one, four))
        tensors = [p.detach() for n, p in healthy.model.named_parameters() if n.startswith(f"{name}.")]
        every = 1e-4 * math.sqrt(sum(t.numel() for t in tensors)) / parts.norm(tensors)
        assert 0.8 * every < first < 1.01 * every and then < 0.95 * first


def test_the_rate_is_the_runs_own(healthy: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(healthy, lr=1e-3).rate.startswith("the stage's peak; the run's schedule has ended")
    halfway = [{"stage": "few", "lr": 1e-4}, {"stage": "few", "lr": 5e-4}]
    monkeypatch.setattr(Case, "log", halfway)
    found = looked(healthy, steps=1, lr=1e-3)
    assert (found.stage.lr, found.rate) == (5e-4, "the run's last")
    assert learning.rate(Stage(lr=1e-3), None)[0] == learning.rate(Stage(lr=1e-3), 2e-3)[0] == 1e-3


def test_a_step_of_sgd_is_the_rate_times_the_clipped_gradient(healthy: Case) -> None:
    found = looked(healthy, steps=1, optimiser="sgd", weight_decay=0.0, lr=1e-3, clip_norm=1e9)
    sizes = {name: p.detach() for name, p in healthy.model.named_parameters()}
    of, step = {part.name: part for part in found.parts}, found.steps[0]
    for part, names in parts.grouped(parts.parts_of(sizes)).items():
        moved = of[part].update * parts.norm(sizes[n] for n in names)
        assert moved == pytest.approx(1e-3 * step.gradients[part], rel=1e-2)
    assert found.clipped == 0
    assert step.gradient == pytest.approx(math.hypot(*step.gradients.values()), rel=1e-4)
    assert looked(healthy, steps=1, clip_norm=1e-6).clipped == 1


def test_targets_that_are_all_too_small_are_said(healthy: Case) -> None:
    data = replace(healthy.config.data, min_box=1000)
    found = looked(replace(healthy, config=replace(healthy.config, data=data)))
    assert said(found).startswith("nothing to learn from: no true region is left in the 2 forged images of the batches")
    native = replace(healthy.config, data=data, model=replace(healthy.config.model, fit="native"))
    model = copy_of(healthy.model, native.model)
    found = looked(replace(healthy, config=native, model=model))
    assert "or lies outside the squares of 128 px that are cut: a smaller min_box" in said(found)
    assert "below data.min_box 1000 px" in said(found)
    assert looked(healthy).lost == ""


def test_half_a_layer_asleep_is_noted_and_nine_tenths_are_a_fault(healthy: Case) -> None:
    for count, start in ((70, "learning reaches every part"), (120, "12")):
        found = looked(changed(healthy, lambda model, n=count: model.roi_heads.box_head.fc7.bias[:n].fill_(-1000)))
        gone, units_ = found.layers["roi_heads.box_head.fc7"]
        assert gone >= count and units_ == 128 and said(found).startswith(start)
        assert f"{gone} of 128 units" in said(found)


def test_a_dead_layer_is_named(healthy: Case) -> None:
    found = looked(changed(healthy, lambda model: model.roi_heads.mask_head[1][0].bias.fill_(-100)))
    assert said(found).startswith("32 of 32 units are dead in roi_heads.mask_head.1.0")
    (mask,) = [part for part in found.parts if part.name == "roi_heads.mask_head"]
    assert "roi_heads.mask_head.0.0.weight" in mask.silent and "roi_heads.mask_head.3.0.bias" not in mask.silent
    found = looked(changed(healthy, lambda model: model.roi_heads.mask_predictor.conv5_mask.bias.fill_(-100)))
    assert said(found).startswith(
        "roi_heads.mask_head: no gradient; 32 of 32 units are dead in roi_heads.mask_predictor"
    )


def test_a_functional_relu_is_seen(healthy: Case) -> None:
    found = looked(changed(healthy, lambda model: model.roi_heads.box_head.fc7.bias.fill_(-1000)))
    assert found.layers["roi_heads.box_head.fc7"] == (128, 128)
    assert "128 of 128 units are dead in roi_heads.box_head.fc7" in said(found)


def test_a_part_that_the_stage_freezes_is_still_and_said(healthy: Case) -> None:
    found = looked(healthy, trainable=("roi_heads",), frozen=("roi_heads.mask_head",))
    assert found.frozen > 60 and found.drifted == []
    assert "frozen, and still: backbone.body.conv1" in said(found) and "roi_heads.mask_head" in said(found)
    assert found.steps[0].losses["loss_objectness"] > 0
    of = {part.name: part for part in found.parts}
    assert not of["rpn"].trains and math.isnan(of["rpn"].update) and of["roi_heads.box_head"].gradient > 0


def test_parts_in_turn_get_half_of_the_steps_each(healthy: Case) -> None:
    found = looked(healthy, steps=4, trainable=("rpn", "roi_heads"), alternate_with=("backbone",), alternate_every=1)
    assert ["rpn" in step.gradients for step in found.steps] == [True, True, False, False]
    assert ["backbone.fpn" in step.gradients for step in found.steps] == [False, False, True, True]
    assert not any(part.silent for part in found.parts) and all(part.trains for part in found.parts)


def test_batch_norm_in_train_mode_under_frozen_weights(healthy: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = zoo.build(replace(healthy.model.config, norm="batch")).eval()
    case = replace(healthy, model=model, items=healthy.items[:2])
    assert looked(case, trainable=("rpn", "roi_heads")).drifted == []
    monkeypatch.setattr(freezing, "set_modes", lambda model: model.train())
    found = looked(case, trainable=("rpn", "roi_heads"))
    assert {name.rsplit(".")[-1] for name in found.drifted} == {"running_mean", "running_var", "num_batches_tracked"}
    assert said(found).startswith("drift in a frozen part: 60 of ")


def test_a_rate_far_off(healthy: Case) -> None:
    found = looked(healthy, lr=1e3)
    assert said(found).startswith("updates too large") and "in place of 1000 would bring it to 0.001" in said(found)
    slow = looked(healthy, lr=1e-9)
    assert said(slow).startswith("updates too small") and "in place of 1e-09" in said(slow)


def test_a_loss_that_is_not_finite(healthy: Case) -> None:
    found = looked(changed(healthy, lambda model: model.roi_heads.mask_predictor.mask_fcn_logits.bias.fill_(math.nan)))
    assert said(found).startswith("not finite: batch 1: loss_mask nan") and len(found.steps) == 1


def test_authentic_images_alone(healthy: Case) -> None:
    authentic = [record for record in healthy.split.full if record.label == "authentic"][:2]
    found = looked(replace(healthy, items=authentic))
    assert found.forged == 0 and "roi_heads.mask_head" in said(found) and "look at forged ones" in said(found)


def test_one_image_and_bare_weights(healthy: Case) -> None:
    case = replace(healthy, items=healthy.items[:1], run=None, config=RunConfig(model=healthy.model.config))
    case = replace(case, config=replace(case.config, data=healthy.config.data))
    assert said(looked(case)).startswith("learning reaches every part that stage full trains")


def test_a_backbone_without_relu(healthy: Case) -> None:
    torch.manual_seed(0)
    config = replace(healthy.model.config, backbone="timm:convnext_atto")
    model = zoo.build(config).eval()
    found = looked(replace(healthy, model=model, items=healthy.items[:1]))
    of = {part.name: part for part in found.parts}
    assert of["backbone.body.stages_0"].units is None and of["roi_heads.box_head"].units is not None
    assert any("no ReLU here" in line for line in probe.lines(found))


def test_a_stage_by_name(healthy: Case) -> None:
    with pytest.raises(InputError, match="use one of few"):
        probe.measure(replace(healthy, job=GradientsJob(stage="one")), [])
    with pytest.raises(InputError, match="at least 1"):
        GradientsJob(steps=0)


def test_units_by_hand() -> None:
    alive = units.together([{"a": np.array([True, False, False])}, {"a": np.array([False, False, True])}, {}])
    assert units.dead(alive) == {"a": (1, 3)}
    counts = {"rpn.head.conv": (1, 3), "rpn.head.other": (2, 5), "elsewhere": (0, 2)}
    assert units.per_part(counts, ["rpn", "backbone.fpn"]) == {"rpn": (3, 8), "elsewhere": (0, 2)}


def test_a_residual_blocks_one_relu_counts_as_two_layers(healthy: Case, specimens: list[Any]) -> None:
    alive = units.of_specimen(specimens[0])
    assert {"backbone.body.layer1.0.bn1", "backbone.body.layer1.0.bn2"} <= alive.keys()
    assert sum(name.startswith("rpn.") for name in alive) == 1, "five levels share it"


def test_parts_of_a_backbone_with_many_blocks_are_one() -> None:
    names = [f"backbone.body.{i}.weight" for i in range(9)]
    assert set(parts.parts_of(names).values()) == {"backbone.body"}
    model = zoo.build(ModelConfig(fpn_width=32, box_hidden=32, mask_hidden=16, stems=("rgb", "srm")))
    found = set(parts.parts_of(name for name, _ in model.named_parameters()).values())
    assert len(found) == 13 and found >= set(parts.HEADS)
    for part in found:
        freezing.apply(model, (part,))  # each is a name that a stage may use


def test_norms_by_hand() -> None:
    w = {"a": torch.tensor([3.0, 4.0]), "b": torch.zeros(2)}
    assert parts.norm(w.values()) == 5 and math.isnan(parts.relative_change(w, w, ["b"]))
    assert parts.relative_change(w, w | {"b": torch.ones(2)}, ["a", "b"]) == pytest.approx(math.sqrt(2) / 5)
    assert parts.changed(w, w | {"b": torch.full((2,), 1e-30)}, w) == ["b"]


def test_a_part_whose_updates_are_zero_has_no_rate_that_helps(healthy: Case) -> None:
    found = looked(changed(healthy, lambda model: model.roi_heads.box_predictor.bbox_pred.weight.fill_(0)))
    assert learning.verdict(found)  # |weights| is 0 but for the bias
    part = replace(found.parts[0], update=0.0)
    assert "no lr can bring it" in learning.verdict(replace(found, parts=[part], layers={}, stage=Stage(lr=1e-3)))


def test_pictures_are_written(healthy: Case, tmp_path: Any) -> None:
    for name, figure in probe.figures(looked(healthy)).items():
        assert save(figure, tmp_path / name).stat().st_size > 5000
