"""Which images belong on one side of a split: those that share a case id, a host, or what they show."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from forgery_rcnn.data.content import Content, joined, near_duplicates, sharing
from forgery_rcnn.data.layouts.record import DRAWN
from forgery_rcnn.data.records import Facts, Record


@dataclass(frozen=True)
class Leak:
    """Two images, by their keys, one on each side, and why they should not be."""

    train: str
    validation: str
    why: str

    def __str__(self) -> str:
        return f"{self.train} (train) and {self.validation} (validation): {self.why}"


def groups(records: Sequence[Record], facts: Sequence[Facts]) -> list[int]:
    """-> the group of each record, named by the position of its first member; `facts` in the order of `records`.

    Images that share a case id or a host are one group, and so are near-duplicates, and whatever these link.
    """
    told = joined(len(records), sharing([list(_names(record)) for record in records]))
    return joined(len(records), [*enumerate(told), *_alike(records, [fact.content for fact in facts], told)])


def leaks(train: Sequence[Record], validation: Sequence[Record], facts: Mapping[str, Facts]) -> list[Leak]:
    """What the training side tells about the validation side. `facts`: Record.key -> Facts.

    Of each validation image at most one leak for each case id or host that it shares, with the first training image
    that has it, and one for each training image that shows the same.
    """
    owners: dict[str, str] = {}
    for record in train:
        for name in _names(record):
            owners.setdefault(name, record.key)
    found = [Leak(owners[name], r.key, name) for r in validation for name in _names(r) if name in owners]
    both = [*train, *validation]
    sides = [position < len(train) for position in range(len(both))]
    told = {(leak.train, leak.validation) for leak in found}
    alike = [(both[i].key, both[j].key) for i, j in _alike(both, [facts[r.key].content for r in both], sides)]
    return found + [Leak(*pair, "near-duplicate picture") for pair in alike if pair not in told]


def _names(record: Record) -> Sequence[str]:
    """What a record shares by name, in the words of a leak."""
    return (f"same case id {record.case_id}", *(f"shared host {host}" for host in record.hosts))


def _alike(
    records: Sequence[Record], contents: Sequence[Content | None], labels: Sequence[Hashable]
) -> list[tuple[int, int]]:
    """Pairs i < j of near-duplicates of different labels; an image whose content is not known has none.

    Nor has one that was drawn from random numbers of its own, of which its manifest tells: two gels with the same
    ladder look alike at a glance and share nothing.
    """
    drawn = [bool(r.hosts) and all(host.startswith(DRAWN) for host in r.hosts) for r in records]
    known = [(i, content) for i, content in enumerate(contents) if content is not None and not drawn[i]]
    pairs = near_duplicates([content for _, content in known], [labels[position] for position, _ in known])
    return [(known[i][0], known[j][0]) for i, j in pairs]
