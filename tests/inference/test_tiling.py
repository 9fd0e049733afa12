"""Tiles that cover an image, and what they say put together."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgery_rcnn.inference.seams import Window
from forgery_rcnn.inference.tiling import shares, tiled, tiles
from forgery_rcnn.inference_config import Tiling
from forgery_rcnn.instances import Instances, Prediction

SMALL = Tiling("auto", sides=(64,))


def of_map(heatmap: np.ndarray, image_score: float = 0.5) -> Prediction:
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    return Prediction(Instances(heatmap.shape), *none, heatmap.astype(np.float32), image_score)


def red(pixels: np.ndarray) -> Prediction:
    """A model that looks at each pixel alone."""
    return of_map(pixels[:, :, 0] / np.float32(255), float(pixels[:, :, 1].max()) / 255)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_largest_side_that_fits() -> None:
    auto = Tiling("auto")
    for size, side in (((2000, 3000), 1024), ((1023, 3000), 768), ((600, 5000), 512), ((500, 400), 384)):
        assert {(w.x1 - w.x0, w.y1 - w.y0) for w in tiles(size, auto)} == {(side, side)}, size


def test_tiles_by_hand() -> None:
    """Sides 64, a quarter in common: steps of 48; the last ends at the border."""
    assert tiles((64, 160), SMALL) == [Window(0, 0, 64, 64), Window(48, 0, 112, 64), Window(96, 0, 160, 64)]
    assert [w.x0 for w in tiles((64, 161), SMALL)] == [0, 48, 96, 97]
    assert tiles((100, 64), SMALL) == [Window(0, 0, 64, 64), Window(0, 36, 64, 100)]
    assert [(w.x0, w.y0) for w in tiles((100, 70), SMALL)] == [(0, 0), (6, 0), (0, 36), (6, 36)]


def test_an_image_narrower_than_every_side_is_cut_across_its_length() -> None:
    assert tiles((20, 150), SMALL) == [Window(0, 0, 64, 20), Window(48, 0, 112, 20), Window(86, 0, 150, 20)]
    assert tiles((150, 1), Tiling("auto", sides=(128, 64))) == [
        Window(0, 0, 1, 64),
        Window(0, 48, 1, 112),
        Window(0, 86, 1, 150),
    ]


@pytest.mark.parametrize("size", [(64, 64), (63, 20), (1, 1), (1, 64)])
def test_an_image_that_one_tile_holds_is_not_cut(size: tuple[int, int]) -> None:
    assert tiles(size, SMALL) == [Window(0, 0, size[1], size[0])]


def test_off_is_the_whole_image() -> None:
    assert tiles((3000, 5000), Tiling()) == [Window(0, 0, 5000, 3000)]


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(st.integers(1, 700), st.integers(1, 700)),
    st.lists(st.sampled_from([64, 128, 192]), min_size=1, max_size=3),
    st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75]),
    st.sampled_from([1, 8, 16]),
)
def test_tiles_cover_the_image_with_enough_in_common(
    size: tuple[int, int], sides: list[int], overlap: float, grid: int
) -> None:
    windows = tiles(size, Tiling("auto", tuple(sides), overlap, grid))
    covered = np.zeros(size, int)
    for x0, y0, x1, y1 in windows:
        assert 0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]
        assert x0 % grid == 0 == y0 % grid
        covered[y0:y1, x0:x1] += 1
    assert covered.min() >= 1
    assert len(set(windows)) == len(windows)
    side = max([side for side in sides if side <= min(size)], default=min(sides))
    for low, high, length in (("x0", "x1", size[1]), ("y0", "y1", size[0])):
        spans = sorted({(getattr(w, low), getattr(w, high)) for w in windows})
        tile = min(side, length)
        assert spans[-1][1] == length
        assert {end - start for start, end in spans[:-1]} <= {tile}
        assert tile - grid < spans[-1][1] - spans[-1][0] <= tile
        common = [a[1] - b[0] for a, b in pairwise(spans)]
        assert min(common, default=tile) >= np.floor(overlap * tile)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.data())
def test_weights_add_up_to_one_and_are_never_nothing(lengths: list[int], data: st.DataObject) -> None:
    spans, start, end = [], 0, 0
    for length in lengths:
        start = data.draw(st.integers(start, end))
        spans.append((start, max(end, start + length)))
        end = spans[-1][1]
    total = np.zeros(end)
    for span, weights in shares(set(spans)).items():
        assert weights.shape == (span[1] - span[0],) and weights.min() > 0
        total[slice(*span)] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_tile_counts_most_in_its_middle() -> None:
    first, second = shares([(0, 64), (48, 112)]).values()
    np.testing.assert_allclose(first[:48], 1)  # alone
    assert (np.diff(first[48:]) < 0).all() and (np.diff(second[:16]) > 0).all()
    np.testing.assert_allclose(first[48:], second[:16][::-1], atol=1e-6)


SETTINGS = [SMALL, Tiling("auto", (64,), 0.0), Tiling("auto", (64,), 0.75), Tiling("auto", (64, 128), 0.3, 8)]


@pytest.mark.parametrize("tiling", SETTINGS)
@pytest.mark.parametrize("size", [(131, 203), (64, 190), (20, 150), (200, 65)])
def test_a_map_of_the_pixels_themselves_comes_back_everywhere(size: tuple[int, int], tiling: Tiling) -> None:
    pixels = picture(*size)
    found = tiled(red, pixels, tiling, "map")
    np.testing.assert_allclose(found.heatmap, pixels[:, :, 0] / 255, atol=1e-6)
    assert found.image_score == pytest.approx(pixels[:, :, 1].max() / 255)
    assert found.heatmap.dtype == np.float32 and len(found.instances) == 0
    one = tiled(lambda tile: of_map(np.ones(tile.shape[:2])), pixels, tiling, "map")
    assert one.heatmap.min() >= 1 - 1e-6 and one.heatmap.max() <= 1


def test_two_tiles_that_disagree_meet_halfway() -> None:
    """Heat 0 in the first tile, 1 in the second: from one to the other over what they have in common."""
    values = iter([0.0, 1.0])
    found = tiled(lambda tile: of_map(np.full(tile.shape[:2], next(values))), picture(64, 112), SMALL, "map")
    row = found.heatmap[30]
    assert (row[:48] == 0).all() and np.allclose(row[64:], 1) and (np.diff(row[47:65]) > 0).all()
    assert row[55] + row[56] == pytest.approx(1, abs=1e-6)
    assert (found.heatmap == row).all()


@pytest.mark.parametrize("gives", ["map", "instances"])
def test_one_tile_is_the_untiled_prediction_itself(gives: str) -> None:
    pixels = picture(64, 64)
    seen = []

    def told(tile: np.ndarray) -> Prediction:
        seen.append(tile)
        return of_map(np.zeros((64, 64)))

    tiled(told, pixels, SMALL, gives)
    assert len(seen) == 1 and seen[0] is pixels


def test_the_heat_map_of_instances_is_the_largest_value() -> None:
    values = iter([0.2, 0.7])
    found = tiled(
        lambda tile: of_map(np.full(tile.shape[:2], v := next(values)), v), picture(64, 112), SMALL, "instances"
    )
    assert found.heatmap[0, [0, 47, 48, 63, 111]].tolist() == np.float32([0.2, 0.2, 0.7, 0.7, 0.7]).tolist()
    assert found.image_score == 0.7 and len(found.instances) == 0
