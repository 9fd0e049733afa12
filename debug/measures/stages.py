"""What is known of each stage of a run: its course, what it did to the weights, what each head reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from debug.measures.aims import Mark
from debug.measures.course import Course
from debug.measures.heads import Heads
from debug.probe import drawn_only
from forgery_rcnn.config import Stage


@dataclass(frozen=True)
class Moved:
    """What a stage did to the weights. parts: part -> |best - start| / |start|, NaN where |start| is 0, {} where the start
    cannot be had; why: then the reason; frozen: tensors that the stage freezes; drifted: those that changed all the same."""

    parts: dict[str, float]
    why: str
    frozen: int
    drifted: list[str]


@dataclass(frozen=True)
class After:
    """One stage, with its best weights. scored: on what the stage is scored on; train: on training images, None where
    those are the same. course: None where the log has no line of it."""

    stage: Stage
    course: Course | None
    moved: Moved
    scored: Heads
    train: Heads | None
    marks: dict[str, Mark]
    diagnosis: str


@dataclass(frozen=True)
class StagesReport:
    """Stages that have best weights, in order; missing: names of those that have none. log: for the picture."""

    stages: list[After]
    missing: list[str]
    log: list[dict[str, Any]] = drawn_only()
