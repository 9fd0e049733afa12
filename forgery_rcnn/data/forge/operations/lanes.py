"""Lane duplication: a blot's or gel's lane, or a piece of it, appears again in another lane."""

from __future__ import annotations

import numpy as np

from forgery_rcnn.data.forge import motions, regions
from forgery_rcnn.data.forge.motions import Motion
from forgery_rcnn.data.forge.regions import CLOSE_ENOUGH, Region
from forgery_rcnn.data.forge.work import Rim, Step, Work

TRIES = 30


def lanes(work: Work, area: float, rng: np.random.Generator) -> Step | None:
    """One lane's rectangle copied over another lane's, perhaps mirrored; both are marked."""
    blots = [number for number in work.panels(area) if len(work.scene.panels[number - 1].lanes) >= 2]
    for _ in range(TRIES if blots else 0):
        panel = int(rng.choice(blots))
        boxes = work.scene.panels[panel - 1].lanes
        first, second = (boxes[i] for i in rng.choice(len(boxes), 2, replace=False))
        width = int(0.98 * min(first[2] - first[0], second[2] - second[0]))
        height = min(int(area / 2 / max(width, 1)), first[3] - first[1], second[3] - second[1])
        if width < 6 or height < 6 or not CLOSE_ENOUGH[0] * area < 2 * width * height < CLOSE_ENOUGH[1] * area:
            continue
        source = _strip(work, first, width, height, rng)
        target = regions.rectangle(0, 0, width, height)._replace(
            y=int(np.clip(source.y - first[1] + second[1], second[1], second[3] - height)),
            x=(second[0] + second[2] - width) // 2,
        )
        step = _copied(work, panel, source, target, rng)
        if step is not None:
            return step
    return None


def _strip(work: Work, lane: tuple[int, int, int, int], width: int, height: int, rng: np.random.Generator) -> Region:
    """The lane's part of this height that shows most, of four."""
    x = (lane[0] + lane[2] - width) // 2
    starts = rng.integers(lane[1], lane[3] - height + 1, 4).tolist()
    strips = [regions.rectangle(x, y, x + width, y + height) for y in starts]
    return max(strips, key=lambda strip: strip.window(work.before).std())


def _copied(work: Work, panel: int, source: Region, target: Region, rng: np.random.Generator) -> Step | None:
    """Copy source over target where both are free and the change shows."""
    if not (
        work.fits(source, panel) and work.fits(target, panel) and regions.shows(source.window(work.before), source.mask)
    ):
        return None
    mirrored = bool(rng.random() < 0.3)
    sign = -1.0 if mirrored else 1.0
    across = target.x - source.x if not mirrored else target.x + source.x + source.mask.shape[1] - 1
    moving = Motion(np.array([[sign, 0.0, across], [0.0, 1.0, target.y - source.y]]), target)
    origin, how = work.after.copy(), str(rng.choice(("hard", "feathered")))
    if Rim.of(motions.content(origin, moving), target.mask).unlike(target.window(origin)) > work.strange:
        return None

    def brought(wide: Region) -> np.ndarray:
        return motions.content(origin, moving._replace(region=wide))

    if not work.paste(target, brought, how, rng):
        return None
    details = {"blend": how, "mirrored": mirrored}
    return Step("lanes", details, (source, target), source, (target,), (moving.matrix,))
