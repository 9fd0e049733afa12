"""Every recipe names parts that its model has, and survives the way through JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from forgery_rcnn.config import RunConfig, from_dict, to_dict
from forgery_rcnn.engine import freezing
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.recipes import DEFAULT, RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_its_model(name: str) -> None:
    recipe = RECIPES[name]
    with torch.device("meta"):
        model = zoo.build(replace(weights.settled(recipe.model), weights="none"))
    for stage in recipe.stages:
        assert freezing.apply(model, (*stage.trainable, *stage.alternate_with), stage.frozen)
    for arm in recipe.arms:
        assert freezing.apply(model, recipe.stages[0].trainable, (*recipe.stages[0].frozen, *arm.frozen))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name: str) -> None:
    assert from_dict(RunConfig, json.loads(json.dumps(to_dict(RECIPES[name])))) == RECIPES[name]


def test_the_default_is_a_recipe_with_three_stages() -> None:
    assert [stage.subset for stage in RECIPES[DEFAULT].stages] == ["single", "few", "full"]


def test_published_settings_of_the_siblings() -> None:
    """Figures from the systems' READMEs (docs/systems.md)."""
    unet, scse, task_a = RECIPES["attention_unet"], RECIPES["scse_unet"], RECIPES["combined_a"]
    (stage,) = unet.stages
    assert (stage.epochs, stage.batch_size, stage.lr, stage.optimiser, stage.best_by) == (50, 16, 1e-3, "adam", "loss")
    assert (stage.schedule, unet.model.image_size, unet.data.folds) == ("cosine", 256, 10)
    assert unet.model.dense.widths == (64, 128, 256, 512, 1024) and unet.model.dense.mask_losses == ("bce", "dice")
    assert (unet.inference.views, unet.inference.mask_threshold) == (("five",), 0.5)
    assert (scse.model.backbone, scse.model.image_size, scse.data.folds) == ("se_resnext50_32x4d", 512, 4)
    assert scse.fold_runs == (0, 1, 2, 3) and scse.inference.tiling.sides == (384, 512, 768, 1024)
    assert (scse.stages[0].lr, scse.model.dense.mask_losses) == (1e-4, ("bce",))
    assert [(s.name, s.lr) for s in task_a.stages] == [("classifier", 1e-3), ("finetuned", 1e-4)]


@pytest.mark.parametrize("name", [name for name in RECIPES if name.endswith("_smoke")])
def test_a_smoke_recipe_is_its_system_made_small(name: str) -> None:
    small, whole = RECIPES[name], RECIPES[name.removesuffix("_smoke")]
    assert small.model.weights == "none" and small.model.arch == whole.model.arch
    assert [stage.trainable for stage in small.stages] == [stage.trainable for stage in whole.stages]
    assert [stage.augment for stage in small.stages] == [stage.augment for stage in whole.stages]
    assert small.inference.views[0] == "identity" and len(small.inference.views) <= 2
