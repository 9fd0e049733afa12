"""Copy between panels: what one panel shows appears again in another."""

from __future__ import annotations

import numpy as np

from forgery_rcnn.data.forge.operations.copy_move import SOURCES, copied
from forgery_rcnn.data.forge.work import Step, Work


def between_panels(work: Work, area: float, rng: np.random.Generator) -> Step | None:
    """Source in one panel, one or two copies in others of the same kind."""
    panels = work.panels(0.75 * area)
    if len(panels) < 2:
        return None
    for source_panel in rng.choice(panels, SOURCES).tolist():
        kind = work.scene.panels[source_panel - 1].kind
        others = [p for p in panels if p != source_panel and work.scene.panels[p - 1].kind == kind]
        chosen = rng.permutation(others)[: 2 if rng.random() < 0.15 else 1].tolist()
        source = work.shape(source_panel, area / (1 + len(chosen)), rng) if chosen else None
        step = source and copied(work, source, tuple(chosen), "between_panels", rng)
        if step:
            return step
    return None
