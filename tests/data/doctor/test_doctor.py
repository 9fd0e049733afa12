"""Every fault is found and named, alone; the clean sample has none; the repaired copy has none that it says it mends."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.data import masks, records
from forgery_rcnn.data.doctor import __main__ as command
from forgery_rcnn.data.doctor import examine, page, repair
from forgery_rcnn.data.doctor.findings import CHECKS

_spec = importlib.util.spec_from_file_location("doctor_planted", Path(__file__).with_name("planted.py"))
assert _spec is not None and _spec.loader is not None
planted = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(planted)


def hashes(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def named(root: Path) -> set[str]:
    return {finding.check for finding in examine.examine(root, 1).findings}


def test_the_clean_sample_has_no_fault(whole_sample: Path) -> None:
    found = examine.examine(whole_sample, 1)
    assert found.findings == [] and found.images == found.readable == 156 and found.alpha > 0
    assert found.verdict() == "sound: 0 errors, 0 warnings, 0 notes in 156 images"


def test_every_kind_of_fault_is_planted() -> None:
    assert {check for check, _ in planted.FAULTS.values()} == CHECKS.keys() - {"missing_folder"}


@pytest.mark.parametrize("name", planted.FAULTS)
def test_a_planted_fault_is_found_and_mended(name: str, root: Path, tmp_path: Path) -> None:
    check, plant = planted.FAULTS[name]
    path = plant(root)
    found = examine.examine(root, 1)
    twins = {"near_duplicate_of_test"} if check == "duplicate_of_test" else set()  # a twin hardly changed is a copy too
    assert {check} <= {finding.check for finding in found.findings} <= {check} | twins, found.findings
    assert path in {file for finding in found.findings for file in finding.files}
    before = hashes(root)
    repair.repair(found, tmp_path / "fixed", 1)
    assert hashes(root) == before
    left = named(tmp_path / "fixed")
    remedies = {finding.remedy for finding in found.findings}
    assert left == ({check} if remedies == {"kept"} else set())
    with open(tmp_path / "fixed" / repair.TABLE, newline="") as file:
        rows = list(csv.DictReader(file))
    assert any(row["finding"].startswith(f"{check}: ") for row in rows)
    if left == set():
        records.check(records.scan(tmp_path / "fixed"), 1)
    touched = {row["file"] for row in rows}
    fixed = hashes(tmp_path / "fixed")
    assert {name for name, digest in before.items() if fixed.get(name) != digest} <= touched


@pytest.mark.parametrize(
    "name", ["transposed", "turned", "255", "float", "a_channel_zero", "a_channel_twice", "inverted", "2d", "bool"]
)
def test_a_mended_mask_is_the_one_before(name: str, root: Path, tmp_path: Path) -> None:
    before = np.load(root / planted.MASK)
    planted.FAULTS[name][1](root)
    repair.repair(examine.examine(root, 1), tmp_path / "fixed", 1)
    after = np.load(tmp_path / "fixed" / planted.MASK)
    assert after.dtype == np.uint8
    assert np.array_equal(after, before.max(axis=0, keepdims=True) if name == "2d" else before)


def test_a_turned_picture_is_turned_as_its_mask(root: Path, tmp_path: Path) -> None:
    forged, mask = planted.pixels(root, planted.FORGED), np.load(root / planted.MASK)
    planted.drawn_on_the_turned_picture(root)
    found = examine.examine(root, 1)
    assert [(f.check, f.files[0]) for f in found.findings] == [
        ("exif_orientation", planted.AUTHENTIC),
        ("exif_orientation", planted.FORGED),
    ]
    repair.repair(found, tmp_path / "fixed", 1)
    assert named(tmp_path / "fixed") == set()
    assert np.array_equal(planted.pixels(tmp_path / "fixed", planted.FORGED), np.rot90(forged, -1))
    assert np.array_equal(np.load(tmp_path / "fixed" / planted.MASK), np.rot90(mask, -1, (1, 2)))


@pytest.mark.parametrize("quality", [60, 90])
def test_twins_that_went_through_jpeg(quality: int, root: Path) -> None:
    for path in (planted.FORGED, planted.AUTHENTIC):
        Image.fromarray(planted.pixels(root, path)).save((root / path).with_suffix(".jpg"), quality=quality)
        (root / path).unlink()
    assert named(root) == set()
    sound = np.load(root / planted.MASK)
    for change, check in ((lambda m: 1 - m, "inverted_mask"), (planted.boxed, "boxy_mask")):
        np.save(root / planted.MASK, change(sound))
        assert named(root) == {check}
    np.save(root / planted.MASK, sound)
    mask = np.zeros_like(sound[:1])
    mask[0, :20, 3:20] = 1
    mask[0, 0, 3] = 0
    np.save(root / planted.MASK, mask)
    assert named(root) <= {"unchanged_under_mask", "mask_misses_change"} and named(root)


def test_masks_that_are_images(root: Path) -> None:
    for path in [*(root / "train_masks").iterdir()]:
        union = np.load(path).any(axis=0)
        Image.fromarray(union.astype(np.uint8) * 255).save(path.with_name(f"{path.stem}_mask.png"))
        path.unlink()
    assert named(root) == set()


def test_masks_with_an_upper_case_suffix_are_read_and_kept(root: Path, tmp_path: Path) -> None:
    first, second = sorted((root / "train_masks").glob("*.npy"))[:2]
    Image.fromarray(masks.read(first).any(axis=0).astype(np.uint8) * 255).save(first.with_suffix(".PNG"))
    first.unlink()
    second.rename(second.with_suffix(".NPY"))
    found = examine.examine(root, 1)
    assert found.findings == []
    repair.repair(found, tmp_path / "fixed", 1)
    assert hashes(tmp_path / "fixed").items() >= hashes(root).items()


def test_a_forgery_in_the_wrong_folder_is_moved(root: Path, tmp_path: Path) -> None:
    forged = (root / planted.FORGED).read_bytes()
    planted.forged_in_the_wrong_folder(root)
    repair.repair(examine.examine(root, 1), tmp_path / "fixed", 1)
    assert (tmp_path / "fixed" / planted.FORGED).read_bytes() == forged
    assert not (tmp_path / "fixed" / planted.AUTHENTIC).exists()


@pytest.mark.parametrize(
    ("name", "test"),
    [("test_copy", "9.png"), ("test_copy_forged", "9.png"), ("near_test", "30099.jpg")],
)
def test_a_case_that_shows_a_test_image_is_left_out_whole(name: str, test: str, root: Path, tmp_path: Path) -> None:
    planted.FAULTS[name][1](root)
    repair.repair(examine.examine(root, 1), tmp_path / "fixed", 1)
    rows = list(csv.DictReader((tmp_path / "fixed" / repair.TABLE).read_text().splitlines()))
    for path in (planted.FORGED, planted.AUTHENTIC, planted.MASK):
        assert not (tmp_path / "fixed" / path).exists()
        assert any(row["file"] == path.as_posix() and row["done"].startswith("left out") for row in rows)
    assert (tmp_path / "fixed/test_images" / test).exists() and (tmp_path / "fixed" / planted.ALONE).exists()


def test_every_copy_of_what_nearly_is_a_test_image_is_left_out(root: Path, tmp_path: Path) -> None:
    planted.FAULTS["copy"][1](root)
    planted.nearly_a_test_image(root)
    found = examine.examine(root, 1)
    leaking = {finding.files[0] for finding in found.findings if finding.check == "near_duplicate_of_test"}
    assert {planted.AUTHENTIC, planted.AUTHENTIC.with_stem("9")} <= leaking
    repair.repair(found, tmp_path / "fixed", 1)
    assert named(tmp_path / "fixed") == set()


@pytest.mark.parametrize("quality", [60, 75, 90])
def test_one_twin_that_was_compressed_again(quality: int, root: Path) -> None:
    Image.fromarray(planted.pixels(root, planted.FORGED)).save(
        (root / planted.FORGED).with_suffix(".jpg"), quality=quality
    )
    (root / planted.FORGED).unlink()
    assert named(root) == set()


def closed_folders(root: Path) -> None:
    for path in [*(root / "train_images" / "forged").iterdir()]:
        path.unlink()


def odd_names(root: Path) -> None:
    for number, name in enumerate(("a b", "ü", "<b>&", "new\nline", "=1+1", "-x", os.fsdecode(b"\xff"))):
        Image.fromarray(np.full((40, 40 + number, 3), 20 * number, np.uint8)).save(
            root / "train_images/authentic" / f"{name}.png"
        )


def links(root: Path) -> None:
    (root / "train_images/authentic/broken.png").symlink_to("nowhere.png")
    (root / "train_images/authentic/loop").symlink_to(root)
    (root / "train_images/authentic/folder.png").mkdir()
    (root / ".hidden").write_bytes(b"?")
    (root / "train_images/forged/.hidden.png").write_bytes(b"?")


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (closed_folders, {"missing_folder", "orphan_mask", "forged_among_authentic"}),
        (odd_names, set()),
        (links, {"unreadable", "unknown_folder"}),
    ],
    ids=["closed_folders", "odd_names", "links"],
)
def test_odd_roots(plant: Callable[[Path], None], expected: set[str], root: Path, tmp_path: Path) -> None:
    plant(root)
    found = examine.examine(root, 1)
    assert {finding.check for finding in found.findings} <= expected
    assert "<b>&" not in page.to_html(found)
    json.loads(page.to_json(found))
    repair.repair(found, tmp_path / "fixed", 1)


def test_a_root_without_images(tmp_path: Path) -> None:
    (tmp_path / "train_images").mkdir()
    found = examine.examine(tmp_path, 1)
    assert {finding.check for finding in found.findings} == {"missing_folder"} and found.images == 0


def test_processes_find_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.FAULTS["inverted"][1](root)
    alone = examine.examine(root, 1)
    monkeypatch.setattr(examine, "WORTH_PROCESSES", 0)
    assert examine.examine(root, 2) == alone


def test_command_on_faults(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "train_images/authentic/<b>.png").write_bytes(b"")
    planted.FAULTS["boxy"][1](root)
    odd_names(root)
    out = tmp_path / "out"
    assert command.main([str(root), "--out", str(out), "--fix", str(tmp_path / "new")]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1].startswith("verdict: not sound: 2 errors, 0 warnings, 0 notes in 14 images; begin with ")
    found = json.loads((out / "report.json").read_text())
    assert found["root"] == "root" and found["counts"]["checks"] == {"unreadable": 1, "boxy_mask": 1}
    assert found["findings"][1]["files"] == [planted.MASK.as_posix()]
    assert str(tmp_path) not in (out / "report.json").read_text() + (out / "report.html").read_text()
    html = (out / "report.html").read_text()
    assert "&lt;b&gt;" in html and "<b>.png" not in html and "data:image/jpeg;base64," in html
    assert "http" not in html and "<script" not in html


def test_command_on_a_clean_root(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(root), "--out", str(tmp_path / "out")]) == 0
    assert "verdict: sound: 0 errors" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags",
    [
        ["{tmp}/nothing"],
        ["{tmp}"],
        ["{root}", "--fix", "{root}/fixed"],
        ["{root}", "--fix", "{tmp}"],
        ["{root}", "--fix", "{tmp}/full"],
        ["{root}", "--out", "{root}/report"],
        ["{root}", "--workers", "0"],
    ],
)
def test_command_refuses(flags: list[str], root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    before = hashes(tmp_path)
    assert command.main([flag.format(tmp=tmp_path, root=root) for flag in flags]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and len(said.splitlines()) == 1
    assert hashes(tmp_path) == before


def test_the_mask_that_is_read_is_the_reader_s(root: Path) -> None:
    """Of several masks of a case the doctor looks at the one that `masks.of_stem` finds."""
    for name in ("10017.png", "10017_mask.png", "10017_gt.npy"):
        (root / "train_masks" / name).write_bytes(b"?")
    case = next(c for c in examine.examine(root, 1).layout.cases if c.case_id == "10017")
    assert root / case.masks[0] == masks.of_stem(masks.listed(root / "train_masks"), "10017")
    (root / case.masks[0]).unlink()
    case = next(c for c in examine.examine(root, 1).layout.cases if c.case_id == "10017")
    assert root / case.masks[0] == masks.of_stem(masks.listed(root / "train_masks"), "10017")
