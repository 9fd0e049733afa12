"""Which of the shipped systems predicts by default: the detector, or its fusion with the twin finder, as was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DETECTOR, FUSION = "pretrained_final", "fusion"
"""Names under weights/: a .safetensors with its JSON, and an ensemble's JSON that names it."""


def preferred(folder: Path) -> Path | None:
    """-> FUSION.json where its record of both on the same images says that it is the better one and the detector beside it
    is the one that it was made of; else DETECTOR.safetensors; None where that is not there."""
    detector, fusion = folder / f"{DETECTOR}.safetensors", folder / f"{FUSION}.json"
    if not detector.is_file():
        return None
    own, told = _json(detector.with_suffix(".json")), _json(fusion)
    members = told.get("members", [])
    made_of_it = any(isinstance(m, dict) and m.get("sha256") == own.get("sha256", "") for m in members)
    return fusion if made_of_it and better(told.get("recorded")) else detector


def better(recorded: Any) -> bool:
    """What `edarnn.py ship` has recorded of both on the same images -> whether the fusion has the higher mean oF1."""
    try:
        return float(recorded["fused"]["of1"]) > float(recorded["detector"]["of1"])
    except (KeyError, TypeError, ValueError):
        return False


def _json(path: Path) -> dict[str, Any]:
    """{} for what is missing or damaged: who loads it will say so."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
