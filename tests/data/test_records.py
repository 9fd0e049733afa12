"""Scanning a root, loading a record, and the check that meets every bad file before the first step."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.config import DataConfig
from forgery_rcnn.data import collection, records
from forgery_rcnn.errors import FileProblems


def image(root: Path, case: str, side: str = "forged") -> Path:
    return root / "train_images" / side / f"{case}.png"


def mask(root: Path, case: str) -> Path:
    return root / "train_masks" / f"{case}.npy"


def supplement(root: Path, case: str = "s1") -> None:
    """One supplemental figure, taken from the training ones."""
    for folder, file in (("supplemental_images", image(root, "1")), ("supplemental_masks", mask(root, "1"))):
        (root / folder).mkdir(exist_ok=True)
        (root / folder / f"{case}{file.suffix}").write_bytes(file.read_bytes())


def test_scan_lists_every_image_once_with_its_mask(shared_root: Path) -> None:
    found = records.scan(shared_root)
    assert [record.key for record in found] == [
        f"train/{label}/{case}" for label in ("authentic", "forged") for case in range(1, 7)
    ]
    assert [record.mask for record in found] == [None] * 6 + [mask(shared_root, str(case)) for case in range(1, 7)]
    assert all(record.image.is_file() for record in found)


def test_supplemental_figures_are_forged(tiny_root: Path) -> None:
    supplement(tiny_root)
    last = records.scan(tiny_root)[-1]
    assert (last.key, last.label, last.part) == ("supplemental/forged/s1", "forged", "supplemental")
    assert last.mask == tiny_root / "supplemental_masks" / "s1.npy"
    assert records.load(last).masks.any()


def test_a_root_of_forged_images_alone_will_do(tiny_root: Path) -> None:
    image(tiny_root, "1", "authentic").parent.rename(tiny_root / "elsewhere")
    (tiny_root / "supplemental_images").mkdir()  # empty, as an unpacked archive may leave it
    assert {record.label for record in records.scan(tiny_root)} == {"forged"}


def test_other_files_and_hidden_ones_are_passed_over(tiny_root: Path) -> None:
    for name in ("readme.txt", ".DS_Store", "._1.png", "Thumbs.db"):
        (image(tiny_root, "1").parent / name).write_bytes(b"x")
    assert len(records.scan(tiny_root)) == 12


def test_image_masks_are_found_beside_arrays(tiny_root: Path) -> None:
    masks = np.load(mask(tiny_root, "2"))
    Image.fromarray(masks[0] * np.uint8(255)).save(tiny_root / "train_masks" / "2_mask.png")
    mask(tiny_root, "2").unlink()
    record = next(r for r in records.scan(tiny_root) if r.key == "train/forged/2")
    assert record.mask == tiny_root / "train_masks" / "2_mask.png"
    assert np.array_equal(records.load(record).masks, masks)


def test_load(shared_root: Path) -> None:
    authentic, forged = (records.load(r) for r in records.scan(shared_root) if r.case_id == "2")
    assert authentic.pixels.shape == (88, 80, 3) and authentic.masks.shape == (0, 88, 80)
    assert forged.masks.shape == (1, 88, 80) and forged.masks.dtype == bool
    changed = (authentic.pixels != forged.pixels).any(axis=2)
    assert changed.any() and not (changed & ~forged.masks[0]).any()


def twice(root: Path) -> None:
    Image.new("RGB", (5, 5)).save(image(root, "1").with_suffix(".jpg"))


def empty(root: Path) -> None:
    for file in image(root, "1").parent.iterdir():
        file.unlink()


def masks_gone(root: Path) -> None:
    (root / "train_masks").rename(root / "masks")


def forged_gone(root: Path) -> None:
    image(root, "1").parent.rename(root / "forged")


def supplement_without_masks(root: Path) -> None:
    supplement(root)
    (root / "supplemental_masks").rename(root / "x")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (twice, ("forged: case id '1' twice (1.jpg, 1.png)",)),
        (empty, ("train_images/forged: no image in it", ".png, .jpg")),
        (masks_gone, ("train_masks: no such folder", "STEM.npy")),
        (forged_gone, ("tiny_root: no folder train_images/forged in it",)),
        (supplement_without_masks, ("supplemental_masks: no such folder",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_layouts(damage: Callable[[Path], None], said: tuple[str, ...], tiny_root: Path, refused) -> None:
    damage(tiny_root)
    with refused(str(tiny_root), *said):
        records.scan(tiny_root)


def test_root_that_is_missing_or_a_file(tmp_path: Path, refused) -> None:
    (tmp_path / "file").touch()
    for name, said in (("file", "a file, not a folder"), ("none", "no such folder")):
        with refused(f"{tmp_path / name}: no such data root"):
            records.scan(tmp_path / name)
        with refused(f"{tmp_path / name}: {said}"):
            records.image_files(tmp_path / name)


def test_all_stems_that_occur_twice_are_named_at_once(tmp_path: Path) -> None:
    for name in ("fig1.jpg", "fig1.png", "fig1.tif", "fig2.png", "fig3.gif", "fig3.png"):
        (tmp_path / name).touch()
    with pytest.raises(FileProblems) as caught:
        records.image_files(tmp_path)
    assert str(caught.value).splitlines() == [
        f"{tmp_path}: 3 problems:",
        "  case id 'fig1' twice (fig1.jpg, fig1.png); rename one",
        "  case id 'fig1' twice (fig1.jpg, fig1.tif); rename one",
        "  case id 'fig3' twice (fig3.gif, fig3.png); rename one",
    ]


def truncated(root: Path, case: str) -> Path:
    path = image(root, case)
    path.write_bytes(path.read_bytes()[:500])
    return path


def no_mask(root: Path, case: str) -> Path:
    mask(root, case).unlink()
    return mask(root, case)


def transposed(root: Path, case: str) -> Path:
    np.save(mask(root, case), np.load(mask(root, case)).transpose(0, 2, 1))
    return mask(root, case)


def renamed_npz(root: Path, case: str) -> Path:
    with mask(root, case).open("wb") as file:
        np.savez(file, np.ones((1, 9, 9), np.uint8))
    return mask(root, case)


def folder(root: Path, case: str) -> Path:
    image(root, case).unlink()
    image(root, case).mkdir()
    return image(root, case)


DAMAGES = pytest.mark.parametrize("damage", [truncated, no_mask, transposed, renamed_npz, folder])
Damage = Callable[[Path, str], Path]


@DAMAGES
def test_a_bad_file_stops_before_the_first_step(damage: Damage, tiny_root: Path, refused) -> None:
    bad = damage(tiny_root, "2")
    found = records.scan(tiny_root)
    facts = records.check(found, workers=0)
    assert [record.key for record, fact in zip(found, facts, strict=True) if fact.problem] == ["train/forged/2"]
    with refused(f"{bad}: ", "--data.skip-bad"):
        records.sound(found, facts, skip_bad=False)


@DAMAGES
def test_a_bad_file_is_listed_and_left_out_on_request(damage: Damage, tiny_root: Path) -> None:
    bad = damage(tiny_root, "2")
    found = records.scan(tiny_root)
    good, facts, problems = records.sound(found, records.check(found, workers=0), skip_bad=True)
    assert good == [record for record in found if record.key != "train/forged/2"]
    assert len(facts) == 11 and not any(fact.problem for fact in facts)
    assert len(problems) == 1 and problems[0].startswith(f"{bad}: ") and len(problems[0].splitlines()) == 1


def test_several_bad_files_are_counted(tiny_root: Path, refused) -> None:
    for damage, case in ((truncated, "2"), (no_mask, "4"), (transposed, "5")):
        damage(tiny_root, case)
    found = records.scan(tiny_root)
    with refused("2.png", "(and 2 more bad files)"):
        records.sound(found, records.check(found, workers=0), skip_bad=False)


def test_nothing_sound_is_left(tiny_root: Path, refused) -> None:
    found = records.scan(tiny_root)
    with refused("every file of the data set is bad"):
        records.sound(found, [records.Facts(problem="bad")] * len(found), skip_bad=True)


def test_facts_are_those_of_the_files(shared_root: Path) -> None:
    found = records.scan(shared_root)
    for record, fact in zip(found, records.check(found, workers=0), strict=True):
        loaded = records.load(record)
        assert fact.size == loaded.pixels.shape[:2] and fact.mode == "RGB"
        assert fact.areas == tuple(mask.sum() for mask in loaded.masks)
        assert fact.forged_pixels == loaded.masks.any(axis=0).sum()
        assert (fact.kept, fact.lost) == (0, 0)


def test_overlapping_instances_are_not_counted_twice(tiny_root: Path) -> None:
    masks = np.load(mask(tiny_root, "1"))
    np.save(mask(tiny_root, "1"), np.concatenate([masks, masks]))
    fact = records.inspect(next(r for r in records.scan(tiny_root) if r.key == "train/forged/1"))
    assert fact.areas == (fact.forged_pixels, fact.forged_pixels)


def test_progress_is_told_of_every_file(shared_root: Path) -> None:
    ticks: list[int] = []
    found = records.scan(shared_root)
    records.check(found, 0, lambda: ticks.append(len(ticks)))
    assert len(ticks) == len(found)


def test_processes_find_the_same(shared_root: Path, tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transposed(tiny_root, "3")
    found = records.scan(shared_root) + records.scan(tiny_root)
    alone = records.check(found, workers=0)
    monkeypatch.setattr(records, "WORTH_PROCESSES", 0)
    assert records.check(found, workers=2) == alone


def test_fingerprint_follows_the_files_not_their_order(tiny_root: Path) -> None:
    found = records.scan(tiny_root)
    before = records.fingerprint(found)
    assert records.fingerprint(found[::-1]) == before and len(before) == 16
    assert records.fingerprint(found[1:]) != before
    np.save(mask(tiny_root, "5"), np.concatenate([np.load(mask(tiny_root, "5"))] * 2))
    assert records.fingerprint(records.scan(tiny_root)) != before


def test_a_name_that_is_no_utf8_has_a_fingerprint(tiny_root: Path) -> None:
    odd = os.fsdecode(b"odd\xff")
    image(tiny_root, "5", "authentic").rename(image(tiny_root, odd, "authentic"))
    found = records.scan(tiny_root)
    assert odd in {record.case_id for record in found} and len(records.fingerprint(found)) == 16


class Bar:
    """A progress bar that only counts."""

    def __init__(self) -> None:
        self.total = self.ticks = 0

    def __call__(self, _: str, total: int) -> Bar:
        self.total = total
        return self

    def __enter__(self) -> Callable[[], None]:
        return lambda: setattr(self, "ticks", self.ticks + 1)

    def __exit__(self, *_: object) -> None: ...


def test_open_checked_skips_splits_and_keeps_facts_beside_records(tiny_root: Path) -> None:
    truncated(tiny_root, "2")
    bar = Bar()
    opened = collection.open_checked(DataConfig(root=tiny_root, skip_bad=True, folds=2), bar)
    assert bar.ticks == bar.total == 12 and len(opened.records) == len(opened.facts) == 11
    assert len(opened.problems) == 1 and "2.png" in opened.problems[0]
    sides = {record.key: fact.size for record, fact in zip(opened.records, opened.facts, strict=True)}
    assert sides["train/forged/3"] == (80, 96) and sides["train/forged/4"] == (96, 80)
    assert len(opened.split.full) + len(opened.split.validation) == 11
    assert opened.fingerprint == records.fingerprint(opened.records)


def test_open_checked_stops_at_a_bad_file(tiny_root: Path, refused) -> None:
    bad = no_mask(tiny_root, "2")
    with refused(f"{bad}: no such mask file"):
        collection.open_checked(DataConfig(root=tiny_root), Bar())
