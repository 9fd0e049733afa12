"""Weights on disk: whole or refused, and refused with the reason."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forgery_rcnn.config import InferenceConfig, ModelConfig, RunConfig, to_dict
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights, whole, zoo

SOME = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(0)}


def saved(path: Path, config: ModelConfig) -> Path:
    torch.manual_seed(0)
    model = zoo.build(weights.settled(config))
    weights.write(path, model.state_dict(), {"config": to_dict(RunConfig(model=model.config))})
    return path


def test_write_then_read(tmp_path: Path) -> None:
    weights.write(tmp_path / "deep/w.safetensors", SOME, {"note": 3})
    tensors, meta = weights.read(tmp_path / "deep/w.safetensors")
    assert meta["note"] == 3
    assert all(torch.equal(tensors[name], tensor) for name, tensor in SOME.items())
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["w.json", "w.safetensors"], (
        "no temporary file stays"
    )


@pytest.mark.parametrize("part", ["w.safetensors", "w.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "missing"])
def test_damage_is_noticed(tmp_path: Path, part: str, damage: str) -> None:
    weights.write(tmp_path / "w.safetensors", SOME, {"note": "x" * 50})
    file = tmp_path / part
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        flipped = data[:-4] + bytes([data[-4] ^ 1]) + data[-3:]
        file.write_bytes({"cut": data[: len(data) // 2], "flip": flipped, "empty": b""}[damage])
    with pytest.raises(InputError, match=r"truncated or changed|damaged|no such file"):
        weights.read(tmp_path / "w.safetensors")


@pytest.mark.parametrize("failing", ["save_file", "fsync", "replace"])
def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "w.safetensors"
    weights.write(path, SOME, {"note": "old"})

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((weights, "save_file", full) if failing == "save_file" else (os, failing, full)))
    with pytest.raises(InputError, match=r"w.safetensors: cannot be saved \(the disk is full\); free some space"):
        weights.write(path, {"a": torch.ones(3)}, {"note": "new"})
    monkeypatch.undo()
    assert weights.read(path)[1]["note"] == "old"
    assert len(list(tmp_path.iterdir())) == 2, "no temporary file stays"


def test_resolve_names_files_runs_and_the_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "weights")
    with pytest.raises(InputError, match="no weights yet: train some"):
        weights.resolve(None)
    for at, name in enumerate(("runs/old/model", "runs/new/model", "runs/new/checkpoints/best-1-one", "weights/good")):
        weights.write(Path(f"{name}.safetensors"), SOME, {})
        os.utime(f"{name}.safetensors", (at, at))
    assert weights.resolve(None) == Path("runs/new/model.safetensors")
    assert weights.resolve("runs/old") == weights.resolve("old").absolute().relative_to(tmp_path)
    assert weights.resolve("runs/new/checkpoints").name == "best-1-one.safetensors"
    assert weights.resolve("good") == tmp_path / "weights/good.safetensors"
    weights.write(tmp_path / "weights/pretrained_final.safetensors", SOME, {})
    assert weights.resolve(None).name == "pretrained_final.safetensors"
    with pytest.raises(InputError, match="--weights nothing: no such file"):
        weights.resolve("nothing")


def test_weights_of_another_architecture(tmp_path: Path, tiny_model: ModelConfig) -> None:
    path = saved(tmp_path / "w.safetensors", tiny_model)
    meta = json.loads(path.with_suffix(".json").read_text())
    meta["config"]["model"]["backbone"] = "mobilenet_v3_large"
    path.with_suffix(".json").write_text(json.dumps(meta))
    with pytest.raises(InputError, match=r"another architecture than mask_rcnn/mobilenet_v3_large .* missing") as error:
        weights.load(str(path), ModelConfig())
    assert "\n" not in str(error.value)


def test_old_pth_files(tmp_path: Path, tiny_model: ModelConfig) -> None:
    model = zoo.build(weights.settled(tiny_model))
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "good.pth")
    loaded = weights.load(str(tmp_path / "good.pth"), weights.settled(tiny_model)).model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())
    torch.save({"model": model}, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "good.pth").read_bytes()[:5000])
    (tmp_path / "text.pth").write_text("not weights")
    (tmp_path / "list.txt").write_text("abc,def")
    (tmp_path / "page.pth").write_text("<!DOCTYPE html>\n<html><body>Not found</body></html>")
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({0: torch.ones(2)}, tmp_path / "numbered.pth")
    for name, message in (
        ("whole.pth", "holds more than tensors and is refused"),
        ("cut.pth", "not a readable weights file"),
        ("text.pth", "not a readable weights file"),
        ("list.txt", "not a readable weights file"),
        ("page.pth", "not a readable weights file"),
        ("empty.pth", "not a readable weights file"),
        ("list.pth", "no state_dict"),
        ("numbered.pth", "no state_dict"),
    ):
        with pytest.raises(InputError, match=f"^[^\n]*{name}: [^\n]*{message}[^\n]*$"):
            weights.load(str(tmp_path / name), tiny_model)


def test_training_starts_from_a_file_and_norm_follows_it(tmp_path: Path, tiny_model: ModelConfig) -> None:
    path = saved(tmp_path / "w.safetensors", tiny_model)
    config = weights.settled(replace(tiny_model, weights=str(path)))
    assert config.norm == "group"
    torch.manual_seed(5)
    model = zoo.build(config)
    weights.start(model)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in weights.read(path)[0].items())


def test_weights_know_the_runs_they_went_on_from(tmp_path: Path, tiny_model: ModelConfig) -> None:
    def run(name: str, source: str) -> tuple[str, list[str]]:
        config = replace(tiny_model, weights=source)
        known = weights.before(config)
        meta = {"config": {"model": to_dict(config)}, "commit": name, "data": "d", "sha256": "", "before": known}
        path = tmp_path / f"{name}.safetensors"
        weights.write(path, zoo.build(weights.settled(replace(config, weights="none"))).state_dict(), meta)
        return str(path), [one["commit"] for one in known]

    first, known = run("first", "none")
    assert known == []
    second, known = run("second", first)
    assert known == ["first"]
    assert run("third", second)[1] == ["first", "second"]
    torch.save(weights.read(Path(first))[0], tmp_path / "bare.pth")
    assert run("fourth", str(tmp_path / "bare.pth"))[1] == []


def test_a_run_goes_on_with_the_thresholds_fitted_for_its_start(tmp_path: Path, tiny_model: ModelConfig) -> None:
    state, stored = zoo.build(tiny_model).state_dict(), to_dict(InferenceConfig(0.3, image_threshold=0.7))
    for name, fitted in (("fitted", {"images": []}), ("plain", {})):
        meta = {"config": {"model": to_dict(tiny_model)}, "thresholds": stored, "fitted": fitted}
        weights.write(tmp_path / f"{name}.safetensors", state, meta)
    found = weights.fitted(replace(tiny_model, weights=str(tmp_path / "fitted.safetensors")))
    assert found == InferenceConfig(0.3, image_threshold=0.7)
    assert weights.fitted(replace(tiny_model, weights=str(tmp_path / "plain.safetensors"))) is None
    assert weights.fitted(tiny_model) is None


def test_coco_weights_need_their_backbone() -> None:
    with pytest.raises(InputError, match=r"model.weights coco exists for mask_rcnn on resnet50"):
        ModelConfig(weights="coco")
    with pytest.raises(InputError, match="norm group cannot take over the batch norms"):
        ModelConfig(backbone="resnet50", weights="coco", norm="group")
    assert weights.settled(ModelConfig(backbone="resnet50", weights="coco")).norm == "frozen_batch"


def test_a_file_with_91_classes_gives_all_but_the_predictors(tmp_path: Path, tiny_model: ModelConfig) -> None:
    config = replace(tiny_model, norm="frozen_batch")
    state = {name: torch.rand_like(tensor) for name, tensor in zoo.build(config).state_dict().items()}
    for name in [n for n in state if n.startswith(weights.PREDICTORS)]:
        shape = state[name].shape
        state[name] = torch.rand(4 * 91 if "bbox" in name else 91, *shape[1:])
    torch.save(state, tmp_path / "coco.pth")
    config = weights.settled(replace(tiny_model, weights=str(tmp_path / "coco.pth")))
    assert config.norm == "frozen_batch"
    model = zoo.build(config)
    weights.start(model)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]) != name.startswith(weights.PREDICTORS), name


def test_published_weights_keep_what_was_fitted_since(tmp_path: Path) -> None:
    best, result = tmp_path / "best.safetensors", tmp_path / "model.safetensors"
    weights.write(best, {"a": torch.ones(3)}, {"thresholds": {"min_area": 16}})
    weights.publish(best, result)
    told = weights.read(result)[1]
    whole.write_json(result.with_suffix(".json"), told | {"thresholds": {"min_area": 99}})
    weights.publish(best, result)
    assert weights.read(result)[1]["thresholds"] == {"min_area": 99}
    weights.write(best, {"a": torch.zeros(3)}, {"thresholds": {"min_area": 16}})
    weights.publish(best, result)
    assert weights.read(result)[1]["thresholds"] == {"min_area": 16} and not weights.read(result)[0]["a"].any()
    result.write_bytes(b"torn")
    weights.publish(best, result)
    assert not weights.read(result)[0]["a"].any()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, tiny_model: ModelConfig, value: float) -> None:
    """They would call every image authentic."""
    model = zoo.build(weights.settled(tiny_model))
    state = model.state_dict() | {"roi_heads.box_predictor.bbox_pred.bias": torch.full((8,), value)}
    weights.write(tmp_path / "w.safetensors", state, {"config": to_dict(RunConfig(model=model.config))})
    with pytest.raises(
        InputError, match=r"w.safetensors: roi_heads.box_predictor.bbox_pred.bias holds NaN or infinity"
    ):
        weights.load(str(tmp_path / "w.safetensors"), tiny_model)


def test_files_are_as_open_as_the_umask_leaves_them(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        weights.write(tmp_path / "w.safetensors", SOME, {})
    finally:
        os.umask(before)
    assert {path.suffix: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        ".safetensors": 0o640,
        ".json": 0o640,
    }


def test_what_killed_writers_left_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    names = (f".last-0000003.safetensors.{ended.pid}.tmp", f".last-0000004.json.{os.getpid()}.tmp", "mine.tmp")
    for name in names:
        (tmp_path / name).touch()
    whole.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])
