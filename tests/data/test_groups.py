"""Groups and leaks: planted copies, hosts and case ids are found, and a given split that has them is refused."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from forgery_rcnn.config import DataConfig
from forgery_rcnn.data import content, records, splits
from forgery_rcnn.data.collection import open_checked
from forgery_rcnn.data.groups import Leak, groups, leaks
from forgery_rcnn.data.records import Facts, Record
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import FileProblems


def field(seed: int) -> np.ndarray:
    """(120, 160, 3) uint8: smooth random structure, another one for every seed."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((120, 160)), 5)
    return np.repeat((127 + 90 * noise / np.abs(noise).max()).astype(np.uint8)[..., None], 3, axis=2)


def compressed(pixels: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=50)
    return np.asarray(Image.open(file))


COPIES = {
    "compressed": compressed,
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
    "turned": lambda pixels: np.ascontiguousarray(np.rot90(pixels)),
}
PICTURES = [content.of(field(seed)) for seed in range(16)]


def planted(copy: str) -> tuple[list[Record], list[Facts]]:
    """Sixteen forged images, and a copy of the sixth under another case id."""
    shown = [*PICTURES, content.of(COPIES[copy](field(5)))]
    names = [*(f"c{i:02}" for i in range(16)), "twin"]
    items = [Record(name, "forged", Path(f"{name}.png")) for name in names]
    return items, [Facts("", (120, 160), forged_pixels=100 + i, content=shows) for i, shows in enumerate(shown)]


def by_key(items: list[Record], facts: list[Facts]) -> Mapping[str, Facts]:
    return {item.key: fact for item, fact in zip(items, facts, strict=True)}


@pytest.mark.parametrize("copy", COPIES)
def test_a_planted_copy_is_never_on_the_other_side(copy: str) -> None:
    items, facts = planted(copy)
    assert groups(items, facts) == [*range(16), 5]
    for fold in range(5):
        for seed in range(3):
            found = splits.split(items, facts, DataConfig(fold=fold, split_seed=seed))
            assert (items[5] in found.full) == (items[16] in found.full)
            assert found.groups == 16


def test_what_was_drawn_for_one_case_alone_is_no_near_duplicate() -> None:
    items, facts = planted("compressed")
    items[16] = replace(items[16], hosts=("drawn:twin",))
    assert groups(items, facts) == [*range(16), 16]
    assert leaks(items[:8], items[8:], by_key(items, facts)) == []
    items[16] = replace(items[16], hosts=("drawn:twin", "moon"))
    assert groups(items, facts) == [*range(16), 5]


@pytest.mark.parametrize("copy", COPIES)
def test_leaks_name_both_and_why(copy: str) -> None:
    items, facts = planted(copy)
    items[2], items[15] = (replace(items[i], hosts=("moon",)) for i in (2, 15))
    items.append(replace(items[3], label="authentic"))
    facts.append(Facts(""))
    found = leaks(items[:8], items[8:], by_key(items, facts))
    assert found == [
        Leak("train/forged/c02", "train/forged/c15", "shared host moon"),
        Leak("train/forged/c03", "train/authentic/c03", "same case id c03"),
        Leak("train/forged/c05", "train/forged/twin", "near-duplicate picture"),
    ]
    assert leaks(items[:5], items[5:15], by_key(items, facts)) == []


def test_images_that_share_an_id_and_their_looks_are_one_leak() -> None:
    items = [Record("7", label, Path("7.png")) for label in ("authentic", "forged")]
    facts = [Facts("", content=PICTURES[0])] * 2
    assert leaks(items[:1], items[1:], by_key(items, facts)) == [
        Leak("train/authentic/7", "train/forged/7", "same case id 7")
    ]


NAMES = st.lists(st.tuples(st.integers(0, 9), st.lists(st.sampled_from("abcd"), max_size=2)), max_size=14)


@settings(max_examples=60, deadline=None)
@given(NAMES, st.lists(st.integers(0, 7), min_size=14, max_size=14))
def test_groups_never_leak_and_no_two_of_them_could_be_one(
    named: list[tuple[int, list[str]]], shown: list[int]
) -> None:
    items = [Record(str(case), "forged", Path(f"{i}.png"), hosts=tuple(own)) for i, (case, own) in enumerate(named)]
    facts = [Facts("", content=PICTURES[number]) for number in shown[: len(items)]]
    found = groups(items, facts)
    links = [
        (i, j)
        for i in range(len(items))
        for j in range(i)
        if items[i].case_id == items[j].case_id or set(items[i].hosts) & set(items[j].hosts) or shown[i] == shown[j]
    ]
    assert found == content.joined(len(items), links)


def given_split(folder: Path, text: str, items: list[Record], facts: list[Facts], **config: object) -> splits.Split:
    path = folder / "mine.csv"
    path.write_text(text)
    return splits.split(items, facts, DataConfig(split_file=path, **config))


def rows(validation: set[str], items: list[Record]) -> str:
    parts = {item.case_id: "validation" if item.case_id in validation else "train" for item in items}
    return "case_id,part\n" + "".join(f"{case},{part}\n" for case, part in parts.items())


