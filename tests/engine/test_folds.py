"""Training several folds in one call: splits of their own, going on where it was interrupted, and the ensemble's file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgery_rcnn.config import Arm, DataConfig, DenseConfig, ModelConfig, RunConfig, Stage
from forgery_rcnn.data import collection, masks
from forgery_rcnn.engine import experiment
from forgery_rcnn.engine.loop import Trainer
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.engine.stopping import Interrupted
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference import ensemble
from forgery_rcnn.models import weights
from forgery_rcnn.recipes import RECIPES
from tests.conftest import make_root

MODEL = ModelConfig(arch="attention_unet", image_size=64, fit="native", dense=DenseConfig(widths=(2, 4)))
STAGE = Stage("full", epochs=1, batch_size=2, lr=0.02, warmup_steps=0, augment=("stretch", "noise"))


def config(root: Path, *folds: int, **settings: object) -> RunConfig:
    return RunConfig(
        DataConfig(root, folds=3, single="none"),
        MODEL,
        (STAGE,),
        fold_runs=folds,
        watch=0,
        tensorboard=False,
        **settings,
    )


def train(run: RunConfig, out: Path, resume: bool = False) -> tuple[int, str]:
    printed = io.StringIO()
    screen = Screen(printed)
    data = collection.open_checked(run.data, screen.bar, run.model)
    return experiment.train("folds", run, data, out, screen, resume), printed.getvalue()


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module", autouse=True)
def few_pictures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "PICTURES", 1)  # they take longer than these runs
        yield


@pytest.fixture(scope="module")
def whole(shared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Three folds trained at one go."""
    out = tmp_path_factory.mktemp("folds")
    status, printed = train(config(shared_root, 0, 1, 2), out)
    assert status == 0
    return out, printed


def test_every_fold_is_a_run_on_its_own_split(whole: tuple[Path, str], shared_root: Path) -> None:
    out, printed = whole
    parts = [json.loads((out / f"fold-{fold}/split.json").read_text()) for fold in range(3)]
    held = [part["validation"] for part in parts]
    everything = {record.key for record in collection.open_checked(config(shared_root).data, Screen(None).bar).records}
    assert sorted(key for part in held for key in part) == sorted(everything)  # each image validates once
    assert all(set(part["full"]) == everything - set(part["validation"]) for part in parts)
    for fold in range(3):
        folder = out / f"fold-{fold}"
        assert {"log.jsonl", "model.safetensors", "model.json", "config.json", "figures"} <= {
            path.name for path in folder.iterdir()
        }
        meta = weights.read(folder / "model.safetensors")[1]
        assert meta["config"]["data"]["fold"] == fold and meta["config"]["fold_runs"] == []
        assert f"fold {fold}, number {fold + 1} of 3: " in printed


def test_the_ensemble_is_their_mean(whole: tuple[Path, str]) -> None:
    out, printed = whole
    written = json.loads((out / "ensemble.json").read_text())
    assert [(member["path"], member["weight"]) for member in written["members"]] == [
        (f"fold-{fold}/model.safetensors", 1.0) for fold in range(3)
    ]
    assert written["rule"] == "mean" and "the mean of 3 folds: " in printed
    together = ensemble.load([str(out)], ModelConfig())
    image = np.random.default_rng(0).integers(0, 256, (70, 50, 3), np.uint8)
    singles = [ensemble.load([str(out / f"fold-{fold}")], ModelConfig()).predict(image).heatmap for fold in range(3)]
    np.testing.assert_allclose(together.predict(image).heatmap, np.mean(singles, axis=0), atol=1e-6)
    assert np.abs(singles[0] - singles[1]).max() > 1e-3


