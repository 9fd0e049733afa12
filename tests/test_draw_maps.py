"""Maps over an image and bars of steps: what is drawn, in which frame, with which labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from forgery_rcnn import draw_maps
from forgery_rcnn.bootstrap import Interval
from forgery_rcnn.draw import FOUND, TRUTH
from forgery_rcnn.instances import Instances


def rendered(figure: Figure) -> None:
    FigureCanvasAgg(figure).draw()


def colours(ax: object) -> list[str]:
    from matplotlib.colors import to_hex

    return [to_hex(outline.get_edgecolor()[0]) for outline in ax.collections]  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [1, 4, 9])
def test_every_map_lies_over_the_image_with_truth_and_finding(count: int) -> None:
    pixels, masks = np.zeros((30, 50, 3), np.uint8), np.zeros((1, 30, 50), bool)
    masks[0, 5:15, 10:30] = True
    small, high = np.full((15, 25), 0.9, np.float32), np.zeros((30, 50), np.float32)
    high[3:9, 4:9] = 0.8
    found = {f"map {i}": high for i in range(count - 1)} | {"coarse": small}
    figure = draw_maps.maps(pixels, Instances.from_masks(masks), found, "case", 0.5)
    first, *rest = figure.axes[: count + 1]
    assert first.get_title() == "image, 50 x 30 px" and colours(first) == [TRUTH]
    for ax, name in zip(rest, found, strict=True):
        assert ax.get_title() == name
        assert ax.images[1].get_extent() == [-0.5, 49.5, 29.5, -0.5]  # a coarse map covers the whole image
        assert ax.images[1].get_clim() == (0, 1)
        assert colours(ax) == ([TRUTH] if name == "coarse" else [FOUND, TRUTH])
    rendered(figure)


def test_an_authentic_image_has_no_outline_of_truth() -> None:
    figure = draw_maps.maps(np.zeros((8, 8, 3), np.uint8), None, {"m": np.zeros((8, 8), np.float32)}, "x", 0.5)
    assert all(not ax.collections for ax in figure.axes[:2])
    rendered(figure)


def test_steps_are_bars_with_intervals_beside_the_first() -> None:
    scores = {"none": Interval(0.4, 0.3, 0.5, 9), "crf": Interval(0.2, math.nan, math.nan, 1)}
    (ax,) = draw_maps.steps(scores, "Dice (0..1)", "t").axes
    assert [bar.get_width() for bar in ax.patches] == [0.4, 0.2]
    assert list(ax.lines[0].get_xdata()) == [0.3, 0.5]
    assert list(ax.lines[-1].get_xdata()) == [0.4, 0.4] and len(ax.lines) == 2
    assert [label.get_text() for label in ax.get_yticklabels()] == ["none", "crf"]
    assert ax.get_xlabel() == "Dice (0..1)" and ax.yaxis_inverted()
