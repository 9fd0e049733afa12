"""The built-in sample: layout, truth, determinism, and that a half-built folder is never taken for complete."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from forgery_rcnn import rle
from forgery_rcnn.config import DataConfig
from forgery_rcnn.data import collection, sample
from forgery_rcnn.data.doctor import examine
from forgery_rcnn.data.forge.blend import REACH
from forgery_rcnn.data.forge.figure import Figure
from forgery_rcnn.data.forge.plans import SMALLEST
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import ANY_SIZE
from forgery_rcnn.submission import recodai


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete sample of seed 0; tests must leave it as it is."""
    return sample.build(tmp_path_factory.mktemp("sample") / "set")


def digests(folder: Path) -> dict[str, str]:
    """-> sha256 of every file, by its path relative to `folder`."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def forged_pairs(root: Path) -> list[tuple[Path, Path]]:
    """-> (image, mask) files of all forged training and supplemental figures."""
    folders = (("train_images/forged", "train_masks"), ("supplemental_images", "supplemental_masks"))
    return [
        (image, root / masks / f"{image.stem}.npy")
        for images, masks in folders
        for image in sorted((root / images).iterdir())
    ]


def stub_fill(folder: Path, seed: int) -> None:
    """Stands in for the drawing, where a test is about the folder only."""
    (folder / "train_masks").mkdir(parents=True)
    (folder / "train_masks" / "1.npy").write_text(str(seed))
    (folder / sample.STAMP).write_text(json.dumps(sample._stamp(folder, seed)))


def test_layout_and_counts(root: Path) -> None:
    forged, authentic = stems(root / "train_images" / "forged"), stems(root / "train_images" / "authentic")
    assert len(forged) >= 64 and len(authentic) >= 60
    assert authentic < forged
    assert stems(root / "train_masks") == forged
    assert len(stems(root / "supplemental_images")) == 6
    assert stems(root / "supplemental_masks") == stems(root / "supplemental_images")
    assert len(stems(root / "test_images")) == 16
    assert all(stem.isdecimal() for stem in forged)
    assert not (forged & stems(root / "test_images")) and not (forged & stems(root / "supplemental_images"))
    assert {path.name for path in root.iterdir() if path.is_file()} == {
        "solution.csv",
        "sample_submission.csv",
        "manifest.csv",
        sample.STAMP,
    }
    assert json.loads((root / sample.STAMP).read_text()).keys() == {"version", "seed", "counts"}
    assert [path.name for path in root.parent.iterdir()] == ["set"]  # no scratch folder left beside it


def test_masks_fit_their_images(root: Path) -> None:
    for image, mask in forged_pairs(root):
        masks = np.load(mask)
        assert masks.dtype == np.uint8 and masks.ndim == 3 and len(masks) >= 1
        assert masks.shape[1:] == pixels(image).shape[:2], mask.name
        assert set(np.unique(masks)) == {0, 1}, mask.name
        assert masks.sum(axis=(1, 2)).min() >= SMALLEST, mask.name


def test_instances_do_not_overlap(root: Path) -> None:
    assert all(np.load(mask).sum(axis=0).max() == 1 for _, mask in forged_pairs(root))


def test_instances_and_areas_spread_as_in_the_real_data(root: Path) -> None:
    truth = [np.load(path) for path in (root / "train_masks").iterdir()]
    shares = 100 * np.array([masks.any(axis=0).mean() for masks in truth])
    low, middle, high = np.quantile(shares, [0.1, 0.5, 0.9])
    assert 0.2 < low < 1.0 and 2.5 < middle < 5.0 and 8.0 < high < 15.0
    numbers = np.bincount([len(masks) for masks in truth], minlength=4) / len(truth)
    assert numbers[1:4] == pytest.approx([0.68, 0.25, 0.07], abs=0.05)


def test_modes_and_sizes_vary(root: Path) -> None:
    modes, sizes = [], []
    for image, _ in forged_pairs(root):
        with Image.open(image) as opened:
            modes.append(opened.mode)
            sizes.append(opened.size)
    assert set(modes) == {"RGB", "RGBA", "L"}
    assert modes.count("RGB") > len(modes) / 2
    assert len(set(sizes)) >= 10
    assert any(width != height for width, height in sizes) and any(side % 2 for size in sizes for side in size)
    assert min(map(min, sizes)) >= 128 and max(map(max, sizes)) <= 640


def test_overfitting_image_has_two_large_regions(root: Path) -> None:
    masks = np.load(root / "train_masks" / "10017.npy")
    assert masks.shape == (2, 384, 512)
    assert masks.mean(axis=(1, 2)).min() > 0.02
    assert pixels(root / "train_images" / "forged" / "10017.png").shape == (384, 512, 3)


def operations(root: Path) -> dict[str, list[dict[str, str]]]:
    """Rows of the manifest, by case id."""
    csv.field_size_limit(10**7)
    found: dict[str, list[dict[str, str]]] = {}
    for row in table(root / sample.MANIFEST):
        found.setdefault(row["case_id"], []).append(row)
    return found


def test_forged_equals_its_twin_outside_the_masks(root: Path) -> None:
    """Where no treatment spread the change, and panels were not replaced."""
    reach = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    told, seen = operations(root), 0
    for twin in sorted((root / "train_images" / "authentic").iterdir()):
        before, after = pixels(twin), pixels(root / "train_images" / "forged" / twin.name)
        assert before.shape == after.shape and before.dtype == after.dtype
        change = np.abs(before.astype(int) - after).reshape(*before.shape[:2], -1).max(axis=2)
        masks = np.load(root / "train_masks" / f"{twin.stem}.npy")
        assert all(change[mask > 0].mean() > 1 for mask in masks), twin.name
        rows = told[twin.stem]
        if rows[0]["treatment"] == "[]" and not any(row["operation"] == "overlap" for row in rows):
            assert not change[cv2.dilate(masks.max(axis=0), reach) == 0].any(), twin.name
            seen += 1
    assert seen >= 15


def test_the_manifest_tells_of_every_figure(root: Path) -> None:
    told = operations(root)
    folders = ("train_images/forged", "supplemental_images", "test_images")
    assert told.keys() == {stem for folder in folders for stem in stems(root / folder)}
    for image, mask in forged_pairs(root):
        assert len(told[image.stem]) == len(np.load(mask))
    assert {row["operation"] for rows in told.values() for row in rows} >= {"copy_move", "splice", "removal", "lanes"}


def test_training_and_validation_share_no_host(root: Path) -> None:
    files = collection.open_checked(DataConfig(root=root), Screen(None).bar)
    train, held = ({host for r in side for host in r.hosts} for side in (files.split.full, files.split.validation))
    assert train and held and not train & held
    assert 0.08 < len(files.split.validation) / len(files.records) < 0.4


def test_the_doctor_finds_nothing_wrong_with_it(root: Path) -> None:
    assert [str(each) for each in examine.examine(root, 1, lambda: None).findings] == []


def test_solution_decodes_and_matches_the_submission_template(root: Path) -> None:
    solution, template = table(root / "solution.csv"), table(root / "sample_submission.csv")
    assert list(solution[0]) == ["case_id", "annotation", "shape", "kind"] and list(template[0]) == [
        "case_id",
        "annotation",
    ]
    assert [row["case_id"] for row in solution] == [row["case_id"] for row in template]
    assert {row["case_id"] for row in solution} == stems(root / "test_images")
    assert {row["annotation"] for row in template} == {"authentic"}
    assert sum(row["annotation"] == "authentic" for row in solution) == 8
    for row in solution:
        height, width = json.loads(row["shape"])
        assert (height, width) == pixels(root / "test_images" / f"{row['case_id']}.png").shape[:2]
        if row["annotation"] != "authentic":
            for code in row["annotation"].split(";"):
                runs = rle.decode(code, (height, width), rle.RECODAI)
                assert runs[:, 1].sum() >= SMALLEST
                assert rle.encode(runs, (height, width), rle.RECODAI) == code


def test_solution_says_how_each_figure_was_forged(root: Path) -> None:
    found = recodai.read_solution(root / "solution.csv")
    kinds = {case: set(truth.kind.split(" + ")) - {""} for case, truth in found.items()}
    assert all(bool(kinds[case]) == (truth.instances is not None) for case, truth in found.items())
    assert {"copy_move"} < set().union(*kinds.values())
    assert ANY_SIZE not in {truth.size for truth in found.values()}


def test_test_hosts_share_no_column_with_training_hosts() -> None:
    train, test = sample._hosts("train"), sample._hosts("test")
    assert set(train) & set(test) == set(sample.SHARED)
    for name in sample.SHARED:
        whole = train[name].shape[1] + test[name].shape[1]
        assert train[name].shape[1] == round(sample.SHARE * whole), name


def test_same_seed_same_bytes_other_seed_other_bytes(root: Path, tmp_path: Path) -> None:
    assert digests(sample.build(tmp_path / "again")) == digests(root)
    other, first = digests(sample.build(tmp_path / "other", seed=1)), digests(root)
    images = [name for name in first if name.endswith(".png")]
    assert all(other.get(name) != first[name] for name in images)


def test_complete_folder_is_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    monkeypatch.setattr(sample, "_fill", lambda folder, seed: pytest.fail("built again"))
    assert sample.build(root) == root
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before


@pytest.mark.parametrize("stop_after", [30, 100, 230])
def test_interrupted_build_leaves_nothing_that_looks_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    left, save = [stop_after], sample.save

    def interrupted(path: Path, array: np.ndarray) -> str:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return save(path, array)

    blank = np.zeros((8, 8), np.uint8)
    monkeypatch.setattr(sample, "save", interrupted)
    monkeypatch.setattr(sample, "make", lambda plan, pool: Figure(blank, blank, blank[None], (), (), ()))
    with pytest.raises(KeyboardInterrupt):
        sample.build(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(sample, "_fill", stub_fill)
    assert (sample.build(tmp_path / "set") / sample.STAMP).is_file()


def test_missing_file_other_seed_and_other_version_are_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "_fill", stub_fill)
    out = sample.build(tmp_path / "set")
    part = out / "train_masks" / "1.npy"
    part.unlink()
    assert (sample.build(out) / "train_masks" / "1.npy").read_text() == "0"
    assert (sample.build(out, seed=7) / "train_masks" / "1.npy").read_text() == "7"
    part.write_text("of the version before")
    monkeypatch.setattr(sample, "VERSION", sample.VERSION + 1)
    assert (sample.build(out, seed=7) / "train_masks" / "1.npy").read_text() == "7"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_broken_stamp_is_not_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "_fill", stub_fill)
    out = sample.build(tmp_path / "set")
    (out / sample.STAMP).write_text('{"version":')
    (out / "train_masks" / "1.npy").write_text("half")
    assert (sample.build(out) / "train_masks" / "1.npy").read_text() == "0"


def test_foreign_folder_is_refused_and_kept(tmp_path: Path) -> None:
    kept = tmp_path / "set" / "train_images" / "mine.png"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    with pytest.raises(InputError, match="not a sample made here"):
        sample.build(tmp_path / "set")
    assert kept.read_bytes() == b"mine"


def test_empty_folder_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "_fill", stub_fill)
    (tmp_path / "set").mkdir()
    assert (sample.build(tmp_path / "set") / sample.STAMP).is_file()


def test_default_root_falls_back_to_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sample.default_root() == Path(sample.__file__).parents[2] / "data" / "sample"
    monkeypatch.setattr(sample, "__file__", str(tmp_path / "forgery_rcnn" / "data" / "sample.py"))
    monkeypatch.setattr(os, "access", lambda *args: False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert sample.default_root() == tmp_path / "home" / ".cache" / "forgery_rcnn" / "sample"
    (tmp_path / "data" / "sample").mkdir(parents=True)
    (tmp_path / "data" / "sample" / sample.STAMP).write_text("{}")
    assert sample.default_root() == tmp_path / "data" / "sample"  # built before the tree became read-only
