"""Where the pictures that figures were made of come from, and under which licences, as their manifest tells."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from forgery_rcnn import tables
from forgery_rcnn.data.layouts.record import DRAWN
from forgery_rcnn.errors import InputError, require

COLUMNS = ("path", "set", "category", "licence", "source")


@dataclass(frozen=True)
class Source:
    """Pictures of one collection under one licence. used: how many of them are in a made data set, None = not known."""

    name: str
    categories: tuple[str, ...]
    licence: str
    origin: str
    pictures: int
    used: int | None


def of_hosts(hosts: Path, root: Path | None) -> list[Source]:
    """HOSTS/manifest.csv -> its collections by name; root: a data set made of them, whose manifest names those used.

    Raises InputError: no such manifest, a picture without licence or source, a host of the data set that it does not name.
    """
    manifest = hosts / "manifest.csv"
    used = _used(root) if root is not None else None
    groups: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for row in tables.read(manifest, COLUMNS):
        name, licence, origin = (row.cells[column].strip() for column in ("set", "licence", "source"))
        require(
            bool(name and licence and origin),
            f"{manifest}: row {row.line}: {row.cells['path']} lacks its set, licence or source; fill it in",
        )
        groups.setdefault((name, licence, origin), []).append((row.cells["path"], row.cells["category"]))
    known = {path for found in groups.values() for path, _ in found}
    strange = sorted(set(used or ()) - known)
    require(not strange, f"{manifest}: does not name {len(strange)} hosts of {root}, e.g. {strange[:1]}; add them")
    out = []
    for (name, licence, origin), found in sorted(groups.items()):
        kinds = tuple(kind for kind, _ in Counter(kind for _, kind in found if kind).most_common())
        count = None if used is None else sum(path in used for path, _ in found)
        out.append(Source(name, kinds, licence, origin, len(found), count))
    return out


def _used(root: Path) -> set[str] | None:
    """Paths of the hosts in a made data set, but what was drawn for it; None where it has no manifest that tells."""
    found: set[str] = set()
    with contextlib.suppress(InputError):
        for row in tables.read(root / "manifest.csv", ("case_id", "hosts")):
            found |= {name for name in row.cells["hosts"].split(";") if name and not name.startswith(DRAWN)}
    return found or None
