"""The three scripts as a user types them: what they print, write, and say of bad input."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
    assert (out / "figures/1-one/forged-1.png").is_file()
    return out


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


def test_skip_bad_lists_and_goes_on(capsys: pytest.CaptureFixture[str], tiny_root: Path, tmp_path: Path) -> None:
    from edarnn import main

    bad_mask(tiny_root)
    flags = ["--eda-only", "--data.skip-bad", "--data.root", str(tiny_root), "--out", str(tmp_path / "out")]
    assert main(flags) == 0
    assert "skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["overfit"], "no recipe 'overfit'; use one of demo, overfit_one"),
        (["overfit_one", "--data.few", "0"], "data.few is 0; use at least 1 image"),
        (["overfit_one", "--stages.0.trainable"], "trainable is empty: name a part"),
        (["--resume"], "--resume needs --out RUN"),
        (["--data.root", "nowhere"], "nowhere: no such data root"),
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
    import signal

    images = tmp_path / "images"
    images.mkdir()
    for copy in range(400):
        shutil.copyfile(shared_root / "train_images/forged/1.png", images / f"{copy}.png")
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
