"""Every layout: recognised by its folders, read into exact records, its masks as they were drawn, ready to train on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from forgery_rcnn.config import DataConfig, ModelConfig
from forgery_rcnn.data import collection, dataset, layouts, records, truths
from forgery_rcnn.data.layouts import LAYOUTS
from forgery_rcnn.errors import InputError

IDS = range(1, 7)
every_layout = pytest.mark.parametrize("name", LAYOUTS)
Build = Callable[[str], Any]


def summary(found: list[records.Record], root: Path) -> list[tuple[Any, ...]]:
    """(case id, label, image, mask, hosts) with paths below the root."""
    return [
        (
            r.case_id,
            r.label,
            r.image.relative_to(root).as_posix(),
            r.mask.relative_to(root).as_posix() if isinstance(r.mask, Path) else r.mask and r.mask.image_name,
            r.hosts,
        )
        for r in found
    ]


EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "recodai": [(f"{i}", "authentic", f"train_images/authentic/{i}.png", None, ()) for i in IDS]
    + [(f"{i}", "forged", f"train_images/forged/{i}.png", f"train_masks/{i}.npy", ()) for i in IDS],
    "aaltoes": [(f"image_{i}", "authentic", f"train/originals/image_{i}.png", None, ()) for i in IDS]
    + [(f"image_{i}", "forged", f"train/images/image_{i}.png", f"train/masks/image_{i}.png", ()) for i in IDS],
    "mediaeval": [(f"{i}", "authentic", f"orig/{i}.png", None, (f"{i}",)) for i in IDS]
    + [
        (
            f"{folder}__{i}_mask_{shape}.png_ps_0",
            "forged",
            f"{folder}/{i}_mask_{shape}.png_ps_0.png",
            f"masks/{i}_mask_{shape}.png",
            (f"{i}",),
        )
        for folder in ("ps-sp", "sd2-sp")
        for i in IDS
        for shape in ("bbox", "segm")
    ],
    "mediaeval_val": [(f"coco__orig__{i}", "authentic", f"coco/orig/{i}.png", None, (f"coco__orig__{i}",)) for i in IDS]
    + [(f"raise__r{i}", "authentic", f"raise/r{i}.png", None, (f"raise__r{i}",)) for i in IDS]
    + [
        (f"coco__fake__{i}", "forged", f"coco/fake/{i}.png", f"coco/masks/{i}_mask.png", (f"coco__orig__{i}",))
        for i in IDS
    ],
    "tianchi": [(f"{i + 10}", "authentic", f"data/train/img/{i + 10}.png", None, ()) for i in IDS]
    + [(f"{i}", "forged", f"data/train/img/{i}.jpg", f"data/train/mask/{i}.png", ()) for i in IDS],
    "casia": [(f"Au_ani_0001{i}", "authentic", f"Au/Au_ani_0001{i}.jpg", None, (f"ani0001{i}",)) for i in IDS]
    + [
        (
            stem := f"Tp_D_CND_M_N_ani0001{i}_sec0009{i}_0013{i}",
            "forged",
            f"Tp/{stem}.tif",
            f"CASIA 2 Groundtruth/{stem}_gt.png",
            (f"ani0001{i}", f"sec0009{i}"),
        )
        for i in IDS
    ],
    "coco": [(f"clean__{i}", "authentic", f"images/clean/{i}.png", None, ()) for i in IDS]
    + [(f"{i}", "forged", f"images/{i}.png", f"{i}.png", ()) for i in IDS],
    "pairs": [(f"{i + 10}", "authentic", f"imgs/{i + 10}.png", None, ()) for i in IDS]
    + [(f"{i}", "forged", f"imgs/{i}.png", f"GroundTruth/{i}_mask.png", ()) for i in IDS],
}


@every_layout
def test_exact_records(name: str, build: Build) -> None:
    root = build(name).root
    assert layouts.fitting(root) == [name]
    found = records.scan(root)
    assert summary(found, root) == EXPECTED[name]
    assert records.scan(root, name) == found and {record.part for record in found} == {"train"}
    assert len({record.key for record in found}) == len(found) == len({hash(record) for record in found})


@every_layout
def test_masks_are_those_that_were_drawn(name: str, build: Build) -> None:
    drawing = build(name)
    for record in records.scan(drawing.root):
        drawn = drawing.truth[record.image.relative_to(drawing.root).as_posix()]
        assert np.array_equal(records.load(record).masks, drawn), record.key


@every_layout
def test_end_to_end(name: str, build: Build) -> None:
    config = DataConfig(root=build(name).root, folds=2, single="none")
    opened = collection.open_checked(config, lambda *_: nullcontext(lambda: None))
    assert len(opened.records) == len(EXPECTED[name]) and not opened.problems and len(opened.fingerprint) == 16
    assert opened.split.validation and opened.split.few
    items = dataset.ForgeryDataset(opened.split.few, config, ModelConfig(image_size=64))
    assert all(len(items[(index, 0)][1]["masks"]) for index in range(len(items)))


def same(drawing: Any, record: records.Record, truth: Any) -> bool:
    """Whether a truth is what was drawn into the record's image."""
    drawn = drawing.truth[record.image.relative_to(drawing.root).as_posix()]
    return truth.instances is None if not len(drawn) else np.array_equal(truth.instances.masks(), drawn)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name not in ("recodai", "aaltoes")])
