"""Regions outlined and joined: what is drawn, where it ends, in which colours."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from forgery_rcnn import draw_links, rle
from forgery_rcnn.draw_links import THREADS, Tie

SIZE = 60, 90


def tie(number: int = 1, arrow: str = "none", second_size: tuple[int, int] = SIZE) -> Tie:
    first = rle.runs_of(np.ones((10, 20), bool), SIZE, (5, 6))
    second = rle.runs_of(np.ones((10, 20), bool), second_size, (45, 26))
    return Tie(number, first, second, np.array([[1.0, 0, 40], [0, 1, 20]]), f"$A$ is B of pair {number}", arrow)  # type: ignore[arg-type]


def lines(figure: Figure) -> list[ConnectionPatch]:
    return [artist for artist in figure.artists if isinstance(artist, ConnectionPatch)]


def rendered(figure: Figure) -> None:
    FigureCanvasAgg(figure).draw()


def test_a_region_without_a_gap_is_joined_from_its_middle() -> None:
    """Its columns are one run."""
    whole = rle.runs_of(np.ones(SIZE, bool), SIZE)
    assert len(whole) == 1
    (middle, moved), *threads = draw_links._corresponding(Tie(1, whole, whole, np.eye(2, 3), "", "none"), SIZE)
    assert middle == pytest.approx([SIZE[1] / 2, SIZE[0] / 2], abs=2) and np.array_equal(middle, moved)
    assert np.ptp([start for start, _ in threads], axis=0).min() > SIZE[0] / 2


def test_within_an_image_both_regions_are_on_the_same_axes() -> None:
    figure = draw_links.within(np.zeros((*SIZE, 3), np.uint8), [tie()], "a case")
    bare, marked = figure.axes
    assert not bare.collections and len(marked.collections) == 2
    boxes = [outline.get_paths()[0].get_extents().extents.tolist() for outline in marked.collections]
    assert boxes == [[4.5, 5.5, 24.5, 15.5], [44.5, 25.5, 64.5, 35.5]]
    assert [text.get_text() for text in marked.texts] == ["1A", "1B"]
    assert marked.get_title() == "1 pair of regions"
    rendered(figure)


def test_lines_end_where_the_motion_takes_them() -> None:
    figure = draw_links.within(np.zeros((*SIZE, 3), np.uint8), [tie()], "a case")
    joined = lines(figure)
    assert len(joined) == 1 + THREADS
    for line in joined:
        start, end = np.array(line.xy1), np.array(line.xy2)
        assert (start >= [5, 6]).all() and (start <= [24, 15]).all()
        assert np.allclose(end - start, [40, 20])


@pytest.mark.parametrize(("arrow", "style"), [("second", "-|>"), ("first", "<|-"), ("none", "-")])
def test_the_line_points_to_the_copy(arrow: str, style: str) -> None:
    (thick, *threads) = lines(draw_links.within(np.zeros((*SIZE, 3), np.uint8), [tie(arrow=arrow)], "x"))
    assert type(thick.get_arrowstyle()) is type(
        draw_links.ConnectionPatch((0, 0), (1, 1), "data", arrowstyle=style).get_arrowstyle()
    )
    assert all(type(line.get_arrowstyle()).__name__ == "Curve" for line in threads)


def test_between_images_of_different_size() -> None:
    other = (120, 70)
    figure = draw_links.between(
        np.zeros((*SIZE, 3), np.uint8),
        np.zeros((*other, 3), np.uint8),
        [tie(7, second_size=other)],
        ("a", "b"),
        "a and b",
    )
    first, second = figure.axes
    assert len(first.collections) == len(second.collections) == 1
    assert (first.texts[0].get_text(), second.texts[0].get_text()) == ("7A", "7B")
    assert first.get_title() == "a, 90 x 60 px" and second.get_title() == "b, 70 x 120 px"
    assert all((line.axesA, line.axesB) == (first, second) for line in lines(figure))
    rendered(figure)


def test_every_pair_has_a_colour_and_a_line_of_text_up_to_a_limit() -> None:
    ties = [tie(number) for number in range(1, draw_links.MOST + 4)]
    figure = draw_links.within(np.zeros((*SIZE, 3), np.uint8), ties, "x")
    _, *captions = figure.texts
    assert len(captions) == draw_links.MOST
    assert captions[0].get_text() == "1: $A$ is B of pair 1"
    assert [text.get_color() for text in captions[:7]] == [*draw_links.COLOURS, draw_links.COLOURS[0]]
    assert figure.axes[1].get_title() == f"the first {draw_links.MOST} of {len(ties)} pairs of regions"
    rendered(figure)
    below = min(ax.get_position().y0 for ax in figure.axes)
    assert all(text.get_position()[1] < below for text in captions)


def test_one_pixel() -> None:
    runs = rle.runs_of(np.ones((1, 1), bool), (1, 1))
    figure = draw_links.within(np.zeros((1, 1, 3), np.uint8), [Tie(1, runs, runs, np.eye(2, 3), "same")], "x")
    rendered(figure)
