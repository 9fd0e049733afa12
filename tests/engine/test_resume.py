"""A run that is killed, stopped or loses a file goes on as if nothing had happened."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Start = Callable[..., "subprocess.Popen[str]"]
Finish = Callable[..., str]
RECIPE = [
    "overfit_few",
    "--data.few=4",
    "--stages.0.augment",
    "flip",
    "rot90",
    "colour",
    "--ema-decay=0.9",
    "--save-every=0",
]
RECIPE += ["--stages.0.epochs=4", "--stages.0.batch-size=2", "--stages.0.evaluate-every=2", "--stages.0.warmup-steps=1"]


@pytest.fixture(scope="module")
def begin(run: Start, tiny_flags: list[str], shared_root: Path) -> Start:
    return lambda out, *flags: run("edarnn.py", *RECIPE, *tiny_flags, "--data.root", shared_root, "--out", out, *flags)


@pytest.fixture(scope="module")
def undisturbed(begin: Start, finish: Finish, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(begin(out))
    return out


def numbers(out: Path) -> list[dict[str, float]]:
    """log.jsonl without what depends on the clock."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_s"} for line in lines]


def stop_at(process: subprocess.Popen[str], out: Path, step: int, number: int) -> None:
    """Send the signal once the checkpoint of `step` is on disk."""
    for _ in range(2000):
        if (out / f"checkpoints/last-{step:07d}.json").exists():
            return process.send_signal(number)
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    raise AssertionError(f"step {step} was never saved")


def assert_same(one: Path, other: Path) -> None:
    assert numbers(one) == numbers(other)
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_killed_mid_epoch_goes_on_exactly(begin: Start, finish: Finish, undisturbed: Path, tmp_path: Path) -> None:
    process = begin(tmp_path / "run")
    stop_at(process, tmp_path / "run", step=3, number=signal.SIGKILL)
    finish(process, -signal.SIGKILL)
    assert not (tmp_path / "run/model.safetensors").exists()
    assert "resuming from" in finish(begin(tmp_path / "run", "--resume"))
    assert_same(tmp_path / "run", undisturbed)


def test_sigterm_saves_and_a_damaged_checkpoint_is_passed_over(
    begin: Start, finish: Finish, undisturbed: Path, tmp_path: Path
) -> None:
    process = begin(tmp_path / "run")
    stop_at(process, tmp_path / "run", step=4, number=signal.SIGTERM)
    assert "go on with --resume" in finish(process, 128 + signal.SIGTERM)
    newest = sorted((tmp_path / "run/checkpoints").glob("last-*.safetensors"))[-1]
    newest.write_bytes(newest.read_bytes()[:-1000])
    printed = finish(begin(tmp_path / "run", "--resume"))
    assert f"{newest.name}: truncated or changed" in printed
    assert "falling back" in printed
    assert_same(tmp_path / "run", undisturbed)


def test_a_folder_with_a_run_is_not_overwritten(begin: Start, finish: Finish, undisturbed: Path) -> None:
    before = numbers(undisturbed), (undisturbed / "config.json").read_text()
    assert "already holds a run; add --resume" in finish(begin(undisturbed), 2)
    assert "made with other settings (stages.0.lr)" in finish(begin(undisturbed, "--resume", "--stages.0.lr=1"), 2)
    assert (numbers(undisturbed), (undisturbed / "config.json").read_text()) == before


def test_a_model_that_gives_a_map_goes_on_exactly(
    run: Start, finish: Finish, shared_root: Path, tmp_path: Path
) -> None:
    """Squares cut at random, every augmentation, batch norm's statistics, a validation loss."""
    flags = [
        "attention_unet_smoke",
        "--data.root",
        shared_root,
        "--data.folds=2",
        "--data.single=1",
        "--no-tensorboard",
    ]
    flags += ["--model.fit=native", "--model.image-size=64", "--model.dense.widths", "4", "8", "--ema-decay=0.9"]
    flags += ["--save-every=0", "--stages.0.epochs=2", "--stages.0.batch-size=2", "--stages.0.augment"]
    flags += ["flip", "rot90", "colour", "elastic", "stretch", "salt_pepper", "noise"]
    finish(run("edarnn.py", *flags, "--out", tmp_path / "whole"))
    process = run("edarnn.py", *flags, "--out", tmp_path / "run")
    stop_at(process, tmp_path / "run", step=3, number=signal.SIGKILL)
    finish(process, -signal.SIGKILL)
    assert "resuming from" in finish(run("edarnn.py", *flags, "--out", tmp_path / "run", "--resume"))
    assert_same(tmp_path / "run", tmp_path / "whole")
    assert "validation_loss" in numbers(tmp_path / "run")[-1]


def test_a_detector_on_squares_with_mined_alarms_goes_on_exactly(
    run: Start, finish: Finish, tiny_flags: list[str], shared_root: Path, tmp_path: Path
) -> None:
    """Killed in the epoch after the first look for false alarms: what comes up more often is in the checkpoint."""
    flags = ["full", *tiny_flags, "--data.root", shared_root, "--data.folds=2", "--data.crops-on-forged=0.5"]
    flags += ["--model.fit=native", "--model.image-size=64", "--inference.score-threshold=0", "--model.box-score-min=0"]
    flags += ["--inference.min-area=0", "--probe-stages=2"]
    flags += ["--stages.0.mine-every=1", "--stages.0.mine-images=2", "--stages.0.augment", "flip", "scale"]
    flags += ["--save-every=0", "--stages.0.epochs=3", "--stages.0.batch-size=2", "--stages.0.evaluate-every=3"]
    printed = finish(run("edarnn.py", *flags, "--out", tmp_path / "whole"))
    assert "false alarms on 2 of 2 authentic training images" in printed
    assert "verdict on stage full: " in printed
    process = run("edarnn.py", *flags, "--out", tmp_path / "run")
    stop_at(process, tmp_path / "run", step=6, number=signal.SIGKILL)
    finish(process, -signal.SIGKILL)
    position = json.loads((tmp_path / "run/checkpoints/last-0000006.json").read_text())["position"]
    assert (position["epoch"], position["batch"]) == (1, 2) and position["alarms"]
    finish(run("edarnn.py", *flags, "--out", tmp_path / "run", "--resume"))
    assert_same(tmp_path / "run", tmp_path / "whole")
