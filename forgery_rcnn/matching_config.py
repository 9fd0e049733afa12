"""The twin finder's settings."""

from __future__ import annotations

from dataclasses import dataclass

from forgery_rcnn.errors import require

METHODS = ("keypoints", "correlation", "field", "panels")
"""Where motions come from: local features; correlation of blocks with the whole image; a dense field of nearest neighbours; whole
panels."""


@dataclass(frozen=True)
class MatchingConfig:
    """Finding regions that occur twice. Lengths are in pixels of the original image."""

    methods: tuple[str, ...] = METHODS
    """Which of keypoints, correlation, field, panels propose motions; every one is verified the same way."""
    max_side: int = 1600
    """Images with a longer side are scaled down to it while motions are looked for; they are verified at full size."""
    min_area: int = 100
    """Regions below this are not reported."""
    max_chance: float = 0.01
    """A pair is reported where a random one of its size does as well at most so often."""
    min_score: float = 0.5
    """A pair below this is not reported; a fusion, which weighs pairs itself, is given weaker ones."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.methods if name not in METHODS]
        require(not unknown, f"matching.methods has {', '.join(unknown)}; use any of {', '.join(METHODS)}")
        require(bool(self.methods), "matching.methods is empty; name at least one, e.g. keypoints")
        require(self.max_side >= 256, f"matching.max_side is {self.max_side}; use at least 256 pixels")
        require(self.min_area >= 1, f"matching.min_area is {self.min_area}; use at least 1")
        require(0 < self.min_score <= 1, f"matching.min_score is {self.min_score}; use a number above 0, at most 1")
        require(0 < self.max_chance < 1, f"matching.max_chance is {self.max_chance}; use a number between 0 and 1")
