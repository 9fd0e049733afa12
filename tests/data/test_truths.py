"""The truth for a folder of images: from a root's right side, a folder of masks, or a solution file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.data import truths
from forgery_rcnn.instances import ANY_SIZE, Instances, Truth
from forgery_rcnn.submission import recodai

CASES = [str(case) for case in range(1, 7)]


def without(root: Path, side: str, *cases: str) -> Path:
    for case in cases:
        (root / f"train_images/{side}/{case}.png").unlink()
    return root


def mask(root: Path, case: str) -> np.ndarray:
    return np.load(root / "train_masks" / f"{case}.npy").astype(bool)


def forged(found: dict[str, Truth]) -> set[str]:
    return {case for case, truth in found.items() if truth.instances is not None}


def test_forged_side_of_a_root(shared_root: Path) -> None:
    found = truths.of_root(shared_root / "train_images" / "forged", CASES[::-1])
    assert list(found) == CASES
    for case, truth in found.items():
        assert truth.size == mask(shared_root, case).shape[1:]
        assert np.array_equal(truth.instances.masks(), mask(shared_root, case))


def test_authentic_side_of_a_root(shared_root: Path) -> None:
    found = truths.of_root(shared_root / "train_images" / "authentic", ["2", "5"])
    assert found == {"2": Truth((88, 80), None), "5": Truth((88, 96), None)}


def test_ids_that_occur_on_both_sides_leave_a_doubt(shared_root: Path, refused) -> None:
    for cases in (CASES, ["3"]):
        with refused("the case ids occur authentic and forged", f"--solution {shared_root}/train_images/forged"):
            truths.of_root(shared_root, cases)


def test_side_whose_ids_are_exactly_these_is_meant(tiny_root: Path) -> None:
    without(tiny_root, "authentic", "1", "2")
    assert forged(truths.of_root(tiny_root, CASES)) == set(CASES)
    assert forged(truths.of_root(tiny_root, CASES[2:])) == set()


def test_only_side_that_has_them_all_is_meant(tiny_root: Path) -> None:
    without(tiny_root, "authentic", "1", "2")
    assert forged(truths.of_root(tiny_root, ["1", "4"])) == {"1", "4"}


def test_a_mixed_folder_of_ids_known_on_one_side_each(tiny_root: Path) -> None:
    without(without(tiny_root, "authentic", "1", "2", "3"), "forged", "4", "5", "6")
    assert forged(truths.of_root(tiny_root, CASES)) == {"1", "2", "3"}
    assert forged(truths.of_root(tiny_root, ["3", "4"])) == {"3"}


@pytest.mark.parametrize("inner", ["", "train_images/forged", "train_images/authentic"])
def test_unknown_ids_are_named(inner: str, shared_root: Path, refused) -> None:
    with refused(str(shared_root / inner), "2 case ids", "(first: 77)"):
        truths.of_root(shared_root / inner, ["1", "88", "77"])


def test_bad_mask_of_a_root_names_its_file(tiny_root: Path, refused) -> None:
    np.save(tiny_root / "train_masks/3.npy", np.zeros((1, 80, 96), np.uint8))
    with refused("3.npy: mask is all zero"):
        truths.of_root(tiny_root / "train_images/forged", CASES)


def test_bad_image_of_a_root_names_its_file(tiny_root: Path, refused) -> None:
    (tiny_root / "train_images/forged/3.png").write_bytes(b"GIF8")
    with refused("3.png: "):
        truths.of_root(tiny_root / "train_images/forged", CASES)


def test_any_folder_that_is_a_root_or_a_side_of_one_is_read_as_one(shared_root: Path, refused) -> None:
    found = truths.of_folder(shared_root / "train_images/forged", ["2", "5"])
    assert list(found) == ["2", "5"] and forged(found) == {"2", "5"}
    assert found["5"].size == (88, 96)
    assert forged(truths.of_folder(shared_root / "train_images/authentic", ["2", "5"])) == set()
    with refused("the case ids occur authentic and forged"):
        truths.of_folder(shared_root, CASES)


def test_any_other_folder_holds_masks(shared_root: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "2.npy", np.load(shared_root / "train_masks/2.npy"))
    Image.fromarray(mask(shared_root, "3")[0]).save(tmp_path / "3_mask.png")
    found = truths.of_folder(tmp_path, ["7", "3", "2"])
    assert list(found) == list(truths.of_folder(tmp_path, ["2", "7", "3"])) == ["2", "3", "7"]
    assert found["7"] == Truth(ANY_SIZE, None)
    for case in ("2", "3"):
        assert found[case].size == found[case].instances.size == mask(shared_root, case).shape[1:]
        assert np.array_equal(found[case].instances.masks(), mask(shared_root, case))


@pytest.mark.parametrize("cases", [["97", "98"], []])
def test_folder_that_is_neither_root_nor_masks(cases: list[str], shared_root: Path, tmp_path: Path, refused) -> None:
    for folder in (tmp_path, tmp_path / "none", shared_root / "train_masks"):
        with refused(f"{folder}: neither a data root (no train_images/) nor a mask for any case id"):
            truths.of_folder(folder, cases)


def test_upper_case_and_black_masks(shared_root: Path, tmp_path: Path) -> None:
    Image.fromarray(mask(shared_root, "2")[0]).save(tmp_path / "2.PNG")
    Image.new("L", (7, 5)).save(tmp_path / "3_gt.png")
    np.save(tmp_path / "4.npy", np.zeros((2, 5, 7), np.uint8))
    found = truths.of_folder(tmp_path, ["2", "3", "4", "5"])
    assert forged(found) == {"2"} and [found[case].size for case in "345"] == [(5, 7), (5, 7), ANY_SIZE]
    read = truths.reader(tmp_path, [Path("2.png")])
    assert np.array_equal(read(Path("2.png"), (88, 80)).masks(), mask(shared_root, "2"))
    assert [read(Path(f"{case}.png"), (5, 7)) for case in "345"] == [None] * 3


def test_bad_mask_of_a_folder_names_its_file(tmp_path: Path, refused) -> None:
    np.save(tmp_path / "1.npy", np.ones((1, 2, 3), np.uint8) * 255)
    with refused(f"{tmp_path}/1.npy: mask holds values 255..255"):
        truths.of_folder(tmp_path, ["1", "2"])


def test_image_of_a_case(shared_root: Path, tmp_path: Path) -> None:
    region = Instances((4, 5))
    assert truths.image_of(shared_root, "2", region) == shared_root / "train_images/forged/2.png"
    assert truths.image_of(shared_root, "2", None) == shared_root / "train_images/authentic/2.png"
    assert truths.image_of(shared_root / "train_images/forged", "2", None) == shared_root / "train_images/forged/2.png"
    assert truths.image_of(shared_root, "77", region) is None
    (tmp_path / "test_images").mkdir()
    (tmp_path / "test_images/2.jpg").touch()
    (tmp_path / "2.png").touch()
    (tmp_path / "3.png").mkdir()
    assert truths.image_of(tmp_path, "2", None) == tmp_path / "test_images/2.jpg"
    assert truths.image_of(tmp_path, "3", None) is None
    for nowhere in (None, tmp_path / "none", tmp_path / "2.png"):
        assert truths.image_of(nowhere, "2", None) is None


@pytest.mark.parametrize(
    "case", ["../out", "in/../../out", "..", "{}/out", "..\\out", "in\\2", "a\0b", "C:out", "x" * 5000]
)
def test_image_of_a_case_that_leads_out_of_the_folder(case: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "in").mkdir(parents=True)
    (folder / "in/2.png").touch()
    for name in ("out", "images/..", "images/..\\out", "images/in\\2", "images/C:out"):
        (tmp_path / f"{name}.png").touch()
    assert truths.image_of(folder, case.format(tmp_path), None) is None
    assert truths.image_of(folder, "in/2", None) == folder / "in/2.png"


def test_folder_of_masks(shared_root: Path) -> None:
    files = [Path("x/2.png"), Path("x/clean.png")]
    read = truths.reader(shared_root / "train_masks", files)
    assert np.array_equal(read(files[0], (88, 80)).masks(), mask(shared_root, "2"))
    assert read(files[1], (88, 80)) is None


def test_folder_of_masks_of_other_images(shared_root: Path, tmp_path: Path, refused) -> None:
    files = [Path("x/97.png"), Path("x/98.png")]
    for source in (shared_root / "train_masks", tmp_path):
        with refused(f"--masks {source}: no mask for any of the 2 images", "97.npy"):
            truths.reader(source, files)


def test_mask_of_another_size_names_both_files(shared_root: Path, refused) -> None:
    read = truths.reader(shared_root / "train_masks", [Path("2.jpg")])
    with refused("2.npy: mask is (88, 80)", "2.jpg is 80 x 88"):
        read(Path("2.jpg"), (80, 88))


@pytest.fixture
def solution(tmp_path: Path) -> Path:
    masks = np.zeros((1, 4, 5), bool)
    masks[0, 1:3, 2:4] = True
    answers = {"f": Truth((4, 5), Instances.from_masks(masks)), "a": Truth((4, 5), None)}
    recodai.write_solution(tmp_path / "t.csv", answers)
    return tmp_path / "t.csv"


def test_solution_file(solution: Path) -> None:
    read = truths.reader(solution, [Path("f.png"), Path("a.png")])
    assert read(Path("f.png"), (4, 5)).areas().tolist() == [4]
    assert read(Path("a.png"), (99, 99)) is None  # its shape does not matter


def test_solution_of_another_size(solution: Path, refused) -> None:
    read = truths.reader(solution, [Path("f.png")])
    with refused("t.csv: case f: shape is (4, 5) but image f.png is 5 x 4"):
        read(Path("f.png"), (5, 4))


def test_solution_that_lacks_images(solution: Path, refused) -> None:
    with refused(f"--masks {solution}: no row for 2 of 3 images (first: b)"):
        truths.reader(solution, [Path("f.png"), Path("b.png"), Path("c.png")])


def test_source_that_is_not_there(tmp_path: Path, refused) -> None:
    with refused("none: not a readable CSV file"):
        truths.reader(tmp_path / "none", [Path("f.png")])


def test_truths_that_no_answer_asks_for_are_counted(shared_root: Path, tmp_path: Path) -> None:
    assert truths.unanswered(shared_root, CASES) == 0
    assert (
        truths.unanswered(shared_root, CASES[1:])
        == truths.unanswered(shared_root / "train_images/forged", CASES[1:])
        == 1
    )
    for name in ("7.npy", "8_mask.png", "9.txt", "._8_mask.png", ".10.png"):
        (tmp_path / name).write_bytes(b"")
    assert truths.unanswered(tmp_path, ["7"]) == 1
