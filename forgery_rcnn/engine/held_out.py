"""Which images thresholds were fitted on, so that nobody reports a score on them: halves of a split, digests, the check."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from forgery_rcnn.data import collection, images
from forgery_rcnn.data.records import Record
from forgery_rcnn.data.splits import Member, members
from forgery_rcnn.errors import InputError

PART = "held_out"
"""Beside the names of data.splits: the validation images that nothing was fitted on."""


def digest(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8 -> 16 hex digits of a sha256: the same picture under another name or in another file is known again.

    A lossy copy is another picture; groups of near-duplicates are for the split.
    """
    found = hashlib.sha256(repr(pixels.shape).encode())
    found.update(np.ascontiguousarray(pixels))
    return found.hexdigest()[:16]


def digests(items: Sequence[Record]) -> list[str]:
    """Of each record's image as every reader sees it. Raises InputError where one cannot be read."""
    return [digest(images.read(record.image).pixels) for record in items]


def unseen(items: Sequence[Record], fitted: Collection[str]) -> list[Record]:
    """The records whose image is not among those fitted on."""
    return [r for r, known in zip(items, digests(items), strict=True) if known not in fitted] if fitted else list(items)


def note(items: Sequence[Record], fitted: Collection[str]) -> list[str]:
    """The line to print where scores are shown, not reported, of images that were fitted on; [] where there are none."""
    known = len(items) - len(unseen(items, fitted))
    return [f"note: the thresholds were fitted on {known} of these {len(items)} images: their scores flatter"] * bool(
        known
    )


def check(items: Sequence[Record], fitted: Collection[str], weights: Path) -> None:
    """Raises InputError where an image of `items` is one that the thresholds of `weights` were fitted on."""
    known = len(items) - len(unseen(items, fitted))
    if known:
        raise InputError(
            f"{weights}: its thresholds were fitted on {known} of these {len(items)} images, a score on them would flatter; "
            f"use --split {PART}, or another data root"
        )


def halves(items: Sequence[Member], share: float) -> tuple[list[Member], list[Member]]:
    """Members -> those to fit on, about `share` (0..1) of the images in whole groups, at least one group; and the rest.

    The largest groups first, each to the side that lacks more: made figures of one pool of hosts can be half of all images.
    Fixed by a hash of each group's first case id, so neither the order of the images nor a seed decides.
    """
    groups: dict[int, list[Member]] = defaultdict(list)
    for member in sorted(items, key=lambda member: member.record.key):
        groups[member.group].append(member)
    order = sorted(groups.values(), key=lambda g: (-len(g), _rank(min(member.record.case_id for member in g))))
    chosen: list[Member] = []
    others: list[Member] = []
    for group in order:
        (chosen if len(chosen) * (1 - share) <= len(others) * share else others).extend(group)
    return chosen, others


def of_part(items: Sequence[Record], files: collection.Collection, share: float) -> tuple[list[Member], list[Member]]:
    """Records of a part of these files -> `halves`. Raises InputError where a rest was asked for and none is left."""
    fact_of = dict(zip((record.key for record in files.records), files.facts, strict=True))
    every = members(items, [fact_of[record.key] for record in items])
    chosen, others = halves(every, share)
    if not others and share < 1:
        groups = len({member.group for member in every})
        raise InputError(
            f"--share {share:g}: the split is {groups} group{'s' * (groups > 1)} of {len(every)} images that share a case "
            "id, a host or a picture, none is left to score; pass --share 1 to fit on all, or another --data.root"
        )
    return chosen, others


def _rank(case: str) -> str:
    return hashlib.sha256(case.encode()).hexdigest()
