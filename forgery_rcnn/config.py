"""What a run is made of: frozen dataclasses, each checked where it is made. No other settings exist."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from forgery_rcnn.data_config import DataConfig as DataConfig
from forgery_rcnn.errors import require
from forgery_rcnn.inference_config import InferenceConfig as InferenceConfig
from forgery_rcnn.inference_config import Refine as Refine
from forgery_rcnn.inference_config import Tiling as Tiling
from forgery_rcnn.matching_config import MatchingConfig as MatchingConfig
from forgery_rcnn.model_config import BARE_PTH as BARE_PTH
from forgery_rcnn.model_config import DenseConfig as DenseConfig
from forgery_rcnn.model_config import ModelConfig as ModelConfig

INFINITE = float("inf")
ALL = ("all",)  # every parameter of any model
# The parts of the Mask R-CNN, by the prefix of their parameters' names.
HEADS = ("rpn", "roi_heads")
MASK_HEAD = ("roi_heads.mask_head", "roi_heads.mask_predictor")


Augmentation = Literal[
    "flip", "rot90", "colour", "elastic", "stretch", "scale", "salt_pepper", "noise", "jpeg", "objects"
]


@dataclass(frozen=True)
class Stage:
    """One stage of training: which images, which parts move, for how long, how fast."""

    name: str = "full"
    subset: Literal["single", "few", "full"] = "full"
    trainable: tuple[str, ...] = ALL
    """Prefixes of parameter names, or all; everything else is frozen and in eval mode."""
    frozen: tuple[str, ...] = ()
    """Prefixes taken out of `trainable` again."""
    alternate_with: tuple[str, ...] = ()
    """Prefixes trained in turn with `trainable`, changing over every `alternate_every` epochs."""
    alternate_every: int = 0
    augment: tuple[Augmentation, ...] = ()
    epochs: int = 10
    repeats: int = 1
    """How often each image comes up in an epoch, each time augmented or cut anew."""
    batch_size: int = 2
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 3e-4
    weight_decay: float = 1e-4
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    step_epochs: int = 5
    """schedule step: the learning rate is multiplied by `step_gamma` every so many epochs."""
    step_gamma: float = 0.1
    warmup_steps: int = 10
    clip_norm: float = 5.0
    mine_every: int = 0
    """Epochs after which authentic training images are predicted, and those with false alarms come up more often from then
    on, with fit native cut where the alarm was; 0 = never."""
    mine_images: int = 100
    """How many of them are predicted each time, drawn by the seed."""
    mine_factor: float = 4.0
    """How many times as often as others an image with a false alarm comes up."""
    evaluate_every: int = 1
    """Epochs between evaluations; the last epoch is always evaluated."""
    evaluate_images: int = 0
    """How many of the images that the stage is scored on are taken, forged and authentic alike; 0 = all."""
    best_by: Literal["of1", "dice", "image_auc", "loss"] = "of1"
    """What the weights that are kept are best in on the images that the stage is scored on; loss: the lowest."""
    patience: int = 0
    """Stop after this many evaluations without a better score; 0 = never."""

    def __post_init__(self) -> None:
        where = f"Stage {self.name!r}:"
        require(
            re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", self.name) is not None,
            f"{where} files are called by its name; use letters, digits, _, - and ., which is not the first",
        )
        require(bool(self.trainable), f"{where} trainable is empty: name a part, e.g. ('roi_heads.box_predictor',)")
        require(self.epochs >= 1, f"{where} epochs is {self.epochs}; use at least 1")
        require(self.batch_size >= 1, f"{where} batch_size is {self.batch_size}; use at least 1")
        require(self.step_epochs >= 1, f"{where} step_epochs is {self.step_epochs}; use at least 1")
        require(self.warmup_steps >= 0, f"{where} warmup_steps is {self.warmup_steps}; use 0 or more")
        require(self.clip_norm > 0, f"{where} clip_norm is {self.clip_norm}; use a positive number, e.g. 5")
        require(0 < self.lr < INFINITE, f"{where} lr is {self.lr}; use a positive number")
        require(
            0 <= self.weight_decay < INFINITE, f"{where} weight_decay is {self.weight_decay}; use 0 or more, e.g. 1e-4"
        )
        require(0 < self.step_gamma < INFINITE, f"{where} step_gamma is {self.step_gamma}; use a positive number")
        require(self.patience >= 0, f"{where} patience is {self.patience}; use 1 or more evaluations, or 0 for never")
        require(self.repeats >= 1, f"{where} repeats is {self.repeats}; use at least 1")
        require(
            self.evaluate_images >= 0, f"{where} evaluate_images is {self.evaluate_images}; use a number, or 0 for all"
        )
        require(self.mine_every >= 0, f"{where} mine_every is {self.mine_every}; use 1 or more epochs, or 0 for never")
        require(self.mine_images >= 1, f"{where} mine_images is {self.mine_images}; use at least 1")
        require(1 <= self.mine_factor < INFINITE, f"{where} mine_factor is {self.mine_factor}; use 1 or more, e.g. 4")
        require(self.evaluate_every >= 1, f"{where} evaluate_every is {self.evaluate_every}; use at least 1")
        require(
            bool(self.alternate_with) == (self.alternate_every > 0),
            f"{where} alternate_with {self.alternate_with} and alternate_every {self.alternate_every} go together: set both or neither",
        )


@dataclass(frozen=True)
class Arm:
    """One arm of an experiment: what differs from the run's own stages and data."""

    name: str
    frozen: tuple[str, ...] = ()
    cue: Literal["none", "painted_boxes"] = "none"


