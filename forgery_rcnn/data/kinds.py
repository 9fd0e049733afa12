"""How each figure of a made data set was forged, as its manifest tells."""

from __future__ import annotations

import contextlib
from pathlib import Path

from forgery_rcnn import tables
from forgery_rcnn.errors import InputError

SEVERAL = "several operations"


def of_root(root: Path) -> dict[str, str]:
    """Case id -> the operation that forged it, or SEVERAL; {} where there is no manifest of that kind."""
    found: dict[str, set[str]] = {}
    with contextlib.suppress(InputError):
        for row in tables.read(root / "manifest.csv", ("case_id", "operation")):
            found.setdefault(row.cells["case_id"], set()).add(row.cells["operation"])
    every = {case: operations - {"none", ""} for case, operations in found.items()}
    return {case: min(of) if len(of) == 1 else SEVERAL for case, of in every.items() if of}
