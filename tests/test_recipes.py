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
