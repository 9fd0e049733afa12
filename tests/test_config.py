"""Settings: each wrong one is refused where it is made, and a run survives the way through JSON."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from forgery_rcnn.config import (
    Arm,
    DataConfig,
    InferenceConfig,
    ModelConfig,
    RunConfig,
    Stage,
    from_dict,
    to_dict,
)
from forgery_rcnn.recipes import RECIPES

SECTIONS = (DataConfig, ModelConfig, Stage, InferenceConfig, RunConfig)
SET = RunConfig(
    data=DataConfig(root=Path("some/where"), folds=7, fold=6, single="47", instances="components", cue="painted_boxes"),
    model=ModelConfig(anchor_sizes=(8, 16, 32, 64, 128), aspect_ratios=(1.0,), norm="batch"),
    stages=(Stage("one", "single", ("rpn",), frozen=("rpn.head",)), Stage("two", augment=("colour",), patience=3)),
    inference=InferenceConfig(score_threshold=0.0, mask_threshold=1.0),
    arms=(Arm("a", ("roi_heads",), "painted_boxes"),),
    ema_decay=0.99,
)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (DataConfig, {"folds": 2, "fold": 1, "few": 1, "min_box": 1, "workers": 0}),
        (ModelConfig, {"image_size": 64, "detections": 1, "rpn_batch": 1, "roi_batch": 1, "mask_pool": 1}),
        (ModelConfig, {"detections": 100, "backbone": "resnet50", "weights": "coco", "norm": "frozen_batch"}),
        (Stage, {"epochs": 1, "batch_size": 1, "evaluate_every": 1, "alternate_with": ("rpn",), "alternate_every": 1}),
        (InferenceConfig, {"score_threshold": 0.0, "mask_threshold": 1.0}),
        (RunConfig, {"ema_decay": 0.0, "stages": (Stage("a"), Stage("b")), "arms": (Arm("x"),)}),
    ],
)
def test_the_limits_themselves_are_allowed(kind: Any, values: dict[str, Any]) -> None:
    config = kind(**values)
    assert {name: getattr(config, name) for name in values} == values


def plain(value: Any) -> Any:
    """A setting as it stands in JSON."""
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    return to_dict(value) if dataclasses.is_dataclass(value) else value


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (DataConfig, {"folds": 1}, "data.folds is 1"),
        (DataConfig, {"fold": 5}, "data.fold is 5; with 5 folds use 0..4"),
        (DataConfig, {"fold": -1}, "data.fold is -1"),
        (DataConfig, {"few": 0}, "data.few is 0"),
        (DataConfig, {"min_box": 0}, "data.min_box is 0"),
        (DataConfig, {"workers": -1}, "data.workers is -1"),
        (ModelConfig, {"image_size": 63}, "model.image_size is 63"),
        (ModelConfig, {"anchor_sizes": (8, 16, 32, 64)}, "model.anchor_sizes has 4 entries (8, 16, 32, 64)"),
        (
            ModelConfig,
            {"weights": "coco"},
            "model.weights coco exists for mask_rcnn on resnet50, not mask_rcnn on resnet18",
        ),
        (ModelConfig, {"weights": "imagenet", "norm": "group"}, "model.norm group"),
        (ModelConfig, {"detections": 0}, "model.detections is 0"),
        (ModelConfig, {"detections": 101}, "model.detections is 101"),
        *(
            (ModelConfig, {name: 0}, f"model.{name} is 0")
            for name in ("rpn_batch", "rpn_proposals", "roi_batch", "box_hidden", "mask_hidden", "mask_pool")
        ),
        (Stage, {"trainable": ()}, "Stage 'full': trainable is empty"),
        (Stage, {"name": "few", "epochs": 0}, "Stage 'few': epochs is 0"),
        (Stage, {"batch_size": 0}, "batch_size is 0"),
        (Stage, {"lr": 0.0}, "lr is 0.0"),
        (Stage, {"lr": float("nan")}, "lr is nan"),
        (Stage, {"lr": float("inf")}, "lr is inf"),
        (Stage, {"weight_decay": -1e-4}, "weight_decay is -0.0001"),
        (Stage, {"weight_decay": float("nan")}, "weight_decay is nan"),
        (Stage, {"step_gamma": 0.0}, "step_gamma is 0.0"),
        (Stage, {"patience": -1}, "patience is -1"),
        *((Stage, {"name": name}, "files are called by its name") for name in ("a/../../x", ".hidden", "", "a b")),
        (Stage, {"evaluate_every": 0}, "evaluate_every is 0"),
        (Stage, {"alternate_with": ("rpn",)}, "set both or neither"),
        (Stage, {"alternate_every": 2}, "set both or neither"),
        (InferenceConfig, {"score_threshold": 1.01}, "inference.score_threshold is 1.01"),
        (InferenceConfig, {"mask_threshold": -0.1}, "inference.mask_threshold is -0.1"),
        (InferenceConfig, {"score_threshold": float("nan")}, "inference.score_threshold is nan"),
        (RunConfig, {"stages": ()}, "stages is empty"),
        (RunConfig, {"seed": -1}, "seed is -1"),
        *((RunConfig, {"save_every": value}, f"save_every is {value}") for value in (-1.0, float("inf"), float("nan"))),
        (DataConfig, {"split_seed": -1}, "data.split_seed is -1"),
        (ModelConfig, {"box_nms": 1.5}, "model.box_nms is 1.5"),
        (ModelConfig, {"box_score_min": float("nan")}, "model.box_score_min is nan"),
        (RunConfig, {"stages": (Stage("a"), Stage("b"), Stage("a"))}, "two stages share a name in ['a', 'b', 'a']"),
        (RunConfig, {"ema_decay": 1.0}, "ema_decay is 1.0"),
        (RunConfig, {"arms": (Arm("a"),)}, "arms need two stages"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(kind: Any, values: dict[str, Any], said: str, refused) -> None:
    with refused(said):
        kind(**values)
    with refused(said):
        from_dict(kind, {name: plain(value) for name, value in values.items()})


@pytest.mark.parametrize("name", [None, *RECIPES])
def test_a_run_survives_json(name: str | None) -> None:
    config = SET if name is None else RECIPES[name]
    back = from_dict(RunConfig, json.loads(json.dumps(to_dict(config), allow_nan=False)))
    assert back == config
    assert hash(back) == hash(config)  # tuples stayed tuples, all the way down
    assert back.data.root is None or isinstance(back.data.root, Path)


def test_settings_left_out_take_their_defaults() -> None:
    assert from_dict(RunConfig, {"stages": [{"name": "x"}], "data": {"folds": 3}}) == RunConfig(
        stages=(Stage("x"),), data=DataConfig(folds=3)
    )


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (Stage, {"learning_rate": 1}, "Stage has no setting learning_rate; it has name, subset"),
        (RunConfig, {"data": {"folder": "x"}}, "DataConfig has no setting folder"),
        (RunConfig, {"stages": [{"epoch": 1}]}, "Stage has no setting epoch"),
    ],
)
def test_a_setting_that_does_not_exist(kind: Any, values: dict[str, Any], said: str, refused) -> None:
    with refused(said):
        from_dict(kind, values)


@pytest.mark.parametrize("kind", SECTIONS, ids=lambda kind: kind.__name__)
def test_sections_cannot_be_changed_after_their_check(kind: Any) -> None:
    config = kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, None)
