"""What is looked at after each epoch: in the log, in boxes.jsonl, the same after a resumption."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forgery_rcnn.config import DataConfig, ModelConfig, RunConfig, Stage
from forgery_rcnn.data import records
from forgery_rcnn.engine import runlog
from forgery_rcnn.engine.watch import Watch
from forgery_rcnn.models import weights, zoo
from tests.engine.test_loop import STAGE, epochs, train, trainer

FEW = replace(STAGE, subset="few", epochs=2)


def watched(root: Path, model: ModelConfig, count: int, **data: object) -> tuple[Watch, torch.nn.Module]:
    torch.manual_seed(0)
    items = [r for r in records.scan(root) if r.label == "forged"]
    config = RunConfig(DataConfig(root, **data), model, (Stage(),), watch=count)
    return Watch(items, config), zoo.build(weights.settled(model)).eval()


def test_every_epoch_has_its_separability_and_its_boxes(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig
) -> None:
    train(trainer(shared_root, tmp_path, tiny_model, FEW))
    assert all(0 <= line["separability"] <= 1 for line in epochs(tmp_path))
    lines = runlog.read_log(tmp_path / "boxes.jsonl")
    assert [(line["stage"], line["epoch"], line["step"]) for line in lines] == [("one", 1, 4), ("one", 2, 8)]
    assert lines[0]["truth"] == lines[1]["truth"] and lines[0]["case"] == lines[1]["case"]


def test_one_image_has_boxes_and_no_separability(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    train(trainer(shared_root, tmp_path, tiny_model, STAGE))
    assert not any("separability" in line for line in epochs(tmp_path))
    assert runlog.read_log(tmp_path / "boxes.jsonl")[0]["case"] == "train/forged/1"


def test_nothing_is_looked_at_when_off(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    train(trainer(shared_root, tmp_path, tiny_model, FEW, watch=0))
    assert "separability" not in epochs(tmp_path)[0] and (tmp_path / "boxes.jsonl").read_text() == ""


def test_looking_changes_nothing_of_the_training(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    for name, count in (("with", 32), ("without", 0)):
        train(trainer(shared_root, tmp_path / name, tiny_model, FEW, watch=count))
    one, other = (epochs(tmp_path / name) for name in ("with", "without"))
    assert [line["loss"] for line in one] == [line["loss"] for line in other]


def test_the_boxes_are_the_models(shared_root: Path, tiny_model: ModelConfig) -> None:
    watch, model = watched(shared_root, tiny_model, 5)
    found = watch.boxes(model)
    assert found == watch.boxes(model) and json.dumps(found)
    assert len(found["truth"]) == len(found["found"]) == 1
    near = found["found"][0]
    one, other = np.array(near["refined"]), np.array(found["truth"][0])
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = np.prod(np.maximum(high - low, 0))
    areas = [np.prod(box[2:] - box[:2]) for box in (one, other)]
    assert near["refined_iou"] == pytest.approx(common / (sum(areas) - common), abs=0.01)
    scores = [top["score"] for top in found["top"]]
    assert scores == sorted(scores, reverse=True) and len(scores) <= 5


def test_no_forged_image_no_boxes(shared_root: Path, tiny_model: ModelConfig) -> None:
    authentic = [r for r in records.scan(shared_root) if r.label == "authentic"]
    watch = Watch(authentic, RunConfig(DataConfig(shared_root), tiny_model, (Stage(),)))
    model = watched(shared_root, tiny_model, 1)[1]
    assert watch.boxes(model) == {} and watch.separability(model) == {}
