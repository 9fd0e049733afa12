"""Who trains, who validates: by case id, so that a figure and its forged twin are never on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forgery_rcnn.config import DataConfig
from forgery_rcnn.data.records import Record
from forgery_rcnn.errors import InputError


@dataclass(frozen=True)
class Split:
    """single and few are forged images out of full; full and validation share no case id."""

    single: list[Record]
    few: list[Record]
    full: list[Record]
    validation: list[Record]

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


def folds(records: Sequence[Record], count: int, seed: int) -> list[list[Record]]:
    """Records -> `count` disjoint folds, grouped by case id, authentic and forged spread evenly, fixed by the seed.

    With fewer case ids than `count` there are as many folds as case ids.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    records = sorted(records, key=lambda r: r.key)
    groups = [record.case_id for record in records]
    count = min(count, len(set(groups)))
    if count < 2:
        return [list(records)]
    kinds = [f"{record.part} {record.label}" for record in records]
    per_kind = min(kinds.count(kind) for kind in set(kinds))
    if per_kind < count:  # too few of one kind to stratify by it
        kinds = ["all"] * len(records)
    folder = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    return [[records[i] for i in test] for _, test in folder.split(np.zeros(len(records)), kinds, groups)]


def split(records: Sequence[Record], config: DataConfig) -> Split:
    """Records -> Split. The same records, seed and fold number give the same split, whatever their order.

    The images to overfit are taken from the training side: where the named single image falls into the validation
    fold, its case id is moved over to training. Supplemental images only train.
    """
    forged = sorted((r for r in records if r.label == "forged"), key=lambda r: r.key)
    if not forged:
        raise InputError("the data set holds no forged image; nothing can be learnt from it")
    parts = folds([r for r in records if r.part == "train"], config.folds, config.split_seed)
    supplemental = [r for r in records if r.part == "supplemental"]
    pinned = {config.single} if any(r.case_id == config.single for r in forged) else set()
    held = parts[config.fold % len(parts)] if len(parts) > 1 else []
    known = pinned | {r.case_id for r in supplemental}
    validation = [r for r in held if r.case_id not in known]
    outside = {r.case_id for r in validation}
    full = sorted((r for r in records if r.case_id not in outside), key=lambda r: r.key)
    candidates = [r for r in full if r.label == "forged" and r.part == "train"] or [
        r for r in full if r.label == "forged"
    ]
    if not candidates:
        raise InputError("no forged image is left to train on; give the data set more case ids or another data.fold")
    order = np.random.default_rng(config.split_seed).permutation(len(candidates))
    drawn = sorted((candidates[i] for i in order), key=lambda r: r.case_id not in pinned)  # stable: the named one first
    return Split(drawn[:1], drawn[: config.few], full, validation)
