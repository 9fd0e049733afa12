"""What is looked at after each epoch: in the log, in boxes.jsonl, the same after a resumption."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forgery_rcnn.config import DataConfig, ModelConfig, RunConfig, Stage
from forgery_rcnn.data import records, splits
from forgery_rcnn.data.splits import Split
from forgery_rcnn.engine import runlog
from forgery_rcnn.engine.watch import Watch, chosen
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.models.anatomy import dissect
from tests.conftest import make_root
from tests.engine.test_loop import STAGE, epochs, train, trainer

FEW = replace(STAGE, subset="few", epochs=2)


@pytest.fixture(scope="module")
def ten_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten forged images with their twins: enough for separability."""
    return make_root(tmp_path_factory.mktemp("ten") / "root", cases=10)


def opened(root: Path, model: ModelConfig, count: int, stage: Stage = FEW) -> tuple[Watch, Split, torch.nn.Module]:
    torch.manual_seed(0)
    found = records.scan(root)
    config = RunConfig(DataConfig(root, single="1"), model, (stage,), watch=count)
    split = splits.split(found, records.check(found, workers=0), config.data)
    return Watch(split.named(stage.subset), split, stage, config), split, zoo.build(weights.settled(model)).eval()


def test_every_epoch_has_its_boxes_and_the_last_its_separability(
    ten_cases: Path, tmp_path: Path, tiny_model: ModelConfig
) -> None:
    single = replace(STAGE, name="alone")
    train(trainer(ten_cases, tmp_path, tiny_model, single, FEW))
    told = [line.get("separability") for line in epochs(tmp_path)]
    assert [value is None for value in told] == [True, False, True, False]
    assert all(0 <= value <= 1 for value in told[1::2])
    lines = runlog.read_log(tmp_path / "boxes.jsonl")
    assert [(line["stage"], line["epoch"]) for line in lines] == [("alone", 1), ("alone", 2), ("one", 1), ("one", 2)]
    assert all(line["truth"] == lines[0]["truth"] and line["case"] == "train/forged/1" for line in lines)


def test_it_is_measured_when_as_many_images_have_been_trained_on(ten_cases: Path, tiny_model: ModelConfig) -> None:
    def due(stage: Stage) -> list[int]:
        watch = opened(ten_cases, tiny_model, 32, stage)[0]
        return [epoch + 1 for epoch in range(stage.epochs) if watch.due(epoch)]

    assert due(replace(STAGE, epochs=25)) == [10, 20, 25]
    assert due(replace(FEW, epochs=4)) == [2, 4]
    assert due(replace(FEW, subset="full", epochs=3)) == [1, 2, 3]


def test_the_same_images_in_all_stages_the_overfitted_ones_last(ten_cases: Path, tiny_model: ModelConfig) -> None:
    split = opened(ten_cases, tiny_model, 32)[1]
    held = {record.key for record in split.validation if record.label == "forged"}
    known = {record.key for record in split.few}
    every = [{record.key for record in chosen(split, count)} for count in (1, len(held), 10 - len(known), 32)]
    assert len(every[0]) == 1 and every[0] < held and every[1] == held
    assert not every[2] & known and len(every[2]) == 10 - len(known) and len(every[3]) == 10
    assert chosen(split, 0) == [] and len({tuple(sorted(keys)) for keys in every}) == 4


def test_nothing_is_looked_at_when_off(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    train(trainer(shared_root, tmp_path, tiny_model, FEW, watch=0))
    assert "separability" not in epochs(tmp_path)[0] and not (tmp_path / "boxes.jsonl").exists()


def test_looking_changes_nothing_of_the_training(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    for name, count in (("with", 32), ("without", 0)):
        train(trainer(shared_root, tmp_path / name, tiny_model, FEW, watch=count))
    one, other = (epochs(tmp_path / name) for name in ("with", "without"))
    assert [line["loss"] for line in one] == [line["loss"] for line in other]


def iou(one: list[float], other: list[float]) -> float:
    a, b = np.array(one), np.array(other)
    common = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return common / (sum(np.prod(box[2:] - box[:2]) for box in (a, b)) - common)


def test_the_boxes_are_the_models(shared_root: Path, tiny_model: ModelConfig) -> None:
    watch, _, model = opened(shared_root, tiny_model, 5)
    found = watch.boxes(model)
    assert found == watch.boxes(model) and json.dumps(found)
    assert len(found["truth"]) == len(found["found"]) == 1
    near, best, true = found["found"][0], found["best"][0], found["truth"][0]
    for each in (near, best):
        for name in ("proposal", "refined"):
            assert each[f"{name}_iou"] == pytest.approx(iou(each[name], true), abs=0.01)
    regions = dissect(model, watch._shown.fitted(0)[0]).proposals
    assert near["proposal_iou"] == pytest.approx(max(iou(box, true) for box in regions.boxes.tolist()), abs=1e-3)
    assert best["refined_iou"] == pytest.approx(max(iou(box, true) for box in regions.refined.tolist()), abs=1e-3)
    scores = [top["score"] for top in found["top"]]
    assert scores == sorted(scores, reverse=True) and len(scores) <= 5


def test_no_forged_image_no_boxes(shared_root: Path, tiny_model: ModelConfig) -> None:
    authentic = [r for r in records.scan(shared_root) if r.label == "authentic"]
    config = RunConfig(DataConfig(shared_root), tiny_model, (FEW,))
    watch = Watch(authentic, Split([], [], authentic, []), FEW, config)
    model = opened(shared_root, tiny_model, 1)[2]
    assert watch.boxes(model) == {} and watch.separability(model, 1) == {}