def test_truths_of_a_root(name: str, build: Build, refused) -> None:
    drawing = build(name)
    found = records.scan(drawing.root)
    known = truths.of_folder(drawing.root, [record.case_id for record in found])
    assert all(same(drawing, record, known[record.case_id]) for record in found)
    assert truths.unanswered(drawing.root, [record.case_id for record in found[1:]]) == 1
    with refused(f"{drawing.root}: 1 case ids", "(first: nowhere)"):
        truths.of_folder(drawing.root, ["nowhere"])


@every_layout
def test_truths_of_one_folder_of_a_root_go_by_stems(name: str, build: Build) -> None:
    drawing = build(name)
    found = [r for r in records.scan(drawing.root) if r.label == "forged"]
    own = {r.image.stem: r for r in found if r.image.parent == found[0].image.parent}
    known = truths.of_folder(found[0].image.parent, list(own))
    assert all(same(drawing, record, known[stem]) for stem, record in own.items())


def test_truths_of_ids_that_occur_twice_leave_a_doubt(build: Build, refused) -> None:
    root = build("aaltoes").root
    with refused(f"--solution {root}/train/images (or {root}/train/originals)"):
        truths.of_folder(root, [f"image_{i}" for i in IDS])
    with refused(f"{root}/train: neither a data root"):
        shutil.move(root / "train/images", root / "train/elsewhere")
        truths.of_root(root / "train", ["image_1"])


def test_a_stem_under_two_generators_is_no_name_but_the_case_id_is(build: Build, refused) -> None:
    root = build("mediaeval").root
    with refused("1 case ids", "(first: 1_mask_bbox.png_ps_0)"):
        truths.of_folder(root, ["1_mask_bbox.png_ps_0"])
    shutil.rmtree(root / "sd2-sp")
    assert truths.of_folder(root, ["1_mask_bbox.png_ps_0"])["1_mask_bbox.png_ps_0"].instances is not None


def test_the_configuration_names_the_layouts() -> None:
    assert get_args(get_type_hints(DataConfig)["layout"]) == ("auto", *LAYOUTS)


def test_recodai_is_preferred_and_pairs_come_last(build: Build) -> None:
    root = build("aaltoes").root
    assert layouts.fitting(root) == ["aaltoes"]
    shutil.copytree(build("recodai").root, root, dirs_exist_ok=True)
    assert layouts.fitting(root) == ["recodai"]
    assert {r.case_id for r in records.scan(root, "aaltoes")} == {f"image_{i}" for i in IDS}


