"""A corpus on disk: complete, the same however it was interrupted, and read by everything else."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.config import DataConfig
from forgery_rcnn.data import collection, images, records
from forgery_rcnn.data.doctor import examine
from forgery_rcnn.data.forge import corpus, hosts
from forgery_rcnn.data.forge.__main__ import main
from forgery_rcnn.data.forge.corpus import Corpus
from forgery_rcnn.data.forge.hosts import Host
from forgery_rcnn.data.forge.plans import Recipe
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.submission import recodai

COUNT = 40


def wanted(out: Path, found: list[Host], count: int = COUNT, **changes: object) -> Corpus:
    return Corpus(out, hosts.pools(found), count, 3, Recipe(**{"compound": 0.3, "authentic": 0.15, **changes}))


@pytest.fixture(scope="module")
def built(found: list[Host], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of forty figures."""
    out = tmp_path_factory.mktemp("made") / "corpus"
    corpus.build(wanted(out, found), 2)
    return out


def sums(root: Path) -> dict[str, str]:
    """Every file's hash, without the log, whose lines come in the order of the work."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path.name != corpus.LOG)
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def manifest(root: Path) -> list[dict[str, str]]:
    csv.field_size_limit(10**7)
    with open(root / corpus.MANIFEST, newline="") as file:
        return list(csv.DictReader(file))


def test_the_layout_is_the_competition_s(built: Path) -> None:
    found = records.scan(built)
    facts = records.check(found, 1)
    assert not [fact.problem for fact in facts if fact.problem]
    forged = {r.case_id for r in found if r.label == "forged"}
    authentic = {r.case_id for r in found if r.label == "authentic"}
    assert forged < authentic, "every forged figure has its pristine twin, and some figures are authentic only"
    tests = {path.stem for path in (built / "test_images").iterdir()}
    assert not tests & authentic and len(tests | authentic) == COUNT


def test_splits_and_manifest_name_every_case(built: Path) -> None:
    with open(built / corpus.SPLITS, newline="") as file:
        parts = {row["case_id"]: row["part"] for row in csv.DictReader(file)}
    rows = manifest(built)
    assert len(parts) == COUNT and parts.keys() == {row["case_id"] for row in rows}
    assert {row["part"] for row in rows} == set(parts.values()) == {"train", "validation", "test"}
    assert all(parts[row["case_id"]] == row["part"] for row in rows)


def test_parts_share_no_host_and_no_picture(built: Path, found: list[Host]) -> None:
    shown: dict[str, set[str]] = {}
    for row in manifest(built):
        shown.setdefault(row["part"], set()).update(filter(None, row["hosts"].split(";")))
    assert not shown["train"] & shown["validation"] and not (shown["train"] | shown["validation"]) & shown["test"]
    drawn = {f"drawn:{row['case_id']}" for row in manifest(built)}
    assert set().union(*shown.values()) <= {host.id for host in found} | drawn


def test_the_manifest_s_sums_and_polygons_are_the_files(built: Path) -> None:
    seen = 0
    for row in manifest(built):
        if row["label"] == "forged" and row["part"] != "test":
            masks = np.load(built / "train_masks" / f"{row['case_id']}.npy")
            mask = masks[int(row["instance"])]
            for x, y in (point for target in json.loads(row["targets"]) for point in target):
                assert mask[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].any()
                seen += 1
            for column, folder, suffix in (
                ("sha256", "train_images/forged", "png"),
                ("sha256_authentic", "train_images/authentic", "png"),
                ("sha256_mask", "train_masks", "npy"),
            ):
                data = (built / folder / f"{row['case_id']}.{suffix}").read_bytes()
                assert row[column] == hashlib.sha256(data).hexdigest()
            assert len(json.loads(row["transform"])) in (0, len(json.loads(row["targets"])))
    assert seen > 50


def test_the_solution_is_the_test_images_truth(built: Path) -> None:
    truths = recodai.read_solution(built / corpus.SOLUTION)
    kinds = {row["case_id"]: row for row in manifest(built) if row["part"] == "test"}
    assert truths.keys() == kinds.keys() == {path.stem for path in (built / "test_images").iterdir()}
    for case, truth in truths.items():
        assert images.header_size(built / "test_images" / f"{case}.png") == truth.size
        assert (truth.instances is None) == (kinds[case]["label"] == "authentic") == (truth.kind == "")
    assert {truth.instances is None for truth in truths.values()} == {True, False}


def test_training_reads_it_with_its_own_split(built: Path) -> None:
    files = collection.open_checked(DataConfig(root=built), Screen(None).bar)
    with open(built / corpus.SPLITS, newline="") as file:
        held = {row["case_id"] for row in csv.DictReader(file) if row["part"] == "validation"}
    assert {record.case_id for record in files.split.validation} == held


def test_the_doctor_finds_nothing_wrong_with_it(built: Path, found: list[Host], tmp_path: Path) -> None:
    """Rectangles forged as such, lanes and panels among them; overlapping panels, which change as a whole."""
    out = tmp_path / "panels"
    corpus.build(wanted(out, found, 60, compound=1.0, operations=("overlap", "panel_reuse", "lanes", "copy_move")), 2)
    assert {"overlap", "panel_reuse", "lanes"} <= {row["operation"] for row in manifest(out)}
    for root in (built, out):
        findings = examine.examine(root, 1, lambda: None).findings
        assert [str(each) for each in findings if each.check != "near_duplicate"] == []


def test_a_build_that_was_stopped_goes_on_and_ends_with_the_same_files(
    built: Path, found: list[Host], tmp_path: Path
) -> None:
    out = tmp_path / "again"
    corpus.build(wanted(out, found, 13), 1)
    log = out / corpus.LOG
    log.write_bytes(log.read_bytes()[:-40])  # killed while it wrote the last line
    (out / "train_images" / "forged" / ".00001.png.tmp").write_bytes(b"half a picture")
    calls: list[int] = []
    corpus.build(wanted(out, found), 2, lambda: calls.append(1))
    (out / "train_images" / "forged" / ".00001.png.tmp").unlink()
    assert len(calls) == COUNT and sums(out) == sums(built)


def test_a_finished_corpus_is_left_as_it_is(built: Path, found: list[Host]) -> None:
    times = {path: path.stat().st_mtime_ns for path in built.rglob("*.png")}
    corpus.build(wanted(built, found), 1)
    assert times == {path: path.stat().st_mtime_ns for path in built.rglob("*.png")}


def test_another_set_is_never_mixed_in(built: Path, found: list[Host], tmp_path: Path, refused) -> None:
    before = sums(built)
    with refused("was begun with other hosts or settings"):
        corpus.build(wanted(built, found, compound=0.9), 1)
    with refused("was begun with other hosts or settings"):
        corpus.build(wanted(built, found[:6]), 1)
    with refused("holds more than 5 figures", "at least 40"):
        corpus.build(wanted(built, found, 5), 1)
    (tmp_path / "mine.txt").write_text("dear")
    with refused("is not empty and was not made here"):
        corpus.build(wanted(tmp_path, found), 1)
    assert sums(built) == before and (tmp_path / "mine.txt").read_text() == "dear"


def test_a_host_that_has_gone_is_one_line(found: list[Host], host_folder: Path, tmp_path: Path, refused) -> None:
    moved = [Host(host.id, tmp_path / host.id, host.size, host.shows) for host in found]
    with refused("no such image file"):
        corpus.build(Corpus(tmp_path / "out", hosts.pools(moved), 3, 0, Recipe()), 1)


def test_the_command(host_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((300, 300), np.uint8)).save(tmp_path / "black.png")
    out = tmp_path / "root"
    assert main(["--hosts", str(host_folder), "--out", str(out), "--count", "6", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "12 hosts in 4 pools" in printed and str(out) in printed and len(manifest(out)) >= 6
    assert main(["--hosts", str(tmp_path / "none"), "--out", str(out)]) == 2
    assert main(["--hosts", str(host_folder), "--out", str(out), "--count", "0"]) == 2
    assert main(["--hosts", str(host_folder), "--out", str(out), "--operations", "teleport"]) == 2
    assert main(["--hosts", str(host_folder), "--out", str(out), "--seed", "-1"]) == 2
    assert main(["--hosts", str(host_folder), "--out", str(host_folder / "made")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 5 and all(line.startswith("error: ") for line in errors)
    for error, text in zip(
        errors, ("no such folder", "1 or more", "teleport", "0 or more", "would become hosts"), strict=True
    ):
        assert text in error


def test_made_sets_are_no_hosts(built: Path, host_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "all" / "made")
    shutil.copytree(host_folder, tmp_path / "all" / "pictures")
    assert {path.parent.parent.name for path in hosts.files_of(tmp_path / "all")} == {"pictures"}


def test_a_set_too_small_to_validate_on_is_split_by_folds(found: list[Host], tmp_path: Path) -> None:
    made = Corpus(tmp_path / "out", [sum(hosts.pools(found), ())], 12, 0, Recipe(authentic=0.0))
    assert {case.part for case in corpus.build(made, 1)} == {"train"}
    assert not (tmp_path / "out" / corpus.SPLITS).exists()


def test_what_was_deleted_and_what_cannot_be_read_is_made_again(found: list[Host], tmp_path: Path) -> None:
    made = wanted(tmp_path / "out", found, 8)
    corpus.build(made, 1)
    before = sums(made.out)
    next((made.out / "train_images" / "forged").iterdir()).unlink()
    log = made.out / corpus.LOG
    log.write_bytes(b"{}\nnonsense\n" + log.read_bytes())
    corpus.build(made, 1)
    assert sums(made.out) == before


def test_workers_end_with_a_killed_parent(host_folder: Path, tmp_path: Path, run) -> None:
    out = tmp_path / "root"
    process = run("forgery_rcnn.data.forge", "--hosts", host_folder, "--out", out, "--workers", 2, "--count", 4000)
    for _ in range(600):
        time.sleep(0.1)
        if (out / corpus.LOG).is_file() and (out / corpus.LOG).stat().st_size:
            break
    process.kill()
    process.communicate(timeout=30)  # ends when nobody holds the pipe any more


def test_ctrl_c_keeps_what_is_done(host_folder: Path, tmp_path: Path, run, finish) -> None:
    """Interrupted as by a terminal: one word, no traceback, and the next call goes on."""
    out = tmp_path / "root"
    flags = ("--hosts", host_folder, "--out", out, "--workers", 2, "--count")
    process = run("forgery_rcnn.data.forge", *flags, 4000)
    for _ in range(600):
        time.sleep(0.1)
        if (out / corpus.LOG).is_file() and (out / corpus.LOG).read_bytes().count(b"\n") >= 4:
            break
    process.send_signal(signal.SIGINT)
    assert "interrupted" in finish(process, 130)
    done = (out / corpus.LOG).read_bytes().count(b"\n")
    assert done >= 4 and not (out / corpus.MANIFEST).exists()
