"""Who trains, who validates: no case id, no host and no picture is on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forgery_rcnn import tables
from forgery_rcnn.config import DataConfig
from forgery_rcnn.data.groups import groups, leaks
from forgery_rcnn.data.records import Facts, Record
from forgery_rcnn.errors import FileProblems, InputError, Problem

PARTS = ("train", "validation", "test")  # of a split file; test images are left out
AREA_BINS = (4, 2, 1)  # bins of forged area to stratify by, the finest that every fold can have its share of
LEAST, MOST = 0.02, 0.75  # share of the images that may validate


@dataclass(frozen=True)
class Split:
    """single and few are forged images out of full; full and validation share no group (case id, host, picture).

    groups: number of groups that were found; 0 = not counted.
    """

    single: list[Record]
    few: list[Record]
    full: list[Record]
    validation: list[Record]
    groups: int = 0

    def keys(self) -> dict[str, list[str]]:
        """Record keys of single, few, full and validation: what a run writes down; `from_keys` is the inverse."""
        parts = {"single": self.single, "few": self.few, "full": self.full, "validation": self.validation}
        return {name: [record.key for record in part] for name, part in parts.items()}

    @classmethod
    def from_keys(cls, keys: Mapping[str, Sequence[str]], records: Sequence[Record]) -> Split:
        """What `keys` gave, and the records that it was of. Raises KeyError for a record that is not among them."""
        known = {record.key: record for record in records}
        return cls(**{name: [known[key] for key in keys[name]] for name in ("single", "few", "full", "validation")})

    def scored_on(self, subset: str) -> str:
        """Name of what a stage on `subset` is scored on: its own images, but the validation split for full where there is one."""
        return "validation" if subset == "full" and self.validation else subset

    def named(self, name: str) -> list[Record]:
        """The records of single, few, full, validation, or all. Raises InputError for another name."""
        parts = {
            "single": self.single,
            "few": self.few,
            "full": self.full,
            "validation": self.validation,
            "all": self.full + self.validation,
        }
        if name not in parts:
            raise InputError(f"no split {name!r}; use one of {', '.join(parts)}")
        return parts[name]


def balanced(items: Sequence[Record], count: int) -> list[Record]:
    """At most `count` records, half forged and half authentic where there are enough of each, spread over the list."""
    forged, authentic = ([r for r in items if r.label == label] for label in ("forged", "authentic"))
    wanted = max(count - len(authentic), -(-count // 2))
    forged = _spread(forged, wanted)
    return forged + _spread(authentic, count - len(forged))


def _spread(items: list[Record], count: int) -> list[Record]:
    """`count` of the items, evenly spaced."""
    if len(items) <= count:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]


@dataclass(frozen=True)
class Member:
    """A record with its group and the share of it that is forged, 0..1."""

    record: Record
    group: int
    forged: float


def members(records: Sequence[Record], facts: Sequence[Facts]) -> list[Member]:
    """Records and their facts, in the same order -> Members sorted by key."""
    pairs = sorted(zip(records, facts, strict=True), key=lambda pair: pair[0].key)
    found = groups([record for record, _ in pairs], [fact for _, fact in pairs])
    return [
        Member(record, group, fact.forged_pixels / max(1, fact.size[0] * fact.size[1]))
        for (record, fact), group in zip(pairs, found, strict=True)
    ]


def folds(items: Sequence[Member], count: int, seed: int) -> list[list[Member]]:
    """Members -> `count` disjoint folds that share no group, fixed by the seed; with fewer groups, as many as these.

    Authentic and forged, and small and large forged areas, are spread evenly, as far as there are enough of each.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    items = sorted(items, key=lambda member: member.record.key)
    own = [member.group for member in items]
    count = min(count, len(set(own)))
    if count < 2:
        return [items]
    folder = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    parts = folder.split(np.zeros(len(items)), _strata(items, count), own)
    return [[items[i] for i in test] for _, test in parts]


def _strata(items: Sequence[Member], least: int) -> list[str]:
    """The kind of each member, with its bin of forged area; all the same where some kind has fewer than `least`."""
    forged = [member.forged for member in items if member.record.label == "forged"]
    for bins in AREA_BINS:
        edges = np.quantile(forged, np.arange(1, bins) / bins) if forged else []
        sizes = np.searchsorted(edges, [member.forged for member in items], side="right").tolist()
        kinds = [
            f"{m.record.part} {m.record.label} {size if m.record.label == 'forged' else ''}"
            for m, size in zip(items, sizes, strict=True)
        ]
        if min(Counter(kinds).values()) >= least:
            return kinds
    return ["all"] * len(items)


