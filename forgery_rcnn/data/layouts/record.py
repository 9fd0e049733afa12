"""One image of a data set, whatever its layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgery_rcnn.data.drawn import Drawn
from forgery_rcnn.errors import InputError, printable

DRAWN = "drawn:"  # begins the id of a host that is no picture: something drawn for this one case
Label = Literal["authentic", "forged"]


@dataclass(frozen=True)
class Record:
    """One image: its case id, label, files, and the folder it came from.

    mask: a file, or the shapes that a COCO file tells; None = authentic.
    hosts: ids of the untampered images it was made of, where the data set tells them: whoever shares one is kept on one
    side of a split. One that begins with DRAWN was drawn for this case alone.
    """

    case_id: str
    label: Label
    image: Path
    mask: Path | Drawn | None = None
    part: Literal["train", "supplemental"] = "train"
    hosts: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Unique in a data set: an id occurs once as authentic and once as forged."""
        return f"{self.part}/{self.label}/{self.case_id}"

    @property
    def twin_key(self) -> str:
        """The key of the authentic image that a forged one was made of, where the data set has it."""
        return f"{self.part}/authentic/{self.case_id}"


@dataclass(frozen=True)
class Layout:
    """A way to lay out a data set. `scan` is asked only where `fits` says so.

    expected: its folders, for messages; rank: where several layouts fit a root, the lowest is meant.
    """

    expected: str
    fits: Callable[[Path], bool]
    scan: Callable[[Path], list[Record]]
    rank: int = 1


def in_order(found: Sequence[Record], source: Path) -> list[Record]:
    """Sorted by label and case id. Raises InputError for a case id met twice under one label."""
    seen: dict[str, Record] = {}
    for record in found:
        other = seen.setdefault(record.key, record)
        if other is not record:
            names = ", ".join(sorted(printable(r.image.name) for r in (other, record)))
            raise InputError(f"{source}: case id {printable(record.case_id)!r} twice ({names}); rename one")
    return sorted(found, key=lambda record: (record.label, record.case_id))
