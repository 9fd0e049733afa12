"""The three scripts as a user types them: what they print, write, and say of bad input."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from forgery_rcnn.config import DenseConfig, MatchingConfig, ModelConfig, to_dict
from forgery_rcnn.instances import ANY_SIZE, Truth
from forgery_rcnn.matching.pairs import Finding
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.submission import one_mask
from forgery_rcnn.submission.formats import FORMATS, Settings
from tests.conftest import ROOT

Start, Finish = Callable, Callable


@pytest.fixture(scope="module")
def trained(
    run: Start, finish: Finish, tiny_flags: list[str], shared_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a short run on the tiny root."""
    out = tmp_path_factory.mktemp("trained") / "run"
    flags = [
        "overfit_one",
        "--stages.0.epochs=25",
        "--stages.0.lr=1e-3",
        "--inference.score-threshold=0.3",
        "--model.image-size=96",
    ]
    printed = finish(run("edarnn.py", *flags, *tiny_flags, "--data.root", shared_root, "--out", out))
    for name in ("card.txt", "card.json", "images.png", "distributions.png"):
        assert (out / "eda" / name).stat().st_size > 100
    assert "all-authentic     scores oF1 0.5000" in printed
    assert (out / "figures/curves.png").is_file()
    assert (out / "figures/1-one/forged-01_1.png").is_file()
    return out


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """Weights without a segmentation branch, which are sure that every image is forged."""
    model = zoo.build(
        ModelConfig(arch="combined", backbone="convnext_tiny", image_size=64, dense=DenseConfig(mask_weight=0))
    )
    with torch.no_grad():
        model.classifier[1].weight.zero_()
        model.classifier[1].bias.fill_(4)
    weights.write(tmp_path / "clf.safetensors", model.state_dict(), {"config": {"model": to_dict(model.config)}})
    return tmp_path / "clf.safetensors"


def test_eda_alone_trains_nothing(run: Start, finish: Finish, shared_root: Path, tmp_path: Path) -> None:
    printed = finish(run("edarnn.py", "--eda-only", "--data.root", shared_root, "--out", tmp_path / "eda_run"))
    assert "data card of root" in printed
    assert sorted(p.name for p in (tmp_path / "eda_run").iterdir()) == ["eda"]