def test_originals_and_masks_are_a_pair_too_when_one_says_so(build: Build) -> None:
    root = build("aaltoes").root / "train"
    assert layouts.fitting(root) == ["aaltoes"] and len(records.scan(root, "aaltoes")) == 12
    assert [r.label for r in records.scan(root, "pairs")] == ["forged"] * 6


def test_several_layouts_that_fit(build: Build, refused) -> None:
    root = build("casia").root
    shutil.copytree(build("coco").root, root, dirs_exist_ok=True)
    with refused(
        f"{root}: fits the layouts casia, coco; found Au/, CASIA 2", "--data.layout", LAYOUTS["casia"].expected
    ):
        records.scan(root)
    assert len(records.scan(root, "casia")) == 12


def test_no_layout_that_fits(tmp_path: Path, refused) -> None:
    for number in range(12):
        (tmp_path / f"folder{number:02}").mkdir()
    with refused(f"{tmp_path}: no known layout; found folder00/, ", "4 more", *(x.expected for x in LAYOUTS.values())):
        records.scan(tmp_path)
    (tmp_path / "empty").mkdir()
    with refused("found nothing"):
        records.scan(tmp_path / "empty")


@every_layout
def test_a_layout_that_is_forced_must_fit(name: str, tmp_path: Path, refused) -> None:
    with refused(f"{tmp_path}: not in the layout {name}; found nothing; expected {LAYOUTS[name].expected}"):
        records.scan(tmp_path, name)


def test_a_layout_that_does_not_exist(tmp_path: Path, refused) -> None:
    with refused("no layout 'voc'; use auto or one of recodai, aaltoes"):
        records.scan(tmp_path, "voc")


MISSING = [
    ("aaltoes", "train/masks/image_2.png", "image_2"),
    (
        "casia",
        "CASIA 2 Groundtruth/Tp_D_CND_M_N_ani00012_sec00092_00132_gt.png",
        "Tp_D_CND_M_N_ani00012_sec00092_00132",
    ),
    ("tianchi", "data/train/mask/2.png", "2"),
    ("mediaeval_val", "coco/masks/2_mask.png", "coco__fake__2"),
    ("coco", "images/2.png", "2"),
]


@pytest.mark.parametrize(("name", "gone", "case"), MISSING, ids=[name for name, *_ in MISSING])
def test_a_missing_file_is_met_by_the_check(name: str, gone: str, case: str, build: Build) -> None:
    root = build(name).root
    (root / gone).unlink()
    found = records.scan(root)
    bad = [r.case_id for r, fact in zip(found, records.check(found, 0), strict=True) if fact.problem]
    assert bad == [case]
    good, _, problems = records.sound(found, records.check(found, 0), skip_bad=True)
    assert len(good) == len(found) - 1 and " no such " in problems[0]


def test_damaged_masks_are_met_by_the_check_not_by_the_scan(build: Build) -> None:
    root = build("tianchi").root
    (root / "data/train/mask/2.png").write_bytes(b"\x89PNG")
    found = records.scan(root)
    assert [r.case_id for r in found if records.inspect(r).problem] == ["2"]


def test_an_empty_mask_is_an_error_at_home_and_authentic_elsewhere(build: Build) -> None:
    home, aaltoes = build("recodai").root, build("aaltoes")
    np.save(home / "train_masks/2.npy", np.zeros((1, 48, 64), np.uint8))
    assert (
        "mask is all zero" in records.inspect(next(r for r in records.scan(home) if r.key.endswith("forged/2"))).problem
    )
    aaltoes.mask("train/masks/image_2.png", np.zeros((48, 64), bool))
    found = [r for r in records.scan(aaltoes.root) if r.case_id == "image_2"]
    assert [(r.label, r.image.parent.name) for r in found] == [("authentic", "images")]


@pytest.mark.parametrize(
    "config", [{"layout": "casia", "root": Path("x")}, {"root": None}], ids=["with a layout", "without a root"]
)
def test_masks_go_with_a_root_without_layout(config: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"data\.masks is"):
        DataConfig(masks=Path("masks"), **config)
