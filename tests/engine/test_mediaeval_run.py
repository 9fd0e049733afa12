"""A MediaEval run's files, from a run's folder and the zip of its answers; and task B's maps of the combined model."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forgery_rcnn.config import BARE_PTH, DataConfig, DenseConfig, InferenceConfig, ModelConfig, RunConfig, to_dict
from forgery_rcnn.data import records
from forgery_rcnn.engine import mediaeval_run
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.inference import ensemble, pipeline
from forgery_rcnn.inference.ensemble import Ensemble
from forgery_rcnn.instances import Answer
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.siblings import SYSTEMS
from forgery_rcnn.submission import mediaeval
from forgery_rcnn.submission.formats import Settings

pytestmark = pytest.mark.usefixtures("small_convnext")
MODEL = ModelConfig(
    arch="combined", backbone="convnext_tiny", image_size=64, fpn_width=8, dense=DenseConfig(mask_weight=0.0)
)
SETTINGS = Settings("we", "open", threshold=0.375)
HEADER = ["image_id", "prob", "label", "threshold"]


@dataclass(frozen=True)
class Run:
    """A run's folder as training leaves it, and a finished zip in another."""

    folder: Path
    zip: Path
    validation: list[records.Record]

    def written(self, name: str = "") -> list[str]:
        found = ensemble.load((str(self.folder / name),), BARE_PTH)
        return self.of(found)

    def of(self, found: Ensemble) -> list[str]:
        lines = mediaeval_run.write_run(found, self.zip, SETTINGS, "float32", Screen(None))
        assert all(len(line.splitlines()) == 1 for line in lines)
        return lines

    def table(self, name: str) -> list[list[str]]:
        return list(csv.reader(io.StringIO((self.zip.parent / name).read_text())))


@pytest.fixture
def run(small_convnext: None, tiny_root: Path, tmp_path: Path) -> Run:
    folder, out = tmp_path / "run", tmp_path / "out"
    config = RunConfig(DataConfig(tiny_root), MODEL, SYSTEMS["combined_a"].stages, precision="float32")
    held = [record for record in records.scan(tiny_root) if record.case_id in ("1", "2")]
    folder.mkdir()
    split = {"single": [], "few": [], "full": [], "validation": [record.key for record in held]}
    (folder / "split.json").write_text(json.dumps(split))
    for index, stage in enumerate(("classifier", "finetuned")):
        torch.manual_seed(index)
        meta = {"config": to_dict(config), "stage": stage, "thresholds": to_dict(InferenceConfig())}
        meta["data"] = records.fingerprint(records.scan(tiny_root))
        state = zoo.build(MODEL).state_dict()
        weights.write(folder / f"checkpoints/best-{index + 1}-{stage}.safetensors", state, meta)
    meta["thresholds"] = to_dict(InferenceConfig(image_threshold=0.375))  # fitted
    weights.write(folder / "model.safetensors", state, meta)
    zipped = out / "we_open.zip"
    mediaeval.write_a(zipped, [("b", Answer((2, 2), None, 0.25)), ("a", Answer((2, 2), None, 0.375))], 0.375)
    return Run(folder, zipped, held)


def test_every_file_that_is_asked_for(run: Run) -> None:
    lines = run.written()
    assert sorted(path.name for path in run.zip.parent.iterdir()) == [
        "open_classifier_model.json",
        "open_classifier_model.safetensors",
        "open_finetuned_model.json",
        "open_finetuned_model.safetensors",
        "open_test_probs.csv",
        "open_val_probs.csv",
        "we_open.zip",
    ]
    assert all(line.startswith("written: ") for line in lines)
    assert run.table("open_test_probs.csv") == [HEADER, ["b", "0.25", "0", "0.375"], ["a", "0.375", "1", "0.375"]]


def test_validation_probabilities_are_the_models(run: Run) -> None:
    run.written()
    header, *rows = run.table("open_val_probs.csv")
    model = weights.load(str(run.folder), BARE_PTH).model
    assert header == HEADER
    assert [row[0] for row in rows] == [record.key for record in run.validation]  # ids 1, 2: each authentic and forged
    for row, record in zip(rows, run.validation, strict=True):
        (found,) = model.predict([records.load(record).pixels])
        assert float(row[1]) == pytest.approx(found.image_score, abs=1e-6)
        assert row[2:] == [str(int(found.image_score >= 0.375)), "0.375"]


