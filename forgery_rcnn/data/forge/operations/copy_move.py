"""Copy-move within a panel: a source and its one to four copies are one instance."""

from __future__ import annotations

import numpy as np

from forgery_rcnn.data.forge import blend, motions
from forgery_rcnn.data.forge.motions import Motion
from forgery_rcnn.data.forge.regions import Region
from forgery_rcnn.data.forge.work import Step, Work

SOURCES = 3  # tried in one figure
LIKENESS = 0.8  # least correlation of a copy with its source
COPIES = (0.74, 0.17, 0.06, 0.03)  # of one, two, three, four


def copy_move(work: Work, area: float, rng: np.random.Generator) -> Step | None:
    """Source and copies in one panel."""
    copies = int(rng.choice(len(COPIES), p=COPIES)) + 1
    panels = work.panels(1.5 * area)
    if not panels:
        return None
    for panel in rng.choice(panels, SOURCES).tolist():
        source = work.shape(panel, area / (1 + copies), rng)
        step = source and copied(work, source, (panel,) * copies, "copy_move", rng)
        if step:
            return step
    return None


def copied(work: Work, source: Region, panels: tuple[int, ...], name: str, rng: np.random.Generator) -> Step | None:
    """Paste the source once into each of `panels`, all with one blend; None, and nothing done, where one finds no place."""
    how, untouched, origin = blend.drawn(rng), work.after.copy(), work.after.copy()
    gain = float(rng.choice((1.0, 1.0, 1.0, rng.uniform(0.88, 1.12))))
    taken, matrices, told = [source], [], []
    for panel in panels:
        matrix, parameters = motions.linear(source, rng)
        moving = work.place(motions.motion(source, matrix), panel, origin, rng, taken)
        if moving is None:
            work.after = untouched
            return None

        def brought(wide: Region, moving: Motion = moving) -> np.ndarray:
            moved = motions.content(origin, moving._replace(region=wide))
            return moved if gain == 1.0 else np.clip(moved * gain, 0, 255).astype(np.uint8)

        if not work.paste(moving.region, brought, how, rng) or not _resembles(work.after, origin, moving):
            work.after = untouched
            return None
        taken.append(moving.region)
        matrices.append(moving.matrix)
        told.append(parameters)
    details = {"blend": how, "gain": round(gain, 3), "motions": told}
    return Step(name, details, tuple(taken), source, tuple(taken[1:]), tuple(matrices))


def _resembles(after: np.ndarray, origin: np.ndarray, moving: Motion) -> bool:
    """Whether a target still shows its source: a Poisson blend over strong edges may not."""
    mask = moving.region.mask
    pair = [each[mask].mean(axis=1) for each in (motions.content(origin, moving), moving.region.window(after))]
    return float(np.corrcoef(*pair)[0, 1]) >= LIKENESS
