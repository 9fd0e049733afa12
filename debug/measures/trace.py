"""The boxes of the watched images as they move over the epochs: RUN/boxes.jsonl, its film, its strip, its curve."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from debug.measures.proposals import mean
from debug.pictures.drawing import FOUND, OTHER, TRUTH, boxes_on
from debug.probe import Animation
from forgery_rcnn import draw
from forgery_rcnn.errors import InputError

NAME = "boxes.jsonl"
FRAMES, STRIP = 60, 8  # epochs at most in the film, in the strip
MILLISECONDS = 250  # of a frame

Pictures = Mapping[tuple[str, tuple[int, int]], np.ndarray]


@dataclass(frozen=True)
class Found:
    """The proposal nearest to a true box, before regression. Boxes x0 y0 x1 y1 exclusive, px of the model's input."""

    proposal: list[float]
    refined: list[float]
    score: float
    proposal_iou: float
    refined_iou: float


@dataclass(frozen=True)
class Moment:
    """The watched image after one epoch: true boxes, what is nearest to each (None = nothing), the best detections."""

    stage: str
    epoch: int
    step: int
    case: str
    size: tuple[int, int]
    truth: list[list[float]]
    found: list[Found | None]
    top: list[dict]

    def mean(self, name: str) -> float:
        """Mean of proposal_iou, refined_iou or score over the true boxes that anything is near to; NaN = none."""
        return mean(np.array([getattr(found, name) for found in self.found if found is not None], np.float64))


def read(path: Path) -> list[Moment]:
    """RUN/boxes.jsonl -> its epochs; [] where there is no such file. Raises InputError for a line that is none."""
    if not path.is_file():
        return []
    out = []
    for place, line in enumerate(path.read_text().splitlines(), 1):
        try:
            value = json.loads(line)
            if isinstance(value, dict) and "epoch" in value and "case" not in value:
                continue  # an epoch of a stage that is scored on no forged image
            found = [near and Found(**near) for near in value["found"]]
            height, width = value["size"]
            known = {name: value[name] for name in Moment.__annotations__}
            out.append(Moment(**known | {"size": (height, width), "found": found}))
        except (ValueError, TypeError, KeyError):
            raise InputError(f"{path}: line {place} is not an epoch's boxes; delete the line, or the file") from None
    return out


def chosen(moments: Sequence[Moment], count: int) -> list[Moment]:
    """At most `count` of the epochs, evenly spaced, the first and the last among them."""
    if len(moments) <= count:
        return list(moments)
    return [moments[i] for i in np.linspace(0, len(moments) - 1, count).round().astype(int)]


def _shown(ax: Axes, moment: Moment, pictures: Pictures) -> None:
    """One epoch: the image with true boxes green, the nearest proposals dashed, refined solid with their score."""
    blank = np.full((*moment.size, 3), 235, np.uint8)
    before, after = (f"{moment.mean(name):.2f}" for name in ("proposal_iou", "refined_iou"))
    said = f"IoU {before} → {after}" if any(moment.found) else "nothing near the truth"
    draw.image(ax, pictures.get((moment.case, moment.size), blank), f"{moment.stage}, epoch {moment.epoch}, {said}")
    near = [found for found in moment.found if found is not None]
    boxes_on(ax, np.reshape(moment.truth, (-1, 4)), TRUTH)
    boxes_on(ax, np.reshape([f.proposal for f in near], (-1, 4)), OTHER, "dashed")
    boxes_on(ax, np.reshape([f.refined for f in near], (-1, 4)), FOUND, said=[f"{f.score:.2f}" for f in near])


def _inches(width: float, moment: Moment) -> tuple[float, float]:
    """Width and height of a picture of the image, with room for its title."""
    return width, width * moment.size[0] / moment.size[1] + 0.5


