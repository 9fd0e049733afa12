"""The official scorer's recorded answers, and which of them the checked reader refuses on purpose."""

from __future__ import annotations

import json
from pathlib import Path

VECTORS = json.loads((Path(__file__).parent / "of1_vectors.json").read_text())
# The official scorer makes something of these; a reader that did the same would score a broken file in silence.
STRICTER = {
    "equal starts, first has length 0",
    "past the end",
    "start past the end",
    "start 0",
    "start 0 length 1",
    "negative start",
    "zero length",
    "negative length",
    "floats are truncated",
    "strings in list",
    "true/false",
}
