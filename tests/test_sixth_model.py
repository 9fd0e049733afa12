"""A sixth model: one file, one line in the zoo. Training, resuming, prediction, scoring, fitting, pictures all work."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import edarnn
import encode_submission
import scoring
from forgery_rcnn.config import InferenceConfig, ModelConfig, RunConfig, Stage
from forgery_rcnn.models import zoo
from forgery_rcnn.recipes import RECIPES
from tests.conftest import make_root

TOY = '''
"""How unlike its surroundings each pixel is, through one convolution."""

from torch import Tensor, nn

from forgery_rcnn.config import ModelConfig
from forgery_rcnn.models.dense import DenseSegmenter


class Toy(DenseSegmenter):
    stride = 4

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.look = nn.Conv2d(3, 1, 5, padding=2)

    def forward(self, batch: Tensor) -> tuple[Tensor, None]:
        return self.look(batch), None
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model in a file of its own, its line in the zoo, and a recipe."""
    path = tmp_path / "toy.py"
    path.write_text(TOY)
    spec = importlib.util.spec_from_file_location("toy", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(zoo.CONSTRUCTORS, "toy", module.Toy)
    recipe = RunConfig(
        model=ModelConfig(arch="toy", image_size=64),
        stages=(Stage("full", epochs=2, batch_size=2, lr=1e-2, best_by="loss", augment=("flip", "noise")),),
        inference=InferenceConfig(views=("five",)),
        tensorboard=False,
    )
    monkeypatch.setitem(RECIPES, "toy", recipe)


def test_all_commands_work_with_it(
    toy: None, shared_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    where = ["--data.root", str(shared_root), "--data.folds", "2", "--data.single", "1"]
    assert edarnn.main(["toy", *where, "--out", str(run)]) == 0
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {"loss_bce", "loss_dice", "validation_loss", "image_auc"} <= log[-1].keys() and len(log) == 2
    before = (run / "model.safetensors").read_bytes()
    assert edarnn.main(["toy", *where, "--out", str(run), "--resume"]) == 0
    assert (run / "model.safetensors").read_bytes() == before
    images = shared_root / "train_images/forged"
    flags = ["--images", str(images), "--masks", str(shared_root / "train_masks"), "--weights", str(run)]
    assert encode_submission.main([*flags, "--out", str(out), "--inference.tiling.mode", "auto"]) == 0
    assert len((out / "submission.csv").read_text().splitlines()) == 1 + len(list(images.iterdir()))
    assert scoring.main(["--weights", str(run), "--data.root", str(shared_root), "--split", "validation"]) == 0
    assert edarnn.main(["fit", "--weights", str(run), "--metric", "dice", "--data.root", str(shared_root)]) == 0
    assert "fitted" in json.loads((run / "model.json").read_text())
    assert edarnn.main(["pictures", "--weights", str(run), "--images", "2"]) == 0
    drawn = {path.relative_to(run / "pictures").parts[0] for path in (run / "pictures").rglob("*.png")}
    assert drawn == {"curves.png", "predictions", "views", "views.png", "refinement", "refinement.png"}
    assert "Traceback" not in capsys.readouterr().err


def test_pictures_are_of_what_the_last_stage_was_scored_on(
    toy: None, shared_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of other data, of the validation split."""
    run, other = tmp_path / "run", make_root(tmp_path / "other", cases=6, seed=5)
    where = ["--data.root", str(shared_root), "--data.folds", "2", "--data.single", "1"]
    assert edarnn.main(["toy", *where, "--stages.0.subset", "single", "--out", str(run)]) == 0
    capsys.readouterr()
    assert edarnn.main(["pictures", "--weights", str(run), "--out", str(tmp_path / "own")]) == 0
    assert "of 1 images" in capsys.readouterr().out
    assert edarnn.main(["pictures", "--weights", str(run), "--root", str(other), "--out", str(tmp_path / "its")]) == 0
    assert "of 4 images" in capsys.readouterr().out