def film(moments: Sequence[Moment], pictures: Pictures) -> Animation:
    """A frame per epoch, the last one held."""
    frames = []
    for moment in chosen(moments, FRAMES):
        figure, (ax,) = draw.panels(1, 1, _inches(4.4, moment))
        _shown(ax, moment, pictures)
        figure.supxlabel("green: true   dashed: proposal   red: refined, with its score", fontsize=7)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[:, :, :3].copy())
    return Animation(frames + frames[-1:] * 4, MILLISECONDS)


def strip(moments: Sequence[Moment], pictures: Pictures) -> Figure:
    """Some epochs, in reading order."""
    some = chosen(moments, STRIP)
    figure, axes = draw.panels(len(some), 4, _inches(3.0, some[0]))
    for ax, moment in zip(axes, some, strict=True):
        _shown(ax, moment, pictures)
    figure.supxlabel("green: true   dashed: proposal   red: refined, with its score", fontsize=7)
    return figure


def errors(moments: Sequence[Moment]) -> np.ndarray:
    """-> (E, 4) dx dy (in true widths, heights), dw dh (log ratios) of the refined boxes nearest to the truth less it, mean
    over the true boxes of each epoch; NaN where nothing is near."""
    out = np.full((len(moments), 4), np.nan)
    for row, moment in zip(out, moments, strict=True):
        near = [
            (true, found.refined) for true, found in zip(moment.truth, moment.found, strict=True) if found is not None
        ]
        if near:
            true, refined = (np.array(boxes, float).reshape(-1, 2, 2) for boxes in zip(*near, strict=True))
            sides, wanted = (np.maximum(boxes[:, 1] - boxes[:, 0], 1e-3) for boxes in (refined, true))
            off = (refined.mean(axis=1) - true.mean(axis=1)) / wanted
            row[:] = np.concatenate([off, np.log(sides / wanted)], axis=1).mean(axis=0)
    return out


def _broken(ax: Axes, values: np.ndarray, parts: Sequence[np.ndarray], style: str, color: str, label: str) -> None:
    """A line for each of the parts of the (E,) values, given by their indices; the label once."""
    for part in parts:
        marker = "o" if len(part) == 1 else ""
        ax.plot(part + 1, values[part], style, marker=marker, color=color, label=label if part[0] == 0 else None)


def curve(moments: Sequence[Moment]) -> Figure:
    """Over the epochs of all stages: IoU of the nearest proposals before and after regression and their score; the
    errors that are left. Lines break where another image is watched."""
    figure, (a, b) = draw.panels(2, 1, (7.2, 3.6))
    starts = [place for place in range(1, len(moments)) if moments[place].case != moments[place - 1].case]
    parts = np.split(np.arange(len(moments)), starts)
    for name, label, colour, style in (
        ("proposal_iou", "IoU of the proposal", OTHER, "--"),
        ("refined_iou", "IoU after regression", FOUND, "-"),
        ("score", "its score", "#1e88e5", ":"),
    ):
        _broken(a, np.array([m.mean(name) for m in moments]), parts, style, color=colour, label=label)
    for number, (values, label) in enumerate(
        zip(
            errors(moments).T,
            ("dx (true widths)", "dy (true heights)", "dw (log ratio)", "dh (log ratio)"),
            strict=True,
        )
    ):
        _broken(b, values, parts, "-", color=f"C{number}", label=label)
    for place in range(len(moments)):
        if place == 0 or moments[place].stage != moments[place - 1].stage:
            for ax in (a, b):
                ax.axvline(place + 0.5, color="grey", linewidth=0.8)
            a.text(place + 0.7, 1.03, moments[place].stage, fontsize=7, va="bottom")
    b.axhline(0, color="black", linewidth=0.8)
    a.set(xlabel="epoch, all stages", ylabel="IoU, score (0..1)", ylim=(-0.02, 1.1))
    b.set(xlabel="epoch, all stages", ylabel="refined box less the true one")
    cases = ", then ".join(dict.fromkeys(moment.case for moment in moments))
    a.set_title(f"proposals nearest to the truth of {cases}", fontsize=9, parse_math=False)
    a.legend(fontsize=7, loc="lower right")
    b.legend(fontsize=7, ncols=2)
    return figure