@dataclass(frozen=True)
class RunConfig:
    """A run is a value: data, model, stages one after the other, and how the engine goes about it."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    stages: tuple[Stage, ...] = (Stage(),)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    arms: tuple[Arm, ...] = ()
    """Not empty: each arm trains all stages but the last; the arm with the best oF1 goes on with the last."""
    fold_runs: tuple[int, ...] = ()
    """Not empty: each of these folds is trained, in OUT/fold-K, and OUT/ensemble.json names them, to be averaged."""
    seed: int = 0
    device: str = "auto"
    """auto (the GPU where there is one), cpu, cuda, cuda:1."""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """auto uses bf16 autocast where the processor computes in bf16."""
    ema_decay: float = 0.0
    """Decay per step of the averaged weights that are evaluated and kept; 0 = off."""
    save_every: float = 60.0
    """Seconds between resumable checkpoints; 0 saves after every step. Ends of stages and Ctrl-C always save."""
    tensorboard: bool = True
    watch: int = 32
    """Forged images whose features' separability is measured (it takes eight), the same in all stages: of the validation
    split, filled up from the training images, the overfitted ones last. Measured each time that as many images have been
    trained on, and in a stage's last epoch. The boxes of the first forged image that a stage is scored on go to
    boxes.jsonl after every epoch. 0 = neither."""
    probe_stages: int = 0
    """Images on which the oracle's ladder is climbed after each stage of a mask_rcnn, for a line that names the part that
    limits it; 0 = none."""
    collapse_after: int = 3
    """Evaluations in a row in which every image gets the same answer, none is flagged, or the score is a trivial
    baseline's, after which the run says so and names the likely cause; 0 = never."""
    on_collapse: Literal["go_on", "stop"] = "go_on"

    def __post_init__(self) -> None:
        require(self.seed >= 0, f"seed is {self.seed}; use 0 or more")
        require(
            0 <= self.save_every < INFINITE, f"save_every is {self.save_every}; use seconds, or 0 for after every step"
        )
        require(self.watch >= 0, f"watch is {self.watch}; use a number of images, or 0 for none")
        require(self.probe_stages >= 0, f"probe_stages is {self.probe_stages}; use a number of images, or 0 for none")
        require(self.collapse_after >= 0, f"collapse_after is {self.collapse_after}; use 1 or more, or 0 for never")
        require(bool(self.stages), "RunConfig: stages is empty: name at least one Stage")
        names = [stage.name for stage in self.stages]
        require(len(set(names)) == len(names), f"RunConfig: two stages share a name in {names}; give each its own")
        require(
            0.0 <= self.ema_decay < 1.0, f"ema_decay is {self.ema_decay}; use 0 (off) or a number below 1, e.g. 0.999"
        )
        require(
            not self.arms or len(self.stages) >= 2, "RunConfig: arms need two stages: one per arm, one for the winner"
        )
        self._check_folds()

    def _check_folds(self) -> None:
        runs, count = self.fold_runs, self.data.folds
        require(
            all(0 <= fold < count for fold in runs),
            f"fold_runs is {runs}; with data.folds {count} use some of 0..{count - 1}",
        )
        require(
            not runs or self.data.fold in (0, *runs[:1]),
            f"data.fold is {self.data.fold}, but fold_runs trains {runs}; add --fold-runs without a number to train one fold",
        )
        require(len(set(runs)) == len(runs), f"fold_runs is {runs}; name each fold once")
        require(
            not (runs and self.arms), "fold_runs and arms cannot both be trained in one call; leave one of them out"
        )
        require(
            not (runs and self.data.split_file),
            f"fold_runs is {runs}, but data.split_file names the one split there is; leave one of them out",
        )


Config = TypeVar("Config")


def to_dict(config: Any) -> dict[str, Any]:
    """A config dataclass -> plain JSON values; `from_dict` is its inverse."""
    return _plain(config)


def from_dict(kind: type[Config], values: dict[str, Any]) -> Config:
    """Plain JSON values -> a config dataclass, checked as always. Raises InputError for a setting that does not exist.

    >>> from_dict(Stage, to_dict(Stage(epochs=3))).epochs
    3
    """
    hints = get_type_hints(kind)
    values = getattr(kind, "of_older", dict)(values)
    unknown = sorted(set(values) - set(hints))
    require(not unknown, f"{kind.__name__} has no setting {', '.join(unknown)}; it has {', '.join(hints)}")
    return kind(**{name: _typed(hints[name], value) for name, value in values.items()})


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def _typed(hint: Any, value: Any) -> Any:
    if isinstance(hint, UnionType):  # Path | None
        return None if value is None else _typed(next(h for h in get_args(hint) if h is not type(None)), value)
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value)
    if get_origin(hint) is tuple:
        return tuple(_typed(get_args(hint)[0], v) for v in value)
    return Path(value) if hint is Path else value
