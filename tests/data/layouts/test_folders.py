"""Layouts that are folders by name: pairs, home, CASIA, TGIF; what is missing, too many, or not to be understood."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.config import DataConfig
from forgery_rcnn.data import collection, records
from forgery_rcnn.data.layouts import casia, folders, mediaeval

Build = Callable[[str], Any]


def hosts(root: Path) -> dict[str, tuple[str, ...]]:
    return {record.key: record.hosts for record in records.scan(root)}


def test_a_manifest_tells_the_hosts(build: Build) -> None:
    root = build("recodai").root
    (root / "manifest.csv").write_text(
        "kind,case_id,hosts\ncopy,1,a.png;b.png\ncopy,2, c.png \ncopy,1,d.png\ncopy,77,x\n"
    )
    found = hosts(root)
    assert found["train/forged/1"] == found["train/authentic/1"] == ("a.png", "b.png", "d.png")
    assert found["train/forged/2"] == ("c.png",) and found["train/forged/3"] == ()


def test_a_manifest_of_other_things_is_passed_over(build: Build) -> None:
    root = build("recodai").root
    (root / "manifest.csv").write_text("file,licence\n1.png,MIT\n")
    assert set(hosts(root).values()) == {()}


def test_a_manifest_with_a_short_row(build: Build, refused) -> None:
    root = build("recodai").root
    (root / "manifest.csv").write_text("case_id,hosts\n1\n")
    with refused("manifest.csv: row 2: too few cells"):
        records.scan(root)


@pytest.mark.parametrize(
    ("stem", "found"),
    [
        ("Tp_D_CND_M_N_ani00018_sec00096_00138", ("ani00018", "sec00096")),
        ("Tp_S_NRN_S_N_art00010_art00010_11005", ("art00010",)),
        ("Sp_D_CND_A_pla0005_pla0023_0281", ("pla0005", "pla0023")),
        ("Au_pla_00005", ("pla00005",)),
        ("Tp_D_without_any_00138", ()),
    ],
)
def test_pictures_in_casia_names(stem: str, found: tuple[str, ...]) -> None:
    assert casia.hosts(stem) == found


def test_recodai_folders_whatever_their_case_and_hidden_files(build: Build) -> None:
    root = build("recodai").root
    (root / "train_images" / "forged").rename(root / "train_images" / "Forged")
    for name in ("train_images", "train_masks"):
        (root / name).rename(root / name.title())
    (root / "supplemental_images").mkdir()
    (root / "supplemental_images" / ".DS_Store").write_bytes(b"x")
    found = records.scan(root)
    assert [record.label for record in found] == ["authentic"] * 6 + ["forged"] * 6
    assert not any(records.inspect(record).problem for record in found)


@pytest.mark.parametrize("name", ["Gt", "GT", "GroundTruth", "CASIA_2_Groundtruth", "casia 2 groundtruth"])
def test_casia_folders_whatever_their_case(name: str, build: Build) -> None:
    root = build("casia").root
    (root / "CASIA 2 Groundtruth").rename(root / name)
    (root / "Tp").rename(root / "TP")
    assert [record.label for record in records.scan(root)] == ["authentic"] * 6 + ["forged"] * 6


def test_an_extra_mask_does_no_harm_where_every_image_must_have_one(build: Build) -> None:
    for name, mask in (("casia", "CASIA 2 Groundtruth/x_gt.png"), ("tianchi", "data/train/mask/x.png")):
        drawing = build(name)
        drawing.mask(mask, np.ones((48, 64), bool))
        assert len(records.scan(drawing.root)) == 12


def test_an_extra_mask_of_a_pair_may_be_a_forged_image_taken_for_authentic(build: Build, refused) -> None:
    drawing = build("pairs")
    extra = drawing.mask("GroundTruth/011_mask.png", np.ones((48, 64), bool))
    with refused(f"{extra}: mask of no image in {drawing.root}/imgs", "rename it"):
        records.scan(drawing.root)


def test_a_pair_without_any_mask_that_fits(build: Build, refused) -> None:
    root = build("pairs").root
    for path in (root / "GroundTruth").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    with refused(f"{root}/GroundTruth: no mask for any of the 12 images; expected e.g. 1.png"):
        records.scan(root)


def test_a_pair_of_folders_without_images(tmp_path: Path, refused) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    with refused(f"{tmp_path}/images: no image in it"):
        records.scan(tmp_path)


def test_black_masks_of_a_pair_are_authentic_images(build: Build) -> None:
    drawing = build("pairs")
    drawing.mask("GroundTruth/1_mask.png", np.zeros((48, 64), bool))
    assert [r.case_id for r in records.scan(drawing.root) if r.label == "forged"] == ["2", "3", "4", "5", "6"]


def test_a_black_mask_of_a_tampered_casia_image_is_a_bad_file(build: Build, refused) -> None:
    drawing = build("casia")
    drawn = next((drawing.root / "CASIA 2 Groundtruth").iterdir())
    drawing.mask(f"CASIA 2 Groundtruth/{drawn.name}", np.zeros((48, 64), bool))
    found = records.scan(drawing.root)
    assert [record.label for record in found] == ["authentic"] * 6 + ["forged"] * 6
    (bad,) = [record for record in found if record.mask == drawn]
    with refused(drawn.name, "all zero"):
        records.load(bad)


def test_two_folders_of_any_name(build: Build, refused) -> None:
    root = build("pairs").root
    (root / "imgs").rename(root / "A")
    (root / "GroundTruth").rename(root / "B")
    found = records.scan(root / "A", mask_folder=root / "B")
    assert [(r.case_id, r.label) for r in found if r.label == "forged"] == [(str(i), "forged") for i in range(1, 7)]
    opened = collection.open_checked(DataConfig(root=root / "A", masks=root / "B", folds=2), Bar())
    assert opened.records == found
    with refused(f"--data.masks {root}/C: no such folder"):
        records.scan(root / "A", mask_folder=root / "C")
    with refused(f"--data.masks {root}/A: the folder of the images itself"):
        records.scan(root / "A", mask_folder=root / "A")


class Bar:
    """No progress bar."""

    def __call__(self, *_: Any) -> Bar:
        return self

    def __enter__(self) -> Callable[[], None]:
        return lambda: None

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("stem", "original", "mask"),
    [
        ("12_mask_bbox.png_ps_0", "12", "12_mask_bbox"),
        ("12_mask_segm.png_sd2_3", "12", "12_mask_segm"),
        ("12_mask_segm_7", "12", "12_mask_segm"),
        ("a_mask_12_mask_bbox", "a_mask_12", "a_mask_12_mask_bbox"),
    ],
)
def test_names_of_fakes(stem: str, original: str, mask: str) -> None:
    name = mediaeval.NAME.match(stem)
    assert name and (name["original"], name["mask"]) == (original, mask)


@pytest.mark.parametrize("stem", ["12", "_mask_bbox.png", "12_mask_bboxes", "12_bbox.png"])
def test_names_that_tell_no_mask(stem: str, build: Build, refused) -> None:
    drawing = build("mediaeval")
    drawing.image(f"sdxl-fr/{stem}.png")
    with refused(f"sdxl-fr/{stem}.png: its name tells no mask", "ID_mask_segm.png"):
        records.scan(drawing.root)


@pytest.mark.parametrize("column", ["img_path", "mask_path", "src_path"])
@pytest.mark.parametrize("path", ["../x.png", "coco/../../x.png", "/x.png", "c:/x.png", "coco\\x.png", "."])
def test_a_list_that_leads_out_of_the_root(column: str, path: str, build: Build, refused) -> None:
    root = build("mediaeval_val").root
    cells = {"img_path": "coco/7.png", "mask_path": "", "src_path": "", "type": "real", column: path}
    with (root / "taskB_val.csv").open("a") as file:
        file.write(",".join(cells.values()) + "\n")
    with refused("taskB_val.csv: row 20: path ", "inside the data root"):
        records.scan(root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("img_path,mask_path\n", "no column src_path"),
        ("img_path,mask_path,src_path,type\n", "no rows"),
        ("img_path,mask_path,src_path,type\na.png\n", "row 2: too few cells"),
        ("img_path,mask_path,src_path,type\na.png,,,real\na.jpg,,,real\n", "case id 'a' twice (a.jpg, a.png)"),
        ("img_path,mask_path,src_path,type\n,,,real\n", "row 2: path ''"),
    ],
)
def test_bad_lists(text: str, said: str, tmp_path: Path, refused) -> None:
    (tmp_path / "taskB_val.csv").write_text(text)
    with refused("taskB_val.csv", said):
        records.scan(tmp_path)


def test_the_first_name_wins_and_files_are_no_folders(tmp_path: Path) -> None:
    for name in ("imgs", "Image", "IMAGE"):
        (tmp_path / name).mkdir()
    (tmp_path / "images").touch()
    assert folders.child(tmp_path, ("images", "image", "imgs")) == tmp_path / "IMAGE"
    assert folders.child(tmp_path, ("masks",)) is None and folders.child(tmp_path / "none", ("masks",)) is None


def test_ten_thousand_images_are_scanned_in_seconds(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(tmp_path / "masks/0.png")
    content = (tmp_path / "masks/0.png").read_bytes()
    for number in range(10_000):
        (tmp_path / f"images/{number}.png").touch()
        (tmp_path / f"masks/{number}.png").write_bytes(content)
    start = time.perf_counter()
    assert len(records.scan(tmp_path)) == 10_000
    assert time.perf_counter() - start < 20