def test_a_given_split_replaces_the_folds(tmp_path: Path) -> None:
    items, facts = planted("mirrored")
    held = {"c05", "twin", "c01"}
    found = given_split(tmp_path, rows(held, items).replace("c09,train", "c09,test"), items, facts, single="c07")
    assert {r.case_id for r in found.validation} == held
    assert {r.case_id for r in found.full} == {r.case_id for r in items} - held - {"c09"}
    assert found.single == [items[7]] and set(found.few) <= set(found.full)


def test_supplemental_images_need_no_row(tmp_path: Path) -> None:
    items, facts = planted("mirrored")
    items[0] = replace(items[0], part="supplemental")
    found = given_split(tmp_path, rows({"c01"}, items[1:]), items, facts)
    assert items[0] in found.full


def test_a_given_split_that_leaks_is_refused(tmp_path: Path, refused) -> None:
    items, facts = planted("compressed")
    with refused("mine.csv: ", "train/forged/c05 (train)", "train/forged/twin (validation)", "near-duplicate picture"):
        given_split(tmp_path, rows({"c01", "twin"}, items), items, facts)
    items[2], items[3] = (replace(items[i], hosts=("moon",)) for i in (2, 3))
    with pytest.raises(FileProblems) as caught:
        given_split(tmp_path, rows({"c03", "twin"}, items), items, facts)
    assert [str(problem) for problem in caught.value.problems] == [
        "train/forged/c02 (train) and train/forged/c03 (validation): shared host moon",
        "train/forged/c05 (train) and train/forged/twin (validation): near-duplicate picture",
    ]


def test_of_many_leaks_twenty_are_shown(tmp_path: Path) -> None:
    items = [Record(f"c{i}", "forged", Path("x.png"), hosts=("moon",)) for i in range(40)]
    with pytest.raises(FileProblems) as caught:
        given_split(tmp_path, rows({f"c{i}" for i in range(1, 36)}, items), items, [Facts("")] * 40)
    lines = str(caught.value).splitlines()
    assert "35 problems; the first 20" in lines[0] and len(lines) == 21


def test_every_fault_of_a_split_file_is_one_line(tmp_path: Path) -> None:
    items, facts = planted("mirrored")
    text = rows({"c01"}, items[1:]) + "c02,validation\nnobody,train\nc03\n"
    with pytest.raises(FileProblems) as caught:
        given_split(tmp_path, text.replace("c04,train", "c04,Valid"), items, facts)
    found = [str(problem) for problem in caught.value.problems]
    assert found == [
        "row 5: case c04: part is 'Valid'; use train, validation, test (test is left out)",
        "row 18: case c02: twice in the file; keep one row",
        "row 19: case nobody: no such image in the data set; take the row out",
        "row 20: case c03: too few cells in this row; write one for every column of the header",
        "case c00: not in the file; add a row with train, validation or test",
    ]


def test_rows_of_bad_files_that_were_left_out_are_no_fault(tmp_path: Path) -> None:
    items, facts = planted("mirrored")
    found = given_split(tmp_path, rows({"c01"}, items) + "bad,train\n", items, facts, skip_bad=True)
    assert found.validation == [items[1]]


@pytest.mark.parametrize(("held", "empty"), [(range(17), "train"), ((), "validation")])
def test_a_given_side_that_is_empty_is_refused(held, empty: str, tmp_path: Path, refused) -> None:
    items, facts = planted("mirrored")
    with refused("mine.csv", f"no case has part {empty}"):
        given_split(tmp_path, rows({items[i].case_id for i in held}, items), items, facts)


def test_a_split_file_that_is_not_there_is_refused(tmp_path: Path, refused) -> None:
    with refused("none.csv", "not a readable CSV"):
        splits.split(*planted("mirrored"), DataConfig(split_file=tmp_path / "none.csv"))


def test_the_splits_file_of_a_root_is_used_unless_another_is_named(tiny_root: Path) -> None:
    bar = Screen(None).bar
    for name, held in (("splits.csv", "2"), ("other.csv", "3")):
        (tiny_root / name).write_text(rows({held}, records.scan(tiny_root)))
    own = open_checked(DataConfig(root=tiny_root), bar)
    named = open_checked(DataConfig(root=tiny_root, split_file=tiny_root / "other.csv"), bar)
    assert [{r.case_id for r in found.split.validation} for found in (own, named)] == [{"2"}, {"3"}]


def test_a_root_whose_pictures_repeat_is_grouped(tiny_root: Path) -> None:
    for folder, suffix in (("train_images/authentic", "png"), ("train_images/forged", "png"), ("train_masks", "npy")):
        source = tiny_root / folder / f"1.{suffix}"
        (tiny_root / folder / f"again.{suffix}").write_bytes(source.read_bytes())
    found = open_checked(DataConfig(root=tiny_root, folds=2), Screen(None).bar).split
    assert found.groups == 6
    sides = [{r.case_id for r in side} for side in (found.full, found.validation)]
    assert ({"1", "again"} <= sides[0]) != ({"1", "again"} <= sides[1])
