"""What the box regressor does to proposals: pure numbers of boxes before and after, image by image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from debug.measures.proposals import by_size, mean, number
from debug.measures.trace import Moment
from debug.probe import drawn_only
from forgery_rcnn.bootstrap import Interval, Resampling
from forgery_rcnn.models.anatomy import MATCH

AXES = ("dx", "dy", "dw", "dh")
TOO = {"dx": ("left", "right"), "dy": ("high", "low"), "dw": ("narrow", "wide"), "dh": ("flat", "tall")}
FEWEST = 5  # forged proposals from which anything is said
REACHED = 0.5  # share of the regions below which few proposals are the RPN's fault
EXACT = 0.85  # mean IoU after, from which no fault is looked for: 4 % off on every side leaves so much
USABLE = 0.7  # mean IoU after, from which the mask head sees most of a region
MOVES = 0.02  # mean rise of the IoU below which the regressor does nothing
BIAS = 0.05  # median error, of the box's side or log ratio, that is called a bias
LEAST = 1e-2  # px: side below which torchvision drops a box

ROUNDING = 1e-5  # of an IoU: boxes coded and decoded again


@dataclass(frozen=True)
class Moved:
    """One image. Of its F forged proposals: (F,) IoU with their true box before and after, (F, 4) errors before and
    after (see `errors`), (F, 4) deltas given and ideal, in torchvision's weighted units, (F,) side of the true box in px.

    Of its G regions: (G,) sides, (G,) IoU of the best proposal, (G,) of the same one refined; 0 where none touches it.
    """

    key: str
    before: np.ndarray
    after: np.ndarray
    errors_before: np.ndarray
    errors_after: np.ndarray
    given: np.ndarray
    ideal: np.ndarray
    sides: np.ndarray
    region_sides: np.ndarray
    best_before: np.ndarray
    best_after: np.ndarray


@dataclass(frozen=True)
class Axis:
    """Error along one of dx dy dw dh over the forged proposals: median and interquartile range, before and after.

    step: share of the needed move that is made, least squares of given on ideal deltas; 1 is right, 0 is none.
    """

    before: float
    before_spread: float
    after: Interval
    after_spread: float
    step: float


@dataclass(frozen=True)
class Size:
    """Regions of one size: how many, their forged proposals, mean IoU of these before and after."""

    name: str
    regions: int
    proposals: int
    before: float
    after: float


@dataclass(frozen=True)
class Stage:
    """The best weights of a stage, on the same images: forged proposals, mean IoU before and after, share improved."""

    name: str
    proposals: int
    before: float
    after: float
    improved: float


@dataclass(frozen=True)
class Boxes:
    """What debug.boxes reports. reached: regions with a forged proposal. before, after: mean IoU of the forged proposals;
    gain: after - before; improved: share whose IoU rises; best_*: the same of the best proposal of each region. stages: of
    the run; epochs: of its watched images."""

    images: int
    regions: int
    reached: int
    proposals: int
    before: Interval
    after: Interval
    gain: Interval
    improved: float
    best_before: float
    best_after: float
    axes: dict[str, Axis]
    sizes: list[Size]
    stages: list[Stage]
    epochs: list[Moment]
    moved: list[Moved] = drawn_only()
    pictures: dict[tuple[str, tuple[int, int]], np.ndarray] = drawn_only()


def errors(boxes: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(R, 4) boxes, (R, 4) true ones -> (R, 4) float64: how far right and low the centre is, in true widths and heights,
    and log of width and height over the true ones.

    >>> errors(np.array([[10.0, 0, 30, 10]]), np.array([[0.0, 0, 10, 10]])).round(3).tolist()
    [[1.5, 0.0, 0.693, 0.0]]
    """
    boxes, true = np.asarray(boxes, np.float64), np.asarray(true, np.float64)
    size, true_size = (np.maximum(b[:, 2:] - b[:, :2], LEAST) for b in (boxes, true))
    centre, true_centre = ((b[:, :2] + b[:, 2:]) / 2 for b in (boxes, true))
    return np.concatenate([(centre - true_centre) / true_size, np.log(size / true_size)], axis=1)


def step(given: np.ndarray, ideal: np.ndarray) -> float:
    """(F,) deltas given, (F,) ideal -> least-squares slope through 0; NaN where no move is needed.

    >>> step(np.array([0.5, -1.0]), np.array([1.0, -2.0]))
    0.5
    """
    needed = float(ideal @ ideal)
    return float(given @ ideal) / needed if needed else math.nan