def test_case_ids_stand_alone_where_they_are_unique(run: Run) -> None:
    forged = [record for record in run.validation if record.label == "forged"]
    split = {"single": [], "few": [], "full": [], "validation": [record.key for record in forged]}
    (run.folder / "split.json").write_text(json.dumps(split))
    run.written()
    assert [row[0] for row in run.table("open_val_probs.csv")[1:]] == ["1", "2"]


@pytest.mark.parametrize("name", ["", "checkpoints/best-2-finetuned.safetensors"])
def test_weights_are_copied_whole(run: Run, name: str) -> None:
    """The stage that predicts is copied from what was loaded: the thresholds in its JSON are those that were used."""
    run.written(name)
    for stage, source in (("classifier", "checkpoints/best-1-classifier"), ("finetuned", name or "model")):
        tensors, meta = weights.read(run.zip.parent / f"open_{stage}_model.safetensors")
        expected, told = weights.read((run.folder / source).with_suffix(".safetensors"))
        assert meta == told
        assert meta["stage"] == stage
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(tensors[key], expected[key]) for key in expected)
    assert meta["thresholds"]["image_threshold"] == (0.0 if name else 0.375)


def test_what_is_missing_is_said(run: Run, tiny_root: Path) -> None:
    (run.folder / "checkpoints/best-1-classifier.safetensors").unlink()
    (tiny_root / "train_images/authentic/1.png").unlink()
    lines = run.written()
    assert [line for line in lines if "open_classifier_model" in line] == [
        f"note: no open_classifier_model.safetensors: {run.folder}/checkpoints/best-1-classifier.safetensors is missing; "
        "train the stage to its end"
    ]
    assert lines[-1].startswith(f"note: no open_val_probs.csv: {tiny_root}: has no train/authentic/1, which")
    shutil.copyfile(tiny_root / "train_images/forged/1.png", tiny_root / "train_images/authentic/1.png")
    assert "its files have changed since" in run.written()[-1]
    shutil.rmtree(tiny_root)
    assert "no such data root" in run.written()[-1]
    (run.folder / "split.json").write_text(json.dumps({"validation": []}))
    assert "has no validation images" in run.written()[-1]
    assert not (run.zip.parent / "open_val_probs.csv").exists()


def test_weights_without_a_run_give_test_probabilities_alone(run: Run, tmp_path: Path) -> None:
    alone = tmp_path / "shipped"
    alone.mkdir()
    for suffix in (".safetensors", ".json"):
        shutil.copyfile((run.folder / "model").with_suffix(suffix), (alone / "w").with_suffix(suffix))
    names = str(alone / "w.safetensors"), str(run.folder)
    for found, said in (
        (ensemble.load(names[:1], BARE_PTH), "is in no run's folder"),
        (ensemble.load(names, BARE_PTH), "is several weights"),
    ):
        lines = run.of(found)
        assert len(lines) == 2
        assert said in lines[1]
    assert {path.name for path in run.zip.parent.iterdir()} == {"we_open.zip", "open_test_probs.csv"}


@pytest.mark.parametrize(("threshold", "label"), [(0.0, 1), (1.0, 0)])
def test_maps_of_task_b_at_the_images_own_size(tmp_path: Path, threshold: float, label: int) -> None:
    """Of the combined model: float16, all zero where the image is called clean."""
    torch.manual_seed(0)
    model = zoo.build(replace(MODEL, dense=DenseConfig())).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (37, 151, 3), np.uint8)
    found = pipeline.predict_image(model, pixels, InferenceConfig())
    path = tmp_path / "we_localization_masks.zip"
    mediaeval.write_b(path, [("x.1", pipeline.answer(found))], threshold, 0.625)
    with zipfile.ZipFile(path) as zipped:
        assert zipped.namelist() == ["x.1.npz", "scores.csv"]
        (values,) = np.load(io.BytesIO(zipped.read("x.1.npz"))).values()
        header, row = csv.reader(io.StringIO(zipped.read("scores.csv").decode()))
    assert header == [*HEADER, "loc_threshold"]
    assert row == ["x.1", repr(found.image_score), str(label), repr(threshold), "0.625"]
    assert values.shape == (37, 151)
    assert values.dtype == np.float16
    np.testing.assert_allclose(values, label * found.heatmap, atol=1e-3)
    assert bool(values.any()) == bool(label)
