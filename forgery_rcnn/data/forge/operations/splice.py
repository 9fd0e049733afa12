"""Splice: a region of another image, its colours moved towards those of its new place."""

from __future__ import annotations

import cv2
import numpy as np

from forgery_rcnn.data.forge import motions, regions
from forgery_rcnn.data.forge.regions import Objects, Region
from forgery_rcnn.data.forge.work import Step, Work


def splice(work: Work, area: float, rng: np.random.Generator) -> Step | None:
    """The pasted region alone is marked; the source's polygon is in the donor's view, which is as large as the figure."""
    panels = [p for p in work.panels(1.2 * area) if work.scene.panels[p - 1].host]
    if not panels:
        return None
    panel = int(rng.choice(panels))
    x0, y0, x1, y1 = work.scene.panels[panel - 1].box
    found = work.views.donor(work.scene.panels[panel - 1].host, (y1 - y0, x1 - x0))
    if found is None:
        return None
    view, host = found
    everywhere = (0, 0, view.shape[1], view.shape[0])
    proposed = regions.proposed(Objects.of(view), everywhere, area, tuple(regions.OUTLINES), rng)
    source = next((r for r in proposed if r.inside(view.shape) and regions.shows(r.window(view), r.mask)), None)
    if source is None:
        return None
    donor = _matched(view, work.after[y0:y1, x0:x1], float(rng.uniform(0.6, 1.0)))
    matrix, parameters = motions.linear(source, rng)
    moving = work.place(motions.motion(source, matrix), panel, donor, rng)
    how = str(rng.choice(("feathered", "alpha", "poisson"), p=(0.5, 0.15, 0.35)))  # a hard edge is seen at a glance

    def brought(wide: Region) -> np.ndarray:
        return motions.content(donor, moving._replace(region=wide))

    if moving is None or not work.paste(moving.region, brought, how, rng):
        return None
    details = {"blend": how, "donor": host.id, "view": [y1 - y0, x1 - x0], **parameters}
    return Step("splice", details, (moving.region,), source, (moving.region,), (moving.matrix,), (host.id,))


def _matched(donor: np.ndarray, receiver: np.ndarray, strength: float) -> np.ndarray:
    """(h, w, 3) uint8 -> the donor, mean and deviation of its channels moved part of the way to the receiver's."""
    (mean, deviation), (wanted, spread) = cv2.meanStdDev(donor), cv2.meanStdDev(receiver)
    gain = np.clip(spread / np.maximum(deviation, 1), 0.4, 2.5)
    levels = np.arange(256) * (1 - strength + strength * gain) + strength * (wanted - gain * mean)
    return cv2.LUT(donor, np.clip(np.rint(levels), 0, 255).astype(np.uint8).T[None])
