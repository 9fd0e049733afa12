"""Where what was fitted is stored: the JSON beside one file of weights, or an ensemble's own file."""

from __future__ import annotations

from pathlib import Path

from forgery_rcnn import tables
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference.ensemble import Ensemble
from forgery_rcnn.models import weights


def check_target(found: Ensemble, out: Path | None) -> Path:
    """-> where the fitted thresholds go: `out`, or the JSON that they were read from.

    Raises InputError, before anything is predicted, where neither will do, or cannot be written.
    """
    target = _target(found, out)
    tables.require_writable(target)
    return target


def _target(found: Ensemble, out: Path | None) -> Path:
    if out is not None:
        if out.suffix != ".json" or out.with_suffix(".safetensors").exists():
            raise InputError(f"--out {out}: is to be an ensemble's file; name it .json, with no weights of that name")
        if _several(found) and out.resolve() == found.path.resolve():
            raise InputError(f"--out {out}: is one of the --weights that are merged; name another file")
        return out
    if _several(found):
        raise InputError(
            "several --weights are stored as an ensemble; name its file, e.g. --out runs/NAME/ensemble.json"
        )
    if found.path.resolve().parent == weights.SHIPPED.resolve():
        raise InputError(
            f"{found.path}: shipped weights stay as they are; name others, e.g. --weights runs/NAME, or pass --out "
            "runs/NAME/ensemble.json"
        )
    if found.path.suffix == ".json":
        return found.path
    if found.path.suffix != ".safetensors":
        raise InputError(
            f"{found.path}: has no JSON beside it to store thresholds in; pass --out runs/NAME/ensemble.json"
        )
    return found.path.with_suffix(".json")


def _several(found: Ensemble) -> bool:
    """Whether several --weights were merged as they were loaded; then `found.path` is the first's alone."""
    return len(found.members) > 1 and "members" not in found.meta


def own(found: Ensemble, target: Path) -> bool:
    """Whether `target` is the JSON beside the one file of weights that was loaded."""
    return target == found.path.with_suffix(".json") and found.path.suffix == ".safetensors"


def decides_no_more(found: Ensemble, target: Path) -> bool:
    """Whether `store` leaves out a decision: of an ensemble, whose scores may be other ones by what was fitted."""
    return "decision" in found.meta and not own(found, target)
