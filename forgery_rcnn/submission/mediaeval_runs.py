"""The files that MediaEval 2025 asks for beside task A's zip, named by the run (constrained, open)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from forgery_rcnn.instances import Answer
from forgery_rcnn.submission import archives, mediaeval
from forgery_rcnn.tables import replacing


def probs_name(run: str, part: Literal["val", "test"]) -> str:
    """
    >>> probs_name("open", "val")
    'open_val_probs.csv'
    """
    return f"{run}_{part}_probs.csv"


def model_name(run: str, stage: str) -> str:
    """
    >>> model_name("constrained", "finetuned")
    'constrained_finetuned_model.safetensors'
    """
    return f"{run}_{stage}_model.safetensors"


def write_val(path: Path, answers: Iterable[tuple[str, Answer]], threshold: float) -> None:
    """(case id, answer with image score) -> a CSV as in task A's zip: label is the call, prob >= threshold, not the truth.

    Written whole or not at all. Raises InputError: a threshold or an image score outside 0..1, cannot be written.
    """
    content = mediaeval.table_a(answers, threshold)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_test(path: Path, submitted: Path) -> None:
    """The CSV out of a zip that mediaeval.write_a made, byte by byte. Raises InputError: not readable, cannot be written."""
    with archives.opened(submitted) as archive:
        content = archive.read(f"{submitted.stem}.csv")
    with replacing(path) as temporary:
        temporary.write_bytes(content)
