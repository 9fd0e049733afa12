"""A data set made ready: scanned, every file checked, split. The first thing that every command does with a root."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from forgery_rcnn.config import DataConfig, ModelConfig
from forgery_rcnn.data import masks, records, sample, splits

BarMaker = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


@dataclass(frozen=True)
class Collection:
    """Sound records with their facts, their split, the problems of what was skipped, and the fingerprint of the rest."""

    root: Path
    records: list[records.Record]
    facts: list[records.Facts]
    split: splits.Split
    problems: list[str]
    fingerprint: str
    shown: masks.Shown | None = None
    """What `Facts.kept` and `lost` are told for."""


def root_of(config: DataConfig) -> Path:
    """The data root: the given one, or the built-in sample, built if it is not there yet."""
    return config.root if config.root is not None else sample.build(sample.default_root())


def elsewhere(config: DataConfig, root: Path | None) -> DataConfig:
    """The same settings for another root; what only the own root has, a layout, masks and a split file, stays with that."""
    own, asked = ((place or sample.default_root()).resolve() for place in (config.root, root))
    moved = replace(config, root=root)
    return moved if asked == own else replace(moved, layout="auto", masks=None, split_file=None)


def open_checked(config: DataConfig, bar: BarMaker, trained: ModelConfig | None = None) -> Collection:
    """Scan, read every file, split: by config.split_file, by the root's own splits.csv, or by folds. trained: the model that is
    to be, if one is known: the facts tell what it is shown.

    Raises InputError for a bad file unless config.skip_bad, and for a split that leaks.
    """
    root = root_of(config)
    found = records.scan(root, config.layout, config.masks)
    with bar("checking files", len(found)) as advance:
        shown = None if trained is None else masks.shown_to(trained, config)
        facts = records.check(found, os.cpu_count() or 1, advance, shown)
    good, facts, problems = records.sound(found, facts, config.skip_bad)
    own = root / "splits.csv"
    config = replace(config, split_file=config.split_file or (own if own.is_file() else None))
    return Collection(root, good, facts, splits.split(good, facts, config), problems, records.fingerprint(good), shown)
