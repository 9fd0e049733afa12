"""Tianchi: PNG masks in a zip or a folder, round trips, soft masks, and one Problem for everything that is wrong."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from forgery_rcnn.errors import Problem
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.submission import archives, tianchi

SIZE = (4, 5)
INSIDE = "prediction_result/images/"
MASKS = hnp.arrays(bool, st.tuples(st.integers(0, 3), st.integers(1, 7), st.integers(1, 9)))


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


BLANK = png(np.zeros(SIZE, np.uint8))


def truths(*ids: str, size: tuple[int, int] = SIZE) -> dict[str, Truth]:
    return {case: Truth(size, None) for case in ids}


def masks_of(found: Answer) -> np.ndarray:
    return Instances(found.size, () if found.instances is None else found.instances.runs).masks().any(axis=0)


def one(tmp_path: Path, data: bytes, size: tuple[int, int] = SIZE) -> Answer | Problem:
    """What is read of a zip with this one mask, and of a folder; both must say the same."""
    archives.write(tmp_path / "a.zip", [(f"{INSIDE}a.png", data)])
    (tmp_path / "a").mkdir(exist_ok=True)
    (tmp_path / "a/a.png").write_bytes(data)
    zipped, plain = (list(tianchi.read(tmp_path / name, truths("a", size=size))) for name in ("a.zip", "a"))
    assert len(zipped) == len(plain) == 1
    if isinstance(zipped[0], Problem):
        assert zipped == plain and zipped[0].case_id == "a" and str(tmp_path) not in zipped[0].text
        assert len(str(zipped[0]).splitlines()) == 1
        return zipped[0]
    assert zipped[0][0] == plain[0][0] == "a" and np.array_equal(masks_of(zipped[0][1]), masks_of(plain[0][1]))
    return zipped[0][1]


@settings(max_examples=40, deadline=None)
@given(images=st.lists(MASKS, min_size=1, max_size=4))
@pytest.mark.parametrize("name", ["a.zip", "folder"])
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, name: str, images: list[np.ndarray]) -> None:
    path = tmp_path_factory.mktemp("tianchi") / name
    path.parent.joinpath("folder").mkdir()
    given_ = [(f"id {number}", Instances.from_masks(masks)) for number, masks in enumerate(images)]
    tianchi.write(path, ((case, Answer(found.size, found)) for case, found in given_))
    found = dict(tianchi.read(path, {case: Truth(found.size, None) for case, found in given_}))
    assert [*found] == [case for case, _ in given_]
    for (case, _), masks in zip(given_, images, strict=True):
        assert np.array_equal(masks_of(found[case]), masks.any(axis=0))
        assert (found[case].instances is None) == (not masks.any())
        assert found[case].heatmap is None and np.isnan(found[case].image_score)


def test_the_files_as_the_competition_wants_them(tmp_path: Path) -> None:
    pixel = np.zeros((1, *SIZE), bool)
    pixel[0, 3, 1] = True
    answers = [
        ("b", Answer(SIZE, Instances.from_masks(pixel))),
        ("a", Answer(SIZE, None)),
        ("none", Answer(SIZE, Instances(SIZE))),
    ]
    tianchi.write(tmp_path / "out", iter(answers))
    files = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*.*")}
    assert {*files} == {f"{INSIDE}{name}.png" for name in ("a", "b", "none")}
    with Image.open(files[f"{INSIDE}b.png"]) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (5, 4))
        assert np.array_equal(np.asarray(image), pixel[0] * 255)
    assert files[f"{INSIDE}a.png"].read_bytes() == files[f"{INSIDE}none.png"].read_bytes()
    os.utime(files[f"{INSIDE}a.png"], (0, 0))
    for name in ("1.zip", "2.ZIP"):
        tianchi.write(tmp_path / name, iter(answers))
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.ZIP").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as zipped:
        assert zipped.namelist() == [f"{INSIDE}{case}.png" for case, _ in answers]
        assert all(zipped.read(name) == files[name].read_bytes() for name in files)


@pytest.mark.parametrize("given_", ["", "prediction_result", "prediction_result/images"])
def test_any_of_the_three_folders_may_be_given(given_: str, tmp_path: Path) -> None:
    tianchi.write(tmp_path, [("a", Answer(SIZE, None))])
    assert [case for case, _ in tianchi.read(tmp_path / given_, truths("a"))] == ["a"]


@pytest.mark.parametrize("names", [[], ["a.txt", ".DS_Store"], ["other/a.png"], [f"{INSIDE}deep/a.png"]])
def test_a_folder_without_masks(names: list[str], tmp_path: Path, refused) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(BLANK)
    with refused(f"{tmp_path}: no PNG masks in it", INSIDE):
        list(tianchi.read(tmp_path, truths("a")))


def test_empty_folders_within_do_not_hide_the_masks(tmp_path: Path) -> None:
    (tmp_path / INSIDE).mkdir(parents=True)
    (tmp_path / "a.png").write_bytes(BLANK)
    found = [one for one in tianchi.read(tmp_path, truths("a")) if not isinstance(one, Problem)]
    assert [case for case, _ in found] == ["a"]


def test_soft_masks_are_cut_and_kept(tmp_path: Path) -> None:
    values = np.array([[0, 127, 128, 255, 1], [0, 0, 0, 0, 254], [9] * 5, [200] * 5], np.uint8)
    found = one(tmp_path, png(values))
    assert isinstance(found, Answer) and found.heatmap is not None and found.instances is not None
    assert len(found.instances) == 1 and np.array_equal(masks_of(found), values >= 128)
    assert found.heatmap.dtype == np.float32 and np.allclose(found.heatmap * 255, values, atol=1e-4)
    low = one(tmp_path, png(np.full(SIZE, 127, np.uint8)))
    assert isinstance(low, Answer) and low.instances is None and low.heatmap is not None and low.heatmap.min() > 0.49


@pytest.mark.parametrize("mode", ["RGB", "1", "P", "LA", "I;16"])
def test_other_kinds_of_black_and_white(mode: str, tmp_path: Path) -> None:
    mask = np.eye(*SIZE, dtype=bool)
    grey = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    image = Image.fromarray(mask.astype(np.uint16) * np.uint16(65535)) if mode == "I;16" else grey.convert(mode)
    file = io.BytesIO()
    image.save(file, "PNG")
    found = one(tmp_path, file.getvalue())
    assert isinstance(found, Answer) and found.heatmap is None and np.array_equal(masks_of(found), mask)


def test_black_that_is_called_transparent_stays_black(tmp_path: Path) -> None:
    mask = np.eye(*SIZE, dtype=np.uint8) * np.uint8(255)
    found = one(tmp_path, png(np.stack([mask] * 4, axis=2)))
    assert isinstance(found, Answer) and np.array_equal(masks_of(found), mask > 0)


def coloured(channel: int) -> bytes:
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[1, 2, channel] = 255
    return png(pixels)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        *((coloured(channel), "in colour") for channel in range(3)),
        (png(np.zeros((5, 4), np.uint8)), "mask is 5 x 4, its image 4 x 5"),
        (png(np.zeros(SIZE, np.uint8), "TIFF"), "no PNG"),
        (png(np.zeros(SIZE, np.uint8), "JPEG"), "no PNG"),
        (b"", "empty"),
        (b"not an image", "not an image"),
        (BLANK[:46], "truncated"),
        (BLANK[:45] + b"\xff" + BLANK[46:], "damaged"),
    ],
    ids=["red", "green", "blue", "turned", "tiff", "jpeg", "empty", "text", "cut", "flipped"],
)
def test_bad_masks(data: bytes, said: str, tmp_path: Path) -> None:
    found = one(tmp_path, data)
    assert isinstance(found, Problem) and said in found.text


def test_a_picture_far_too_large_is_not_decoded(tmp_path: Path) -> None:
    header = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + BLANK[24:29]
    data = BLANK[:12] + header + zlib.crc32(header).to_bytes(4, "big") + BLANK[33:]
    found = one(tmp_path, data, ANY_SIZE)
    assert isinstance(found, Problem) and "pixels" in found.text


def test_any_size_is_taken_where_the_truth_knows_none(tmp_path: Path) -> None:
    found = one(tmp_path, png(np.full((7, 3), 255, np.uint8)), ANY_SIZE)
    assert isinstance(found, Answer) and found.size == (7, 3) and found.instances is not None
    assert found.instances.size == (7, 3) and found.instances.areas().tolist() == [21]


NAMES = ["a.png", "A2.PNG", "extra.png", "a.PNG", "b.txt", "deep/c.png"]


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_missing_unknown_and_double(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "s.zip" if kind == "zip" else tmp_path
    if kind == "zip":
        archives.write(path, [(INSIDE + name, BLANK) for name in NAMES])
    else:
        for name in NAMES:
            file = tmp_path / INSIDE / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(BLANK)
        (tmp_path / INSIDE / ".DS_Store").write_bytes(b"")
    found = list(tianchi.read(path, truths("a", "A2", "c", "gone")))
    assert sorted(one[0] for one in found if not isinstance(one, Problem)) == ["A2", "a"]
    problems = {(one.case_id, one.text.split("; ")[0]) for one in found if isinstance(one, Problem)}
    assert {case for case, _ in problems} == {"", "a", "extra", "c", "gone"}
    assert ("a", "this case id occurs twice") in problems and ("extra", "unknown case id") in problems
    deep = "deep/c.png" if kind == "zip" else "deep"
    assert {text for case, text in problems if not case} == {"unknown file 'b.txt'", f"unknown file {deep!r}"}


def test_masks_elsewhere_in_the_zip(tmp_path: Path) -> None:
    archives.write(tmp_path / "s.zip", [("a.png", BLANK), ("images/a.png", BLANK)])
    found = list(tianchi.read(tmp_path / "s.zip", truths("a")))
    assert [one.case_id for one in found if isinstance(one, Problem)] == ["", "", "a"] and len(found) == 3
    assert "'images/a.png'" in found[1].text and INSIDE in found[1].text


def test_a_damaged_member_is_a_problem_of_its_case(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr(f"{INSIDE}a.png", BLANK)
        zipped.writestr(f"{INSIDE}b.png", b"content" + BLANK)
    path.write_bytes(path.read_bytes().replace(b"content", b"kontent"))
    found = list(tianchi.read(path, truths("a", "b")))
    assert found[0][0] == "a" and isinstance(found[1], Problem) and found[1].case_id == "b"
    assert "damaged" in found[1].text and str(path) not in found[1].text


@pytest.mark.parametrize("name", ["evil.png", "../evil.png", "prediction_result/images/../../../evil.png"])
def test_an_unsafe_zip_gives_nothing(name: str, tmp_path: Path, refused) -> None:
    path = tmp_path / "in" / "s.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr(f"{INSIDE}a.png", BLANK)
        zipped.writestr(name, BLANK)
        if name == "evil.png":
            zipped.filelist[1].external_attr = 0o120777 << 16  # a symbolic link
    with refused("s.zip", name.split("/")[-1]):
        list(tianchi.read(path, truths("a")))
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "s.zip"]


def test_no_such_file(tmp_path: Path, refused) -> None:
    with refused("none.zip", "No such file"):
        list(tianchi.read(tmp_path / "none.zip", truths("a")))


@pytest.mark.parametrize("name", ["a.zip", "out"])
@pytest.mark.parametrize("case", ["../a", "a/b", "a\\b", "a\0", "..", ""])
def test_case_ids_that_are_no_file_names(case: str, name: str, tmp_path: Path, refused) -> None:
    with refused("case id", repr(case)):
        tianchi.write(tmp_path / name, [(case, Answer(SIZE, None))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.zip", "out"])
def test_what_cannot_be_written(name: str, tmp_path: Path, refused) -> None:
    with refused("case a", "two answers"):
        tianchi.write(tmp_path / name, [("a", Answer(SIZE, None))] * 2)
    with refused("case b", "image size unknown"):
        tianchi.write(tmp_path / name, [("b", Answer(ANY_SIZE, None))])
    (tmp_path / "file").write_bytes(b"")
    with refused("file", "cannot be written"):
        tianchi.write(tmp_path / "file" / name, [("a", Answer(SIZE, None))])
