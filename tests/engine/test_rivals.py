"""Two systems with equal budget: trained apart, measured apart, in one table."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from forgery_rcnn.bootstrap import Interval
from forgery_rcnn.commands import compare
from forgery_rcnn.config import DenseConfig
from forgery_rcnn.engine import rivals
from forgery_rcnn.errors import InputError
from forgery_rcnn.recipes import RECIPES


@pytest.mark.parametrize(("images", "epochs"), [(100, 2), (1, 1), (160, 3)])
def test_the_budget_is_in_images_shown(images: int, epochs: int) -> None:
    run = compare.Budget(images, batch_size=1).of(RECIPES["scse_unet"], 50)
    (stage,) = run.stages
    assert (stage.epochs, stage.batch_size, run.model.weights, run.model.image_size) == (epochs, 1, "none", 256)
    assert stage.augment == RECIPES["scse_unet"].stages[-1].augment and not run.fold_runs
    assert compare.Budget(start="recipe").of(RECIPES["scse_unet"], 50).model.weights == "imagenet"


def test_a_budget_below_one_batch_and_an_unknown_system_are_refused(refused) -> None:
    with refused("budget: 3 images in batches of 4"):
        compare.Budget(3, 4)
    with refused("compare.md: cannot be written"):
        compare.main(["--out", str(Path(__file__)), "--data.root", "nowhere"])
    with refused("--systems has unett; use any of", "attention_unet"):
        compare.Job(systems=("unett",))
    with refused("--systems has overfit_one, which ends on a few images"):
        compare.Job(systems=("overfit_one",))


def test_all_start_alike() -> None:
    """From random weights everything moves, and no system has the advantage of averaged weights."""
    for name in ("combined_a", "seed_three_stages", "full"):
        run = compare.Budget().of(RECIPES[name], 50)
        assert (run.stages[0].trainable, run.stages[0].frozen, run.ema_decay) == (("all",), (), 0.0)
    own = compare.Budget(start="recipe").of(RECIPES["combined_a"], 50).stages[0].trainable
    assert own == RECIPES["combined_a"].stages[-1].trainable
    native = compare.Budget(fit="native").of(RECIPES["attention_unet"], 50)
    assert (native.model.fit, native.inference.tiling.mode) == ("native", "auto")
    assert compare.Budget(fit="native").of(RECIPES["full"], 50).model.fit == "long_side"


def test_the_best_is_first_in_the_table() -> None:
    sure = Interval(0.5, 0.4, 0.6, 9)
    low = rivals.Result("low", 2_000_000, replace(sure, value=0.1), *[sure] * 5, 1, 900, 2, 800)
    high = replace(low, name="high", of1=sure)
    _, rule, first, second = rivals.lines([low, high])
    assert first.startswith("| high | 0.5000 [0.4000, 0.6000] |") and second.startswith("| low | 0.1000")
    assert first.endswith("| 2.0 M | 1.0/s | 2.0/s | 900, 800 MiB |")
    lost = replace(low, train_rate=math.nan, train_memory=math.nan)
    assert rivals.lines([lost])[-1].endswith("| 2.0 M | n/a | 2.0/s | n/a, 800 MiB |")
    assert len({line.count("|") for line in (rule, first, second)}) == 1


def test_systems_are_trained_once_and_measured(
    shared_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused
) -> None:
    recipe = RECIPES["attention_unet"]
    small = replace(recipe, model=replace(recipe.model, dense=DenseConfig(widths=(4, 8))), tensorboard=False)
    monkeypatch.setitem(RECIPES, "small", small)
    flags = ["--systems", "small", "--data.root", str(shared_root), "--data.folds", "2", "--out", str(tmp_path)]
    flags += ["--budget.images", "4", "--budget.image-size", "64"]
    assert compare.main(flags) == 0
    page = (tmp_path / "compare.md").read_text()
    assert "| small |" in page and "calling every image authentic scores oF1 0.5000" in page
    trained = (tmp_path / "small/model.safetensors").stat().st_mtime_ns
    assert json.loads((tmp_path / "small/training.json").read_text())["memory"] > 100
    stored = json.loads((tmp_path / "small/model.json").read_text())
    fitted = stored["thresholds"] | {"image_threshold": 1.0, "score_threshold": 1.0}
    (tmp_path / "small/model.json").write_text(json.dumps(stored | {"thresholds": fitted, "fitted": {"images": []}}))
    assert compare.main(flags) == 0
    scores = [told.split("| small |")[1].split("|")[:6] for told in (page, (tmp_path / "compare.md").read_text())]
    assert scores[0] == scores[1], "by the recipe's thresholds, whatever was fitted since"
    assert (tmp_path / "small/model.safetensors").stat().st_mtime_ns == trained
    (tmp_path / "small/training.json").unlink()  # as if it had been stopped right after training
    assert compare.main(flags) == 0
    assert "| n/a, " in (tmp_path / "compare.md").read_text()
    with refused("small/model.json: was made with other settings", "stages.0.epochs"):
        compare.main([*flags, "--budget.images", "400"])


def _fails() -> dict[str, float]:
    raise InputError("no such thing; fix it")


def _dies() -> dict[str, float]:
    raise SystemExit(3)


@pytest.mark.parametrize(("work", "said"), [(_fails, "no such thing; fix it"), (_dies, "ended with status 3")])
def test_a_process_that_fails_gives_one_line(work, said: str, refused) -> None:
    with refused(said):
        rivals._apart(work)


def _waits(started: Path) -> dict[str, float]:
    started.write_text(str(os.getpid()))
    time.sleep(120)
    return {}


def test_a_process_ends_with_the_one_that_asked(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    asking = get_context("spawn").Process(target=rivals._apart, args=(_waits, started))
    asking.start()
    while not started.exists() or not started.read_text():
        assert asking.is_alive()
        time.sleep(0.1)
    asking.kill()
    asking.join()
    process = int(started.read_text())
    for _ in range(600):
        if not _runs(process):
            return
        time.sleep(0.1)
    os.kill(process, signal.SIGKILL)
    pytest.fail("it went on without the one that asked")


def _runs(process: int) -> bool:
    """A zombie, which nobody has reaped, has ended too."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