def split(records: Sequence[Record], facts: Sequence[Facts], config: DataConfig) -> Split:
    """Records, and the facts of their check in the same order -> Split, by the split file if there is one, else by folds.

    The same records, seed and fold number give the same split, whatever their order. The images to overfit are taken
    from the training side. Raises InputError: no forged image to train on; a fold that validates next to nothing, or
    next to all; a split file that is wrong or leaks.
    """
    if not any(record.label == "forged" for record in records):
        raise InputError("the data set holds no forged image; nothing can be learnt from it")
    items = members(records, facts)
    if config.split_file is None:
        validation = _held_out(items, config)
        outside = {record.key for record in validation}
        full = [member.record for member in items if member.record.key not in outside]
    else:
        full, validation = _given(config.split_file, items, config)
        found = leaks(full, validation, {r.key: fact for r, fact in zip(records, facts, strict=True)})
        if found:
            raise FileProblems(config.split_file, [Problem(str(leak)) for leak in found])
    return Split(*_to_overfit(full, config), full, validation, len({member.group for member in items}))


def _held_out(items: Sequence[Member], config: DataConfig) -> list[Record]:
    """The records of the validation fold. Supplemental images, the single one, and their groups stay in training."""
    main = [member for member in items if member.record.part == "train"]
    parts = folds(main, config.folds, config.split_seed)
    held = parts[config.fold % len(parts)] if len(parts) > 1 else []
    kept = {
        m.group
        for m in items
        if m.record.part == "supplemental" or (m.record.label == "forged" and m.record.case_id == config.single)
    }
    validation = [member.record for member in held if member.group not in kept]
    cases = {member.record.case_id for member in main}
    if len(cases) >= config.folds and not LEAST <= len(validation) / len(main) <= MOST:  # fewer: a set to overfit
        raise InputError(_lopsided(main, len(validation), config))
    return validation


def _lopsided(main: Sequence[Member], held: int, config: DataConfig) -> str:
    """Why a fold does not do: its size, and the largest group."""
    sizes = Counter(member.group for member in main)
    group, size = sizes.most_common(1)[0]
    example = next(member.record.key for member in main if member.group == group)
    return (
        f"fold {config.fold} of {config.folds} would validate {held} of {len(main)} images; the largest of {len(sizes)} "
        f"groups that share a case id, a host or a picture holds {size}, e.g. {example} (those of supplemental images "
        "and of data.single always train); use another data.fold, or leave out the images that link the groups"
    )


def _to_overfit(full: Sequence[Record], config: DataConfig) -> tuple[list[Record], list[Record]]:
    """-> single, few: forged training images, drawn by the seed; the one that config names comes first."""
    forged = [record for record in full if record.label == "forged"]
    candidates = [record for record in forged if record.part == "train"] or forged
    if not candidates:
        raise InputError("no forged image is left to train on; give the data set more case ids or another data.fold")
    order = np.random.default_rng(config.split_seed).permutation(len(candidates))
    drawn = sorted((candidates[i] for i in order), key=lambda r: r.case_id != config.single)  # stable
    return drawn[:1], drawn[: config.few]


def _given(path: Path, items: Sequence[Member], config: DataConfig) -> tuple[list[Record], list[Record]]:
    """-> training and validation records as a CSV of case_id, part says. Raises InputError for what is wrong with it."""
    own = {member.record.case_id for member in items}
    supplemental = {m.record.case_id for m in items if m.record.part == "supplemental"}
    parts: dict[str, str] = {}
    problems = []
    for row in tables.read(path, ("case_id", "part")):
        case, part = row.cells["case_id"], row.cells["part"]
        faults = [row.fault] if row.fault else _faults(case, part, parts, own, config)
        problems += [Problem(fault, case, row.line) for fault in faults]
        parts.setdefault(case, part)
    for case in sorted(own - set(parts) - supplemental):
        problems.append(Problem("not in the file; add a row with train, validation or test", case))
    if problems:
        raise FileProblems(path, problems)
    sides = [[m.record for m in items if parts.get(m.record.case_id, "train") == part] for part in PARTS[:2]]
    for part, side in zip(PARTS, sides, strict=False):
        if not side:
            raise InputError(f"{path}: no case has part {part}; give some to each of train and validation")
    return sides[0], sides[1]


def _faults(case: str, part: str, parts: dict[str, str], own: set[str], config: DataConfig) -> list[str]:
    """What is wrong with one row."""
    faults = []
    if case in parts:
        faults.append("twice in the file; keep one row")
    elif (
        case not in own and part != "test" and not config.skip_bad
    ):  # a bad file may well be listed; tests lie elsewhere
        faults.append("no such image in the data set; take the row out")
    if part not in PARTS:
        faults.append(f"part is {part!r}; use {', '.join(PARTS)} (test is left out)")
    return faults
