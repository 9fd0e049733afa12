"""COCO files: what they may hold, in which folder the images lie, and one line for everything malformed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from forgery_rcnn.data import drawn, masks, records
from forgery_rcnn.data.drawn import Drawn
from forgery_rcnn.errors import InputError

Build = Callable[[str], Any]
SIZE = (8, 10)
PIXELS = SIZE[0] * SIZE[1]
NAN, INFINITY = float("nan"), float("inf")


def changed(root: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    path = root / "annotations.json"
    values = json.loads(path.read_text())
    out = change(values)
    path.write_text(json.dumps(values if out is None else out))
    return root


def first(key: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda file: file[key][0].update(values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: [file], "not a COCO file"),
        (lambda file: {**file, "annotations": 3}, "not a COCO file"),
        (lambda file: {**file, "images": ["1.png"]}, "not a COCO file"),
        (lambda file: {**file, "images": []}, "no image in it"),
        (first("annotations", image_id=999), "annotation 2 is of unknown image_id 999"),
        (first("annotations", image_id=None), "annotation 2 has image id None"),
        (first("images", id=[1]), "an image has image id [1]"),
        (first("images", id=2), "image id 2 twice"),
        (first("images", file_name="2.png"), "file_name '2.png' twice"),
        (first("images", file_name="2.jpg"), "case id '2' twice (2.jpg, 2.png)"),
        (first("images", file_name=7), "file_name '7'"),
        (first("images", file_name="a\nb.png"), "expected one inside"),
        (first("images", file_name=""), "path ''; expected one inside"),
        (first("images", file_name="../x.png"), "path '../x.png'; expected one inside the data root"),
        (first("images", file_name="/x.png"), "path '/x.png'"),
        (first("images", file_name="C:\\x.png"), "expected one inside"),
        (first("images", height=0), "image 1 has height x width 0 x 64"),
        (first("images", height=10**6, width=10**6), "image 1 has height x width"),
        (first("images", height=48.5), "height x width 48.5 x 64; expected whole numbers"),
        (first("images", height=INFINITY), "height x width inf x 64"),
        (first("images", width=True), "image 1 has height x width 48 x True"),
        (first("images", width=None), "image 1 has height x width 48 x None"),
    ],
)
def test_malformed_files(change: Callable[..., Any], said: str, build: Build, refused) -> None:
    root = changed(build("coco").root, change)
    with refused(str(root), said):
        records.scan(root, "coco")


@pytest.mark.parametrize(
    "text",
    ['{"images": [], "annotations": [', '"images" "annotations"', '{"images":1e, "annotations":[]}', "[" * 10**5],
)
def test_broken_json(text: str, build: Build, refused) -> None:
    root = build("coco").root
    (root / "annotations.json").write_text(text if '"images"' in text else f'{text}"images""annotations"')
    with refused("annotations.json: not a readable JSON file"):
        records.scan(root)


def test_images_that_are_nowhere(build: Build, refused) -> None:
    root = build("coco").root
    (root / "images").rename(root.parent / "elsewhere")
    with refused("annotations.json: image 1.png is neither in", str(root)):
        records.scan(root)


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("annotations/instances_x.json", "x2017"),
        ("annotations/a.json", "annotations"),
        ("_annotations.coco.json", ""),
        ("all.json", "images"),
    ],
)
def test_where_file_and_images_may_lie(source: str, folder: str, build: Build, tmp_path: Path) -> None:
    root, new = build("coco").root, tmp_path / "new"
    (new / source).parent.mkdir(parents=True)
    for path in (root / "images").rglob("*.png"):
        place = new / folder / path.relative_to(root / "images")
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    (root / "annotations.json").rename(new / source)
    (new / "other.json").write_text("{}")
    found = records.scan(new)
    assert len(found) == 12 and not any(records.inspect(record).problem for record in found)


def several(root: Path, **folders: str) -> Path:
    """FILE=FOLDER: a JSON file each, of an image 1.png in its folder; that of the first file alone is forged."""
    for number, (name, folder) in enumerate(folders.items()):
        (root / folder).mkdir(parents=True)
        Image.fromarray(np.full((*SIZE, 3), 40 * number, np.uint8)).save(root / folder / "1.png")
        image = {"id": 1, "file_name": "1.png", "height": float(SIZE[0]), "width": SIZE[1]}
        marks = [{"id": 1, "image_id": 1, "segmentation": square(1, 1, 5, 1, 5, 5)}] * (not number)
        (root / f"{name}.json").write_text(json.dumps({"images": [image], "annotations": marks}))
    return root


def test_equal_names_in_several_folders_are_told_apart_by_the_files(tmp_path: Path) -> None:
    root = several(tmp_path, instances_train="Train", val="val")
    found = {record.case_id: record for record in records.scan(root)}
    assert {case: record.label for case, record in found.items()} == {"Train__1": "forged", "val__1": "authentic"}
    assert {record.image for record in found.values()} == {root / "Train/1.png", root / "val/1.png"}
    assert not any(records.inspect(record).problem for record in found.values())


def test_equal_names_that_nothing_tells_apart(tmp_path: Path, refused) -> None:
    root = several(tmp_path, a="one", b="two")
    with refused("a.json: image 1.png may be that of one and two; name the file after its folder"):
        records.scan(root)
    (root / "two").rename(root / "Images")
    (root / "b.json").unlink()
    assert [record.image for record in records.scan(root)] == [root / "Images/1.png"]
    (root / "b.json").write_text((root / "a.json").read_text())
    (root / "1.png").write_bytes((root / "one/1.png").read_bytes())
    with refused("several of its JSON files list image 1.png"):
        records.scan(root)


def test_ids_may_be_text(build: Build) -> None:
    def change(file: dict[str, Any]) -> None:
        for image in file["images"]:
            image["id"] = f"i{image['id']}"
        for annotation in file["annotations"]:
            annotation["image_id"] = f"i{annotation['image_id']}"

    assert len(records.scan(changed(build("coco").root, change))) == 12


def test_a_mask_of_another_size_than_its_image(build: Build) -> None:
    root = changed(build("coco").root, first("images", height=64, width=48))
    record = next(r for r in records.scan(root) if r.case_id == "1")
    problem = records.inspect(record).problem
    assert "annotations.json: image 1.png: mask is (64, 48) but image 1.png is 48 x 64" in problem


def test_bad_annotations_are_met_by_the_check(build: Build) -> None:
    root = changed(build("coco").root, first("annotations", segmentation={"size": [48, 64], "counts": [-1, 3073]}))
    found = records.scan(root)
    good, _, problems = records.sound(found, records.check(found, 0), skip_bad=True)
    assert len(good) == 11 and problems[0].startswith(
        f"{root}/annotations.json: image 1.png: annotation 2: run lengths"
    )


def test_the_fingerprint_follows_the_annotations(build: Build) -> None:
    root = build("coco").root
    before = records.fingerprint(records.scan(root))
    changed(root, first("annotations", segmentation=[[1, 1, 9, 1, 9, 9]]))
    assert records.fingerprint(records.scan(root)) != before


def square(*points: Any) -> list[list[Any]]:
    return [list(points)]


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        (None, "no segmentation"),
        ([], "no segmentation"),
        ("abc", "no segmentation"),
        ([1, 1, 5, 1, 5, 5], "something that is no number"),
        (square(1, 1, 5, "1", 5, 5), "something that is no number"),
        (square(1, 1, 5, None, 5, 5), "something that is no number"),
        (square(1, 1, 5, True, 5, 5), "something that is no number"),
        (square(1, 1, 5, NAN, 5, 5), "something that is no number"),
        (square(1, 1, 5, INFINITY, 5, 5), "something that is no number"),
        (square(1, 1, 10**400, 1, 5, 5), "something that is no number"),
        (square(1, 1, 5, 1), "a polygon of 4 numbers"),
        (square(1, 1, 5, 1, 5, 5, 1), "a polygon of 7 numbers"),
        (square(1, 1, 11.5, 1, 5, 5), "a polygon reaches 1..11.5, outside the 8 x 10 image"),
        (square(1, -1.5, 5, 1, 5, 5), "a polygon reaches -1.5..5"),
        (square(1, 1, 5, 9.5, 5, 5), "outside"),
        ({}, "run lengths of size None"),
        ({"size": [10, 8], "counts": [PIXELS]}, "run lengths of size [10, 8]; the image is [8, 10]"),
        ({"size": [8, 10]}, "not whole numbers"),
        ({"size": [8, 10], "counts": [70, 11]}, "run lengths of 81 pixels; the image has 80"),
        ({"size": [8, 10], "counts": []}, "run lengths of 0 pixels"),
        ({"size": [8, 10], "counts": [-1, 81]}, "not whole numbers"),
        ({"size": [8, 10], "counts": [70.0, 10]}, "not whole numbers"),
        ({"size": [8, 10], "counts": [10**30, 10]}, "not whole numbers"),
        ({"size": [8, 10], "counts": "35"}, "run lengths of 8 pixels"),
        ({"size": [8, 10], "counts": "3P"}, "end too early"),
        ({"size": [8, 10], "counts": "3 5"}, "cannot be read"),
        ({"size": [8, 10], "counts": "P" * 1000 + "1"}, "cannot be read"),
        ({"size": [8, 10], "counts": "5é"}, "cannot be read"),
    ],
)
def test_malformed_shapes(segmentation: Any, said: str, refused) -> None:
    shapes = Drawn(Path("a.json"), "1.png", SIZE, (("5", json.dumps(segmentation)),))
    with refused("a.json: image 1.png: annotation 5: ", said):
        masks.read(shapes, SIZE, "1.png")


def test_shapes_that_mark_nothing(refused) -> None:
    clear = json.dumps({"size": [8, 10], "counts": [PIXELS]})
    with refused("a.json: image 1.png: mask is all zero"):
        masks.read(Drawn(Path("a.json"), "1.png", SIZE, (("5", clear),)), SIZE, "1.png")


def test_more_instances_than_memory_holds(refused) -> None:
    shapes = Drawn(Path("a.json"), "1.png", (10**4, 10**4), (("5", "null"),) * 100)
    with refused("100 instances of 10000 x 10000 are too many"):
        masks.read(shapes)


def test_a_polygon_may_reach_a_pixel_over_the_border_and_have_parts() -> None:
    assert drawn.mask_of(square(-1, -1, 11, -1, 11, 9, -1, 9), SIZE).all()
    parts = drawn.mask_of([[0, 0, 2, 0, 2, 2, 0, 2], [5, 5, 7, 5, 7, 7, 5, 7]], SIZE)
    expected = np.zeros(SIZE, bool)
    expected[:2, :2] = expected[5:7, 5:7] = True
    assert np.array_equal(parts, expected)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_run_lengths_of_the_reference_are_read_back(mask: np.ndarray) -> None:
    from faster_coco_eval.core import mask as reference

    code = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = code["counts"].decode()
    assert np.array_equal(drawn.mask_of({"size": list(mask.shape), "counts": counts}, mask.shape), mask)
    lengths = drawn.uncompressed(counts)
    assert np.array_equal(drawn.mask_of({"size": list(mask.shape), "counts": lengths}, mask.shape), mask)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=40, max_codepoint=115), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        mask = drawn.mask_of({"size": [8, 10], "counts": text}, SIZE)
    except InputError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert mask.shape == SIZE
