"""One figure: composed, forged by its plan, treated; with its pristine twin and its masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from forgery_rcnn.data.forge import blots, layout, treatments
from forgery_rcnn.data.forge.blend import REACH
from forgery_rcnn.data.forge.operations import OPERATIONS
from forgery_rcnn.data.forge.plans import SMALLEST, Plan, in_random_order
from forgery_rcnn.data.forge.scene import Panel, Scene
from forgery_rcnn.data.forge.views import Pool, Views
from forgery_rcnn.data.forge.work import Step, Work

ATTEMPTS, ROUNDS = 5, 8  # figures composed anew before less is asked of them; how often less is asked
STRANGE = 26.0  # grey levels along a target's rim that are accepted at first
MARGIN = REACH + 3  # pixels along the border without forgeries: a blend's reach, and a transparent border


@dataclass(frozen=True)
class Figure:
    """before, after: (H, W), (H, W, 3) or (H, W, 4) uint8; masks (N, H, W) uint8 {0, 1}; a step per mask; hosts shown."""

    before: np.ndarray
    after: np.ndarray
    masks: np.ndarray
    steps: tuple[Step, ...]
    treatment: tuple[tuple[str, treatments.Settings], ...]
    hosts: tuple[str, ...]


def make(plan: Plan, pool: Pool) -> Figure:
    """Plan and pool of hosts -> Figure. What does not fit is tried with other views, then otherwise, smaller, less well."""
    rng = np.random.default_rng([plan.seed, plan.case, 1])
    for attempt in range(ATTEMPTS * ROUNDS):
        views, patience = Views(pool, rng), attempt // ATTEMPTS
        work = Work(composed(plan, views, rng), views, STRANGE * 1.3**patience)
        kinds = [in_random_order(plan, rng) if patience else (name,) for name in plan.operations]
        steps = forged(work, kinds, plan.area * 0.9**patience, rng)
        if steps is not None:
            return finished(plan, work, steps, rng)
    return finished(plan, Work(work.scene, views, STRANGE), (), rng)


def composed(plan: Plan, views: Views, rng: np.random.Generator) -> Scene:
    """-> the pristine figure."""
    compound = plan.layout == "compound"
    scene = layout.compose(plan.size, views, rng) if compound else layout.decorate(_single(plan, views, rng), rng)
    if plan.mode != "L":
        return scene
    return replace(scene, canvas=_grey(scene.canvas), bare=_grey(scene.bare))


def _grey(canvas: np.ndarray) -> np.ndarray:
    return np.repeat(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def _single(plan: Plan, views: Views, rng: np.random.Generator) -> Scene:
    """-> one view of a host, a blot or a gel, from border to border."""
    height, width = plan.size
    host, lanes = "", ()
    if plan.layout == "view":
        canvas, host = views(plan.size)
    else:
        canvas, lanes = (blots.blot if plan.layout == "blot" else blots.gel)(plan.size, rng)
    panel = Panel((0, 0, width, height), "image" if plan.layout == "view" else plan.layout, host, lanes)
    room = np.zeros(plan.size, np.uint8)
    room[MARGIN : height - MARGIN, MARGIN : width - MARGIN] = 1
    return Scene(canvas, room, (panel,), canvas)


def forged(
    work: Work, kinds: Sequence[Sequence[str]], area: float, rng: np.random.Generator
) -> tuple[Step, ...] | None:
    """Forge `area`, a share of `work`: per instance the first of its kinds that finds a place; None where none does."""
    steps: list[Step] = []
    shares = rng.dirichlet([4.0] * len(kinds)) if kinds else ()
    for names, share in zip(kinds, shares, strict=True):
        wanted = max(area * share * work.free.size, 1.3 * SMALLEST)
        step = next(filter(None, (OPERATIONS[name](work, wanted, rng) for name in names)), None)
        if step is None or sum(region.area for region in step.marked) < SMALLEST:
            return None
        work.take(step)
        steps.append(step)
    return tuple(steps)


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
    step = int(rng.choice((255, 255, 255, 40)))
    sides = (np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) for side in size)
    rows, columns = (np.minimum(distance * step, 255).astype(np.uint8) for distance in sides)
    return np.minimum.outer(rows, columns)