def summarised(
    moved: Sequence[Moved],
    stages: Sequence[Stage],
    epochs: Sequence[Moment],
    pictures: dict[tuple[str, tuple[int, int]], np.ndarray],
) -> Boxes:
    """Images, at least one; stages and epochs of the run, if any -> Boxes."""
    before, after = _joined(moved, "before"), _joined(moved, "after")
    return Boxes(
        images=len(moved),
        regions=len(_joined(moved, "region_sides")),
        reached=int((_joined(moved, "best_before") >= MATCH).sum()),
        proposals=len(before),
        before=_pooled(moved, lambda m: m.before),
        after=_pooled(moved, lambda m: m.after),
        gain=_pooled(moved, lambda m: m.after - m.before),
        improved=_improved(before, after),
        best_before=mean(_joined(moved, "best_before")),
        best_after=mean(_joined(moved, "best_after")),
        axes={name: _axis(moved, place) for place, name in enumerate(AXES)},
        sizes=_sizes(moved),
        stages=list(stages),
        epochs=list(epochs),
        moved=list(moved),
        pictures=pictures,
    )


def stage(name: str, moved: Sequence[Moved]) -> Stage:
    """What the best weights of a stage do -> Stage."""
    before, after = _joined(moved, "before"), _joined(moved, "after")
    return Stage(name, len(before), mean(before), mean(after), _improved(before, after))


def _improved(before: np.ndarray, after: np.ndarray) -> float:
    """(N,) IoU, (N,) IoU -> share that rose."""
    return mean((after > before + ROUNDING).astype(float))


def _joined(moved: Sequence[Moved], name: str) -> np.ndarray:
    return np.concatenate([getattr(m, name) for m in moved])


def _pooled(moved: Sequence[Moved], values: Callable[[Moved], np.ndarray]) -> Interval:
    """Mean over the proposals of all images, its interval over images."""
    parts = [values(m) for m in moved]
    return Resampling().of(lambda index: mean(np.concatenate([parts[i] for i in index])), len(parts))


def _axis(moved: Sequence[Moved], place: int) -> Axis:
    before, after, given, ideal = (
        _joined(moved, name)[:, place] for name in ("errors_before", "errors_after", "given", "ideal")
    )
    parts = [m.errors_after[:, place] for m in moved]
    sure = Resampling().of(lambda index: _median(np.concatenate([parts[i] for i in index])), len(parts))
    return Axis(_median(before), _range(before), sure, _range(after), step(given, ideal))


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else math.nan


def _range(values: np.ndarray) -> float:
    """(N,) -> distance between the quartiles."""
    return float(np.diff(np.quantile(values, [0.25, 0.75]))[0]) if len(values) else math.nan


def _sizes(moved: Sequence[Moved]) -> list[Size]:
    regions, of_proposals = by_size(_joined(moved, "region_sides")), by_size(_joined(moved, "sides"))
    before, after = _joined(moved, "before"), _joined(moved, "after")
    out = []
    for name, those in regions.items():
        own = of_proposals.get(name, np.zeros(0, int))
        out.append(Size(name, len(those), len(own), mean(before[own]), mean(after[own])))
    return out


def verdict(found: Boxes) -> str:
    """One line: whether boxes get better, and what to do next."""
    if not found.regions:
        return "n/a: no forged region in these images; pass some that are forged"
    if found.proposals < FEWEST:
        few = f"too few forged proposals to say: {found.proposals} (IoU >= {MATCH:g}) on {found.reached} of {found.regions} regions"
        if found.reached < REACHED * found.regions:
            return f"{few}; that is the RPN's fault: run debug.rpn"
        return f"{few}; the RPN finds the regions, there are few: look at more forged images"
    moves = f"IoU {found.before.value:.3f} -> {found.after.value:.3f}"
    if found.after.value >= EXACT:
        return f"fine: the regressor brings {found.proposals} forged proposals to their true boxes, {moves}"
    if found.gain.value < MOVES or found.gain.low <= 0:
        return (
            f"the regressor does not move boxes towards the truth: {moves}, gain {found.gain}; train roi_heads.box_predictor "
            "longer or at a higher rate, and see debug.gradients whether it learns at all"
        )
    if biased := _biases(found):
        return f"the regressor moves boxes ({moves}) but they end {', '.join(biased)}; are the training's boxes tight to the masks?"
    if found.after.value >= USABLE:
        return f"fine: the regressor moves boxes towards the truth without bias, {moves}"
    worst = max(AXES, key=lambda name: found.axes[name].after_spread)
    return (
        f"the regressor moves boxes towards the truth but not near enough: {moves}, no bias, worst along {worst} "
        f"(quartiles {number(found.axes[worst].after_spread)} apart); train roi_heads longer"
    )


def _biases(found: Boxes) -> list[str]:
    """What the boxes have in common after regression, in words, the worst first."""
    out = []
    for name, axis in sorted(found.axes.items(), key=lambda item: -abs(item[1].after.value)):
        at = axis.after
        if abs(at.value) > BIAS and not at.low <= 0 <= at.high:
            out.append(f"too {TOO[name][at.value > 0]} ({name} {at.value:+.3f})")
    return out
