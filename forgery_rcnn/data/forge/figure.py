"""One figure: composed, forged by its plan, treated; with its pristine twin and its masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from forgery_rcnn.data.forge import blots, layout, treatments
from forgery_rcnn.data.forge.blend import REACH
from forgery_rcnn.data.forge.operations import OPERATIONS
from forgery_rcnn.data.forge.plans import LARGEST, SMALLEST, WEIGHTS, Plan
from forgery_rcnn.data.forge.scene import Panel, Scene
from forgery_rcnn.data.forge.views import Pool, Views
from forgery_rcnn.data.forge.work import Step, Work

ATTEMPTS = 8  # figures composed anew before a plan's area is lowered
MARGIN = REACH + 3  # pixels along the border without forgeries: a blend's reach, and a transparent border
DRAWN = 0.12  # share of single figures that are a blot or a gel


@dataclass(frozen=True)
class Figure:
    """before, after: (H, W), (H, W, 3) or (H, W, 4) uint8; masks (N, H, W) uint8 {0, 1}; a step per mask; hosts shown."""

    before: np.ndarray
    after: np.ndarray
    masks: np.ndarray
    steps: tuple[Step, ...]
    treatment: tuple[tuple[str, treatments.Settings], ...]
    hosts: tuple[str, ...]


def make(plan: Plan, pool: Pool, operations: tuple[str, ...]) -> Figure:
    """Plan and pool of hosts -> Figure. What does not fit is tried with other views, then with smaller regions."""
    rng = np.random.default_rng([plan.seed, plan.case, 1])
    wanted = plan
    for attempt in range(40):
        views = Views(pool, rng)
        work = Work(composed(plan, views, rng), views)
        steps = forged(work, wanted, operations, rng) if plan.instances else ()
        if steps is not None:
            return finished(plan, work, steps, rng)
        if attempt % ATTEMPTS == ATTEMPTS - 1:
            wanted = replace(wanted, area=0.8 * wanted.area)
    views = Views(pool, rng)
    return finished(plan, Work(composed(plan, views, rng), views), (), rng)


def composed(plan: Plan, views: Views, rng: np.random.Generator) -> Scene:
    """-> the pristine figure."""
    compound = plan.layout == "compound"
    scene = layout.compose(plan.size, views, rng) if compound else layout.decorate(single(plan.size, views, rng), rng)
    if plan.mode != "L":
        return scene
    return replace(scene, canvas=_grey(scene.canvas), bare=_grey(scene.bare))


def _grey(canvas: np.ndarray) -> np.ndarray:
    return np.repeat(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def single(size: tuple[int, int], views: Views, rng: np.random.Generator) -> Scene:
    """-> one view of a host, a blot or a gel, from border to border."""
    height, width = size
    box, drawn = (0, 0, width, height), rng.random()
    if drawn < DRAWN and min(size) >= 96:
        kind, draw = ("blot", blots.blot) if drawn < 0.7 * DRAWN else ("gel", blots.gel)
        canvas, lanes = draw(size, rng)
        panel = Panel(box, kind, "", lanes)
    else:
        canvas, host = views(size)
        panel = Panel(box, "image", host)
    room = np.zeros(size, np.uint8)
    room[MARGIN : height - MARGIN, MARGIN : width - MARGIN] = 1
    return Scene(canvas, room, (panel,), canvas)


def forged(work: Work, plan: Plan, operations: tuple[str, ...], rng: np.random.Generator) -> tuple[Step, ...] | None:
    """Do all of a plan's steps to `work`; None where one of them fits nowhere."""
    steps: list[Step] = []
    shares = rng.dirichlet([4.0] * plan.instances)
    for share in shares:
        area = max(plan.area * share * work.free.size, 1.3 * SMALLEST)
        step = _step(work, area, operations, rng)
        if step is None:
            return None
        work.take(step)
        steps.append(step)
    return tuple(steps)


def _step(work: Work, area: float, operations: tuple[str, ...], rng: np.random.Generator) -> Step | None:
    """The first of the operations, in an order drawn by their weights, that finds a place."""
    share = area / work.free.size
    operations = tuple(name for name in operations if share <= LARGEST.get(name, 1.0)) or operations
    weights = np.array([WEIGHTS[name] for name in operations])
    for name in rng.choice(operations, len(operations), replace=False, p=weights / weights.sum()):
        step = OPERATIONS[str(name)](work, area, rng)
        if step is not None and sum(region.area for region in step.marked) >= SMALLEST:
            return step
    return None


def finished(plan: Plan, work: Work, steps: tuple[Step, ...], rng: np.random.Generator) -> Figure:
    """Treat both twins alike, put them into the plan's mode, and draw the masks."""
    masks = np.zeros((len(steps), *plan.size), np.uint8)
    for mask, step in zip(masks, steps, strict=True):
        for region in step.marked:
            region.window(mask)[region.mask] = 1
    treatment = tuple(treatments.drawn(work.views.pool.tables, rng))
    twins = [treatments.treated(canvas, treatment) for canvas in (work.before, work.after)]
    alpha = _alpha(plan.size, rng) if plan.mode == "RGBA" else None
    before, after = (_in_mode(canvas, plan, alpha) for canvas in twins)
    donors = {host for step in steps for host in step.hosts}
    return Figure(before, after, masks, steps, treatment, tuple(sorted({*work.scene.hosts, *donors})))


def _in_mode(canvas: np.ndarray, plan: Plan, alpha: np.ndarray | None) -> np.ndarray:
    if plan.mode == "L":
        return cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
    return canvas if alpha is None else np.dstack([canvas, alpha])


def _alpha(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint8: opaque, or a soft transparent border that ends inside the margin."""
    rows, columns = (np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) for side in size)
    return np.minimum(np.minimum.outer(rows, columns) * int(rng.choice((255, 255, 255, 40))), 255).astype(np.uint8)
