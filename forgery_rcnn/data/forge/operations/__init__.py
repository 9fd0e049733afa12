"""What can be done to a figure. Adding an operation = one file and one line here.

An operation is a function (work, area, rng) -> Step or None: it forges `work.after` so that its mask marks about `area`
pixels, or finds no place and leaves the figure as it was.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forgery_rcnn.data.forge.operations.between_panels import between_panels
from forgery_rcnn.data.forge.operations.copy_move import copy_move
from forgery_rcnn.data.forge.operations.lanes import lanes
from forgery_rcnn.data.forge.operations.overlap import overlap
from forgery_rcnn.data.forge.operations.panel_reuse import panel_reuse
from forgery_rcnn.data.forge.operations.removal import removal
from forgery_rcnn.data.forge.operations.retouch import retouch
from forgery_rcnn.data.forge.operations.splice import splice
from forgery_rcnn.data.forge.work import Step, Work

Operation = Callable[[Work, float, np.random.Generator], Step | None]

OPERATIONS: dict[str, Operation] = {
    "copy_move": copy_move,
    "between_panels": between_panels,
    "splice": splice,
    "removal": removal,
    "retouch": retouch,
    "lanes": lanes,
    "overlap": overlap,
    "panel_reuse": panel_reuse,
}
