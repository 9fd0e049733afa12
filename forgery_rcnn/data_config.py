"""Which images a run has, how they are split and read: the settings of data, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgery_rcnn.errors import require


@dataclass(frozen=True)
class Where:
    """Images that a command looks at."""

    root: Path | None = None
    """Data root in one of the layouts (README); default the built-in sample."""
    skip_bad: bool = False
    """List bad files and leave them out."""


@dataclass(frozen=True)
class DataConfig:
    """Which images, how they are split, and what is done to them before the model sees them."""

    root: Path | None = None
    """Data set in one of the layouts below; none = the built-in sample, made on first use."""
    layout: Literal["auto", "recodai", "aaltoes", "mediaeval", "mediaeval_val", "tianchi", "casia", "coco", "pairs"] = (
        "auto"
    )
    """How the root is laid out (README, The real data); auto tells by its folders."""
    masks: Path | None = None
    """Folder of masks for the images right in root, where the two have no layout."""
    folds: int = 5
    """Number of grouped folds; fold number `fold` is the validation split."""
    fold: int = 0
    split_seed: int = 0
    split_file: Path | None = None
    """CSV with columns case_id, part (train, validation, or test: left out) in place of the folds; a split that leaks is
    refused. None = splits.csv in the data root if there is one, else the folds."""
    single: str = "10017"
    """Case id of the image that stage `single` overfits; where it is missing, one is drawn."""
    few: int = 5
    """How many forged images stage `few` overfits; the single one is among them."""
    instances: Literal["channels", "components"] = "channels"
    """One instance per mask channel (as the metric counts), or per connected component."""
    min_box: int = 2
    """Shortest side of an instance's box, in pixels at the model's input size; smaller ones are left out of training."""
    min_part: float = 0.0
    """model.fit native: an instance is left out of training where less than this share of it lies in the square that is cut,
    and it covers less than this share of the square."""
    crops_on_forged: float = 0.0
    """model.fit native: share of the squares that are laid over a forged pixel, where the image has one; the others lie
    anywhere."""
    cue: Literal["none", "painted_boxes"] = "none"
    """painted_boxes draws the true boxes into the image: an oracle experiment that rules the box error out."""
    elastic: tuple[float, float] = (1.0, 50.0)
    """alpha and sigma, in pixels, of the augmentation elastic: alpha times uniform(-1, 1) noise smoothed by sigma. The
    published numbers move a pixel by 0.02 at most; 2000 and 50 move it by some ten."""
    skip_bad: bool = False
    """List the bad files and leave them out, rather than stop before the first step."""
    workers: int = 0
    """Loader processes; 0 loads in the training process."""
    cache_mb: int = 2000
    """Decoded images kept in memory, per loader process, at the model's input size; of a frozen backbone's features as much again."""

    def __post_init__(self) -> None:
        if self.masks is not None:
            require(self.root is not None, f"data.masks is {self.masks}; pass the images' folder as data.root")
            fits = self.layout in ("auto", "pairs")
            require(fits, f"data.masks is given, data.layout is {self.layout}; leave the layout out")
        require(self.folds >= 2, f"data.folds is {self.folds}; a split needs at least 2")
        require(
            0 <= self.fold < self.folds, f"data.fold is {self.fold}; with {self.folds} folds use 0..{self.folds - 1}"
        )
        require(self.split_seed >= 0, f"data.split_seed is {self.split_seed}; use 0 or more")
        require(self.few >= 1, f"data.few is {self.few}; use at least 1 image")
        require(self.min_box >= 1, f"data.min_box is {self.min_box}; use at least 1 pixel")
        for name in ("min_part", "crops_on_forged"):
            value = getattr(self, name)
            require(0.0 <= value <= 1.0, f"data.{name} is {value}; use a share in 0..1")
        require(
            self.elastic[0] >= 0 and self.elastic[1] > 0,
            f"data.elastic is {self.elastic}; use alpha 0 or more and sigma above 0",
        )
        require(self.workers >= 0, f"data.workers is {self.workers}; use 0 or more")
