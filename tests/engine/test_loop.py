"""The loop's guards and habits, on a tiny run in this process."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from forgery_rcnn.config import DataConfig, InferenceConfig, ModelConfig, RunConfig, Stage
from forgery_rcnn.data import records, splits
from forgery_rcnn.engine.distributed import World, device_of
from forgery_rcnn.engine.loop import Trainer
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.engine.state import RunState
from forgery_rcnn.engine.stopping import Interrupted, StopSignal
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference import ensemble
from forgery_rcnn.models import weights
from forgery_rcnn.models.mask_rcnn import MaskRCNN

STAGE = Stage("one", "single", epochs=2, batch_size=1, evaluate_every=1, warmup_steps=0)


def trainer(root: Path, out: Path, model: ModelConfig, *stages: Stage, **settings: object) -> Trainer:
    config = RunConfig(DataConfig(root, single="1"), weights.settled(model), stages, tensorboard=False, **settings)
    found = records.scan(root)
    split = splits.split(found, records.check(found, workers=0), config.data)
    return Trainer(config, split, records.fingerprint(found), out)


def train(one: Trainer, resume: bool = False, stop: StopSignal | None = None) -> tuple[Path, str]:
    printed = io.StringIO()
    world = World(0, 1, torch.device("cpu"))
    return one.run(
        world, Screen(printed), StopSignal() if stop is None else stop, resume, lambda *_: None
    ), printed.getvalue()


def epochs(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_loss_that_is_not_finite_stops_with_losses_and_case_ids(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = MaskRCNN.losses
    monkeypatch.setattr(
        MaskRCNN, "losses", lambda *a: whole(*a) | {"loss_mask": torch.tensor(float("nan"), requires_grad=True)}
    )
    with pytest.raises(InputError, match=r"step 1: .*loss_mask nan.* on images train/forged/1; lower the stage's lr"):
        train(trainer(shared_root, tmp_path, tiny_model, STAGE))


def test_a_stage_may_be_scored_on_some_of_its_images(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig
) -> None:
    stage = Stage("few", "few", epochs=1, batch_size=4, repeats=3, evaluate_images=2, warmup_steps=0)
    result, _ = train(trainer(shared_root, tmp_path, tiny_model, stage))
    meta = weights.read(result)[1]
    few = len(json.loads((tmp_path / "split.json").read_text())["few"])
    assert few > 2 and meta["scores"]["images"] == 2
    assert meta["step"] == -(-3 * few // 4)


def test_a_misspelt_part_in_a_late_stage_fails_before_the_first(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig
) -> None:
    late = Stage("late", "single", trainable=("roi_head",))
    with pytest.raises(InputError, match="part 'roi_head'"):
        train(trainer(shared_root, tmp_path, tiny_model, STAGE, late))
    assert not (tmp_path / "log.jsonl").exists()


def test_alternating_stages_move_one_side_at_a_time(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    stage = replace(STAGE, trainable=("rpn", "roi_heads"), alternate_with=("backbone",), alternate_every=1)
    snapshots: list[dict[str, torch.Tensor]] = []

    class Watched(Trainer):
        def _epoch(self, *arguments: object) -> None:
            snapshots.append({n: t.clone() for n, t in self.state.model.state_dict().items()})
            super()._epoch(*arguments)

    one = trainer(shared_root, tmp_path, tiny_model, stage)
    one.__class__ = Watched
    train(one)
    first, second = snapshots
    moved = {name.split(".")[0] for name in first if not torch.equal(first[name], second[name])}
    assert moved == {"rpn", "roi_heads"}
    moved = {n.split(".")[0] for n, t in one.state.model.state_dict().items() if not torch.equal(second[n], t)}
    # the stage ends with its best weights, which are those of the first epoch or of the second
    assert moved in ({"backbone"}, set())


def test_patience_stops_a_stage_early(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    stage = replace(STAGE, epochs=9, lr=1e-12, patience=2)
    _, printed = train(trainer(shared_root, tmp_path, tiny_model, stage))
    assert "stage one stops early" in printed
    losses = [line["loss"] for line in epochs(tmp_path)]  # the scores tie, so the lowest loss so far counts as best
    assert len(losses) < 9
    assert min(losses) == losses[-3]


def test_each_stage_starts_from_the_best_of_the_one_before(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig
) -> None:
    one = trainer(shared_root, tmp_path, tiny_model, STAGE, replace(STAGE, name="two", epochs=1, lr=1e-12))
    train(one)
    best = weights.read(tmp_path / "checkpoints/best-1-one.safetensors")[0]
    result = weights.read(tmp_path / "model.safetensors")[0]
    assert all(torch.allclose(best[name], result[name], atol=1e-6) for name in best)


def test_a_signal_saves_and_a_finished_run_stays_finished(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig
) -> None:
    stop = StopSignal()
    stop.ask(15)
    with pytest.raises(Interrupted) as raised:
        train(trainer(shared_root, tmp_path, tiny_model, STAGE), stop=stop)
    assert raised.value.status == 143
    with pytest.raises(KeyboardInterrupt):
        stop.ask(15)
    result, printed = train(trainer(shared_root, tmp_path, tiny_model, STAGE), resume=True)
    assert "resuming" in printed
    before = result.read_bytes(), epochs(tmp_path)
    train(trainer(shared_root, tmp_path, tiny_model, STAGE), resume=True)
    assert (result.read_bytes(), epochs(tmp_path)) == before


def test_resuming_with_other_data_is_refused(tiny_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    train(trainer(tiny_root, tmp_path / "out", tiny_model, STAGE))
    (tiny_root / "train_images/authentic/2.png").unlink()
    with pytest.raises(InputError, match="was trained on other data"):
        train(trainer(tiny_root, tmp_path / "out", tiny_model, STAGE), resume=True)


def test_resuming_on_another_split_is_refused(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    train(trainer(shared_root, tmp_path, tiny_model, STAGE))
    other = trainer(shared_root, tmp_path, tiny_model, STAGE)
    other.split = replace(other.split, full=other.split.full[1:])
    before = (tmp_path / "split.json").read_bytes()
    with pytest.raises(InputError, match=r"split.json: the run trained on another split .*\(full differ\); bring back"):
        train(other, resume=True)
    assert (tmp_path / "split.json").read_bytes() == before


class Leaves(Trainer):
    """Is asked to stop in the last step of the first epoch."""

    def _step(self, *arguments: Any) -> float:
        loss = super()._step(*arguments)
        if self.state.position.batch == arguments[-1]:
            self.stop.ask(15)
        return loss


def test_an_epoch_resumed_after_its_last_step_logs_what_that_step_had(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig
) -> None:
    stage = Stage("few", "few", epochs=2, batch_size=2, warmup_steps=0)
    train(trainer(shared_root, tmp_path / "whole", tiny_model, stage))
    one = trainer(shared_root, tmp_path / "run", tiny_model, stage)
    one.__class__ = Leaves
    with pytest.raises(Interrupted):
        train(one)
    _, printed = train(trainer(shared_root, tmp_path / "run", tiny_model, stage), resume=True)
    (whole, *_), (first, *_) = epochs(tmp_path / "whole"), epochs(tmp_path / "run")
    assert first.pop("images_per_s") is None and whole.pop("images_per_s") > 0
    assert first == whole and "  epoch   1/2  loss " in printed


def test_a_run_without_an_evaluation_predicts_by_its_own_settings(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig
) -> None:
    one = trainer(shared_root, tmp_path, tiny_model, STAGE, inference=InferenceConfig(0.3, min_area=7))
    one.__class__ = Leaves
    with pytest.raises(Interrupted):
        train(one)
    assert weights.resolve(str(tmp_path)).name.startswith("last-")
    assert ensemble.load([str(tmp_path)], tiny_model).config == InferenceConfig(0.3, min_area=7)


def test_every_rank_goes_on_with_its_own_sums(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the log holds the mean over all ranks."""
    one = trainer(shared_root, tmp_path, tiny_model, STAGE)
    one.__class__ = Leaves
    monkeypatch.setattr(World, "gathered", lambda _, rows: [*rows, {"loss_mask": 9.0}])
    with pytest.raises(Interrupted):
        train(one)
    monkeypatch.undo()
    again = trainer(shared_root, tmp_path, tiny_model, STAGE)
    again.screen, again.about["world"] = Screen(None), 1
    for rank, mask in ((0, one.state.position.sums["loss_mask"]), (1, 9.0)):
        again.world, again.state = World(rank, 1, torch.device("cpu")), RunState(again.config, torch.device("cpu"))
        again._resume()
        assert again.state.position.sums["loss_mask"] == mask


