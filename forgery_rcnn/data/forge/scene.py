"""A figure before anything is forged in it: pixels, panels, and where a forgery may lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["image", "blot", "gel", "chart"]
Box = tuple[int, int, int, int]
"""x0 y0 x1 y1 in the figure's pixels, x1 y1 exclusive."""
View = Callable[[tuple[int, int]], tuple[np.ndarray, str]]
"""(h, w) -> a new view (h, w, 3) uint8 RGB of some host of the figure's pool, and that host's id."""


@dataclass(frozen=True)
class Panel:
    """One panel of a figure. host: id of the host it shows, "" when drawn; lanes: boxes of a blot's or gel's lanes."""

    box: Box
    kind: Kind = "image"
    host: str = ""
    lanes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Scene:
    """canvas (H, W, 3) uint8 RGB; room (H, W) uint8: 1 + number of the panel where a forgery may lie, 0 elsewhere.

    Room is 0 on gutters, charts, letters, labels, arrows and scale bars, and on panels that repeat another legitimately.
    """

    canvas: np.ndarray
    room: np.ndarray
    panels: tuple[Panel, ...]
    bare: np.ndarray
    """The canvas before letters, bars and arrows were drawn over the panels."""

    @property
    def ink(self) -> np.ndarray:
        """(H, W) bool: where letters, bars and arrows are."""
        return (self.canvas != self.bare).any(axis=2)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Ids of the hosts shown, each once, sorted."""
        return tuple(sorted({panel.host for panel in self.panels if panel.host}))
