"""Splits by folds: no group on both sides, the same for the same records, even strata, and sets of few case ids."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgery_rcnn.config import DataConfig
from forgery_rcnn.data import splits
from forgery_rcnn.data.records import Facts, Record
from forgery_rcnn.data.splits import Split
from forgery_rcnn.errors import InputError


def record(case: str, label: str = "forged", part: str = "train") -> Record:
    mask = Path(f"{case}.npy") if label == "forged" else None
    return Record(case, label, Path(f"{part}/{label}/{case}.png"), mask, part)


def facts_of(records: list[Record]) -> list[Facts]:
    """Facts without content: nothing but case ids and hosts links."""
    return [Facts("", (100, 100), forged_pixels=100 if r.label == "forged" else 0) for r in records]


def split(records: list[Record], config: DataConfig) -> Split:
    return splits.split(records, facts_of(records), config)


def folds(records: list[Record], count: int, seed: int) -> list[list[Record]]:
    parts = splits.folds(splits.members(records, facts_of(records)), count, seed)
    return [[member.record for member in part] for part in parts]


def data_set(twins: int, forged: int = 0, authentic: int = 0, supplemental: int = 0) -> list[Record]:
    """`twins` case ids that occur authentic and forged, and others that occur once."""
    both = [record(f"t{i}", label) for i in range(twins) for label in ("authentic", "forged")]
    single = [record(f"f{i}") for i in range(forged)] + [record(f"a{i}", "authentic") for i in range(authentic)]
    return both + single + [record(f"s{i}", part="supplemental") for i in range(supplemental)]


def keys(records: list[Record]) -> list[str]:
    return [r.key for r in records]


def ids(records: list[Record]) -> set[str]:
    return {r.case_id for r in records}


def sound(found: Split, records: list[Record], few: int) -> None:
    """What holds of every split."""
    assert sorted(keys(found.full + found.validation)) == sorted(keys(records))
    assert not ids(found.full) & ids(found.validation)
    assert found.groups == len(ids(records))
    assert all(r.part == "train" for r in found.validation)
    assert len(found.single) == 1 and set(found.single) <= set(found.few) <= set(found.full)
    assert len(found.few) == len(set(found.few)) <= few
    assert all(r.label == "forged" for r in found.few)


sets = st.builds(data_set, st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(
    sets,
    st.integers(2, 6),
    st.integers(0, 5),
    st.integers(0, 9),
    st.integers(1, 7),
    st.sampled_from(["t0", "f1", "s0", "?"]),
)
def test_every_split_is_sound_or_refused(
    records: list[Record], count: int, fold: int, seed: int, few: int, single: str
) -> None:
    config = DataConfig(folds=count, fold=fold % count, split_seed=seed, few=few, single=single)
    try:
        found = split(records, config)
    except InputError as error:
        none = not any(r.label == "forged" for r in records)
        said = ["holds no forged image"] if none else ["no forged image is left", "would validate"]
        assert any(text in str(error) for text in said)
        return
    sound(found, records, few)
    forged = {r.case_id for r in records if r.label == "forged"}
    if single in forged:
        assert single not in ids(found.validation)
    if any(r.case_id == single and r.label == "forged" and r.part == "train" for r in records):
        assert found.single[0].case_id == single


@settings(max_examples=30, deadline=None)
@given(sets.filter(bool), st.integers(2, 6), st.integers(0, 9))
def test_folds_are_disjoint_by_case_id_and_cover_everything(records: list[Record], count: int, seed: int) -> None:
    parts = folds(records, count, seed)
    assert sorted(r.key for part in parts for r in part) == sorted(keys(records))
    assert sum(len(ids(part)) for part in parts) == len(ids(records))
    assert len(parts) == min(count, len(ids(records)))


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 4))
def test_the_order_of_the_records_does_not_matter(random, fold: int) -> None:
    records = data_set(9, 4, 2, 2)
    config = DataConfig(fold=fold, single="t3")
    assert split(random.sample(records, len(records)), config) == split(records, config)


def test_seed_changes_the_split_and_nothing_else_does() -> None:
    records = data_set(20)
    sides = [keys(split(records, DataConfig(split_seed=seed)).validation) for seed in range(5)]
    assert len({tuple(side) for side in sides}) == 5
    for seed in range(5):
        np.random.seed(100 - seed)  # the global generator has no say
        assert keys(split(records, DataConfig(split_seed=seed)).validation) == sides[seed]


def test_folds_together_validate_every_case_once_but_the_pinned_one() -> None:
    records = data_set(11, 3, 3, 2)
    held = [r for fold in range(5) for r in split(records, DataConfig(fold=fold, single="t4")).validation]
    assert sorted(keys(held)) == sorted(r.key for r in records if r.part == "train" and r.case_id != "t4")


def test_both_labels_are_spread_over_the_folds() -> None:
    parts = folds(data_set(10, 10, 10), 5, 0)
    assert {sum(r.label == "forged" for r in part) for part in parts} <= {3, 4, 5}
    assert {sum(r.label == "authentic" for r in part) for part in parts} <= {3, 4, 5}


@pytest.mark.parametrize("fold", range(3))
def test_pinned_image_is_single_and_never_validates(fold: int) -> None:
    found = split(data_set(6), DataConfig(folds=3, fold=fold, single="t2", few=3))
    assert keys(found.single) == ["train/forged/t2"] and found.few[0] == found.single[0] and len(found.few) == 3
    assert "train/authentic/t2" in keys(found.full)  # its authentic twin comes along
    sound(found, data_set(6), 3)


def test_a_missing_single_is_drawn_by_the_seed() -> None:
    records = data_set(30)
    drawn = {split(records, DataConfig(single="10017", split_seed=seed)).single[0].case_id for seed in range(6)}
    assert len(drawn) > 2


def test_few_takes_what_there_is() -> None:
    found = split(data_set(3), DataConfig(few=50, folds=3))
    assert len(found.few) == len([r for r in found.full if r.label == "forged"]) == 2


def test_supplemental_figures_train_and_pull_their_namesakes_along() -> None:
    records = [*data_set(6), record("t1", part="supplemental")]
    for fold in range(3):
        found = split(records, DataConfig(folds=3, fold=fold))
        sound(found, records, 5)
        assert "t1" not in ids(found.validation)
        assert all(r.part == "train" for r in found.few)


@pytest.mark.parametrize(("cases", "validation"), [(1, 0), (2, 1), (3, 1), (6, 2)])
def test_sets_of_few_case_ids(cases: int, validation: int) -> None:
    records = data_set(cases)
    found = split(records, DataConfig(folds=5))
    sound(found, records, 5)
    assert len(ids(found.validation)) == validation


def test_one_forged_image_alone() -> None:
    found = split([record("47")], DataConfig())
    assert (found.single, found.few, found.full, found.validation) == (
        [record("47")],
        [record("47")],
        [record("47")],
        [],
    )


@pytest.mark.parametrize("records", [[], data_set(0, 0, 4)], ids=["none", "authentic only"])
def test_a_set_without_forged_images_is_refused(records: list[Record], refused) -> None:
    with refused("holds no forged image"):
        split(records, DataConfig())


def test_forged_images_that_all_validate_are_refused(refused) -> None:
    records = data_set(0, 1, 1)
    outcomes = []
    for fold in range(2):
        try:
            outcomes.append(ids(split(records, DataConfig(folds=2, fold=fold)).full))
        except InputError:
            with refused("no forged image is left to train on", "data.fold"):
                split(records, DataConfig(folds=2, fold=fold))
    assert outcomes == [{"f0"}]


def test_named() -> None:
    found = split(data_set(6), DataConfig())
    assert found.named("few") == found.few and found.named("validation") == found.validation
    assert sorted(keys(found.named("all"))) == sorted(keys(data_set(6)))


def test_unknown_name_lists_the_right_ones(refused) -> None:
    with refused("no split 'test'", "single, few, full, validation, all"):
        split(data_set(2), DataConfig()).named("test")


HOSTS = st.lists(st.lists(st.sampled_from("abcdefghijkl"), max_size=2), min_size=2, max_size=30)


@settings(max_examples=40, deadline=None)
@given(HOSTS, st.integers(2, 5), st.integers(0, 4))
def test_no_host_is_on_both_sides_and_every_record_on_one(hosts: list[list[str]], count: int, fold: int) -> None:
    records = [replace(record(f"c{i}"), hosts=tuple(own)) for i, own in enumerate(hosts)]
    try:
        found = split(records, DataConfig(folds=count, fold=fold % count))
    except InputError as error:
        assert "would validate" in str(error) or "is left" in str(error)
        return
    assert sorted(keys(found.full + found.validation)) == sorted(keys(records))
    assert not {h for r in found.full for h in r.hosts} & {h for r in found.validation for h in r.hosts}


@pytest.mark.parametrize("fold", range(5))
def test_the_whole_group_of_the_pinned_image_trains(fold: int) -> None:
    records = data_set(20)
    records = [replace(r, hosts=("h",)) if r.case_id in ("t3", "t11") else r for r in records]
    found = split(records, DataConfig(fold=fold, single="t3"))
    assert not {"t3", "t11"} & ids(found.validation) and found.groups == 19


def test_supplemental_figures_pull_along_who_shares_a_host() -> None:
    records = [*data_set(10), replace(record("s", part="supplemental"), hosts=("h",))]
    records[2] = replace(records[2], hosts=("h",))
    for fold in range(5):
        assert records[2] not in split(records, DataConfig(fold=fold)).validation


def test_a_group_that_swallows_nearly_all_is_refused(refused) -> None:
    """Figures of many hosts, mixed: four folds of five would hold next to nothing."""
    records = [replace(record(f"c{i:03}"), hosts=("h", str(i)) if i < 195 else ()) for i in range(200)]
    for fold in range(5):
        with refused(
            f"fold {fold} of 5 would validate", "of 200 images", "6 groups", "holds 195, e.g. train/forged/c000"
        ):
            split(records, DataConfig(fold=fold))


def test_forged_areas_are_spread_over_the_folds() -> None:
    rng = np.random.default_rng(3)
    records = data_set(0, 200, 180)
    facts = [
        Facts("", (100, 100), forged_pixels=int(10_000 * 10 ** rng.uniform(-3, -0.5)) if r.label == "forged" else 0)
        for r in records
    ]
    area = {r.key: fact.forged_pixels for r, fact in zip(records, facts, strict=True)}
    edges = np.quantile([a for a in area.values() if a], (0.25, 0.5, 0.75))
    for fold in range(5):
        held = splits.split(records, facts, DataConfig(fold=fold)).validation
        sizes = np.searchsorted(edges, [area[r.key] for r in held if r.label == "forged"], side="right")
        assert np.abs(np.bincount(sizes, minlength=4) - 10).max() <= 1
        assert abs(sum(r.label == "authentic" for r in held) - 36) <= 1


def test_strata_grow_coarser_until_every_fold_has_its_share() -> None:
    def kinds(forged: int, authentic: int) -> int:
        records = data_set(0, forged, authentic)
        members = [splits.Member(r, i, i / 100) for i, r in enumerate(records)]
        return len(set(splits._strata(members, 5)))

    assert [kinds(20, 5), kinds(19, 5), kinds(9, 5), kinds(4, 5), kinds(5, 0)] == [5, 3, 2, 1, 1]