def test_painted_boxes_reach_training_and_scoring(shared_root: Path, tmp_path: Path, tiny_model: ModelConfig) -> None:
    from forgery_rcnn.data.augment import PAINT
    from forgery_rcnn.data.dataset import ForgeryDataset
    from forgery_rcnn.engine import evaluate

    data = DataConfig(shared_root, single="1", cue="painted_boxes")
    record = next(r for r in records.scan(shared_root) if r.label == "forged")
    trained_on, _ = ForgeryDataset([record], data, ModelConfig(image_size=96)).fitted(0)
    assert (trained_on == PAINT).all(axis=2).any()
    seen = []

    class Spy:
        gives, sees = "instances", "parts"

        def predict(self, images: list, threshold: float) -> list:
            seen.extend(images)
            raise InputError("seen")

    with pytest.raises(InputError, match="seen"):
        evaluate.predict_record(Spy(), record, data, InferenceConfig())
    assert (seen[0] == PAINT).all(axis=2).any()


@pytest.mark.parametrize("name", ["cuda:7", "tpu", "meta"])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(InputError, match=f"device '{name}'"):
        device_of(name)


def test_a_validation_loss_that_is_not_finite_stops_with_case_ids(
    shared_root: Path, tmp_path: Path, tiny_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgery_rcnn.engine import validation

    monkeypatch.setattr(validation, "losses", lambda *_: [float("inf")])
    with pytest.raises(InputError, match=r"validation loss inf.* on images train/forged/1; lower the stage's lr"):
        train(trainer(shared_root, tmp_path, tiny_model, replace(STAGE, best_by="loss")))