def test_predict_then_score(run: Start, finish: Finish, trained: Path, shared_root: Path, tmp_path: Path) -> None:
    forged = shared_root / "train_images/forged"
    common = ["--images", forged, "--weights", trained, "--out", tmp_path / "out"]
    printed = finish(run("encode_submission.py", *common, "--masks", shared_root / "train_masks"))
    assert printed.count("intersection") == 6
    assert len(list((tmp_path / "out/overlays").glob("*.png"))) == 6
    with open(tmp_path / "out/submission.csv") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["case_id", "annotation"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert any(row[1].startswith("[") for row in rows[1:]), "the overfitted model finds something"
    found = json.loads((tmp_path / "out/report.json").read_text())
    scored = ["--submission", tmp_path / "out/submission.csv", "--json", tmp_path / "score.json"]
    printed = finish(run("scoring.py", *scored, "--solution", forged))
    assert f"MEAN oF1 {found['of1_mean']:.4f} ± {found['of1_std']:.4f}" in printed
    again = json.loads((tmp_path / "score.json").read_text())
    names = ("of1_mean", "of1_std", "dice_mean", "recall_mean", "precision_mean", "images", "baseline_all_authentic")
    assert {name: again[name] for name in names} == {name: found[name] for name in names}
    assert "occur authentic and forged" in finish(run("scoring.py", *scored, "--solution", shared_root), 2)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("recodai", "submission.csv"),
        ("aaltoes", "submission.csv"),
        ("mediaeval_a", "us_open.zip"),
        ("mediaeval_b", "us_localization_masks.zip"),
        ("tianchi", "prediction_result.zip"),
    ],
)
def test_every_format_is_written_and_scored(
    name: str, file: str, trained: Path, shared_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import encode_submission
    import scoring

    forged = shared_root / "train_images/forged"
    flags = ["--images", forged, "--weights", trained, "--out", tmp_path / "out", "--overlays", "0", "--format", name]
    assert encode_submission.main([*map(str, flags), "--settings.team", "us", "--settings.run", "open"]) == 0
    beside = ("test_probs.csv", "val_probs.csv", "one_model.json", "one_model.safetensors")
    more = {f"open_{part}" for part in beside} if name == "mediaeval_a" else set()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {file, *more}
    capsys.readouterr()
    scored = ["--submission", tmp_path / "out" / file, "--solution", forged, "--json", tmp_path / "s.json"]
    assert scoring.main([*map(str, scored), "--resamples", "0"]) == 0
    assert "images 6 (forged 6, authentic 0)" in capsys.readouterr().out
    assert [row["case_id"] for row in json.loads((tmp_path / "s.json").read_text())["rows"]] == list("123456")


def test_the_regions_of_a_detector_are_the_same_in_every_file(trained: Path, shared_root: Path, tmp_path: Path) -> None:
    """Its heat map is score times mask, which stays below loc_threshold at the rim, or where the score does. It is written
    of an image that is authentic by image_threshold and forged by MediaEval's own."""
    import encode_submission

    truths = {case: Truth(ANY_SIZE, None) for case in "123456"}

    def unions(name: str, *flags: str) -> list[list[list[int]]]:
        common = ["--images", shared_root / "train_images/forged", "--weights", trained, "--overlays", "0"]
        common += ["--settings.threshold", "0", "--out", tmp_path, "--format", name]
        assert encode_submission.main([*map(str, common), *flags]) == 0
        found = dict(FORMATS[name].read(tmp_path / FORMATS[name].filename(Settings()), truths))
        return [one_mask.union(found[case]).tolist() for case in truths]

    low = ("--inference.score-threshold", "0.05")
    assert unions("tianchi", *low) == unions("mediaeval_b", *low) != [[]] * 6
    none = ("--inference.image-threshold", "1", "--settings.loc-threshold", "0.05")
    assert unions("tianchi", *none) == [[]] * 6 and all(unions("mediaeval_b", *none))


def test_several_weights_predict_as_one_with_settings_given(
    trained: Path, shared_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import encode_submission
    import scoring

    forged = shared_root / "train_images/forged"
    common = ["--images", forged, "--overlays", "0", "--masks", shared_root / "train_masks"]
    told = []
    for number, names in enumerate(([trained], [trained, trained])):
        flags = ["--weights", *names, *common, "--out", tmp_path / f"{number}", "--rule", "vote"]
        assert encode_submission.main([str(flag) for flag in flags]) == 0
        told.append((tmp_path / f"{number}/submission.csv").read_text())
        capsys.readouterr()
    assert told[0] == told[1] and "[" in told[0]
    flags = ["--weights", trained, *common, "--out", tmp_path / "none", "--inference.image-threshold", "1"]
    assert encode_submission.main([str(flag) for flag in [*flags, "--inference.views", "identity"]]) == 0
    assert (tmp_path / "none/submission.csv").read_text().count("authentic") == 6
    flags = ["--weights", trained, trained, "--data.root", shared_root, "--resamples", "0"]
    assert scoring.main([str(flag) for flag in flags]) == 0
    assert "split validation" in capsys.readouterr().out


def test_mediaevals_thresholds_are_the_stored_ones_where_none_are_given() -> None:
    from forgery_rcnn.submission.written import Written

    found = [
        Written(**given).settings(stored)
        for given in ({}, {"threshold": 0.0, "loc_threshold": 1.0})
        for stored in ((0.25, 0.75), (0.0, 0.5))
    ]
    assert [(s.threshold, s.loc_threshold) for s in found] == [(0.25, 0.75), (0, 0.5), (0, 1), (0, 1)]


def test_a_setting_that_would_change_nothing_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import encode_submission

    flags = ["--weights", str(trained), "--out", str(tmp_path / "out"), "--inference.refine.method", "crf"]
    assert encode_submission.main([*flags, "--inference.close-gaps", "4"]) == 2
    errors = capsys.readouterr().err
    assert "--inference.close-gaps, --inference.refine.method: made for models that give a map" in errors
    assert errors.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--settings.team", "a/b"], "team 'a/b' is to be part of a file name"),
        (["--settings.threshold", "1.5"], "threshold is 1.5; choose a number from 0 to 1"),
        (["--weights", "nowhere", "here"], "--weights nowhere: no such file"),
    ],
)
def test_wrong_settings_of_a_format_are_one_line(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import encode_submission

    assert encode_submission.main([*flags, "--out", str(tmp_path / "out")]) == 2
    errors = capsys.readouterr().err
    assert message in errors and errors.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_weights_are_scored_on_their_validation_split(
    run: Start, finish: Finish, trained: Path, shared_root: Path, tmp_path: Path
) -> None:
    flags = ["--weights", trained, "--data.root", shared_root, "--csv", tmp_path / "rows.csv"]
    printed = finish(run("scoring.py", *flags))
    assert "split validation" in printed
    assert "baseline: everything authentic 0.5000" in printed
    assert "verdict: " in printed
    with open(tmp_path / "rows.csv") as file:
        assert {row["label"] for row in csv.DictReader(file)} == {"authentic", "forged"}


def test_weights_that_do_not_localise_are_scored_by_their_calls(
    classifier: Path, shared_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import scoring

    flags = ["--weights", str(classifier), "--data.root", str(shared_root), "--split", "all", "--resamples", "0"]
    assert scoring.main([*flags, "--json", str(tmp_path / "s.json")]) == 0
    printed = capsys.readouterr().out
    assert "regions not looked at" in printed and "oF1" not in printed
    found = json.loads((tmp_path / "s.json").read_text())
    assert {row["answer"] for row in found["rows"]} == {"forged"} and found["numbers"]["call_recall"]["value"] == 1
    assert scoring.main([*flags, "--contract", "pixel_f1"]) == 2
    assert "clf.safetensors: says whether, not where; --contract pixel_f1" in capsys.readouterr().err


def test_a_bad_image_in_a_folder_is_named_and_the_rest_is_predicted(
    run: Start, finish: Finish, trained: Path, shared_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(shared_root / "train_images/forged", tmp_path / "images")
    (tmp_path / "images/2.png").write_bytes((tmp_path / "images/2.png").read_bytes()[:900])
    printed = finish(
        run("encode_submission.py", "--images", tmp_path / "images", "--weights", trained, "--out", tmp_path / "out"), 1
    )
    assert "images/2.png: truncated image" in printed or "images/2.png: damaged or truncated" in printed
    assert printed.rstrip().endswith("(no row)")
    assert len((tmp_path / "out/submission.csv").read_text().splitlines()) == 6


Predict = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Predict:
    """predict("--overlays", 0) -> exit status, lines and errors of the twin finder on images/, into out/; a grey image is there."""
    import encode_submission

    (tmp_path / "images").mkdir()
    Image.new("L", (40, 40), 90).save(tmp_path / "images/grey.png")

    def predicted(*flags: object) -> tuple[int, list[str], str]:
        common = ["--images", tmp_path / "images", "--weights", "matcher", "--out", tmp_path / "out"]
        status = encode_submission.main([str(flag) for flag in (*common, *flags)])
        printed, errors = capsys.readouterr()
        return status, printed.splitlines(), errors

    return predicted


def notes(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("note: ")]


def test_no_answer_at_all_names_every_file(predict: Predict, tmp_path: Path) -> None:
    for name in ("grey", "other"):
        (tmp_path / f"images/{name}.png").write_text("not an image")
    status, lines, errors = predict()
    assert status == 2 and not (tmp_path / "out/submission.csv").exists()
    assert "none of the 2 images has an answer; the first: " in errors and errors.count("\n") == 1
    said = [line for line in lines if line.startswith("error: ")]
    assert len(said) == 2 and "grey.png: not an image" in said[0] and "other.png: not an image" in said[1]


def test_what_in_the_folder_is_not_looked_at_is_said_once(predict: Predict, tmp_path: Path) -> None:
    images, grey = tmp_path / "images", tmp_path / "images/grey.png"
    assert notes(predict()[1]) == []
    for name in ("more/1.png", "more/deep/2.PNG", ".hidden/3.png", "more/.4.png", "out/5.png", "overlays/6.png"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(grey, images / name)
    for name in ("a.svg", "b.PDF", "c.pdf", ".d.pdf", "notes.txt", "more/e.pdf"):
        (images / name).touch()
    for out, below in (("images/out", 3), ("images", 3), ("out", 4)):
        status, lines, _ = predict("--out", tmp_path / out)
        assert status == 0 and notes(lines) == [
            f"note: {below} images in folders below {images} are not looked at; name such a folder by --images",
            "note: left out, not read as images: 2 .pdf, 1 .svg",
        ]


def test_what_in_a_file_is_not_seen_is_said(predict: Predict, tmp_path: Path) -> None:
    frames = [Image.new("RGBA", (40, 40), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "images/two.tif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40) % 512).save(tmp_path / "images/dark.png")
    status, lines, _ = predict()
    assert status == 0 and notes(lines) == [
        "note: dark.png: levels up to 511 of 65535: seen nearly black; spread them before saving",
        "note: two.tif: first of 2 frames",
    ]


def test_overlays_are_not_drawn_over_the_images(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "images").rename(tmp_path / "out/overlays")
    (tmp_path / "images").symlink_to(tmp_path / "out/overlays")
    before = (tmp_path / "images/grey.png").read_bytes()
    status, lines, errors = predict()
    assert (status, lines) == (2, []) and errors.count("\n") == 1
    assert "would be drawn over it; use another --out, or --overlays 0" in errors
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["overlays"]
    assert predict("--overlays", 0)[0] == 0 and (tmp_path / "images/grey.png").read_bytes() == before


def test_an_earlier_overlay_of_an_image_without_regions_goes(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "out/overlays").mkdir(parents=True)
    for name in ("grey", "other"):
        (tmp_path / f"out/overlays/{name}.png").touch()
    assert predict()[0] == 0
    assert [path.name for path in (tmp_path / "out/overlays").iterdir()] == ["other.png"]


def test_a_name_with_a_line_break_stays_in_its_line(predict: Predict, tmp_path: Path) -> None:
    shutil.copyfile(tmp_path / "images/grey.png", tmp_path / "images/=a\nb.png")
    (tmp_path / "images/c\nd.png").write_text("not an image")
    status, lines, _ = predict()
    assert status == 1
    assert any(line.startswith("'=a\\nb': scores none") for line in lines)
    assert not any(line.startswith(("b", "d")) for line in lines)
    assert any(line.startswith("error: ") and "c\\nd.png: not an image" in line for line in lines)


def test_a_file_in_the_place_of_the_folder(predict: Predict, tmp_path: Path) -> None:
    status, _, errors = predict("--images", tmp_path / "images/grey.png")
    assert status == 2
    assert f"grey.png: a file, not a folder; pass the folder that it is in, {tmp_path}/images" in errors


@pytest.mark.parametrize(
    "fault", [np.linalg.LinAlgError("SVD did not converge"), RuntimeError("out of\nmemory"), KeyError(7)]
)
def test_pixels_that_a_model_stumbles_over_cost_one_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    import encode_submission
    from forgery_rcnn.matching import finder

    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.new("L", (40 + number, 40), 90).save(tmp_path / f"images/{number}.png")
    sound = finder.find

    def find(pixels: np.ndarray, config: MatchingConfig) -> Finding:
        if pixels.shape[1] == 41:
            raise fault
        return sound(pixels, config)

    monkeypatch.setattr(finder, "find", find)
    flags = ["--images", str(tmp_path / "images"), "--weights", "matcher", "--out", str(tmp_path / "out")]
    assert encode_submission.main(flags) == 1
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error: ")]
    assert "1.png: could not be examined" in said and type(fault).__name__ in said and said.endswith("(no row)")
    assert [line[:2] for line in (tmp_path / "out/submission.csv").read_text().splitlines()[1:]] == ["0,", "2,"]


@pytest.mark.parametrize("fault", [PermissionError(13, "Permission denied"), MemoryError("too large")])
def test_a_picture_that_cannot_be_drawn_costs_a_line_and_no_answer(
    shared_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
) -> None:
    import encode_submission

    def fails(*_: object) -> None:
        raise fault

    monkeypatch.setattr(encode_submission, "_draw", fails)
    flags = ["--images", str(shared_root / "train_images/forged"), "--masks", str(shared_root / "train_masks")]
    assert encode_submission.main([*flags, "--weights", "matcher", "--out", str(tmp_path)]) == 1
    count = len(list((shared_root / "train_images/forged").iterdir()))
    assert len((tmp_path / "submission.csv").read_text().splitlines()) == count + 1
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error: ")]
    assert len(said) == count and all(line.endswith("(no picture)") for line in said)


def test_names_that_a_file_cannot_hold_cost_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import encode_submission

    images = tmp_path / "images"
    images.mkdir()
    for name in (b"caf\xe9.png", "漢".encode() * 81 + b".png", b"sound.png"):
        Image.new("L", (40, 40), 90).save(images / os.fsdecode(name))
    for layout, words in (("recodai", ["is not UTF-8"]), ("tianchi", ["is not valid Unicode", "is too long"])):
        flags = ["--images", str(images), "--weights", "matcher", "--format", layout, "--out", str(tmp_path / layout)]
        assert encode_submission.main(flags) == 1
        said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error: ")]
        assert len(said) == len(words)
        for word, line in zip(words, sorted(said), strict=True):
            assert word in line and line.endswith("(no row)")
    assert len((tmp_path / "recodai/submission.csv").read_text().splitlines()) == 3


def test_what_an_earlier_run_left_does_no_harm(shared_root: Path, tmp_path: Path) -> None:
    import encode_submission

    out, images = tmp_path / "out", shared_root / "train_images/forged"
    flags = ["--images", str(images), "--weights", "matcher", "--out", str(out)]
    (out / "partial").mkdir(parents=True)
    (out / "partial/prediction_result.zip").write_bytes(b"half")
    assert encode_submission.main([*flags, "--masks", str(shared_root / "train_masks")]) == 0
    assert (out / "report.csv").is_file() and (out / "partial/prediction_result.zip").is_file()
    (out / "partial/report.csv").write_text("of the format's run that was stopped")
    assert encode_submission.main(flags) == 0
    assert not (out / "report.csv").exists() and not (out / "report.json").exists()
    assert (out / "partial/report.csv").exists()
    (out / "partial/prediction_result.zip").unlink()
    assert encode_submission.main(flags) == 0
    assert not (out / "partial").exists()


def test_a_bad_mask_costs_its_score_alone(
    run: Start, finish: Finish, trained: Path, tiny_root: Path, tmp_path: Path
) -> None:
    bad_mask(tiny_root)
    flags = ["--images", tiny_root / "train_images/forged", "--masks", tiny_root / "train_masks", "--weights", trained]
    printed = finish(run("encode_submission.py", *flags, "--out", tmp_path / "out"), 1)
    assert "3.npy: mask is (10, 10)" in printed
    assert "images 5 (forged 5, authentic 0)" in printed
    assert len((tmp_path / "out/submission.csv").read_text().splitlines()) == 7


def bad_mask(root: Path) -> None:
    np.save(root / "train_masks/3.npy", np.zeros((1, 10, 10), np.uint8))


def bad_image(root: Path) -> None:
    (root / "train_images/authentic/2.png").write_text("not an image")


def double_id(root: Path) -> None:
    Image.new("RGB", (9, 9)).save(root / "train_images/forged/1.jpg")


def no_masks(root: Path) -> None:
    shutil.rmtree(root / "train_masks")


def empty_folder(root: Path) -> None:
    for path in (root / "train_images/forged").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (bad_mask, r"train_masks/3.npy: mask is (10, 10) but image 3.png is 80 x 96; expected (N, 80, 96)"),
        (bad_image, "authentic/2.png: not an image that can be read"),
        (double_id, "case id '1' twice (1.jpg, 1.png)"),
        (no_masks, "train_masks: no such folder"),
        (empty_folder, "forged: no image in it"),
    ],
)
def test_bad_data_stops_before_the_first_step(
    capsys: pytest.CaptureFixture[str], tiny_root: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    from edarnn import main

    damage(tiny_root)
    assert main(["overfit_one", "--data.root", str(tiny_root), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out/log.jsonl").exists()


@pytest.mark.parametrize(("flags", "threshold"), [([], 0.23), (["--inference.score-threshold", "0.5"], 0.5)])
def test_a_run_goes_on_with_fitted_thresholds_unless_its_own_are_given(
    trained: Path, tiny_flags: list[str], shared_root: Path, tmp_path: Path, flags: list[str], threshold: float
) -> None:
    from edarnn import main

    shutil.copy(trained / "model.safetensors", tmp_path / "known.safetensors")
    told = json.loads((trained / "model.json").read_text())
    told["thresholds"]["score_threshold"], told["fitted"] = 0.23, {"metric": "of1", "images": []}
    (tmp_path / "known.json").write_text(json.dumps(told))
    sizes = [*tiny_flags, "--model.weights", str(tmp_path / "known.safetensors"), "--stages.0.epochs=1"]
    where = ["--data.root", str(shared_root), "--out", str(tmp_path / "out")]
    assert main(["overfit_one", *sizes, *flags, *where]) == 0
    for name in ("config", "model"):
        kept = json.loads((tmp_path / f"out/{name}.json").read_text())
        assert (kept["inference"] if name == "config" else kept["thresholds"])["score_threshold"] == threshold


def test_skip_bad_lists_and_goes_on(capsys: pytest.CaptureFixture[str], tiny_root: Path, tmp_path: Path) -> None:
    from edarnn import main

    bad_mask(tiny_root)
    flags = ["--eda-only", "--data.skip-bad", "--data.root", str(tiny_root), "--out", str(tmp_path / "out")]
    assert main(flags) == 0
    assert "skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["overfit"], "no recipe 'overfit'; use one of demo, finetune, overfit_one"),
        (["fitt"], "or fit"),
        (["overfit_one", "--data.few", "0"], "data.few is 0; use at least 1 image"),
        (["overfit_one", "--stages.0.trainable"], "trainable is empty: name a part"),
        (["--resume"], "--resume needs --out RUN"),
        (["--data.root", "nowhere"], "nowhere: no such data root"),
        (["--data.root", "nowhere", "--device", "tpu"], "device 'tpu': use auto, cpu, cuda"),
    ],
)
def test_wrong_settings_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: list[str], message: str
) -> None:
    from edarnn import main

    monkeypatch.chdir(tmp_path)
    assert main(flags) == 2
    assert message in capsys.readouterr().err


def test_scoring_a_csv_loads_no_torch(run: Start, finish: Finish, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('case_id,annotation,shape\n1,"[1, 2]","[2, 2]"\n2,authentic,authentic\n')
    (tmp_path / "s.csv").write_text('case_id,annotation\n2,authentic\n1,"[1, 2];[4, 1]"\n')
    program = (
        "import sys, scoring; status = scoring.main(['--submission', 's.csv', '--solution', 't.csv']); "
        "sys.exit(status or 'torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    (tmp_path / "program.py").write_text(program)
    printed = finish(run(tmp_path / "program.py", cwd=tmp_path))
    assert "MEAN oF1 0.7500 ± 0.2500" in printed
    assert "baseline: everything forged    0.3333" in printed


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([*lines, ""]))
    return path


TRUTH = [
    "case_id,annotation,shape,kind",
    '1,"[1, 4]","[4, 4]",splice',
    "2,authentic,authentic,",
    '3,"[1, 2];[9, 4]","[4, 4]",copy_move',
    '=4,authentic,"[4, 4]",',
]
A = ["case_id,annotation", '1,"[1, 4]"', "2,authentic", '3,"[1, 2]"', '=4,"[1, 1]"']
B = ["case_id,annotation", '1,"[1, 2]"', "2,authentic", "3,authentic", "=4,authentic"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, now the current one, of t.csv, a.csv, b.csv, i.csv (Aaltoes) and p.csv (MediaEval A)."""
    monkeypatch.chdir(tmp_path)
    for name, lines in (("t", TRUTH), ("a", A), ("b", B)):
        write(tmp_path / f"{name}.csv", *lines)
    write(tmp_path / "i.csv", "ImageId,EncodedPixels", "1,1 1 5 1 9 1 13 1", "2,", "3,", "=4,")
    write(tmp_path / "p.csv", "image_id,prob,label,threshold", *(f"{c},0.7,1,0.5" for c in ("1", "2", "3", "=4")))
    return tmp_path


Scored = Callable[..., tuple[int, str, str]]


@pytest.fixture
def scored(files: Path, capsys: pytest.CaptureFixture[str]) -> Scored:
    """scored("--submission", "a.csv") -> exit status, what was printed, and the errors; few resamples."""
    import scoring

    def run(*flags: str) -> tuple[int, str, str]:
        status = scoring.main([*flags, "--resamples", "20"] if "--resamples" not in flags else list(flags))
        return (status, *capsys.readouterr())

    return run


def test_report_in_a_folder(scored: Scored, files: Path) -> None:
    status, printed, errors = scored("--submission", "a.csv", "--solution", "t.csv", "--out", "new/out")
    assert (status, errors) == (0, "")
    assert "MEAN oF1 0.6250 ± 0.4146" in printed and "by kind" in printed and "verdict: 0.1250 above" in printed
    assert sorted(path.name for path in (files / "new/out").iterdir()) == [
        "error_budget.png",
        "report.csv",
        "report.json",
    ]
    assert all(f"written: new/out/{path.name}" in printed for path in (files / "new/out").iterdir())
    found = json.loads((files / "new/out/report.json").read_text(), parse_constant=pytest.fail)
    assert found["of1_mean"] == 0.625 and found["numbers"]["of1"]["value"] == 0.625
    judged = found["contract"]
    assert list(judged) == ["name", "line", "value", "baselines", "best", "gap"]
    assert (judged["name"], judged["best"], judged["value"]) == ("recodai", "authentic", found["numbers"]["of1"])
    assert judged["line"].startswith("oF1 of Recod.ai/LUC") and "authentic images in" in judged["line"]
    assert judged["baselines"]["authentic"] == found["baseline_all_authentic"] == 0.5
    assert judged["baselines"]["forged"] == found["baseline_all_forged"]
    assert judged["gap"]["value"] == 0.125 and judged["gap"]["count"] == 4
    assert found["baselines"]["forged"]["of1"] == pytest.approx(found["baseline_all_forged"])
    assert found["strata"]["kind"]["splice"]["numbers"]["of1"] == {"value": 1, "low": None, "high": None, "count": 1}
    assert found["error_budget"] == {
        "false_alarm": 0.25,
        "called_authentic": 0,
        "missed": 0.125,
        "excess": 0,
        "mask_quality": 0,
    }
    with open(files / "new/out/report.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["case_id"] for row in rows] == ["1", "2", "3", "'=4"]
    assert [float(row["of1"]) for row in rows] == [1, 1, 0.5, 0]
    with Image.open(files / "new/out/error_budget.png") as image:
        assert image.format == "PNG"


def test_resamples_change_the_intervals_alone(scored: Scored) -> None:
    printed = [
        scored("--submission", "a.csv", "--solution", "t.csv", "--resamples", count)[1] for count in ("0", "20", "20")
    ]
    assert printed[1] == printed[2] != printed[0]
    assert "[n/a, n/a]" in printed[0] and all("MEAN oF1 0.6250" in text for text in printed)


def shuffled(path: Path, seed: int, *rows: str) -> Path:
    """A table with the same header and these rows in another order."""
    order = np.random.default_rng(seed).permutation(len(rows) - 1)
    return write(path, rows[0], *(rows[1 + i] for i in order))


MANY = [f"{n}" for n in np.random.default_rng(0).permutation(24)]
MANY_TRUTH = [
    TRUTH[0],
    *(f'{n},"[1, {1 + int(n) % 16}]","[4, 4]",k{int(n) % 3}' if int(n) % 4 else f"{n},authentic,," for n in MANY),
]
MANY_A = [A[0], *(f'{n},"[1, 3];[9, {1 + int(n) % 5}]"' if int(n) % 3 else f"{n},authentic" for n in MANY)]
MANY_P = ["image_id,prob,label,threshold", *(f"{n},0.{int(n) % 7}5,{int(int(n) % 7 > 3)},0.4" for n in MANY)]


@pytest.mark.parametrize("rows", [MANY_A, MANY_P], ids=["regions", "calls"])
def test_the_order_of_the_rows_changes_no_printed_character(scored: Scored, files: Path, rows: list[str]) -> None:
    write(files / "m.csv", *MANY_TRUTH)
    told = []
    for seed in range(3):
        shuffled(files / "s.csv", seed, *rows)
        flags = ("--submission", "s.csv", "--solution", "m.csv", "--out", "o", "--resamples", "60")
        told.append((*scored(*flags), (files / "o/report.json").read_text(), (files / "o/report.csv").read_text()))
    assert told[0][0] == 0 and "[0." in told[0][1]
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize(
    ("name", "value", "images"),
    [
        ("recodai", "0.4583", 4),
        ("recodai_forged", "0.4167", 2),
        ("pixel_f1", "0.6250", 4),
        ("pixel_f1_forged", "0.7500", 2),
        ("union_by_count", "0.5000", 4),
        ("f1_plus_iou", "1.2083", 4),
    ],
)
def test_a_contract_beside_the_report(scored: Scored, files: Path, name: str, value: str, images: int) -> None:
    write(files / "s.csv", A[0], '1,"[1, 2];[3, 2]"', *A[2:])
    status, printed, _ = scored("--submission", "s.csv", "--solution", "t.csv", "--contract", name)
    assert status == 0 and "MEAN oF1 0.4583" in printed
    assert f"\n{name}: {value} [" in printed and f"] over {images} images\n" in printed
    lines = printed.splitlines()
    assert [text.split(":")[0] for text in lines[-2:]] == ["contract", "verdict"]
    assert sum(text.startswith(("contract: ", "verdict: ")) for text in lines) == 2


def test_the_order_of_the_rows_changes_no_comparison(scored: Scored, files: Path) -> None:
    write(files / "m.csv", *MANY_TRUTH)
    write(files / "b.csv", B[0], *(f"{n},authentic" for n in MANY))
    told = []
    for seed in range(2):
        shuffled(files / "s.csv", seed, *MANY_A)
        told.append(scored("--compare", "s.csv", "b.csv", "--solution", "m.csv", "--resamples", "60"))
    assert told[0][0] == 0
    assert told[0] == told[1]


def test_the_order_of_the_rows_changes_nothing_beside_a_data_root(
    scored: Scored, files: Path, shared_root: Path
) -> None:
    rows = [A[0], *(f'{n},"[1, {4**n}]"' for n in range(1, 7))]
    told = []
    for seed in range(2):
        shuffled(files / "s.csv", seed, *rows)
        told.append(scored("--submission", "s.csv", "--solution", str(shared_root / "train_images/forged")))
    assert told[0][0] == 0
    assert told[0] == told[1]


def test_comparison_lists_and_draws_what_moved(scored: Scored, files: Path) -> None:
    (files / "images").mkdir()
    Image.new("RGB", (4, 4), "grey").save(files / "images/1.png")
    (files / "o/overlays").mkdir(parents=True)
    (files / "o/overlays/04_old.png").write_bytes(b"")
    flags = ["--compare", "a.csv", "b.csv", "--solution", "t.csv", "--images", "images", "--out", "o"]
    status, printed, errors = scored(*flags)
    assert (status, errors) == (0, "")
    assert "4 images, mean oF1 of A 0.6250 (a.csv), of B 0.6667 (b.csv)" in printed
    assert "A higher on 2 images, B on 1, equal on 1" in printed
    assert sorted(p.name for p in (files / "o/overlays").iterdir()) == ["01__4.png", "02_3.png", "03_1.png"]
    assert "only 3 images differ, fewer than 10" in printed.splitlines()[-2] and printed.endswith(
        "pictures: o/overlays/\n"
    )


def test_comparison_of_equals_draws_nothing(scored: Scored, files: Path) -> None:
    status, printed, _ = scored("--compare", "a.csv", "a.csv", "--solution", "t.csv")
    assert status == 0 and printed.endswith("verdict: the two score the same on every image\n")
    assert not (files / "out").exists()


def test_comparison_where_the_solution_gives_no_size(scored: Scored, files: Path) -> None:
    """The official solution writes `authentic` for the shape of an authentic image; a folder of masks gives none either."""
    write(files / "c.csv", *B[:2], '2,"[1, 4]"', *B[3:])
    status, _, errors = scored("--compare", "b.csv", "c.csv", "--solution", "t.csv")
    assert (status, errors) == (0, "")
    assert sorted(p.name for p in (files / "out/compare/overlays").iterdir()) == ["01_2.png"]


BAD = [A[0], '1,"[1, 99]"', "2,authentic", "9,authentic", "3", "=4,[1, 1]"]
SAID = [
    "s.csv: 4 problems:",
    "  row 2: case 1: a run ends at pixel 99, past the last pixel 16 of a 4 x 4 image",
    "  row 4: case 9: unknown case id; ",
    "  row 5: case 3: too few cells in this row; ",
    "  row 6: case =4: more cells in this row than the header has; ",
]


def test_all_that_is_wrong_is_listed_at_once(scored: Scored, files: Path) -> None:
    write(files / "s.csv", *BAD)
    status, printed, errors = scored("--submission", "s.csv", "--solution", "t.csv", "--out", "o")
    assert (status, printed) == (2, "")
    assert all(
        line.startswith(start) for line, start in zip(errors.removeprefix("error: ").splitlines(), SAID, strict=True)
    )
    assert not (files / "o").exists()


def test_lenient_scores_the_rest_and_says_what_was_left_out(scored: Scored, files: Path) -> None:
    write(files / "s.csv", *BAD)
    status, printed, errors = scored("--submission", "s.csv", "--solution", "t.csv", "--lenient")
    assert (status, errors) == (0, "")
    lines = printed.splitlines()
    assert all(line.startswith(start) for line, start in zip(lines, SAID, strict=False))
    assert lines[5] == "left out: 3 of 4 images; every number below is of the other 1"
    assert "images 1 (forged 0, authentic 1)" in printed and "MEAN oF1 1.0000" in printed


def test_lenient_with_no_row_that_can_be_read(scored: Scored, files: Path) -> None:
    write(files / "s.csv", A[0], "1,Authentic")
    status, printed, errors = scored("--submission", "s.csv", "--solution", "t.csv", "--lenient")
    assert (status, printed) == (2, "") and errors.startswith("error: s.csv: 4 problems:\n")


def test_lenient_and_nothing_wrong_changes_nothing(scored: Scored) -> None:
    flags = ("--submission", "a.csv", "--solution", "t.csv")
    assert scored(*flags, "--lenient") == scored(*flags)


def test_strict_goes_by_position_and_clips(scored: Scored, files: Path) -> None:
    write(files / "s.csv", A[0], '77,"[1, 99]"', "1,authentic", '3,"[1, 2];[9, 4]"', "3,Authentic")
    flags = ("--submission", "s.csv", "--solution", "t.csv")
    assert scored(*flags)[0] == 2
    status, printed, errors = scored(*flags, "--strict")
    assert (status, errors) == (0, "")
    assert "MEAN oF1 0.6000 " in printed  # 8 / 20, 1, 1, 0


def test_strict_fails_on_the_first_cell_that_the_scorer_fails_on(scored: Scored, files: Path) -> None:
    write(files / "s.csv", *A[:3], '3,"[1, 2"', "4,x")
    status, printed, errors = scored("--submission", "s.csv", "--solution", "t.csv", "--strict")
    assert (status, printed) == (2, "")
    assert errors.startswith("error: s.csv: row 4: case 3: the official scorer fails: ") and errors.count("\n") == 1


SCORE_A = ["--submission", "a.csv", "--solution", "t.csv"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([*SCORE_A, "--lenient", "--strict"], "--lenient and --strict exclude each other"),
        (SCORE_A[:2], "--solution go together: pass both"),
        (SCORE_A[2:], "--solution go together: pass both"),
        (["--compare", "a.csv", "b.csv"], "--solution go together: pass both"),
        ([*SCORE_A, "--contract", "of1"], "no contract 'of1'; there are: recodai, "),
        ([*SCORE_A, "--resamples", "-1"], "--resamples -1: must be 0 to 100000"),
        ([*SCORE_A, "--resamples", "100001"], "--resamples 100001: must be 0 to 100000"),
        ([*SCORE_A, "--compare", "a.csv", "b.csv"], "leave --submission out"),
        (
            ["--submission", "i.csv", "--solution", "t.csv", "--strict"],
            "i.csv: --strict is the Recod.ai/LUC scorer's way",
        ),
        (
            ["--submission", "p.csv", "--solution", "t.csv", "--strict"],
            "p.csv: --strict is the Recod.ai/LUC scorer's way",
        ),
        (["--compare", "a.csv", "i.csv", "--solution", "t.csv", "--strict"], "i.csv: --strict is the Recod.ai/LUC"),
        ([*SCORE_A[:3], ".", "--strict"], "--strict matches rows by position, . is a folder; pass a solution CSV"),
        (["--compare", "a.csv", "b.csv", "--solution", ".", "--strict"], "--strict matches rows by position, . is a"),
        (["--submission", "none.csv", "--solution", "t.csv"], "none.csv: "),
        (["--compare", "a.csv", "none.csv", "--solution", "t.csv"], "none.csv: "),
        (["--submission", "a.csv", "--solution", "none.csv"], "none.csv: "),
        (["--submission", "a.csv", "--solution", "."], "neither a data root (no train_images/) nor a mask"),
        (["--submission", "t.csv", "--solution", "a.csv"], "a.csv: no column shape"),
    ],
)
def test_what_does_not_go_together_is_one_line(scored: Scored, files: Path, flags: list[str], message: str) -> None:
    before = sorted(files.rglob("*"))
    status, printed, errors = scored(*flags)
    assert (status, printed) == (2, "")
    assert errors.startswith("error: ") and message in errors and errors.count("\n") == 1
    assert sorted(files.rglob("*")) == before


def test_the_other_competitions_files_are_recognised(scored: Scored, files: Path) -> None:
    status, printed, _ = scored("--submission", "i.csv", "--solution", "t.csv")
    assert status == 0 and "MEAN oF1 0.7500 " in printed  # row-major 1 5 9 13 are the first column
    status, printed, _ = scored("--submission", "p.csv", "--solution", "t.csv")
    assert status == 0 and "oF1" not in printed and "regions not looked at" in printed
    assert "verdict: no better and no worse than calling every image forged" in printed


def test_masks_of_0_and_1_are_noted(scored: Scored, files: Path) -> None:
    (files / "masks").mkdir()
    for value in (1, 255):
        for case in ("1", "2", "3", "=4"):
            Image.new("L", (4, 4), value if case == "1" else 0).save(files / f"masks/{case}.png")
        status, printed, _ = scored("--submission", "masks", "--solution", "t.csv")
        assert status == 0 and ("note: no mask in masks has a value above 1" in printed) == (value == 1)


def test_calls_alone_are_reported_without_scores_of_regions(scored: Scored, files: Path) -> None:
    status, printed, errors = scored("--submission", "p.csv", "--solution", "t.csv", "--out", "o")
    assert (status, errors) == (0, "")
    assert sorted(path.name for path in (files / "o").iterdir()) == ["report.csv", "report.json"]
    found = json.loads((files / "o/report.json").read_text(), parse_constant=pytest.fail)
    assert found["contract"].startswith("one decision per image") and f"contract: {found['contract']}\n" in printed
    assert found["of1_mean"] is found["dice_mean"] is found["numbers"]["of1"]["value"] is None
    assert set(found["error_budget"].values()) == {None}
    assert (found["false_alarm_rate"], found["numbers"]["f1"]["value"]) == (1, pytest.approx(2 / 3))
    for row in found["rows"]:
        assert {row[name] for name in ("of1", "dice", "iou", "recall", "precision", "mcc", "missed")} == {None}
        assert row["image_score"] == 0.7 and row["answer"] == "forged"
    with open(files / "o/report.csv") as file:
        assert {row["of1"] for row in csv.DictReader(file)} == {"nan"}


def test_images_without_a_mask_in_a_folder_are_said_to_count_as_authentic(scored: Scored, files: Path) -> None:
    (files / "masks").mkdir()
    np.save(files / "masks/1.npy", np.ones((1, 4, 4), np.uint8))
    status, printed, _ = scored("--submission", "b.csv", "--solution", "masks")
    assert status == 0
    assert "note: 3 images have no mask in masks and count as authentic (first: 2)" in printed
    assert "images 4 (forged 1, authentic 3)" in printed
    for case in ("2", "3", "=4"):
        np.save(files / f"masks/{case}.npy", np.ones((1, 4, 4), np.uint8))
    assert "note: " not in scored("--submission", "b.csv", "--solution", "masks")[1]


def test_a_terminal_that_knows_ascii_alone_gets_no_traceback(run: Start, finish: Finish, files: Path) -> None:
    program = (
        "import sys\n"
        "for stream in (sys.stdout, sys.stderr):\n"
        "    stream.reconfigure(encoding='ascii', errors='strict')\n"
        "import scoring\n"
        "sys.exit(scoring.main([*sys.argv[1:], '--solution', 't.csv', '--resamples', '0']))\n"
    )
    (files / "program.py").write_text(program)
    write(files / "s.csv", *A, "ü,authentic")
    printed = finish(run(files / "program.py", "--submission", "a.csv", cwd=files))
    assert "MEAN oF1 0.6250 ? 0.4146" in printed
    assert "case ?: unknown case id" in finish(run(files / "program.py", "--submission", "s.csv", cwd=files), 2)


def test_several_processes_need_a_folder_that_all_of_them_know(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from edarnn import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["overfit_one", "--data.root", "nowhere"]) == 2
    error = capsys.readouterr().err
    assert "several processes need --out RUN" in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_temporary_goes_when_a_command_is_terminated(tmp_path: Path) -> None:
    code = (
        "import tempfile, time\nfrom forgery_rcnn.cli import command\n@command\ndef main(argv=None):\n"
        "    with tempfile.TemporaryDirectory() as folder:\n        print(folder, flush=True)\n        time.sleep(60)\nmain()"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM and not folder.exists()


def test_make_takes_folders_with_blanks_and_asks_for_hosts(tmp_path: Path) -> None:
    def said(*words: str) -> str:
        done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)
        return done.stdout + done.stderr

    commands = said("demo", "DEMO=a b/demo", f"VENV={tmp_path}/v e")
    for command in ('rm -rf "a b/demo"', f'-m venv "{tmp_path}/v e"', f'touch "{tmp_path}/v e/.complete"'):
        assert command in commands
    assert f'"{tmp_path}/v e/bin/python" edarnn.py finetune --out "a b/demo/full"' in commands
    for target in ("matching", "reproduce"):
        assert f"HOSTS is missing: make {target} HOSTS=DIR" in said(target)


@pytest.mark.parametrize("script", ["edarnn.py", "encode_submission.py", "scoring.py"])
def test_help(run: Start, finish: Finish, script: str) -> None:
    assert "usage: " in finish(run(script, "--help"))


def test_validation_is_the_split_of_training_even_after_bad_files_were_left_out(
    tiny_root: Path, tmp_path: Path
) -> None:
    from forgery_rcnn.config import DataConfig
    from forgery_rcnn.data import collection
    from forgery_rcnn.engine.runlog import Screen

    bad_mask(tiny_root)
    data = DataConfig(tiny_root, skip_bad=True, single="1")
    split = collection.open_checked(data, Screen(None).bar).split
    assert {r.case_id for r in split.validation}.isdisjoint(r.case_id for r in split.full)
    assert "3" not in {r.case_id for r in split.full + split.validation if r.label == "forged"}


def test_ctrl_c_during_prediction_keeps_what_is_done(
    run: Start, finish: Finish, trained: Path, shared_root: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for copy in range(400):
        shutil.copyfile(shared_root / "train_images/forged/1.png", images / f"{copy}.png")
    before = {"report.csv": "of an earlier run", "report.json": "{}"}
    (tmp_path / "out").mkdir()
    for name, text in before.items():
        (tmp_path / "out" / name).write_text(text)
    process = run(
        "encode_submission.py", "--images", images, "--weights", trained, "--out", tmp_path / "out", "--overlays", "0"
    )
    for line in process.stdout:
        if line.startswith("10: "):
            break
    process.send_signal(signal.SIGINT)
    assert "interrupted after" in finish(process, 130)
    assert len((tmp_path / "out/partial/submission.csv").read_text().splitlines()) > 2
    assert not (tmp_path / "out/submission.csv").exists()
    assert {name: (tmp_path / "out" / name).read_text() for name in before} == before, "what an earlier run told stays"
