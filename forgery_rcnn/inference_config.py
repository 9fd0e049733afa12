"""From a model's output to the answer, as settings: views, tiles, refinement, thresholds. All of it is stored with weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from forgery_rcnn.errors import require

VIEWS = ("identity", "flip_horizontal", "flip_vertical", "rot90", "rot180", "rot270", "transpose", "transverse")
"""The eight symmetries of the square, rotations anticlockwise; transverse: mirrored at the other diagonal."""
VIEW_SETS = {
    "five": ("identity", "flip_horizontal", "flip_vertical", "rot90", "rot270"),
    "eight": VIEWS,
}
"""Names for sets of views: those of MMFusion (Aaltoes 2025), and the whole square's (Tianchi)."""


@dataclass(frozen=True)
class Tiling:
    """Cutting an image into overlapping squares that the model sees one at a time."""

    mode: Literal["off", "auto"] = "off"
    """auto: where the image is larger than a tile."""
    sides: tuple[int, ...] = (384, 512, 768, 1024)
    """A tile's side in pixels of the image: the largest of these that fits into its shorter side."""
    overlap: float = 0.25
    """Share of its side that a tile has in common with the next, at least."""
    grid: int = 1
    """Tiles begin at multiples of so many pixels; 8 keeps them on the grid of JPEG blocks."""

    def __post_init__(self) -> None:
        require(bool(self.sides) and min(self.sides, default=0) >= 64, f"tiling.sides is {self.sides}; use 64 or more")
        require(0 <= self.overlap <= 0.75, f"tiling.overlap is {self.overlap}; use a share in 0..0.75")
        require(1 <= self.grid <= 64, f"tiling.grid is {self.grid}; use 1, or 8 for JPEG blocks")
        require(
            all(side % self.grid == 0 for side in self.sides),
            f"tiling.sides {self.sides} are not all multiples of tiling.grid {self.grid}; choose sides that are",
        )


@dataclass(frozen=True)
class Refine:
    """Bringing the heat map in line with the image's edges. Off by default; `edarnn.py fit` shows whether it helps a model."""

    method: Literal["none", "crf", "pydensecrf2", "guided", "smoother"] = "none"
    """crf: fully connected conditional random field, pydensecrf2 the same by that package's lattice (`pip install '.[crf]'`;
    the two differ); guided: guided filter; smoother: fast global smoother."""
    spatial: float = 10.0
    """How far pixels speak to each other, in pixels (one standard deviation; the guided filter's radius)."""
    spatial_at: int = 1024
    """Long side of the images that `spatial` is meant for; it grows and shrinks with the image: 10 px hurt at 256 px
    (docs/results/crf.md). 0 = as it is, as published."""
    colour: float = 13.0
    """Levels (of 255) by which two pixels may differ and still speak to each other (one standard deviation)."""
    compat: float = 10.0
    """crf, pydensecrf2: weight of the neighbours beside the model's own probability."""
    iterations: int = 5

    def __post_init__(self) -> None:
        for name in ("spatial", "colour", "compat"):
            require(getattr(self, name) > 0, f"refine.{name} is {getattr(self, name)}; use a positive number")
        require(self.iterations >= 1, f"refine.iterations is {self.iterations}; use at least 1")
        require(self.spatial_at >= 0, f"refine.spatial_at is {self.spatial_at}; use 0 or a side in pixels")


@dataclass(frozen=True)
class InferenceConfig:
    """From the model's output to instances. Areas and lengths are in pixels of the original image."""

    score_threshold: float = 0.5
    """An instance counts from this score on."""
    mask_threshold: float = 0.5
    """A pixel is forged from this probability on."""
    image_threshold: float = 0.0
    """An image whose image score is below is called authentic, whatever was found in it."""
    min_area: int = 16
    max_instances: int = 10
    close_gaps: int = 0
    """Of a model that gives a map: regions whose straight sides are up to so many pixels apart, an odd number rounded up,
    become one; those that face each other with corners or thin parts only where they are nearer, or not at all."""
    regions: Literal["components", "one"] = "components"
    """components: each region that passes the thresholds is an instance, of a model that gives a map each connected one; one:
    all of them are one (where a source and its copies count as one). Of a map these are all pixels from mask_threshold on:
    the other thresholds are asked of the whole, so that no pixel is left out."""
    views: tuple[str, ...] = ("identity",)
    """Predict each of these views of the image and take the mean: any of the eight, or the sets five, eight."""
    tiling: Tiling = field(default_factory=Tiling)
    refine: Refine = field(default_factory=Refine)

    def __post_init__(self) -> None:
        for name in ("score_threshold", "mask_threshold", "image_threshold"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, f"inference.{name} is {value}; use a number in 0..1")
        for name, least in (("min_area", 0), ("max_instances", 1), ("close_gaps", 0)):
            require(getattr(self, name) >= least, f"inference.{name} is {getattr(self, name)}; use at least {least}")
        known = (*VIEWS, *VIEW_SETS)
        unknown = [name for name in self.views if name not in known]
        require(not unknown, f"inference.views has {', '.join(unknown)}; use any of {', '.join(known)}")
        require(bool(self.views), "inference.views is empty; name at least one, e.g. identity")
