"""What several probes draw: boxes on a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

TRUTH, FOUND, OTHER = "#00c853", "#ff1744", "#ffab00"  # a true box, one that has found it, one that has not


def boxes_on(ax: Axes, boxes: np.ndarray, colour: str, style: str = "solid", said: Sequence[str] = ()) -> None:
    """(N, 4) x0 y0 x1 y1 exclusive on axes whose unit is the pixel (draw.image); `said`: a short text at each, or none."""
    for number, (x0, y0, x1, y1) in enumerate(np.asarray(boxes, float)):
        shape = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linestyle=style)
        ax.add_patch(shape)
        if number < len(said):
            pad = {"facecolor": colour, "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
            ax.text(x0, y0, said[number], fontsize=6, color="black", bbox=pad, va="bottom")
