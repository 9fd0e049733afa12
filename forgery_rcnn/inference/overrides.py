"""Stored settings of inference with some in their place, as a command line gives them; None = as stored."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar

from forgery_rcnn.config import InferenceConfig
from forgery_rcnn.errors import require

Stored = TypeVar("Stored")


@dataclass(frozen=True)
class TilingOver:
    """In place of the stored tiling."""

    mode: Literal["off", "auto"] | None = None
    sides: tuple[int, ...] | None = None
    overlap: float | None = None
    grid: int | None = None


@dataclass(frozen=True)
class RefineOver:
    """In place of the stored refinement."""

    method: Literal["none", "crf", "pydensecrf2", "guided", "smoother"] | None = None
    spatial: float | None = None
    spatial_at: int | None = None
    colour: float | None = None
    compat: float | None = None
    iterations: int | None = None


@dataclass(frozen=True)
class InferenceOver:
    """Each default is what is stored with the weights; config.InferenceConfig says what they mean."""

    score_threshold: float | None = None
    mask_threshold: float | None = None
    image_threshold: float | None = None
    min_area: int | None = None
    max_instances: int | None = None
    close_gaps: int | None = None
    regions: Literal["components", "one"] | None = None
    views: tuple[str, ...] | None = None
    """Any of the eight symmetries of the square, or the sets five, eight."""
    tiling: TilingOver = field(default_factory=TilingOver)
    refine: RefineOver = field(default_factory=RefineOver)

    def check(self, gives: Literal["instances", "map"]) -> None:
        """Raises InputError where a setting is given that only counts for a map, and the weights give instances."""
        given: dict[str, object] = {"close-gaps": self.close_gaps}
        given |= {f"refine.{f.name}".replace("_", "-"): getattr(self.refine, f.name) for f in fields(self.refine)}
        idle = [f"--inference.{name}" for name, value in given.items() if value is not None]
        require(
            gives == "map" or not idle,
            f"{', '.join(idle)}: made for models that give a map; these weights give instances, leave it out",
        )

    def over(self, stored: InferenceConfig) -> InferenceConfig:
        """The stored settings, with those given here in their place. Raises InputError where they do not go together."""
        return _over(self, stored)


def _over(given: Any, stored: Stored) -> Stored:
    values = {f.name: getattr(given, f.name) for f in fields(given)}
    changes = {
        name: _over(value, getattr(stored, name)) if is_dataclass(value) else value
        for name, value in values.items()
        if value is not None
    }
    return replace(stored, **changes)