def test_a_resumed_call_goes_on_with_the_fold_that_was_interrupted(
    whole: tuple[Path, str], shared_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, out = config(shared_root, 0, 1, 2), tmp_path / "out"
    step, steps = Trainer._step, []

    def stops(self: Trainer, *arguments: object) -> float:
        steps.append(self.out.name)
        if steps.count("fold-1") == 2:
            self.stop.ask(15)
        return step(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", stops)
    status, printed = train(run, out)
    assert status == 143 and "go on with --resume" in printed
    assert not (out / "ensemble.json").exists() and not (out / "fold-2").exists()
    before = (out / "fold-0/model.safetensors").read_bytes()
    steps.clear()
    monkeypatch.setattr(Trainer, "_step", lambda self, *a: (steps.append(self.out.name), step(self, *a))[1])
    status, printed = train(run, out, resume=True)
    assert status == 0 and "fold-0" not in steps
    assert 0 < steps.count("fold-1") < steps.count("fold-2")
    assert (out / "fold-0/model.safetensors").read_bytes() == before
    for fold in range(3):  # the same as at one go
        assert losses(out / f"fold-{fold}") == losses(whole[0] / f"fold-{fold}")
    assert (out / "ensemble.json").read_text() == (whole[0] / "ensemble.json").read_text()


def test_files_are_read_once_for_all_folds(shared_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, screen = config(shared_root, 2, 0), Screen(None)
    data = collection.open_checked(run.data, screen.bar, run.model)
    seen = []

    def no_training(self: Trainer, *arguments: object) -> Path:
        seen.append((self.out.name, [record.key for record in self.split.validation]))
        raise Interrupted(self.out, 2)

    monkeypatch.setattr(Trainer, "run", no_training)
    monkeypatch.setattr(collection.records, "check", None)
    assert experiment.train("folds", run, data, tmp_path, screen, False) == 130
    assert [name for name, _ in seen] == ["fold-2"]
    assert seen[0][1] != [record.key for record in data.split.validation]  # which is fold 0


def test_an_image_of_too_many_regions_is_left_out_by_name_and_moves_no_other(
    tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no bad file: whoever reads the root without a model has the same split."""
    specks = np.zeros((1, 96, 96), np.uint8)
    specks[0, ::6, ::6] = specks[0, 1::6, ::6] = specks[0, ::6, 1::6] = specks[0, 1::6, 1::6] = 1
    np.save(tiny_root / "train_masks/1.npy", specks)
    monkeypatch.setattr(masks, "MOST", 200 * 96 * 96)
    one = replace(STAGE, name="few", subset="few", epochs=1)
    data = DataConfig(tiny_root, folds=2, few=5, single="2", instances="components", skip_bad=True)
    run = replace(config(tiny_root), data=data, stages=(one,))
    known, plain = (collection.open_checked(data, Screen(None).bar, model) for model in (run.model, None))
    assert known.fingerprint == plain.fingerprint and known.split.keys() == plain.split.keys() and not known.problems
    status, printed = train(run, tmp_path / "out")
    assert status == 0 and printed.count("not trained on: ") == 1
    assert "1.npy: has 256 regions apart" in printed and "--data.instances channels" in printed


def test_a_fold_that_cannot_be_is_told_before_any_is_trained(
    shared_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused
) -> None:
    run, whole = config(shared_root, 0, 2), experiment.splits.split

    def fails(records: Any, facts: Any, data: DataConfig) -> Any:
        if data.fold == 2:
            raise InputError("no image validates")
        return whole(records, facts, data)

    data = collection.open_checked(run.data, Screen(None).bar)
    monkeypatch.setattr(experiment.splits, "split", fails)
    with refused("no image validates"):
        experiment.train("folds", run, data, tmp_path, Screen(None), False)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_with_a_split_of_its_own_has_no_folds(tiny_root: Path, tmp_path: Path, refused) -> None:
    rows = [f"{case},{'validation' if case > 4 else 'train'}" for case in range(1, 7)]
    (tiny_root / "splits.csv").write_text("\n".join(["case_id,part", *rows]) + "\n")
    with refused("splits.csv: says who validates", "(0, 1)", "--fold-runs"):
        train(config(tiny_root, 0, 1), tmp_path)
    status, _ = train(config(tiny_root), tmp_path / "once")
    assert status == 0 and (tmp_path / "once/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("folds", "settings", "said"),
    [
        ((0, 3), {}, "fold_runs is (0, 3); with data.folds 3 use some of 0..2"),
        ((-1,), {}, "use some of 0..2"),
        ((1, 1), {}, "fold_runs is (1, 1); name each fold once"),
        ((1,), {"arms": (Arm("a"),)}, "fold_runs and arms cannot both be trained"),
    ],
)
def test_folds_that_cannot_be(folds: tuple[int, ...], settings: dict[str, object], said: str, refused) -> None:
    stages = (STAGE, replace(STAGE, name="two"))
    with refused(said):
        replace(config(Path("root")), stages=stages, fold_runs=folds, **settings)


def test_folds_and_a_split_file_exclude_each_other(refused) -> None:
    run = config(Path("root"), 0)
    with refused("fold_runs is (0,), but data.split_file names the one split there is"):
        replace(run, data=replace(run.data, split_file=Path("a.csv")))


def test_the_recipe_trains_four_folds_and_its_small_one_two() -> None:
    whole, small = RECIPES["scse_unet"], RECIPES["scse_unet_smoke"]
    assert (whole.data.folds, whole.fold_runs, small.fold_runs) == (4, (0, 1, 2, 3), (0, 1))


def test_figures_of_images_with_long_names_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "PICTURES", 2)
    root = make_root(tmp_path / "root", cases=4)
    name = "n" * 240
    for path in (*root.glob("*/*/1.png"), root / "train_masks/1.npy"):
        path.rename(path.with_name(name + path.suffix))
    few = replace(STAGE, name="few", subset="few", epochs=1)
    run = replace(config(root), data=DataConfig(root, folds=2, single=name, few=1), stages=(few,))
    status, printed = train(run, tmp_path / "out")
    assert status == 0 and "TensorBoard" not in printed
    assert [path.name for path in (tmp_path / "out/figures/1-few").glob("*.png")] == [f"forged-01_{'n' * 60}.png"]


def test_an_image_too_small_to_overfit_is_told_with_the_fix(tiny_root: Path, tmp_path: Path, refused) -> None:
    spot = np.zeros((1, 96, 96), np.uint8)
    spot[0, 4, 4] = 1
    np.save(tiny_root / "train_masks/1.npy", spot)
    one = replace(STAGE, name="one", subset="single")
    run = replace(config(tiny_root), data=DataConfig(tiny_root, folds=2, single="1"), stages=(one,))
    with refused("stage 'one': subset 'single' holds no image", "--data.single CASE"):
        train(replace(run, model=replace(MODEL, fit="long_side")), tmp_path / "out")
